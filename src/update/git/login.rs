//! How we log in to a remote: with nothing, a fixed credential, a key, or what a provider gives.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use url::Url;

use crate::{
    egress::{Egress, EgressError, Route, ssh::SshLogin},
    error::Class,
    secret::Credential,
};

/// A token is replaced when so much of its life is left, or half of it where it is shorter.
const MARGIN: Duration = Duration::from_mins(5);
/// How many tokens are kept.
const MAX_TOKENS: usize = 1_000;

/// How we log in.
#[derive(Clone, Debug, Default, Hash)]
pub enum Login {
    /// Not at all.
    #[default]
    Anonymous,
    /// With a credential that stays what it is.
    Fixed(Credential),
    /// With a key, to an ssh server.
    Ssh(SshLogin),
    /// With tokens that somebody else gives, for a while.
    Provided(Provided),
}

/// A shared provider; two are equal when they give tokens for the same identity.
#[derive(Clone, Debug)]
pub struct Provided(Arc<dyn GitProvider>);

/// Gives tokens that open Git remotes: a GitHub App, or the identity that a cloud gives us.
pub trait GitProvider: fmt::Debug + Send + Sync {
    /// What tells this identity from every other, tenants included; the digest of what it is made
    /// of, never a secret.
    fn identity(&self) -> [u8; 32];

    /// Asks for a new token.
    fn token<'a>(&'a self, ask: Ask<'a>) -> Asking<'a>;
}

/// A token on its way.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Token, ProviderError>> + Send + 'a>>;

/// What a provider asks with.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The way out.
    pub egress: &'a Egress,
    /// The certificates and the proxy of the remote.
    pub route: &'a Route,
    /// The remote.
    pub remote: &'a Url,
    /// When the answer must be there.
    pub deadline: Instant,
}

/// A credential with an end.
#[derive(Clone, Debug)]
pub struct Token {
    /// The credential.
    pub credential: Credential,
    /// How long it is good for.
    pub lifetime: Duration,
}

/// Why a provider gives no token.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// There was no answer.
    #[error("cannot ask `{place}` for a token")]
    Unreachable {
        /// The host and port.
        place: String,
        /// The cause.
        source: EgressError,
    },
    /// The provider refused.
    #[error("`{place}` gives no token: {reason}")]
    Refused {
        /// The host and port.
        place: String,
        /// The status and what it said.
        reason: String,
        /// Whether asking again later may help.
        class: Class,
    },
    /// Who we are gives us none.
    #[error("found no log-in by the identity of {whose}")]
    Identity {
        /// The cloud.
        whose: String,
        /// What kind of trouble this is.
        class: Class,
        /// What a person may do about it.
        hint: Option<String>,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What we ask with is not fit.
    #[error("cannot ask for a token: {0}")]
    Unfit(String),
}

impl ProviderError {
    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { source, .. } if source.is_transient() => Class::Transient,
            Self::Unreachable { .. } | Self::Unfit(_) => Class::Config,
            Self::Refused { class, .. } | Self::Identity { class, .. } => *class,
        }
    }

    /// What a person may do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Identity { hint, .. } => hint.as_deref(),
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Unfit(_) => None,
        }
    }
}

impl Login {
    /// The login by a provider.
    pub fn provided(provider: impl GitProvider + 'static) -> Self {
        Self::Provided(Provided(Arc::new(provider)))
    }
}

impl Provided {
    /// Asks for a new token.
    pub fn ask<'a>(&'a self, ask: Ask<'a>) -> Asking<'a> {
        self.0.token(ask)
    }
}

impl Hash for Provided {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.identity().hash(state);
    }
}

/// The tokens that are still good, by identity.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<[u8; 32], Kept>>);

#[derive(Debug)]
struct Kept {
    credential: Credential,
    until: Instant,
}

impl Tokens {
    /// A credential that is good for a while: one that is kept, or a new one.
    pub(super) async fn credential(
        &self,
        provided: &Provided,
        ask: Ask<'_>,
        now: Instant,
    ) -> Result<Credential, ProviderError> {
        let identity = provided.0.identity();
        if let Some(kept) = self.lock().get(&identity)
            && kept.until > now
        {
            return Ok(kept.credential.clone());
        }
        let Token {
            credential,
            lifetime,
        } = provided.0.token(ask).await?;
        let margin = MARGIN.min(lifetime / 2);
        let kept = Kept {
            credential: credential.clone(),
            until: now + lifetime.saturating_sub(margin),
        };
        let mut tokens = self.lock();
        if tokens.len() >= MAX_TOKENS {
            tokens.retain(|_, kept| kept.until > now);
        }
        if tokens.len() < MAX_TOKENS {
            tokens.insert(identity, kept);
        }
        Ok(credential)
    }

    /// Forgets a token that was refused: it may have been taken back before its end.
    pub(super) fn forget(&self, provided: &Provided) {
        self.lock().remove(&provided.0.identity());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Kept>> {
        // The map is complete whenever the lock is free, even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::secret::{Proof, Secret};

    use super::*;

    #[derive(Debug)]
    struct Counting {
        identity: u8,
        lifetime: Duration,
        asked: Arc<AtomicUsize>,
    }

    impl GitProvider for Counting {
        fn identity(&self) -> [u8; 32] {
            [self.identity; 32]
        }

        fn token<'a>(&'a self, _: Ask<'a>) -> Asking<'a> {
            Box::pin(async move {
                let count = self.asked.fetch_add(1, Ordering::Relaxed);
                let proof = Proof::Bearer(Secret::new(format!("token {count}")));
                let authority = "git.test".parse().expect("an authority");
                Ok(Token {
                    credential: Credential::new(proof, authority),
                    lifetime: self.lifetime,
                })
            })
        }
    }

    #[tokio::test]
    async fn a_token_is_kept_until_shortly_before_its_end() {
        let check = async |lifetime: u64, waited: u64, expected: usize| {
            let asked = Arc::new(AtomicUsize::new(0));
            let provider = |identity| {
                Provided(Arc::new(Counting {
                    identity,
                    lifetime: Duration::from_secs(lifetime),
                    asked: Arc::clone(&asked),
                }))
            };
            let (tokens, egress, route) = (Tokens::default(), Egress::new(), Route::default());
            let remote = Url::parse("https://git.test/x").expect("an address");
            let ask = || Ask {
                egress: &egress,
                route: &route,
                remote: &remote,
                deadline: Instant::now(),
            };
            let take = async |identity, now| {
                let taken = tokens.credential(&provider(identity), ask(), now).await;
                taken.expect("a token");
            };
            let now = Instant::now();
            let later = now + Duration::from_secs(waited);
            take(1, now).await;
            take(1, later).await;
            let found = asked.load(Ordering::Relaxed);
            assert_eq!(found, expected, "{lifetime} s, after {waited} s");
            take(2, later).await;
            let other = asked.load(Ordering::Relaxed);
            assert_eq!(other, expected + 1, "another identity has its own");
            tokens.forget(&provider(1));
            take(1, later).await;
            assert_eq!(asked.load(Ordering::Relaxed), expected + 2, "forgotten");
        };
        check(3600, 0, 1).await;
        check(3600, 3299, 1).await;
        check(3600, 3301, 2).await;
        check(60, 29, 1).await;
        check(60, 31, 2).await;
        check(0, 0, 2).await;
    }
}
