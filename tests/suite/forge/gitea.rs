//! The language of Gitea and Forgejo: REST v1.

use serde_json::{Value, json};

use super::fake::{Call, Forge, Pull, Reply, Stage};

#[expect(
    clippy::too_many_lines,
    reason = "one arm for each call, as in the product's own reference"
)]
pub(crate) fn answer(forge: &mut Forge, call: &Call) -> Reply {
    let (method, path) = call.parts();
    match (method, path.as_slice()) {
        ("GET", ["repos", "acme", "fleet", "pulls"]) => {
            let is_open = call.query("state").unwrap_or("open") == "open";
            let page = call
                .query("page")
                .and_then(|it| it.parse().ok())
                .unwrap_or(1_usize);
            let found = forge.listed(|it| (it.state == Stage::Open) == is_open);
            let found = found.into_iter().skip((page - 1) * 50).take(50);
            (200, found.map(|it| shown(forge, it)).collect())
        }
        ("POST", ["repos", "acme", "fleet", "pulls"]) => {
            let new = Pull {
                title: call.text("/title").unwrap_or_default(),
                body: call.text("/body").unwrap_or_default(),
                head: call.text("/head").unwrap_or_default(),
                base: call.text("/base").unwrap_or_default(),
                ..Pull::default()
            };
            match forge.open(new).cloned() {
                Ok(pull) => (201, shown(forge, &pull)),
                Err(Some(number)) => (
                    409,
                    json!({"message": format!("pull request already exists for these targets [id: {number}]")}),
                ),
                Err(None) => (404, json!({"message": "The target couldn't be found."})),
            }
        }
        ("PATCH", ["repos", "acme", "fleet", "pulls", number]) => {
            let (title, body) = (call.text("/title"), call.text("/body"));
            let closes = call.text("/state").as_deref() == Some("closed");
            let people = call.texts("/assignees");
            let milestone = call.body.get("milestone").map(Value::to_string);
            let Some(pull) = forge.pull(number) else {
                return (404, json!({"message": "Not Found"}));
            };
            pull.title = title.unwrap_or_else(|| pull.title.clone());
            pull.body = body.unwrap_or_else(|| pull.body.clone());
            pull.assignees.extend(people);
            pull.milestone = milestone.or(pull.milestone.take());
            if closes {
                pull.state = Stage::Closed;
            }
            let pull = pull.clone();
            (201, shown(forge, &pull))
        }
        ("POST", ["repos", "acme", "fleet", "pulls", number, "merge"]) => {
            let head = forge
                .pull(number)
                .map(|it| it.head.clone())
                .and_then(|it| forge.tip(&it));
            if head.is_none() || head != call.text("/head_commit_id") {
                return (409, json!({"message": "head out of date"}));
            }
            forge.pull(number).expect("it was found").armed = head;
            (201, json!({}))
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
            with(forge, number, |pull| pull.reviewers.extend(people))
        }
        ("GET", ["repos", "acme", "fleet", "labels"]) => match call.query("page") {
            Some("1") => (200, json!([{"id": 11, "name": "images"}])),
            _ => (200, json!([])),
        },
        ("POST", ["repos", "acme", "fleet", "labels"]) => {
            (201, json!({"id": 12, "name": call.text("/name")}))
        }
        ("POST", ["repos", "acme", "fleet", "issues", number, "labels"]) => {
            let names = call.body["labels"].as_array().into_iter().flatten();
            let names = names.map(|it| if *it == json!(11) { "images" } else { "made" }.to_owned());
            let names = names.collect::<Vec<_>>();
            with(forge, number, |pull| {
                pull.labels.retain(|it| !names.contains(it));
                pull.labels.extend(names);
            })
        }
        ("POST", ["repos", "acme", "fleet", "issues", number, "comments"]) => {
            let text = call.text("/body");
            with(forge, number, |pull| pull.comments.extend(text))
        }
        ("GET", ["repos", "acme", "fleet", "issues", number, "comments"]) => {
            (200, super::github::notes(forge, number))
        }
        ("PATCH", ["repos", "acme", "fleet", "issues", "comments", id]) => {
            super::github::reworded(forge, id, call)
        }
        ("GET", ["repos", "acme", "fleet", "milestones"]) => {
            (200, json!([{"id": 4, "title": "Q1"}]))
        }
        _ => (
            404,
            json!({"message": format!("nothing is at {method} {path:?}")}),
        ),
    }
}

fn with(forge: &mut Forge, number: &str, act: impl FnOnce(&mut Pull)) -> Reply {
    match forge.pull(number) {
        Some(pull) => {
            act(pull);
            (201, json!({}))
        }
        None => (404, json!({"message": "Not Found"})),
    }
}

fn shown(forge: &Forge, pull: &Pull) -> Value {
    json!({
        "number": pull.number,
        "html_url": format!("https://gitea.test/acme/fleet/pulls/{}", pull.number),
        "title": pull.title,
        "body": pull.body,
        "state": if pull.state == Stage::Open { "open" } else { "closed" },
        "merged": pull.state == Stage::Merged,
        "created_at": "2026-01-02T03:04:05Z",
        "head": {"ref": pull.head, "sha": forge.tip(&pull.head), "repo_id": if pull.fork { 666 } else { 7 }},
        "base": {"ref": pull.base, "sha": forge.tip(&pull.base), "repo_id": 7},
    })
}
