//! Whole-file cases.
