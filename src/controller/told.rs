//! Errors in one sentence, as conditions have room for.

use crate::error::Class;

/// An error with its causes and what to do about it.
pub(super) fn sentence(error: &dyn std::error::Error, hint: Option<String>) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    match hint {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}

/// What kind of trouble an answer of the API server is.
pub(super) fn class(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) => match status.code {
            401 | 403 => Class::Denied,
            409 => Class::Conflict,
            400 | 404 | 422 => Class::Config,
            _ => Class::Transient,
        },
        _ => Class::Transient,
    }
}

/// The time as objects have it: to the second, in UTC.
pub(super) fn time(now: chrono::DateTime<chrono::Utc>) -> String {
    now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
