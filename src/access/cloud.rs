//! What opens a registry by the identity that a cloud gives.

use std::time::Duration;

use tokio::time::Instant;

use super::AccessError;
use crate::{
    cloud::{Caller, Cloud, CloudError, Clouds, Way},
    egress::Route,
    image::Repository,
    scan::Keychain,
};

/// What opens the registry of `image` for `caller`: one credential, for that registry alone.
///
/// Of `route`, a cloud is asked through the proxy; the registry's certificates are not the cloud's.
///
/// # Errors
///
/// When the registry is none of the cloud's, or the cloud gives nothing.
pub async fn cloud_keychain(
    cloud: Cloud,
    image: &Repository,
    caller: &Caller,
    route: &Route,
    timeout: Duration,
) -> Result<Keychain, AccessError> {
    let host = image.host();
    let failed = |source: CloudError| AccessError::Cloud {
        host: host.to_owned(),
        source: Box::new(source),
    };
    let to_cloud = Route {
        proxy: route.proxy.clone(),
        ..Route::default()
    };
    let way = Way {
        route: &to_cloud,
        deadline: Instant::now() + timeout,
    };
    let proof = Clouds::of_process().registry(cloud, host, caller, way);
    let proof = proof.await.map_err(failed)?;
    let foreign = |_| {
        failed(CloudError::ForeignHost {
            cloud,
            host: host.to_owned(),
        })
    };
    Keychain::single(host, proof).map_err(foreign)
}
