use super::*;

/// Checks which images are found: the strategy, the canonical repository, and each field with its
/// value; a `!` in front of what cannot be edited.
fn check(path: &str, text: &str, expected: &[&str]) {
    check_with(&Search::everywhere(), path, text, expected);
}

fn check_with(search: &Search, path: &str, text: &str, expected: &[&str]) {
    let found = find(path, text.as_bytes(), search);
    let images = found.images.iter().map(shown).collect::<Vec<_>>();
    assert_eq!(images, expected, "{path}\n{text}");
    for field in found.images.iter().flat_map(|image| &image.fields) {
        let written = text.get(field.span.clone()).unwrap();
        assert!(written.contains(field.value.trim_end()), "{written}");
    }
}

fn shown(image: &FoundImage) -> String {
    let mark = if image.obstacle.is_some() { "!" } else { "" };
    let fields = image.fields.iter();
    let fields = fields.map(|field| format!(" {:?}={}", field.field, field.value.trim_end()));
    let canonical = image.repository.canonical();
    let name = canonical.trim_start_matches("index.docker.io/");
    format!(
        "{mark}{} {name}{}",
        image.strategy,
        fields.collect::<String>()
    )
}

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[test]
fn every_workload_kind_is_searched() {
    let nginx: &[&str] = &["Kubernetes library/nginx Image=nginx:1.27"];
    let pod = "{containers: [{image: nginx:1.27}]}";
    let checks = [
        ("v1", "Pod", format!("spec: {pod}")),
        ("v1", "PodTemplate", format!("template: {{spec: {pod}}}")),
        (
            "v1",
            "ReplicationController",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "apps/v1",
            "ReplicaSet",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "apps/v1",
            "Deployment",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "apps/v1",
            "StatefulSet",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "apps/v1",
            "DaemonSet",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "extensions/v1beta1",
            "Deployment",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "batch/v1",
            "Job",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "batch/v1",
            "CronJob",
            format!("spec: {{jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}"),
        ),
    ];
    for (version, kind, rest) in checks {
        let text = format!("apiVersion: {version}\nkind: {kind}\n{rest}\n");
        check("a.yaml", &text, nginx);
        let item = text.replace('\n', "\n  ");
        let list = format!("apiVersion: v1\nkind: List\nitems:\n- {item}\n");
        check("list.yaml", &list, nginx);
    }
}

#[test]
fn every_place_of_a_pod_is_searched() {
    check(
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nspec:\n  initContainers:\n  - image: a/init:1\n  containers:\n  - image: \"a/main:2\"\n  - name: none\n  ephemeralContainers:\n  - image: a/debug:3\n  volumes:\n  - image: {reference: a/files:4}\n",
        &[
            "Kubernetes a/init Image=a/init:1",
            "Kubernetes a/main Image=a/main:2",
            "Kubernetes a/debug Image=a/debug:3",
            "Kubernetes a/files Image=a/files:4",
        ],
    );
}

#[test]
fn what_says_no_version_is_no_image_of_ours() {
    let pod = |image: &str| {
        format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {image}\n")
    };
    for image in [
        "nginx",
        "$(IMAGE)",
        "${IMAGE}:1",
        "nginx:",
        "[nginx:1]",
        "~",
        "''",
        "*a",
    ] {
        let text = format!("x: &a 1\n{}", pod(image));
        check("pod.yaml", &text, &[]);
    }
    check("pod.yaml", "containers: [{image: nginx:1}]\n", &[]);
    check(
        "pod.yaml",
        &pod("nginx:1").replace("v1", "argo.test/v1"),
        &[],
    );
    check("pod.yaml", &pod("nginx:1").replace("Pod", "Other"), &[]);
    check("pod.yaml", "apiVersion: v1\nkind: Pod\nspec: image\n", &[]);
}

#[test]
fn references_are_read_as_they_are_written() {
    let pod = |image: &str| {
        format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {image}\n")
    };
    let pinned = format!("reg.test:5000/a/web:1@{DIGEST}");
    let row = format!("Kubernetes reg.test:5000/a/web Image={pinned}");
    check("pod.yaml", &pod(&pinned), &[&row]);
    let only = format!("reg.test/web@{DIGEST}");
    let row = format!("Kubernetes reg.test/web Image={only}");
    check("pod.yaml", &pod(&only), &[&row]);
    check(
        "pod.yaml",
        &pod("&a 'nginx:1' # why"),
        &["Kubernetes library/nginx Image=nginx:1"],
    );
    check(
        "pod.yaml",
        &pod(">-\n      nginx:1"),
        &["Kubernetes library/nginx Image=nginx:1"],
    );
    check(
        "pod.yaml",
        &pod("!!int nginx:1"),
        &["!Kubernetes library/nginx Image=nginx:1"],
    );
    check("pod.yaml", &pod("nginx:1\n    image: nginx:2"), &[]);
}

#[test]
fn fields_of_other_kinds_are_found_where_somebody_names_them() {
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec:\n  template:\n    spec:\n      containers:\n      - image: a/web:1\n";
    let named = |kind: &str| Search {
        strategies: BTreeSet::new(),
        resources: vec![ResourceField {
            kind: kind.to_owned(),
            path: "spec.template.spec.containers[].image".parse().unwrap(),
        }],
        ..Search::default()
    };
    let web: &[&str] = &["Kubernetes a/web Image=a/web:1"];
    check("rollout.yaml", rollout, &[]);
    check_with(&named("Rollout"), "rollout.yaml", rollout, web);
    check_with(&named("Rollout.argoproj.io"), "rollout.yaml", rollout, web);
    check_with(&named("Rollout.other.io"), "rollout.yaml", rollout, &[]);
    check_with(&named("Other"), "rollout.yaml", rollout, &[]);
}

#[test]
fn paths_are_keys_with_and_without_items() {
    for good in ["image", "spec.a[].b", "a[][].b", "a-b.c_d"] {
        assert_eq!(good.parse::<FieldPath>().unwrap().to_string(), good);
    }
    for bad in ["", ".", "a.", "[]", "a[0]", "a.[].b", "a]["] {
        assert!(bad.parse::<FieldPath>().is_err(), "{bad}");
    }
}

#[test]
fn kustomizations_are_found_by_kind_and_by_name() {
    let images = "images:\n- name: nginx\n  newTag: 1.27.0\n";
    let row: &[&str] = &["Kustomize library/nginx Tag=1.27.0"];
    check("a/kustomization.yaml", images, row);
    check("kustomization.yml", images, row);
    check("Kustomization", images, row);
    check("other.yaml", images, &[]);
    let half = format!("kind: Kustomization\n{images}");
    check("kustomization.yaml", &half, row);
    check("other.yaml", &half, &[]);
    let typed =
        format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n{images}");
    check("other.yaml", &typed, row);
    let component = typed.replace("kind: Kustomization", "kind: Component");
    check("other.yaml", &component, row);
    let flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n  images:\n  - {name: nginx, newTag: '1.27.0'}\n";
    check("sync.yaml", flux, row);
}

#[test]
fn kustomize_entries_name_the_image_that_they_put_in_place() {
    let file = |entry: &str| format!("images:\n- {entry}\n");
    let name = "kustomization.yaml";
    check(
        name,
        &file("{name: web, newName: ghcr.io/acme/web, newTag: v2}"),
        &["Kustomize ghcr.io/acme/web Tag=v2"],
    );
    let both = format!("{{name: web, digest: '{DIGEST}', newTag: v2}}");
    let row = format!("Kustomize library/web Digest={DIGEST} Tag=v2");
    check(name, &file(&both), &[&row]);
    let pinned = format!("{{name: acme/web, digest: {DIGEST}}}");
    let row = format!("Kustomize acme/web Digest={DIGEST}");
    check(name, &file(&pinned), &[&row]);
    check(
        name,
        &file("{name: web, newTag: 7}"),
        &["Kustomize library/web Tag=7"],
    );
    check(
        name,
        &file("{name: web, newTag: 1.10}"),
        &["Kustomize library/web Tag=1.10"],
    );
    check(name, &file("{name: web}"), &[]);
    check(name, &file("{name: web, newName: other}"), &[]);
    check(name, &file("{newTag: v2}"), &[]);
    check(name, &file("{name: web, newTag: ''}"), &[]);
    check(name, &file("{name: web, newTag: }"), &[]);
    check(
        name,
        &file("{name: web, newTag: a b}"),
        &["!Kustomize library/web Tag=a b"],
    );
    check(
        name,
        &file("{name: web, newTag: v2, digest: none}"),
        &["!Kustomize library/web Tag=v2 Digest=none"],
    );
}

#[test]
fn what_a_kustomization_misses_is_found_where_somebody_asks() {
    let adding = Search {
        missing: Missing::Add,
        ..Search::everywhere()
    };
    let check = |entry: &str, expected: &[&str]| {
        check_with(
            &adding,
            "kustomization.yaml",
            &format!("images:\n{entry}"),
            expected,
        );
    };
    let both: &[&str] = &["Kustomize library/web Tag= Digest="];
    check("- name: web\n", both);
    check(
        "- name: 'web' # why\n- name: api\n  newTag: v1\n",
        &[both[0], "Kustomize library/api Tag=v1 Digest="],
    );
    check("- {name: web}\n", both);
    check("- {name: other, newName: web}\n", both);
    check("- newName: web\n", both);
    check(
        "- name: web\n  newTag: v1\n",
        &["Kustomize library/web Tag=v1 Digest="],
    );
    check("- name: web\n  newTag: ''\n", &[]);
    check("- name: web\n  newTag:\n", &[]);
    check("- name: web\n  tagSuffix: -fips\n", &[]);
    check("- <<: {newTag: v1}\n  name: web\n", &[]);
    check("- *web\n", &[]);
    let pinned = format!("- name: web\n  digest: {DIGEST}\n");
    check(
        &pinned,
        &[&format!("Kustomize library/web Digest={DIGEST}")],
    );
    for entry in [
        "- name: |-\n    web\n",
        "- name:\n    web\n",
        "- ? name\n  : web\n",
        "- &a name: web\n",
        "- !!str name: web\n",
    ] {
        check(entry, &["!Kustomize library/web Tag= Digest="]);
    }
    // Between blocks nothing is added, and nothing but kustomizations misses anything.
    check("{{- if .Values.web }}\n- name: web\n{{- end }}\n", &[]);
    check_with(
        &adding,
        "values.yaml",
        "image: {repository: web, tag: ''}\n",
        &[],
    );
}

#[test]
fn helm_values_are_found_in_mappings() {
    let check = |text: &str, expected: &[&str]| check("chart/values.yaml", text, expected);
    check(
        "image:\n  repository: acme/web\n  tag: v1\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "image: {registry: ghcr.io, repository: acme/web, tag: v1}\n",
        &["HelmValues ghcr.io/acme/web Tag=v1"],
    );
    check(
        "image: {registry: '', repository: acme/web, tag: v1}\n",
        &["HelmValues acme/web Tag=v1"],
    );
    let pinned = format!("image: {{repository: acme/web, tag: v1, digest: {DIGEST}}}\n");
    let row = format!("HelmValues acme/web Tag=v1 Digest={DIGEST}");
    check(&pinned, &[&row]);
    check(
        "image: {repository: acme/web, tag: v1, digest: ''}\n",
        &["HelmValues acme/web Tag=v1 Digest="],
    );
    let only = format!("image: {{repository: acme/web, tag: '', digest: {DIGEST}}}\n");
    let row = format!("HelmValues acme/web Digest={DIGEST}");
    check(&only, &[&row]);
    check(
        "image: {name: acme/web, tag: v1}\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "image: {image: acme/web, version: v1}\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "sidecarImage: {name: acme/web, tag: v1}\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "operator: {repository: acme/web, tag: v1}\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "a: [{b: {image: {repository: acme/web, tag: v1}}}]\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "images: [{name: acme/web, tag: v1}]\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check("user: {name: acme, tag: v1}\n", &[]);
    check("image: {repository: acme/web, tag: ''}\n", &[]);
    check("image: {repository: acme/web, tag: null}\n", &[]);
    check("image: {repository: acme/web, tag: v1, sha: abc}\n", &[]);
    check("git: {repository: 'https://git.test/a', tag: v1}\n", &[]);
    let inside = format!("image: {{repository: acme/web, tag: 'v1@{DIGEST}'}}\n");
    let row = format!("!HelmValues acme/web Tag=v1@{DIGEST}");
    check(&inside, &[&row]);
}

#[test]
fn helm_values_are_found_in_flat_keys() {
    let check = |text: &str, expected: &[&str]| check("values-prod.yaml", text, expected);
    check(
        "image: acme/web:v1\n",
        &["HelmValues acme/web Image=acme/web:v1"],
    );
    check(
        "image: acme/web\nimageTag: v1\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "imageName: acme/web\nimageTag: v1\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "imageRepository: acme/web\nimageTag: v1\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "imageRegistry: ghcr.io\nimage: acme/web\nimageTag: v1\n",
        &["HelmValues ghcr.io/acme/web Tag=v1"],
    );
    check(
        "web: {image: acme/web, tag: v1}\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "sidecarImage: acme/web:v1\n",
        &["HelmValues acme/web Image=acme/web:v1"],
    );
    check(
        "sidecarImage: acme/web\nsidecarImageTag: v1\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check(
        "sidecarImageName: acme/web\nsidecarImageTag: v1\ntag: v2\n",
        &["HelmValues acme/web Tag=v1"],
    );
    check("image: acme/web\n", &[]);
    check("tag: v1\n# image\n", &[]);
    check("imagePullPolicy: Always\nImage: x\n", &[]);
}

#[test]
fn a_registry_for_the_whole_chart_stands_before_every_repository_without_one() {
    let check = |text: &str, expected: &[&str]| check("values.yaml", text, expected);
    check(
        "global: {imageRegistry: reg.test}\nimage: {registry: docker.io, repository: acme/web, tag: v1}\n",
        &["HelmValues reg.test/acme/web Tag=v1"],
    );
    check(
        "global: {image: {registry: reg.test}}\nimage: acme/web\nimageTag: v1\n",
        &["HelmValues reg.test/acme/web Tag=v1"],
    );
    check(
        "global: {imageRegistry: reg.test}\nimage: {repository: ghcr.io/acme/web, tag: v1}\n",
        &["HelmValues ghcr.io/acme/web Tag=v1"],
    );
    check(
        "global: {imageRegistry: ''}\nimage: {repository: acme/web, tag: v1}\n",
        &["HelmValues acme/web Tag=v1"],
    );
}

#[test]
fn values_stand_in_values_files_and_in_objects_that_carry_them() {
    let values = "image: {repository: acme/web, tag: v1}\n";
    let row: &[&str] = &["HelmValues acme/web Tag=v1"];
    check("a/values.yaml", values, row);
    check("my-values.yml", values, row);
    check("prod.values.yaml", values, row);
    check("config.yaml", values, &[]);
    let release = format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n  values:\n    {values}"
    );
    check("release.yaml", &release, row);
    let application = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    helm:\n      valuesObject:\n        {values}"
    );
    check("app.yaml", &application, row);
    let object = format!("apiVersion: v1\nkind: ConfigMap\n{values}");
    check("values.yaml", &object, &[]);
}

#[test]
fn services_of_compose_files_are_found() {
    let file = "services:\n  web:\n    image: acme/web:v1\n  own:\n    build: .\n";
    let row: &[&str] = &["Compose acme/web Image=acme/web:v1"];
    check("compose.yaml", file, row);
    check("docker-compose.prod.yml", file, row);
    check("stack.yaml", file, &[]);
    check("stack.yaml", &format!("version: '3.9'\n{file}"), row);
    check(
        "compose.yaml",
        "services:\n  web:\n    image: acme/web:${TAG}\n",
        &[],
    );
}

#[test]
fn templates_are_searched_around_their_blocks() {
    let pod = "apiVersion: v1\nkind: Pod\nspec:\n{{- if .a }}\n  containers:\n  - image: acme/web:v1\n  - image: {{ .b }}:v1\n{{- end }}\n";
    check("pod.yaml", pod, &["Kubernetes acme/web Image=acme/web:v1"]);
}

#[test]
fn what_cannot_be_parsed_is_said() {
    let found = find("a.yaml", b"image: [\n", &Search::everywhere());
    assert!(found.images.is_empty());
    assert!(matches!(found.findings[0].problem, Problem::Unparsable(_)));
}

#[test]
fn encrypted_values_are_obstacles() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: acme/web:v1\nsops:\n  mac: ENC[AES256_GCM,data:a]\n";
    check(
        "pod.yaml",
        text,
        &["!Kubernetes acme/web Image=acme/web:v1"],
    );
}

#[test]
fn a_hostile_file_costs_what_its_length_costs() {
    let flat = (0..50_000).map(|at| format!("a{at}Image: a\n"));
    let found = find(
        "values.yaml",
        flat.collect::<String>().as_bytes(),
        &Search::everywhere(),
    );
    assert!(found.images.is_empty());
    let pods = "- apiVersion: v1\n  kind: Pod\n  spec: {containers: [{image: &a a/b:1}]}\n";
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}",
        pods.repeat(MAX_IMAGES + 1)
    );
    let found = find("list.yaml", list.as_bytes(), &Search::everywhere());
    assert!(matches!(found.findings[0].problem, Problem::OverLimit(_)));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(image|Tag|repository|apiVersion: v1\n|kind: List\n|items:|[-:&*a{}\\[\\],# \n'\"]){0,60}") {
        for path in ["values.yaml", "kustomization.yaml", "compose.yaml"] {
            let found = find(path, text.as_bytes(), &Search::everywhere());
            for field in found.images.iter().flat_map(|image| &image.fields) {
                proptest::prop_assert!(text.get(field.span.clone()).is_some());
            }
        }
    }
}
