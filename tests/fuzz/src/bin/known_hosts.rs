//! A `known_hosts` from a document, and the hosts that it is asked for.
#![no_main]

use tagwright::egress::ssh::KnownHosts;

libfuzzer_sys::fuzz_target!(|text: &str| match KnownHosts::parse(text) {
    Ok(known) => {
        let _ = (known.knows("git.test", 22), known.knows("git.test", 2222));
    }
    Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
});
