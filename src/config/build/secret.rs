//! `v1/Secret`: values, and references to values.

use base64::Engine as _;

use super::{Config, Document, Documents};
use crate::{
    config::{Fault, SecretSource, SecretValue},
    crd::SecretDocument,
    secret::Secret,
};

pub(super) fn build(documents: &mut Documents, config: &mut Config) {
    for (document, mut faults) in std::mem::take(&mut documents.secrets) {
        let source = read(&mut faults, &document);
        documents.secret_faults.insert(document.key.clone(), faults);
        config.secrets.insert(document.key, source);
    }
}

fn read(faults: &mut Vec<Fault>, document: &Document<SecretDocument>) -> SecretSource {
    let mut source = SecretSource {
        kind: document
            .value
            .secret_type
            .clone()
            .unwrap_or_else(|| "Opaque".to_owned()),
        values: std::collections::BTreeMap::new(),
        file: document.file.clone(),
    };
    if document.value.sops.is_some() {
        let message = format!("Secret `{}` is encrypted with SOPS", document.key);
        let hint = "give a document with `${env:NAME}` or `${file:PATH}` as values instead";
        document.fault(faults, "/sops", message, Some(hint));
        return source;
    }
    for (key, text) in document.value.data.iter().flatten() {
        let pointer = format!("/data/{}", key.replace('~', "~0").replace('/', "~1"));
        let joined = text.split_ascii_whitespace().collect::<String>();
        if let Ok(value) = base64::engine::general_purpose::STANDARD.decode(joined) {
            source
                .values
                .insert(key.clone(), SecretValue::Inline(Secret::new(value)));
        } else {
            let message = format!("`data.{key}` is not base64");
            let hint = "plain values belong under `stringData`";
            document.fault(faults, &pointer, message, Some(hint));
        }
    }
    for (key, text) in document.value.string_data.iter().flatten() {
        let pointer = format!("/stringData/{}", key.replace('~', "~0").replace('/', "~1"));
        match parse_value(text) {
            Ok(value) => {
                source.values.insert(key.clone(), value);
            }
            Err(message) => {
                let hint = "write `${env:NAME}` or `${file:PATH}`, and nothing around it";
                document.fault(faults, &pointer, message, Some(hint));
            }
        }
    }
    source
}

/// A value under `stringData`: `${env:NAME}`, `${file:PATH}`, or the text itself.
fn parse_value(text: &str) -> Result<SecretValue, String> {
    let Some(reference) = text.strip_prefix("${").and_then(|it| it.strip_suffix('}')) else {
        if text.contains("${env:") || text.contains("${file:") {
            return Err(
                "a reference stands alone, without text or line breaks around it".to_owned(),
            );
        }
        return Ok(SecretValue::Inline(Secret::new(text.as_bytes().to_vec())));
    };
    match reference.split_once(':') {
        Some(("env", name)) if !name.is_empty() => Ok(SecretValue::Environment(name.to_owned())),
        Some(("file", path)) if !path.is_empty() => Ok(SecretValue::File(path.to_owned())),
        _ => Err("this is no reference to a value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_values() {
        let inline = |text: &str| Ok(SecretValue::Inline(Secret::new(text.as_bytes().to_vec())));
        let check = |text: &str, expected| assert_eq!(parse_value(text), expected, "{text}");
        check("${env:TOKEN}", Ok(SecretValue::Environment("TOKEN".into())));
        check(
            "${file:token.txt}",
            Ok(SecretValue::File("token.txt".into())),
        );
        check("plain", inline("plain"));
        check("costs $5 {a}", inline("costs $5 {a}"));
        let alone =
            || Err("a reference stands alone, without text or line breaks around it".into());
        check("a ${env:TOKEN}", alone());
        check("${env:TOKEN}\n", alone());
        check("${vault:x}", Err("this is no reference to a value".into()));
        check("${env:}", Err("this is no reference to a value".into()));
    }
}
