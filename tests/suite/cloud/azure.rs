//! Azure: who we are to Entra, and the exchange at the registry.

use tagwright::cloud::Cloud;

use super::{
    variables,
    world::{Asked, Sky, account, friendly, nobody},
};

const IMAGE: &str = "acme.azurecr.io/acme/web";
const TENANT: (&str, &str) = ("azure.workload.identity/tenant-id", "tenant-1");
const CLIENT: (&str, &str) = ("azure.workload.identity/client-id", "client-1");

fn field(asked: &Asked, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(asked.body.as_bytes());
    let mut values = pairs.filter(|(key, _)| key == name);
    values.next().map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_service_account_goes_from_its_token_to_the_tags() {
    let sky = Sky::start(friendly);
    let tags = sky
        .tags(Cloud::Azure, IMAGE, &account(&[TENANT, CLIENT]))
        .await;
    assert_eq!(tags, ["1.0.0"]);
    let expected = [
        "login.microsoftonline.com /tenant-1/oauth2/v2.0/token",
        "acme.azurecr.io /oauth2/exchange",
        "acme.azurecr.io /v2/acme/web/tags/list?n=1000",
        "acme.azurecr.io /oauth2/token",
        "acme.azurecr.io /v2/acme/web/tags/list?n=1000",
    ];
    assert_eq!(sky.asked(), expected);
    let requests = sky.requests();
    let check = |request: usize, name: &str, expected: &str| {
        let found = field(&requests[request], name);
        assert_eq!(found.as_deref(), Some(expected), "{name}");
    };
    let token = "token of apps/puller for api://AzureADTokenExchange";
    check(0, "client_assertion", token);
    check(0, "client_id", "client-1");
    check(0, "scope", "https://containerregistry.azure.net/.default");
    check(1, "access_token", "cloud");
    check(1, "service", "acme.azurecr.io");
    check(1, "tenant", "tenant-1");
    check(3, "refresh_token", "refresh");
    check(3, "scope", "repository:acme/web:pull");
    let later = requests[2..]
        .iter()
        .map(|it| format!("{}{}", it.head, it.body));
    for text in later {
        assert!(
            !text.contains("cloud"),
            "Entra's token goes to the exchange only"
        );
    }
}

#[tokio::test]
async fn the_process_is_whoever_its_variables_say() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "federated\n").expect("it is written");
    let path = file.path().to_str().expect("a path in UTF-8");
    let ids = [
        ("AZURE_TENANT_ID", "tenant-2"),
        ("AZURE_CLIENT_ID", "client-2"),
    ];
    let check = async |own: &[(&str, &str)], host: &str, name: &str, expected: &str| {
        let all = [&ids, own].concat();
        let sky = Sky::with(|_| variables(&all), friendly);
        sky.tags(Cloud::Azure, &format!("{host}/acme/web"), &nobody())
            .await;
        let asked = &sky.requests()[0];
        assert_eq!(field(asked, name).as_deref(), Some(expected));
        format!("{} {}", asked.host, asked.path)
    };
    let secret = ("AZURE_CLIENT_SECRET", "hush");
    let federated = ("AZURE_FEDERATED_TOKEN_FILE", path);
    let io = "acme.azurecr.io";
    let entra = "login.microsoftonline.com /tenant-2/oauth2/v2.0/token";
    let asked = check(&[secret], io, "client_secret", "hush").await;
    assert_eq!(asked, entra);
    let asked = check(&[federated], io, "client_assertion", "federated").await;
    assert_eq!(asked, entra);

    let china = "login.chinacloudapi.cn /tenant-2/oauth2/v2.0/token";
    let asked = check(&[federated], "acme.azurecr.cn", "client_id", "client-2").await;
    assert_eq!(asked, china, "by the registry");
    let host = ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/");
    let asked = check(&[federated, host], io, "client_id", "client-2").await;
    assert_eq!(
        asked, "login.microsoftonline.us /tenant-2/oauth2/v2.0/token",
        "by a variable"
    );
}

#[tokio::test]
async fn a_managed_identity_is_asked_for_where_the_machine_keeps_it() {
    let machine = Sky::with(
        |address| {
            variables(&[(
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                &format!("http://{address}"),
            )])
        },
        friendly,
    );
    assert_eq!(
        machine.tags(Cloud::Azure, IMAGE, &nobody()).await,
        ["1.0.0"]
    );
    let asked = &machine.requests()[0];
    let resource = "resource=https%3A%2F%2Fcontainerregistry.azure.net";
    let path = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&{resource}");
    assert_eq!((asked.host.as_str(), &asked.path), ("metadata", &path));
    assert!(asked.head.contains("metadata: true"), "{}", asked.head);

    let service = Sky::with(
        |address| {
            variables(&[
                ("IDENTITY_ENDPOINT", &format!("http://{address}/msi/token")),
                ("IDENTITY_HEADER", "word"),
                ("AZURE_CLIENT_ID", "mine"),
            ])
        },
        friendly,
    );
    service.tags(Cloud::Azure, IMAGE, &nobody()).await;
    let asked = &service.requests()[0];
    let path = format!("/msi/token?api-version=2019-08-01&{resource}&client_id=mine");
    assert_eq!(asked.path, path);
    assert!(
        asked.head.contains("x-identity-header: word"),
        "{}",
        asked.head
    );
}

#[tokio::test]
async fn an_operators_own_cloud_says_what_tokens_are_for() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let own = r#"{"resourceManagerEndpoint": "https://management.local.test/"}"#;
    std::fs::write(file.path(), own).expect("it is written");
    let path = file.path().to_str().expect("a path in UTF-8");
    let sky = Sky::with(
        |_| {
            variables(&[
                ("AZURE_TENANT_ID", "t"),
                ("AZURE_CLIENT_ID", "c"),
                ("AZURE_CLIENT_SECRET", "hush"),
                ("AZURE_ENVIRONMENT_FILEPATH", path),
            ])
        },
        friendly,
    );
    sky.tags(Cloud::Azure, IMAGE, &nobody()).await;
    let scope = field(&sky.requests()[0], "scope");
    let expected = "https://management.local.test/.default";
    assert_eq!(scope.as_deref(), Some(expected));
}
