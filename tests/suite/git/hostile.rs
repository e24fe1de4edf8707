//! What a hostile server, repository or document tries; the numbers are those of the threat model's
//! cases about Git.
//!
//! G01, G18, G23 to G26 and G33 need a server of their own kind and stand in `http`; G08 to G11, G30
//! and G35 in `local`; G24 also in `together` and `refspec`; G32 in `ssh`. What needs programs that may be
//! missing stands in `tests/servers`: G31 in `ssh`, G37 in `signing`.

use std::{io::Write as _, time::Duration};

use base64::Engine as _;
use flate2::{Compression, write::ZlibEncoder};
use tagwright::{
    egress::PlainHttp,
    update::git::{Branch, Checkout, PushOption, Refspec, RemoteError, Source, remote_url},
};

use super::{
    git_server::{self, GitServer, Protocol, Trouble},
    world::{
        Node::{Executable, File, SymbolicLink},
        World, branch, has_git, paths,
    },
};

fn source(url: url::Url) -> Source {
    let mut source = Source::new(url, branch("main"));
    source.route.plain_http = PlainHttp::Allow;
    source.timeout = Duration::from_secs(20);
    source
}

#[test]
fn g02_to_g05_and_g34_addresses_that_mean_something_else_are_refused() {
    let check = |text: &str| assert!(remote_url(text).is_err(), "{text:?}");
    // G02: what a person and a parser read differently.
    check("https://good.test?@evil.test/fleet.git");
    check("https://good.test#@evil.test/fleet.git");
    check("https://good.test:443@evil.test/fleet.git");
    check("https:///fleet.git");
    // G03: control bytes, written out or not.
    check("https://good.test/fle%0aet.git");
    check("https://good.test/fle%0Det.git");
    check("https://good.test/fle%00et.git");
    check("https://good.test/fle\net.git");
    check("https://good.test/fle\tet.git");
    // G04: what `ssh` would take for an option, and what a shell would take apart.
    check("ssh://-oProxyCommand=x/fleet.git");
    check("ssh://-oProxyCommand=x@good.test/fleet.git");
    check("ssh://git@-oProxyCommand=x/fleet.git");
    check("ssh://git;id@good.test/fleet.git");
    check("ssh://git@good.test;id/fleet.git");
    check("ssh://git@'good.test'/fleet.git");
    check("ssh://git@good.test:-1/fleet.git");
    check("--upload-pack=x");
    // G05: schemes that start programs or leave the machine's rights.
    check("ext::sh -c touch% /tmp/x");
    check("fd::3");
    check("git://good.test/fleet.git");
    check("http+unix://socket/fleet.git");
    check("ftp://good.test/fleet.git");
    check("fleet.git");
    // G34: secrets in an address.
    check("https://user:canary@good.test/fleet.git");
    check("https://canary@good.test/fleet.git");
}

#[test]
fn g07_refspecs_branches_and_options_stay_what_they_are() {
    let own = Branch::new("bot").expect("a branch");
    let check = |text: &str| assert!(Refspec::new(text, &own).is_err(), "{text:?}");
    check("+refs/*:refs/*");
    check(":refs/heads/main");
    check("refs/heads/bot:refs/tags/v1");
    check("refs/heads/bot:refs/heads/a..b");
    check("refs/heads/bot:--upload-pack=x");
    for name in [
        "--upload-pack=x",
        "-x",
        "a b",
        "a\nb",
        "a..b",
        "a@{b",
        "x.lock",
        "",
    ] {
        assert!(Branch::new(name).is_err(), "{name:?}");
    }
    assert!(Checkout::named("refs/heads/../../config").is_err());
    assert!(PushOption::new("a\nb", "c").is_err());
}

#[tokio::test]
async fn g06_and_g16_malformed_advertisements_are_refused() {
    let id = "0123456789012345678901234567890123456789";
    let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let begin = || line("# service=git-upload-pack\n") + "0000";
    let first = line(&format!("{id} refs/heads/main\0report-status\n"));
    let long = "x".repeat(2_000);
    let check = async |body: String, why: &str| {
        let world = World::empty();
        let trouble = Trouble::Advertise(body.into_bytes());
        let server = GitServer::of(world.folder.path()).with(trouble);
        let server = server.speaking(Protocol::Zero).start().await;
        let error = world.read(&source(server.url("fleet.git"))).await;
        let error = error.expect_err(why);
        let words = format!("{error} {error:?}");
        assert!(!error.to_string().contains(char::is_control), "{words:?}");
        assert!(
            matches!(
                error,
                RemoteError::Protocol { .. } | RemoteError::NoBranch { .. }
            ),
            "{why}: {words}"
        );
    };
    check(String::new(), "nothing at all").await;
    check(begin() + "0001", "a delimiter in version 0").await;
    check(begin() + "0003x", "a length below four").await;
    check(begin() + "zzzz", "a length that is no number").await;
    check(begin() + "ffff", "a line longer than the answer").await;
    check(begin() + &first, "no end").await;
    check(begin() + &first + &first + "0000", "a name twice").await;
    check(
        begin() + &line(&format!("{id} refs/heads/{long}\n")) + "0000",
        "a long name",
    )
    .await;
    check(begin() + &line("no id\n") + "0000", "no id").await;
    check(
        begin() + &line("ERR \u{1b}[31mgo away\n") + "0000",
        "an error in colours",
    )
    .await;
    let odd = ["../../config", "a..b", "x.lock", "a\u{7f}b"];
    let odd = odd.map(|name| line(&format!("{id} refs/heads/{name}\n")));
    check(begin() + &odd.concat() + "0000", "odd names and no `main`").await;
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// The head of an entry: its type, and the size that it says to have.
fn entry(kind: u8, mut size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut byte = kind << 4 | u8::try_from(size & 15).expect("four bits");
    size >>= 4;
    while size > 0 {
        bytes.push(byte | 0x80);
        byte = u8::try_from(size & 0x7f).expect("seven bits");
        size >>= 7;
    }
    bytes.push(byte);
    bytes
}

fn pack(count: u32, entries: &[u8]) -> Vec<u8> {
    let mut bytes = [b"PACK\0\0\0\x02".as_slice(), &count.to_be_bytes(), entries].concat();
    let sum = gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, b"");
    // Not the checksum of this: where it matters, it is wrong too.
    bytes.extend_from_slice(sum.expect("an id").as_slice());
    bytes
}

#[tokio::test]
async fn g15_and_g20_hostile_packs_end_in_an_error() {
    if !has_git() {
        return;
    }
    let check = async |pack: Vec<u8>, why: &str| {
        let world = World::of(&[("a.yaml", File("marked"))]);
        let mut body = b"0008NAK\n".to_vec();
        for chunk in pack.chunks(60_000) {
            body.extend_from_slice(format!("{:04x}\x01", chunk.len() + 5).as_bytes());
            body.extend_from_slice(chunk);
        }
        body.extend_from_slice(b"0000");
        let server = GitServer::of(world.folder.path()).with(Trouble::Give(body));
        let server = server.speaking(Protocol::Zero).start().await;
        let error = world.read(&source(server.url("fleet.git"))).await;
        let error = error.expect_err(why);
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    };
    let blob = |text: &[u8]| [entry(3, text.len() as u64), zlib(text)].concat();
    check(pack(0, b""), "an empty pack").await;
    check(pack(1, b""), "fewer objects than it says").await;
    check(pack(1 << 31, b""), "2^31 objects").await;
    check(
        pack(1, &[entry(3, 1 << 33), zlib(b"small")].concat()),
        "a size it does not have",
    )
    .await;
    let bomb = [entry(3, 1024), zlib(&vec![0; 64 * 1024 * 1024])].concat();
    check(pack(1, &bomb), "more than it says").await;
    check(
        pack(1, &[entry(5, 3), zlib(b"abc")].concat()),
        "a type that there is not",
    )
    .await;
    let onto =
        |base: &[u8], delta: &[u8]| [&entry(7, delta.len() as u64), base, &zlib(delta)].concat();
    check(
        pack(1, &onto(&[9; 20], b"\x01\x01\x01x")),
        "a delta onto nothing",
    )
    .await;
    let copy = [b"\x04\x08".as_slice(), &[0x91, 200, 8]].concat();
    let far = [entry(6, copy.len() as u64), vec![20], zlib(&copy)].concat();
    check(
        pack(2, &[blob(b"base"), far].concat()),
        "a copy from beyond its base",
    )
    .await;
    let huge = b"\x04\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x04base";
    let huge = [entry(6, huge.len() as u64), vec![14], zlib(huge)].concat();
    check(
        pack(2, &[blob(b"base"), huge].concat()),
        "a delta of 2^63 bytes",
    )
    .await;
    check(pack(1, &blob(b"x")), "a checksum that is not its own").await;
    check(
        b"PACK\0\0\0\x09\0\0\0\0".to_vec(),
        "a version that there is not",
    )
    .await;
    check(b"<html>".to_vec(), "no pack").await;
}

/// What both files of <https://shattered.io> begin with, to the end of the first collision.
const SHATTERED: &str = "\
    JVBERi0xLjMKJeLjz9MKCgoxIDAgb2JqCjw8L1dpZHRoIDIgMCBSL0hlaWdodCAzIDAgUi9UeXBlIDQgMCBSL1N1\
    YnR5cGUgNSAwIFIvRmlsdGVyIDYgMCBSL0NvbG9yU3BhY2UgNyAwIFIvTGVuZ3RoIDggMCBSL0JpdHNQZXJDb21w\
    b25lbnQgOD4+CnN0cmVhbQr/2P/+ACRTSEEtMSBpcyBkZWFkISEhISGFL+wJIzl1nDmxocY8TJfh//4Bc0bckWa2\
    fhGPApq2IbJWD/nKZ8yox/hbqEx5AwwrPeIY+G2zqQkB1d9FwU8m/t+z3DjpasIv571yjw5FvOBG0jxXD+sUE5i7\
    VS71oKgr4zH+pIA3uLXXHw4zLt+TrDUA603cDezBqGR5DHgsdiFWYN0wl5HQa9CvP5jNpLxGKbE=";

/// No object that collides is public: an object's id is that of its kind and length too, and both
/// halves of the attack were computed without them. So it is the hash itself that is asked.
#[test]
fn g19_bytes_made_to_collide_have_no_id() {
    let attack = base64::engine::general_purpose::STANDARD.decode(SHATTERED);
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(&attack.expect("our own text"));
    assert!(hasher.try_finalize().is_err(), "the collision is seen");
}

#[tokio::test]
async fn g22_lies_about_where_history_ends_change_nothing() {
    if !has_git() {
        return;
    }
    let other = "7777777777777777777777777777777777777777";
    let lies: [fn(&str, &str) -> String; 4] = [
        |tip, _| format!("shallow {tip}"),
        |tip, _| format!("unshallow {tip}"),
        |_, first| format!("shallow {first}"),
        |_, _| "shallow 7777777777777777777777777777777777777777".to_owned(),
    ];
    for lie in lies {
        let world = World::of(&[("a.yaml", File("marked 1")), ("b", File("b"))]);
        let first = world.tip("main").expect("a tip");
        let tip = world.commit("main", &[("a.yaml", File("marked 2")), ("b", File("c"))]);
        let mut packing = git_server::git();
        packing.arg("-C").arg(world.repository());
        packing.args(["-c", "safe.directory=*", "pack-objects", "--stdout"]);
        let pack = packing.args(["--revs", "--all", "-q"]).output();
        let pack = pack.expect("git can be started").stdout;
        let line = |text: &[u8]| [format!("{:04x}", text.len() + 4).as_bytes(), text].concat();
        let mut body = line(lie(&tip, &first).as_bytes());
        body.extend_from_slice(b"00000008NAK\n");
        body.extend_from_slice(&line(&[b"\x01", pack.as_slice()].concat()));
        body.extend_from_slice(b"0000");
        let server = GitServer::of(world.folder.path()).with(Trouble::Give(body));
        let server = server.speaking(Protocol::Zero).start().await;
        let source = source(server.url("fleet.git"));
        let snapshot = world.read(&source).await.expect("a snapshot");
        assert_eq!(snapshot.base.as_str(), tip);
        let pushed = world.push(&source, &snapshot, "a.yaml", "marked 3").await;
        let pushed = pushed.expect("a push").commit;
        let history = world.git(&["rev-list", "main"]);
        let history = history.lines().collect::<Vec<_>>();
        assert_eq!(history, [pushed.as_str(), &tip, &first]);
        let changed = world.git(&["diff-tree", "-r", "--name-only", "main~1", "main"]);
        assert_eq!(changed, "a.yaml\n");
        assert!(!world.git(&["cat-file", "-p", "main"]).contains(other));
        world.assert_sound();
    }
}

#[tokio::test]
async fn g09_to_g12_g14_and_g29_what_a_repository_says_of_itself_has_no_effect() {
    let world = World::of(&[
        (
            ".gitattributes",
            File("*.yaml filter=evil ident eol=crlf working-tree-encoding=UTF-16\n"),
        ),
        (
            ".gitmodules",
            File("[submodule \"x\"]\n\tpath = a\n\turl = ../x\n\tupdate = !touch /tmp/x\n"),
        ),
        (".lfsconfig", File("[lfs]\n\turl = https://evil.test\n")),
        ("a/run.yaml", Executable("marked $Id$\r\n")),
        ("a/link.yaml", SymbolicLink("../../../../etc/passwd")),
    ]);
    world
        .configure("[filter \"evil\"]\n\tclean = touch hooked\n[core]\n\tfsmonitor = touch hooked");
    for hook in ["pre-commit", "post-commit", "pre-push", "post-update"] {
        world.hook(hook, "touch hooked");
    }
    let source = world.source();
    let snapshot = world.read(&source).await.expect("a snapshot");
    assert_eq!(paths(&snapshot), ["a/run.yaml"]);
    assert_eq!(snapshot.files[0].bytes, b"marked $Id$\r\n");
    let pushed = world
        .push(&source, &snapshot, "a/run.yaml", "marked $Id: 2$\r\n")
        .await;
    pushed.expect("a push");
    assert!(!world.repository().join("hooked").exists());
    if has_git() {
        let changed = world.git(&["diff-tree", "-r", "--no-commit-id", "main"]);
        assert_eq!(changed.lines().count(), 1, "{changed}");
        assert!(changed.starts_with(":100755 100755 "), "{changed}");
        assert_eq!(
            world.git(&["show", "main:a/run.yaml"]),
            "marked $Id: 2$\r\n"
        );
    }
    // `git fsck` itself objects to such a `.gitmodules`, so it is no witness here.
}
