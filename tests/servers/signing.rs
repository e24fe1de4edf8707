//! Signatures: what we sign is verified by `git`, `gpg` and `ssh-keygen`, and what they sign by us.

use std::{fs, path::Path, process::Output, sync::Arc};

use tagwright::{
    egress::Egress,
    error::Class,
    update::git::{
        Branch, Checkout, CommitId, GitRemote, Remote as _, RemoteError, Signer, Signers, Source,
        Subject, Verify, remote_url,
    },
};
use tempfile::TempDir;

use crate::{
    git_http::Repository,
    git_ssh::{make_key, public},
    programs::{command, find},
    ssh::{FILES, Marked, commit},
};

/// A home folder with keys of gpg.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Option<Self> {
        find("gpg")?;
        find("ssh-keygen")?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = folder.path().join(".gnupg");
        fs::create_dir(&home).expect("a new folder");
        fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("it is ours");
        Some(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn gpg(&self, arguments: &[&str]) -> String {
        let mut gpg = command("gpg", self.path());
        gpg.args(["--batch", "--quiet", "--pinentry-mode", "loopback"]);
        let Output {
            status,
            stdout,
            stderr,
        } = gpg.args(arguments).output().expect("gpg was found");
        let told = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "gpg {arguments:?}: {told}");
        String::from_utf8(stdout).expect("text")
    }

    /// Makes a key, and gives its armored private half.
    fn key(&self, name: &str, algorithm: &str, passphrase: &str) -> String {
        let user = format!("{name} <{name}@example.com>");
        self.gpg(&[
            "--passphrase",
            passphrase,
            "--quick-gen-key",
            &user,
            algorithm,
            "sign",
        ]);
        self.private(name, passphrase)
    }

    fn private(&self, name: &str, passphrase: &str) -> String {
        let user = format!("{name}@example.com");
        self.gpg(&[
            "--passphrase",
            passphrase,
            "--armor",
            "--export-secret-keys",
            &user,
        ])
    }

    fn public(&self, name: &str) -> String {
        self.gpg(&["--armor", "--export", &format!("{name}@example.com")])
    }

    fn repository(&self, format: &str) -> Repository {
        Repository::of_format(self.path(), &format!("fleet-{format}"), &FILES, format)
    }

    fn source(repository: &Repository) -> Source {
        let url = remote_url(&format!("file://{}", repository.path().display()));
        Source::new(
            url.expect("an address"),
            Branch::new("main").expect("a branch"),
        )
    }

    fn remote(&self) -> GitRemote {
        GitRemote::new(Egress::new(), self.path().join("store"))
    }

    /// Signs a commit at `time` twice, and has `git` verify it.
    async fn check(&self, repository: &Repository, signer: Signer, time: i64, git: &[&str]) {
        let source = Self::source(repository);
        let start = repository.tip("main");
        let mut ids = Vec::new();
        for _ in 0..2 {
            repository.git(&["update-ref", "refs/heads/main", &start]);
            let remote = self.remote();
            let snapshot = remote
                .read(&source, Arc::new(Marked))
                .await
                .expect("a snapshot");
            let mut commit = commit("2");
            commit.time = chrono::DateTime::from_timestamp(time, 0).expect("a time");
            commit.signer = Some(signer.clone());
            let pushed = remote
                .push(&source, &snapshot, &commit)
                .await
                .expect("a push");
            ids.push(pushed.commit);
        }
        assert_eq!(ids[0], ids[1], "the same decision is the same commit");
        let verified = [git, &["verify-commit", "--verbose", "main"]].concat();
        repository.git(&verified);
        repository.assert_sound();
        repository.git(&["update-ref", "refs/heads/main", &start]);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // gpg starts an agent of its own for this home, and leaves it.
        let mut end = command("gpgconf", self.path());
        let _ = end.args(["--kill", "all"]).status();
    }
}

#[tokio::test]
async fn gpg_verifies_what_openpgp_keys_sign() {
    let Some(world) = World::new() else { return };
    let now = chrono::Utc::now().timestamp() + 60;
    let (sha1, sha256) = (world.repository("sha1"), world.repository("sha256"));
    let keys = [
        ("rsa", "rsa3072", ""),
        ("ed25519", "ed25519", ""),
        ("nistp256", "nistp256", ""),
        ("nistp384", "nistp384", ""),
        ("locked", "ed25519", "canary-4711"),
    ];
    for (name, algorithm, passphrase) in keys {
        let text = world.key(name, algorithm, passphrase);
        let signer = Signer::open_pgp(&text, Some(passphrase));
        let signer = signer.unwrap_or_else(|error| panic!("{name}: {error}"));
        world.check(&sha1, signer.clone(), now, &[]).await;
        // Older than the key, as on a repository that nobody has touched for long.
        world.check(&sha1, signer.clone(), 1_000_000_000, &[]).await;
        world.check(&sha256, signer, now, &[]).await;
    }
    let locked = world.private("locked", "canary-4711");
    for passphrase in [None, Some(""), Some("other")] {
        let error = Signer::open_pgp(&locked, passphrase).expect_err("locked");
        assert!(error.to_string().contains("passphrase"), "{error}");
    }
    let two = world.gpg(&[
        "--passphrase",
        "",
        "--armor",
        "--export-secret-keys",
        "rsa@",
        "ed25519@",
    ]);
    assert!(Signer::open_pgp(&two, None).is_err(), "which of the two?");
    assert!(
        Signer::open_pgp(&world.public("rsa"), None).is_err(),
        "no private key"
    );
}

/// G37: a key that is missing is told where documents are read, and a short one where keys are.
#[tokio::test]
async fn the_newest_signing_subkey_signs_until_it_expires() {
    let Some(world) = World::new() else { return };
    let now = chrono::Utc::now().timestamp() + 60;
    let repository = world.repository("sha1");
    world.gpg(&[
        "--passphrase",
        "",
        "--quick-gen-key",
        "sub <sub@example.com>",
        "rsa3072",
        "cert",
    ]);
    let listing = world.gpg(&["--with-colons", "--list-keys", "sub@example.com"]);
    let fingerprint = listing
        .lines()
        .find_map(|line| line.strip_prefix("fpr:::::::::"));
    let fingerprint = fingerprint
        .expect("a fingerprint")
        .trim_end_matches(':')
        .to_owned();
    let alone = world.private("sub", "");
    let error = Signer::open_pgp(&alone, None).expect_err("it only certifies");
    assert!(
        error.to_string().contains("no part of it may sign"),
        "{error}"
    );
    world.gpg(&[
        "--passphrase",
        "",
        "--quick-add-key",
        &fingerprint,
        "ed25519",
        "sign",
        "1y",
    ]);
    // What a machine gets: the subkey, and a stub where the key itself was.
    let user = "sub@example.com";
    let stub = world.gpg(&[
        "--passphrase",
        "",
        "--armor",
        "--export-secret-subkeys",
        user,
    ]);
    for text in [world.private("sub", ""), stub] {
        let signer = Signer::open_pgp(&text, None).expect("a subkey signs");
        world.check(&repository, signer.clone(), now, &[]).await;
        let source = World::source(&repository);
        let remote = world.remote();
        let snapshot = remote
            .read(&source, Arc::new(Marked))
            .await
            .expect("a snapshot");
        let mut late = commit("2");
        late.time = chrono::DateTime::from_timestamp(now + 2 * 366 * 86_400, 0).expect("a time");
        late.signer = Some(signer);
        let error = remote
            .push(&source, &snapshot, &late)
            .await
            .expect_err("expired");
        assert!(matches!(error, RemoteError::Unsigned { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Config);
        assert_eq!(
            repository.tip("main"),
            snapshot.base.as_str(),
            "nothing unsigned is pushed"
        );
    }
}

#[tokio::test]
async fn ssh_keygen_verifies_what_ssh_keys_sign() {
    let Some(world) = World::new() else { return };
    let (sha1, sha256) = (world.repository("sha1"), world.repository("sha256"));
    let keys: [(&str, &[&str], &str); 4] = [
        ("ed25519", &["-t", "ed25519"], ""),
        ("locked", &["-t", "ed25519"], "canary-4711"),
        ("ecdsa", &["-t", "ecdsa", "-b", "256"], ""),
        ("rsa", &["-t", "rsa", "-b", "3072"], ""),
    ];
    for (name, arguments, passphrase) in keys {
        let key = make_key(world.path(), name, arguments, passphrase);
        let text = fs::read_to_string(&key).expect("a key");
        let signer = Signer::ssh(&text, Some(passphrase)).expect("a signer");
        let allowed = world.path().join("allowed");
        let line = format!("bot@example.com namespaces=\"git\" {}\n", public(&key));
        fs::write(&allowed, line).expect("a new file");
        let file = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
        let git = ["-c", "gpg.format=ssh", "-c", &file];
        for repository in [&sha1, &sha256] {
            world
                .check(repository, signer.clone(), 1_800_000_000, &git)
                .await;
        }
    }
}

/// Commits and tags by `git` itself, signed in every way.
#[tokio::test]
async fn only_what_a_configured_key_signed_is_built_on() {
    let Some(world) = World::new() else { return };
    for name in ["ada", "eve"] {
        world.key(name, "ed25519", "");
    }
    let ssh = make_key(world.path(), "ssh", &["-t", "ed25519"], "");
    let other = make_key(world.path(), "other", &["-t", "ecdsa"], "");
    let ssh_file = format!("user.signingkey={}", ssh.display());
    let by_ssh = ["-c", "gpg.format=ssh", "-c", &ssh_file];
    let ring = |texts: &[&str]| {
        let mut signers = Signers::default();
        for text in texts {
            signers.add(text).expect("public keys");
        }
        signers
    };
    let ada = ring(&[&world.public("ada")]);
    let eve = ring(&[&world.public("eve")]);
    let both = ring(&[
        &world.public("eve"),
        &public(&other),
        &format!("ada@example.com {}", public(&ssh)),
    ]);
    for format in ["sha1", "sha256"] {
        let repository = world.repository(format);
        let tree = repository
            .git(&["rev-parse", "main^{tree}"])
            .trim()
            .to_owned();
        let make = |arguments: &[&str]| {
            let arguments = [arguments, &[&tree, "-m", "By hand"]].concat();
            repository.git(&arguments).trim().to_owned()
        };
        let unsigned = repository.tip("main");
        let by_ada = make(&["commit-tree", "-Sada@example.com"]);
        let by_key = make(&[&by_ssh[..], &["commit-tree", "-S"]].concat());
        let forged = forge(&repository, &by_ada);
        let check =
            async |checkout: Checkout, subject: Subject, signers: &Signers, expected: &str| {
                let mut source = World::source(&repository);
                source.checkout = checkout.clone();
                source.push_branch = Branch::new("bot").expect("a branch");
                let signers = signers.clone();
                source.verify = Some(Verify { subject, signers });
                let read = world.remote().read(&source, Arc::new(Marked)).await;
                let found = match &read {
                    Ok(_) => "good",
                    Err(RemoteError::Unverified { reason, .. }) => reason,
                    Err(error) => panic!("{error:?}"),
                };
                assert!(
                    found.contains(expected),
                    "{format} {checkout} {subject:?}: {found}"
                );
                if let Err(error) = &read {
                    assert_eq!(error.class(), Class::Denied);
                }
            };
        let at = |id: &str| Checkout::Commit(CommitId::new(id).expect("an id"));
        check(at(&by_ada), Subject::Commit, &ada, "good").await;
        check(at(&by_ada), Subject::Commit, &eve, "by").await;
        check(at(&by_key), Subject::Commit, &both, "good").await;
        check(at(&by_key), Subject::Commit, &eve, "SHA256:").await;
        check(at(&unsigned), Subject::Commit, &ada, "not signed").await;
        check(at(&forged), Subject::Commit, &ada, "does not fit").await;

        let tag = |name: &str, arguments: &[&str], commit: &str| {
            let arguments = [arguments, &[name, commit]].concat();
            repository.git(&arguments);
        };
        let signed = ["tag", "-m", "A release", "-u", "ada@example.com"];
        tag("ada-unsigned", &signed, &unsigned);
        tag("ada-ada", &signed, &by_ada);
        let signed = [&by_ssh[..], &["tag", "-m", "A release", "-s"]].concat();
        tag("ssh", &signed, &unsigned);
        tag("plain", &["tag", "-m", "A release"], &by_ada);
        tag("light", &["tag"], &by_ada);
        let at = |tag: &str| Checkout::tag(tag).expect("a tag");
        check(at("ada-unsigned"), Subject::Tag, &ada, "good").await;
        check(at("ada-unsigned"), Subject::Tag, &eve, "by").await;
        check(
            at("ada-unsigned"),
            Subject::TagAndCommit,
            &ada,
            "not signed",
        )
        .await;
        check(at("ada-ada"), Subject::TagAndCommit, &ada, "good").await;
        check(at("ssh"), Subject::Tag, &both, "good").await;
        check(at("plain"), Subject::Tag, &ada, "not signed").await;
        check(at("light"), Subject::Tag, &ada, "no").await;
    }
}

/// The signature of one commit on another message.
fn forge(repository: &Repository, commit: &str) -> String {
    let text = repository.git(&["cat-file", "commit", commit]);
    let file = repository.path().join("forged");
    fs::write(&file, text.replace("By hand", "By mouth")).expect("a new file");
    let file = file.display().to_string();
    repository
        .git(&["hash-object", "-t", "commit", "-w", &file])
        .trim()
        .to_owned()
}
