//! What rules found, set beside what is marked.

use std::collections::BTreeSet;

use crate::update::{Finding, PolicyKey, Problem, Setter, yaml::Reading};

/// Adds the values of `found`: those with a marker keep it, those that rules disagree about stay.
///
/// The fields of one image change together or not at all, so that nothing is kept of a collection and
/// a policy that are `refused`, marked or not.
pub(super) fn merge(
    mut found: Reading,
    mut refused: BTreeSet<(usize, PolicyKey)>,
    reading: &mut Reading,
) {
    found
        .setters
        .sort_by_key(|setter| (setter.span.start, setter.span.end));
    let mut kept = Vec::<Setter>::new();
    // Those that overlap stand one behind the other.
    for cluster in clusters(found.setters) {
        let marked = reading.setters.iter().find(|marked| {
            cluster
                .iter()
                .any(|it| it.span.start < marked.span.end && marked.span.start < it.span.end)
        });
        let Some(first) = cluster.first() else {
            continue;
        };
        let says = |it: &Setter| (it.span.clone(), it.policy.clone(), it.field);
        if let Some(marked) = marked {
            let others = cluster.iter().filter(|it| says(it) != says(marked));
            found.findings.extend(others.take(1).map(|it| {
                let problem = Problem::MarkerWins(it.origin.to_string());
                at(it, problem)
            }));
        } else if let Some(other) = cluster.iter().find(|it| says(it) != says(first)) {
            let problem = Problem::Disagree(format!("{} and {}", first.origin, other.origin));
            found.findings.push(at(first, problem));
            refused.extend(cluster.iter().map(|it| (it.group, it.policy.clone())));
        } else {
            kept.extend(cluster.into_iter().next());
        }
    }
    let is_refused = |it: &Setter| refused.contains(&(it.group, it.policy.clone()));
    reading.setters.extend(kept);
    reading.setters.retain(|it| !is_refused(it));
    reading.setters.sort_by_key(|setter| setter.span.start);
    let known = reading.findings.iter().cloned().collect::<BTreeSet<_>>();
    // Two parsers may say the same of a file in different words.
    let is_told = |it: &Finding| {
        let is_unparsable = |it: &Finding| matches!(it.problem, Problem::Unparsable(_));
        known.contains(it) || is_unparsable(it) && known.iter().any(is_unparsable)
    };
    let new = found.findings.into_iter().filter(|it| !is_told(it));
    reading.findings.extend(new.collect::<BTreeSet<_>>());
    reading
        .findings
        .sort_by_key(|finding| (finding.line, finding.column));
    reading.rules.extend(found.rules);
    reading.patterns.extend(found.patterns);
}

/// Sorted setters, those that overlap together.
fn clusters(setters: Vec<Setter>) -> Vec<Vec<Setter>> {
    let mut clusters = Vec::<Vec<Setter>>::new();
    let mut end = 0;
    for setter in setters {
        let starts_inside = setter.span.start < end;
        end = end.max(setter.span.end);
        match clusters.last_mut() {
            Some(last) if starts_inside => last.push(setter),
            _ => clusters.push(vec![setter]),
        }
    }
    clusters
}

fn at(setter: &Setter, problem: Problem) -> Finding {
    Finding {
        line: setter.line,
        column: setter.column,
        problem,
    }
}
