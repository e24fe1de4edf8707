//! Where an automation's Git repository is described: in a GitRepository, or in the automation itself.

use super::{Document, Documents, Habitat, ObjectKey};
use crate::{
    config::Fault,
    crd::{GitRepository, GitRepositorySpec, GitSpec, ImageUpdateAutomation},
    update::git,
};

/// A Git repository, and where in its document it is described.
pub(super) struct Place<'a> {
    pub(super) document: &'a Document<GitRepository>,
    pub(super) at: &'static str,
}

impl Place<'_> {
    pub(super) fn fault(
        &self,
        faults: &mut Vec<Fault>,
        field: &str,
        message: String,
        hint: Option<&str>,
    ) {
        let pointer = format!("{}/{field}", self.at);
        self.document.fault(faults, &pointer, message, hint);
    }

    /// A field as a person writes it: `spec.git.url`.
    pub(super) fn name(&self, field: &str) -> String {
        let path = self.at.trim_start_matches('/').replace('/', ".");
        format!("{path}.{field}")
    }
}

/// The Git repository of an automation: its `own`, or the one that it refers to.
pub(super) fn find<'a>(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    own: Option<&'a Document<GitRepository>>,
    sources: &'a [Document<GitRepository>],
) -> Option<Place<'a>> {
    let Some(own) = own else {
        return Some(Place {
            document: referred(documents, document, sources)?,
            at: "/spec",
        });
    };
    if document.value.spec.source_ref.is_some() {
        let message = "`spec.sourceRef` and `spec.git.url` exclude each other".to_owned();
        let hint = Some("remove one of them");
        document.fault(&mut documents.faults, "/spec/git/url", message, hint);
    }
    Some(Place {
        document: own,
        at: "/spec/git",
    })
}

/// The Git repository that an automation describes itself.
pub(super) fn inline(
    document: &Document<ImageUpdateAutomation>,
    git: &GitSpec,
) -> Option<Document<GitRepository>> {
    let spec = GitRepositorySpec {
        url: git.url.clone()?,
        secret_ref: git.secret_ref.clone(),
        provider: git.provider,
        service_account_name: git.service_account_name.clone(),
        proxy_secret_ref: git.proxy_secret_ref.clone(),
        ..GitRepositorySpec::default()
    };
    Some(Document {
        key: document.key.clone(),
        file: document.file.clone(),
        node: document.node.clone(),
        mended: document.mended.clone(),
        value: GitRepository {
            api_version: document.value.api_version.clone(),
            kind: document.value.kind.clone(),
            metadata: document.value.metadata.clone(),
            spec,
            status: None,
        },
    })
}

/// The GitRepository that an automation refers to, which must exist.
fn referred<'a>(
    documents: &mut Documents,
    document: &Document<ImageUpdateAutomation>,
    sources: &'a [Document<GitRepository>],
) -> Option<&'a Document<GitRepository>> {
    let Some(reference) = &document.value.spec.source_ref else {
        let message = "missing field `spec.sourceRef`".to_owned();
        let hint = Some("name a GitRepository, or give its address in `spec.git.url`");
        document.fault(&mut documents.faults, "/spec/sourceRef", message, hint);
        return None;
    };
    let source = ObjectKey {
        namespace: reference
            .namespace
            .clone()
            .unwrap_or_else(|| document.key.namespace.clone()),
        name: reference.name.clone(),
    };
    documents.dangling(document, "/spec/sourceRef/name", "GitRepository", &source);
    sources.iter().find(|it| it.key == source)
}

/// Its address, which a tenant of a cluster must not have on the controller's disk.
pub(super) fn address(documents: &mut Documents, source: &Place<'_>) -> Option<url::Url> {
    let field = source.name("url");
    match git::remote_url(&source.document.value.spec.url) {
        Ok(url) if url.scheme() == "file" && documents.habitat == Habitat::Cluster => {
            let message =
                format!("`{field}`: a tenant's repository is not on the controller's disk");
            source.fault(&mut documents.faults, "url", message, Some("use https://"));
            None
        }
        Ok(url) => Some(url),
        Err(error) => {
            let hint = error.hint();
            let message = format!("`{field}`: {error}");
            source.fault(&mut documents.faults, "url", message, hint.as_deref());
            None
        }
    }
}
