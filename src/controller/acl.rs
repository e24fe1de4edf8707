//! Who may refer to whom across namespaces.

use std::collections::BTreeMap;

use crate::{config::ObjectKey, crd::AccessFrom};

/// `--no-cross-namespace-refs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossNamespace {
    /// References across namespaces are followed where their target allows it.
    Allow,
    /// No reference leaves its namespace.
    Refuse,
}

/// Whether a reference stays at home or may leave.
///
/// # Errors
///
/// The words of the refusal; they do not say whether the target exists.
pub(super) fn may_leave(
    kind: &str,
    target: &ObjectKey,
    from: &str,
    rule: CrossNamespace,
) -> Result<(), String> {
    if target.namespace == from || rule == CrossNamespace::Allow {
        return Ok(());
    }
    Err(format!(
        "cannot access '{kind}/{target}', cross-namespace references have been blocked"
    ))
}

/// Whether `accessFrom` lets the namespace `from` in, which has `labels`.
///
/// # Errors
///
/// The words of the refusal.
pub(super) fn may_enter(
    target: &ObjectKey,
    rules: Option<&AccessFrom>,
    from: &str,
    labels: &BTreeMap<String, String>,
) -> Result<(), String> {
    if target.namespace == from {
        return Ok(());
    }
    let Some(rules) = rules else {
        return Err(format!(
            "'{target}' can't be accessed due to missing ACL labels on 'accessFrom'"
        ));
    };
    let is_open = rules.namespace_selectors.iter().any(|selector| {
        let mut wanted = selector.match_labels.iter();
        wanted.all(|(key, value)| labels.get(key) == Some(value))
    });
    if is_open {
        return Ok(());
    }
    Err(format!(
        "'{target}' can't be accessed due to ACL labels mismatch on namespace '{from}'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn target() -> ObjectKey {
        ObjectKey {
            namespace: "images".to_owned(),
            name: "web".to_owned(),
        }
    }

    #[test]
    fn namespaces_are_let_in_by_their_labels() {
        let labels = BTreeMap::from([
            ("tenant".to_owned(), "a".to_owned()),
            ("env".to_owned(), "test".to_owned()),
        ]);
        let check = |rules: Value, from: &str, expected: bool| {
            let rules = serde_json::from_value::<Option<AccessFrom>>(rules.clone()).unwrap();
            let found = may_enter(&target(), rules.as_ref(), from, &labels);
            assert_eq!(found.is_ok(), expected, "{rules:?} {from}");
        };
        let selector = |labels: Value| json!({"namespaceSelectors": [{"matchLabels": labels}]});
        check(Value::Null, "images", true);
        check(Value::Null, "apps", false);
        check(json!({"namespaceSelectors": []}), "apps", false);
        check(json!({"namespaceSelectors": [{}]}), "apps", true);
        check(selector(json!({"tenant": "a"})), "apps", true);
        check(
            selector(json!({"tenant": "a", "env": "test"})),
            "apps",
            true,
        );
        check(selector(json!({"tenant": "b"})), "apps", false);
        let several = json!({"namespaceSelectors": [
            {"matchLabels": {"tenant": "b"}}, {"matchLabels": {"env": "test"}}]});
        check(several, "apps", true);
    }

    #[test]
    fn a_blocked_reference_never_leaves() {
        let check = |from: &str, rule, expected: bool| {
            let found = may_leave("ImageRepository", &target(), from, rule);
            assert_eq!(found.is_ok(), expected, "{from} {rule:?}");
        };
        check("images", CrossNamespace::Refuse, true);
        check("apps", CrossNamespace::Allow, true);
        check("apps", CrossNamespace::Refuse, false);
    }
}
