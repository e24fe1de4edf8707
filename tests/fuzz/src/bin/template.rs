//! Templates of commit messages: refused with a reason, or rendered twice to the same text.
#![no_main]

use std::collections::BTreeMap;

use tagwright::update::template::{MessageData, Template, check, message_value};

libfuzzer_sys::fuzz_target!(|source: &str| {
    if let Err(error) = check(source) {
        assert!(!error.to_string().is_empty());
    }
    let Ok(template) = Template::parse(source) else {
        return;
    };
    let values = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
    let render = || {
        let data = message_value(&MessageData {
            automation: ("apps", "fleet"),
            changes: &[],
            values: &values,
        });
        template.render(&data).map_err(|error| error.to_string())
    };
    assert_eq!(render(), render());
});
