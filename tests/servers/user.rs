//! The program as somebody runs it at their desk, with what lies in their `~/.ssh`.

use std::fs;

use crate::{
    git_ssh::{Setup, SshServer, make_key},
    programs::command,
    ssh::FILES,
};

#[test]
fn the_keys_and_hosts_of_the_user_open_a_remote() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let home = home.path();
    let Some(server) = SshServer::start(&home.join("server"), &Setup::default()) else {
        return;
    };
    let fleet = server.repository(&FILES);
    let folder = home.join(".ssh");
    fs::create_dir(&folder).expect("a new folder");
    let url = server.url(fleet.path());
    let plan = |why: &str| {
        let mut program = command(env!("CARGO_BIN_EXE_tagwright"), home);
        let output = program.args(["plan", "--remote", &url]).output();
        let output = output.expect("the program was built");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        (output.status.success(), format!("{why}: {told}"))
    };
    let refused = |why: &str, because: &str| {
        let (is_in, told) = plan(why);
        assert!(!is_in && told.contains(because), "{told}");
    };
    refused("nothing is there", "`known_hosts` holds no host key");
    let line = format!("{} {}\n", server.host(), server.host_key("ed25519"));
    fs::write(folder.join("known_hosts"), line).expect("a new file");
    refused("a host and no key", "no key at all");
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let name = format!("id_{kind}");
        let key = make_key(&folder, &name, &["-t", kind], "");
        server.authorize(&key);
        let (is_in, told) = plan(kind);
        assert!(is_in, "{told}");
        fs::remove_file(key.with_extension("pub")).expect("a file of ours");
        fs::remove_file(key).expect("a file of ours");
    }
    // A key with a passphrase is for the agent; alone, it is passed over.
    let locked = make_key(&folder, "id_ed25519", &["-t", "ed25519"], "canary-4711");
    server.authorize(&locked);
    refused("a locked key", "no key at all");
}
