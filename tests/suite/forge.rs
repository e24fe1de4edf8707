//! Pull requests from a look to a merge, on six simulated forges over real repositories.

pub(crate) mod fake;
mod own_commit;
mod world;

mod azure_devops;
mod bitbucket_cloud;
mod bitbucket_data_center;
mod gitea;
mod github;
mod gitlab;

mod body;
mod comments;
mod contract;
mod crash;
mod life;
mod staged;
mod trouble;
