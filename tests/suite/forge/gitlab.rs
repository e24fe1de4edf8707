//! GitLab's language: REST v4.

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
        ("GET", ["users"]) => match call.query("username") {
            Some("nobody") | None => (200, json!([])),
            Some(name) => (200, json!([{"id": name.len(), "username": name}])),
        },
        ("GET", ["groups", _, "members"]) => (200, json!([{"id": 71}, {"id": 72}])),
        ("GET", ["projects", "acme/fleet", "milestones"]) => match call.query("title") {
            Some("Q1") => (200, json!([{"id": 4, "title": "Q1"}])),
            _ => (200, json!([])),
        },
        ("GET", ["projects", "acme/fleet", "merge_requests"]) => {
            let state = call.query("state").unwrap_or("all");
            let head = call.query("source_branch");
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
        ("POST", ["projects", "acme/fleet", "merge_requests"]) => {
            let title = call.text("/title").unwrap_or_default();
            let new = Pull {
                draft: title.starts_with("Draft: "),
                title,
                body: call.text("/description").unwrap_or_default(),
                head: call.text("/source_branch").unwrap_or_default(),
                base: call.text("/target_branch").unwrap_or_default(),
                ..Pull::default()
            };
            match forge.open(new).cloned() {
                Ok(pull) => (201, shown(forge, &pull)),
                Err(Some(number)) => (
                    409,
                    json!({"message": [format!("Another open merge request already exists for this source branch: !{number}")]}),
                ),
                Err(None) => (400, json!({"message": {"base": ["invalid"]}})),
            }
        }
        ("PUT", ["projects", "acme/fleet", "merge_requests", number]) => {
            let labels = call.text("/add_labels").unwrap_or_default();
            let labels = labels
                .split(',')
                .filter(|it| !it.is_empty())
                .map(str::to_owned);
            let labels = labels.collect::<Vec<_>>();
            let people = |name: &str| {
                let ids = call.body[name].as_array().into_iter().flatten();
                ids.map(Value::to_string).collect::<Vec<_>>()
            };
            let (reviewers, assignees) = (people("reviewer_ids"), people("assignee_ids"));
            let (title, body) = (call.text("/title"), call.text("/description"));
            let closes = call.text("/state_event").as_deref() == Some("close");
            let milestone = call.body.get("milestone_id").map(Value::to_string);
            let Some(pull) = forge.pull(number) else {
                return (404, json!({"message": "404 Not found"}));
            };
            pull.title = title.unwrap_or_else(|| pull.title.clone());
            pull.draft = pull.title.starts_with("Draft: ");
            pull.body = body.unwrap_or_else(|| pull.body.clone());
            pull.labels.retain(|it| !labels.contains(it));
            pull.labels.extend(labels);
            pull.reviewers.extend(reviewers);
            pull.assignees.extend(assignees);
            pull.milestone = milestone.or(pull.milestone.take());
            if closes {
                pull.state = Stage::Closed;
            }
            let pull = pull.clone();
            (200, shown(forge, &pull))
        }
        ("PUT", ["projects", "acme/fleet", "merge_requests", number, "merge"])
        | (
            "POST",
            [
                "projects",
                "acme/fleet",
                "merge_trains",
                "merge_requests",
                number,
            ],
        ) => {
            let head = forge
                .pull(number)
                .map(|it| it.head.clone())
                .and_then(|it| forge.tip(&it));
            if head.is_none() || head != call.text("/sha") {
                return (
                    409,
                    json!({"message": "SHA does not match HEAD of source branch"}),
                );
            }
            let pull = forge.pull(number).expect("it was found");
            pull.armed = head;
            pull.queued = method == "POST";
            (200, json!({}))
        }
        ("GET", ["projects", "acme/fleet", "merge_requests", number, "notes"]) => {
            (200, super::github::notes(forge, number))
        }
        ("PUT", ["projects", "acme/fleet", "merge_requests", _, "notes", id]) => {
            super::github::reworded(forge, id, call)
        }
        ("POST", ["projects", "acme/fleet", "repository", "commits"]) => committed(forge, call),
        ("POST", ["projects", "acme/fleet", "merge_requests", number, "notes"]) => {
            let text = call.text("/body");
            match forge.pull(number) {
                Some(pull) => {
                    pull.comments.extend(text);
                    (201, json!({"id": 1}))
                }
                None => (404, json!({"message": "404 Not found"})),
            }
        }
        _ => (
            404,
            json!({"message": format!("nothing is at {method} {path:?}")}),
        ),
    }
}

/// A commit on `start_sha`, which `force` lets replace what is on the branch; a file keeps its mode.
fn committed(forge: &mut Forge, call: &Call) -> Reply {
    let branch = call.text("/branch").unwrap_or_default();
    let is_forced = call.body["force"] == json!(true);
    let parent = call.text("/start_sha").unwrap_or_default();
    if forge.tip(&branch).is_some() && !is_forced {
        let message = format!("A branch called '{branch}' already exists.");
        return (400, json!({"message": message}));
    }
    let files = call.body["actions"].as_array().into_iter().flatten();
    let files = files.map(|it| {
        let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
        (text("file_path"), super::github::decoded(&text("content")))
    });
    let id = forge.commit(
        &branch,
        &OwnCommit {
            parent: &parent,
            message: &call.text("/commit_message").unwrap_or_default(),
            files: files.collect(),
            modes: Modes::Kept,
        },
    );
    (201, json!({"id": id}))
}

fn shown(forge: &Forge, pull: &Pull) -> Value {
    json!({
        "id": 1000 + pull.number,
        "iid": pull.number,
        "web_url": format!("https://gitlab.test/acme/fleet/-/merge_requests/{}", pull.number),
        "title": pull.title,
        "description": pull.body,
        "state": match pull.state {
            Stage::Open => "opened",
            Stage::Merged => "merged",
            Stage::Closed => "closed",
        },
        "draft": pull.draft,
        "created_at": "2026-01-02T03:04:05.678Z",
        "source_branch": pull.head,
        "target_branch": pull.base,
        "sha": forge.tip(&pull.head),
        "source_project_id": if pull.fork { 666 } else { 7 },
        "target_project_id": 7,
    })
}
