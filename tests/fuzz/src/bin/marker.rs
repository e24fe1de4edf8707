//! Markers: a comment is none, or well-formed, or told what is wrong with it. A rule is printed in a
//! spelling that reads as the same rule, and compiles to a policy or a fault.
#![no_main]

use tagwright::{
    pipeline,
    update::marker::{self, InlineRule, MarkerReading},
};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let MarkerReading::Misspelt(reason) = marker::parse(text) {
        assert!(!reason.is_empty());
    }
    match InlineRule::parse(text) {
        Ok(rule) => {
            assert_eq!(InlineRule::parse(&rule.to_string()), Ok(rule.clone()));
            if let Err(fault) = pipeline::inline_policy(&rule) {
                assert!(!fault.is_empty());
            }
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
});
