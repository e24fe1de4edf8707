//! Which of several replicas works: the one that holds a Lease.
//!
//! A lease is a courtesy, not a lock: clocks differ, and a replica may be stopped for a minute
//! between its last look and its next push. That is fine, because pushes are compare-and-swap and
//! the same plan on the same commit is the same commit; two leaders at once cost work, not truth.

use std::{future::Future, sync::Arc, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::PostParams,
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};
use tokio::{sync::watch::Receiver, time::Instant};

use super::{Context, told};

/// How a leader is chosen.
#[derive(Clone, Debug)]
pub struct Election {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// How long others wait after the last sign of life.
    pub duration: Duration,
    /// How long the leader goes on without having renewed.
    pub renew_deadline: Duration,
    /// The time between two looks.
    pub retry_period: Duration,
    /// Whether the lease is given back at the end.
    pub release: bool,
}

/// Why this replica stopped.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The lease could not be renewed in time.
    #[error("lost the lease `{0}`")]
    Lost(String),
}

/// What stands in a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    holder: String,
    /// Changes with every renewal; it is compared, never read as a time.
    renewed: String,
    duration: Duration,
    transitions: i64,
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is ours, or nobody's: write our name.
    Write { transitions: i64 },
    /// Somebody else holds it.
    Wait,
}

/// What a replica has seen of a Lease.
#[derive(Debug, Default)]
struct Observer {
    /// The last record, and when we first saw it: other clocks are not asked.
    seen: Option<(Record, Instant)>,
}

impl Observer {
    fn step(&mut self, record: Option<Record>, own: &str, now: Instant) -> Step {
        let Some(record) = record else {
            return Step::Write { transitions: 0 };
        };
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => {
                self.seen = Some((record.clone(), now));
                now
            }
        };
        let transitions = record.transitions;
        if record.holder == own {
            return Step::Write { transitions };
        }
        if record.holder.is_empty() || now.duration_since(since) > record.duration {
            return Step::Write {
                transitions: transitions + 1,
            };
        }
        Step::Wait
    }
}

/// Runs `work` while this replica holds the lease, and at once where there is no election.
///
/// # Errors
///
/// When the lease was lost: the process is to end, so that nothing of before goes on.
pub(super) async fn while_leading<F: Future<Output = ()>>(
    context: &Arc<Context>,
    mut stopped: Receiver<bool>,
    work: impl FnOnce() -> F,
) -> Result<(), LeaseError> {
    let Some(election) = &context.options.election else {
        context.metrics.leader(true);
        work().await;
        return Ok(());
    };
    context.metrics.leader(false);
    let mut candidate = Candidate::new(context, election);
    while !candidate.try_lead().await {
        tokio::select! {
            () = tokio::time::sleep(candidate.pause()) => {}
            _ = stopped.changed() => return Ok(()),
        }
    }
    tracing::info!(lease = %candidate.name(), "leading");
    context.metrics.leader(true);
    let work = work();
    tokio::pin!(work);
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            () = &mut work => break,
            () = tokio::time::sleep(candidate.pause()) => {}
        }
        let deadline = renewed + election.renew_deadline;
        let trying = tokio::time::timeout_at(deadline, candidate.try_lead());
        match trying.await {
            Ok(true) => renewed = Instant::now(),
            Ok(false) if Instant::now() < deadline && !candidate.is_another => {}
            Ok(false) | Err(_) => {
                context.metrics.leader(false);
                return Err(LeaseError::Lost(candidate.name()));
            }
        }
    }
    if election.release {
        candidate.release().await;
    }
    context.metrics.leader(false);
    Ok(())
}

struct Candidate<'a> {
    api: Api<DynamicObject>,
    election: &'a Election,
    instance: &'a str,
    observer: Observer,
    /// Whether somebody else was seen to hold the lease.
    is_another: bool,
}

impl<'a> Candidate<'a> {
    fn new(context: &'a Context, election: &'a Election) -> Self {
        let resource = ApiResource::erase::<Lease>(&());
        let client = context.client.clone();
        Self {
            api: Api::namespaced_with(client, &election.namespace, &resource),
            election,
            instance: &context.options.instance,
            observer: Observer::default(),
            is_another: false,
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.election.namespace, self.election.name)
    }

    fn pause(&self) -> Duration {
        // Replicas that started together do not look together.
        self.election
            .retry_period
            .mul_f64(0.8 + 0.4 * fastrand::f64())
    }

    /// Takes or renews the lease; false where somebody else has it, or nobody knows.
    async fn try_lead(&mut self) -> bool {
        match self.write().await {
            Ok(is_leading) => {
                self.is_another = !is_leading;
                is_leading
            }
            Err(error) => {
                // A conflict means that somebody else wrote: the next look tells who.
                let words = told::sentence(&error, None);
                tracing::debug!(lease = %self.name(), error = words, "cannot take the lease");
                false
            }
        }
    }

    async fn write(&mut self) -> Result<bool, kube::Error> {
        let found = self.api.get_opt(&self.election.name).await?;
        let record = found.as_ref().map(|it| record(&it.data));
        let is_own = record.as_ref().is_some_and(|it| it.holder == self.instance);
        let step = self.observer.step(record, self.instance, Instant::now());
        let Step::Write { transitions } = step else {
            return Ok(false);
        };
        let now = super::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let acquired = found.as_ref().filter(|_| is_own);
        let acquired = acquired.and_then(|it| it.data["spec"]["acquireTime"].as_str());
        let spec = json!({
            "holderIdentity": self.instance,
            "leaseDurationSeconds": self.election.duration.as_secs().max(1),
            "acquireTime": acquired.unwrap_or(&now),
            "renewTime": now,
            "leaseTransitions": transitions,
        });
        let parameters = PostParams {
            field_manager: Some("tagwright".to_owned()),
            ..PostParams::default()
        };
        let name = &self.election.name;
        if let Some(mut lease) = found {
            // The version that was read goes along: whoever was faster wins.
            lease.data = json!({"spec": spec});
            self.api.replace(name, &parameters, &lease).await?;
        } else {
            let resource = ApiResource::erase::<Lease>(&());
            let lease = DynamicObject::new(name, &resource).data(json!({"spec": spec}));
            self.api.create(&parameters, &lease).await?;
        }
        Ok(true)
    }

    /// Gives the lease back, so that nobody has to wait for it to run out.
    async fn release(&self) {
        let name = &self.election.name;
        let Ok(Some(mut lease)) = self.api.get_opt(name).await else {
            return;
        };
        if record(&lease.data).holder != self.instance {
            return;
        }
        lease.data["spec"]["holderIdentity"] = "".into();
        lease.data["spec"]["leaseDurationSeconds"] = 1.into();
        if let Err(error) = self.api.replace(name, &PostParams::default(), &lease).await {
            tracing::debug!(lease = %self.name(), %error, "cannot give the lease back");
        }
    }
}

fn record(lease: &Value) -> Record {
    let spec = &lease["spec"];
    let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
    Record {
        holder: text("holderIdentity"),
        renewed: text("renewTime"),
        duration: Duration::from_secs(spec["leaseDurationSeconds"].as_u64().unwrap_or_default()),
        transitions: spec["leaseTransitions"].as_i64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: &str, renewed: &str) -> Record {
        Record {
            holder: holder.to_owned(),
            renewed: renewed.to_owned(),
            duration: Duration::from_secs(35),
            transitions: 3,
        }
    }

    #[test]
    fn a_lease_changes_hands_only_when_it_ran_out_by_our_own_clock() {
        let start = Instant::now();
        let mut observer = Observer::default();
        let mut check = |record, seconds: u64, expected| {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(observer.step(record, "b", now), expected, "at {seconds} s");
        };
        let take = |transitions| Step::Write { transitions };
        check(None, 0, take(0));
        check(Some(held("a", "1")), 0, Step::Wait);
        check(Some(held("a", "1")), 35, Step::Wait);
        check(Some(held("a", "2")), 36, Step::Wait);
        check(Some(held("a", "2")), 71, Step::Wait);
        check(Some(held("a", "2")), 72, take(4));
        check(Some(held("b", "3")), 73, take(3));
        check(Some(held("", "4")), 74, take(4));
    }
}
