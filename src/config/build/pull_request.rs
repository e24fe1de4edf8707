//! `git.push.pullRequest` → [`PullRequestSettings`].

use std::collections::BTreeMap;

use url::Url;

use super::{Document, Documents};
use crate::{
    config::{ObjectKey, PullRequestSettings, RemoteSettings},
    crd::{
        CommitterName, ForgeName, GitSpec, GroupName, ImageUpdateAutomation, MergeMethodName,
        MergeName, PullRequestSpec,
    },
    update::{
        forge::{
            Committer, Decoration, Kind, Limits, Merge, MergeMethod, Place, Readiness,
            group::Grouping, schedule::Window,
        },
        git::{Branch, Checkout, PushMode},
        template::{self, Template},
    },
};

const POINTER: &str = "/spec/git/push/pullRequest";

/// Where the token for the forge comes from, where `secretRef` does not say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// From the Secret of the Git remote.
    Named,
    /// From what opens the Git remote, in the environment of the program.
    Ambient,
    /// From this Secret, which stands in no document.
    Given(ObjectKey),
}

/// What the automation says about requests; an error that was told where it is faulty.
pub(super) fn build(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    git: &GitSpec,
    remote: &RemoteSettings,
    token: Token,
) -> Result<Option<PullRequestSettings>, ()> {
    let Some(spec) = git.push.as_ref().and_then(|it| it.pull_request.as_ref()) else {
        return Ok(None);
    };
    let before = documents.faults.len();
    let name = spec.secret_ref.as_ref().map(|it| it.name.as_str());
    let credentials = documents.secret(document, &format!("{POINTER}/secretRef"), name);
    let is_ambient = token == Token::Ambient;
    let credentials = match token {
        Token::Given(key) => Some(key),
        Token::Named | Token::Ambient => credentials,
    };
    let grouping = grouping(documents, document, spec);
    let mut told = Told {
        documents,
        document,
    };
    let place = told.place(spec, remote);
    let base = told.base(spec, remote);
    if base.as_ref() == Some(&remote.push_branch) || remote.checkout.is_branch(&remote.push_branch)
    {
        let message = format!(
            "a request from `{0}` into `{0}` makes no sense",
            remote.push_branch
        );
        told.fault(
            "",
            message,
            Some("set `push.branch` to a branch of its own"),
        );
    }
    if remote.push.mode == PushMode::Stack {
        let message = "a request needs a push branch that is made anew each time".to_owned();
        told.fault("", message, Some("drop `mode` from `push`"));
    }
    if let Some(place) = &place {
        told.merge(spec, place.kind);
        told.committer(spec, place.kind);
        let is_identity = remote.provider.is_identity();
        let has_token = remote.credentials.is_some() || is_ambient || is_identity;
        let shares = has_token && place.shares_credentials_with(&remote.url);
        if credentials.is_none() && !shares {
            let hint = "set `secretRef` to a Secret with a `token` for the forge's API";
            told.fault("", "there is no token for the forge".to_owned(), Some(hint));
        }
    }
    for (index, label) in spec.labels.iter().enumerate() {
        if label.trim().is_empty() || label.contains([',', '\n']) {
            let message = format!("`{}` is no label", label.escape_debug());
            told.fault(&format!("/labels/{index}"), message, None);
        }
    }
    let title = told.template("title", spec.title.as_deref(), git);
    let body = told.template("body", spec.body.as_deref(), git);
    let windows = told.windows(spec);
    if documents.faults.len() > before {
        return Err(());
    }
    let (Some(place), Some(base)) = (place, base) else {
        return Err(());
    };
    Ok(Some(PullRequestSettings {
        place,
        credentials,
        base,
        title,
        body,
        decoration: Decoration {
            labels: spec.labels.clone(),
            reviewers: spec.reviewers.clone(),
            teams: spec.teams.clone(),
            assignees: spec.assignees.clone(),
            milestone: spec.milestone.clone(),
        },
        readiness: if spec.draft {
            Readiness::Draft
        } else {
            Readiness::Ready
        },
        merge: merge(spec),
        committer: match spec.commit_by {
            CommitterName::Git => Committer::Git,
            CommitterName::Forge => Committer::Forge,
        },
        grouping,
        limits: Limits {
            open: spec.max_open,
            per_hour: spec.max_per_hour,
        },
        windows,
    }))
}

fn merge(spec: &PullRequestSpec) -> Merge {
    match (spec.merge, spec.merge_method) {
        (MergeName::Manual, _) => Merge::ByHand,
        (MergeName::Queue, _) => Merge::Queue,
        (MergeName::Auto, MergeMethodName::Merge) => Merge::Automatic(MergeMethod::Merge),
        (MergeName::Auto, MergeMethodName::Squash) => Merge::Automatic(MergeMethod::Squash),
        (MergeName::Auto, MergeMethodName::Rebase) => Merge::Automatic(MergeMethod::Rebase),
    }
}

fn grouping(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    spec: &PullRequestSpec,
) -> Grouping {
    let label = spec.group_label.as_deref();
    if (spec.group_by == GroupName::Label) != label.is_some() {
        let message = "`groupBy: label` and `groupLabel` belong together".to_owned();
        let pointer = format!("{POINTER}/groupBy");
        document.fault(&mut documents.faults, &pointer, message, None);
    }
    match spec.group_by {
        GroupName::All => Grouping::All,
        GroupName::Policy => Grouping::Policy,
        GroupName::Image => Grouping::Image,
        GroupName::Directory => Grouping::Directory,
        GroupName::Label => {
            let labels = documents.policy_labels.iter();
            let values = labels.filter_map(|(key, labels)| {
                let value = labels.get(label?)?;
                Some((format!("{}:{}", key.namespace, key.name), value.clone()))
            });
            Grouping::Label(values.collect::<BTreeMap<_, _>>())
        }
    }
}

/// Where faults are told.
struct Told<'a, 'd> {
    documents: &'a mut Documents,
    document: &'d Document<ImageUpdateAutomation>,
}

impl Told<'_, '_> {
    fn fault(&mut self, field: &str, message: String, hint: Option<&str>) {
        let pointer = format!("{POINTER}{field}");
        self.document
            .fault(&mut self.documents.faults, &pointer, message, hint);
    }

    fn place(&mut self, spec: &PullRequestSpec, remote: &RemoteSettings) -> Option<Place> {
        let api = match spec.api.as_deref().map(Url::parse) {
            None => None,
            Some(Ok(url)) if is_api(&url) => Some(url),
            Some(_) => {
                let message = "`api` is no https or http address without user and query".to_owned();
                self.fault("/api", message, None);
                return None;
            }
        };
        let kind = spec.forge.map(kind);
        match Place::new(&remote.url, kind, api.as_ref(), spec.project.as_deref()) {
            Ok(place) => Some(place),
            Err(error) => {
                self.fault("", error.to_string(), Some(error.hint()));
                None
            }
        }
    }

    fn base(&mut self, spec: &PullRequestSpec, remote: &RemoteSettings) -> Option<Branch> {
        match (&spec.base, &remote.checkout) {
            (Some(name), _) => match Branch::new(name) {
                Ok(branch) => Some(branch),
                Err(error) => {
                    self.fault("/base", error.to_string(), None);
                    None
                }
            },
            (None, Checkout::Branch(branch)) => Some(branch.clone()),
            (None, _) => {
                let message = "what is checked out is no branch that a request could go to";
                self.fault("", message.to_owned(), Some("set `base`"));
                None
            }
        }
    }

    fn merge(&mut self, spec: &PullRequestSpec, kind: Kind) {
        let is_known = match spec.merge {
            MergeName::Manual => true,
            MergeName::Auto => kind.merges(),
            MergeName::Queue => matches!(kind, Kind::Github | Kind::Gitlab),
        };
        if !is_known {
            let message = format!("{kind} does not offer this to programs");
            self.fault(
                "/merge",
                message,
                Some("leave it to a person: `merge: manual`"),
            );
        }
    }

    fn committer(&mut self, spec: &PullRequestSpec, kind: Kind) {
        if spec.commit_by == CommitterName::Forge && !kind.signs() {
            let message = format!("{kind} makes no commits that it signs");
            let hint = "leave `commitBy` away, and sign with `git.commit.signingKey`";
            self.fault("/commitBy", message, Some(hint));
        }
    }

    fn template(&mut self, field: &str, text: Option<&str>, git: &GitSpec) -> Option<Template> {
        let text = text?;
        let values = git
            .commit
            .message_template_values
            .clone()
            .unwrap_or_default();
        match template::check_with(text, &values).and_then(|()| Template::parse(text)) {
            Ok(template) => Some(template),
            Err(error) => {
                let message = format!("`{field}`: {error}\n{}", error.caret(text));
                self.fault(&format!("/{field}"), message, error.hint().as_deref());
                None
            }
        }
    }

    fn windows(&mut self, spec: &PullRequestSpec) -> Vec<Window> {
        let mut windows = Vec::new();
        for (index, it) in spec.schedule.iter().enumerate() {
            let days = it.days.iter().map(String::as_str).collect::<Vec<_>>();
            match Window::new(&days, &it.from, &it.to, &it.time_zone) {
                Ok(window) => windows.push(window),
                Err(error) => self.fault(&format!("/schedule/{index}"), error.to_string(), None),
            }
        }
        windows
    }
}

fn is_api(url: &Url) -> bool {
    let is_web = matches!(url.scheme(), "https" | "http") && url.host_str().is_some();
    let is_bare = url.username().is_empty() && url.password().is_none();
    is_web && is_bare && url.query().is_none() && url.fragment().is_none()
}

fn kind(name: ForgeName) -> Kind {
    match name {
        ForgeName::Github => Kind::Github,
        ForgeName::Gitlab => Kind::Gitlab,
        ForgeName::Gitea => Kind::Gitea,
        ForgeName::BitbucketCloud => Kind::BitbucketCloud,
        ForgeName::BitbucketDataCenter => Kind::BitbucketDataCenter,
        ForgeName::AzureDevops => Kind::AzureDevops,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, ConfigFile, Origin, PullRequestSettings};

    fn read(url: &str, push: &str) -> Result<PullRequestSettings, ConfigError> {
        let text = format!(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: fleet}}\n\
             spec: {{url: '{url}', ref: {{branch: main}}, secretRef: {{name: git}}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: git}}\nstringData: {{password: x, username: y}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
             metadata: {{name: fleet}}\nspec:\n  interval: 5m\n  \
             sourceRef: {{kind: GitRepository, name: fleet}}\n  \
             git: {{commit: {{author: {{email: bot@example.com}}}}, push: {{branch: bot, {push}}}}}\n"
        );
        let file = ConfigFile {
            name: "config.yaml".to_owned(),
            text,
            origin: Origin::Given,
        };
        let mut config = Config::read(&[file], "apps")?;
        Ok(config
            .automations
            .remove(0)
            .pull_request
            .expect("a request"))
    }

    #[test]
    fn a_request_is_described_by_a_few_words() {
        let check =
            |url: &str, push: &str, expected: Result<&str, &str>| match (read(url, push), expected)
            {
                (Ok(settings), Ok(words)) => {
                    let shown = format!("{settings:?}");
                    assert!(shown.contains(words), "{push}: {shown}");
                }
                (Err(error), Err(words)) => {
                    let shown = error
                        .faults
                        .iter()
                        .map(ToString::to_string)
                        .collect::<String>();
                    assert!(shown.contains(words), "{push}: {shown}");
                }
                (found, _) => panic!("{push}: {found:?}"),
            };
        let hub = "https://github.com/acme/fleet";
        check(hub, "pullRequest: {}", Ok("api.github.com"));
        check(
            hub,
            "pullRequest: {labels: [images], draft: true}",
            Ok("Draft"),
        );
        check(
            hub,
            "pullRequest: {merge: auto, mergeMethod: squash}",
            Ok("Automatic(Squash)"),
        );
        check(
            hub,
            "pullRequest: {schedule: [{from: '08:00', to: '17:00'}]}",
            Ok("every day"),
        );
        check(
            hub,
            "pullRequest: {groupBy: image, maxOpen: 3}",
            Ok("open: Some(3)"),
        );
        check(
            hub,
            "pullRequest: {commitBy: forge}",
            Ok("committer: Forge"),
        );
        check(
            "https://codeberg.org/a/b",
            "pullRequest: {commitBy: forge}",
            Err("makes no commits that it signs"),
        );
        check(hub, "pullRequest: {maxOpen: 0}", Err("maxOpen"));
        check(hub, "pullRequest: {base: bot}", Err("makes no sense"));
        check(hub, "pullRequest: {groupBy: label}", Err("belong together"));
        check(hub, "pullRequest: {title: '{{'}", Err("`title`"));
        check(hub, "pullRequest: {labels: ['a,b']}", Err("no label"));
        check(hub, "pullRequest: {label: [a]}", Err("labels"));
        check(hub, "pullRequest: {api: 'https://a@b.test'}", Err("`api`"));
        check(
            hub,
            "pullRequest: {api: 'https://evil.test'}",
            Err("no token"),
        );
        check(
            hub,
            "pullRequest: {secretRef: {name: nope}}",
            Err("does not exist"),
        );
        check(
            hub,
            "pullRequest: {schedule: [{from: 8, to: '17:00'}]}",
            Err("schedule"),
        );
        check(
            "https://git.test/a/b",
            "pullRequest: {}",
            Err("which forge"),
        );
        check(
            "https://git.test/a/b",
            "pullRequest: {forge: gitea}",
            Ok("git.test"),
        );
        check(
            "https://bitbucket.org/a/b",
            "pullRequest: {merge: auto}",
            Err("does not offer"),
        );
        check(
            "https://codeberg.org/a/b",
            "pullRequest: {merge: queue}",
            Err("does not offer"),
        );
    }
}
