//! What a request's body remembers for us, hidden from readers.
//!
//! There is no database: the next run, on whatever machine, reads back from the request itself which
//! automation it belongs to and how far the last run got. The note is a link reference that nothing
//! refers to, which every Markdown renders as nothing; its JSON is in base64, so that no tag or image
//! name can end it. What we write stands between it and `END`; a person's words around them stay.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How the first line of our part begins.
const BEGIN: &str = "[//]: # (tagwright:1:";
/// The last line of our part.
const END: &str = "[//]: # (tagwright:end)";
/// How much JSON a note may hold; half of what the tightest forge takes as a body, once in base64.
const MAX_NOTE: usize = 1_400;

/// Whose request it is: one open request at most for each key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// `namespace/name` of the automation.
    pub automation: String,
    /// The group of changes; `all` where there is one.
    pub group: String,
}

/// One image's step, as a request offers it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Offer {
    /// The policy that chose.
    pub policy: String,
    /// The image.
    pub image: String,
    /// The tag, digest or name that it chose.
    pub new: String,
}

/// What the body of a request remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Whose it is.
    #[serde(flatten)]
    pub key: Key,
    /// What identifies all offers together.
    pub wish: String,
    /// The offers; empty where they are too many to be remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Offer>,
    /// What identifies the title that we wrote: another title is a person's.
    pub title: String,
    /// Whether labels, reviewers and the like were hung on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub decorated: bool,
    /// The commit for which the forge was asked to merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<String>,
    /// Whether we took it back ourselves: closing it is no refusal then.
    #[serde(default, skip_serializing_if = "is_false")]
    pub withdrawn: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

impl Note {
    /// The note of new offers under a title.
    pub fn new(key: &Key, offers: &[Offer], title: &str) -> Self {
        let mut note = Self {
            key: key.clone(),
            wish: fingerprint(offers),
            offers: offers.to_vec(),
            title: fingerprint(title),
            decorated: false,
            armed: None,
            withdrawn: false,
        };
        if note.json().len() > MAX_NOTE {
            note.offers.clear();
        }
        note
    }

    /// Finds the first note in a body; one that cannot be read is none.
    pub fn find(body: &str) -> Option<Self> {
        let (_, rest) = body.split_once(BEGIN)?;
        let (text, _) = rest.split_once(')')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    /// Whether `title` is the one that was written with this note.
    pub fn is_title(&self, title: &str) -> bool {
        self.title == fingerprint(title)
    }

    /// A body whose part of ours is `text`, with this note; words outside our part stay.
    pub fn write(&self, text: &str, old: &str) -> String {
        let ours = format!(
            "{BEGIN}{})\n\n{}\n\n{END}",
            URL_SAFE_NO_PAD.encode(self.json()),
            text.trim_matches('\n')
        );
        let (before, after) = around(old);
        let mut body = String::new();
        if !before.trim().is_empty() {
            body.push_str(before.trim_end());
            body.push_str("\n\n");
        }
        body.push_str(&ours);
        if !after.trim().is_empty() {
            body.push_str("\n\n");
            body.push_str(after.trim_start());
        }
        body
    }

    fn json(&self) -> String {
        serde_json::to_string(self).expect("a note is texts and switches")
    }
}

/// Our part of a body, without the note.
pub fn text_of(body: &str) -> &str {
    let Some((_, rest)) = body.split_once(BEGIN) else {
        return "";
    };
    let ours = rest.split_once(')').map_or("", |(_, rest)| rest);
    let ours = ours.split_once(END).map_or(ours, |(ours, _)| ours);
    ours.trim_matches(['\n', '\r'])
}

/// What stands before and after our part.
fn around(body: &str) -> (&str, &str) {
    match body.split_once(BEGIN) {
        None => (body, ""),
        Some((before, rest)) => (before, rest.split_once(END).map_or("", |(_, after)| after)),
    }
}

/// Twelve digits that stand for a value.
fn fingerprint<T: Serialize + ?Sized>(value: &T) -> String {
    let json = serde_json::to_vec(value).expect("only texts are asked for");
    let digest = Sha256::digest(&json);
    let first = digest.iter().take(6);
    first.fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Key {
        Key {
            automation: "apps/fleet".to_owned(),
            group: "all".to_owned(),
        }
    }

    fn offer(new: &str) -> Offer {
        Offer {
            policy: "apps:web".to_owned(),
            image: "ghcr.io/acme/web".to_owned(),
            new: new.to_owned(),
        }
    }

    proptest! {
        #[test]
        fn a_note_is_read_back_whatever_it_says(new in ".{0,40}", title in ".{0,40}", text in "[^\\[]{0,80}") {
            let note = Note::new(&key(), &[offer(&new)], &title);
            let body = note.write(&text, "");
            prop_assert_eq!(Note::find(&body), Some(note.clone()));
            prop_assert!(note.is_title(&title));
            prop_assert_eq!(text_of(&body), text.trim_matches('\n').trim_matches(['\n', '\r']));
        }

        #[test]
        fn no_body_panics(body in ".{0,200}") {
            let _ = (Note::find(&body), text_of(&body));
            let _ = Note::find(&format!("{BEGIN}{body}"));
        }
    }

    #[test]
    fn words_of_people_around_our_part_stay() {
        let note = Note::new(&key(), &[offer("1.5.0")], "t");
        let body = format!("Please wait.\n\n{}\n\nSigned: me", note.write("old", ""));
        let body = note.write("new", &body);
        assert!(
            body.starts_with("Please wait.\n\n[//]: # (tagwright:1:"),
            "{body}"
        );
        assert!(body.ends_with(&format!("{END}\n\nSigned: me")), "{body}");
        assert_eq!(text_of(&body), "new");
        assert_eq!(
            note.write("new", &body),
            body,
            "writing twice changes nothing"
        );
    }

    #[test]
    fn too_many_offers_are_remembered_as_one_fingerprint() {
        let offers = (0..100)
            .map(|it| offer(&format!("1.{it}")))
            .collect::<Vec<_>>();
        let note = Note::new(&key(), &offers, "t");
        assert!(note.offers.is_empty() && note.write("", "").len() < 2_000);
        assert_ne!(note.wish, Note::new(&key(), &offers[1..], "t").wish);
    }
}
