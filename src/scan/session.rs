//! One conversation with a registry: which scheme it speaks, who we are to it, and when to try again.

mod memory;

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use reqwest::{Method, StatusCode, header::CONTENT_ENCODING};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    Access, Complaint, RealmFault, ScanError, Who,
    budget::{Account, Budgets},
    caller::{Caller, Content, Reply, Request, Unreachable, complaint_of},
    header::{self, Challenge},
    keychain::Offer,
    limits::{LONGEST_SCAN, Limits},
    place::is_local,
    reader,
    token::{TokenRequest, Tokens, read_reply},
    wire::PlainWires,
};
use crate::{
    egress::{Egress, EgressError, PlainHttp, Route, is_internal, one_line},
    image::Repository,
    secret::{Authority, Credential, Proof},
};

/// What is asked of the registry.
#[derive(Debug)]
pub(super) struct Ask<'t> {
    /// GET or HEAD.
    pub(super) method: Method,
    /// The path and query.
    pub(super) target: &'t str,
    /// The media types that are understood.
    pub(super) accept: &'static str,
    /// The most that is read of the answer.
    pub(super) limit: usize,
    /// The state of the answer that is known already; the answer may be that it is still the same.
    pub(super) known: Option<&'t str>,
    /// Whether the answer is verified by its digest.
    pub(super) content: Content,
}

/// What all conversations of one tenant share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commons<'a> {
    pub(super) egress: &'a Egress,
    pub(super) tokens: &'a Tokens,
    pub(super) plain: &'a PlainWires,
    pub(super) budgets: &'a Budgets,
    pub(super) tenant: &'a str,
    pub(super) limits: Limits,
}

/// One conversation, with one deadline.
#[derive(Debug)]
pub(super) struct Session<'a> {
    caller: Caller<'a>,
    commons: Commons<'a>,
    repository: &'a Repository,
    /// The registry's place, by the port of TLS.
    registry: Option<Authority>,
    route: Route,
    base: Url,
    /// The address without TLS, where that may still be tried.
    fallback: Option<Url>,
    /// Whether this conversation was the one that offered TLS in vain.
    found_plain: bool,
    challenge: Option<Challenge>,
    /// The rights that a token was asked for last.
    scope: Option<String>,
    offers: VecDeque<Offer>,
    /// Whether what worked last time was looked up.
    is_recalled: bool,
    /// Nothing as long as nothing was asked of us.
    standing: Option<Box<Standing>>,
}

/// Who we are to the registry.
#[derive(Debug)]
struct Standing {
    who: Who,
    /// What is sent with every request.
    credential: Credential,
    origin: Origin,
    /// Whose allowance a request counts against.
    account: Account,
}

/// Where what is sent comes from.
#[derive(Debug)]
enum Origin {
    /// From the keychain.
    Given,
    /// From the token service, for this credential or for nobody's.
    Token(Option<Credential>),
}

/// What became of an attempt to prove who we are.
enum Proving {
    Done(Box<Standing>),
    Refused(Option<Complaint>),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        commons: Commons<'a>,
        repository: &'a Repository,
        image: String,
        access: &Access,
    ) -> Result<Self, ScanError> {
        let host = repository.host();
        let address = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/")).map_err(|_| ScanError::Egress {
                image: image.clone(),
                source: EgressError::Refused {
                    url: format!("{scheme}://{host}/"),
                    reason: "it is no address",
                },
            })
        };
        let timeout = access.timeout.min(LONGEST_SCAN);
        let base = address("https")?;
        let plain = access.route.plain_http == PlainHttp::Allow || is_local(&base);
        let fallback = if plain { Some(address("http")?) } else { None };
        let mut session = Self {
            caller: Caller {
                egress: commons.egress,
                budgets: commons.budgets,
                image,
                deadline: Instant::now() + timeout,
                timeout,
                request_time: commons.limits.request_time,
            },
            commons,
            repository,
            registry: Authority::of(&base),
            route: Route {
                plain_http: PlainHttp::Refuse,
                ..access.route.clone()
            },
            base,
            fallback: None,
            found_plain: false,
            challenge: None,
            scope: None,
            offers: access.keychain.candidates(repository).into(),
            is_recalled: false,
            standing: None,
        };
        match fallback {
            Some(plain) if session.is_known_as_plain() => session.speak_plainly(plain),
            fallback => session.fallback = fallback,
        }
        Ok(session)
    }

    /// Makes a request, as whoever the registry accepts.
    ///
    /// Nothing is proven before it is asked for. The credentials are tried in turn; only where
    /// there is none is a token asked for as anonymous.
    pub(super) async fn fetch(&mut self, ask: &Ask<'_>) -> Result<Reply, ScanError> {
        let mut renewed = false;
        if !self.is_recalled {
            self.recall();
        }
        loop {
            let reply = self.ask_once(ask).await?;
            match reply.status {
                status if status.is_success() => {
                    self.remember();
                    return self.legible(reply);
                }
                StatusCode::NOT_MODIFIED if ask.known.is_some() => return Ok(reply),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                    if !renewed && self.renew(&reply).await? =>
                {
                    renewed = true;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.prove(reply).await?,
                // Some registries hide from strangers what they would show to a friend.
                StatusCode::NOT_FOUND if self.may_be_hidden() => self.prove(reply).await?,
                _ => return Err(self.failure(&reply)),
            }
        }
    }

    pub(super) fn host(&self) -> &str {
        self.base.authority()
    }

    /// How many tags a page may be asked to hold, where this registry refused more.
    pub(super) fn page_size(&self) -> Option<usize> {
        let authority = Authority::of(&self.base)?;
        self.commons.budgets.page_size(&authority)
    }

    /// Remembers how many tags a page of this registry may be asked to hold.
    pub(super) fn keep_page_size(&self, size: usize) {
        if let Some(authority) = Authority::of(&self.base) {
            self.commons.budgets.keep_page_size(&authority, size);
        }
    }

    /// The error of a registry that says that nothing has changed, to somebody who knows nothing.
    pub(super) fn nothing_to_be_same(&self) -> ScanError {
        ScanError::Malformed {
            image: self.caller.image.clone(),
            host: self.host().to_owned(),
            reason: "it is said to be unchanged, and was never seen".to_owned(),
        }
    }

    /// Refuses a body that is packed in a way that we did not offer to unpack.
    fn legible(&self, reply: Reply) -> Result<Reply, ScanError> {
        match reply.headers.get(CONTENT_ENCODING) {
            Some(encoding) if encoding != "identity" && !reply.body.is_empty() => {
                Err(ScanError::Malformed {
                    image: self.caller.image.clone(),
                    host: self.host().to_owned(),
                    reason: format!("its encoding is `{}`", one_line(encoding.as_bytes())),
                })
            }
            _ => Ok(reply),
        }
    }

    fn may_be_hidden(&self) -> bool {
        self.standing.is_none() && !self.offers.is_empty()
    }

    async fn ask_once(&mut self, ask: &Ask<'_>) -> Result<Reply, ScanError> {
        loop {
            let credential = self.standing.as_ref().map(|it| &it.credential);
            let who = self.who();
            let request = Request {
                method: ask.method.clone(),
                url: self.url(ask.target)?,
                accept: ask.accept,
                credential,
                form: None,
                limit: ask.limit,
                known: ask.known,
                content: ask.content,
                who: &who,
                account: self.standing.as_ref().and_then(|it| it.account),
            };
            let unreachable = match &self.fallback {
                Some(_) => Unreachable::GiveUp,
                None => Unreachable::TryAgain,
            };
            let result = self.caller.patiently(&self.route, &request, unreachable);
            let result = result.await;
            match (result, self.fallback.take()) {
                (Err(ScanError::Egress { source, .. }), Some(plain)) if has_no_tls(&source) => {
                    self.speak_plainly(plain);
                    self.found_plain = true;
                }
                (result, _) => {
                    self.learn_wire(&result);
                    return result;
                }
            }
        }
    }

    /// Goes on without TLS, which somebody allowed for this host.
    fn speak_plainly(&mut self, plain: Url) {
        if let Some(authority) = Authority::of(&plain) {
            for offer in &mut self.offers {
                offer.credential = offer.credential.clone().also_for(authority.clone());
            }
        }
        self.base = plain;
        self.route.plain_http = PlainHttp::Allow;
        if self.standing.is_none() {
            self.recall();
        }
    }

    fn url(&self, target: &str) -> Result<Url, ScanError> {
        let refused = |reason| ScanError::Egress {
            image: self.caller.image.clone(),
            source: EgressError::Refused {
                url: one_line(target.as_bytes()),
                reason,
            },
        };
        let url = self.base.join(target);
        let url = url.map_err(|_| refused("it is no address"))?;
        // `a/../b` is a repository by its grammar, and another one by the grammar of URLs.
        let path = target.split('?').next().unwrap_or(target);
        if url.path() == path && url.authority() == self.base.authority() {
            Ok(url)
        } else {
            Err(refused("its path means another place"))
        }
    }

    /// Gets a new token where the registry no longer takes the old one.
    async fn renew(&mut self, reply: &Reply) -> Result<bool, ScanError> {
        let Some(standing) = &self.standing else {
            return Ok(false);
        };
        let Origin::Token(credential) = &standing.origin else {
            return Ok(false);
        };
        let (who, credential) = (standing.who.clone(), credential.clone());
        let stale = standing.credential.clone();
        if let Some(challenge) = header::challenge(&reply.headers) {
            self.challenge = Some(challenge);
        }
        match self.obtain(who, credential, Some(stale)).await? {
            Proving::Done(standing) => {
                self.standing = Some(standing);
                Ok(true)
            }
            Proving::Refused(_) => Ok(false),
        }
    }

    /// Takes the next credential that the registry's challenge can be answered with.
    async fn prove(&mut self, refusal: Reply) -> Result<(), ScanError> {
        if let Some(challenge) = header::challenge(&refusal.headers) {
            self.challenge = Some(challenge);
        } else if self.challenge.is_none() && !self.offers.is_empty() {
            self.challenge = self.ping().await?;
        }
        let Some(challenge) = self.challenge.clone() else {
            return Err(self.failure(&refusal));
        };
        let mut said = None;
        let mut who = self.who();
        while let Some(offer) = self.offers.pop_front() {
            who = Who::Entry(offer.entry);
            match self
                .answer(&challenge, who.clone(), offer.credential)
                .await?
            {
                Proving::Done(standing) => {
                    self.standing = Some(standing);
                    return Ok(());
                }
                Proving::Refused(complaint) => said = complaint,
            }
        }
        let is_stranger = self.standing.is_none() && who == Who::Anonymous;
        if is_stranger && matches!(challenge, Challenge::Bearer { .. }) {
            match self.obtain(Who::Anonymous, None, None).await? {
                Proving::Done(standing) => {
                    self.standing = Some(standing);
                    return Ok(());
                }
                Proving::Refused(complaint) => said = complaint,
            }
        }
        if refusal.status == StatusCode::NOT_FOUND {
            return Err(self.failure(&refusal));
        }
        Err(ScanError::Denied {
            image: self.caller.image.clone(),
            host: self.host().to_owned(),
            who,
            source: said.or_else(|| complaint_of(&refusal.body, self.sent())),
        })
    }

    /// Asks the registry's root how it wants to be answered.
    async fn ping(&mut self) -> Result<Option<Challenge>, ScanError> {
        let ask = Ask {
            method: Method::GET,
            target: "/v2/",
            accept: "*/*",
            limit: self.commons.limits.token_bytes,
            known: None,
            content: Content::Believed,
        };
        let reply = self.ask_once(&ask).await?;
        Ok(header::challenge(&reply.headers))
    }

    async fn answer(
        &mut self,
        challenge: &Challenge,
        who: Who,
        credential: Credential,
    ) -> Result<Proving, ScanError> {
        match (credential.proof(), challenge) {
            (Proof::Bearer(_), _) | (Proof::Basic { .. }, Challenge::Basic) => {
                Ok(Proving::Done(Box::new(Standing {
                    who,
                    account: reader::account(Some(&credential)),
                    credential,
                    origin: Origin::Given,
                })))
            }
            (Proof::Refresh(_), Challenge::Basic) => Ok(Proving::Refused(Some(Complaint(
                "a password is wanted, and the credential is an identity token".to_owned(),
            )))),
            (_, Challenge::Bearer { .. }) => self.obtain(who, Some(credential), None).await,
        }
    }

    /// Gets a token for the challenge at hand; another one than `stale`, which was refused.
    async fn obtain(
        &mut self,
        who: Who,
        credential: Option<Credential>,
        stale: Option<Credential>,
    ) -> Result<Proving, ScanError> {
        let Some(Challenge::Bearer {
            realm,
            service,
            scope,
        }) = &self.challenge
        else {
            return Ok(Proving::Refused(None));
        };
        let path = self.repository.path();
        let mut request = TokenRequest::new(realm, service.clone(), scope.as_deref(), path)
            .map_err(|reason| self.realm_not_allowed(&one_line(realm.as_bytes()), reason))?;
        if let (Some(earlier), Some(_)) = (&self.scope, &stale) {
            request = request.widened(earlier);
        }
        self.scope = Some(request.scope().to_owned());
        let registry = self.check_realm(&request.realm, credential.as_ref())?;
        let key = request.key(
            self.commons.tenant,
            credential.as_ref().map(Credential::proof),
            &self.route,
            &registry,
        );
        let tokens = self.commons.tokens;
        let turn = tokens.turn(&key);
        let _turn = timeout_at(self.caller.deadline, turn.lock())
            .await
            .map_err(|_| self.caller.timed_out())?;
        let known = tokens.get(&key, Caller::moment());
        let token = match known.filter(|known| Some(known) != stale.as_ref()) {
            Some(token) => token,
            None => match self.exchange(&request, &who, credential.as_ref()).await? {
                Exchanged::Token(proof, life) => {
                    let token = Credential::new(proof, registry);
                    tokens.put(key, token.clone(), life, Caller::moment());
                    token
                }
                Exchanged::Refused(complaint) => return Ok(Proving::Refused(complaint)),
            },
        };
        Ok(Proving::Done(Box::new(Standing {
            who,
            account: reader::account(credential.as_ref()),
            credential: token,
            origin: Origin::Token(credential),
        })))
    }

    /// Refuses a token service that the registry, or the credential, has no business with; gives
    /// the place that its tokens are for.
    fn check_realm(
        &self,
        realm: &Url,
        credential: Option<&Credential>,
    ) -> Result<Authority, ScanError> {
        let fault = |reason| {
            let mut shown = realm.clone();
            shown.set_query(None);
            Err(self.realm_not_allowed(shown.as_str(), reason))
        };
        let (Some(ours), Some(theirs)) = (Authority::of(&self.base), Authority::of(realm)) else {
            return fault(RealmFault::NoAddress);
        };
        if realm.scheme() == "http" && self.base.scheme() != "http" {
            return fault(RealmFault::Unencrypted);
        }
        match credential {
            Some(credential) if !credential.is_for(&theirs) => fault(RealmFault::Foreign),
            None if ours != theirs && is_internal(realm) && !is_internal(&self.base) => {
                fault(RealmFault::Local)
            }
            _ => Ok(ours),
        }
    }

    async fn exchange(
        &self,
        request: &TokenRequest,
        who: &Who,
        credential: Option<&Credential>,
    ) -> Result<Exchanged, ScanError> {
        let mut route = self.route.clone();
        let realm = Authority::of(&request.realm);
        let vouched = credential.is_some() || realm == Authority::of(&self.base);
        if !vouched {
            // Who names a stranger as its token service does not get to show it our certificate.
            route.client_certificate = None;
        }
        let refresh = credential.and_then(|credential| match credential.proof() {
            Proof::Refresh(token) => Some(request.refresh_form(token)),
            _ => None,
        });
        let mut call = Request {
            method: Method::GET,
            url: request.address(),
            accept: "application/json",
            credential,
            form: None,
            limit: self.commons.limits.token_bytes,
            known: None,
            content: Content::Believed,
            who,
            account: reader::account(credential),
        };
        if let Some(form) = &refresh {
            call.method = Method::POST;
            call.url = request.realm.clone();
            call.credential = None;
            call.form = Some(Bytes::copy_from_slice(form.expose().as_bytes()));
        }
        let reply = self.caller.patiently(&route, &call, Unreachable::TryAgain);
        let reply = reply.await?;
        match reply.status {
            status if status.is_success() => {}
            // 400 is how OAuth2 says that a grant is not valid.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                let said = complaint_of(&reply.body, credential.map(Credential::proof));
                return Ok(Exchanged::Refused(said));
            }
            _ => {
                let sent = credential.map(Credential::proof);
                return Err(self.caller.failure(&reply, who.clone(), sent));
            }
        }
        let (token, life) = read_reply(&reply.body).map_err(|reason| ScanError::Malformed {
            image: self.caller.image.clone(),
            host: reply.url.authority().to_owned(),
            reason: reason.to_owned(),
        })?;
        Ok(Exchanged::Token(Proof::Bearer(token), life))
    }

    fn who(&self) -> Who {
        let who = self.standing.as_ref().map(|it| it.who.clone());
        who.unwrap_or(Who::Anonymous)
    }

    fn sent(&self) -> Option<&Proof> {
        self.standing.as_ref().map(|it| it.credential.proof())
    }

    /// The error that a reply to whoever we are stands for.
    fn failure(&self, reply: &Reply) -> ScanError {
        self.caller.failure(reply, self.who(), self.sent())
    }

    fn realm_not_allowed(&self, realm: &str, reason: RealmFault) -> ScanError {
        ScanError::RealmNotAllowed {
            host: self.host().to_owned(),
            realm: realm.to_owned(),
            reason,
        }
    }
}

enum Exchanged {
    Token(Proof, Duration),
    Refused(Option<Complaint>),
}

/// Whether nothing that speaks TLS listens there. A certificate that was refused is a listener.
fn has_no_tls(error: &EgressError) -> bool {
    matches!(
        error,
        EgressError::NotTls { .. } | EgressError::Unreachable { .. }
    )
}

#[cfg(test)]
mod tests;
