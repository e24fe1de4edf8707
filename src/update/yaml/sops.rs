//! Files that SOPS has encrypted: their message authentication code covers the plain values too.
//!
//! A change to a value under the code makes the file impossible to decrypt. With
//! `mac_only_encrypted` the code covers the encrypted values alone; which these are, rules of the
//! file say by the names of the keys on the way to the value.

use std::cell::OnceCell;

use regex::Regex;

use super::tree::{Node, Place, Tree};

/// The settings of one `sops` mapping.
#[derive(Debug, Default)]
pub(super) struct Sops {
    only_encrypted: bool,
    by_comment: bool,
    unencrypted_suffix: Option<String>,
    encrypted_suffix: Option<String>,
    unencrypted_regex: Option<Pattern>,
    encrypted_regex: Option<Pattern>,
}

/// A regular expression, compiled when the first value asks for it.
#[derive(Debug)]
struct Pattern {
    text: String,
    regex: OnceCell<Option<Regex>>,
}

impl Pattern {
    fn new(text: String) -> Self {
        Self {
            text,
            regex: OnceCell::new(),
        }
    }

    /// Whether one of the keys matches; else the text of what is no regular expression.
    fn matches_any(&self, keys: &[&str]) -> Result<bool, String> {
        let regex = self.regex.get_or_init(|| Regex::new(&self.text).ok());
        let regex = regex.as_ref().ok_or_else(|| self.text.clone())?;
        Ok(keys.iter().any(|key| regex.is_match(key)))
    }
}

impl Sops {
    /// Returns the settings of a file with an authentication code; one code covers every document.
    pub(super) fn of(tree: &Tree<'_>) -> Option<Self> {
        if !tree.text.contains("sops") {
            return None;
        }
        let number = tree.nodes.iter().find_map(|node| {
            let mapping = tree.nodes.get(node.parent?)?;
            let is_code = key_of(tree, node) == Some("mac") && is_in_root(tree, mapping);
            (is_code && key_of(tree, mapping) == Some("sops")).then_some(node.parent?)
        })?;
        let text = |key| {
            setting(tree, number, key)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Some(Self {
            only_encrypted: setting(tree, number, "mac_only_encrypted") == Some("true"),
            by_comment: text("encrypted_comment_regex").is_some()
                || text("unencrypted_comment_regex").is_some(),
            unencrypted_suffix: text("unencrypted_suffix"),
            encrypted_suffix: text("encrypted_suffix"),
            unencrypted_regex: text("unencrypted_regex").map(Pattern::new),
            encrypted_regex: text("encrypted_regex").map(Pattern::new),
        })
    }

    /// Why `node` must not change, if it must not.
    pub(super) fn refuses(&self, tree: &Tree<'_>, node: &Node<'_>) -> Option<String> {
        self.refuses_at(&keys(tree, node))
    }

    /// Why `key` must not be added beside `node`, if it must not.
    pub(super) fn refuses_beside(
        &self,
        tree: &Tree<'_>,
        node: &Node<'_>,
        key: &str,
    ) -> Option<String> {
        let above = keys(tree, node).into_iter().skip(1);
        self.refuses_at(&std::iter::once(key).chain(above).collect::<Vec<_>>())
    }

    fn refuses_at(&self, keys: &[&str]) -> Option<String> {
        if !self.only_encrypted {
            return Some(
                "its code (`sops.mac`) covers every value; `mac_only_encrypted: true` would leave this one out".to_owned(),
            );
        }
        if self.by_comment {
            return Some("its rules go by comments, which are not followed".to_owned());
        }
        match self.encrypts(keys) {
            Ok(false) => None,
            Ok(true) => Some("its rules encrypt this value, which its code covers".to_owned()),
            Err(pattern) => Some(format!("its rule `{pattern}` cannot be read")),
        }
    }

    /// Whether the value at `keys` is encrypted; a later rule overrules an earlier one.
    fn encrypts(&self, keys: &[&str]) -> Result<bool, String> {
        let any_ends = |suffix: &String| keys.iter().any(|key| key.ends_with(suffix.as_str()));
        let mut encrypts = true;
        if let Some(suffix) = &self.unencrypted_suffix {
            encrypts &= !any_ends(suffix);
        }
        if let Some(suffix) = &self.encrypted_suffix {
            encrypts = any_ends(suffix);
        }
        if let Some(pattern) = &self.unencrypted_regex {
            encrypts &= !pattern.matches_any(keys)?;
        }
        if let Some(pattern) = &self.encrypted_regex {
            encrypts = pattern.matches_any(keys)?;
        }
        Ok(encrypts)
    }
}

/// The key of a mapping's value.
fn key_of<'t>(tree: &'t Tree<'_>, node: &Node<'_>) -> Option<&'t str> {
    match node.place {
        Place::Value { key } => tree.scalar(key),
        Place::Root | Place::Key | Place::Item { .. } => None,
    }
}

fn is_in_root(tree: &Tree<'_>, node: &Node<'_>) -> bool {
    let parent = node.parent.and_then(|parent| tree.nodes.get(parent));
    parent.is_some_and(|parent| parent.place == Place::Root)
}

/// The text of a key in the mapping `mapping`.
fn setting<'t>(tree: &'t Tree<'_>, mapping: usize, key: &str) -> Option<&'t str> {
    tree.nodes.iter().enumerate().find_map(|(number, node)| {
        let is_it = node.parent == Some(mapping) && key_of(tree, node) == Some(key);
        is_it.then(|| tree.scalar(number)).flatten()
    })
}

/// The keys from the root to `node`; positions in sequences are no part of a rule.
fn keys<'t>(tree: &'t Tree<'_>, node: &'t Node<'_>) -> Vec<&'t str> {
    std::iter::once(node)
        .chain(tree.ancestors(node))
        .filter_map(|node| key_of(tree, node))
        .collect()
}
