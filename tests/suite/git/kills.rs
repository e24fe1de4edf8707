//! The program, killed at random moments against a slow server.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tagwright::fixture::{Fixture, RegistryServer};

use super::{
    git_server::{GitServer, Trouble},
    world::{Node::File, World, has_git},
};

/// How often it is killed where `TAGWRIGHT_KILLS` does not say more.
const KILLS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_and_run_again_makes_one_commit() {
    if !has_git() {
        return;
    }
    let kills = std::env::var("TAGWRIGHT_KILLS");
    let kills = kills.ok().and_then(|it| it.parse().ok()).unwrap_or(KILLS);
    let registry = Fixture::embedded("demo").expect("the demo's fixture");
    let registry = RegistryServer::start(registry).await.expect("loopback");
    let image = format!("{}/acme/web", registry.address());
    let marked = format!("image: {image}:1.0.0 # {{\"$imagepolicy\": \"default:web\"}}\n");
    let world = World::of(&[
        ("apps/web.yaml", File(&marked)),
        ("README.md", File("fleet")),
    ]);
    let base = world.tip("main").expect("a tip");
    let server = GitServer::of(world.folder.path());
    let server = server.with(Trouble::Slow(Duration::from_millis(20)));
    let server = server.start().await;
    let config = configuration(
        world.folder.path(),
        &image,
        server.url("fleet.git").as_str(),
    );
    let cache = world.folder.path().join("cache");
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tagwright"));
        command.env_clear().arg("run").arg("--config").arg(&config);
        command.arg("--cache").arg(&cache).stdout(Stdio::null());
        command.stderr(Stdio::piped()).spawn().expect("the program")
    };
    let finish = |child: std::process::Child| {
        let output = child.wait_with_output().expect("our own child");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        let tip = world.tip("main").expect("a tip");
        let count = world.git(&["rev-list", "--count", "main"]);
        assert_eq!(count.trim(), "2", "one commit on the base");
        tip
    };
    let start = Instant::now();
    let commit = tokio::task::block_in_place(|| finish(run()));
    let took = start.elapsed();
    // The same on every machine that is as fast.
    let mut random = fastrand::Rng::with_seed(7);
    let mut cold = 0;
    for _ in 0..kills {
        world.set("main", &base);
        if random.u8(0..4) == 0 {
            cold += 1;
            let _ = fs::remove_dir_all(&cache);
        }
        tokio::task::block_in_place(|| {
            let mut child = run();
            std::thread::sleep(took.mul_f64(random.f64()));
            child.kill().expect("our own child");
            child.wait().expect("our own child");
            assert_eq!(finish(run()), commit, "the very same commit");
        });
    }
    world.assert_sound();
    assert!(cold <= kills);
}

fn configuration(folder: &Path, image: &str, url: &str) -> std::path::PathBuf {
    let file = folder.join("config.yaml");
    let mut text = String::new();
    let group = "image.toolkit.fluxcd.io/v1";
    let _ = write!(
        text,
        "apiVersion: {group}\nkind: ImageRepository\nmetadata: {{name: web}}\n\
         spec: {{image: {image}, interval: 5m, insecure: true}}\n---\n\
         apiVersion: {group}\nkind: ImagePolicy\nmetadata: {{name: web}}\n\
         spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: 1.x}}}}}}\n---\n\
         apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: fleet}}\n\
         spec: {{url: {url}, interval: 5m, ref: {{branch: main}}}}\n---\n\
         apiVersion: {group}\nkind: ImageUpdateAutomation\nmetadata: {{name: fleet}}\nspec:\n  \
         interval: 5m\n  sourceRef: {{kind: GitRepository, name: fleet}}\n  \
         git: {{commit: {{author: {{email: bot@example.com}}}}}}\n"
    );
    fs::write(&file, text).expect("a new file");
    file
}
