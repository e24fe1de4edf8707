//! Every template that the documentation of Flux shows: the specification of its
//! `ImageUpdateAutomation`, and its guide to image updates.

use super::*;
use crate::update::template::{ErrorKind, RemovedField, message};

/// What the longer ones begin with.
const HEAD: &str = "Automated image update

Automation name: {{ .AutomationObject }}

Files:
{{ range $filename, $_ := .Changed.FileChanges -}}
- {{ $filename }}
{{ end -}}

Objects:
{{ range $resource, $changes := .Changed.Objects -}}
";

/// Checks what the template that goes on with `rest` renders to, behind what all of them say.
fn check_objects(rest: &str, expected: &str) {
    let head = "Automated image update\n\nAutomation name: flux-system/apps\n\nFiles:\n- a.yaml\n- b.yaml\nObjects:\n";
    check_template(&format!("{HEAD}{rest}"), &format!("{head}{expected}"));
}

#[test]
fn the_changes_of_each_object() {
    check_objects(
        "- {{ $resource.Kind }} {{ $resource.Name }}
  Changes:
{{- range $_, $change := $changes }}
    - {{ $change.OldValue }} -> {{ $change.NewValue }}
{{ end -}}
{{ end -}}
",
        "- Deployment web\n  Changes:\n    - web:1.0 -> web:1.1\n\n    - 1.0 -> 1.1\n\n    - db:5 -> db:6\n\
         - StatefulSet db\n  Changes:\n    - db:5 -> db:6\n\
         - Pod a\n  Changes:\n    - web:1.0 -> web:1.1\n",
    );
}

#[test]
fn functions_over_the_changes() {
    check_objects(
        "- {{ $resource.Kind | lower }} {{ $resource.Name | lower }}
  Changes:
{{- range $_, $change := $changes }}
  {{ if contains \"1.1\" $change.NewValue -}}
    - {{ $change.OldValue }} -> {{ $change.NewValue }}
  {{ else -}}
    [skip ci] wrong image
  {{ end -}}
{{ end -}}
{{ end -}}
",
        "- deployment web\n  Changes:\n  - web:1.0 -> web:1.1\n  \n  - 1.0 -> 1.1\n  \n  [skip ci] wrong image\n  \
         - statefulset db\n  Changes:\n  [skip ci] wrong image\n  \
         - pod a\n  Changes:\n  - web:1.0 -> web:1.1\n  ",
    );
}

#[test]
fn values_of_the_automation() {
    check_template(
        "Automated image update by Flux for cluster {{ .Values.cluster }}.",
        "Automated image update by Flux for cluster prod.",
    );
}

#[test]
fn what_the_guide_still_shows_gets_the_advice_of_flux() {
    for source in [
        "{{range .Updated.Images}}{{println .}}{{end}}",
        "{{ range $filename, $_ := .Updated.Files -}}\n- {{ $filename }}\n{{ end -}}",
        "{{ range $resource, $_ := .Updated.Objects -}}\n- {{ $resource.Kind }}\n{{ end -}}",
    ] {
        let error = message::check(source).expect_err(source);
        let removed = ErrorKind::RemovedField(RemovedField::Updated);
        assert_eq!(error.kind, removed, "{source}");
    }
}
