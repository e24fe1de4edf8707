//! Packet lines of a hostile Git server.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tagwright::update::git::fuzz::packets(bytes));
