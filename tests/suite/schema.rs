//! The JSON forms and the schemas in `docs/schema` say the same.

use std::path::Path;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;
use tagwright::{
    crd::RepositorySettings,
    report::{
        RunReport,
        explain::ExplainReport,
        init::InitReport,
        lint::LintReport,
        scan::{ReferrersReport, ScanReport},
    },
};

/// Compares a schema with its file, or writes it where `GOLDEN=write` asks for that.
fn check<T: JsonSchema>(name: &str) {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let schema = generator.into_root_schema_for::<T>().to_value();
    let found = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{name}.json"));
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") && expected != found {
        assert!(
            std::env::var_os("CI").is_none(),
            "schemas are not written in CI"
        );
        std::fs::write(&path, &found).expect("docs/schema can be written");
        return;
    }
    assert!(
        expected == found,
        "docs/schema/{name}.json is not current: GOLDEN=write cargo test schema"
    );
}

#[test]
fn documented_schemas_are_those_of_the_code() {
    check::<RunReport>("run");
    check::<ExplainReport>("explain");
    check::<ScanReport>("scan");
    check::<ReferrersReport>("referrers");
    check::<LintReport>("lint");
    check::<InitReport>("init");
    check::<RepositorySettings>("settings");
}

/// Checks what the program printed against a documented schema.
pub(crate) fn assert_valid(name: &str, printed: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{name}.json"));
    let schema = std::fs::read_to_string(path).expect("the schema is there");
    let schema = serde_json::from_str(&schema).expect("and is JSON");
    let value = serde_json::from_str(printed).expect("the program printed JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is valid");
    let errors = validator
        .iter_errors(&value)
        .map(|it| it.to_string())
        .collect::<Vec<_>>();
    assert!(errors.is_empty(), "{name}: {errors:?}");
    value
}
