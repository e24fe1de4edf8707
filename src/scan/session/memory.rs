//! What a conversation takes over from the last one with the same repository.

use reqwest::StatusCode;

use super::{Origin, Session, Standing};
use crate::{
    egress::{PlainHttp, Route},
    scan::{
        ScanError, Who,
        caller::{Caller, Reply},
        header::Challenge,
        reader,
        token::{Place, TokenRequest},
        wire::Wire,
    },
    secret::{Credential, Proof},
};

impl Session<'_> {
    /// Takes up what worked last time: the password that this registry asked for, or the token that
    /// is at hand for it. That saves the refusal.
    pub(super) fn recall(&mut self) {
        self.is_recalled = true;
        let Some(place) = self.place() else { return };
        let Some(challenge) = self.commons.tokens.challenge(&place) else {
            return;
        };
        let first = self.offers.front();
        let who = first.map_or(Who::Anonymous, |offer| Who::Entry(offer.entry.clone()));
        let credential = first.map(|offer| offer.credential.clone());
        let account = reader::account(credential.as_ref());
        let standing = match (&challenge, credential) {
            (Challenge::Basic, Some(credential)) => match credential.proof() {
                Proof::Basic { .. } => Some((credential, Origin::Given)),
                Proof::Bearer(_) | Proof::Refresh(_) => None,
            },
            (Challenge::Basic, None) => None,
            (Challenge::Bearer { .. }, credential) => {
                let token = self.token_at_hand(&challenge, credential.as_ref());
                token.map(|token| (token, Origin::Token(credential)))
            }
        };
        if let Some((credential, origin)) = standing {
            self.offers.pop_front();
            self.challenge = Some(challenge);
            self.standing = Some(Box::new(Standing {
                who,
                credential,
                origin,
                account,
            }));
        }
    }

    fn token_at_hand(
        &mut self,
        challenge: &Challenge,
        credential: Option<&Credential>,
    ) -> Option<Credential> {
        let Challenge::Bearer {
            realm,
            service,
            scope,
        } = challenge
        else {
            return None;
        };
        let path = self.repository.path();
        let request = TokenRequest::new(realm, service.clone(), scope.as_deref(), path).ok()?;
        let registry = self.check_realm(&request.realm, credential).ok()?;
        let proof = credential.map(Credential::proof);
        let key = request.key(self.commons.tenant, proof, &self.route, &registry);
        let token = self.commons.tokens.get(&key, Caller::moment())?;
        self.scope = Some(request.scope().to_owned());
        Some(token)
    }

    /// Keeps in mind what the registry asked for, and was content with.
    pub(super) fn remember(&self) {
        if let (Some(_), Some(challenge), Some(place)) =
            (&self.standing, &self.challenge, self.place())
            && self.commons.tokens.challenge(&place).as_ref() != Some(challenge)
        {
            self.commons.tokens.keep_challenge(place, challenge.clone());
        }
    }

    /// Whether this registry spoke no TLS a short while ago.
    pub(super) fn is_known_as_plain(&self) -> bool {
        let wire = self.wire();
        wire.is_some_and(|wire| self.commons.plain.contains(&wire))
    }

    /// Keeps in mind that a registry answers without TLS only, as long as it does.
    pub(super) fn learn_wire(&mut self, result: &Result<Reply, ScanError>) {
        if self.base.scheme() != "http" {
            return;
        }
        let is_over = match result {
            // So servers answer that meanwhile speak TLS.
            Ok(reply) => reply.status == StatusCode::BAD_REQUEST,
            Err(error) => matches!(error, ScanError::Egress { .. }),
        };
        let is_found = self.found_plain && result.is_ok();
        if !is_over && !is_found {
            return;
        }
        let Some(wire) = self.wire() else { return };
        if is_over {
            self.commons.plain.forget(&wire);
        } else {
            self.commons.plain.keep(wire);
            self.found_plain = false;
        }
    }

    fn wire(&self) -> Option<Wire> {
        Some(Wire {
            tenant: self.commons.tenant.into(),
            registry: self.registry.clone()?,
            route: Route {
                plain_http: PlainHttp::Refuse,
                ..self.route.clone()
            },
        })
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            tenant: self.commons.tenant.into(),
            registry: self.registry.clone()?,
            path: self.repository.path().into(),
            route: self.route.clone(),
        })
    }
}
