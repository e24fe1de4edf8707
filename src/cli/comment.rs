//! `plan --comment`: the plan as a comment on the pull request that changes the policies.

use serde_json::Value;
use url::Url;

use super::Trouble;
use crate::{
    access::forge_with_token,
    egress::Egress,
    once,
    report::{RunReport, action::plan_comment},
    secret::Secret,
    update::forge::{
        AnyForge, ForgeError, Place,
        standing::{self, Said},
    },
};

/// The comment is found again by this word: one for each request.
const KEY: &str = "plan";
/// The variable that holds the token of a forge's API.
pub(super) const TOKEN: &str = "TAGWRIGHT_FORGE_TOKEN";
/// How large an event may be; GitHub sends no more than 25 MB.
const MAX_EVENT: u64 = 32 * 1024 * 1024;

/// A pull request, and what opens it.
pub(super) struct Request {
    place: Place,
    number: u64,
    token: Secret<String>,
}

impl Request {
    /// The request at an address, or the one that the job of a CI service belongs to.
    pub(super) fn find(address: &str) -> Result<Self, Trouble> {
        let variable = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
        let address = match address {
            "" => of_job(variable)?,
            address => address.to_owned(),
        };
        let token = variable(TOKEN).or_else(|| variable("GITHUB_TOKEN"));
        let token = token.ok_or_else(|| {
            let hint = "set TAGWRIGHT_FORGE_TOKEN to one that may comment on pull requests";
            Trouble::usage("there is no token for the comment", Some(hint))
        })?;
        Self::at(&address, token)
    }

    /// The request at an address.
    pub(super) fn at(address: &str, token: String) -> Result<Self, Trouble> {
        let refused = || {
            let message = format!("`{}` is no pull request", address.escape_debug());
            let hint = "give the address of its page: https://github.com/you/fleet/pull/12";
            Trouble::usage(&message, Some(hint))
        };
        let url = Url::parse(address).map_err(|_| refused())?;
        let (place, number) = Place::of_request(&url).ok_or_else(refused)?;
        Ok(Self {
            place,
            number,
            token: Secret::new(token),
        })
    }

    /// Writes the plan into our comment.
    pub(super) async fn tell(self, report: &RunReport) -> Result<Said, ForgeError> {
        let text = plan_comment(report, self.place.kind.comment_limit());
        let number = self.number;
        let forge = AnyForge::new(Egress::new(), forge_with_token(self.place, self.token));
        let said = standing::say(&forge, number, KEY, &text).await?;
        tracing::info!(number, ?said, "commented the plan");
        Ok(said)
    }
}

impl From<ForgeError> for Trouble {
    fn from(error: ForgeError) -> Self {
        let (class, hint) = (error.class(), error.hint());
        Self::new(&error, class, hint)
    }
}

/// The address of the request that a job runs for, by the variables that CI services set.
fn of_job(variable: impl Fn(&str) -> Option<String>) -> Result<String, Trouble> {
    if let (Some(project), Some(number)) = (
        variable("CI_MERGE_REQUEST_PROJECT_URL"),
        variable("CI_MERGE_REQUEST_IID"),
    ) {
        return Ok(format!("{project}/-/merge_requests/{number}"));
    }
    if let (Some(project), Some(number)) = (
        variable("BITBUCKET_REPO_FULL_NAME"),
        variable("BITBUCKET_PR_ID"),
    ) {
        return Ok(format!(
            "https://bitbucket.org/{project}/pull-requests/{number}"
        ));
    }
    // Pipelines of Azure also build what lies on GitHub, and its requests have other numbers there.
    if variable("BUILD_REPOSITORY_PROVIDER").as_deref() == Some("TfsGit")
        && let (Some(project), Some(number)) = (
            variable("BUILD_REPOSITORY_URI"),
            variable("SYSTEM_PULLREQUEST_PULLREQUESTID"),
        )
    {
        return Ok(format!("{project}/pullrequest/{number}"));
    }
    let event = match variable("GITHUB_EVENT_PATH") {
        Some(path) => event(&path)?,
        None => Value::Null,
    };
    of_event(&event).ok_or_else(|| {
        let hint = "run it for the event `pull_request`, or give the page's address: --comment=URL";
        Trouble::usage("this job does not belong to a pull request", Some(hint))
    })
}

/// The page of the pull request that an event of GitHub or Gitea is about.
pub(super) fn of_event(event: &Value) -> Option<String> {
    let page = event.pointer("/pull_request/html_url")?.as_str()?;
    Some(page.to_owned())
}

/// The event that a runner has written down.
pub(super) fn event(path: &str) -> Result<Value, Trouble> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Trouble::usage(&format!("cannot read the event in `{path}`: {error}"), None)
    };
    let bytes = once::read_bounded(path.as_ref(), MAX_EVENT).map_err(|it| unreadable(&it))?;
    serde_json::from_slice(&bytes).map_err(|it| unreadable(&it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_tells_its_request_by_its_services_variables() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(of_job(variable).ok().as_deref(), expected, "{variables:?}");
        };
        check(
            &[
                ("CI_MERGE_REQUEST_PROJECT_URL", "https://gitlab.com/a/b"),
                ("CI_MERGE_REQUEST_IID", "7"),
            ],
            Some("https://gitlab.com/a/b/-/merge_requests/7"),
        );
        check(
            &[
                ("BITBUCKET_REPO_FULL_NAME", "acme/fleet"),
                ("BITBUCKET_PR_ID", "4"),
            ],
            Some("https://bitbucket.org/acme/fleet/pull-requests/4"),
        );
        let azure = [
            ("BUILD_REPOSITORY_PROVIDER", "TfsGit"),
            (
                "BUILD_REPOSITORY_URI",
                "https://acme@dev.azure.com/acme/ops/_git/fleet",
            ),
            ("SYSTEM_PULLREQUEST_PULLREQUESTID", "6"),
        ];
        check(
            &azure,
            Some("https://acme@dev.azure.com/acme/ops/_git/fleet/pullrequest/6"),
        );
        check(&azure[1..], None);
        check(&[("BITBUCKET_REPO_FULL_NAME", "acme/fleet")], None);
    }
}
