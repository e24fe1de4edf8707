//! GitHub's published description between us and the double: a proxy (`prism`) that refuses what we ask,
//! and what the double answers, where it is not as described.
//!
//! `.ci/contract` installs it and prints the folder that `TAGWRIGHT_CONTRACT` names.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tagwright::{
    pipeline::End,
    update::{
        forge::{Forge as _, ForgeError, NewRequest, Readiness, Text, standing},
        git::Branch,
    },
};

use super::{
    fake::{Product, Stage},
    world::{BRANCH, World, assert_applied},
};

/// A proxy that ends with the test.
struct Proxy {
    child: Child,
    address: String,
}

impl Proxy {
    /// Starts it before a server, once for all; says so where it is not installed.
    #[expect(
        clippy::print_stdout,
        reason = "what was left out stands in the test's output"
    )]
    fn start(description: &str, upstream: &str) -> Option<Self> {
        let Some(folder) = std::env::var_os("TAGWRIGHT_CONTRACT").map(PathBuf::from) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "`prism` is not installed: .ci/contract"
            );
            println!("left out: TAGWRIGHT_CONTRACT names no folder with `prism`");
            return None;
        };
        let port = free_port().to_string();
        let mut child = Command::new(folder.join("node_modules/.bin/prism"))
            .args(["proxy", "-h", "127.0.0.1", "-p", &port, "--errors"])
            .arg(folder.join(description))
            .arg(upstream)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut lines = output.lines().map_while(Result::ok);
        let is_ready = lines.any(|line| line.contains("is listening"));
        // Nobody reads on, and a full pipe must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let proxy = Self {
            child,
            address: format!("http://127.0.0.1:{port}"),
        };
        assert!(is_ready, "it ended before it listened");
        Some(proxy)
    }
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn check(description: &str) {
    let world = World::new(Product::Github).await;
    let Some(proxy) = Proxy::start(description, &format!("http://{}", world.server.address)) else {
        return;
    };
    let world = world.through(&proxy.address).saying(
        "labels: [images], reviewers: [ada], teams: [ops], assignees: [bo], milestone: Q1, draft: true",
    );
    world.tags("web", &["1.0.0", "1.1.0"]);
    let outcome = world.run_one().await;
    assert_applied(&outcome, 1);
    let remarks = outcome.proposal.expect("a request").remarks;
    assert!(remarks.is_empty(), "everything was taken: {remarks:?}");
    world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
    assert_applied(&world.run_one().await, 1);

    let forge = world.door();
    for words in ["one", "another"] {
        standing::say(&forge, 1, "plan", words)
            .await
            .expect("it is said");
    }
    assert_eq!(world.pull(1).comments.len(), 1);

    // What is refused is refused as described, or it would come back as trouble of the server.
    let twin = NewRequest {
        head: Branch::new(BRANCH).expect("a branch"),
        base: Branch::new("main").expect("a branch"),
        text: Text {
            title: "again".to_owned(),
            body: String::new(),
        },
        readiness: Readiness::Ready,
    };
    let refused = forge.create(&twin).await;
    assert!(
        matches!(refused, Err(ForgeError::Refused { .. })),
        "{refused:?}"
    );
    let nowhere = forge.comment(99, "hello").await;
    assert!(
        matches!(nowhere, Err(ForgeError::NotFound { .. })),
        "{nowhere:?}"
    );

    world.tags("web", &["1.0.0"]);
    let end = world.run_one().await.end;
    assert!(matches!(end, End::Withdrawn), "{end:?}");
    assert_eq!(world.pull(1).state, Stage::Closed);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_ask_and_what_the_double_answers_is_as_github_describes_it() {
    check("api.github.com.json").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_for_the_oldest_enterprise_server() {
    check("ghes-3.17.json").await;
}
