//! From source to tokens, trim markers applied.

use super::{error::ErrorKind, limits::Fault};

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
/// What trim markers count as space; Go's four, not Unicode's.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// One token and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) kind: TokenKind,
    pub(super) text: &'s str,
    pub(super) offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// What stands outside of actions.
    Text,
    Open,
    Close,
    Space,
    /// `.` alone.
    Dot,
    /// `.Name`.
    Field,
    /// A function, a keyword, `true`, `false` or `nil`.
    Identifier,
    /// `$` or `$name`.
    Variable,
    Number,
    /// `'x'`.
    Character,
    /// `"…"`.
    Quoted,
    /// `` `…` ``.
    Raw,
    Pipe,
    LeftParen,
    RightParen,
    Comma,
    /// `:=`.
    Declare,
    /// `=`.
    Assign,
    /// Any other character; no grammar rule takes it.
    Other,
    /// The end of the source.
    End,
}

/// A fault and the byte at which it stands.
pub(super) type Misplaced = (Fault, usize);

/// Splits a source into tokens; the last one is [`TokenKind::End`].
pub(super) fn lex(source: &str) -> Result<Vec<Token<'_>>, Misplaced> {
    let mut lexer = Lexer {
        source,
        at: 0,
        tokens: Vec::new(),
    };
    while lexer.text() {
        lexer.action()?;
    }
    lexer.emit(TokenKind::End, source.len());
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token<'s>>,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Ends a token that began at `start`.
    fn emit(&mut self, kind: TokenKind, start: usize) {
        let text = self.source.get(start..self.at).unwrap_or_default();
        self.tokens.push(Token {
            kind,
            text,
            offset: start,
        });
    }

    /// Takes the text up to the next action; false where there is none.
    fn text(&mut self) -> bool {
        let start = self.at;
        let rest = self.rest();
        let Some(length) = rest.find(OPEN) else {
            self.at = self.source.len();
            if !rest.is_empty() {
                self.emit(TokenKind::Text, start);
            }
            return false;
        };
        let action = rest.get(length + OPEN.len()..).unwrap_or_default();
        let trims = action
            .strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(SPACE));
        let text = rest.get(..length).unwrap_or_default();
        let text = if trims {
            text.trim_end_matches(SPACE)
        } else {
            text
        };
        self.at = start + text.len();
        if !text.is_empty() {
            self.emit(TokenKind::Text, start);
        }
        let open = start + length;
        self.at = open + OPEN.len();
        self.emit(TokenKind::Open, open);
        if trims {
            self.at += "- ".len();
        }
        true
    }

    /// Takes one action up to and with its closing delimiter, or a comment whole.
    fn action(&mut self) -> Result<(), Misplaced> {
        let open = self.at;
        if self.rest().starts_with("/*") {
            // A comment is no action: the parser must not see an empty one.
            self.tokens.pop();
            let Some(length) = self.rest().find("*/") else {
                return Err(fault("unclosed comment", open));
            };
            self.at += length + "*/".len();
            return if self.close() {
                self.tokens.pop();
                Ok(())
            } else {
                Err(fault("comment ends before closing delimiter", self.at))
            };
        }
        let mut parens = Vec::new();
        loop {
            let start = self.at;
            if parens.is_empty() && self.close() {
                return Ok(());
            }
            if self.closes().is_some() {
                let paren = parens.pop().unwrap_or(start);
                return Err(fault("unclosed left paren", paren));
            }
            let Some(character) = self.peek() else {
                return Err(fault("unclosed action", open));
            };
            match character {
                '(' => parens.push(start),
                ')' if parens.pop().is_none() => {
                    return Err(fault("unexpected right paren", start));
                }
                _ => {}
            }
            self.token(character)?;
        }
    }

    /// How long the closing delimiter here is, and whether it trims.
    fn closes(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with(CLOSE) {
            return Some((CLOSE.len(), false));
        }
        let marked = rest.strip_prefix(SPACE)?.strip_prefix('-')?;
        marked
            .starts_with(CLOSE)
            .then_some((" -".len() + CLOSE.len(), true))
    }

    /// Takes the closing delimiter, and the space after it that it trims.
    fn close(&mut self) -> bool {
        let Some((length, trims)) = self.closes() else {
            return false;
        };
        let start = self.at;
        self.at += length;
        self.emit(TokenKind::Close, start);
        if trims {
            self.at = self.source.len() - self.rest().trim_start_matches(SPACE).len();
        }
        true
    }

    fn token(&mut self, character: char) -> Result<(), Misplaced> {
        let start = self.at;
        let kind = match character {
            character if SPACE.contains(&character) => {
                self.space();
                return Ok(());
            }
            '=' => TokenKind::Assign,
            '|' => TokenKind::Pipe,
            '(' => TokenKind::LeftParen,
            ')' => TokenKind::RightParen,
            ',' => TokenKind::Comma,
            ':' if self.rest().starts_with(":=") => {
                self.at += 1;
                TokenKind::Declare
            }
            ':' => return Err(fault("expected :=", start)),
            '"' => return self.quoted('"', TokenKind::Quoted, "unterminated quoted string"),
            '\'' => {
                return self.quoted(
                    '\'',
                    TokenKind::Character,
                    "unterminated character constant",
                );
            }
            '`' => return self.raw(),
            '.' if self
                .rest()
                .chars()
                .nth(1)
                .is_some_and(|next| next.is_ascii_digit()) =>
            {
                self.number();
                return Ok(());
            }
            '.' | '$' => return self.name(character),
            '+' | '-' | '0'..='9' => {
                self.number();
                return Ok(());
            }
            character if is_word(character) => return self.identifier(),
            ' '..='~' => TokenKind::Other,
            _ => {
                let text = format!("unrecognized character in action: {}", shown(character));
                return Err((ErrorKind::Syntax(text), start));
            }
        };
        self.at += 1;
        self.emit(kind, start);
        Ok(())
    }

    fn space(&mut self) {
        let start = self.at;
        while self.closes().is_none() && self.peek().is_some_and(|next| SPACE.contains(&next)) {
            self.at += 1;
        }
        self.emit(TokenKind::Space, start);
    }

    fn quoted(&mut self, quote: char, kind: TokenKind, open: &str) -> Result<(), Misplaced> {
        let start = self.at;
        let mut escaped = false;
        for (index, character) in self.rest().char_indices().skip(1) {
            match character {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if character == quote => {
                    self.at += index + 1;
                    self.emit(kind, start);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(fault(open, start))
    }

    fn raw(&mut self) -> Result<(), Misplaced> {
        let start = self.at;
        let body = self.rest().get(1..).unwrap_or_default();
        let Some(length) = body.find('`') else {
            return Err(fault("unterminated raw quoted string", start));
        };
        self.at += length + 2;
        self.emit(TokenKind::Raw, start);
        Ok(())
    }

    /// Takes `.`, `.Name`, `$` or `$name`.
    fn name(&mut self, sigil: char) -> Result<(), Misplaced> {
        let start = self.at;
        self.at += 1;
        let length = self.word_length();
        self.at += length;
        self.terminated()?;
        let kind = match (sigil, length) {
            ('.', 0) => TokenKind::Dot,
            ('.', _) => TokenKind::Field,
            _ => TokenKind::Variable,
        };
        self.emit(kind, start);
        Ok(())
    }

    fn identifier(&mut self) -> Result<(), Misplaced> {
        let start = self.at;
        self.at += self.word_length();
        self.terminated()?;
        self.emit(TokenKind::Identifier, start);
        Ok(())
    }

    fn word_length(&self) -> usize {
        let rest = self.rest();
        rest.find(|character| !is_word(character))
            .unwrap_or(rest.len())
    }

    /// Refuses a word that runs into something else, as in `.Name+1`.
    fn terminated(&self) -> Result<(), Misplaced> {
        match self.peek() {
            None => Ok(()),
            Some(next) if SPACE.contains(&next) || ".,|:()".contains(next) => Ok(()),
            Some(_) if self.rest().starts_with(CLOSE) => Ok(()),
            Some(next) => {
                let text = format!("bad character {}", shown(next));
                Err((ErrorKind::Syntax(text), self.at))
            }
        }
    }

    fn number(&mut self) {
        let start = self.at;
        let rest = self.rest();
        let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let hex = unsigned.starts_with("0x") || unsigned.starts_with("0X");
        let mut previous = ' ';
        let length = unsigned.find(|character: char| {
            let sign = matches!(character, '+' | '-') && !hex && matches!(previous, 'e' | 'E');
            previous = character;
            !(is_word(character) || character == '.' || sign)
        });
        let end = rest.len() - unsigned.len() + length.unwrap_or(unsigned.len());
        self.at += end;
        self.emit(TokenKind::Number, start);
    }
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

fn shown(character: char) -> String {
    format!("U+{:04X} {character:?}", u32::from(character))
}

fn fault(text: &str, offset: usize) -> Misplaced {
    (ErrorKind::Syntax(text.to_owned()), offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(source: &str, expected: &[&str]) {
        let tokens = lex(source).unwrap();
        let texts = tokens
            .iter()
            .filter(|token| token.kind == TokenKind::Text)
            .map(|token| token.text)
            .collect::<Vec<_>>();
        assert_eq!(texts, expected, "{source:?}");
    }

    #[test]
    fn trim_markers_take_the_space_on_their_side() {
        check_text("a {{.}} b", &["a ", " b"]);
        check_text("a {{- .}} b", &["a", " b"]);
        check_text("a {{. -}} b", &["a ", "b"]);
        check_text("a \r\n\t{{- . -}}\r\n\t b", &["a", "b"]);
        check_text("a {{- /* c */ -}} b", &["a", "b"]);
        check_text("a {{/* c */}} b", &["a ", " b"]);
        check_text("a {{-3}} b", &["a ", " b"]);
        check_text("a\u{a0}{{- .}}", &["a\u{a0}"]);
        check_text("{{- .}} {{. -}} ", &[" "]);
        check_text("no action }} {", &["no action }} {"]);
        check_text("a {{- \"x\" -}}\n", &["a"]);
    }

    fn check_fault(source: &str, expected: &str, offset: usize) {
        let (fault, at) = lex(source).unwrap_err();
        assert_eq!(
            (fault.to_string().as_str(), at),
            (expected, offset),
            "{source:?}"
        );
    }

    #[test]
    fn faults_name_the_byte() {
        check_fault("x{{", "unclosed action", 3);
        check_fault("{{ (1 }}", "unclosed left paren", 3);
        check_fault("{{ 1) }}", "unexpected right paren", 4);
        check_fault("{{/* x", "unclosed comment", 2);
        check_fault("{{/* x */ y}}", "comment ends before closing delimiter", 9);
        check_fault("{{ \"a\n\" }}", "unterminated quoted string", 3);
        check_fault("{{ `a }}", "unterminated raw quoted string", 3);
        check_fault("{{ 'a }}", "unterminated character constant", 3);
        check_fault("{{ $x:1 }}", "expected :=", 5);
        check_fault("{{ .X+1 }}", "bad character U+002B '+'", 5);
        check_fault(
            "{{ \u{1} }}",
            "unrecognized character in action: U+0001 '\\u{1}'",
            3,
        );
    }
}
