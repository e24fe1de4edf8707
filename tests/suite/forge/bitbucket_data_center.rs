//! Bitbucket Data Center's language: REST 1.0, with a version for every state of a request.

use serde_json::{Value, json};

use super::fake::{Call, Forge, Pull, Reply, Stage};

const PAGE: usize = 25;

#[expect(
    clippy::too_many_lines,
    reason = "one arm for each call, as in the product's own reference"
)]
pub(crate) fn answer(forge: &mut Forge, call: &Call) -> Reply {
    let (method, path) = call.parts();
    let Some(rest) =
        path.strip_prefix(["projects", "acme", "repos", "fleet", "pull-requests"].as_slice())
    else {
        return (
            404,
            json!({"errors": [{"message": format!("{method} {path:?}")}]}),
        );
    };
    match (method, rest) {
        ("GET", []) => {
            let is_any = call.query("state") == Some("ALL");
            let head = call
                .query("at")
                .and_then(|it| it.strip_prefix("refs/heads/"));
            let start = call
                .query("start")
                .and_then(|it| it.parse().ok())
                .unwrap_or(0_usize);
            let found = forge.listed(|it| {
                (is_any || it.state == Stage::Open) && head.is_none_or(|head| head == it.head)
            });
            let is_last = found.len() <= start + PAGE;
            let found = found.into_iter().skip(start).take(PAGE);
            let values = found.map(|it| shown(forge, it)).collect::<Value>();
            let next = (!is_last).then_some(start + PAGE);
            (
                200,
                json!({"values": values, "isLastPage": is_last, "nextPageStart": next, "start": start}),
            )
        }
        ("POST", []) => {
            let branch = |end: &str| {
                let name = call.text(&format!("/{end}/id")).unwrap_or_default();
                name.trim_start_matches("refs/heads/").to_owned()
            };
            let new = Pull {
                title: call.text("/title").unwrap_or_default(),
                body: call.text("/description").unwrap_or_default(),
                head: branch("fromRef"),
                base: branch("toRef"),
                draft: call.body["draft"] == json!(true),
                ..Pull::default()
            };
            match forge.open(new).cloned() {
                Ok(pull) => (201, shown(forge, &pull)),
                Err(Some(number)) => (
                    409,
                    json!({"errors": [{"exceptionName": "com.atlassian.bitbucket.pull.DuplicatePullRequestException", "existingPullRequest": {"id": number}}]}),
                ),
                Err(None) => (404, json!({"errors": [{"message": "no such branch"}]})),
            }
        }
        ("GET", [number]) => match forge.pull(number).cloned() {
            Some(pull) => (200, shown(forge, &pull)),
            None => (404, json!({"errors": []})),
        },
        ("PUT", [number]) => {
            let people = call.body["reviewers"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let people = people
                .iter()
                .map(|it| it["user"]["name"].as_str().unwrap_or_default().to_owned());
            let people = people.collect();
            let given = call.body["version"].as_u64();
            let (title, body) = (call.text("/title"), call.text("/description"));
            versioned(forge, number, given, |pull| {
                pull.title = title.unwrap_or_default();
                pull.body = body.unwrap_or_default();
                pull.reviewers = people;
            })
        }
        ("POST", [number, "decline"]) => {
            let given = call.query("version").and_then(|it| it.parse().ok());
            versioned(forge, number, given, |pull| pull.state = Stage::Closed)
        }
        ("POST", [number, "merge"]) => {
            let given = call.query("version").and_then(|it| it.parse().ok());
            let head = forge
                .pull(number)
                .map(|it| it.head.clone())
                .and_then(|it| forge.tip(&it));
            versioned(forge, number, given, |pull| pull.armed = head)
        }
        ("POST", [number, "comments"]) => {
            let text = call.text("/text");
            match forge.pull(number) {
                Some(pull) => {
                    pull.comments.extend(text);
                    (201, json!({"id": 1}))
                }
                None => (404, json!({"errors": []})),
            }
        }
        ("GET", [number, "activities"]) => {
            let notes = forge.notes(number).into_iter().rev();
            let told = notes.map(|(id, text)| {
                json!({
                    "action": "COMMENTED",
                    "commentAction": "ADDED",
                    "comment": {"id": id, "version": text.len(), "text": text},
                })
            });
            let opened = json!({"action": "OPENED"});
            let told = told.chain([opened]).collect::<Vec<_>>();
            // As short as a page may be, so that there is more than one.
            let start = call.query("start").and_then(|it| it.parse().ok());
            let start = start.unwrap_or(0_usize);
            let values = told.get(start).cloned().into_iter().collect::<Value>();
            let is_last = start + 1 >= told.len();
            let next = (!is_last).then_some(start + 1);
            let answer = json!({"values": values, "isLastPage": is_last, "nextPageStart": next});
            (200, answer)
        }
        ("GET", [_, "comments", id]) => match forge.note(id) {
            Some(words) => {
                let (version, text) = (words.len(), words.clone());
                (200, json!({"id": 1, "version": version, "text": text}))
            }
            None => (404, json!({"errors": []})),
        },
        // A comment of an older version is not the one that was read.
        ("PUT", [_, "comments", id]) => match (forge.note(id), call.text("/text")) {
            (Some(words), Some(text)) if call.body["version"] == json!(words.len()) => {
                *words = text;
                (200, json!({}))
            }
            (Some(_), _) => (409, json!({"errors": []})),
            (None, _) => (404, json!({"errors": []})),
        },
        _ => (
            404,
            json!({"errors": [{"message": format!("{method} {path:?}")}]}),
        ),
    }
}

/// Changes a request, if the caller has seen its newest state.
fn versioned(
    forge: &mut Forge,
    number: &str,
    given: Option<u64>,
    act: impl FnOnce(&mut Pull),
) -> Reply {
    let Some(pull) = forge.pull(number) else {
        return (404, json!({"errors": []}));
    };
    if given != Some(pull.version) {
        return (
            409,
            json!({"errors": [{"exceptionName": "com.atlassian.bitbucket.pull.PullRequestOutOfDateException"}]}),
        );
    }
    act(pull);
    pull.version += 1;
    let pull = pull.clone();
    (200, shown(forge, &pull))
}

fn shown(forge: &Forge, pull: &Pull) -> Value {
    let end = |branch: &str, project: &str| {
        json!({
            "id": format!("refs/heads/{branch}"),
            "displayId": branch,
            "latestCommit": forge.tip(branch).unwrap_or_default(),
            "repository": {"slug": "fleet", "project": {"key": project}},
        })
    };
    let people = pull
        .reviewers
        .iter()
        .map(|it| json!({"user": {"name": it, "id": 1}, "approved": false}));
    json!({
        "id": pull.number,
        "version": pull.version,
        "title": pull.title,
        "description": pull.body,
        "state": match pull.state {
            Stage::Open => "OPEN",
            Stage::Merged => "MERGED",
            Stage::Closed => "DECLINED",
        },
        "draft": pull.draft,
        "createdDate": 1_767_323_045_000_i64,
        "fromRef": end(&pull.head, if pull.fork { "~mallory" } else { "ACME" }),
        "toRef": end(&pull.base, "ACME"),
        "links": {"self": [{"href": format!("https://bitbucket.test/projects/ACME/repos/fleet/pull-requests/{}", pull.number)}]},
        "reviewers": people.collect::<Value>(),
    })
}
