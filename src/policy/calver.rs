//! Calendar versions in a stated format, such as `YYYY.0M.MICRO`.
//!
//! The fields are those of calver.org: `YYYY` four digits; `YY` years since 2000, `0Y` the same
//! with at least two digits; `MM`, `WW`, `DD` without and `0M`, `0W`, `0D` with a zero in front;
//! `MAJOR`, `MINOR`, `MICRO` any number. Lower-case letters, dots, hyphens and underscores stand for
//! themselves. Versions are compared field by field, in the order in which the format names them; a
//! tag that does not fit the format to its last byte is rejected.

use std::fmt;

use super::error::{Place, PolicyError};

/// The most fields of one format.
const FIELDS: usize = 8;

/// The longest format in bytes.
const FORMAT_LIMIT: usize = 128;

/// A compiled calendar format.
#[derive(Clone, Debug)]
pub struct CalverFormat {
    text: String,
    pieces: Vec<Piece>,
}

/// The fields of one version, in the order of the format; zeros behind the last.
pub(super) type Calver = [u64; FIELDS];

/// What is wrong in a calendar format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalverProblem {
    /// It names no field.
    NoField,
    /// It names more than eight fields.
    TooManyFields,
    /// A text that is neither a field nor stands for itself.
    Unknown,
    /// A field of open length with another behind it: nobody can tell where it ends.
    Adjacent,
}

#[derive(Clone, Copy, Debug)]
enum Piece {
    Byte(u8),
    Field(&'static Field),
}

/// A field: how it is named and which digits it takes.
#[derive(Debug)]
struct Field {
    name: &'static str,
    least_digits: usize,
    most_digits: usize,
    /// Whether a number may be longer than it has to be.
    padding: bool,
    values: (u64, u64),
}

const fn field(
    name: &'static str,
    (least_digits, most_digits): (usize, usize),
    padding: bool,
    values: (u64, u64),
) -> Field {
    Field {
        name,
        least_digits,
        most_digits,
        padding,
        values,
    }
}

static KNOWN: [Field; 12] = [
    field("YYYY", (4, 4), true, (0, 9999)),
    field("YY", (1, 3), false, (0, 999)),
    field("0Y", (2, 3), true, (0, 999)),
    field("MM", (1, 2), false, (1, 12)),
    field("0M", (2, 2), true, (1, 12)),
    field("WW", (1, 2), false, (1, 53)),
    field("0W", (2, 2), true, (1, 53)),
    field("DD", (1, 2), false, (1, 31)),
    field("0D", (2, 2), true, (1, 31)),
    field("MAJOR", (1, 128), true, (0, u64::MAX)),
    field("MINOR", (1, 128), true, (0, u64::MAX)),
    field("MICRO", (1, 128), true, (0, u64::MAX)),
];

impl CalverFormat {
    /// Compiles a format.
    ///
    /// ```
    /// use tagwright::policy::CalverFormat;
    ///
    /// assert!(CalverFormat::new("vYYYY.0M.MICRO").is_ok());
    /// assert!(CalverFormat::new("YYYY.MMDD").is_err(), "1.11 and 11.1 look the same");
    /// ```
    pub fn new(text: &str) -> Result<Self, PolicyError> {
        const NAME: &str = "policy.calver.format";
        if text.len() > FORMAT_LIMIT {
            return Err(PolicyError::TooLong {
                place: Place::new(NAME, text, FORMAT_LIMIT..text.len()),
                limit: FORMAT_LIMIT,
            });
        }
        match read_format(text) {
            Ok(pieces) => Ok(Self {
                text: text.to_owned(),
                pieces,
            }),
            Err((problem, start, length)) => Err(PolicyError::Calver {
                place: Place::new(NAME, text, start..start + length),
                problem,
            }),
        }
    }

    /// The format as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads a version in this format, to its last byte.
    pub(super) fn read(&self, text: &str) -> Option<Calver> {
        let mut fields = Calver::default();
        let mut slots = fields.iter_mut();
        let mut rest = text.as_bytes();
        for piece in &self.pieces {
            match piece {
                Piece::Byte(byte) => rest = rest.strip_prefix(&[*byte])?,
                Piece::Field(field) => {
                    let slot;
                    (slot, rest) = field.read(rest)?;
                    *slots.next()? = slot;
                }
            }
        }
        rest.is_empty().then_some(fields)
    }
}

fn read_format(text: &str) -> Result<Vec<Piece>, (CalverProblem, usize, usize)> {
    let mut pieces = Vec::new();
    let mut fields = 0;
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let named = KNOWN
            .iter()
            .find(|field| text[at..].starts_with(field.name));
        if let Some(field) = named {
            let length = field.name.len();
            let open = |field: &Field| field.least_digits < field.most_digits;
            if matches!(pieces.last(), Some(Piece::Field(last)) if open(last)) {
                return Err((CalverProblem::Adjacent, at, length));
            }
            fields += 1;
            if fields > FIELDS {
                return Err((CalverProblem::TooManyFields, at, length));
            }
            pieces.push(Piece::Field(field));
            at += length;
        } else if let 'a'..='z' | '.' | '-' | '_' = next {
            pieces.push(Piece::Byte(text.as_bytes()[at]));
            at += 1;
        } else {
            return Err((CalverProblem::Unknown, at, next.len_utf8()));
        }
    }
    if fields == 0 {
        return Err((CalverProblem::NoField, 0, text.len()));
    }
    Ok(pieces)
}

impl Field {
    fn read<'t>(&self, text: &'t [u8]) -> Option<(u64, &'t [u8])> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits.take(self.most_digits).count();
        if length < self.least_digits {
            return None;
        }
        let (digits, rest) = text.split_at(length);
        if !self.padding && length > 1 && digits.starts_with(b"0") {
            return None;
        }
        let value = digits.iter().try_fold(0_u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })?;
        let (least, most) = self.values;
        (least..=most).contains(&value).then_some((value, rest))
    }
}

impl CalverProblem {
    /// Advice for the reader.
    pub(super) fn hint(self) -> String {
        let hint = match self {
            Self::NoField | Self::Unknown => {
                "fields are YYYY YY 0Y MM 0M WW 0W DD 0D MAJOR MINOR MICRO, as in `YYYY.0M.MICRO`"
            }
            Self::TooManyFields => "leave out what does not decide",
            Self::Adjacent => "put a dot in between, or use fields of fixed length: `YYYY0M0D`",
        };
        hint.to_owned()
    }
}

impl fmt::Display for CalverFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Display for CalverProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoField => "it names no field",
            Self::TooManyFields => "it names more than eight fields",
            Self::Unknown => "here is no field, and nothing that stands for itself",
            Self::Adjacent => "the field before has no fixed length",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(format: &str, tag: &str, expected: Option<&[u64]>) {
        let read = CalverFormat::new(format).unwrap().read(tag);
        let padded = expected.map(|expected| {
            let mut fields = Calver::default();
            fields[..expected.len()].copy_from_slice(expected);
            fields
        });
        assert_eq!(read, padded, "{tag} as {format}");
    }

    #[test]
    fn tags_are_read_in_the_stated_format() {
        check("YYYY.0M.MICRO", "2024.01.15", Some(&[2024, 1, 15]));
        check("YYYY.0M.MICRO", "2024.1.15", None);
        check("YYYY.MM.MICRO", "2024.1.15", Some(&[2024, 1, 15]));
        check("YYYY.MM.MICRO", "2024.01.15", None);
        check("YYYY.MM.MICRO", "2024.13.1", None);
        check("YYYY.MM", "2024.1.1", None);
        check("YYYY.MM", "202.1", None);
        check("vYY.0M", "v24.04", Some(&[24, 4]));
        check("YY.0M", "v24.04", None);
        check("0Y.MM", "06.4", Some(&[6, 4]));
        check("YYYY0M0D-MICRO", "20220209-04", Some(&[2022, 2, 9, 4]));
        check("YYYY0M0D-MICRO", "20220209-22", Some(&[2022, 2, 9, 22]));
        check("YYYY0M0D-MICRO", "20220230", None);
        check("YYYY0M0D", "20220232", None);
        check("YYYY-wWW", "2024-w53", Some(&[2024, 53]));
        check("MAJOR.YYYY", "3.2024", Some(&[3, 2024]));
        check("MICRO", "18446744073709551616", None);
    }

    #[track_caller]
    fn check_fault(format: &str, problem: CalverProblem, fault: &str) {
        let error = CalverFormat::new(format).unwrap_err();
        assert_eq!(error.place().fault(), fault, "{format}");
        let found = matches!(error, PolicyError::Calver { problem: found, .. } if found == problem);
        assert!(found && error.hint().is_some(), "{format}");
    }

    #[test]
    fn a_format_that_cannot_be_read_back_is_refused() {
        check_fault("", CalverProblem::NoField, "");
        check_fault("v.", CalverProblem::NoField, "v.");
        check_fault("YYYY.MMDD", CalverProblem::Adjacent, "DD");
        check_fault("YYYY/MM", CalverProblem::Unknown, "/");
        check_fault("YYY", CalverProblem::Unknown, "Y");
        check_fault(
            "YY.MM.MM.MM.MM.MM.MM.MM.MM",
            CalverProblem::TooManyFields,
            "MM",
        );
        check_fault("YYYYé", CalverProblem::Unknown, "é");
    }

    proptest! {
        #[test]
        fn no_format_panics(format in "[YMD0WAJORINC.v-]{0,12}|\\PC{0,20}", tag in "[0-9.v-]{0,20}") {
            if let Ok(format) = CalverFormat::new(&format) {
                let _ = format.read(&tag);
            }
        }
    }
}
