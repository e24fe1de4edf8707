//! Values that a path leads to, in every format.

use super::*;

#[test]
fn values_of_plain_json_are_edited() {
    let check = |selector, text| check("a.json", selector, text);
    check("image", r#"{"image":"web:1"}"#);
    check("image", "{\n\t\"image\" :  \"web:1\",\n\t\"n\": 1.0e5\n}\n");
    check(
        "a.b[1].image",
        r#"{"a":{"b":[0,{"image":"web:1","x":"web:3"}]}}"#,
    );
    check(
        "a[name=app].image",
        r#"{"a":[{"name":"x","image":"keep:1"},{"image":"web:1","name":"app"}]}"#,
    );
    check("a[*]", r#"{"a":["web:1","web:1"],"b":"keep:1"}"#);
    check("[0]", r#"["web:1","keep:1"]"#);
    check(r#"["a.b"].c"#, r#"{"a.b":{"c":"web:1"}}"#);
    check("image", "{\r\n  \"image\": \"web:1\"\r\n}\r\n");
    check("image", "\u{FEFF}{\"image\": \"web:1\"}");
    check(
        "image",
        "{\"ä\":\"\\u00e4 \\\"web\\\"\",\"image\":\"web:1\",\"ö\":\"😀\"}",
    );
    check(
        "containerDefinitions[name=web].image",
        "{\"containerDefinitions\": [{\"name\": \"web\", \"image\": \"web:1\", \"essential\": true}]}",
    );
    check(
        "*.image",
        r#"{"a":{"image":"web:1"},"b":{"image":"web:1"}}"#,
    );
}

#[test]
fn values_of_json_with_comments_are_edited() {
    check(
        "a.jsonc",
        "image",
        "// web\n{\n  \"image\": \"web:1\", /* x */\n}\n",
    );
    check("a.jsonc", "a[0]", "{\"a\": [\"web:1\",] }");
    check(
        "devcontainer.json",
        "image",
        "{\n  // the image\n  \"image\": \"web:1\"\n}\n",
    );
    check(
        "a.json5",
        "image",
        "{image: 'web:1', n: +0x1F, m: .5, i: Infinity}",
    );
    check("a.json5", "image", "{'image': 'web:1', s: 'a\\\nb'}");
    check("a.json5", "a.image", "{a: {image: \"web:1\",},}");
}

#[test]
fn values_of_toml_are_edited() {
    let check = |selector, text| check("a.toml", selector, text);
    check("image", "image = \"web:1\"\n");
    check("image", "image = 'web:1' # why\n");
    check(
        "web.image",
        "[web]\nimage = \"web:1\"\n[db]\nimage = \"keep:1\"\n",
    );
    check("web.image", "web = {image = \"web:1\", n = 1}\n");
    check("web.image", "web.image = \"web:1\"\n");
    check(
        "web[1].image",
        "[[web]]\nimage=\"keep:1\"\n[[web]]\nimage=\"web:1\"\n",
    );
    check(
        "web[name=app].image",
        "[[web]]\nname = \"app\"\nimage=\"web:1\"\n",
    );
    check(
        "images[*]",
        "images = [\n  \"web:1\", # one\n  \"web:1\",\n]\n",
    );
    check(
        "a.image",
        "\u{FEFF}[a]\r\nimage = \"web:1\"\r\nwhen = 2026-01-01\r\n",
    );
    check(r#"["a b"].image"#, "[\"a b\"]\nimage = \"web:1\"\n");
}

#[test]
fn values_of_hcl_are_edited() {
    let check = |selector, text| check("main.tf", selector, text);
    check("image", "image = \"web:1\"\n");
    check(
        "variable.image.default",
        "variable \"image\" {\n  type    = string\n  default = \"web:1\" # why\n}\n",
    );
    check(
        "resource.aws_ecs.web.image",
        "resource \"aws_ecs\" \"web\" {\n  image = \"web:1\"\n}\nresource \"aws_ecs\" \"db\" {\n  image = \"keep:1\"\n}\n",
    );
    check(
        "locals.images.web",
        "locals {\n  images = {\n    web = \"web:1\"\n    db  = \"keep:1\"\n  }\n}\n",
    );
    check(
        "locals.images[0]",
        "locals {\n  images = [\"web:1\", \"keep:1\"]\n}\n",
    );
    check(
        "job.a.task[name=web].image",
        "job \"a\" {\n  task {\n    name = \"web\"\n    image = \"web:1\"\n  }\n  task {\n    name = \"db\"\n    image = \"keep:1\"\n  }\n}\n",
    );
    check(
        "image",
        "n = \"${var.x}-1\"\nimage = \"web:1\"\ntext = <<EOT\nimage = keep\nEOT\n",
    );
    check(
        "image",
        "image = \"web:1\"\r\nb = !true ? [for x in y : x if x > 1] : null\r\n",
    );
    check(
        "a.image",
        "a = jsonencode({x = 1})\na \"image\" {}\n"
            .replace(
                "a = jsonencode({x = 1})\na \"image\" {}",
                "a {\n  image = \"web:1\"\n  f = jsonencode({x = \"keep:1\"})\n}",
            )
            .as_str(),
    );
}

#[test]
fn values_of_dockerfiles_and_env_files_are_edited() {
    check(
        "Dockerfile",
        "FROM[0]",
        "FROM web:1 AS build\nFROM keep:1\n",
    );
    check(
        "Dockerfile",
        "FROM[1]",
        "FROM keep:1 AS build\nFROM --platform=linux/amd64 web:1\n",
    );
    check("Dockerfile", "FROM[*]", "FROM web:1\nFROM web:1\r\n");
    check(
        "Dockerfile",
        "ARG.IMAGE",
        "ARG IMAGE=web:1\nARG OTHER=keep:1\nFROM $IMAGE\n",
    );
    check(
        "Dockerfile",
        "ARG.IMAGE",
        "ARG OTHER=keep:1 IMAGE=\"web:1\"\nRUN x\n",
    );
    check(".env", "IMAGE", "# web\nexport IMAGE=web:1\nOTHER=keep:1\n");
    check(".env.prod", "IMAGE", "IMAGE='web:1' # why\r\n");
    check("prod.env", "IMAGE", "\u{FEFF}IMAGE=\"web:1\"");
}

#[test]
fn values_of_yaml_without_comments_are_edited() {
    let check = |selector, text| check("a.yaml", selector, text);
    check("image", "image: web:1\n");
    check(
        "services.web.image",
        "services:\n  web:\n    image: 'web:1'\n  db:\n    image: keep:1\n",
    );
    check(
        "services.*.image",
        "services: {web: {image: web:1}, x: {image: \"web:1\"}}\n",
    );
    check(
        "spec.template.spec.containers[name=app].image",
        "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n        image: web:1 # mine\n      - name: proxy\n        image: keep:1\n",
    );
    check(
        "[kind=Job]spec.image",
        "kind: Pod\nspec: {image: keep:1}\n---\nkind: Job\nspec: {image: web:1}\n",
    );
    check(
        "items[*].image",
        "items:\r\n- image: web:1\r\n- image: web:1\r\n",
    );
    check("image", "\u{FEFF}image: &i web:1\nother: *i\n");
    check("image", "image: >-\n  web:1\n");
    check("image", "a: {{ .x }}\nimage: web:1\n");
}
