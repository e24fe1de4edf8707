//! The public keys that images have to be signed by one of.

use super::{AccessError, Vault, unfit};
use crate::{config::ObjectKey, scan::TrustedKeys, secret::SecretRecord};

/// How the names of public keys end, as in Flux.
const PUBLIC: &str = ".pub";

/// The public keys of a Secret: its values whose names end in `.pub`. Nothing where none are named.
///
/// # Errors
///
/// When the Secret is missing, has no such value, or one that is no public key.
pub async fn trusted_keys(
    vault: &impl Vault,
    secret: Option<&ObjectKey>,
) -> Result<Option<TrustedKeys>, AccessError> {
    let Some(key) = secret else { return Ok(None) };
    read(key, &vault.open(key).await?).map(Some)
}

fn read(key: &ObjectKey, record: &SecretRecord) -> Result<TrustedKeys, AccessError> {
    let mut keys = TrustedKeys::default();
    for (name, value) in &record.values {
        if name.ends_with(PUBLIC) {
            let added = keys.add(name, value.expose());
            added.map_err(|fault| unfit(key, &format!("`{name}`: {fault}")))?;
        }
    }
    if keys.is_empty() {
        return Err(unfit(
            key,
            "it holds no public key under a name that ends in `.pub`",
        ));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_values_with_names_that_end_in_pub() {
        let key = ObjectKey {
            namespace: "apps".to_owned(),
            name: "cosign-keys".to_owned(),
        };
        let check = |values: &[(&str, &str)], expected: Result<(), &str>| {
            let values = values.iter().map(|(name, text)| {
                let value = Secret::new(text.as_bytes().to_vec());
                ((*name).to_owned(), value)
            });
            let record = SecretRecord {
                kind: "Opaque".to_owned(),
                values: values.collect(),
            };
            let found = read(&key, &record).map(|keys| assert!(!keys.is_empty()));
            let found = found.map_err(|error| error.to_string());
            let expected = expected
                .map_err(|reason| format!("cannot use Secret `apps/cosign-keys`: {reason}"));
            assert_eq!(found, expected);
        };
        check(&[("cosign.pub", KEY)], Ok(()));
        check(
            &[("old.pub", KEY), ("new.pub", KEY), ("cosign.key", "?")],
            Ok(()),
        );
        let none = "it holds no public key under a name that ends in `.pub`";
        check(&[], Err(none));
        check(&[("cosign.key", KEY)], Err(none));
        let no_key = "`cosign.pub`: it is no public key in PEM (`BEGIN PUBLIC KEY`)";
        check(&[("cosign.pub", ""), ("old.pub", KEY)], Err(no_key));
        check(
            &[("cosign.pub", &KEY.replace("PUBLIC", "PRIVATE"))],
            Err(no_key),
        );
        let several = "`cosign.pub`: it holds several keys; give each a name of its own";
        check(&[("cosign.pub", &KEY.repeat(2))], Err(several));
    }
}
