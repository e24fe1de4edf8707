//! Presets: whole policies for the shapes that tags have most often, each under a name.

use super::{
    Policy,
    constraint::{Constraints, Keep, Prereleases},
    error::{PolicyError, Wanted},
    filter::TagFilter,
    order::Order,
};

/// A policy for a popular shape of tags.
///
/// ```
/// use tagwright::policy::Preset;
///
/// let preset = Preset::named("semver-v")?;
/// assert_eq!(preset.rule(), "semver=* filter=^v[0-9]");
/// assert!(Preset::named("semver-V").is_err());
/// # Ok::<(), tagwright::policy::PolicyError>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Tags that it is for.
    pub example: &'static str,
    /// What it selects, in a few words.
    pub selects: &'static str,
    /// The order's word and argument.
    order: (&'static str, &'static str),
    pattern: &'static str,
    extract: &'static str,
    /// Whether the suffix and the precision of the tag in Git are kept, and releases alone taken.
    packaging: Keep,
}

const PLAIN: Preset = Preset {
    name: "semver",
    example: "`1.4.2`, `v1.4.2`",
    selects: "the highest release",
    order: ("semver", "*"),
    pattern: "",
    extract: "",
    packaging: Keep::No,
};

impl Preset {
    /// Every preset, as `docs/policies.md` lists them.
    pub const ALL: [Self; 10] = [
        PLAIN,
        Self {
            name: "semver-v",
            example: "`v1.4.2`",
            selects: "the highest release that is written with a `v`",
            pattern: "^v[0-9]",
            ..PLAIN
        },
        Self {
            name: "semver-prereleases",
            example: "`1.5.0-rc.1`",
            selects: "the highest version, pre-releases included",
            order: ("semver", ">=0-0"),
            ..PLAIN
        },
        Self {
            name: "main-sha-timestamp",
            example: "`main-4f2a9c1-1700000000`",
            selects: "the latest build of `main` or `master`",
            order: ("numerical", "asc"),
            pattern: "^(?:main|master)-[0-9a-f]{7,40}-(?P<ts>[0-9]+)$",
            extract: "$ts",
            ..PLAIN
        },
        Self {
            name: "main-timestamp-sha",
            example: "`main-20240115120000-4f2a9c1`",
            selects: "the latest build of `main` or `master`",
            order: ("numerical", "asc"),
            pattern: "^(?:main|master)-(?P<ts>[0-9]{8,14})-[0-9a-f]{7,40}$",
            extract: "$ts",
            ..PLAIN
        },
        Self {
            name: "calver",
            example: "`2024.1.15`, `v2024.01.2`",
            selects: "the latest version that begins with a year",
            order: ("natural", "asc"),
            pattern: r"^v?(?P<version>(?:19|20)[0-9]{2}(?:\.[0-9]+)+)$",
            extract: "$version",
            ..PLAIN
        },
        Self {
            name: "date",
            example: "`20240115`, `2024-01-15`, `20240115.2`",
            selects: "the latest day, and its highest build",
            order: ("natural", "asc"),
            pattern: "^(?P<y>(?:19|20)[0-9]{2})-?(?P<m>[01][0-9])-?(?P<d>[0-3][0-9])(?:[.-](?P<n>[0-9]+))?$",
            extract: "$y.$m.$d.$n",
            ..PLAIN
        },
        Self {
            name: "build-number",
            example: "`1187`, `build-1187`, `1700000000`",
            selects: "the highest number",
            order: ("numerical", "asc"),
            pattern: "^(?:build-?|b)?(?P<number>[0-9]+)$",
            extract: "$number",
            ..PLAIN
        },
        Self {
            name: "linuxserver",
            example: "`4.0.14.2939-ls277`",
            selects: "the highest version, and its highest `-ls` build",
            order: ("keys", "version:natural build:number"),
            pattern: "^v?(?P<version>[0-9][0-9A-Za-z._-]*)-ls(?P<build>[0-9]+)$",
            ..PLAIN
        },
        Self {
            name: "keep-suffix",
            example: "`1.4.2-alpine`, `17-slim`, `1.4`",
            selects: "the highest release with as many numbers and the same suffix as the tag in Git",
            order: ("loose", ">=0-0"),
            packaging: Keep::Yes,
            ..PLAIN
        },
    ];

    /// Every name.
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name;
            at += 1;
        }
        names
    };

    /// The preset of this name.
    pub fn named(name: &str) -> Result<&'static Self, PolicyError> {
        static ALL: [Preset; Preset::ALL.len()] = Preset::ALL;
        let found = ALL.iter().find(|preset| preset.name == name);
        found.ok_or_else(|| PolicyError::word("policy.preset", name, Wanted::OneOf(&Self::NAMES)))
    }

    /// Whether it says which tags take part, so that nobody else may.
    pub fn has_filter(&self) -> bool {
        !self.pattern.is_empty()
    }

    /// The policy that the name stands for.
    pub fn policy(&'static self) -> Policy {
        let (word, argument) = self.order;
        let order = Order::of(word, argument)
            .ok()
            .flatten()
            .expect("the order is a constant that a test compiles");
        let filter = match &order {
            Order::Keys(keys) => TagFilter::with_keys(self.pattern, keys),
            _ => TagFilter::new(self.pattern, self.extract),
        };
        let mut policy = Policy {
            filter: filter.expect("the pattern is a constant that a test compiles"),
            preset: Some(self),
            ..Policy::new(order)
        };
        self.constrain(&mut policy.constraints);
        policy
    }

    /// Adds what the preset asks for to constraints that stand beside it.
    pub fn constrain(&self, constraints: &mut Constraints) {
        if self.packaging == Keep::No {
            return;
        }
        constraints.suffix = Keep::Yes;
        constraints.precision = Keep::Yes;
        if constraints.prereleases == Prereleases::AsRange {
            constraints.prereleases = Prereleases::Exclude;
        }
    }

    /// What the name stands for, in the words of a marker.
    pub fn rule(&self) -> String {
        let quoted = |text: &str| {
            let quote = if text.contains(' ') { "\"" } else { "" };
            format!("{quote}{text}{quote}")
        };
        let mut rule = format!("{}={}", self.order.0, quoted(self.order.1));
        for (key, text) in [("filter", self.pattern), ("extract", self.extract)] {
            if !text.is_empty() {
                rule.push_str(&format!(" {key}={}", quoted(text)));
            }
        }
        if self.packaging == Keep::Yes {
            rule.push_str(" keep=suffix,precision prereleases=false");
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Situation, Verdict, select_in},
        scan::Scan,
    };

    #[track_caller]
    fn check(name: &str, current: &str, tags: &str, expected: Option<&str>) {
        let tags = tags.split_whitespace().map(|tag| tag.parse().unwrap());
        let scan = Scan {
            repository: "registry.test/acme/web".parse().unwrap(),
            tags: tags.collect(),
            refused: 0,
            sifted: 0,
            finished: chrono::DateTime::UNIX_EPOCH,
            took: std::time::Duration::ZERO,
            facts: std::collections::BTreeMap::default(),
        };
        let situation = Situation {
            current: (!current.is_empty()).then_some(current),
            now: scan.finished,
        };
        let (verdict, _) = select_in(&Preset::named(name).unwrap().policy(), &scan, situation);
        if let Verdict::Held { reason, .. } = &verdict {
            panic!("{name} holds: {reason}");
        }
        let selected = verdict.selected().map(|selection| selection.tag.as_str());
        assert_eq!(selected, expected, "{name}");
    }

    #[test]
    fn each_preset_selects_what_its_shape_means() {
        let semver = "1.4.2 v1.5.0 1.6.0 2.0.0-rc.1 latest 1.7 sha256-0a.sig";
        check("semver", "", semver, Some("1.6.0"));
        check("semver-v", "", semver, Some("v1.5.0"));
        check("semver-prereleases", "", semver, Some("2.0.0-rc.1"));
        check(
            "main-sha-timestamp",
            "",
            "main-4f2a9c1-1700000009 master-0a1b2c3-1700000010 dev-4f2a9c1-1800000000 main-4f2a9c1",
            Some("master-0a1b2c3-1700000010"),
        );
        check(
            "main-timestamp-sha",
            "",
            "main-20240115120000-4f2a9c1 main-20240116080000-12345678 main-4f2a9c1-1800000000",
            Some("main-20240116080000-12345678"),
        );
        check(
            "calver",
            "",
            "2024.9.30 v2024.10.1 2024.2 1.99.0 20250101 2024",
            Some("v2024.10.1"),
        );
        let dates = "20240115 2024-02-01 20240115.10 20240115.9 20249999 1.0.0 30240115";
        check("date", "", dates, Some("2024-02-01"));
        check(
            "date",
            "",
            "20240115.10 20240115.9 20240115",
            Some("20240115.10"),
        );
        let builds = "build-99 build-1187 b100 998 1.0.0 build-x";
        check("build-number", "", builds, Some("build-1187"));
        check(
            "linuxserver",
            "",
            "4.0.9.1-ls300 4.0.14.2939-ls9 4.0.14.2939-ls10 v4.0.2-ls999 amd64-9.0-ls1 latest",
            Some("4.0.14.2939-ls10"),
        );
    }

    #[test]
    fn the_packaging_of_the_tag_in_git_is_kept() {
        let tags = "1.4 1.5 1.5.1 1.4-alpine 1.6-alpine 1.7-rc1-alpine 2.0-alpine3.18 1.7-rc.1";
        check("keep-suffix", "1.3-alpine", tags, Some("1.6-alpine"));
        check("keep-suffix", "1.3", tags, Some("1.5"));
        check("keep-suffix", "1.3.0", tags, Some("1.5.1"));
        check(
            "keep-suffix",
            "2.0-alpine3.18",
            tags,
            Some("2.0-alpine3.18"),
        );
        check("keep-suffix", "1.3-bookworm", tags, None);
        check("keep-suffix", "", tags, Some("1.5.1"));
    }

    #[test]
    fn the_documentation_lists_every_preset_as_it_is() {
        let docs = include_str!("../../docs/policies.md");
        for preset in &Preset::ALL {
            let rule = preset.rule().replace('|', "\\|");
            let Preset {
                name,
                example,
                selects,
                ..
            } = preset;
            let row = format!("| `{name}` | {example} | {selects} | `{rule}` |\n");
            assert!(docs.contains(&row), "docs/policies.md lacks\n{row}");
        }
    }

    #[test]
    fn the_definition_for_a_cluster_knows_every_name() {
        let schema = schemars::schema_for!(crate::crd::ImagePolicySpec);
        let schema = serde_json::to_value(schema).unwrap();
        let names = &schema["$defs"]["PolicyChoice"]["properties"]["preset"]["enum"];
        assert_eq!(*names, serde_json::json!(Preset::NAMES));
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        let error = Preset::named("linux-server").unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean `linuxserver`?");
        assert_eq!(error.place().caret(), "linux-server\n^^^^^^^^^^^^");
    }
}
