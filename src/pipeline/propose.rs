//! From decisions to pull requests: one for each group of changes, kept current until it is merged.
//!
//! Every group goes its own way: look at its branch and its requests, ask
//! [`life::next`](crate::update::forge::life::next), take that step, ask again ([`walk`]). A race that
//! was lost begins with a new look.

mod stage;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Deliberation, End, Failure, Intent, Listings, MAX_ATTEMPTS, Observed, Outcome, Plan, Ports,
    Proposal, Scope, deliberate, plan_commit, settings::Sought, story, with_settings,
};
use crate::{
    access::{self, Vault},
    config::{Automation, Config, PullRequestSettings},
    error::Class,
    scan::Registry,
    update::{
        forge::{
            self, Committer, Forge, Request,
            group::{ALL, Grouping},
            life::{Gate, Wish},
            note::{Key, Offer},
        },
        git::{Branch, Remote, Snapshot, Source},
        plan::{self, ChangeSet, Decision, Fate},
        targets::Targets,
    },
};

/// The way to the forge, and what else the pipeline cannot know by itself.
#[derive(Debug)]
pub struct Doors<'a, O> {
    /// What requests are to be like.
    pub settings: &'a PullRequestSettings,
    /// Opens the forge of a place.
    pub open: O,
    /// The time.
    pub now: DateTime<Utc>,
}

/// Takes one automation from observation to requests; one outcome for each group.
pub async fn propose<R: Registry, G: Remote, V: Vault, F: Forge>(
    config: &Config,
    automation: &Automation,
    ports: &Ports<R, G, V>,
    doors: &Doors<'_, impl Fn(forge::Access) -> F + Sync>,
    listings: &Listings,
    intent: Intent,
) -> Vec<Outcome> {
    let nothing = Outcome {
        automation: automation.key.clone(),
        remote: automation.remote.url.to_string(),
        branch: Some(automation.remote.push_branch.clone()),
        observed: None,
        plan: None,
        proposal: Some(Proposal::default()),
        end: End::Suspended,
    };
    if automation.suspended {
        return vec![nothing];
    }
    let mut run = match Run::begin(config, automation, ports, doors, listings, intent).await {
        Ok(run) => run,
        Err(failure) => {
            let end = End::Failed(failure);
            return vec![Outcome { end, ..nothing }];
        }
    };
    if let (Committer::Forge, Intent::Apply) = (doors.settings.committer, intent)
        && let Err(failure) = run.sweep().await
    {
        let end = End::Failed(failure);
        return vec![Outcome { end, ..nothing }];
    }
    let mut outcomes = Vec::new();
    for (group, branch) in run.groups() {
        outcomes.push(run.group(&group, branch).await);
    }
    if outcomes.is_empty() {
        let changes = run.deliberation.plan();
        outcomes.push(Outcome {
            observed: Some(observed(&run.first)),
            end: super::end_without_change(&changes),
            plan: run.plan(&run.first, changes).ok(),
            ..nothing
        });
    }
    outcomes
}

/// One automation on its way.
struct Run<'a, R, G, V, F> {
    config: &'a Config,
    automation: &'a Automation,
    settings: &'a PullRequestSettings,
    ports: &'a Ports<R, G, V>,
    listings: &'a Listings,
    forge: F,
    intent: Intent,
    now: DateTime<Utc>,
    source: Source,
    /// What was read first, or last where the base has moved meanwhile.
    first: Snapshot,
    /// What follows a policy there.
    targets: Targets,
    deliberation: Deliberation,
    /// Our branches that exist.
    branches: BTreeSet<Branch>,
    /// Our open requests, those of this run included.
    open: Vec<Request>,
}

impl<'a, R: Registry, G: Remote, V: Vault, F: Forge> Run<'a, R, G, V, F> {
    async fn begin(
        config: &'a Config,
        automation: &'a Automation,
        ports: &'a Ports<R, G, V>,
        doors: &Doors<'a, impl Fn(forge::Access) -> F + Sync>,
        listings: &'a Listings,
        intent: Intent,
    ) -> Result<Self, Failure> {
        let settings = doors.settings;
        let source = access::remote(&ports.vault, &automation.remote).await?;
        let access = access::forge(&ports.vault, settings, &automation.remote).await?;
        let forge = (doors.open)(access);
        let first = ports.remote.read(&source, screen(automation)).await?;
        let branches = ports.remote.branches(&source).await?;
        let targets = targets(automation, &first);
        let scope = scope(config, automation, &targets);
        let deliberation = deliberate(&scope, ports, listings, first.files.clone()).await;
        let name = automation.key.to_string();
        let mut open = forge.open().await?;
        open.retain(|it| it.note().is_some_and(|note| note.key.automation == name));
        Ok(Self {
            config,
            automation,
            settings,
            ports,
            listings,
            forge,
            intent,
            now: doors.now,
            source,
            first,
            targets,
            deliberation,
            branches,
            open,
        })
    }

    /// The groups that have something to offer, or something left over, with their branches.
    fn groups(&self) -> BTreeMap<String, Branch> {
        let grouping = &self.settings.grouping;
        let push_branch = &self.automation.remote.push_branch;
        let mut groups = BTreeMap::new();
        for value in self.deliberation.plan().values {
            let group = group_of(grouping, &value);
            let branch = grouping.branch(push_branch, &group);
            if matches!(value.fate, Fate::Update { .. }) || self.branches.contains(&branch) {
                groups.insert(group, branch);
            }
        }
        if *grouping == Grouping::All && self.branches.contains(push_branch) {
            groups.insert(ALL.to_owned(), push_branch.clone());
        }
        for request in &self.open {
            if let (Some(note), Ok(branch)) = (request.note(), Branch::new(&request.head))
                && branch.as_str().starts_with(push_branch.as_str())
            {
                groups.entry(note.key.group).or_insert(branch);
            }
        }
        groups
    }

    /// Takes one group from a look at its branch to rest.
    async fn group(&mut self, group: &str, branch: Branch) -> Outcome {
        let mut source = self.source.clone();
        source.push_branch = branch.clone();
        let mut outcome = Outcome {
            automation: self.automation.key.clone(),
            remote: self.automation.remote.url.to_string(),
            branch: Some(branch),
            observed: None,
            plan: None,
            proposal: Some(Proposal {
                group: (self.settings.grouping != Grouping::All).then(|| group.to_owned()),
                ..Proposal::default()
            }),
            end: End::Unchanged,
        };
        for attempt in 1..=MAX_ATTEMPTS {
            let end = match self.look(&source, attempt).await {
                Ok(snapshot) => self.walk(group, &source, snapshot, &mut outcome).await,
                Err(failure) => Err(failure),
            };
            outcome.end = match end {
                Ok(end) => end,
                Err(Failure::Remote(error))
                    if error.class() == Class::Conflict && attempt < MAX_ATTEMPTS =>
                {
                    tracing::info!(group, attempt, "lost a race, deciding again");
                    continue;
                }
                Err(failure) => End::Failed(failure),
            };
            break;
        }
        outcome
    }

    /// Looks at the branch of a group, and decides again where the base has moved meanwhile.
    async fn look(&mut self, source: &Source, attempt: u32) -> Result<Snapshot, Failure> {
        if attempt == 1 && source.push_branch == self.source.push_branch {
            return Ok(self.first.clone());
        }
        if attempt == 1 && !self.branches.contains(&source.push_branch) {
            return Ok(Snapshot {
                push_tip: None,
                ..self.first.clone()
            });
        }
        let snapshot = self.read(source).await?;
        if snapshot.base != self.first.base {
            self.targets = targets(self.automation, &snapshot);
            let scope = scope(self.config, self.automation, &self.targets);
            let files = snapshot.files.clone();
            self.deliberation = deliberate(&scope, self.ports, self.listings, files).await;
            self.first = snapshot.clone();
        }
        Ok(snapshot)
    }

    async fn read(&self, source: &Source) -> Result<Snapshot, Failure> {
        let screen = screen(self.automation);
        Ok(self.ports.remote.read(source, screen).await?)
    }

    fn plan(&self, snapshot: &Snapshot, changes: ChangeSet) -> Result<Plan, Failure> {
        plan_commit(
            self.automation,
            &snapshot.files,
            snapshot.base_time,
            changes,
            self.source.signer.clone(),
        )
    }

    /// The group's part of the changes, and the policies of which it is not known what they choose.
    fn wanted(&self, group: &str) -> (ChangeSet, Vec<String>) {
        let all = self.deliberation.plan();
        let is_unread = all.findings.iter().any(|it| !it.finding.problem.is_note());
        let changes = match &self.settings.grouping {
            Grouping::All => all,
            grouping => part(&self.deliberation, &all, grouping, group),
        };
        let open = changes.values.iter().filter(|value| {
            !matches!(
                value.fate,
                Fate::Current | Fate::Update { .. } | Fate::NothingMatched { .. }
            )
        });
        let mut undecided = open
            .map(|it| it.policy.to_string())
            .collect::<BTreeSet<_>>();
        if is_unread {
            // A file that cannot be read may hold values of any policy that is offered.
            let offers = self.open.iter().filter_map(Request::note);
            let offers = offers.filter(|note| note.key.group == group);
            undecided.extend(offers.flat_map(|note| note.offers).map(|it| it.policy));
        }
        (changes, undecided.into_iter().collect())
    }

    async fn wish(&self, plan: &Plan, message: &str) -> Result<Wish, Failure> {
        let offers = plan.steps.iter().map(|step| Offer {
            policy: step.policy.clone(),
            image: step.image.clone(),
            new: step.new.clone(),
        });
        let scope = scope(self.config, self.automation, &self.targets);
        let images = story::images(&scope, self.ports, self.listings, plan).await;
        let first_line = message.lines().next().unwrap_or_default().to_owned();
        Ok(Wish {
            offers: offers.collect(),
            title: story::title(self.automation, self.settings, plan)?.unwrap_or(first_line),
            body: story::body(self.automation, self.settings, plan, images)?,
            base: self.settings.base.clone(),
            decoration: self.settings.decoration.clone(),
            merge: self.settings.merge,
        })
    }

    /// The wished-for offers that stand below what a person has refused, in the policy's own order.
    fn below(&self, key: &Key, wish: &Wish, requests: &[Request]) -> Vec<Offer> {
        let Some(refused) = walk::newest(key, requests).and_then(Request::note) else {
            return Vec::new();
        };
        let tag = |text: &str| text.split('@').next().unwrap_or_default().parse().ok();
        let is_below = |offer: &Offer| {
            let mut before = refused.offers.iter();
            let before =
                before.find(|it| (&it.policy, &it.image) == (&offer.policy, &offer.image))?;
            let mut decisions = self.deliberation.decisions.iter();
            match decisions
                .find(|(key, _)| key.to_string() == offer.policy)?
                .1
            {
                Decision::Decided(decided) => {
                    let (new, old) = (tag(&offer.new)?, tag(&before.new)?);
                    Some(decided.policy.puts_before(&new, &old))
                }
                _ => None,
            }
        };
        let offers = wish.offers.iter();
        let below = offers.filter(|offer| is_below(offer) == Some(true));
        below.cloned().collect()
    }

    /// Whether another request may be opened now.
    fn gate(&self) -> Gate {
        let settings = self.settings;
        let windows = &settings.windows;
        if !windows.is_empty() && !windows.iter().any(|it| it.is_open_at(self.now)) {
            let windows = windows.iter().map(ToString::to_string).collect::<Vec<_>>();
            return Gate::Shut(format!("requests are opened {}", windows.join("; ")));
        }
        let is_full =
            |count: usize, limit: Option<u32>| limit.is_some_and(|it| count >= it as usize);
        if is_full(self.open.len(), settings.limits.open) {
            return Gate::Shut(format!(
                "as many requests are open as may be: {}",
                self.open.len()
            ));
        }
        let since = self.now - TimeDelta::hours(1);
        let is_fresh = |it: &&Request| it.created.is_none_or(|created| created > since);
        if is_full(
            self.open.iter().filter(is_fresh).count(),
            settings.limits.per_hour,
        ) {
            return Gate::Shut(
                "as many requests were opened in the last hour as may be".to_owned(),
            );
        }
        Gate::Open
    }
}

fn screen(automation: &Automation) -> Arc<Sought> {
    Arc::new(Sought {
        targets: Arc::clone(&automation.targets),
        namespace: automation.key.namespace.clone(),
    })
}

/// What the automation targets, and the settings of the repository besides.
fn targets(automation: &Automation, snapshot: &Snapshot) -> Targets {
    let settings = snapshot.settings.as_ref().map(|it| it.bytes.as_slice());
    with_settings(&automation.targets, settings, &automation.key.namespace)
}

fn scope<'a>(config: &'a Config, automation: &'a Automation, targets: &'a Targets) -> Scope<'a> {
    Scope {
        config,
        policies: Some(&automation.policies),
        targets,
        namespace: &automation.key.namespace,
    }
}

fn observed(snapshot: &Snapshot) -> Observed {
    Observed {
        checkout: Some(snapshot.checkout.clone()),
        base: Some(snapshot.base.clone()),
        files: snapshot.looked_at,
        marked_files: snapshot.files.len(),
        skipped: snapshot.skipped.clone(),
    }
}

fn group_of(grouping: &Grouping, value: &plan::MarkedValue) -> String {
    let image = value.image.as_ref().map(ToString::to_string);
    grouping.group(&value.file, &value.policy, image.as_deref())
}

/// The changes of one group: planned anew with nothing but its own files or policies, so that what is
/// spliced and proven is this group's alone.
fn part(all: &Deliberation, changes: &ChangeSet, grouping: &Grouping, group: &str) -> ChangeSet {
    let own = changes
        .values
        .iter()
        .filter(|it| group_of(grouping, it) == group);
    let (files, policies) = own
        .map(|it| (it.file.as_str(), &it.policy))
        .unzip::<_, _, BTreeSet<_>, BTreeSet<_>>();
    let files = all
        .files
        .iter()
        .filter(|it| files.contains(it.file.path.as_str()));
    let files = files.cloned().collect::<Vec<_>>();
    let decisions = all
        .decisions
        .iter()
        .filter(|(key, _)| policies.contains(key));
    let decisions = decisions.map(|(key, it)| (key.clone(), it.clone()));
    let part = Deliberation {
        files,
        decisions: decisions.collect(),
        findings: all.findings.clone(),
    };
    let mut part = part.plan();
    part.values.retain(|it| group_of(grouping, it) == group);
    part
}
