//! What a hostile Git server answers to a push.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tagwright::update::git::fuzz::report(bytes));
