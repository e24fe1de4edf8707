//! What a commit says: the user's template, or a default that names every image.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use serde::Serialize;

use super::{
    Field,
    git::{Author, Stamp, UpdatePath},
    plan::{ChangeSet, MarkedValue},
    template::{FileObjectChange, MessageData, Template, TemplateError, message_value},
};
use crate::{image::ImageReference, printable::printable};

/// How many bytes a commit message may have.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// How long the first line may grow before it stops naming the image.
const MAX_SUBJECT: usize = 72;

/// One image's step, however many values say it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The image.
    pub image: String,
    /// The policy that chose.
    pub policy: String,
    /// The tag, digest or name that stood there.
    pub old: String,
    /// The tag, digest or name that stands there now.
    pub new: String,
    /// Why the policy chose it.
    pub why: String,
    /// The values that say it, as `file:line`, and who says so where it is no marker.
    pub places: Vec<String>,
}

/// The last lines of a message, `Key: value`, which `git interpret-trailers` reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer(String);

impl Trailer {
    /// `Signed-off-by`: the author says that the commit may be contributed.
    pub fn sign_off(author: &Author) -> Self {
        Self::of("Signed-off-by", author)
    }

    /// `Co-authored-by`: somebody who is named beside the author.
    pub fn co_author(author: &Author) -> Self {
        Self::of("Co-authored-by", author)
    }

    /// What could end or forge a line is left out, as in a commit's own author.
    fn of(key: &str, Author { name, email }: &Author) -> Self {
        let clean = |text: &str| {
            let is_kept = |it: &char| !it.is_control() && !matches!(it, '<' | '>');
            text.chars().filter(is_kept).collect::<String>()
        };
        let (name, email) = (clean(name), clean(email));
        let name = name.trim();
        let space = if name.is_empty() { "" } else { " " };
        Self(format!("{key}: {name}{space}<{}>", email.trim()))
    }
}

impl fmt::Display for Trailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What stands for an empty value.
const NOTHING: &str = "nothing";

/// How much of a digest is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digests {
    /// As much as people quote.
    Short,
    /// All of it, for machines.
    Whole,
}

/// The steps of a change set, without repetition, by image.
///
/// The fields of one collection that follow one policy are one step, `1.2.0@sha256:…`, as long as
/// no field stands there twice: a whole reference has its name and its tag.
pub fn steps(changes: &ChangeSet) -> Vec<Step> {
    steps_with(changes, Digests::Short)
}

fn steps_with(changes: &ChangeSet, digests: Digests) -> Vec<Step> {
    let mut groups = BTreeMap::<_, Vec<(&MarkedValue, &str)>>::new();
    for (value, new) in changes.updates() {
        groups
            .entry((&value.file, value.group, &value.policy))
            .or_default()
            .push((value, new));
    }
    let mut steps = BTreeMap::<_, Step>::new();
    for ((_, _, policy), mut values) in groups {
        values.sort_by_key(|(value, _)| rank(value.field));
        let is_one_image = values.windows(2).all(|pair| {
            let (first, second) = (pair[0].0.field, pair[1].0.field);
            first != second && (first != Field::Image || second == Field::Digest)
        });
        let length = if is_one_image { values.len() } else { 1 };
        for values in values.chunks(length) {
            let image = values.iter().find_map(|(value, _)| value.image.as_ref());
            let image = image.map(ToString::to_string).unwrap_or_default();
            let old = joined(
                values
                    .iter()
                    .map(|(value, _)| (value.field, value.value.as_str())),
                &image,
                digests,
            );
            let new = joined(
                values.iter().map(|(value, new)| (value.field, *new)),
                &image,
                digests,
            );
            let key = (image.clone(), policy.to_string(), old.clone(), new.clone());
            let step = steps.entry(key).or_insert_with(|| Step {
                image,
                policy: policy.to_string(),
                old,
                new,
                why: values
                    .iter()
                    .find_map(|(value, _)| value.why.clone())
                    .unwrap_or_default(),
                places: Vec::new(),
            });
            step.places
                .extend(values.iter().map(|(value, _)| value.place()));
        }
    }
    steps.into_values().collect()
}

/// The fields of one image as one text: `name:tag@digest`, as far as they are there.
fn joined<'a>(
    fields: impl Iterator<Item = (Field, &'a str)>,
    image: &str,
    digests: Digests,
) -> String {
    let mut text = String::new();
    let mut last = None;
    for (field, value) in fields {
        let shown = shown(value, field, image, digests);
        if text == NOTHING && shown == NOTHING {
            continue;
        }
        match (last, field) {
            (None, _) => {}
            (Some(Field::Name), Field::Tag) => text.push(':'),
            _ => text.push('@'),
        }
        text.push_str(&shown);
        last = Some(field);
    }
    text
}

/// Renders the message of a commit; the trailers follow what the template says.
///
/// # Errors
///
/// What the user's template says where it cannot be rendered; the default message cannot fail.
pub fn message(
    automation: (&str, &str),
    template: Option<&Template>,
    values: &BTreeMap<String, String>,
    trailers: &[Trailer],
    path: &UpdatePath,
    changes: &ChangeSet,
) -> Result<String, TemplateError> {
    let default = default_message(automation, changes);
    let Some(template) = template else {
        return Ok(with_trailers(default, trailers));
    };
    let changes = changes
        .updates()
        .map(|(value, new)| FileObjectChange {
            file: path.relative(&value.file).to_owned(),
            object: value.object.clone(),
            old: value.value.clone(),
            new: new.to_owned(),
            setter: value.setter(),
        })
        .collect::<Vec<_>>();
    let data = MessageData {
        automation,
        changes: &changes,
        values,
    };
    let text = template.render(&message_value(&data))?;
    // A commit that says nothing helps nobody, whoever asked for it.
    let is_blank = text.trim().is_empty();
    let text = if is_blank { default } else { text };
    Ok(with_trailers(text, trailers))
}

/// A message with a stamp as its last trailer.
pub fn stamped(message: &str, stamp: &Stamp) -> String {
    with_trailers(message.to_owned(), std::slice::from_ref(stamp))
}

/// Puts trailers behind those that a message ends in, or makes them a paragraph of their own.
fn with_trailers(mut text: String, trailers: &[impl fmt::Display]) -> String {
    if trailers.is_empty() {
        return text;
    }
    text.truncate(text.trim_end().len());
    let last = text.rsplit("\n\n").next().unwrap_or_default();
    let is_subject = last.len() == text.len();
    let ends_in_trailers = !is_subject && last.lines().all(is_trailer);
    text.push_str(if ends_in_trailers { "\n" } else { "\n\n" });
    for trailer in trailers {
        let _ = writeln!(text, "{trailer}");
    }
    text
}

fn is_trailer(line: &str) -> bool {
    let is_key = |key: &str| {
        !key.is_empty()
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    line.split_once(": ").is_some_and(|(key, _)| is_key(key))
}

/// One line for each image, then trailers that a machine can read.
fn default_message((namespace, name): (&str, &str), changes: &ChangeSet) -> String {
    let steps = steps(changes);
    let mut text = subject(&steps);
    text.push_str("\n\n");
    for Step {
        image, old, new, ..
    } in &steps
    {
        let _ = writeln!(text, "{image}: {old} -> {new}");
    }
    let _ = writeln!(text, "\nTagwright-Automation: {namespace}/{name}");
    for Step {
        image,
        policy,
        old,
        new,
        ..
    } in steps_with(changes, Digests::Whole)
    {
        // A trailer is one line; an inline policy is its words, which hold no line break.
        let _ = writeln!(text, "Tagwright-Update: {image} {old} {new} by {policy}");
    }
    if text.len() > MAX_MESSAGE {
        let mut end = MAX_MESSAGE - 4;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("…\n");
    }
    text
}

fn subject(steps: &[Step]) -> String {
    let images = steps
        .iter()
        .map(|step| &step.image)
        .collect::<BTreeSet<_>>();
    match steps {
        [Step { image, new, .. }] => {
            let full = format!("Update {image} to {new}");
            let short = format!(
                "Update {} to {new}",
                image.rsplit('/').next().unwrap_or(image)
            );
            [full, short].into_iter().find(|it| it.len() <= MAX_SUBJECT)
        }
        _ if images.len() == 1 => images.first().map(|image| format!("Update {image}")),
        _ => None,
    }
    .unwrap_or_else(|| match images.len() {
        1 => "Update 1 image".to_owned(),
        count => format!("Update {count} images"),
    })
}

/// A value as far as it is not said by the image's name.
fn shown(value: &str, field: Field, image: &str, digests: Digests) -> String {
    // A block scalar ends in a line break, and a quoted one may hold any: nothing in a file may write
    // lines or trailers into a message.
    let value = printable(value.trim_end());
    let value = value.as_ref();
    match field {
        Field::Tag | Field::Name => or_nothing(value),
        Field::Digest => or_nothing(shown_digest(value, digests)),
        Field::Image => match value.parse::<ImageReference>() {
            Ok(reference) if reference.repository().to_string() == image => {
                let tag = reference.tag().map(ToString::to_string);
                let digest = reference.digest();
                let digest = digest.map(|it| shown_digest(it.as_str(), digests).to_owned());
                match [tag, digest].into_iter().flatten().collect::<Vec<_>>() {
                    parts if parts.is_empty() => "no tag".to_owned(),
                    parts => parts.join("@"),
                }
            }
            _ => or_nothing(value),
        },
    }
}

fn or_nothing(value: &str) -> String {
    if value.is_empty() {
        NOTHING.to_owned()
    } else {
        value.to_owned()
    }
}

/// All of a digest, or `sha256:` and the first twelve digits, as people quote digests.
fn shown_digest(digest: &str, digests: Digests) -> &str {
    match digests {
        Digests::Short => digest.get(.."sha256:".len() + 12).unwrap_or(digest),
        Digests::Whole => digest,
    }
}

/// Tags before digests, so that a step reads `1.2.0@sha256:…`.
fn rank(field: Field) -> u8 {
    match field {
        Field::Name => 0,
        Field::Image => 1,
        Field::Tag => 2,
        Field::Digest => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_one_line_whatever_a_name_holds() {
        let author = |name: &str, email: &str| Author {
            name: name.to_owned(),
            email: email.to_owned(),
        };
        let check = |name, email, expected| {
            let trailer = Trailer::sign_off(&author(name, email)).to_string();
            assert_eq!(trailer, expected);
        };
        check("Ada", "ada@test", "Signed-off-by: Ada <ada@test>");
        check("", "ada@test", "Signed-off-by: <ada@test>");
        check(
            "A\nReviewed-by: B <b>",
            "a\n@t>",
            "Signed-off-by: AReviewed-by: B b <a@t>",
        );
        let other = Trailer::co_author(&author("Bo", "bo@test")).to_string();
        assert_eq!(other, "Co-authored-by: Bo <bo@test>");
    }

    #[test]
    fn trailers_stand_in_the_last_paragraph() {
        let trailer = Trailer("Signed-off-by: Ada <a@t>".to_owned());
        let check = |text: &str, expected: &str| {
            let signed = with_trailers(text.to_owned(), std::slice::from_ref(&trailer));
            assert_eq!(signed, expected);
            assert_eq!(with_trailers(text.to_owned(), &[] as &[Trailer]), text);
        };
        let line = "Signed-off-by: Ada <a@t>\n";
        check("Update", &format!("Update\n\n{line}"));
        check("Update: web\n", &format!("Update: web\n\n{line}"));
        check("Update\n\nwhy\n\n", &format!("Update\n\nwhy\n\n{line}"));
        check(
            "Update\n\nKey: a\nOther-Key: b\n",
            &format!("Update\n\nKey: a\nOther-Key: b\n{line}"),
        );
        check(
            "Update\n\nKey: a\nprose\n",
            &format!("Update\n\nKey: a\nprose\n\n{line}"),
        );
    }
}
