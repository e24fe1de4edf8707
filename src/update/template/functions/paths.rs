//! Paths with slashes; the `os` forms are the same, because Flux runs on Linux.

use super::{super::value::Value, Call, Function, Outcome};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("base", 1, 1, |call| each(call, base)),
    Function::new("osBase", 1, 1, |call| each(call, base)),
    Function::new("dir", 1, 1, |call| each(call, dir)),
    Function::new("osDir", 1, 1, |call| each(call, dir)),
    Function::new("clean", 1, 1, |call| each(call, clean)),
    Function::new("osClean", 1, 1, |call| each(call, clean)),
    Function::new("ext", 1, 1, |call| each(call, ext)),
    Function::new("osExt", 1, 1, |call| each(call, ext)),
    Function::new("isAbs", 1, 1, is_absolute),
    Function::new("osIsAbs", 1, 1, is_absolute),
];

fn each(call: &mut Call<'_>, change: fn(&str) -> String) -> Outcome {
    let text = call.text(0)?;
    call.give(change(&text))
}

fn is_absolute(call: &mut Call<'_>) -> Outcome {
    Ok(Value::Bool(call.text(0)?.starts_with('/')))
}

fn base(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match (path, trimmed) {
        ("", _) => ".".to_owned(),
        (_, "") => "/".to_owned(),
        (_, path) => path.rsplit('/').next().unwrap_or(path).to_owned(),
    }
}

fn dir(path: &str) -> String {
    let end = path.rfind('/').map_or(0, |slash| slash + 1);
    clean(path.get(..end).unwrap_or_default())
}

fn ext(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let dot = name.rfind('.');
    dot.and_then(|dot| name.get(dot..))
        .unwrap_or_default()
        .to_owned()
}

/// The shortest path to the same place.
fn clean(path: &str) -> String {
    let root = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if root => {}
            part => parts.push(part),
        }
    }
    let cleaned = parts.join("/");
    match (root, cleaned.as_str()) {
        (true, _) => format!("/{cleaned}"),
        (false, "") => ".".to_owned(),
        (false, _) => cleaned,
    }
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn paths_are_taken_apart() {
        check(r#"base "a/b.txt""#, "b.txt");
        check(r#"base """#, ".");
        check(r#"base "/""#, "/");
        check(r#"base "a/""#, "a");
        check(r#"dir "a/b/c""#, "a/b");
        check(r#"dir "a""#, ".");
        check(r#"dir "/a""#, "/");
        check(r#"dir "a//b""#, "a");
        check(r#"clean "a/../b//c/./d/""#, "b/c/d");
        check(r#"clean """#, ".");
        check(r#"clean "/../a""#, "/a");
        check(r#"clean "../../a""#, "../../a");
        check(r#"ext "a/b.tar.gz""#, ".gz");
        check(r#"ext "a.b/c""#, "");
        check(r#"ext "a.""#, ".");
        check(r#"isAbs "/a""#, "true");
        check(r#"osBase "a/b""#, "b");
        check(r#"osDir "a/b""#, "a");
        check(r#"osClean "a//b""#, "a/b");
        check(r#"osExt "a.b""#, ".b");
        check(r#"osIsAbs "a""#, "false");
    }
}
