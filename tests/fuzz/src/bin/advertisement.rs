//! What a hostile Git server says first, and how it lists its references.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tagwright::update::git::fuzz::advertisement(bytes));
