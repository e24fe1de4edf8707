//! Selectors: which values of a document a rule is about, by their paths.

use super::RuleError;
use crate::update::view::{Content, Step, View};

/// The longest selector, in bytes.
pub const MAX_SELECTOR: usize = 1024;
/// How many values one selector may name in one file.
pub const MAX_SELECTED: usize = 10_000;

/// A path of keys and positions with room for more than one value.
///
/// `spec.template.spec.containers[name=app].image` takes of a list the entries whose `name` is
/// `app`; `[0]` takes one, `[*]` all, `*` every key, `["a.b"]` a key that is no plain word. A
/// filter in front of everything looks at the document itself: `[kind=Deployment]spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    picks: Vec<Pick>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pick {
    Key(String),
    AnyKey,
    Item(usize),
    AnyItem,
    /// Of a list its entries, of a mapping itself, where the value at `keys` is `value`.
    Where {
        keys: Vec<String>,
        value: String,
    },
}

impl Selector {
    /// Reads a selector, or says what is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.len() > MAX_SELECTOR {
            let what = "the path is longer than 1,024 bytes";
            return Err(RuleError::new(text, MAX_SELECTOR, what));
        }
        let mut reader = Reader { text, at: 0 };
        let mut picks = Vec::new();
        while !reader.rest().is_empty() {
            let pick = reader.pick(picks.is_empty())?;
            picks.push(pick);
        }
        if picks.is_empty() {
            return Err(RuleError::new(text, 0, "the path is empty"));
        }
        Ok(Self { picks })
    }

    /// The nodes that are meant, in the order of the view; nothing where there are too many.
    pub fn select(&self, view: &View) -> Option<Vec<usize>> {
        let roots = view.nodes.iter().enumerate();
        let roots = roots.filter(|(_, node)| node.step == Step::Root);
        let mut selected = roots.map(|(number, _)| number).collect::<Vec<_>>();
        for pick in &self.picks {
            let mut next = Vec::new();
            for node in selected {
                pick.take(view, node, &mut next);
            }
            selected = next;
        }
        (selected.len() <= MAX_SELECTED).then_some(selected)
    }
}

impl Pick {
    fn take(&self, view: &View, node: usize, taken: &mut Vec<usize>) {
        let is_meant = |step: &Step| match (self, step) {
            (Self::Key(wanted), Step::Key(key)) => wanted == key,
            (Self::Item(wanted), Step::Item(position)) => wanted == position,
            (Self::AnyKey, Step::Key(_)) | (Self::AnyItem, Step::Item(_)) => true,
            _ => false,
        };
        let is_list = view
            .nodes
            .get(node)
            .is_some_and(|it| matches!(it.content, Content::Sequence));
        match self {
            Self::Where { keys, value } if is_list => {
                let entries = view.children(node).map(|(number, _)| number);
                taken.extend(entries.filter(|entry| holds(view, *entry, keys, value)));
            }
            Self::Where { keys, value } => {
                taken.extend(Some(node).filter(|node| holds(view, *node, keys, value)));
            }
            _ => {
                let children = view.children(node).filter(|(_, it)| is_meant(&it.step));
                taken.extend(children.map(|(number, _)| number));
            }
        }
    }
}

/// Whether the value at `keys` below `node` is `value`.
fn holds(view: &View, node: usize, keys: &[String], value: &str) -> bool {
    let found = keys
        .iter()
        .try_fold(node, |node, key| view.get(node, key))
        .and_then(|node| view.text(node));
    found.is_some_and(|text| text.value == value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault<T>(&self, what: &str) -> Result<T, RuleError> {
        Err(RuleError::new(self.text, self.at, what))
    }

    fn pick(&mut self, is_first: bool) -> Result<Pick, RuleError> {
        if let Some(rest) = self.rest().strip_prefix('[') {
            self.at = self.text.len() - rest.len();
            return self.bracket();
        }
        if let Some(rest) = self.rest().strip_prefix('.') {
            if is_first {
                return self.fault("a path begins with a key, and not with `.`");
            }
            self.at = self.text.len() - rest.len();
        }
        Ok(match self.word()? {
            "*" => Pick::AnyKey,
            key => Pick::Key(key.to_owned()),
        })
    }

    /// A key without quotes, or `*`.
    fn word(&mut self) -> Result<&'a str, RuleError> {
        let rest = self.rest();
        let is_word = |character: char| character.is_alphanumeric() || "_-/$*".contains(character);
        let length = rest.find(|it| !is_word(it)).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        if word.is_empty() {
            return self.fault("a key is missing here; one with other signs is `[\"so\"]`");
        }
        if word.len() > 1 && word.contains('*') {
            return self.fault("`*` is a whole key");
        }
        self.at += length;
        Ok(word)
    }

    /// What stands behind `[`, and the bracket that closes it.
    fn bracket(&mut self) -> Result<Pick, RuleError> {
        let rest = self.rest();
        let pick = if rest.starts_with('"') {
            Pick::Key(self.quoted()?)
        } else if rest.starts_with('*') {
            self.at += 1;
            Pick::AnyItem
        } else if rest.starts_with(|it: char| it.is_ascii_digit())
            && let Some((digits, _)) = rest.split_once(']')
            && let Ok(position) = digits.parse()
        {
            self.at += digits.len();
            Pick::Item(position)
        } else {
            self.filter()?
        };
        if !self.rest().starts_with(']') {
            return self.fault("`]` is missing here");
        }
        self.at += 1;
        Ok(pick)
    }

    /// `name=app`, `metadata.name="a b"`.
    fn filter(&mut self) -> Result<Pick, RuleError> {
        let mut keys = vec![self.word()?.to_owned()];
        while let Some(rest) = self.rest().strip_prefix('.') {
            self.at = self.text.len() - rest.len();
            keys.push(self.word()?.to_owned());
        }
        if keys.iter().any(|key| key == "*") {
            return self.fault("a filter names its key");
        }
        if !self.rest().starts_with('=') {
            return self.fault("`[` takes a position, `*`, a key in quotes, or `key=value`");
        }
        self.at += 1;
        if self.rest().starts_with('"') {
            let value = self.quoted()?;
            return Ok(Pick::Where { keys, value });
        }
        let value = self.rest().split(']').next().unwrap_or_default();
        if value.is_empty() {
            return self.fault("a value is missing behind `=`");
        }
        self.at += value.len();
        Ok(Pick::Where {
            keys,
            value: value.to_owned(),
        })
    }

    /// A text in quotes, in which `\"` and `\\` are escapes.
    fn quoted(&mut self) -> Result<String, RuleError> {
        let mut text = String::new();
        let rest = self.rest();
        let mut characters = rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => return self.fault("in quotes only `\\\"` and `\\\\` are escapes"),
                },
                _ => text.push(character),
            }
        }
        self.fault("the quotes are not closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::yaml;

    const FILE: &str = r#"
kind: Deployment
spec:
  containers:
    - name: app
      image: a:1
    - name: "side car"
      image: b:1
  "odd.key": c:1
---
kind: Service
metadata: {name: web}
spec: {image: d:1, list: [[e:1], [f:1]]}
"#;

    fn check(selector: &str, expected: &[&str]) {
        let view = yaml::view(FILE.as_bytes()).unwrap();
        let selected = Selector::parse(selector).unwrap().select(&view).unwrap();
        let texts = selected.iter().filter_map(|node| view.text(*node));
        let texts = texts.map(|it| it.value.as_str()).collect::<Vec<_>>();
        assert_eq!(texts, expected, "{selector}");
    }

    #[test]
    fn paths_lead_to_values() {
        check("spec.containers[name=app].image", &["a:1"]);
        check("spec.containers[name=\"side car\"].image", &["b:1"]);
        check("spec.containers[name=side car].image", &["b:1"]);
        check("spec.containers[name=nobody].image", &[]);
        check("spec.containers[0].image", &["a:1"]);
        check("spec.containers[1].image", &["b:1"]);
        check("spec.containers[2].image", &[]);
        check("spec.containers[*].image", &["a:1", "b:1"]);
        check("spec.containers[*].*", &["app", "a:1", "side car", "b:1"]);
        check("spec.containers.image", &[]);
        check(r#"spec["odd.key"]"#, &["c:1"]);
        check("kind", &["Deployment", "Service"]);
        check("spec.image", &["d:1"]);
        check("[kind=Service]spec.image", &["d:1"]);
        check("[kind=Service].spec.image", &["d:1"]);
        check("[kind=Deployment]spec.image", &[]);
        check("[metadata.name=web]spec.image", &["d:1"]);
        check("spec.list[*][0]", &["e:1", "f:1"]);
        check("spec.list[1][*]", &["f:1"]);
        check("*.image", &["d:1"]);
    }

    fn check_fault(selector: &str, expected: &str, at: usize) {
        let error = Selector::parse(selector).unwrap_err();
        assert!(error.to_string().contains(expected), "{selector}: {error}");
        let caret = error.caret();
        let mark = caret.lines().nth(1).unwrap_or_default();
        assert_eq!(mark.chars().count(), at + 1, "{caret}");
    }

    #[test]
    fn faults_are_shown_at_their_place() {
        check_fault("", "is empty", 0);
        check_fault(".a", "begins with a key", 0);
        check_fault("a..b", "a key is missing", 2);
        check_fault("a.", "a key is missing", 2);
        check_fault("a b", "a key is missing", 1);
        check_fault("a.b*", "a whole key", 2);
        check_fault("a[", "a key is missing", 2);
        check_fault("a[0", "`[` takes", 3);
        check_fault("a[name]", "`[` takes", 6);
        check_fault("a[name=]", "a value is missing", 7);
        check_fault("a[name=x", "`]` is missing", 8);
        check_fault(r#"a["b"#, "not closed", 2);
        check_fault(r#"a["b\c"]"#, "escapes", 2);
        check_fault("a[*=x]", "`]` is missing", 3);
        check_fault(&"a".repeat(1025), "longer than", 120);
    }
}
