//! Google Cloud: metadata, key files, users, and identities from elsewhere.

use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use tagwright::cloud::Cloud;

use super::{
    variables,
    world::{Asked, Sky, account, friendly, nobody},
};

const IMAGE: &str = "eu.gcr.io/acme/web";
const PROVIDER: &str = "gcp.auth.fluxcd.io/workload-identity-provider";
const POOL: &str = "projects/12/locations/global/workloadIdentityPools/blue/providers/cluster";

fn body(asked: &Asked) -> Value {
    serde_json::from_str(&asked.body).expect("it is JSON")
}

/// A sky with a file of Google's, which may name the sky's address.
fn with_file(write: impl Fn(&str) -> Value) -> (Sky, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a path in UTF-8");
    let sky = Sky::with(
        |address| {
            let text = write(&format!("http://{address}")).to_string();
            std::fs::write(path, text).expect("it is written");
            variables(&[("GOOGLE_APPLICATION_CREDENTIALS", path)])
        },
        friendly,
    );
    (sky, file)
}

#[tokio::test]
async fn a_machine_is_who_its_metadata_service_says() {
    let sky = Sky::start(friendly);
    let tags = sky.tags(Cloud::Gcp, IMAGE, &nobody()).await;
    assert_eq!(tags, ["1.0.0"]);
    let asked = &sky.requests()[0];
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    assert_eq!(
        (asked.host.as_str(), asked.path.as_str()),
        ("metadata", path)
    );
    assert!(
        asked.head.contains("metadata-flavor: Google"),
        "{}",
        asked.head
    );
}

#[tokio::test]
async fn a_key_file_is_exchanged_where_it_says() {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let (sky, _file) = with_file(|sky| {
        json!({
            "type": "service_account", "project_id": "acme", "private_key_id": "1",
            "private_key": key.serialize_pem(), "client_email": "bot@acme.test",
            "token_uri": format!("{sky}/key"),
        })
    });
    assert_eq!(sky.tags(Cloud::Gcp, IMAGE, &nobody()).await, ["1.0.0"]);
    let asked = &sky.requests()[0];
    assert_eq!(asked.path, "/key");
    assert!(asked.body.contains("assertion="), "{}", asked.body);
}

#[tokio::test]
async fn a_user_who_logged_in_is_renewed() {
    let (sky, _file) = with_file(|_| {
        json!({"type": "authorized_user", "client_id": "id", "client_secret": "hush",
            "refresh_token": "again"})
    });
    assert_eq!(sky.tags(Cloud::Gcp, IMAGE, &nobody()).await, ["1.0.0"]);
    let asked = &sky.requests()[0];
    assert_eq!(
        (asked.host.as_str(), asked.path.as_str()),
        ("oauth2.googleapis.com", "/token")
    );
    assert!(asked.body.contains("refresh_token=again"), "{}", asked.body);
}

#[tokio::test]
async fn an_identity_from_elsewhere_is_exchanged_and_may_go_on_as_another() {
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), r#"{"value": "from elsewhere"}"#).expect("it is written");
    let impersonation = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/\
                         bot@acme.test:generateAccessToken";
    let (sky, _file) = with_file(|_| {
        json!({
            "type": "external_account", "audience": format!("//iam.googleapis.com/{POOL}"),
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "service_account_impersonation_url": impersonation,
            "credential_source": {
                "file": token.path(),
                "format": {"type": "json", "subject_token_field_name": "value"},
            },
        })
    });
    assert_eq!(sky.tags(Cloud::Gcp, IMAGE, &nobody()).await, ["1.0.0"]);
    let requests = sky.requests();
    assert_eq!(requests[0].host, "sts.googleapis.com");
    let exchange = body(&requests[0]);
    assert_eq!(exchange["subjectToken"], "from elsewhere");
    assert_eq!(exchange["audience"], format!("//iam.googleapis.com/{POOL}"));
    assert_eq!(requests[1].host, "iamcredentials.googleapis.com");
    assert!(requests[1].head.contains("authorization: Bearer cloud"));
}

#[tokio::test]
async fn a_file_leads_a_token_to_nobody_but_google() {
    let check = async |name: &str, value: Value| {
        let token = tempfile::NamedTempFile::new().expect("a file");
        let (sky, _file) = with_file(|_| {
            let mut file = json!({
                "type": "external_account", "audience": "x", "subject_token_type": "y",
                "token_url": "https://sts.googleapis.com/v1/token",
                "credential_source": {"file": token.path()},
            });
            file[name] = value.clone();
            file
        });
        let result = sky.registry(Cloud::Gcp, "eu.gcr.io", &nobody()).await;
        assert!(result.is_err(), "{value}");
        let asked = sky
            .asked()
            .into_iter()
            .filter(|it| !it.starts_with("sts.googleapis.com "));
        assert_eq!(asked.collect::<Vec<_>>(), Vec::<String>::new(), "{value}");
    };
    check(
        "token_url",
        json!("https://sts.googleapis.com.evil.test/v1/token"),
    )
    .await;
    check("token_url", json!("http://sts.googleapis.com/v1/token")).await;
    check(
        "service_account_impersonation_url",
        json!("https://evil.test/x"),
    )
    .await;
    let program = json!({"executable": {"command": "/bin/sh -c id"}});
    check("credential_source", program).await;
}

#[tokio::test]
async fn a_service_account_comes_through_its_provider() {
    let sky = Sky::start(friendly);
    let caller = account(&[
        (PROVIDER, POOL),
        (
            "iam.gke.io/gcp-service-account",
            "bot@acme.iam.gserviceaccount.com",
        ),
    ]);
    assert_eq!(sky.tags(Cloud::Gcp, IMAGE, &caller).await, ["1.0.0"]);
    let requests = sky.requests();
    let exchange = body(&requests[0]);
    let audience = format!("//iam.googleapis.com/{POOL}");
    assert_eq!(exchange["audience"], audience);
    assert_eq!(
        exchange["subjectToken"],
        format!("token of apps/puller for {audience}")
    );
    let path =
        "/v1/projects/-/serviceAccounts/bot@acme.iam.gserviceaccount.com:generateAccessToken";
    assert_eq!(requests[1].path, path);
    assert_eq!(requests[2].host, "eu.gcr.io");
}

#[tokio::test]
async fn a_service_account_of_gke_needs_no_provider() {
    let sky = Sky::start(friendly);
    assert_eq!(sky.tags(Cloud::Gcp, IMAGE, &account(&[])).await, ["1.0.0"]);
    let requests = sky.requests();
    let exchange = requests.iter().find(|it| it.host == "sts.googleapis.com");
    let exchange = body(exchange.expect("it is exchanged"));
    let cluster =
        "https://container.googleapis.com/v1/projects/acme-1/locations/europe-west1/clusters/blue";
    assert_eq!(
        exchange["audience"],
        format!("identitynamespace:acme-1.svc.id.goog:{cluster}")
    );
    assert_eq!(
        exchange["subjectToken"],
        "token of apps/puller for acme-1.svc.id.goog"
    );
}
