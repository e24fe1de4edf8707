//! GitHub's language: REST v3 and the mutations that we send.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    fake::{Call, Forge, Pull, Reply, Stage},
    own_commit::{Modes, OwnCommit},
};

#[expect(
    clippy::too_many_lines,
    reason = "one arm for each call, as in the product's own reference"
)]
pub(crate) fn answer(forge: &mut Forge, call: &Call) -> Reply {
    let (method, path) = call.parts();
    match (method, path.as_slice()) {
        ("GET", ["repos", "acme", "fleet", "pulls"]) => {
            let state = call.query("state").unwrap_or("open");
            let head = call.query("head").and_then(|it| it.strip_prefix("acme:"));
            let page = call
                .query("page")
                .and_then(|it| it.parse().ok())
                .unwrap_or(1_usize);
            let found = forge.listed(|it| {
                (state == "all" || it.state == Stage::Open)
                    && head.is_none_or(|head| head == it.head)
            });
            let found = found.into_iter().skip((page - 1) * 100).take(100);
            let simple = found.map(|it| dressed("pull-request-simple", described(forge, it)));
            (200, simple.collect())
        }
        ("POST", ["repos", "acme", "fleet", "pulls"]) => {
            let new = Pull {
                title: call.text("/title").unwrap_or_default(),
                body: call.text("/body").unwrap_or_default(),
                head: call.text("/head").unwrap_or_default(),
                base: call.text("/base").unwrap_or_default(),
                draft: call.body["draft"] == json!(true),
                ..Pull::default()
            };
            match forge.open(new).cloned() {
                Ok(pull) => (201, shown(forge, &pull)),
                Err(Some(_)) => (
                    422,
                    invalid(
                        &json!({"resource": "PullRequest", "code": "custom", "message": "A pull request already exists for acme:bot/images."}),
                    ),
                ),
                Err(None) => (422, invalid(&json!({"field": "head", "code": "invalid"}))),
            }
        }
        ("GET", ["repos", "acme", "fleet", "pulls", number]) => match forge.pull(number).cloned() {
            Some(pull) => (200, shown(forge, &pull)),
            None => (404, json!({"message": "Not Found"})),
        },
        ("PATCH", ["repos", "acme", "fleet", "pulls", number]) => {
            let (title, body) = (call.text("/title"), call.text("/body"));
            let closes = call.text("/state").as_deref() == Some("closed");
            let Some(pull) = forge.pull(number) else {
                return (404, json!({"message": "Not Found"}));
            };
            pull.title = title.unwrap_or_else(|| pull.title.clone());
            pull.body = body.unwrap_or_else(|| pull.body.clone());
            if closes {
                pull.state = Stage::Closed;
            }
            let pull = pull.clone();
            (200, shown(forge, &pull))
        }
        ("PUT", ["repos", "acme", "fleet", "pulls", number, "merge"]) => {
            let head = forge
                .pull(number)
                .map(|it| it.head.clone())
                .and_then(|it| forge.tip(&it));
            if head == call.text("/sha") {
                forge.merge(number.parse().expect("it was found"));
                let own = json!({"merged": true, "sha": head});
                (200, dressed("pull-request-merge-result", own))
            } else {
                (409, json!({"message": "Head branch was modified"}))
            }
        }
        (
            "POST",
            [
                "repos",
                "acme",
                "fleet",
                "pulls",
                number,
                "requested_reviewers",
            ],
        ) => {
            let people = [call.texts("/reviewers"), call.texts("/team_reviewers")].concat();
            match forge.pull(number) {
                Some(pull) => {
                    pull.reviewers.extend(people);
                    let pull = pull.clone();
                    let own = described(forge, &pull);
                    (201, dressed("pull-request-simple", own))
                }
                None => (404, json!({"message": "Not Found"})),
            }
        }
        ("POST", ["repos", "acme", "fleet", "issues", number, what]) => {
            let (labels, people) = (call.texts("/labels"), call.texts("/assignees"));
            let comment = call.text("/body");
            let Some(pull) = forge.pull(number) else {
                return (404, json!({"message": "Not Found"}));
            };
            match *what {
                "labels" => {
                    pull.labels.retain(|it| !labels.contains(it));
                    pull.labels.extend(labels);
                    let labels = pull.labels.iter();
                    let labels = labels.map(|it| dressed("label", json!({"name": it})));
                    (200, labels.collect())
                }
                "assignees" => {
                    pull.assignees = people;
                    (201, dressed("issue", json!({"number": pull.number})))
                }
                _ => {
                    let own = json!({"body": comment});
                    pull.comments.extend(comment);
                    (201, dressed("issue-comment", own))
                }
            }
        }
        ("GET", ["repos", "acme", "fleet", "milestones"]) => (
            200,
            ["Q1", "Q2"]
                .iter()
                .zip(4..)
                .map(|(title, number)| {
                    dressed("milestone", json!({"number": number, "title": title}))
                })
                .collect(),
        ),
        ("GET", ["repos", "acme", "fleet", "issues", number, "comments"]) => {
            (200, notes(forge, number))
        }
        ("PATCH", ["repos", "acme", "fleet", "issues", "comments", id]) => {
            reworded(forge, id, call)
        }
        ("PATCH", ["repos", "acme", "fleet", "issues", number]) => {
            let milestone = call.body["milestone"].to_string();
            match forge.pull(number) {
                Some(pull) => {
                    pull.milestone = Some(milestone);
                    (200, dressed("issue", json!({"number": pull.number})))
                }
                None => (404, json!({"message": "Not Found"})),
            }
        }
        ("POST", ["graphql"]) => graphql(forge, call),
        _ => (
            404,
            json!({"message": format!("nothing is at {method} {path:?}")}),
        ),
    }
}

/// The comments of a request.
pub(super) fn notes(forge: &mut Forge, number: &str) -> Value {
    let notes = forge.notes(number).into_iter();
    notes
        .map(|(id, body)| dressed("issue-comment", json!({"id": id, "body": body})))
        .collect()
}

/// Gives a comment the words of a call.
pub(super) fn reworded(forge: &mut Forge, id: &str, call: &Call) -> Reply {
    match forge.note(id) {
        Some(words) => {
            *words = call.text("/body").unwrap_or_default();
            (200, dressed("issue-comment", json!({"body": words})))
        }
        None => (404, json!({"message": "Not Found"})),
    }
}

/// `createCommitOnBranch`: what is added is a plain file, whatever it was before.
fn committed(forge: &mut Forge, call: &Call) -> Reply {
    let text = |name: &str| call.text(&format!("/variables/input/{name}"));
    let branch = text("branch/branchName").unwrap_or_default();
    let parent = text("expectedHeadOid").unwrap_or_default();
    if forge.tip(&branch).as_ref() != Some(&parent) {
        let message = format!("Expected branch to point to {parent:?} but it did not.");
        let error = json!({"type": "STALE_DATA", "message": message});
        return (200, json!({"data": null, "errors": [error]}));
    }
    let files = call.body["variables"]["input"]["fileChanges"]["additions"].as_array();
    let files = files.into_iter().flatten().map(|it| {
        let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
        (text("path"), decoded(&text("contents")))
    });
    let headline = text("message/headline").unwrap_or_default();
    let body = text("message/body").unwrap_or_default();
    let id = forge.commit(
        &branch,
        &OwnCommit {
            parent: &parent,
            message: &format!("{headline}\n\n{body}"),
            files: files.collect(),
            modes: Modes::Plain,
        },
    );
    let commit = json!({"commit": {"oid": id}});
    (200, json!({"data": {"createCommitOnBranch": commit}}))
}

pub(super) fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}

fn graphql(forge: &mut Forge, call: &Call) -> Reply {
    if call.body.pointer("/variables/input").is_some() {
        return committed(forge, call);
    }
    let number = call
        .text("/variables/id")
        .unwrap_or_default()
        .replace("PR_", "");
    let expected = call.text("/variables/head");
    let head = forge
        .pull(&number)
        .map(|it| it.head.clone())
        .and_then(|it| forge.tip(&it));
    if head.is_none() || head != expected {
        let message = "Head sha didn't match expected";
        return (
            200,
            json!({"data": null, "errors": [{"type": "UNPROCESSABLE", "message": message}]}),
        );
    }
    let query = call.text("/query").unwrap_or_default();
    let queues = query.contains(" enqueuePullRequest(");
    if !queues && forge.merges_at_once {
        let message = "Pull request is in clean status";
        let error = json!({"type": "UNPROCESSABLE", "message": message});
        return (200, json!({"data": null, "errors": [error]}));
    }
    if let Some(pull) = forge.pull(&number) {
        pull.armed = expected;
        pull.queued = queues;
    }
    let done = if queues {
        "enqueuePullRequest"
    } else {
        "enablePullRequestAutoMerge"
    };
    (200, json!({"data": {done: {"clientMutationId": null}}}))
}

fn invalid(error: &Value) -> Value {
    json!({
        "message": "Validation Failed",
        "errors": [error],
        "documentation_url": "https://docs.github.com/rest/pulls/pulls#create-a-pull-request",
    })
}

/// The answers with every field that the description requires.
static ANSWERS: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("schemas/github_answers.json");
    serde_json::from_str(text).expect("it is JSON")
});

/// An answer with fields of our own in place of the plainest ones.
fn dressed(kind: &str, own: Value) -> Value {
    let mut answer = ANSWERS["answers"][kind].clone();
    put(&mut answer, own);
    answer
}

fn put(answer: &mut Value, own: Value) {
    match (answer, own) {
        (Value::Object(answer), Value::Object(own)) => {
            for (name, value) in own {
                put(answer.entry(name).or_insert(Value::Null), value);
            }
        }
        (answer, own) => *answer = own,
    }
}

fn shown(forge: &Forge, pull: &Pull) -> Value {
    let mut own = described(forge, pull);
    let is_clean = forge.merges_at_once;
    own["mergeable_state"] = json!(if is_clean { "clean" } else { "blocked" });
    dressed("pull-request", own)
}

fn described(forge: &Forge, pull: &Pull) -> Value {
    let owner = if pull.fork {
        "mallory/fleet"
    } else {
        "acme/fleet"
    };
    json!({
        "number": pull.number,
        "node_id": format!("PR_{}", pull.number),
        "html_url": format!("https://github.test/acme/fleet/pull/{}", pull.number),
        "title": pull.title,
        "body": if pull.body.is_empty() { Value::Null } else { json!(pull.body) },
        "state": if pull.state == Stage::Open { "open" } else { "closed" },
        "merged_at": (pull.state == Stage::Merged).then_some("2026-01-02T03:04:05Z"),
        "created_at": "2026-01-02T03:04:05Z",
        "draft": pull.draft,
        "head": {"ref": pull.head, "sha": forge.tip(&pull.head).unwrap_or_default(), "repo": {"full_name": owner}},
        "base": {"ref": pull.base, "sha": forge.tip(&pull.base).unwrap_or_default(), "repo": {"full_name": "acme/fleet"}},
    })
}
