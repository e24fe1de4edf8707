//! What a request says: its own part of the body, in Markdown that every forge renders.
//!
//! Everything that comes from registries and repositories is escaped; nothing in it changes from one
//! run to the next while the offer is the same, so that a request at rest is left at rest.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{
    Merge,
    markdown::{code, escape, link},
    origin::Origin,
};

/// How many rows a table has before the rest is counted only.
const MAX_ROWS: usize = 100;
/// How many places of an image are named.
const MAX_PLACES: usize = 5;

/// What is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// The automation, `namespace/name`.
    pub automation: String,
    /// The branch that the request goes to.
    pub base: String,
    /// Words of the configuration, rendered and taken as Markdown; they come first.
    pub preface: Option<String>,
    /// The images that change.
    pub images: Vec<Image>,
    /// The values that stay as they are although something speaks against it, with the reason.
    pub held: Vec<Held>,
    /// Who merges.
    pub merge: Merge,
    /// How many bytes it may have.
    pub limit: usize,
}

/// One image that changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The image.
    pub image: String,
    /// The policy that chose.
    pub policy: String,
    /// What stands there.
    pub old: String,
    /// What is to stand there.
    pub new: String,
    /// Why the policy chose it.
    pub why: String,
    /// The values that say it, as `file:line`.
    pub places: Vec<String>,
    /// The digest of what the tag leads to, in full.
    pub digest: Option<String>,
    /// When it was built, and when what it replaces was.
    pub created: Option<DateTime<Utc>>,
    /// When what it replaces was built.
    pub replaced: Option<DateTime<Utc>>,
    /// Tags that a constraint held back, with the reason.
    pub passed_over: Vec<(String, String)>,
    /// Where its source is.
    pub source: Option<String>,
    /// The revisions of the source, old and new.
    pub revisions: (Option<String>, Option<String>),
}

/// A value that stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The image, or the policy where it is not known.
    pub image: String,
    /// What stands there.
    pub value: String,
    /// Why it stays.
    pub reason: String,
}

/// Words the story; where it is longer than it may be, less is told of more images.
pub fn render(story: &Story) -> String {
    let mut rows = MAX_ROWS.min(story.images.len());
    loop {
        let text = told(story, rows, true);
        if text.len() <= story.limit {
            return text;
        }
        let text = told(story, rows, false);
        if text.len() <= story.limit || rows == 0 {
            return text;
        }
        rows /= 2;
    }
}

fn told(story: &Story, rows: usize, explains: bool) -> String {
    let mut text = String::new();
    if let Some(preface) = &story.preface {
        let _ = writeln!(text, "{}\n", preface.trim());
    }
    write_table(&mut text, story, rows);
    let links = story.images.iter().take(rows).filter_map(links);
    let links = links.collect::<String>();
    if !links.is_empty() {
        let _ = write!(text, "\n{links}");
    }
    if explains {
        write_held(&mut text, &story.held);
        write_explanation(&mut text, story, rows);
    }
    write_future(&mut text, story);
    text.trim_end().to_owned()
}

fn write_table(text: &mut String, story: &Story, rows: usize) {
    let has_dates = story.images.iter().any(|it| it.created.is_some());
    let (head, line) = if has_dates {
        (" Built |", "---|")
    } else {
        ("", "")
    };
    let _ = writeln!(text, "| Image | From | To | Digest |{head}");
    let _ = writeln!(text, "|---|---|---|---|{line}");
    for image in story.images.iter().take(rows) {
        let digest = image
            .digest
            .as_deref()
            .map_or_else(|| "–".to_owned(), |it| code(&brief(it)));
        let _ = write!(
            text,
            "| {} | {} | {} | {digest} |",
            code(&image.image),
            code(&image.old),
            code(&image.new)
        );
        if has_dates {
            let _ = write!(text, " {} |", built(image));
        }
        text.push('\n');
    }
    if story.images.len() > rows {
        let _ = writeln!(text, "\nand {} more.", story.images.len() - rows);
    }
}

/// The day, and how many days later than what it replaces: an age would be another one tomorrow, and
/// the request would be edited for it.
fn built(image: &Image) -> String {
    let Some(created) = image.created else {
        return "–".to_owned();
    };
    let day = created.format("%Y-%m-%d");
    let days = image.replaced.map(|it| (created - it).num_days());
    match days.filter(|days| *days != 0) {
        Some(days) => format!("{day} ({days:+} d)"),
        None => day.to_string(),
    }
}

/// `sha256:` and twelve digits.
fn brief(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

/// The pages about an image, as far as its annotations lead to some.
fn links(image: &Image) -> Option<String> {
    let origin = Origin::read(image.source.as_deref()?)?;
    let mut links = vec![link("source", origin.root())];
    if let (Some(old), Some(new)) = &image.revisions
        && let Some(changes) = origin.changes(old, new)
    {
        let words = format!("changes {}…{}", short(old), short(new));
        links.push(link(&words, &changes));
    }
    if let Some(releases) = origin.releases() {
        links.push(link("release notes", &releases));
    }
    Some(format!("- {}: {}\n", code(&image.image), links.join(", ")))
}

/// The first digits of a revision.
fn short(revision: &str) -> String {
    revision.chars().take(7).collect()
}

fn write_held(text: &mut String, held: &[Held]) {
    if held.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n**Not in here**\n");
    for Held {
        image,
        value,
        reason,
    } in held.iter().take(MAX_ROWS)
    {
        let _ = writeln!(
            text,
            "- {} stays at {}: {}",
            code(image),
            code(value),
            escape(reason)
        );
    }
    if held.len() > MAX_ROWS {
        let _ = writeln!(text, "- and {} more", held.len() - MAX_ROWS);
    }
}

fn write_explanation(text: &mut String, story: &Story, rows: usize) {
    let _ = writeln!(text, "\n<details><summary>Why these</summary>\n");
    for image in story.images.iter().take(rows) {
        let why = match image.why.as_str() {
            "" => String::new(),
            why => format!(": {}", escape(why)),
        };
        let _ = writeln!(
            text,
            "- {} by policy {}{why}",
            code(&format!("{} {}", image.image, image.new)),
            code(&image.policy)
        );
        let mut places = image
            .places
            .iter()
            .take(MAX_PLACES)
            .map(|it| code(it))
            .collect::<Vec<_>>();
        if image.places.len() > MAX_PLACES {
            places.push(format!("{} more", image.places.len() - MAX_PLACES));
        }
        let _ = writeln!(text, "  - in {}", places.join(", "));
        if let Some(digest) = &image.digest {
            let _ = writeln!(text, "  - {}", code(digest));
        }
        for (tag, reason) in image.passed_over.iter().take(MAX_PLACES) {
            let _ = writeln!(text, "  - not {}: {}", code(tag), escape(reason));
        }
    }
    let _ = writeln!(text, "\n</details>");
}

fn write_future(text: &mut String, story: &Story) {
    let merging = match story.merge {
        Merge::ByHand => "It waits for somebody to merge it.",
        Merge::Automatic(_) => "It is merged by the forge once every check has passed.",
        Merge::Queue => "It goes into the merge queue once every check has passed.",
    };
    let _ = writeln!(
        text,
        "\n**What happens next.** {merging} When something newer appears, this request is brought up \
         to date; when nothing is left to change, it is closed. Close it yourself, and it stays closed \
         until there is something newer than this. A commit of yours on its branch is kept: the branch \
         is not touched again.\n\n<sub>automation {} into {}</sub>",
        code(&story.automation),
        code(&story.base)
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn story() -> Story {
        Story {
            automation: "apps/fleet".to_owned(),
            base: "main".to_owned(),
            preface: None,
            images: vec![Image {
                image: "ghcr.io/acme/web".to_owned(),
                policy: "apps:web".to_owned(),
                old: "1.4.2".to_owned(),
                new: "1.5.0".to_owned(),
                why: "semver=1.x: best of 7 candidates, 9 tags".to_owned(),
                places: vec!["apps/web.yaml:3".to_owned()],
                digest: Some(format!("sha256:{}", "ab".repeat(32))),
                created: "2026-01-02T03:04:05Z".parse().ok(),
                passed_over: vec![("1.6.0".to_owned(), "it is 3 hours old".to_owned())],
                source: Some("https://github.com/acme/web".to_owned()),
                replaced: "2025-12-21T03:04:05Z".parse().ok(),
                revisions: (Some("0a1b2c3d".to_owned()), Some("4d5e6f70".to_owned())),
            }],
            held: vec![Held {
                image: "ghcr.io/acme/api".to_owned(),
                value: "2.1.0".to_owned(),
                reason: "2.0.0 is older than 2.1.0, which is in git".to_owned(),
            }],
            merge: Merge::ByHand,
            limit: 60_000,
        }
    }

    #[test]
    fn it_tells_what_changes_why_and_what_comes_next() {
        let text = render(&story());
        for words in [
            "| `ghcr.io/acme/web` | `1.4.2` | `1.5.0` | `sha256:abababababab` | 2026-01-02 (+12 d) |",
            "[changes 0a1b2c3…4d5e6f7](https://github.com/acme/web/compare/0a1b2c3d...4d5e6f70)",
            "[release notes](https://github.com/acme/web/releases)",
            "- `ghcr.io/acme/api` stays at `2.1.0`: 2.0.0 is older than 2.1.0, which is in git",
            "<details><summary>Why these</summary>",
            "best of 7 candidates, 9 tags",
            "- not `1.6.0`: it is 3 hours old",
            "`apps/web.yaml:3`",
            "What happens next",
        ] {
            assert!(text.contains(words), "no `{words}` in\n{text}");
        }
    }

    #[test]
    fn it_keeps_within_what_a_forge_takes() {
        let mut story = story();
        story.images = vec![story.images[0].clone(); 400];
        let check = |story: &Story, words: &str| {
            let text = render(story);
            assert!(text.len() <= story.limit, "{}", text.len());
            assert!(text.contains(words), "{text}");
        };
        check(&story, "and 300 more.");
        story.limit = 2_000;
        check(&story, "What happens next");
    }

    proptest! {
        #[test]
        fn nothing_hostile_comes_through(evil in "(?s).{0,40}") {
            let mut story = story();
            let image = &mut story.images[0];
            for field in [&mut image.image, &mut image.policy, &mut image.old, &mut image.new, &mut image.why] {
                field.clone_from(&evil);
            }
            image.places = vec![evil.clone()];
            image.source = Some(evil.clone());
            image.revisions = (Some(evil.clone()), Some(evil.clone()));
            image.passed_over = vec![(evil.clone(), evil.clone())];
            story.held[0].reason.clone_from(&evil);
            let calm = render(&self::story());
            let text = render(&story);
            prop_assert!(!text.contains('@'), "{}", text);
            for mark in ["<details>", "</details>", "<sub>", "**"] {
                prop_assert_eq!(text.matches(mark).count(), calm.matches(mark).count());
            }
            let rows = text.lines().filter(|it| it.starts_with("| <code>") || it.starts_with("| `"));
            prop_assert!(rows.clone().count() == 1 && rows.clone().all(|it| it.matches('|').count() == 6));
        }
    }
}
