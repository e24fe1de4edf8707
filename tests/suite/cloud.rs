//! Clouds: their token services, metadata services and registries, as one server inside this process.

mod azure;
mod gcp;
mod git;
mod world;

use std::collections::BTreeMap;

use tagwright::{cloud::Cloud, error::Class};

use self::world::{Sky, account, nobody};

#[tokio::test]
async fn r39_a_registry_that_only_looks_like_a_clouds_makes_nobody_ask_for_a_token() {
    let sky = Sky::start(|_| (200, r#"{"access_token": "canary"}"#.to_owned()));
    let check = async |cloud: Cloud, host: &str| {
        let error = sky.registry(cloud, host, &nobody()).await;
        let error = error.expect_err("it is none of the cloud's");
        assert_eq!(error.class(), Class::Config, "{host}");
        assert_eq!(
            error.to_string(),
            format!("`{host}` is no registry of {cloud}")
        );
    };
    check(
        Cloud::Aws,
        "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.test",
    )
    .await;
    check(Cloud::Azure, "evil-azurecr.io").await;
    check(Cloud::Azure, "acme.azurecr.io.evil.test").await;
    check(Cloud::Gcp, "gcr.io.evil.test").await;
    check(Cloud::Azure, "gcr.io").await;
    assert_eq!(sky.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn c11_a_hundred_scans_that_need_one_token_ask_once() {
    let sky = Sky::start(|_| {
        let body = r#"{"access_token": "t", "expires_in": 3600}"#;
        (200, body.to_owned())
    });
    let caller = nobody();
    let hosts = (0..100).map(|number| format!("region{number}-docker.pkg.dev"));
    let scans = hosts.map(|host| {
        let (sky, caller) = (&sky, &caller);
        async move { sky.registry(Cloud::Gcp, &host, caller).await }
    });
    for proof in futures_util::future::join_all(scans).await {
        proof.expect("a token");
    }
    assert_eq!(sky.asked().len(), 1);
}

#[tokio::test]
async fn c08_two_accounts_never_share_a_token() {
    let sky = Sky::start(world::friendly);
    let caller = |tenant: &str| {
        account(&[
            ("azure.workload.identity/tenant-id", tenant),
            ("azure.workload.identity/client-id", "app"),
        ])
    };
    for tenant in ["one", "two", "one"] {
        let caller = caller(tenant);
        let proof = sky.registry(Cloud::Azure, "acme.azurecr.io", &caller).await;
        proof.expect("a token");
    }
    let logins = sky.asked().into_iter();
    let logins = logins.filter(|it| it.contains("login.microsoftonline.com"));
    let logins = logins.collect::<Vec<_>>();
    let expected = [
        "login.microsoftonline.com /one/oauth2/v2.0/token",
        "login.microsoftonline.com /two/oauth2/v2.0/token",
    ];
    assert_eq!(logins, expected);
}

#[tokio::test]
async fn c23_what_a_token_service_says_is_one_line_without_what_it_was_sent() {
    let check = async |answer: fn(&str) -> String, expected: &str| {
        let sky = Sky::start(move |asked| (400, answer(&asked.body)));
        let caller = account(&[
            ("azure.workload.identity/tenant-id", "one"),
            ("azure.workload.identity/client-id", "app"),
        ]);
        let error = sky.registry(Cloud::Azure, "acme.azurecr.io", &caller).await;
        let error = error.expect_err("it is refused");
        assert_eq!(
            error.to_string(),
            format!("Azure gives no token: {expected}")
        );
        assert_eq!(error.class(), Class::Denied);
    };
    check(
        |_| r#"{"error":"invalid_client","error_description":"no\nsuch\u001b[31m app"}"#.to_owned(),
        r"invalid_client: no\nsuch\u{1b}[31m app (400)",
    )
    .await;
    check(
        |body| format!("you sent {body}"),
        "what it says repeats what it was sent (400)",
    )
    .await;
    check(|_| String::new(), " (400)").await;
}

#[tokio::test]
async fn an_account_without_its_annotations_is_told_which_one_is_missing() {
    let sky = Sky::start(world::friendly);
    let check = async |cloud, host: &str, annotations: &[(&str, &str)], expected: &str| {
        let error = sky.registry(cloud, host, &account(annotations)).await;
        let error = error.expect_err("it is nobody").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    let role = "eks.amazonaws.com/role-arn";
    check(Cloud::Aws, ecr, &[], role).await;
    check(Cloud::Aws, ecr, &[(role, "puller")], "is not of the form").await;
    let tenant = "azure.workload.identity/tenant-id";
    check(Cloud::Azure, "acme.azurecr.io", &[], tenant).await;
    let client = "azure.workload.identity/client-id";
    check(Cloud::Azure, "acme.azurecr.io", &[(tenant, "t")], client).await;
    let provider = "gcp.auth.fluxcd.io/workload-identity-provider";
    check(
        Cloud::Gcp,
        "gcr.io",
        &[(provider, "../x")],
        "is not of the form",
    )
    .await;
    assert_eq!(sky.asked(), Vec::<String>::new());
}

/// Variables from a table.
fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs
        .iter()
        .map(|(name, it)| ((*name).to_owned(), (*it).to_owned()));
    pairs.collect()
}
