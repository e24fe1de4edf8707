//! The language of Azure DevOps: REST 7.1. Its lists cut descriptions after 400 characters.

use serde_json::{Value, json};

use super::fake::{Call, Forge, Pull, Reply, Stage};

#[expect(
    clippy::too_many_lines,
    reason = "one arm for each call, as in the product's own reference"
)]
pub(crate) fn answer(forge: &mut Forge, call: &Call) -> Reply {
    let (method, path) = call.parts();
    if path.as_slice() == ["_apis", "connectionData"] {
        return (200, json!({"authenticatedUser": {"id": "me-4711"}}));
    }
    if call.query("api-version") != Some("7.1") {
        return (400, json!({"message": "The api-version is missing"}));
    }
    let start = [
        "acme",
        "_apis",
        "git",
        "repositories",
        "fleet",
        "pullrequests",
    ];
    let Some(rest) = path.strip_prefix(start.as_slice()) else {
        return (404, json!({"message": format!("{method} {path:?}")}));
    };
    match (method, rest) {
        ("GET", []) => {
            let is_any = call.query("searchCriteria.status") == Some("all");
            let head = call.query("searchCriteria.sourceRefName");
            let head = head.and_then(|it| it.strip_prefix("refs/heads/"));
            let number = |name: &str| call.query(name).and_then(|it| it.parse().ok()).unwrap_or(0);
            let found = forge.listed(|it| {
                (is_any || it.state == Stage::Open) && head.is_none_or(|head| head == it.head)
            });
            let found = found.into_iter().skip(number("$skip")).take(number("$top"));
            let found = found.map(|it| {
                let body = it.body.chars().take(400).collect();
                shown(forge, &Pull { body, ..it.clone() })
            });
            let values = found.collect::<Vec<_>>();
            (200, json!({"count": values.len(), "value": values}))
        }
        ("POST", []) => {
            let branch = |name: &str| {
                let name = call.text(name).unwrap_or_default();
                name.trim_start_matches("refs/heads/").to_owned()
            };
            let new = Pull {
                title: call.text("/title").unwrap_or_default(),
                body: call.text("/description").unwrap_or_default(),
                head: branch("/sourceRefName"),
                base: branch("/targetRefName"),
                draft: call.body["isDraft"] == json!(true),
                ..Pull::default()
            };
            match forge.open(new).cloned() {
                Ok(pull) => (201, shown(forge, &pull)),
                Err(Some(_)) => (
                    409,
                    json!({"typeKey": "GitPullRequestExistsException", "message": "TF401179: An active pull request for the source and target branch already exists."}),
                ),
                Err(None) => (400, json!({"message": "TF401398"})),
            }
        }
        ("GET", [number]) => match forge.pull(number).cloned() {
            Some(pull) => (200, shown(forge, &pull)),
            None => (404, json!({"message": "TF401180"})),
        },
        ("PATCH", [number]) => {
            let (title, body) = (call.text("/title"), call.text("/description"));
            let closes = call.text("/status").as_deref() == Some("abandoned");
            let arms = call.text("/autoCompleteSetBy/id").is_some();
            let head = forge
                .pull(number)
                .map(|it| it.head.clone())
                .and_then(|it| forge.tip(&it));
            let Some(pull) = forge.pull(number) else {
                return (404, json!({"message": "TF401180"}));
            };
            pull.title = title.unwrap_or_else(|| pull.title.clone());
            pull.body = body.unwrap_or_else(|| pull.body.clone());
            if closes {
                pull.state = Stage::Closed;
            }
            if arms {
                pull.armed = head;
            }
            let pull = pull.clone();
            (200, shown(forge, &pull))
        }
        ("POST", [number, "labels"]) => {
            let name = call.text("/name").unwrap_or_default();
            with(forge, number, |pull| {
                pull.labels.retain(|it| *it != name);
                pull.labels.push(name);
            })
        }
        ("PUT", [number, "reviewers", id]) => {
            let id = (*id).to_owned();
            with(forge, number, |pull| pull.reviewers.push(id))
        }
        ("POST", [number, "threads"]) => {
            let text = call.text("/comments/0/content");
            with(forge, number, |pull| pull.comments.extend(text))
        }
        ("GET", [number, "threads"]) => {
            let notes = forge.notes(number).into_iter();
            let threads = notes.map(|(id, text)| {
                let gone = json!({"id": 2, "isDeleted": true});
                json!({"id": id, "comments": [{"id": 1, "content": text}, gone]})
            });
            (200, json!({"value": threads.collect::<Value>()}))
        }
        ("PATCH", [_, "threads", id, "comments", "1"]) => {
            match (forge.note(id), call.text("/content")) {
                (Some(words), Some(text)) => {
                    *words = text;
                    (200, json!({}))
                }
                _ => (404, json!({"message": "TF401180"})),
            }
        }
        _ => (404, json!({"message": format!("{method} {path:?}")})),
    }
}

fn with(forge: &mut Forge, number: &str, act: impl FnOnce(&mut Pull)) -> Reply {
    match forge.pull(number) {
        Some(pull) => {
            act(pull);
            (200, json!({}))
        }
        None => (404, json!({"message": "TF401180"})),
    }
}

fn shown(forge: &Forge, pull: &Pull) -> Value {
    let mut value = json!({
        "pullRequestId": pull.number,
        "title": pull.title,
        "description": pull.body,
        "status": match pull.state {
            Stage::Open => "active",
            Stage::Merged => "completed",
            Stage::Closed => "abandoned",
        },
        "isDraft": pull.draft,
        "creationDate": "2026-01-02T03:04:05.6789012Z",
        "sourceRefName": format!("refs/heads/{}", pull.head),
        "targetRefName": format!("refs/heads/{}", pull.base),
        "lastMergeSourceCommit": {"commitId": forge.tip(&pull.head).unwrap_or_default()},
    });
    if pull.fork {
        value["forkSource"] = json!({"repository": {"name": "mallory"}});
    }
    value
}
