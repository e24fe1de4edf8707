//! What the fuzz targets share: inputs for policies, and what must hold of every refusal.

use tagwright::{
    policy::{PolicyError, Verdict},
    scan::Scan,
};

/// A complete listing of `tags`; what is no tag is left out.
pub fn scan<'t>(tags: impl IntoIterator<Item = &'t str>) -> Scan {
    let tags = tags.into_iter().filter_map(|tag| tag.parse().ok());
    Scan {
        repository: "registry.test/acme/web".parse().expect("a repository"),
        tags: tags.collect(),
        refused: 0,
        sifted: 0,
        finished: Default::default(),
        took: Default::default(),
        facts: Default::default(),
    }
}

/// The tag that a verdict names, written or held.
pub fn chosen(verdict: &Verdict) -> Option<&str> {
    verdict.selection().map(|selection| selection.tag.as_str())
}

/// A refusal names its field, lies in the text, and can be shown.
pub fn check_refusal(error: &PolicyError, text: &str) {
    let place = error.place();
    assert!(!place.field.is_empty(), "{error}");
    assert_eq!(place.text, text, "{error}");
    assert!(text.get(place.span.clone()).is_some(), "{error}");
    assert!(place.caret().contains('^'), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    assert!(error.hint().is_none_or(|hint| !hint.is_empty()), "{error}");
}
