//! A file as its strings and its comments: binding markers, replacing values, the proof.

use std::ops::Range;

use super::{
    Format,
    code::{self, Language},
    dockerfile, dotenv, toml, views,
};
use crate::update::{
    Edit, Finding, ObjectId, Origin, Problem, Setter, Style,
    marker::{self, MarkerReading, RawMarker},
    view::Made,
    yaml::{MAX_FILE, MAX_MARKERS, Reading, SpliceError},
};

/// What a scanner found, in the order of the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page<'a> {
    pub(super) values: Vec<Value<'a>>,
    pub(super) comments: Vec<Comment<'a>>,
    /// Why nothing in the file may change.
    pub(super) sealed: Option<&'static str>,
}

/// A string that is no key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    /// The bytes, quotes included.
    pub(super) span: Range<usize>,
    pub(super) style: Style,
    /// The bytes, quotes excluded.
    pub(super) text: &'a str,
    /// What a person would call it.
    pub(super) name: String,
    /// The collection that it stands in.
    pub(super) group: usize,
    /// Why it cannot be replaced byte by byte.
    pub(super) refusal: Option<&'static str>,
}

/// A comment, without what opens it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comment<'a> {
    pub(super) start: usize,
    pub(super) text: &'a str,
    /// Why it can be no marker.
    pub(super) refusal: Option<&'static str>,
}

/// Why a file has no page: a byte and what is wrong there.
pub(super) struct Unreadable {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

pub(super) fn scan(format: Format, text: &str) -> Result<Page<'_>, Unreadable> {
    match format {
        Format::Dockerfile => dockerfile::scan(text),
        Format::Dotenv => dotenv::scan(text),
        Format::Toml => toml::scan(text),
        Format::Hcl => code::scan(text, Language::Hcl),
        Format::Json | Format::Jsonc => code::scan(text, Language::Json),
        Format::Yaml => Ok(Page::default()),
    }
}

/// Finds the marked values of a file that is no YAML.
pub(super) fn read(format: Format, bytes: &[u8]) -> Reading {
    let text = match text_of(bytes) {
        Ok(text) => text,
        Err(problem) => return only(1, 1, problem),
    };
    let lines = Lines::new(text);
    let page = match scan(format, text) {
        Ok(page) => page,
        Err(Unreadable { at, what }) => {
            let (line, column) = lines.place(at);
            return only(line, column, Problem::Unparsable(what.to_owned()));
        }
    };
    let mut reading = Reading::default();
    for comment in &page.comments {
        let bound = match marker::parse(comment.text) {
            MarkerReading::NoMarker => continue,
            MarkerReading::Misspelt(reason) => Err(Problem::Misspelt(reason)),
            MarkerReading::Marker(raw) => bind(&page, &lines, comment, raw),
        };
        let (line, column) = lines.place(comment.start);
        match bound {
            Ok(setter) => reading.setters.push(setter),
            Err(problem) => reading.findings.push(Finding {
                line,
                column,
                problem,
            }),
        }
        if reading.setters.len() + reading.findings.len() > MAX_MARKERS {
            let detail = format!("more than {MAX_MARKERS} markers");
            return only(line, column, Problem::OverLimit(detail));
        }
    }
    if !reading.setters.is_empty()
        && let Err(finding) = views::view(format, text)
    {
        // What another parser cannot read is not edited, so nothing is promised.
        return only(finding.line, finding.column, finding.problem);
    }
    reading
}

pub(super) fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_FILE {
        let detail = format!("{} bytes; the limit is {MAX_FILE}", bytes.len());
        return Err(Problem::OverLimit(detail));
    }
    std::str::from_utf8(bytes).map_err(|_| Problem::NotUtf8)
}

fn only(line: usize, column: usize, problem: Problem) -> Reading {
    Reading {
        setters: Vec::new(),
        findings: vec![Finding {
            line,
            column,
            problem,
        }],
        ..Reading::default()
    }
}

fn bind(
    page: &Page<'_>,
    lines: &Lines<'_>,
    comment: &Comment<'_>,
    raw: RawMarker,
) -> Result<Setter, Problem> {
    if let Some(reason) = page.sealed {
        return Err(Problem::Encrypted(reason.to_owned()));
    }
    if let Some(reason) = comment.refusal {
        return Err(Problem::NotEditable(reason.to_owned()));
    }
    let (line, own) = lines.line_of(comment.start);
    let before = lines.text.get(own.start..comment.start);
    let is_above =
        before.is_some_and(|before| before.trim_matches(['\u{FEFF}', ' ', '\t']).is_empty());
    let governed = if is_above {
        lines.get(line + 1).ok_or(Problem::Unbound)?
    } else {
        own
    };
    let first = page
        .values
        .partition_point(|value| value.span.start < governed.start);
    let mut values = page.values.get(first..).unwrap_or_default().iter();
    let mut next = || {
        values
            .next()
            .filter(|value| value.span.start < governed.end)
    };
    let value = next().ok_or(Problem::Unbound)?;
    if next().is_some() {
        let reason = "its line holds several strings; give each a line of its own";
        return Err(Problem::NotEditable(reason.to_owned()));
    }
    let after = page
        .comments
        .partition_point(|comment| comment.start < value.span.end);
    let hides = |other: &Comment<'_>| other.start < governed.end;
    if is_above && page.comments.get(after).is_some_and(hides) {
        return Err(Problem::Hidden);
    }
    if let Some(reason) = value.refusal {
        return Err(Problem::NotEditable(reason.to_owned()));
    }
    let (line, column) = lines.place(value.span.start);
    let marker = raw.bind(value.text).map_err(Problem::Misspelt)?;
    Ok(Setter {
        policy: marker.policy,
        field: marker.field,
        origin: Origin::Marker(marker.text),
        span: value.span.clone(),
        style: value.style,
        value: value.text.to_owned(),
        line,
        column,
        object: ObjectId::default(),
        group: value.group,
        path: value.name.clone(),
        aliases: Vec::new(),
    })
}

/// Replaces the values, scans what was written, and compares.
pub(super) fn splice(format: Format, bytes: &[u8], edits: &[Edit]) -> Result<Vec<u8>, SpliceError> {
    if edits.is_empty() {
        return Ok(bytes.to_vec());
    }
    let text = text_of(bytes).map_err(|problem| SpliceError::Unparsable { line: 1, problem })?;
    let lines = Lines::new(text);
    let old = scan(format, text).map_err(|Unreadable { at, what }| SpliceError::Unparsable {
        line: lines.place(at).0,
        problem: Problem::Unparsable(what.to_owned()),
    })?;
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut spliced = String::with_capacity(text.len() + 64 * edits.len());
    let mut expected = Vec::with_capacity(edits.len());
    let mut replaced = Vec::with_capacity(edits.len());
    let mut copied = 0;
    for edit in edits {
        let (start, end) = (edit.span.start, edit.span.end);
        if start < copied {
            return Err(SpliceError::Overlap { start, end });
        }
        let (number, written) = written(&old, edit).ok_or_else(|| SpliceError::Stale {
            start,
            end,
            old: edit.old.clone(),
        })?;
        if edit.new != edit.old && !is_bare(&edit.new, edit.style) {
            return Err(SpliceError::Unwritable {
                line: lines.place(start).0,
                reason: "it would have to be escaped",
            });
        }
        spliced.push_str(text.get(copied..start).unwrap_or_default());
        spliced.push_str(&written);
        copied = end;
        expected.push((number, edit.new.as_str()));
        replaced.push((edit, written));
    }
    spliced.push_str(text.get(copied..).unwrap_or_default());
    prove(format, &old, &spliced, &expected)?;
    let made = replaced.iter().map(|(edit, written)| Made {
        span: edit.span.clone(),
        written,
        value: Some(&edit.new),
    });
    views::prove(format, text, &spliced, &made.collect::<Vec<_>>())?;
    Ok(spliced.into_bytes())
}

/// The number of the value that `edit` speaks of, and the bytes that say the new one.
fn written(page: &Page<'_>, edit: &Edit) -> Option<(usize, String)> {
    let number = page
        .values
        .partition_point(|value| value.span.start < edit.span.start);
    let value = page.values.get(number)?;
    let stands = value.span == edit.span
        && value.style == edit.style
        && value.text == edit.old
        && value.refusal.is_none();
    let quote = match edit.style {
        Style::Double => "\"",
        Style::Single => "'",
        Style::Plain | Style::Literal | Style::Folded | Style::Part | Style::Missing(_) => "",
    };
    stands.then(|| (number, format!("{quote}{}{quote}", edit.new)))
}

/// Whether `text` means itself in every format, in or without quotes.
pub(super) fn is_bare(text: &str, style: Style) -> bool {
    let is_safe =
        |character: char| character.is_ascii_alphanumeric() || "._-/:@+".contains(character);
    (!text.is_empty() || style != Style::Plain) && text.chars().all(is_safe)
}

/// Proves that the scanner finds the same strings and comments, but for the values `expected`.
fn prove(
    format: Format,
    old: &Page<'_>,
    after: &str,
    expected: &[(usize, &str)],
) -> Result<(), SpliceError> {
    let failed = |at: usize, what: &str| SpliceError::Proof {
        line: Lines::new(after).place(at).0,
        what: what.to_owned(),
    };
    let new = scan(format, after).map_err(|Unreadable { at, what }| failed(at, what))?;
    let texts = |page: &Page<'_>| -> Vec<String> {
        let comments = page.comments.iter();
        comments.map(|comment| comment.text.to_owned()).collect()
    };
    if old.values.len() != new.values.len() || texts(old) != texts(&new) {
        return Err(failed(0, "the strings or the comments are not the same"));
    }
    let mut expected_values = expected.iter().peekable();
    for (number, (was, is)) in old.values.iter().zip(&new.values).enumerate() {
        let text = expected_values
            .next_if(|(edited, _)| *edited == number)
            .map_or(was.text, |(_, text)| *text);
        // In the bracketed languages a name is what stands before; other parsers know the keys.
        let is_named = matches!(format, Format::Dockerfile | Format::Dotenv);
        let is_renamed = is_named && is.name != was.name;
        if is.text != text || is.style != was.style || is_renamed {
            return Err(failed(is.span.start, "a string is not what it should be"));
        }
    }
    Ok(())
}

/// Where lines begin.
pub(in crate::update) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(in crate::update) fn new(text: &'a str) -> Self {
        let breaks = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// The bytes of a line, from 0.
    fn get(&self, line: usize) -> Option<Range<usize>> {
        let start = *self.starts.get(line)?;
        let end = self.starts.get(line + 1).copied();
        Some(start..end.unwrap_or(self.text.len()))
    }

    /// The line, from 0, that the byte `at` stands in, and its bytes.
    fn line_of(&self, at: usize) -> (usize, Range<usize>) {
        let line = self.starts.partition_point(|start| *start <= at) - 1;
        (line, self.get(line).unwrap_or(at..at))
    }

    /// Line and column of a byte, from 1, the column in characters.
    pub(in crate::update) fn place(&self, at: usize) -> (usize, usize) {
        let (line, bytes) = self.line_of(at);
        let before = self.text.get(bytes.start..at).unwrap_or_default();
        (line + 1, before.chars().count() + 1)
    }
}
