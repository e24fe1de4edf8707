//! Routes from secrets: certificates and proxies, in the forms that Flux accepts.

use url::Url;

use super::{Proxy, Route};
use crate::{
    error::Class,
    secret::{Secret, SecretRecord},
};

/// The longest address of a proxy.
const MAX_ADDRESS: usize = 2048;

/// Why a secret gives no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// One half of a client certificate is missing.
    #[error("the certificate secret has `{found}` without `{missing}`")]
    HalfPair {
        /// The key that is there.
        found: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// The secret holds neither a client certificate nor a CA.
    #[error("the certificate secret has neither `ca.crt` nor `tls.crt` with `tls.key`")]
    NoCertificate,
    /// A value is no PEM.
    #[error("`{0}` in the certificate secret is no PEM")]
    NotPem(&'static str),
    /// The proxy's address is missing, or none that can be used.
    #[error("`address` in the proxy secret is no http, https or socks5 address")]
    ProxyAddress,
}

impl RouteError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        Class::Config
    }
}

impl Route {
    /// The same way, with the certificates of a secret: `ca.crt`, and `tls.crt` with `tls.key`.
    ///
    /// The older keys `caFile`, `certFile` and `keyFile` are read where the new ones are missing.
    pub fn with_certificates(mut self, record: &SecretRecord) -> Result<Self, RouteError> {
        let ca = pem(record, "ca.crt", "caFile")?;
        let certificate = pem(record, "tls.crt", "certFile")?;
        let key = pem(record, "tls.key", "keyFile")?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let pair = [certificate, b"\n", key].concat();
                self.client_certificate = Some(Secret::new(pair));
            }
            (Some(_), None) => {
                return Err(RouteError::HalfPair {
                    found: "tls.crt",
                    missing: "tls.key",
                });
            }
            (None, Some(_)) => {
                return Err(RouteError::HalfPair {
                    found: "tls.key",
                    missing: "tls.crt",
                });
            }
            (None, None) if ca.is_none() => return Err(RouteError::NoCertificate),
            (None, None) => {}
        }
        if let Some(ca) = ca {
            self.certificate_authority = Some(ca.to_vec());
        }
        Ok(self)
    }

    /// The same way, through the proxy of a secret: `address`, and `username` with `password`.
    pub fn with_proxy(mut self, record: &SecretRecord) -> Result<Self, RouteError> {
        let text = record.text("address").ok_or(RouteError::ProxyAddress)?;
        let address = Url::parse(text.trim()).map_err(|_| RouteError::ProxyAddress)?;
        let is_good = matches!(address.scheme(), "http" | "https" | "socks5")
            && address.has_host()
            && address.username().is_empty()
            && address.password().is_none()
            && text.len() <= MAX_ADDRESS;
        if !is_good {
            return Err(RouteError::ProxyAddress);
        }
        let username = record.text("username").map(str::to_owned);
        let password = record.text("password").map(str::to_owned);
        self.proxy = Proxy::Fixed {
            address,
            password: username.as_ref().and(password).map(Secret::new),
            username,
        };
        Ok(self)
    }
}

fn pem<'r>(
    record: &'r SecretRecord,
    key: &'static str,
    legacy: &'static str,
) -> Result<Option<&'r [u8]>, RouteError> {
    let value = |key| {
        record
            .values
            .get(key)
            .map(|value| value.expose().as_slice())
    };
    let found = value(key).or_else(|| {
        let found = value(legacy)?;
        tracing::warn!(key = legacy, "a certificate secret uses an old key");
        Some(found)
    });
    match found {
        Some(text) if memchr::memmem::find(text, b"-----BEGIN ").is_none() => {
            Err(RouteError::NotPem(key))
        }
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(values: &[(&str, &str)]) -> SecretRecord {
        let values = values.iter();
        SecretRecord {
            kind: "Opaque".to_owned(),
            values: values
                .map(|(key, value)| ((*key).to_owned(), Secret::new(value.as_bytes().to_vec())))
                .collect(),
        }
    }

    #[test]
    fn certificates_come_in_pairs_or_with_a_ca() {
        let check = |keys: &[&str], expected: Result<(bool, bool), RouteError>| {
            let values: Vec<_> = keys.iter().map(|key| (*key, "-----BEGIN X")).collect();
            let route = Route::default().with_certificates(&record(&values));
            let found = route.map(|route| {
                (
                    route.certificate_authority.is_some(),
                    route.client_certificate.is_some(),
                )
            });
            assert_eq!(found, expected, "{keys:?}");
        };
        check(&["ca.crt"], Ok((true, false)));
        check(&["tls.crt", "tls.key"], Ok((false, true)));
        check(&["tls.crt", "tls.key", "ca.crt"], Ok((true, true)));
        check(&["certFile", "keyFile", "caFile"], Ok((true, true)));
        check(&["tls.crt", "keyFile"], Ok((false, true)));
        check(&[], Err(RouteError::NoCertificate));
        let half = |found, missing| Err(RouteError::HalfPair { found, missing });
        check(&["tls.crt", "ca.crt"], half("tls.crt", "tls.key"));
        check(&["tls.key"], half("tls.key", "tls.crt"));
        let route = Route::default().with_certificates(&record(&[("ca.crt", "x")]));
        assert_eq!(route, Err(RouteError::NotPem("ca.crt")));
        let both = record(&[("ca.crt", "-----BEGIN new"), ("caFile", "-----BEGIN old")]);
        let route = Route::default().with_certificates(&both).expect("a route");
        let ca = route.certificate_authority.expect("a ca");
        assert_eq!(ca, b"-----BEGIN new", "the new key wins");
    }

    #[test]
    fn a_proxy_has_an_address_without_credentials_in_it() {
        let check = |address: &str, good: bool| {
            let route = Route::default().with_proxy(&record(&[("address", address)]));
            assert_eq!(route.is_ok(), good, "{address}");
        };
        check("http://proxy.test:3128", true);
        check("https://proxy.test", true);
        check("socks5://proxy.test:1080", true);
        check("ftp://proxy.test", false);
        check("proxy.test:3128", false);
        check("http://u:p@proxy.test", false);
        check("", false);
        check(&format!("http://proxy.test/{}", "x".repeat(2048)), false);
    }

    #[test]
    fn a_proxy_password_needs_a_user_name() {
        let check = |values: &[(&str, &str)], expected: (bool, bool)| {
            let mut values = values.to_vec();
            values.push(("address", "http://proxy.test"));
            let route = Route::default()
                .with_proxy(&record(&values))
                .expect("a route");
            let Proxy::Fixed {
                username, password, ..
            } = route.proxy
            else {
                panic!("a proxy was given");
            };
            assert_eq!((username.is_some(), password.is_some()), expected);
        };
        check(&[("username", "u"), ("password", "p")], (true, true));
        check(&[("username", "u")], (true, false));
        check(&[("password", "p")], (false, false));
    }
}
