//! YAML: finding marked values and replacing their bytes.
//!
//! [`read`] parses a file into a flat tree and binds each marker to the value that Flux would bind
//! it to. [`splice`] replaces the bytes of values, writes every other byte as it was, and then
//! parses what it wrote to prove that the edited values changed and nothing else did. Nothing here
//! prints a document.

mod addition;
mod bind;
pub mod discover;
mod embedded;
mod object;
mod outline;
mod proof;
mod scalar;
mod sops;
mod splice;
mod template;
mod tree;

#[cfg(test)]
mod tests;

use super::{Edit, Finding, Origin, Problem, Setter, Style, targets::Pattern, view::View};

pub use self::{
    bind::MAX_MARKERS,
    splice::{SpliceError, splice},
    tree::{MAX_DEPTH, MAX_FILE},
};

/// What one file says to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The marked values, in the order of the text.
    pub setters: Vec<Setter>,
    /// What a person should look at, in the order of the text.
    pub findings: Vec<Finding>,
    /// The numbers of the rules that found something.
    pub rules: Vec<usize>,
    /// The patterns that found values; after an edit they must find the new ones.
    pub patterns: Vec<Pattern>,
}

/// Finds the marked values of one file.
///
/// A file of which one document does not parse has no setters and one finding, unless template
/// blocks are the reason: then its marked values on one line are found all the same.
///
/// ```
/// let file = b"tag: 1.4.2 # {\"$imagepolicy\": \"apps:web:tag\"}\n";
/// let reading = tagwright::update::yaml::read(file);
/// assert_eq!(reading.setters[0].value, "1.4.2");
/// assert_eq!(reading.setters[0].span, 5..10);
/// ```
pub fn read(bytes: &[u8]) -> Reading {
    match tree::Tree::parse(bytes) {
        Ok(tree) => bind::bind(&tree, bind::Mode::Whole),
        Err(finding) => template::read(bytes, finding),
    }
}

/// One file as a tree of keys and values; the text of blocks is not looked into.
///
/// Of a file with template blocks, it shows what a parser sees beside them.
///
/// # Errors
///
/// What keeps the file from being parsed.
pub fn view(bytes: &[u8]) -> Result<View, Finding> {
    match tree::Tree::parse(bytes) {
        Ok(tree) => Ok(outline::view(&tree, bind::Mode::Whole)),
        Err(finding) => template::view(bytes, finding),
    }
}

/// Whether two files say the same, and differ in their comments and in white space at most.
pub fn differ_in_comments_alone(old: &[u8], new: &[u8]) -> bool {
    match (tree::Tree::parse(old), tree::Tree::parse(new)) {
        (Ok(old), Ok(new)) => proof::says_the_same(&old, &new),
        (Err(_), Err(_)) => {
            let covered = template::Covered::parse(old);
            let texts = covered.and_then(|old| {
                let new = template::Covered::with(std::str::from_utf8(new).ok()?, old.cover)?;
                Some((old.text, new.text))
            });
            let Some((old, new)) = &texts else {
                return false;
            };
            let trees = (
                tree::Tree::parse(old.as_bytes()),
                tree::Tree::parse(new.as_bytes()),
            );
            matches!(trees, (Ok(old), Ok(new)) if proof::says_the_same(&old, &new))
        }
        _ => false,
    }
}
