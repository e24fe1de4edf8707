//! Semantic versions, read as leniently as Flux reads them.

use std::{cmp::Ordering, rc::Rc};

use semver::{BuildMetadata, Prerelease, Version};

use super::{
    super::value::{Field, Struct, Value},
    Call, Function, Outcome, failed,
};
use crate::policy::Range;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("semver", 1, 1, version),
    Function::new("semverCompare", 2, 2, compare),
];

const TYPE: &str = "*semver.Version";

/// Takes a version apart: `.Major`, `.Minor`, `.Patch`, `.Prerelease`, `.Metadata`, `.Original`.
fn version(call: &mut Call<'_>) -> Outcome {
    let written = call.text(0)?;
    let Some(version) = parse(&written) else {
        return Err(failed("Invalid Semantic Version"));
    };
    let text = call.give(version.to_string())?;
    let prerelease = call.give(version.pre.as_str())?;
    let metadata = call.give(version.build.as_str())?;
    let Value::Str(shown) = text.clone() else {
        return Ok(text);
    };
    Ok(Value::Struct(Rc::new(Struct {
        type_name: TYPE,
        fields: vec![Field::new("original", Value::Str(written.clone()))],
        methods: vec![
            ("Major", Value::Uint64(version.major)),
            ("Minor", Value::Uint64(version.minor)),
            ("Patch", Value::Uint64(version.patch)),
            ("Prerelease", prerelease),
            ("Metadata", metadata),
            ("Original", Value::Str(written)),
            ("String", text),
        ],
        text: Some(shown),
    })))
}

/// Whether a version lies in a range: `semverCompare "^1.2" "1.4.0"`.
fn compare(call: &mut Call<'_>) -> Outcome {
    let (range, version) = (call.text(0)?, call.text(1)?);
    let range = Range::new(&range).map_err(|error| failed(error.to_string()))?;
    let is_inside = range.contains(&version);
    is_inside
        .map(Value::Bool)
        .ok_or_else(|| failed("Invalid Semantic Version"))
}

/// Reads a version with an optional `v` and one to three numbers.
fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (rest, build) = text.split_once('+').unwrap_or((text, ""));
    let (numbers, pre) = rest.split_once('-').unwrap_or((rest, ""));
    if text.contains('+') && build.is_empty() || rest.contains('-') && pre.is_empty() {
        return None;
    }
    let mut parts = [0_u64; 3];
    let mut written = numbers.split('.');
    for (index, part) in parts.iter_mut().enumerate() {
        match written.next() {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                *part = digits.parse().ok()?;
            }
            None if index > 0 => {}
            _ => return None,
        }
    }
    if written.next().is_some() {
        return None;
    }
    let [major, minor, patch] = parts;
    Some(Version {
        major,
        minor,
        patch,
        pre: Prerelease::new(pre).ok()?,
        build: BuildMetadata::new(build).ok()?,
    })
}

/// Calls `Compare`, `LessThan`, `GreaterThan` or `Equal` of one version with another.
pub(in crate::update::template) fn compare_versions(
    left: &Struct,
    method: &str,
    right: &Struct,
) -> Option<Value> {
    let read = |version: &Struct| {
        let is_version = version.type_name == TYPE;
        let text = version.text.as_ref().filter(|_| is_version)?;
        parse(text)
    };
    let order = read(left)?.cmp_precedence(&read(right)?);
    Some(match method {
        "Compare" => Value::Int(match order {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }),
        "LessThan" => Value::Bool(order.is_lt()),
        "GreaterThan" => Value::Bool(order.is_gt()),
        "Equal" => Value::Bool(order.is_eq()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::{check, render};

    #[test]
    fn versions_are_compared_with_ranges() {
        check(r#"semverCompare "^1.2" "1.4.0""#, "true");
        check(r#"semverCompare "~1.2" "1.4.0""#, "false");
        check(r#"semverCompare ">=1.0 <2 || 3.x" "v3.1""#, "true");
        check(r#"semverCompare "1.x" "1.4.0-rc.1""#, "false");
        check(r#"semverCompare ">=1.0-0" "1.4.0-rc.1""#, "true");
        check(r#""v1.4" | semverCompare "1.4.0""#, "true");
        for fault in [r#""1.x" "latest""#, r#""one" "1.0.0""#, r#""" "1.0.0""#] {
            let error = render(&format!("{{{{ semverCompare {fault} }}}}"));
            assert!(error.is_err(), "{fault}");
        }
    }

    #[test]
    fn versions_are_taken_apart() {
        check(r#"semver "1.2.3""#, "1.2.3");
        check(r#"semver "v1.2""#, "1.2.0");
        check(r#"semver "1""#, "1.0.0");
        check(r#"(semver "v1.2.3-rc.1+build").Major"#, "1");
        check(r#"(semver "v1.2.3-rc.1+build").Prerelease"#, "rc.1");
        check(r#"(semver "v1.2.3-rc.1+build").Metadata"#, "build");
        check(r#"(semver "v1.2").Original"#, "v1.2");
        check(r#"(semver "1.2.3").Compare (semver "1.3.0")"#, "-1");
        check(
            r#"(semver "1.0.0").LessThan (semver "1.0.0-rc.1")"#,
            "false",
        );
        check(r#"semver "1.10.0" | (semver "1.9.0").Compare"#, "-1");
        check(r#"toJson (semver "v1.2.3")"#, r#""1.2.3""#);
    }
}
