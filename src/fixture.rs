//! Simulated registries, read from `fixtures/registries`.
