//! The definitions that an API server is given.

use std::path::Path;

/// Compares the printed definitions with the ones that `deploy/` applies, or writes those where
/// `GOLDEN=write` asks for that.
#[test]
fn the_deployed_definitions_are_those_of_the_code() {
    let found = tagwright::crd::print(&tagwright::crd::definitions());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base/crds.yaml");
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") && expected != found {
        assert!(
            std::env::var_os("CI").is_none(),
            "definitions are not written in CI"
        );
        std::fs::write(&path, &found).expect("deploy/base can be written");
        return;
    }
    assert!(
        expected == found,
        "deploy/base/crds.yaml is not current: GOLDEN=write cargo test --test suite crds"
    );
}
