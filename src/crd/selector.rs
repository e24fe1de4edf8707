//! Label selectors: in `policySelector`, and on the command line.

use std::{collections::BTreeMap, str::FromStr};

use schemars::JsonSchema;
use serde::Deserialize;

/// `ImageUpdateAutomation.spec.policySelector`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// All of these must match.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// And all of these.
    #[serde(default)]
    pub match_expressions: Vec<LabelRequirement>,
}

impl LabelSelector {
    /// Whether all of it is met by `labels`.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut wanted = self.match_labels.iter();
        wanted.all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(&requirement.key);
                let listed = value.is_some_and(|value| requirement.values.contains(value));
                match requirement.operator {
                    LabelOperator::In => listed,
                    LabelOperator::NotIn => !listed,
                    LabelOperator::Exists => value.is_some(),
                    LabelOperator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// One requirement of a [`LabelSelector`].
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: LabelOperator,
    /// With what.
    #[serde(default)]
    pub values: Vec<String>,
}

/// The operator of a [`LabelRequirement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The label is one of the values.
    In,
    /// The label is missing or none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

impl FromStr for LabelSelector {
    type Err = String;

    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut selector = Self::default();
        for part in parts(text)? {
            selector.match_expressions.push(requirement(part)?);
        }
        Ok(selector)
    }
}

/// The parts between the commas that stand outside of parentheses.
fn parts(text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let (mut start, mut is_inside) = (0, false);
    for (at, character) in text.char_indices() {
        match (character, is_inside) {
            ('(', false) | (')', true) => is_inside = !is_inside,
            ('(', true) | (')', false) => return Err("the parentheses do not match".to_owned()),
            (',', false) => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if is_inside {
        return Err("the parentheses do not match".to_owned());
    }
    parts.push(&text[start..]);
    let is_empty = text.trim().is_empty();
    Ok(if is_empty { Vec::new() } else { parts })
}

fn requirement(part: &str) -> Result<LabelRequirement, String> {
    let part = part.trim();
    let with = |key: &str, operator, values: Vec<String>| {
        let key = key.trim();
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if key.is_empty() || !key.bytes().all(is_key) {
            return Err(format!("`{key}` is no label"));
        }
        Ok(LabelRequirement {
            key: key.to_owned(),
            operator,
            values,
        })
    };
    let set = |values: &str| {
        let inner = values
            .trim()
            .strip_prefix('(')
            .and_then(|it| it.strip_suffix(')'));
        let inner = inner.ok_or_else(|| format!("`{part}` lacks its values"))?;
        Ok::<_, String>(inner.split(',').map(|it| it.trim().to_owned()).collect())
    };
    if let Some((key, values)) = part.split_once(" notin ") {
        return with(key, LabelOperator::NotIn, set(values)?);
    }
    if let Some((key, values)) = part.split_once(" in ") {
        return with(key, LabelOperator::In, set(values)?);
    }
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = part.split_once("!=") {
        return with(key, LabelOperator::NotIn, one(value));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return with(key, LabelOperator::In, one(value));
    }
    match part.strip_prefix('!') {
        Some(key) => with(key, LabelOperator::DoesNotExist, Vec::new()),
        None => with(part, LabelOperator::Exists, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_mean_what_kubectl_means() {
        let labels = BTreeMap::from([
            ("env".to_owned(), "prod".to_owned()),
            ("sharding.fluxcd.io/key".to_owned(), "a".to_owned()),
        ]);
        let check = |text: &str, expected: Option<bool>| {
            let selector = text.parse::<LabelSelector>().ok();
            assert_eq!(selector.map(|it| it.matches(&labels)), expected, "{text}");
        };
        check("", Some(true));
        check("env=prod", Some(true));
        check("env==prod,sharding.fluxcd.io/key=a", Some(true));
        check("env=test", Some(false));
        check("env!=test", Some(true));
        check("team!=x", Some(true));
        check("env in (prod, test)", Some(true));
        check("env notin (prod,test)", Some(false));
        check("env", Some(true));
        check("team", Some(false));
        check("!team,env", Some(true));
        check("!env", Some(false));
        check("env in prod", None);
        check("env in (prod", None);
        check("a b", None);
        check(",", None);
    }
}
