//! Log-ins to clouds by the accounts of tenants: whose token is shown to whom.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    apply::apply,
    world::{PASSWORD, SYSTEM, World},
};

const IMAGE: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme/web";
const ROLE: &str = "arn:aws:iam::123456789012:role/puller";

/// AWS, which gives nothing to anybody, and what it was asked.
fn cloud() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound port has an address");
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let length = head
                .lines()
                .find_map(|it| it.strip_prefix("content-length: "));
            let mut body = vec![0; length.and_then(|it| it.parse().ok()).unwrap_or_default()];
            client.read_exact(&mut body).expect("the body follows");
            let body = String::from_utf8(body).expect("it is a form");
            log.lock().expect("no test has failed").push(body);
            let answer = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                          <Message>not today</Message></Error></ErrorResponse>";
            let length = answer.len();
            let text = format!(
                "HTTP/1.1 403 No\r\nconnection: close\r\ncontent-type: text/xml\r\n\
                 content-length: {length}\r\n\r\n{answer}"
            );
            let _ = client.write_all(text.as_bytes());
        }
    });
    (address, asked)
}

impl World {
    async fn image(&self, namespace: &str, account: Option<&str>) {
        let mut image = json!({
            "apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageRepository",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"image": IMAGE, "interval": "1m", "provider": "aws"},
        });
        if let Some(account) = account {
            image["spec"]["serviceAccountName"] = account.into();
        }
        apply(&self.client, image).await;
    }
}

/// The claims of a token, and the role that it was shown for.
fn shown(body: &str) -> (Value, String) {
    let field = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(body.as_bytes());
        let pair = pairs.find(|(key, _)| key == name);
        pair.map(|(_, value)| value.into_owned())
            .expect("it is shown")
    };
    let token = field("WebIdentityToken");
    let claims = token.split('.').nth(1).expect("a token has three parts");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("it is base64");
    let claims = serde_json::from_slice(&claims).expect("it is JSON");
    (claims, field("RoleArn"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c14_a_cloud_is_shown_a_short_token_of_the_tenants_account_and_no_other() {
    let Some(world) = World::start().await else {
        return;
    };
    let (address, asked) = cloud();
    let url = format!("http://{address}");
    let variables = [("AWS_ENDPOINT_URL", url.as_str())];
    world.namespace("apps", PASSWORD).await;
    world.namespace("bare", PASSWORD).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "puller", "namespace": "apps",
            "annotations": {"eks.amazonaws.com/role-arn": ROLE}}});
    apply(&world.client, account).await;
    world.image("apps", Some("puller")).await;
    world.image("bare", None).await;
    let flags = ["--no-cross-namespace-refs"];
    let _bot = world.bot_with("bot", &flags, &variables).await;
    let failed = |words| ("False", "AuthenticationFailed", words);

    // C13: the process has an identity, which is not a tenant's.
    let nobody = failed("names no ServiceAccount");
    world.until_ready("ImageRepository", "bare", nobody).await;
    // Nobody may make tokens of an account who was not given the right.
    let forbidden = failed("issues no token for ServiceAccount `apps/puller`");
    world
        .until_ready("ImageRepository", "apps", forbidden)
        .await;
    assert_eq!(asked.lock().expect("no test has failed").len(), 0);

    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "tagwright-identities", "namespace": "apps"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "tagwright-identities"},
        "subjects": [{"kind": "ServiceAccount", "name": "tagwright", "namespace": SYSTEM}]});
    apply(&world.client, binding).await;
    world.request("ImageRepository", "apps", "again").await;
    let refused = failed("AWS gives no token: AccessDenied: not today");
    world.until_ready("ImageRepository", "apps", refused).await;

    let asked = asked.lock().expect("no test has failed").clone();
    let (claims, role) = shown(&asked[0]);
    assert_eq!(role, ROLE);
    assert_eq!(claims["aud"], json!(["sts.amazonaws.com"]));
    assert_eq!(claims["sub"], "system:serviceaccount:apps:puller");
    let time = |name: &str| claims[name].as_i64().expect("a time");
    assert_eq!(time("exp") - time("iat"), 600);
}
