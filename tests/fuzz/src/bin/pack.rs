//! The pack of a hostile Git server: it is indexed, and what is in it is read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tagwright::update::git::fuzz::pack(bytes));
