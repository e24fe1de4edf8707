//! `crds`: the definitions of the kinds, to be applied to a cluster.

use super::{Exit, output::Output};
use crate::crd;

pub(super) fn execute(output: &mut Output) -> Exit {
    let definitions = crd::definitions();
    if output.is_text() {
        output.print(&crd::print(&definitions));
    } else {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": definitions});
        output.result(&list, String::new);
    }
    Exit::Done
}
