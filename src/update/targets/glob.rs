//! Globs: which files a rule is about, by their paths from the root of the repository.

use std::fmt;

use super::RuleError;

/// The longest glob, in bytes.
pub const MAX_GLOB: usize = 256;

/// A pattern of paths: `*` and `?` within a name, `**` for any number of folders.
///
/// It begins at the root of the repository and cannot lead out of it.
///
/// ```
/// use tagwright::update::targets::Glob;
///
/// let glob = Glob::parse("apps/**/*.json").unwrap();
/// assert!(glob.matches("apps/web/prod/deploy.json"));
/// assert!(glob.matches("apps/deploy.json"));
/// assert!(!glob.matches("other/deploy.json"));
/// assert!(Glob::parse("../x").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// `**`.
    Folders,
    /// A name with `*` and `?` in it.
    Name(Vec<char>),
}

impl Glob {
    /// Reads a glob, or says what is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let fault = |at: usize, what: &str| Err(RuleError::new(text, at, what));
        if text.is_empty() {
            return fault(0, "the glob is empty; `**` is every file");
        }
        if text.len() > MAX_GLOB {
            return fault(MAX_GLOB, "the glob is longer than 256 bytes");
        }
        if let Some(at) = text.find('\\') {
            return fault(at, "a glob has `/` between names, and no `\\`");
        }
        if let Some(at) = text.find(['[', ']', '{', '}']) {
            return fault(
                at,
                "a glob knows `*`, `?` and `**` only; give several globs",
            );
        }
        let mut segments = Vec::new();
        let mut at = 0;
        for name in text.split('/') {
            let segment = match name {
                "" if at == 0 => return fault(at, "a glob begins at the root, without `/`"),
                "" => return fault(at, "a name is missing between two `/`"),
                "." | ".." => return fault(at, "a glob stays below the root"),
                "**" => Segment::Folders,
                _ => {
                    if let Some(stars) = name.find("**") {
                        return fault(at + stars, "`**` stands alone between two `/`");
                    }
                    Segment::Name(name.chars().collect())
                }
            };
            segments.push(segment);
            at += name.len() + 1;
        }
        Ok(Self { segments })
    }

    /// Whether the file of this path is meant.
    pub fn matches(&self, path: &str) -> bool {
        let names = path.split('/').collect::<Vec<_>>();
        matches(
            &self.segments,
            &names,
            |segment| *segment == Segment::Folders,
            |segment, name| match segment {
                Segment::Folders => true,
                Segment::Name(pattern) => matches_name(pattern, name),
            },
        )
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, segment) in self.segments.iter().enumerate() {
            if number > 0 {
                f.write_str("/")?;
            }
            match segment {
                Segment::Folders => f.write_str("**")?,
                Segment::Name(name) => f.write_str(&String::from_iter(name))?,
            }
        }
        Ok(())
    }
}

fn matches_name(pattern: &[char], name: &str) -> bool {
    let name = name.chars().collect::<Vec<_>>();
    matches(
        pattern,
        &name,
        |sign| *sign == '*',
        |sign, character| *sign == '?' || sign == character,
    )
}

/// Whether `text` fits `pattern`, in which a star stands for any number of elements and everything
/// else for one. Only the last star is ever tried again, so that it takes length times length.
fn matches<P, T>(
    pattern: &[P],
    text: &[T],
    is_star: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut next) = (0, 0);
    let mut star = None;
    loop {
        match (pattern.get(next), text.get(at)) {
            (Some(sign), _) if is_star(sign) => {
                star = Some((next + 1, at));
                next += 1;
            }
            (Some(sign), Some(element)) if fits(sign, element) => {
                next += 1;
                at += 1;
            }
            (None, None) => return true,
            (_, None) => return false,
            (_, Some(_)) => {
                let Some((after, from)) = star else {
                    return false;
                };
                star = Some((after, from + 1));
                (next, at) = (after, from + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, path: &str, expected: bool) {
        let found = Glob::parse(glob).unwrap().matches(path);
        assert_eq!(found, expected, "{glob} {path}");
    }

    #[test]
    fn stars_stay_in_a_name_and_two_of_them_cross_folders() {
        check("a.json", "a.json", true);
        check("a.json", "x/a.json", false);
        check("*.json", "a.json", true);
        check("*.json", "x/a.json", false);
        check("**/*.json", "a.json", true);
        check("**/*.json", "x/y/a.json", true);
        check("**/*.json", "x/y/a.yaml", false);
        check("**", "x/y/a.yaml", true);
        check("apps/**", "apps/x/y", true);
        check("apps/**", "other/apps/x", false);
        check("apps/*/values-?.yaml", "apps/web/values-1.yaml", true);
        check("apps/*/values-?.yaml", "apps/web/values-12.yaml", false);
        check("**/a/**/b", "x/a/y/z/b", true);
        check("**/a/**/b", "x/a/y/z/c", false);
        check("a*c", "abbc", true);
        check("a*c*e", "abcde", true);
        check("a*c*e", "abde", false);
        check(".env*", ".env.prod", true);
        check("ä?", "äö", true);
    }

    #[test]
    fn many_stars_cost_little() {
        let glob = Glob::parse(&format!("{}b", "*a".repeat(127))).unwrap();
        assert!(!glob.matches(&"a".repeat(4_000)));
        let glob = Glob::parse("**/a/".repeat(50).trim_end_matches('/')).unwrap();
        assert!(!glob.matches(&"a/".repeat(1_000)));
    }

    fn check_fault(glob: &str, expected: &str) {
        let error = Glob::parse(glob).unwrap_err().to_string();
        assert!(error.contains(expected), "{glob}: {error}");
    }

    #[test]
    fn a_glob_never_leads_out_of_the_repository() {
        check_fault("", "is empty");
        check_fault("/etc/passwd", "begins at the root");
        check_fault("../x.json", "stays below the root");
        check_fault("a/../../x", "stays below the root");
        check_fault("./a", "stays below the root");
        check_fault("a//b", "a name is missing");
        check_fault("a/", "a name is missing");
        check_fault(r"a\b", "no `\\`");
        check_fault("a**", "stands alone");
        check_fault("*.{json,yaml}", "several globs");
        check_fault("[ab].json", "several globs");
        check_fault(&"a".repeat(257), "longer than 256");
    }
}
