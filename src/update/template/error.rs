//! Why a template cannot be read or rendered.

use std::fmt;

use super::limits::Limit;
use crate::error::Class;

/// A fault at one place of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is the matter.
    pub kind: ErrorKind,
    /// Where, in bytes from the start of the source.
    pub offset: usize,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// What can be the matter with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The source breaks the grammar.
    #[error("{0}")]
    Syntax(String),
    /// No function has this name.
    #[error("function \"{name}\" not defined")]
    UnknownFunction {
        /// The name as written.
        name: String,
        /// The function that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// Sprig has the function, and a commit message may not use it.
    #[error("function \"{name}\" is not available: {reason}")]
    Refused {
        /// The function.
        name: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// The template reads a field that Flux has removed.
    #[error("{0}")]
    RemovedField(RemovedField),
    /// A struct has no such field.
    #[error("can't evaluate field {field} in type {type_name}")]
    UnknownField {
        /// The field as written.
        field: String,
        /// The type, as Go names it.
        type_name: String,
        /// The field that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// `template` calls something that `define` did not define.
    #[error("template \"{0}\" not defined")]
    UnknownTemplate(String),
    /// A function is called with too few or too many arguments.
    #[error("wrong number of args for {function}: want {want} got {got}")]
    Arity {
        /// The function.
        function: &'static str,
        /// How many it takes, in words.
        want: String,
        /// How many it was given.
        got: usize,
    },
    /// A function is given a value of another type than it takes.
    #[error("{}", wrong_type(expected, got))]
    WrongType {
        /// The type it takes, as Go names it.
        expected: &'static str,
        /// The type it was given, as Go names it.
        got: &'static str,
    },
    /// Rendering failed on this data.
    #[error("{0}")]
    Failed(String),
    /// Rendering would cost too much.
    #[error("{0}")]
    Limit(Limit),
}

/// The fields that templates of old Flux versions read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovedField {
    /// `.Updated`.
    Updated,
    /// `.Changed.ImageResult`.
    ImageResult,
}

impl TemplateError {
    /// Places `kind` at a byte of `source`.
    pub(super) fn new(kind: ErrorKind, offset: usize, source: &str) -> Self {
        let offset = source.floor_char_boundary(offset);
        let before = source.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let in_line = before.get(line_start..).unwrap_or_default();
        Self {
            kind,
            offset,
            line: before.matches('\n').count() + 1,
            column: in_line.chars().count() + 1,
        }
    }

    /// What kind of trouble this is: always one that the template's author has to remove.
    pub fn class(&self) -> Class {
        Class::Config
    }

    /// Shows the line of `source` that is at fault, and a `^` below the place.
    ///
    /// ```
    /// use tagwright::update::template::Template;
    ///
    /// let source = "Images: {{ len .Changed.Changes | uper }}";
    /// let error = Template::parse(source).unwrap_err();
    /// assert_eq!(
    ///     error.caret(source),
    ///     "Images: {{ len .Changed.Changes | uper }}\n                                  ^"
    /// );
    /// ```
    pub fn caret(&self, source: &str) -> String {
        let line = source.split('\n').nth(self.line - 1).unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        // A tab before the place stays a tab, so that the mark stands below it on any terminal.
        let indent = line
            .chars()
            .take(self.column - 1)
            .map(|character| if character == '\t' { '\t' } else { ' ' });
        format!("{line}\n{}^", indent.collect::<String>())
    }

    /// Advice for the template's author, where there is some.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            ErrorKind::UnknownFunction { suggestion, .. } => {
                suggestion.map(|name| format!("did you mean `{name}`?"))
            }
            ErrorKind::UnknownField { suggestion, .. } => {
                suggestion.map(|name| format!("did you mean `.{name}`?"))
            }
            ErrorKind::RemovedField(field) => Some(field.replacement().to_owned()),
            ErrorKind::WrongType { got: NOTHING, .. } => Some(
                "the value is missing; give it a default, as in `(default \"\" .X)`".to_owned(),
            ),
            ErrorKind::Limit(limit) => Some(limit.hint()),
            _ => None,
        }
    }

    /// Whether the template fails on every data, and not just on the data at hand.
    pub(super) fn is_certain(&self) -> bool {
        !matches!(
            self.kind,
            ErrorKind::Failed(_) | ErrorKind::WrongType { .. }
        )
    }
}

/// What Go calls the type of a value that is missing.
const NOTHING: &str = "<nil>";

fn wrong_type(expected: &str, got: &str) -> String {
    match got {
        NOTHING => format!("invalid value; expected {expected}"),
        got => format!("wrong type for value; expected {expected}; got {got}"),
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ErrorKind::RemovedField(field) = self.kind {
            // Word for word what Flux says, because alerts are written against it.
            return write!(formatter, "{field}");
        }
        let Self { line, column, .. } = self;
        write!(formatter, "line {line}, column {column}: {}", self.kind)
    }
}

impl std::error::Error for TemplateError {}

impl RemovedField {
    fn replacement(self) -> &'static str {
        match self {
            Self::Updated => {
                "`.Updated.Files` is `.Changed.FileChanges`, `.Updated.Objects` is \
                 `.Changed.Objects`, `.Updated.Images` is `.Changed.Changes`"
            }
            Self::ImageResult => {
                "`.Changed.ImageResult.Files` is `.Changed.FileChanges`, `.Objects` is \
                 `.Changed.Objects`, `.Images` is `.Changed.Changes`"
            }
        }
    }
}

impl fmt::Display for RemovedField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, instead) = match self {
            Self::Updated => (".Updated", "'.Changed'"),
            Self::ImageResult => (
                ".Changed.ImageResult",
                "'.Changed.FileChanges' or '.Changed.Objects'",
            ),
        };
        write!(
            formatter,
            "template uses removed '{field}' field. Please use {instead} instead. See: \
             https://fluxcd.io/flux/components/image/imageupdateautomations/#message-template"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, offset: usize, place: (usize, usize), caret: &str) {
        let error = TemplateError::new(ErrorKind::Failed("no".to_owned()), offset, source);
        assert_eq!((error.line, error.column), place, "{source:?}");
        assert_eq!(error.caret(source), caret, "{source:?}");
    }

    #[test]
    fn the_caret_stands_below_the_byte() {
        check("{{ x }}", 3, (1, 4), "{{ x }}\n   ^");
        check("a\nbc{{ x }}\nd", 7, (2, 6), "bc{{ x }}\n     ^");
        check("é{{ x }}", 5, (1, 5), "é{{ x }}\n    ^");
        check("\t{{ x }}\r\n", 4, (1, 5), "\t{{ x }}\n\t   ^");
        check("ab", 2, (1, 3), "ab\n  ^");
        check("", 9, (1, 1), "\n^");
        check("é", 1, (1, 1), "é\n^");
    }
}
