//! Any of the forges, told by its place.

use std::time::Duration;

use super::{
    Comment, Decoration, Forge, ForgeError, Kind, Merge, NewRequest, Place, Request, Text,
    azure_devops::AzureDevops, bitbucket_cloud::BitbucketCloud,
    bitbucket_data_center::BitbucketDataCenter, gitea::Gitea, github::Github, gitlab::Gitlab,
};
use crate::{
    egress::{Egress, Route},
    update::git::{Branch, CommitId, Login, NewCommit},
};

/// With which rights, and by which way, a repository's requests are reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where they live.
    pub place: Place,
    /// What proves who we are.
    pub login: Login,
    /// TLS, proxy and whether `http:` is acceptable.
    pub route: Route,
    /// How long one call may take.
    pub timeout: Duration,
}

/// The forge of a place.
#[derive(Clone, Debug)]
pub enum AnyForge {
    /// GitHub.
    Github(Github),
    /// GitLab.
    Gitlab(Gitlab),
    /// Gitea and Forgejo.
    Gitea(Gitea),
    /// Bitbucket Cloud.
    BitbucketCloud(BitbucketCloud),
    /// Bitbucket Data Center.
    BitbucketDataCenter(BitbucketDataCenter),
    /// Azure DevOps.
    AzureDevops(AzureDevops),
}

impl AnyForge {
    /// Opens nothing yet; every call goes out by `egress`.
    pub fn new(egress: Egress, access: Access) -> Self {
        match access.place.kind {
            Kind::Github => Self::Github(Github::new(egress, access)),
            Kind::Gitlab => Self::Gitlab(Gitlab::new(egress, access)),
            Kind::Gitea => Self::Gitea(Gitea::new(egress, access)),
            Kind::BitbucketCloud => Self::BitbucketCloud(BitbucketCloud::new(egress, access)),
            Kind::BitbucketDataCenter => {
                Self::BitbucketDataCenter(BitbucketDataCenter::new(egress, access))
            }
            Kind::AzureDevops => Self::AzureDevops(AzureDevops::new(egress, access)),
        }
    }
}

macro_rules! whichever {
    ($any:expr, $forge:ident => $call:expr) => {
        match $any {
            AnyForge::Github($forge) => $call,
            AnyForge::Gitlab($forge) => $call,
            AnyForge::Gitea($forge) => $call,
            AnyForge::BitbucketCloud($forge) => $call,
            AnyForge::BitbucketDataCenter($forge) => $call,
            AnyForge::AzureDevops($forge) => $call,
        }
    };
}

impl Forge for AnyForge {
    async fn of_branch(&self, head: &Branch) -> Result<Vec<Request>, ForgeError> {
        whichever!(self, forge => forge.of_branch(head).await)
    }

    async fn open(&self) -> Result<Vec<Request>, ForgeError> {
        whichever!(self, forge => forge.open().await)
    }

    async fn create(&self, proposal: &NewRequest) -> Result<Request, ForgeError> {
        whichever!(self, forge => forge.create(proposal).await)
    }

    async fn edit(&self, request: &Request, text: &Text) -> Result<(), ForgeError> {
        whichever!(self, forge => forge.edit(request, text).await)
    }

    async fn decorate(
        &self,
        request: &Request,
        wish: &Decoration,
    ) -> Result<Vec<String>, ForgeError> {
        whichever!(self, forge => forge.decorate(request, wish).await)
    }

    async fn arm(
        &self,
        request: &Request,
        merge: Merge,
        head: &CommitId,
    ) -> Result<(), ForgeError> {
        whichever!(self, forge => forge.arm(request, merge, head).await)
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), ForgeError> {
        whichever!(self, forge => forge.comment(number, text).await)
    }

    async fn comments(&self, number: u64) -> Result<Vec<Comment>, ForgeError> {
        whichever!(self, forge => forge.comments(number).await)
    }

    async fn reword(&self, number: u64, comment: &Comment, text: &str) -> Result<(), ForgeError> {
        whichever!(self, forge => forge.reword(number, comment, text).await)
    }

    async fn commit(
        &self,
        branch: &Branch,
        parent: &CommitId,
        commit: &NewCommit,
    ) -> Result<(), ForgeError> {
        whichever!(self, forge => forge.commit(branch, parent, commit).await)
    }

    async fn close(&self, request: &Request) -> Result<(), ForgeError> {
        whichever!(self, forge => forge.close(request).await)
    }
}
