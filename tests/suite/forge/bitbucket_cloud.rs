//! Bitbucket Cloud's language: REST 2.0.

use serde_json::{Value, json};

use super::fake::{Call, Forge, Pull, Reply, Stage};

const PAGE: usize = 50;

#[expect(
    clippy::too_many_lines,
    reason = "one arm for each call, as in the product's own reference"
)]
pub(crate) fn answer(forge: &mut Forge, call: &Call) -> Reply {
    let (method, path) = call.parts();
    match (method, path.as_slice()) {
        ("GET", ["repositories", "acme", "fleet", "pullrequests"]) => {
            let states = call.query.iter().filter(|(key, _)| key == "state");
            let states = states.map(|(_, value)| value.as_str()).collect::<Vec<_>>();
            let head = call
                .query("q")
                .and_then(|it| it.strip_prefix("source.branch.name=\""));
            let head = head.and_then(|it| it.strip_suffix('"'));
            let page = call
                .query("page")
                .and_then(|it| it.parse().ok())
                .unwrap_or(1_usize);
            let found = forge.listed(|it| {
                states.contains(&word(it.state)) && head.is_none_or(|head| head == it.head)
            });
            let has_more = found.len() > page * PAGE;
            let found = found.into_iter().skip((page - 1) * PAGE).take(PAGE);
            let mut answer = json!({"values": found.map(|it| shown(forge, it)).collect::<Value>()});
            if has_more {
                answer["next"] = json!("https://elsewhere.test/next");
            }
            (200, answer)
        }
        ("POST", ["repositories", "acme", "fleet", "pullrequests"]) => {
            let new = Pull {
                title: call.text("/title").unwrap_or_default(),
                body: call.text("/description").unwrap_or_default(),
                head: call.text("/source/branch/name").unwrap_or_default(),
                base: call.text("/destination/branch/name").unwrap_or_default(),
                draft: call.body["draft"] == json!(true),
                ..Pull::default()
            };
            match forge.open(new).cloned() {
                Ok(pull) => (201, shown(forge, &pull)),
                // A second request from the same branch is the first one.
                Err(Some(number)) => {
                    let pull = forge
                        .pull(&number.to_string())
                        .expect("it is there")
                        .clone();
                    (201, shown(forge, &pull))
                }
                Err(None) => (
                    400,
                    json!({"type": "error", "error": {"message": "There are no changes to be pulled"}}),
                ),
            }
        }
        ("GET", ["repositories", "acme", "fleet", "pullrequests", number]) => {
            match forge.pull(number).cloned() {
                Some(pull) => (200, shown(forge, &pull)),
                None => (404, json!({"type": "error"})),
            }
        }
        ("PUT", ["repositories", "acme", "fleet", "pullrequests", number]) => {
            let people = call.body["reviewers"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let people = people.iter().map(|it| {
                let name = it.get("uuid").or_else(|| it.get("account_id"));
                name.and_then(Value::as_str).unwrap_or_default().to_owned()
            });
            let people = people.collect();
            let (title, body) = (call.text("/title"), call.text("/description"));
            let Some(pull) = forge.pull(number) else {
                return (404, json!({"type": "error"}));
            };
            pull.title = title.unwrap_or_default();
            pull.body = body.unwrap_or_else(|| pull.body.clone());
            // What is not sent along is dropped.
            pull.reviewers = people;
            let pull = pull.clone();
            (200, shown(forge, &pull))
        }
        (
            "GET",
            [
                "repositories",
                "acme",
                "fleet",
                "pullrequests",
                number,
                "comments",
            ],
        ) => {
            let notes = forge.notes(number).into_iter();
            let notes = notes.map(|(id, text)| json!({"id": id, "content": {"raw": text}}));
            let gone = json!({"id": 1, "content": {"raw": ""}, "deleted": true});
            let values = std::iter::once(gone).chain(notes).collect::<Vec<_>>();
            // As short as a page may be, so that there is more than one.
            let page = call.query("page").and_then(|it| it.parse().ok());
            let page = page.unwrap_or(1_usize);
            let shown = values.get(page - 1).cloned();
            let mut answer = json!({"values": shown.into_iter().collect::<Value>()});
            if values.len() > page {
                answer["next"] = json!("https://elsewhere.test/next");
            }
            (200, answer)
        }
        (
            "PUT",
            [
                "repositories",
                "acme",
                "fleet",
                "pullrequests",
                _,
                "comments",
                id,
            ],
        ) => match (forge.note(id), call.text("/content/raw")) {
            (Some(words), Some(text)) => {
                *words = text;
                (200, json!({}))
            }
            _ => (404, json!({"type": "error"})),
        },
        (
            "POST",
            [
                "repositories",
                "acme",
                "fleet",
                "pullrequests",
                number,
                "comments",
            ],
        ) => {
            let text = call.text("/content/raw");
            match forge.pull(number) {
                Some(pull) => {
                    pull.comments.extend(text);
                    (201, json!({"id": 1}))
                }
                None => (404, json!({"type": "error"})),
            }
        }
        (
            "POST",
            [
                "repositories",
                "acme",
                "fleet",
                "pullrequests",
                number,
                "decline",
            ],
        ) => match forge.pull(number) {
            Some(pull) => {
                pull.state = Stage::Closed;
                (200, json!({}))
            }
            None => (404, json!({"type": "error"})),
        },
        _ => (
            404,
            json!({"type": "error", "path": format!("{method} {path:?}")}),
        ),
    }
}

fn word(state: Stage) -> &'static str {
    match state {
        Stage::Open => "OPEN",
        Stage::Merged => "MERGED",
        Stage::Closed => "DECLINED",
    }
}

fn shown(forge: &Forge, pull: &Pull) -> Value {
    let hash = |branch: &str| json!({"hash": forge.tip(branch).map(|it| it[..12].to_owned())});
    let owner = if pull.fork {
        "mallory/fleet"
    } else {
        "acme/fleet"
    };
    let people = pull.reviewers.iter().map(|it| {
        if it.starts_with('{') {
            json!({"uuid": it, "display_name": "Somebody"})
        } else {
            json!({"account_id": it, "display_name": "Somebody"})
        }
    });
    json!({
        "id": pull.number,
        "links": {"html": {"href": format!("https://bitbucket.test/acme/fleet/pull-requests/{}", pull.number)}},
        "title": pull.title,
        "description": pull.body,
        "state": word(pull.state),
        "draft": pull.draft,
        "created_on": "2026-01-02T03:04:05.678901+00:00",
        "source": {"branch": {"name": pull.head}, "commit": hash(&pull.head), "repository": {"full_name": owner}},
        "destination": {"branch": {"name": pull.base}, "commit": hash(&pull.base), "repository": {"full_name": "acme/fleet"}},
        "reviewers": people.collect::<Value>(),
    })
}
