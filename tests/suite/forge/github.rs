//! GitHub's language: REST v3 and the mutations that we send.

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
            (200, found.map(|it| shown(forge, it)).collect())
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
                    json!({"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": "A pull request already exists for acme:bot/images."}]}),
                ),
                Err(None) => (
                    422,
                    json!({"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}]}),
                ),
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
                (200, json!({"merged": true}))
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
            with(forge, number, 201, |pull| pull.reviewers.extend(people))
        }
        ("POST", ["repos", "acme", "fleet", "issues", number, what]) => {
            let (labels, people) = (call.texts("/labels"), call.texts("/assignees"));
            let comment = call.text("/body");
            let what = *what;
            with(forge, number, 201, |pull| match what {
                "labels" => {
                    pull.labels.retain(|it| !labels.contains(it));
                    pull.labels.extend(labels);
                }
                "assignees" => pull.assignees = people,
                _ => pull.comments.extend(comment),
            })
        }
        ("GET", ["repos", "acme", "fleet", "milestones"]) => (
            200,
            json!([{"number": 4, "title": "Q1"}, {"number": 5, "title": "Q2"}]),
        ),
        ("PATCH", ["repos", "acme", "fleet", "issues", number]) => {
            let milestone = call.body["milestone"].to_string();
            with(forge, number, 200, |pull| pull.milestone = Some(milestone))
        }
        ("POST", ["graphql"]) => graphql(forge, call),
        _ => (
            404,
            json!({"message": format!("nothing is at {method} {path:?}")}),
        ),
    }
}

fn graphql(forge: &mut Forge, call: &Call) -> Reply {
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
    with(forge, &number, 200, |pull| pull.armed = expected);
    (
        200,
        json!({"data": {"enablePullRequestAutoMerge": {"clientMutationId": null}}}),
    )
}

fn with(forge: &mut Forge, number: &str, status: u16, act: impl FnOnce(&mut Pull)) -> Reply {
    match forge.pull(number) {
        Some(pull) => {
            act(pull);
            (status, json!({}))
        }
        None => (404, json!({"message": "Not Found"})),
    }
}

fn shown(forge: &Forge, pull: &Pull) -> Value {
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
        "mergeable_state": "blocked",
        "head": {"ref": pull.head, "sha": forge.tip(&pull.head).unwrap_or_default(), "repo": {"full_name": owner}},
        "base": {"ref": pull.base, "sha": forge.tip(&pull.base).unwrap_or_default(), "repo": {"full_name": "acme/fleet"}},
    })
}
