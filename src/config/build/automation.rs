//! `ImageUpdateAutomation` and the `GitRepository` that it refers to.

mod provider;
mod source;
mod targets;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Config, Document, Documents, Habitat, ObjectKey, pull_request};
use crate::{
    config::{Automation, RemoteSettings, SigningKey, SigningKeyKind, duration, rules::List},
    crd::{
        self, CommitAuthor, GitReference, GitRepository, GitSpec, ImageUpdateAutomation,
        LabelOperator, PushModeName, VerificationMode,
    },
    nearest::nearest,
    policy::{PolicyName, Range},
    update::{
        git::{
            Author, Branch, Checkout, CommitId, NameError, PushMode, PushOption, PushSettings,
            Refspec, Subject, UpdatePath,
        },
        message::Trailer,
        targets::{Rule, Targets},
        template::{self, Template},
    },
};

/// How long Git may take where the GitRepository says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) fn build(documents: &mut Documents, config: &mut Config) {
    let sources = std::mem::take(&mut documents.sources);
    for document in std::mem::take(&mut documents.automations) {
        let Some(automation) = automation(documents, &document, &sources, config) else {
            continue;
        };
        let own = &automation.remote;
        let is_own = own.checkout != Checkout::Branch(own.push_branch.clone());
        // Each would rebuild the branch on something else, and take the other's commits away.
        let rival = config.automations.iter().find(|other| {
            let other = &other.remote;
            is_own
                && other.url == own.url
                && other.push_branch == own.push_branch
                && !other.goes_with(own)
        });
        if let Some(rival) = rival {
            let message = format!(
                "`{}` is already the push branch of `{}`, which reads or pushes in another way",
                own.push_branch, rival.key
            );
            let hint =
                "give each its own push branch, or the same GitRepository, `checkout` and `push`";
            let pointer = "/spec/git/push/branch";
            document.fault(&mut documents.faults, pointer, message, Some(hint));
        }
        config.automations.push(automation);
    }
    let automations = &mut config.automations;
    automations.sort_by(|left, right| left.key.cmp(&right.key));
}

fn automation(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    sources: &[Document<GitRepository>],
    config: &Config,
) -> Option<Automation> {
    let spec = &document.value.spec;
    let policies = selected(documents, document);
    let Some(git) = &spec.git else {
        let message = "missing field `spec.git`".to_owned();
        let hint = "it says who commits: `git: {commit: {author: {email: …}}}`";
        document.fault(&mut documents.faults, "/spec", message, Some(hint));
        return None;
    };
    let message = message(documents, document, git);
    let path = update_path(documents, document);
    let rules = rules(documents, document, &policies);
    let own = source::inline(document, git);
    let source = source::find(documents, document, own.as_ref(), sources)?;
    let author = author(&git.commit.author);
    let targets = targets::build(documents, document, config, &policies);
    let remote = remote(documents, document, git, &source, path)?;
    let token = pull_request::Token::Named;
    let requests = pull_request::build(documents, document, git, &remote, token);
    Some(Automation {
        key: document.key.clone(),
        pull_request: requests.ok()?,
        remote,
        trailers: trailers(&author, git),
        author,
        message: message.ok()?,
        message_values: git
            .commit
            .message_template_values
            .clone()
            .unwrap_or_default(),
        policies,
        targets: Arc::new(Targets { rules, ..targets? }),
        suspended: spec.suspend,
    })
}

fn author(author: &CommitAuthor) -> Author {
    Author {
        name: author.name.clone(),
        email: author.email.clone(),
    }
}

/// The one who signs off comes last, as git itself writes it.
fn trailers(author: &Author, git: &GitSpec) -> Vec<Trailer> {
    let co_authors = git.commit.co_authors.iter().flatten().map(self::author);
    let co_authors = co_authors.map(|it| Trailer::co_author(&it));
    let sign_off = git.commit.sign_off.then(|| Trailer::sign_off(author));
    co_authors.chain(sign_off).collect()
}

/// The commit message's template, where there is one; an error that was told where it is faulty.
fn message(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    git: &GitSpec,
) -> Result<Option<Template>, ()> {
    let Some(text) = &git.commit.message_template else {
        return Ok(None);
    };
    let values = git
        .commit
        .message_template_values
        .clone()
        .unwrap_or_default();
    match template::check_with(text, &values).and_then(|()| Template::parse(text)) {
        Ok(template) => Ok(Some(template)),
        Err(error) => {
            let message = format!("`messageTemplate`: {error}\n{}", error.caret(text));
            let pointer = "/spec/git/commit/messageTemplate";
            document.fault(
                &mut documents.faults,
                pointer,
                message,
                error.hint().as_deref(),
            );
            Err(())
        }
    }
}

fn remote(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    git: &GitSpec,
    source: &source::Place<'_>,
    path: Option<UpdatePath>,
) -> Option<RemoteSettings> {
    let url = source::address(documents, source);
    let described = source.document;
    let spec = &described.value.spec;
    let provider = url
        .as_ref()
        .and_then(|url| provider::read(documents, document, source, url));
    let name = |reference: &Option<crate::crd::LocalReference>| {
        reference.as_ref().map(|it| it.name.clone())
    };
    let credentials = name(&spec.secret_ref);
    let pointer = format!("{}/secretRef", source.at);
    let credentials = documents.secret(described, &pointer, credentials.as_deref());
    let proxy = name(&spec.proxy_secret_ref);
    let pointer = format!("{}/proxySecretRef", source.at);
    let proxy = documents.secret(described, &pointer, proxy.as_deref());
    let signing_key = signing_key(documents, document, git);
    let (checkout, push_branch) = references(documents, document, git, described)?;
    let verify = verification(documents, described, &checkout);
    let push = push_settings(documents, document, git, &push_branch);
    Some(RemoteSettings {
        url: url?,
        checkout,
        push_branch,
        push: push?,
        path: path?,
        provider: provider?,
        credentials,
        proxy,
        signing_key,
        verify,
        timeout: match &spec.timeout {
            Some(timeout) => duration::parse(timeout)?,
            None => DEFAULT_TIMEOUT,
        },
    })
}

fn signing_key(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    git: &GitSpec,
) -> Option<SigningKey> {
    let key = git.commit.signing_key.as_ref()?;
    let pointer = "/spec/git/commit/signingKey/secretRef";
    Some(SigningKey {
        secret: documents.secret(document, pointer, Some(&key.secret_ref.name))?,
        kind: match key.kind {
            None | Some(crd::SigningKeyKind::Gpg) => SigningKeyKind::OpenPgp,
            Some(crd::SigningKeyKind::Ssh) => SigningKeyKind::Ssh,
        },
    })
}

fn verification(
    documents: &mut Documents,
    source: &Document<GitRepository>,
    checkout: &Checkout,
) -> Option<(Subject, ObjectKey)> {
    let verify = source.value.spec.verify.as_ref()?;
    let name = Some(verify.secret_ref.name.as_str());
    let secret = documents.secret(source, "/spec/verify/secretRef", name)?;
    let subject = match verify.mode {
        VerificationMode::Head | VerificationMode::OldHead => Subject::Commit,
        VerificationMode::Tag => Subject::Tag,
        VerificationMode::TagAndHead => Subject::TagAndCommit,
    };
    if subject != Subject::Commit && !checkout.is_tag() {
        let message = "no tag is checked out whose signature could be verified".to_owned();
        let hint = "write `mode: HEAD`, or check out a tag";
        source.fault(
            &mut documents.faults,
            "/spec/verify/mode",
            message,
            Some(hint),
        );
    }
    Some((subject, secret))
}

/// What a push does besides; nothing where that is faulty, which has been told.
fn push_settings(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    git: &GitSpec,
    push_branch: &Branch,
) -> Option<PushSettings> {
    let Some(push) = &git.push else {
        return Some(PushSettings::default());
    };
    let mut fault = |pointer: &str, error: NameError| {
        document.fault(&mut documents.faults, pointer, error.to_string(), None);
    };
    let refspec = push.refspec.as_deref();
    let refspec = refspec
        .map(|text| Refspec::new(text, push_branch))
        .transpose();
    let refspec = refspec.map_err(|error| fault("/spec/git/push/refspec", error));
    let options = push.options.iter().flatten();
    let options = options.map(|(key, value)| PushOption::new(key, value));
    let options = options.collect::<Result<Vec<_>, _>>();
    let options = options.map_err(|error| fault("/spec/git/push/options", error));
    Some(PushSettings {
        mode: match push.mode {
            PushModeName::Rebuild => PushMode::Rebuild,
            PushModeName::Stack => PushMode::Stack,
        },
        refspec: refspec.ok()?,
        options: options.ok()?,
    })
}

fn update_path(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
) -> Option<UpdatePath> {
    let path = document
        .value
        .spec
        .update
        .as_ref()
        .and_then(|it| it.path.as_deref());
    match UpdatePath::new(path.unwrap_or_default()) {
        Ok(path) => Some(path),
        Err(error) => {
            let message = format!("`spec.update.path`: {error}");
            document.fault(&mut documents.faults, "/spec/update/path", message, None);
            None
        }
    }
}

/// The automation's own rules; they may name its own policies only.
fn rules(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    policies: &BTreeSet<PolicyName>,
) -> Vec<Rule> {
    let update = document.value.spec.update.as_ref();
    let specs = update.and_then(|it| it.rules.as_deref());
    let list = List {
        pointer: "/spec/update/rules",
        name: |number| format!("spec.update.rules[{number}]"),
        file: &document.file,
        node: &document.node,
        namespace: &document.key.namespace,
    };
    let faults = &mut documents.faults;
    let rules = list.build(specs.unwrap_or_default(), |pointer, message, hint| {
        document.fault(faults, pointer, message, hint);
    });
    for (number, rule) in rules.iter().enumerate() {
        if !policies.contains(&rule.policy) {
            let pointer = format!("/spec/update/rules/{number}/policy");
            let message = format!("`{}` is no policy of this automation", rule.policy);
            let names = policies.iter().map(ToString::to_string).collect::<Vec<_>>();
            let names = names.iter().map(String::as_str);
            let hint = nearest(&rule.policy.to_string(), names)
                .map(|near| format!("did you mean `{near}`?"));
            document.fault(&mut documents.faults, &pointer, message, hint.as_deref());
        }
    }
    rules
}

/// What to read and the branch to push, by Flux's rules of precedence.
fn references(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    git: &GitSpec,
    source: &Document<GitRepository>,
) -> Option<(Checkout, Branch)> {
    let own = git.checkout.as_ref().map(|it| &it.reference);
    let reference = own
        .or(source.value.spec.reference.as_ref())
        .cloned()
        .unwrap_or_default();
    let pushed = git.push.as_ref().and_then(|it| it.branch.as_deref());
    let mut refuse = |field: &str, message: String, hint: Option<&str>| {
        if field.starts_with('/') {
            document.fault(&mut documents.faults, field, message, hint);
        } else if own.is_some() {
            let pointer = format!("/spec/git/checkout/ref/{field}");
            document.fault(&mut documents.faults, &pointer, message, hint);
        } else {
            let pointer = format!("/spec/ref/{field}");
            source.fault(&mut documents.faults, &pointer, message, hint);
        }
    };
    let GitReference {
        commit,
        name,
        tag,
        semver,
        branch,
    } = &reference;
    let (field, checkout) = if let Some(id) = commit {
        ("commit", CommitId::new(id).map(Checkout::Commit))
    } else if let Some(name) = name {
        ("name", Checkout::named(name))
    } else if let Some(tag) = tag {
        ("tag", Checkout::tag(tag))
    } else if let Some(range) = semver {
        match Range::new(range) {
            Ok(range) => ("semver", Ok(Checkout::Newest(range))),
            Err(error) => {
                refuse("semver", error.to_string(), error.hint().as_deref());
                return None;
            }
        }
    } else {
        let name = branch.as_deref().unwrap_or("master");
        ("branch", Branch::new(name).map(Checkout::Branch))
    };
    let checkout = match checkout {
        Ok(checkout) => checkout,
        Err(error) => {
            refuse(field, error.to_string(), error.hint().as_deref());
            return None;
        }
    };
    let push = match (pushed, &checkout) {
        (Some(name), _) => match Branch::new(name) {
            Ok(branch) => branch,
            Err(error) => {
                refuse("/spec/git/push/branch", error.to_string(), None);
                return None;
            }
        },
        // Flux infers the push branch from a branch that is written down, and from nothing else.
        (None, Checkout::Branch(found)) if branch.is_some() || name.is_some() => found.clone(),
        (None, _) => {
            let message =
                "no branch to push to: neither `push.branch` nor a branch to check out is given";
            let hint = "add `git: {push: {branch: …}}`, or `checkout: {ref: {branch: main}}`";
            refuse("/spec/git", message.to_owned(), Some(hint));
            return None;
        }
    };
    Some((checkout, push))
}

/// The policies of the automation's namespace that its selector lets through.
fn selected(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
) -> BTreeSet<PolicyName> {
    let selector = document
        .value
        .spec
        .policy_selector
        .clone()
        .unwrap_or_default();
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let takes_values = matches!(
            requirement.operator,
            LabelOperator::In | LabelOperator::NotIn
        );
        if takes_values == requirement.values.is_empty() {
            let pointer = format!("/spec/policySelector/matchExpressions/{index}");
            let message = "`In` and `NotIn` need values, the other operators take none".to_owned();
            document.fault(&mut documents.faults, &pointer, message, None);
        }
    }
    let own = &document.key.namespace;
    let in_namespace = documents
        .policy_labels
        .iter()
        .filter(|(key, _)| key.namespace == *own);
    in_namespace
        .filter(|(_, labels)| selector.matches(labels))
        .map(|(key, _)| PolicyName {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, ConfigFile, Origin, RemoteSettings};

    fn read(source: &str, git: &str) -> Result<RemoteSettings, ConfigError> {
        let text = format!(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: fleet}}\n\
             spec: {{url: 'https://git.test/fleet.git', interval: 5m{source}}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\n\
             metadata: {{name: fleet}}\nspec:\n  interval: 5m\n  \
             sourceRef: {{kind: GitRepository, name: fleet}}\n  \
             git: {{commit: {{author: {{email: bot@example.com}}}}{git}}}\n"
        );
        let name = "config.yaml".to_owned();
        let config = Config::read(
            &[ConfigFile {
                name,
                text,
                origin: Origin::Given,
            }],
            "apps",
        )?;
        Ok(config.automations[0].remote.clone())
    }

    #[test]
    fn what_is_read_and_pushed_follows_the_precedence_of_flux() {
        let check = |source: &str, git: &str, expected: Option<(&str, &str)>| {
            let read = read(source, git).ok();
            let read = read.map(|it| (it.checkout.to_string(), it.push_branch.as_str().to_owned()));
            let read = read.as_ref().map(|(from, to)| (from.as_str(), to.as_str()));
            assert_eq!(read, expected, "{source} | {git}");
        };
        let id = "0123456789012345678901234567890123456789";
        let main = ", ref: {branch: main}";
        check(main, "", Some(("main", "main")));
        check(main, ", push: {branch: bot}", Some(("main", "bot")));
        check("", ", push: {branch: bot}", Some(("master", "bot")));
        check("", "", None);
        check(
            main,
            ", checkout: {ref: {branch: dev}}",
            Some(("dev", "dev")),
        );
        check(main, ", checkout: {ref: {}}", None);
        check(
            main,
            ", checkout: {ref: {}}, push: {branch: x}",
            Some(("master", "x")),
        );
        let tag = ", ref: {tag: v1, semver: 1.x, branch: main}";
        check(tag, ", push: {branch: bot}", Some(("refs/tags/v1", "bot")));
        check(tag, "", None);
        let name = ", ref: {name: refs/pull/1/head, tag: v1}";
        check(
            name,
            ", push: {branch: bot}",
            Some(("refs/pull/1/head", "bot")),
        );
        check(", ref: {name: refs/heads/main}", "", Some(("main", "main")));
        let commit = format!(", ref: {{commit: '{id}', name: refs/heads/main}}");
        check(&commit, ", push: {branch: bot}", Some((id, "bot")));
        check(&commit, "", None);
        let semver = ", ref: {semver: 1.x, branch: main}";
        let newest = Some(("the newest tag in `1.x`", "bot"));
        check(semver, ", push: {branch: bot}", newest);
        check(semver, "", None);
    }

    #[test]
    fn a_fault_stands_where_the_reference_does() {
        let check = |source: &str, git: &str, expected: &str| {
            let error = read(source, git).expect_err("it is faulty");
            let [fault] = error.faults.as_slice() else {
                panic!("one fault: {error:?}");
            };
            assert!(fault.message.contains(expected), "{fault}");
        };
        let push = ", push: {branch: bot}";
        check(
            ", ref: {tag: 'a b'}",
            push,
            "`refs/tags/a b` is not the name of a reference",
        );
        check(
            ", ref: {name: main}",
            push,
            "it does not begin with `refs/`",
        );
        check(", ref: {commit: abc}", push, "is not a commit id");
        check(", ref: {semver: '1.y'}", push, "semver");
        let refspec = ", push: {branch: bot, refspec: 'main:refs/heads/x'}";
        check("", refspec, "its left side has to be the push branch");
        let options = r#", push: {branch: bot, options: {"a\nb": c}}"#;
        check("", options, "an option is one line");
    }
}
