//! What `deploy/` ships is accepted by an API server: the overlays, the chart as `.ci/manifests`
//! rendered them, and the sample.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    apply::{apply, documents, dry_run, without_cel},
    world::World,
};

pub(crate) async fn are_accepted(world: &World) {
    for name in ["images", "a", "b"] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        apply(&world.client, namespace).await;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    all_of(world, &root.join("deploy/samples")).await;
    let rendered = root.join("target/manifests");
    if rendered.is_dir() {
        all_of(world, &rendered).await;
    } else {
        assert!(std::env::var_os("CI").is_none(), "run .ci/manifests first");
        eprintln!("left out: the rendered manifests; .ci/manifests makes them");
    }
}

/// Applies every object of a folder's files without keeping it.
async fn all_of(world: &World, folder: &Path) {
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a text");
        for mut object in documents(&text) {
            if object == Value::Null {
                continue;
            }
            if object["kind"] == "CustomResourceDefinition" {
                without_cel(&mut object);
            }
            dry_run(&world.client, object).await;
            count += 1;
        }
    }
    assert!(count > 0, "{} is empty", folder.display());
}
