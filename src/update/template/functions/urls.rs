//! URLs, taken apart and put together as Go's `net/url` does.

use super::{
    super::{
        limits::Fault,
        value::{Map, Value},
    },
    Call, Function, Outcome, failed,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("urlParse", 1, 1, parse),
    Function::new("urlJoin", 1, 1, join),
];

fn parse(call: &mut Call<'_>) -> Outcome {
    let text = call.text(0)?;
    if text.chars().any(|character| character.is_ascii_control()) {
        return Err(failed(
            "unable to parse url: invalid control character in URL",
        ));
    }
    let (rest, fragment) = text.split_once('#').unwrap_or((&text, ""));
    let (scheme, rest) = scheme(rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (opaque, rest) = match (scheme.is_empty(), rest.starts_with('/')) {
        (false, false) => (rest, ""),
        _ => ("", rest),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let first = path.split('/').next().unwrap_or_default();
    if text.starts_with(':') {
        return Err(failed("unable to parse url: missing protocol scheme"));
    }
    if first.contains(':') {
        let reason = "first path segment in URL cannot contain colon";
        return Err(failed(format!("unable to parse url: {reason}")));
    }
    let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let port = host.strip_prefix(hostname(host)).unwrap_or_default();
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if !host.starts_with('[') && !port.strip_prefix(':').is_none_or(is_port) {
        let text = format!("unable to parse url: invalid port \"{port}\" after host");
        return Err(failed(text));
    }
    let scheme = scheme.to_lowercase();
    let parts = [
        ("scheme", scheme.clone()),
        ("opaque", opaque.to_owned()),
        ("userinfo", userinfo.to_owned()),
        ("host", unescaped(host)?),
        ("hostname", hostname(host).to_owned()),
        ("path", unescaped(path)?),
        ("query", query.to_owned()),
        ("fragment", unescaped(fragment)?),
    ];
    let mut entries = Vec::new();
    for (name, part) in parts {
        entries.push((name.into(), call.give(part)?));
    }
    call.give_map(entries)
}

/// What stands before the first colon, if it can be a scheme.
fn scheme(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((scheme, rest))
            if scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) =>
        {
            (scheme, rest)
        }
        _ => ("", text),
    }
}

fn hostname(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn unescaped(text: &str) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = char::from(rest.next()?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push(high << 4 | low),
            _ => return Err(failed("unable to parse url: invalid URL escape")),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn escaped(text: &str, plain: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let character = char::from(byte);
        if byte.is_ascii_alphanumeric() || plain.contains(character) {
            escaped.push(character);
        } else {
            escaped.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
    }
    escaped
}

fn hex_digit(half: u8) -> char {
    let digit = char::from_digit(half.into(), 16).unwrap_or('0');
    digit.to_ascii_uppercase()
}

fn part(map: &Map, name: &str) -> Result<String, Fault> {
    match map.get(name) {
        None => Ok(String::new()),
        Some(Value::Str(text)) => Ok(text.to_string()),
        Some(other) => {
            let kind = other.kind_name();
            let text =
                format!("unable to parse {name} key, must be of type string, but {kind} found");
            Err(failed(text))
        }
    }
}

fn join(call: &mut Call<'_>) -> Outcome {
    let map = call.map(0)?;
    let [scheme, opaque, userinfo, host, path, query, fragment] = [
        part(&map, "scheme")?,
        part(&map, "opaque")?,
        part(&map, "userinfo")?,
        part(&map, "host")?,
        part(&map, "path")?,
        part(&map, "query")?,
        part(&map, "fragment")?,
    ];
    let mut url = String::new();
    if !scheme.is_empty() {
        url.extend([&scheme, ":"]);
    }
    if opaque.is_empty() {
        let has_authority = !host.is_empty() || !userinfo.is_empty();
        let has_scheme = !scheme.is_empty();
        if has_authority || has_scheme && !path.is_empty() {
            url.push_str("//");
        }
        if !userinfo.is_empty() {
            url.extend([&userinfo, "@"]);
        }
        url.push_str(&escaped(&host, "-_.~!$&'()*+,;=:[]<>\""));
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            url.push('/');
        }
        let first = path.split('/').next().unwrap_or_default();
        if url.is_empty() && first.contains(':') {
            url.push_str("./");
        }
        url.push_str(&escaped(&path, "-_.~$&+,/:;=@!'()*"));
    } else {
        url.push_str(&opaque);
    }
    if !query.is_empty() {
        url.extend(["?", &query]);
    }
    if !fragment.is_empty() {
        url.push('#');
        url.push_str(&escaped(&fragment, "-_.~$&+,/:;=?@!()*'"));
    }
    call.give(url)
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn urls_are_taken_apart_as_by_go() {
        check(
            r#"urlParse "http://admin:secret@server.com:8080/api?list=false#anchor""#,
            "map[fragment:anchor host:server.com:8080 hostname:server.com opaque: path:/api query:list=false scheme:http userinfo:admin:secret]",
        );
        check(
            r#"urlParse "mailto:a@b.c""#,
            "map[fragment: host: hostname: opaque:a@b.c path: query: scheme:mailto userinfo:]",
        );
        check(
            r#"urlParse "a/b?x=1""#,
            "map[fragment: host: hostname: opaque: path:a/b query:x=1 scheme: userinfo:]",
        );
        check(
            r#"urlParse "//host/p""#,
            "map[fragment: host:host hostname:host opaque: path:/p query: scheme: userinfo:]",
        );
        check(
            r#"urlParse "http://h/a%20b""#,
            "map[fragment: host:h hostname:h opaque: path:/a b query: scheme:http userinfo:]",
        );
        check(
            r#"urlParse "ghcr.io/acme/web:1.2""#,
            "map[fragment: host: hostname: opaque: path:ghcr.io/acme/web:1.2 query: scheme: userinfo:]",
        );
        check(r#"(urlParse "http://[::1]:80/x").hostname"#, "::1");
    }

    #[test]
    fn urls_are_put_together() {
        check(
            r#"urlJoin (dict "scheme" "http" "host" "host:80" "path" "/path" "query" "query" "fragment" "f" "userinfo" "u:p")"#,
            "http://u:p@host:80/path?query#f",
        );
        check(
            r#"urlJoin (dict "scheme" "http" "host" "h" "path" "a b")"#,
            "http://h/a%20b",
        );
        check(r#"urlJoin (dict "path" "/a")"#, "/a");
        check(r#"urlJoin (dict "path" "a:b")"#, "./a:b");
        check(
            r#"urlJoin (dict "scheme" "mailto" "opaque" "a@b")"#,
            "mailto:a@b",
        );
        check(r#"urlJoin (dict "scheme" "file" "path" "/a")"#, "file:///a");
        check(r#"urlJoin (dict "host" "h")"#, "//h");
        check("urlJoin (dict)", "");
    }
}
