use super::*;
use crate::{scan::Keychain, secret::Secret};

/// Opens a session with `image`'s registry, sees what `look` sees, and sends nothing.
fn with_session<T>(image: &str, plain: PlainHttp, look: impl FnOnce(&Session<'_>) -> T) -> T {
    let (egress, tokens) = (Egress::new(), Tokens::default());
    let commons = Commons {
        egress: &egress,
        tokens: &tokens,
        plain: &PlainWires::default(),
        budgets: &Budgets::default(),
        tenant: "",
        limits: Limits::default(),
    };
    let repository = image.parse().expect("a repository");
    let access = Access {
        keychain: Keychain::default(),
        route: Route {
            plain_http: plain,
            ..Route::default()
        },
        timeout: Duration::from_secs(1),
        whole_every: None,
    };
    let image = image.to_owned();
    let session = Session::new(commons, &repository, image, &access);
    look(&session.expect("a session"))
}

#[test]
fn plain_http_needs_a_local_address_or_permission() {
    let check = |image: &str, plain: PlainHttp, expected: Option<&str>| {
        let fallback = with_session(image, plain, |session| session.fallback.clone());
        let fallback = fallback.as_ref().map(Url::as_str);
        assert_eq!(fallback, expected, "{image}");
    };
    check("r.test/web", PlainHttp::Refuse, None);
    check("r.test/web", PlainHttp::Allow, Some("http://r.test/"));
    check("127.0.0.1.r.test/web", PlainHttp::Refuse, None);
    check(
        "localhost:5000/web",
        PlainHttp::Refuse,
        Some("http://localhost:5000/"),
    );
    check("10.0.0.1/web", PlainHttp::Refuse, Some("http://10.0.0.1/"));
}

#[test]
fn only_a_missing_listener_makes_us_speak_plainly() {
    let check = |error: EgressError, expected: bool| {
        assert_eq!(has_no_tls(&error), expected, "{error}");
    };
    let text = || String::new();
    let (url, reason) = (text(), text());
    check(EgressError::NotTls { url, reason }, true);
    let (url, reason) = (text(), text());
    check(EgressError::Unreachable { url, reason }, true);
    let (url, reason) = (text(), text());
    check(EgressError::Certificate { url, reason }, false);
    let (url, reason) = (text(), text());
    check(EgressError::Connection { url, reason }, false);
    check(EgressError::Timeout(text()), false);
}

#[test]
fn a_token_service_is_encrypted_and_vouched_for() {
    let password = || Proof::Bearer(Secret::new("t".to_owned()));
    let check = |image: &str, realm: &str, known: bool, fault: Option<RealmFault>| {
        let host: Authority = "r.test".parse().expect("an authority");
        let credential = Credential::new(password(), host);
        let credential = known.then_some(&credential);
        let realm = Url::parse(realm).expect("a url");
        let found = with_session(image, PlainHttp::Refuse, |session| {
            session.check_realm(&realm, credential)
        });
        let found = match found {
            Ok(_) => None,
            Err(ScanError::RealmNotAllowed { reason, .. }) => Some(reason),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found, fault, "{realm}");
    };
    let foreign = Some(RealmFault::Foreign);
    let local = Some(RealmFault::Local);
    check("r.test/web", "https://r.test/token", true, None);
    check("r.test/web", "https://auth.test/token", true, foreign);
    check("r.test/web", "https://r.test.evil.test/", true, foreign);
    check("r.test/web", "https://r.test:444/token", true, foreign);
    check("r.test/web", "https://auth.test/token", false, None);
    let unencrypted = Some(RealmFault::Unencrypted);
    check("r.test/web", "http://r.test/token", true, unencrypted);
    check("r.test/web", "http://r.test/token", false, unencrypted);
    check("r.test/web", "https://169.254.169.254/", false, local);
    check("r.test/web", "https://0x7f000001/", false, local);
    check("r.test/web", "https://[::ffff:10.0.0.1]/", false, local);
    check("10.0.0.1/web", "https://10.0.0.2/token", false, None);
}
