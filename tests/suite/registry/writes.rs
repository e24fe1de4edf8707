//! Each call × each fault, down to Git: the whole program writes what it would have written, or
//! nothing at all.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::Ordering,
};

use futures_util::{StreamExt as _, stream};

use super::{
    faults::{CALLS, FAULTS, FaultProxy},
    serve,
};
use crate::git::world::{Node::File, World, has_git};

/// How many cases run beside each other.
const AT_A_TIME: usize = 8;
const MANIFEST: &str = "apps/web.yaml";

/// Objects whose policy asks for a token, both pages, a digest, a manifest and a configuration.
fn configuration(world: &World, registry: SocketAddr) -> PathBuf {
    let file = world.folder.path().join("config.yaml");
    let url = format!("file://{}", world.repository().display());
    let text = format!(
        r#"apiVersion: v1
kind: Secret
metadata: {{name: registry}}
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '{{"auths": {{"{registry}": {{"username": "bot", "password": "correct-horse"}}}}}}'
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {{name: web}}
spec: {{image: {registry}/web, interval: 5m, timeout: 10s, insecure: true, secretRef: {{name: registry}}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {{name: web}}
spec:
  imageRepositoryRef: {{name: web}}
  digestReflectionPolicy: IfNotPresent
  policy: {{semver: {{range: <1.2}}}}
  constraints: {{minimumAge: {{age: 72h}}}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: fleet}}
spec: {{url: "{url}", interval: 5m, ref: {{branch: main}}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {{name: fleet}}
spec:
  interval: 5m
  sourceRef: {{kind: GitRepository, name: fleet}}
  git: {{commit: {{author: {{email: bot@example.com}}}}}}
"#
    );
    fs::write(&file, text).expect("a new file");
    file
}

/// Runs the program once, and says whether it was content.
async fn run(config: &Path, cache: &Path) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagwright"));
    command.env_clear().arg("run").arg("--config").arg(config);
    command.arg("--cache").arg(cache);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let status = tokio::task::spawn_blocking(move || command.status()).await;
    let status = status.expect("no panic").expect("the program");
    assert!(status.code().is_some_and(|code| code != 101), "it panicked");
    status.success()
}

/// What the manifest says, with the registry's address taken out, and how many commits there are.
fn written(world: &World, registry: SocketAddr) -> (String, usize) {
    let text = world.git(&["show", &format!("main:{MANIFEST}")]);
    let count = world.git(&["rev-list", "--count", "main"]);
    let count = count.trim().parse().expect("a number");
    (text.replace(&registry.to_string(), "REGISTRY"), count)
}

fn fleet(registry: SocketAddr) -> World {
    let manifest = format!("image: {registry}/web:1.0.0 # {{\"$imagepolicy\": \"default:web\"}}\n");
    World::of(&[(MANIFEST, File(&manifest)), ("README.md", File("fleet"))])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_with_each_fault_writes_the_truth_or_nothing() {
    if !has_git() {
        return;
    }
    let (server, _) = serve("faulty").await;
    let own = server.address();
    let world = fleet(own);
    let before = written(&world, own);
    assert!(
        run(
            &configuration(&world, own),
            &world.folder.path().join("cache")
        )
        .await
    );
    let truth = written(&world, own);
    assert_eq!(truth.1, before.1 + 1, "one commit");
    assert!(truth.0.contains("/web:1.1.0@sha256:"), "{}", truth.0);

    let cases = CALLS
        .iter()
        .flat_map(|call| FAULTS.map(|fault| (*call, fault)));
    let checks = cases.map(async |(call, fault)| {
        let proxy = FaultProxy::start(own, call, fault).await;
        let world = fleet(proxy.address);
        let config = configuration(&world, proxy.address);
        let cache = world.folder.path().join("cache");
        let was_content = run(&config, &cache).await;
        let hits = proxy.hits.load(Ordering::Relaxed);
        assert!(hits > 0, "{call} {fault:?} was not met");
        let met = written(&world, proxy.address);
        // Who gets no token may be let in without, and half an answer of a HEAD is a whole one.
        let allowed: &[_] = if was_content {
            &[&truth]
        } else {
            &[&before, &truth]
        };
        assert!(allowed.contains(&&met), "{call} {fault:?}: {met:?}");
        proxy.armed.store(false, Ordering::Relaxed);
        // What was remembered of the fault, if anything, does no harm.
        assert!(run(&config, &cache).await, "{call} {fault:?} is over");
        assert_eq!(written(&world, proxy.address), truth, "{call} {fault:?}");
        world.assert_sound();
    });
    stream::iter(checks)
        .buffer_unordered(AT_A_TIME)
        .count()
        .await;
}
