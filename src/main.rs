//! The `tagwright` program.

fn main() {}
