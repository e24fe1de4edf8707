//! The simulated forges of the suite.

#[path = "../suite/forge/fake.rs"]
pub(crate) mod fake;
#[path = "../suite/forge/own_commit.rs"]
mod own_commit;

#[path = "../suite/forge/azure_devops.rs"]
mod azure_devops;
#[path = "../suite/forge/bitbucket_cloud.rs"]
mod bitbucket_cloud;
#[path = "../suite/forge/bitbucket_data_center.rs"]
mod bitbucket_data_center;
#[path = "../suite/forge/gitea.rs"]
mod gitea;
#[path = "../suite/forge/github.rs"]
mod github;
#[path = "../suite/forge/gitlab.rs"]
mod gitlab;
