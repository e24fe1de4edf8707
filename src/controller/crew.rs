//! Automations that share a push branch of their own. Each by itself would take the other's commits
//! away, so whoever of them is looked at runs them all, and tells the others what became of them.

use std::sync::Arc;

use super::{
    Context,
    automation::{Observed, observe},
    object::{Kind, Object},
};
use crate::{
    pipeline::{End, Outcome},
    update::git::Checkout,
};

/// Adds the automations that push to the same branch as the one that was observed, by name; those that
/// push to the branch that they read, or open requests, need nobody.
pub(super) async fn gather(context: &Context, object: &Object, own: Observed) -> Observed {
    let Some(first) = own.config.automations.first().map(|it| it.remote.clone()) else {
        return own;
    };
    let opens_requests = own
        .config
        .automations
        .iter()
        .any(|it| it.pull_request.is_some());
    if opens_requests || first.checkout == Checkout::Branch(first.push_branch.clone()) {
        return own;
    }
    let mut crew = own;
    for other in context.automations_within(&object.key.namespace) {
        if other.key == object.key || other.is_deleted || !context.is_ours(&other) {
            continue;
        }
        // What is wrong with another one is told when it is looked at itself.
        let Ok(theirs) = observe(context, &other).await else {
            continue;
        };
        let is_of_crew = theirs.config.automations.iter().all(|it| {
            it.pull_request.is_none()
                && it.remote.push_branch == first.push_branch
                && it.remote.goes_with(&first)
        });
        if is_of_crew {
            crew.is_scanned &= theirs.is_scanned;
            crew.config.images.extend(theirs.config.images);
            crew.config.policies.extend(theirs.config.policies);
            crew.config.automations.extend(theirs.config.automations);
        }
    }
    // Whoever of them begins, the commits stand in the same order.
    crew.config
        .automations
        .sort_by(|one, other| one.key.cmp(&other.key));
    crew
}

/// Keeps the object's own outcomes, and lets the others look at what was done for them.
pub(super) fn part(context: &Context, object: &Object, outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let (mut own, others) = outcomes
        .into_iter()
        .partition::<Vec<_>, _>(|it| it.automation == object.key);
    for outcome in others {
        if let End::Applied(pushed) = outcome.end {
            context
                .memory()
                .pushed
                .insert(outcome.automation.clone(), pushed);
            context.wake([(Kind::Automation, outcome.automation)]);
        }
    }
    let pushed = context.memory().pushed.remove(&object.key);
    for outcome in &mut own {
        if let (End::Pending(commit), Some(pushed)) = (&outcome.end, &pushed)
            && *commit == pushed.commit
        {
            outcome.end = End::Applied(pushed.clone());
        }
    }
    own
}

impl Context {
    fn automations_within(&self, namespace: &str) -> Vec<Arc<Object>> {
        let world = self.world();
        world.within(Kind::Automation, namespace).collect()
    }
}
