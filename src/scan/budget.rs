//! How much a registry is asked: a few requests at a time, fewer when it complains, and none as long
//! as it asked us to wait.
//!
//! What a registry says to one account closes it for that account alone; how many requests it takes
//! at a time is one number for all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use reqwest::{StatusCode, header::HeaderMap};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::header;
use crate::secret::Authority;

/// How many requests a registry gets at a time before anything is known of it.
const FIRST_WIDTH: usize = 8;
/// How many requests a registry gets at a time at most.
const MAX_WIDTH: usize = 32;
/// The longest that a registry is left alone because it said so once.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How many registries are remembered.
const MAX_HOSTS: usize = 4096;

/// Whose allowance a request counts against; nothing for nobody's.
pub(super) type Account = Option<[u8; 32]>;

/// The registries and what they said about being asked.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    hosts: Mutex<HashMap<Authority, Arc<Host>>>,
}

#[derive(Debug)]
struct Host {
    /// Permits for requests that may be under way.
    gate: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many requests may be under way.
    width: usize,
    /// How many permits are to be taken out of circulation when they come back.
    owed: usize,
    /// How many answers in a row were no complaint.
    calm: usize,
    /// Until when accounts are to wait.
    closed: HashMap<Account, Pause>,
    /// How many tags a page may be asked to hold; nothing where the registry takes any number.
    page_size: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    end: Instant,
    until: DateTime<Utc>,
}

/// How much a registry may be asked at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The registry.
    pub registry: Authority,
    /// How many requests it gets at a time.
    pub at_once: usize,
    /// How many of them are not under way.
    pub free: usize,
    /// How long it wants to be left alone, by the account that it wants it from longest.
    pub closed_for: Duration,
}

/// Why a request is not made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotNow {
    /// The registry asked this account to wait, beyond the deadline.
    Closed(DateTime<Utc>),
    /// So many requests are under way that this one's time was up.
    Crowded,
}

/// The right to make one request; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    host: Arc<Host>,
    account: Account,
    permit: Option<OwnedSemaphorePermit>,
}

impl Budgets {
    /// Waits for the turn of one request.
    pub(super) async fn admit(
        &self,
        authority: &Authority,
        account: Account,
        deadline: Instant,
    ) -> Result<Ticket, NotNow> {
        let host = self.host(authority);
        loop {
            if let Some(pause) = host.pause(account) {
                if pause.end >= deadline {
                    return Err(NotNow::Closed(pause.until));
                }
                tokio::time::sleep_until(pause.end).await;
            }
            let permit = timeout_at(deadline, Arc::clone(&host.gate).acquire_owned());
            let Ok(Ok(permit)) = permit.await else {
                return Err(NotNow::Crowded);
            };
            // The registry may have complained while we stood in line.
            if host.pause(account).is_none() {
                return Ok(Ticket {
                    host,
                    account,
                    permit: Some(permit),
                });
            }
        }
    }

    /// How many tags a page may be asked to hold, where the registry refused more.
    pub(super) fn page_size(&self, authority: &Authority) -> Option<usize> {
        self.host(authority).state().page_size
    }

    /// Remembers how many tags a page may be asked to hold.
    pub(super) fn keep_page_size(&self, authority: &Authority, size: usize) {
        self.host(authority).state().page_size = Some(size);
    }

    /// What every registry that was asked bears, in the order of their names.
    pub(super) fn allowances(&self) -> Vec<Allowance> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let allowances = hosts.iter().map(|(registry, host)| {
            let state = host.state();
            let pauses = state.closed.values();
            let pauses = pauses.map(|it| it.end.saturating_duration_since(now));
            Allowance {
                registry: registry.clone(),
                at_once: state.width,
                free: host.gate.available_permits(),
                closed_for: pauses.max().unwrap_or_default(),
            }
        });
        let mut allowances = allowances.collect::<Vec<_>>();
        allowances.sort_by_cached_key(|it| it.registry.to_string());
        allowances
    }

    fn host(&self, authority: &Authority) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(authority) {
            return Arc::clone(host);
        }
        // Those that are in use are not forgotten.
        if hosts.len() >= MAX_HOSTS {
            hosts.retain(|_, host| Arc::strong_count(host) > 1);
        }
        let host = Arc::new(Host {
            gate: Arc::new(Semaphore::new(FIRST_WIDTH)),
            state: Mutex::new(State {
                width: FIRST_WIDTH,
                owed: 0,
                calm: 0,
                closed: HashMap::new(),
                page_size: None,
            }),
        });
        hosts.insert(authority.clone(), Arc::clone(&host));
        host
    }
}

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause(&self, account: Account) -> Option<Pause> {
        let now = Instant::now();
        let pause = self.state().closed.get(&account).copied();
        pause.filter(|pause| pause.end > now)
    }
}

impl Ticket {
    /// Takes to heart what an answer says about being asked.
    pub(super) fn learn(&self, status: StatusCode, headers: &HeaderMap, now: DateTime<Utc>) {
        let is_complaint = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let asked = if is_complaint {
            header::retry_after(headers, now)
        } else {
            header::exhausted_until(headers, now)
        };
        let mut state = self.host.state();
        if let Some(until) = asked {
            let pause = (until - now)
                .to_std()
                .unwrap_or_default()
                .min(LONGEST_PAUSE);
            let end = Instant::now() + pause;
            state.closed.retain(|_, pause| pause.end > Instant::now());
            state.closed.insert(self.account, Pause { end, until });
        }
        if is_complaint {
            state.calm = 0;
            let narrower = (state.width / 2).max(1);
            let surplus = state.width - narrower;
            // Those that are under way are taken out when they come back.
            state.owed += surplus - self.host.gate.forget_permits(surplus);
            state.width = narrower;
            return;
        }
        state.calm += 1;
        if state.calm >= state.width && state.width < MAX_WIDTH {
            state.calm = 0;
            state.width += 1;
            if state.owed > 0 {
                state.owed -= 1;
            } else {
                self.host.gate.add_permits(1);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.host.state();
        if state.owed > 0
            && let Some(permit) = self.permit.take()
        {
            state.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> Authority {
        "r.test".parse().expect("an authority")
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_323_045, 0).expect("a time")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = value.parse().expect("a header's value");
            (reqwest::header::HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    async fn ticket(budgets: &Budgets, account: Account) -> Result<Ticket, NotNow> {
        let deadline = Instant::now() + Duration::from_secs(1);
        budgets.admit(&authority(), account, deadline).await
    }

    #[tokio::test(start_paused = true)]
    async fn r16_a_wish_to_wait_closes_the_registry_for_its_account() {
        let budgets = Budgets::default();
        let (ours, theirs) = (Some([1; 32]), Some([2; 32]));
        let first = ticket(&budgets, ours).await.expect("it is open");
        first.learn(
            StatusCode::TOO_MANY_REQUESTS,
            &headers(&[("retry-after", "3600")]),
            now(),
        );
        drop(first);
        let closed = ticket(&budgets, ours).await.err();
        let until = now() + chrono::TimeDelta::hours(1);
        assert_eq!(closed, Some(NotNow::Closed(until)));
        assert!(ticket(&budgets, theirs).await.is_ok(), "another account");
        assert!(ticket(&budgets, None).await.is_ok(), "nobody's account");

        tokio::time::advance(Duration::from_secs(3601)).await;
        assert!(ticket(&budgets, ours).await.is_ok(), "the hour is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_to_wait_for_ever_ends_after_an_hour() {
        let budgets = Budgets::default();
        let first = ticket(&budgets, None).await.expect("it is open");
        let wish = headers(&[("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")]);
        first.learn(StatusCode::TOO_MANY_REQUESTS, &wish, now());
        drop(first);
        assert!(ticket(&budgets, None).await.is_err());
        tokio::time::advance(Duration::from_secs(3601)).await;
        assert!(ticket(&budgets, None).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_wish_is_waited_out() {
        let budgets = Budgets::default();
        let first = ticket(&budgets, None).await.expect("it is open");
        let wish = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")]);
        first.learn(StatusCode::OK, &wish, now());
        drop(first);
        let before = Instant::now();
        let deadline = before + Duration::from_secs(5);
        let second = budgets.admit(&authority(), None, deadline).await;
        assert!(second.is_ok());
        assert!(before.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn complaints_make_it_narrow_and_calm_makes_it_wide() {
        let budgets = Budgets::default();
        let widest = async |budgets: &Budgets| {
            let mut held = Vec::new();
            while let Ok(ticket) = ticket(budgets, None).await {
                held.push(ticket);
            }
            held.len()
        };
        assert_eq!(widest(&budgets).await, FIRST_WIDTH);
        for expected in [4, 2, 1, 1] {
            let one = ticket(&budgets, None).await.expect("one is always let in");
            one.learn(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new(), now());
            drop(one);
            assert_eq!(widest(&budgets).await, expected);
        }
        for _ in 0..2000 {
            let one = ticket(&budgets, None).await.expect("one is always let in");
            one.learn(StatusCode::OK, &HeaderMap::new(), now());
        }
        assert_eq!(widest(&budgets).await, MAX_WIDTH);
    }

    #[tokio::test]
    async fn an_allowance_says_what_is_left() {
        let budgets = Budgets::default();
        let left = || {
            let allowances = budgets.allowances();
            let found = allowances.first().expect("it was asked");
            (found.at_once, found.free, found.closed_for.as_secs())
        };
        assert_eq!(budgets.allowances(), []);
        let ticket = ticket(&budgets, None)
            .await
            .expect("nothing is known of it");
        assert_eq!(left(), (8, 7, 0));
        let wait = headers(&[("retry-after", "100")]);
        ticket.learn(StatusCode::TOO_MANY_REQUESTS, &wait, now());
        let (at_once, free, closed) = left();
        assert_eq!((at_once, free), (4, 3));
        assert!((90..=100).contains(&closed), "{closed}");
        drop(ticket);
        assert_eq!(left().1, 4);
    }
}
