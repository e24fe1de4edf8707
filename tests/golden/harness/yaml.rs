//! A second opinion on edited files, by a parser that the program does not use.

use yaml_rust2::{Yaml, YamlLoader};

/// Checks that two files differ in scalars and in added keys only, and that what stands there now is
/// text.
///
/// A file that this parser does not accept before the edit proves nothing either way.
pub(crate) fn only_texts_differ(old: &[u8], new: &[u8], adds: &[String]) -> Result<(), String> {
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .trim_start_matches('\u{feff}')
            .to_owned()
    };
    let Ok(old) = YamlLoader::load_from_str(&text(old)) else {
        return Ok(());
    };
    let new = YamlLoader::load_from_str(&text(new))
        .map_err(|error| format!("no YAML any more: {error}"))?;
    if old.len() != new.len() {
        return Err("the number of documents changed".to_owned());
    }
    old.iter()
        .zip(&new)
        .try_for_each(|(old, new)| compare(old, &without(adds, old, new), "$"))
}

/// `new` without the texts under the keys `adds` that `old` does not have.
fn without(adds: &[String], old: &Yaml, new: &Yaml) -> Yaml {
    match (old, new) {
        (Yaml::Hash(old), Yaml::Hash(new)) => {
            let is_added = |key: &Yaml, value: &Yaml| {
                let key_is = |added: &String| key.as_str() == Some(added);
                !old.contains_key(key) && adds.iter().any(key_is) && value.as_str().is_some()
            };
            let kept = new.iter().filter(|(key, value)| !is_added(key, value));
            let kept = kept.map(|(key, value)| {
                let value = match old.get(key) {
                    Some(old) => without(adds, old, value),
                    None => value.clone(),
                };
                (key.clone(), value)
            });
            Yaml::Hash(kept.collect())
        }
        (Yaml::Array(old), Yaml::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new);
            Yaml::Array(pairs.map(|(old, new)| without(adds, old, new)).collect())
        }
        _ => new.clone(),
    }
}

fn compare(old: &Yaml, new: &Yaml, path: &str) -> Result<(), String> {
    match (old, new) {
        (Yaml::Hash(old), Yaml::Hash(new)) if old.len() == new.len() => old
            .iter()
            .zip(new)
            .try_for_each(|((old_key, old), (new_key, new))| {
                if old_key != new_key {
                    return Err(format!("{path}: a key changed"));
                }
                compare(
                    old,
                    new,
                    &format!("{path}.{}", old_key.as_str().unwrap_or("?")),
                )
            }),
        (Yaml::Array(old), Yaml::Array(new)) if old.len() == new.len() => old
            .iter()
            .zip(new)
            .try_for_each(|(old, new)| compare(old, new, &format!("{path}[]"))),
        _ if old == new => Ok(()),
        (Yaml::Hash(_) | Yaml::Array(_), _) => Err(format!("{path}: a collection changed")),
        (_, Yaml::String(_)) => Ok(()),
        _ => Err(format!("{path}: the new value is not read as text")),
    }
}
