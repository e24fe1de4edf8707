//! Reading a pattern by Go's rules and writing it by the crate's.

use std::{fmt::Write as _, ops::Range};

use super::{class, problem::PatternProblem, source::Source};

/// The most often that anything may be repeated, nested repetitions multiplied.
const REPEAT_LIMIT: u32 = 1000;

/// The deepest nesting of groups and repetitions. Go's limit is 1000, but the engine recurses, and a
/// tenant's pattern must not be able to overflow the stack.
const DEPTH_LIMIT: u32 = 100;

/// A pattern in the crate's writing.
pub(super) struct Translated {
    pub(super) text: String,
    /// The names of the groups, the whole match first. The crate's own groups have no names: Go
    /// lets several groups share one, and lets a name begin with a digit.
    pub(super) names: Vec<Option<Box<str>>>,
}

pub(super) type Trouble = (PatternProblem, Range<usize>);

/// Writes `pattern`, which is in Go's writing, in the crate's.
pub(super) fn translate(pattern: &str) -> Result<Translated, Trouble> {
    let mut translator = Translator {
        source: Source {
            text: pattern,
            at: 0,
        },
        out: String::with_capacity(2 * pattern.len()),
        names: vec![None],
        flags: Flags::default(),
        level: Level::default(),
        outer: Vec::new(),
        repeat_start: None,
    };
    while !translator.source.rest().is_empty() {
        translator.step()?;
    }
    if translator.outer.is_empty() {
        Ok(Translated {
            text: translator.out,
            names: translator.names,
        })
    } else {
        let open = translator.level.opened;
        Err((PatternProblem::MissingParenthesis, open..open + 1))
    }
}

/// Which of the flags `imsU` are in force; Go's groups may repeat and contradict them, the crate's
/// may not.
#[derive(Clone, Copy, Default)]
struct Flags([bool; 4]);

impl Flags {
    const LETTERS: [char; 4] = ['i', 'm', 's', 'U'];

    fn set(&mut self, letter: char, wanted: bool) -> bool {
        let flags = Self::LETTERS.iter().zip(&mut self.0);
        let mut found = flags.filter(|(known, _)| **known == letter);
        found.next().is_some_and(|(_, flag)| {
            *flag = wanted;
            true
        })
    }

    fn write(self, out: &mut String) {
        let letters = |wanted: bool| {
            let flags = Self::LETTERS.into_iter().zip(self.0);
            flags.filter_map(move |(letter, set)| (set == wanted).then_some(letter))
        };
        out.extend(letters(true));
        if letters(false).next().is_some() {
            out.push('-');
            out.extend(letters(false));
        }
    }
}

/// A group that is being read.
#[derive(Clone, Default)]
struct Level {
    /// Where its parenthesis stands in the source.
    opened: usize,
    /// Where it begins in the output.
    start: usize,
    /// The flags that come back into force behind it.
    flags: Flags,
    /// What a repetition would repeat now.
    atom: Option<Atom>,
    /// What is nested in it.
    nesting: Nesting,
}

/// Something that can be repeated, and its place in the output.
#[derive(Clone)]
struct Atom {
    out: Range<usize>,
    nesting: Nesting,
}

/// How much is nested in something.
#[derive(Clone, Copy)]
struct Nesting {
    /// The greatest product of nested repetitions.
    weight: u32,
    /// The greatest number of nested groups and repetitions.
    depth: u32,
}

impl Nesting {
    fn join(self, other: Self) -> Self {
        Self {
            weight: self.weight.max(other.weight),
            depth: self.depth.max(other.depth),
        }
    }
}

impl Default for Nesting {
    fn default() -> Self {
        Self {
            weight: 1,
            depth: 0,
        }
    }
}

struct Translator<'p> {
    source: Source<'p>,
    out: String,
    names: Vec<Option<Box<str>>>,
    flags: Flags,
    level: Level,
    outer: Vec<Level>,
    /// Where the repetition begins that was read just before, if one was.
    repeat_start: Option<usize>,
}

impl Translator<'_> {
    fn step(&mut self) -> Result<(), Trouble> {
        let start = self.source.at;
        let Some(first) = self.source.peek() else {
            return Ok(());
        };
        let after_repeat = self.repeat_start.take();
        match first {
            '(' => self.open()?,
            ')' => self.close()?,
            '|' => {
                self.source.at += 1;
                self.out.push('|');
                self.level.atom = None;
            }
            '*' | '+' | '?' => {
                self.source.at += 1;
                self.repeat(start, after_repeat, None)?;
            }
            '{' => {
                if let Some(bounds) = self.bounds() {
                    self.repeat(start, after_repeat, Some(bounds))?;
                } else {
                    self.source.at += 1;
                    self.literal(u32::from('{'));
                }
            }
            '[' => {
                let class = class::class(&mut self.source)?;
                self.atom(&class);
            }
            '\\' => self.backslash()?,
            '.' | '^' | '$' => {
                self.source.at += 1;
                self.atom(first.encode_utf8(&mut [0; 4]));
            }
            _ => {
                self.source.at += first.len_utf8();
                self.literal(u32::from(first));
            }
        }
        Ok(())
    }

    fn atom(&mut self, text: &str) {
        let start = self.out.len();
        self.out.push_str(text);
        self.finish_atom(start, Nesting::default());
    }

    fn finish_atom(&mut self, start: usize, nesting: Nesting) {
        self.level.nesting = self.level.nesting.join(nesting);
        self.level.atom = Some(Atom {
            out: start..self.out.len(),
            nesting,
        });
    }

    fn literal(&mut self, scalar: u32) {
        let mut text = String::new();
        match char::from_u32(scalar) {
            Some(plain) if plain.is_ascii_alphanumeric() => text.push(plain),
            Some(ascii) if ascii.is_ascii() => {
                let _ = write!(text, "\\x{scalar:02X}");
            }
            Some(_) => {
                let _ = write!(text, "(?u:\\x{{{scalar:X}}})");
            }
            // Half a surrogate pair matches no text at all; this matches no tag.
            None => text.push_str("[^\\x00-\\x7F]"),
        }
        self.atom(&text);
    }

    fn backslash(&mut self) -> Result<(), Trouble> {
        if self.source.eat("\\Q") {
            let rest = self.source.rest();
            let (quoted, end) = match rest.split_once("\\E") {
                Some((quoted, _)) => (quoted, quoted.len() + 2),
                None => (rest, rest.len()),
            };
            quoted
                .chars()
                .for_each(|each| self.literal(u32::from(each)));
            self.source.at += end;
            return Ok(());
        }
        let plain = [
            ("\\A", "\\A"),
            ("\\z", "\\z"),
            ("\\b", "\\b"),
            ("\\B", "\\B"),
        ];
        for (go, ours) in plain {
            if self.source.eat(go) {
                self.atom(ours);
                return Ok(());
            }
        }
        if let Some(members) = class::perl(&mut self.source) {
            self.atom(&members);
        } else if let Some(members) = class::unicode(&mut self.source)? {
            self.atom(&format!("(?u:{members})"));
        } else {
            let scalar = self.source.escape()?;
            self.literal(scalar);
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), Trouble> {
        let opened = self.source.at;
        let outer_flags = self.flags;
        let head = if !self.source.rest().starts_with("(?") {
            self.source.at += 1;
            self.names.push(None);
            "(".to_owned()
        } else if self.source.rest().starts_with("(?P<") || self.is_named() {
            let name = self.group_name()?;
            self.names.push(Some(name));
            "(".to_owned()
        } else {
            let opens = self.group_flags()?;
            let mut head = "(?".to_owned();
            self.flags.write(&mut head);
            if !opens {
                head.push(')');
                self.out.push_str(&head);
                return Ok(());
            }
            head.push(':');
            head
        };
        let level = Level {
            opened,
            start: self.out.len(),
            flags: outer_flags,
            ..Level::default()
        };
        self.outer.push(std::mem::replace(&mut self.level, level));
        self.out.push_str(&head);
        Ok(())
    }

    /// Whether a group's name follows, and not a look-behind.
    fn is_named(&self) -> bool {
        let rest = self.source.rest();
        rest.starts_with("(?<") && !rest.starts_with("(?<=") && !rest.starts_with("(?<!")
    }

    fn group_name(&mut self) -> Result<Box<str>, Trouble> {
        let start = self.source.at;
        let head = if self.source.eat("(?P<") { 4 } else { 3 };
        self.source.at = start + head;
        let rest = self.source.rest();
        let Some((name, _)) = rest.split_once('>') else {
            return Err((PatternProblem::GroupName, start..self.source.text.len()));
        };
        let end = self.source.at + name.len() + 1;
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(in_name) {
            return Err((PatternProblem::GroupName, start..end));
        }
        self.source.at = end;
        Ok(name.into())
    }

    /// Reads `(?flags)` or `(?flags:`; whether a group opens.
    fn group_flags(&mut self) -> Result<bool, Trouble> {
        let start = self.source.at;
        self.source.at += "(?".len();
        let mut flags = self.flags;
        let mut wanted = true;
        let mut complete = true;
        loop {
            match self.source.next() {
                Some(letter) if flags.set(letter, wanted) => {}
                Some('-') if wanted => {
                    wanted = false;
                    complete = false;
                    continue;
                }
                Some(end @ (':' | ')')) if complete => {
                    self.flags = flags;
                    return Ok(end == ':');
                }
                None => return Err((PatternProblem::MissingParenthesis, start..start + 1)),
                Some(_) => {
                    let behind = ["(?<=", "(?<!"];
                    let found = behind
                        .iter()
                        .any(|group| self.source.text[start..].starts_with(group));
                    let end = if found { start + 4 } else { self.source.at };
                    return Err((PatternProblem::GroupFlags, start..end));
                }
            }
            complete = true;
        }
    }

    fn close(&mut self) -> Result<(), Trouble> {
        let at = self.source.at;
        let Some(outer) = self.outer.pop() else {
            return Err((PatternProblem::UnexpectedParenthesis, at..at + 1));
        };
        self.source.at += 1;
        self.out.push(')');
        let inner = std::mem::replace(&mut self.level, outer);
        self.flags = inner.flags;
        let nesting = Nesting {
            depth: inner.nesting.depth + 1,
            ..inner.nesting
        };
        if nesting.depth > DEPTH_LIMIT {
            return Err((PatternProblem::Depth, inner.opened..at + 1));
        }
        self.finish_atom(inner.start, nesting);
        Ok(())
    }

    /// Reads `{n}`, `{n,}` or `{n,m}`; anything else behind a brace is text.
    fn bounds(&mut self) -> Option<(u32, Option<u32>)> {
        let start = self.source.at;
        let bounds = self.try_bounds();
        if bounds.is_none() {
            self.source.at = start;
        }
        bounds
    }

    fn try_bounds(&mut self) -> Option<(u32, Option<u32>)> {
        self.source.at += 1;
        let least = self.source.eat_number()?;
        let bounds = if !self.source.eat(",") {
            (least, Some(least))
        } else if self.source.rest().starts_with('}') {
            (least, None)
        } else {
            (least, Some(self.source.eat_number()?))
        };
        self.source.eat("}").then_some(bounds)
    }

    /// Applies the repetition that begins at `start` and was read up to its laziness mark.
    fn repeat(
        &mut self,
        start: usize,
        after_repeat: Option<usize>,
        bounds: Option<(u32, Option<u32>)>,
    ) -> Result<(), Trouble> {
        let sign_end = self.source.at;
        if let Some((least, most)) = bounds {
            let most = most.unwrap_or(least.max(1));
            if least > REPEAT_LIMIT || most > REPEAT_LIMIT || least > most {
                return Err((PatternProblem::RepeatSize, start..sign_end));
            }
        }
        let lazy = self.source.eat("?");
        if let Some(first) = after_repeat {
            return Err((PatternProblem::NestedRepeat, first..self.source.at));
        }
        let Some(atom) = self.level.atom.take() else {
            return Err((PatternProblem::NothingToRepeat, start..sign_end));
        };
        let weight = atom.nesting.weight;
        let nesting = Nesting {
            weight: match bounds {
                None => weight,
                Some((_, Some(0))) => 1,
                Some((least, most)) => weight.saturating_mul(most.unwrap_or(least).max(1)),
            },
            depth: atom.nesting.depth + 1,
        };
        if nesting.weight > REPEAT_LIMIT {
            return Err((PatternProblem::RepeatSize, start..sign_end));
        }
        if nesting.depth > DEPTH_LIMIT {
            return Err((PatternProblem::Depth, start..sign_end));
        }
        let mark = if lazy { "?" } else { "" };
        let sign = &self.source.text[start..sign_end];
        self.out.insert_str(atom.out.end, &format!("){sign}{mark}"));
        self.out.insert_str(atom.out.start, "(?:");
        let end = atom.out.end + "(?:)".len() + sign.len() + mark.len();
        self.level.nesting = self.level.nesting.join(nesting);
        self.level.atom = Some(Atom {
            out: atom.out.start..end,
            nesting,
        });
        self.repeat_start = Some(start);
        Ok(())
    }
}
