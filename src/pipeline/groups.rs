//! Which automations run together.

use crate::config::Automation;

/// Puts automations together that one conversation with a remote serves, in order.
///
/// Those that push to one branch of their own have to run together: each would take the other's
/// commits away. Automations of one branch that push it in different ways run one after the other.
pub fn groups(automations: &[Automation]) -> Vec<Vec<&Automation>> {
    let mut groups: Vec<Vec<&Automation>> = Vec::new();
    for automation in automations {
        let fitting = groups.iter_mut().find(|group| {
            group
                .iter()
                .all(|other| other.remote.goes_with(&automation.remote))
        });
        match fitting {
            Some(group) => group.push(automation),
            None => groups.push(vec![automation]),
        }
    }
    groups
}
