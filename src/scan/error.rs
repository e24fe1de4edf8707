//! Why a scan gave nothing.

use crate::error::Class;

/// Why a scan gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {}

impl ScanError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match *self {}
    }
}
