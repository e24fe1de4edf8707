//! Git over HTTPS: nginx, fcgiwrap and `git http-backend`, with TLS and a password.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    certificates::Certificates,
    programs::{self, Server, command, free_port, htpasswd},
};

pub(crate) struct GitServer {
    _nginx: Server,
    _fcgiwrap: Server,
    port: u16,
    folder: PathBuf,
}

impl GitServer {
    /// Starts a server for the repositories that [`GitServer::repository`] makes, or says what is
    /// missing.
    pub(crate) fn start(
        folder: &Path,
        certificates: &Certificates,
        password: &str,
    ) -> Option<Self> {
        Self::start_with(folder, certificates, password, "")
    }

    /// The same, with lines of nginx's own.
    pub(crate) fn start_with(
        folder: &Path,
        certificates: &Certificates,
        password: &str,
        lines: &str,
    ) -> Option<Self> {
        let (nginx, fcgiwrap) = (programs::find("nginx")?, programs::find("fcgiwrap")?);
        programs::find("git")?;
        let users = htpasswd(folder, "bot", password)?;
        let socket = folder.join("fcgi.sock");
        let log = folder.join("fcgiwrap.log");
        let mut wrap = command(fcgiwrap, folder);
        wrap.args(["-f", "-c", "4", "-s"])
            .arg(format!("unix:{}", socket.display()));
        let mut fcgiwrap = Server::start(wrap, &log);
        fcgiwrap.wait(&log, || socket.exists());
        // nginx's workers may run as another user.
        for (path, mode) in [
            (socket.as_path(), 0o777),
            (folder, 0o755),
            (users.as_path(), 0o644),
        ] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
                .expect("the files are ours");
        }
        let port = free_port();
        let config = folder.join("nginx.conf");
        fs::write(&config, nginx_config(folder, port, certificates, lines))
            .expect("the folder can be written");
        let log = folder.join("nginx.log");
        let mut serve = command(nginx, folder);
        serve
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-c")
            .arg(&config);
        let mut nginx = Server::start(serve, &log);
        nginx.wait(&log, || programs::is_open(port));
        Some(Self {
            _nginx: nginx,
            _fcgiwrap: fcgiwrap,
            port,
            folder: folder.to_owned(),
        })
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("https://127.0.0.1:{}/{name}.git", self.port)
    }

    /// Makes a bare repository whose `main` has one commit with `files`.
    pub(crate) fn repository(&self, name: &str, files: &[(&str, &str)]) -> Repository {
        Repository::make(&self.folder, name, files)
    }
}

/// A bare repository on disk, looked at with the real `git`.
#[derive(Clone)]
pub(crate) struct Repository {
    path: PathBuf,
    home: PathBuf,
}

impl Repository {
    /// Makes a bare repository below a folder, whose `main` has one commit with `files`.
    pub(crate) fn make(folder: &Path, name: &str, files: &[(&str, &str)]) -> Self {
        Self::of_format(folder, name, files, "sha1")
    }

    /// The same, with ids of another length.
    pub(crate) fn of_format(
        folder: &Path,
        name: &str,
        files: &[(&str, &str)],
        format: &str,
    ) -> Self {
        let path = folder.join("repos").join(format!("{name}.git"));
        let work = folder.join("checkouts").join(name);
        fs::create_dir_all(&path)
            .and_then(|()| fs::create_dir_all(&work))
            .expect("new folders");
        let repository = Repository {
            path,
            home: folder.to_owned(),
        };
        let format = format!("--object-format={format}");
        repository.git(&["init", "-q", "--bare", "-b", "main", &format]);
        repository.git(&["config", "http.receivepack", "true"]);
        repository.git(&["config", "receive.denyNonFastForwards", "false"]);
        repository.git(&["config", "uploadpack.allowFilter", "true"]);
        for (file, text) in files {
            let file = work.join(file);
            fs::create_dir_all(file.parent().expect("it is inside")).expect("a new folder");
            fs::write(file, text).expect("a new file");
        }
        repository.commit_from(&work, "main", "Deploy");
        repository
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says that the folder was moved.
    pub(crate) fn move_to(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }

    /// Runs `git` in the repository and returns what it printed.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut git = command("git", &self.home);
        let who = [
            "user.name=Ada",
            "user.email=ada@example.com",
            "safe.directory=*",
        ];
        git.args(who.iter().flat_map(|setting| ["-c", setting]));
        let output = git
            .arg("-C")
            .arg(&self.path)
            .args(arguments)
            .output()
            .expect("git was found");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Commits the files of a folder onto a branch.
    pub(crate) fn commit_from(&self, work: &Path, branch: &str, message: &str) {
        let work = work.display().to_string();
        self.git(&["--work-tree", &work, "add", "-A"]);
        let tree = self.git(&["write-tree"]);
        let parent = self.git(&[
            "for-each-ref",
            "--format=%(objectname)",
            &format!("refs/heads/{branch}"),
        ]);
        let mut arguments = vec!["commit-tree", tree.trim(), "-m", message];
        if !parent.trim().is_empty() {
            arguments.extend(["-p", parent.trim()]);
        }
        let commit = self.git(&arguments);
        self.git(&["update-ref", &format!("refs/heads/{branch}"), commit.trim()]);
    }

    pub(crate) fn tip(&self, branch: &str) -> String {
        self.git(&["rev-parse", branch]).trim().to_owned()
    }

    pub(crate) fn file(&self, branch: &str, path: &str) -> String {
        self.git(&["show", &format!("{branch}:{path}")])
    }

    /// Checks every object and every link between them.
    pub(crate) fn assert_sound(&self) {
        self.git(&["fsck", "--strict", "--no-dangling"]);
    }

    pub(crate) fn hook(&self, name: &str, script: &str) {
        let path = self.path.join("hooks").join(name);
        fs::create_dir_all(path.parent().expect("it is inside")).expect("a folder");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a new file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
}

fn nginx_config(folder: &Path, port: u16, certificates: &Certificates, lines: &str) -> String {
    let root = folder.display();
    let backend = [
        "/usr/lib/git-core",
        "/usr/libexec/git-core",
        "/usr/local/libexec/git-core",
    ];
    let backend = backend.map(|folder| Path::new(folder).join("git-http-backend"));
    let backend = backend
        .iter()
        .find(|path| path.is_file())
        .expect("git has an http-backend")
        .display();
    let (certificate, key) = (
        certificates.certificate.display(),
        certificates.key.display(),
    );
    format!(
        "daemon off; pid {root}/nginx.pid; error_log {root}/error.log; user root; events {{}}\n\
         http {{ access_log {root}/access.log; client_body_temp_path {root}/t1;\n\
         fastcgi_temp_path {root}/t2; proxy_temp_path {root}/t3; uwsgi_temp_path {root}/t4;\n\
         scgi_temp_path {root}/t5;\n\
         server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {certificate};\n\
         ssl_certificate_key {key}; client_max_body_size 0; {lines}\n\
         auth_basic git; auth_basic_user_file {root}/htpasswd;\n\
         location / {{ fastcgi_pass unix:{root}/fcgi.sock; fastcgi_request_buffering off;\n\
         fastcgi_buffering off; fastcgi_param SCRIPT_FILENAME {backend};\n\
         fastcgi_param GIT_PROJECT_ROOT {root}/repos; fastcgi_param GIT_HTTP_EXPORT_ALL 1;\n\
         fastcgi_param GIT_CONFIG_COUNT 1; fastcgi_param GIT_CONFIG_KEY_0 safe.directory;\n\
         fastcgi_param GIT_CONFIG_VALUE_0 *;\n\
         fastcgi_param PATH_INFO $uri; fastcgi_param REMOTE_USER $remote_user;\n\
         fastcgi_param GIT_PROTOCOL $http_git_protocol; fastcgi_param QUERY_STRING $query_string;\n\
         fastcgi_param REQUEST_METHOD $request_method; fastcgi_param CONTENT_TYPE $content_type;\n\
         fastcgi_param CONTENT_LENGTH $content_length; fastcgi_param REMOTE_ADDR $remote_addr;\n\
         fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding; }} }} }}\n"
    )
}
