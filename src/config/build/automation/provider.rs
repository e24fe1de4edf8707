//! Who gives the credentials for a Git remote.

use url::Url;

#[cfg(feature = "clouds")]
use super::Habitat;
use super::{Document, Documents, source::Place};
#[cfg(feature = "clouds")]
use crate::config::CloudLogin;
use crate::{
    cloud::Cloud,
    config::GitProviderName,
    crd::{GitProvider, ImageUpdateAutomation},
};

/// Who gives them; nothing where nobody can, which has been told.
pub(super) fn read(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    source: &Place<'_>,
    url: &Url,
) -> Option<GitProviderName> {
    match source.document.value.spec.provider {
        GitProvider::Generic => Some(GitProviderName::Generic),
        GitProvider::Github => github(documents, source, url),
        GitProvider::Azure => cloud(documents, document, source, (url, Cloud::Azure)),
        GitProvider::Aws => cloud(documents, document, source, (url, Cloud::Aws)),
    }
}

fn github(documents: &mut Documents, source: &Place<'_>, url: &Url) -> Option<GitProviderName> {
    if !matches!(url.scheme(), "https" | "http") {
        let hint = "write `https://…`, or `http://…` for a server of your own";
        let message = "a GitHub App logs in over https";
        refuse(documents, source, message, hint);
        return None;
    }
    if source.document.value.spec.secret_ref.is_none() {
        let hint = "name a Secret with `githubAppID`, `githubAppPrivateKey` and \
                    `githubAppInstallationID` or `githubAppInstallationOwner`";
        let message = format!("a GitHub App needs `{}`", source.name("secretRef"));
        refuse(documents, source, &message, hint);
        return None;
    }
    Some(GitProviderName::Github)
}

#[cfg(feature = "clouds")]
fn cloud(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    source: &Place<'_>,
    (url, cloud): (&Url, Cloud),
) -> Option<GitProviderName> {
    if !cloud.owns_remote(url) {
        let host = url.host_str().unwrap_or_default();
        let message = format!("`{host}` is no Git remote of {cloud} over https");
        let hint = match cloud {
            Cloud::Azure => {
                "Azure DevOps is at `https://dev.azure.com/…` and \
                 `https://<organization>.visualstudio.com/…`"
            }
            Cloud::Aws | Cloud::Gcp => {
                "CodeCommit is at `https://git-codecommit.<region>.amazonaws.com/v1/repos/…`"
            }
        };
        refuse(documents, source, &message, hint);
        return None;
    }
    let account = source.document.value.spec.service_account_name.clone();
    if account.is_some() && documents.habitat == Habitat::Files {
        let message = "the identity of a ServiceAccount is known to a cluster only".to_owned();
        let hint = "the identity of whoever runs tagwright is used instead";
        let warnings = &mut documents.warnings;
        source.fault(warnings, "serviceAccountName", message, Some(hint));
    }
    Some(GitProviderName::Cloud(CloudLogin {
        cloud,
        // The automation's, as in Flux: whoever writes it uses rights of their own.
        namespace: document.key.namespace.clone(),
        account: account.filter(|_| documents.habitat == Habitat::Cluster),
    }))
}

#[cfg(not(feature = "clouds"))]
fn cloud(
    documents: &mut Documents,
    _: &Document<ImageUpdateAutomation>,
    source: &Place<'_>,
    _: (&Url, Cloud),
) -> Option<GitProviderName> {
    let hint =
        "take a released one, or build with `--features clouds`; or use a Secret with a token";
    refuse(
        documents,
        source,
        "this build has no log-in to clouds",
        hint,
    );
    None
}

fn refuse(documents: &mut Documents, source: &Place<'_>, message: &str, hint: &str) {
    let faults = &mut documents.faults;
    source.fault(faults, "provider", message.to_owned(), Some(hint));
}
