//! What a request says, word for word.

use std::path::Path;

use serde_json::json;

use super::{
    fake::Product,
    world::{World, assert_applied},
};

const OLD: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
const NEW: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// A world in which `web` has two images with these labels, and a request about them.
async fn told(product: Product, old: &[(&str, &str)], new: &[(&str, &str)]) -> String {
    let world = World::new(product).await;
    let config = |created: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(name, value)| {
            let name = format!("org.opencontainers.image.{name}");
            (name, json!(value))
        });
        let labels = labels.collect::<serde_json::Map<_, _>>();
        json!({"created": created, "config": {"Labels": labels}}).to_string()
    };
    world.image("web", "1.0.0", &config("2025-11-01T00:00:00Z", old));
    world.image("web", "1.1.0", &config("2025-12-01T00:00:00Z", new));
    world.tags("web", &["1.0.0", "1.1.0"]);
    assert_applied(&world.run_one().await, 1);
    let (body, writes) = (world.pull(1).body, world.forge(|it| it.writes()));
    world.run_one().await;
    assert_eq!(
        world.forge(|it| it.writes()),
        writes,
        "nothing is written at rest"
    );
    world.assert_sound();
    let lines = body.lines().filter(|it| !it.starts_with("[//]: #"));
    let text = lines.collect::<Vec<_>>().join("\n");
    format!("{}\n", text.trim())
}

/// Compares a text with its file, or writes it where `GOLDEN=write` asks for that.
fn check(name: &str, found: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/forge/bodies");
    let path = folder.join(name);
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") {
        assert!(std::env::var_os("CI").is_none(), "not in CI");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(&path, found).expect("a file");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, expected,
        "GOLDEN=write cargo test --test suite forge::body"
    );
}

#[tokio::test]
async fn a_body_links_what_the_annotations_say() {
    let labels = |revision| {
        [
            ("source", "https://github.com/acme/web.git"),
            ("revision", revision),
        ]
    };
    let body = told(Product::Github, &labels(OLD), &labels(NEW)).await;
    check("linked.md", &body);
}

#[tokio::test]
async fn a_body_without_annotations_links_nothing() {
    let body = told(Product::Gitlab, &[], &[]).await;
    assert!(!body.contains("]("), "{body}");
    check("plain.md", &body);
}

#[tokio::test]
async fn a_body_tells_which_tags_a_constraint_held_back() {
    for product in Product::ALL {
        let world = World::new(product)
            .await
            .constrained(", constraints: {deny: [{tag: 1.2.0, reason: it loses mail}]}");
        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        assert_applied(&world.run_one().await, 1);
        let body = world.pull(1).body;
        for words in ["| `1.0.0` | `1.1.0` |", "- not `1.2.0`: held back by "] {
            assert!(body.contains(words), "{product:?}: no `{words}` in {body}");
        }
    }
}

#[tokio::test]
async fn hostile_annotations_stay_out_of_the_body() {
    for source in [
        "javascript:alert(1)",
        "https://github.com/acme/web](https://evil.test)",
        "https://user:word@github.com/acme/web",
        "https://github.com/@team/<img src=x>",
        "data:text/html,<script>alert(1)</script>",
    ] {
        let old = [("revision", "0a1b2c3"), ("source", source)];
        let new = [
            ("revision", "](https://evil.test) @team"),
            ("source", source),
        ];
        let body = told(Product::Gitea, &old, &new).await;
        for evil in [
            "javascript:",
            "evil.test",
            "@",
            "<img",
            "<script",
            "user:word",
        ] {
            assert!(!body.contains(evil), "{source}: {body}");
        }
    }
}
