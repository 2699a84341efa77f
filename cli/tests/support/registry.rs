//! docker-registry of Debian, on a port of its own for each test, as it comes, with TLS, passwords or tokens.

use crate::support::{Place, output, require_tool, test_name};
use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to answer at first.
const PATIENCE: Duration = Duration::from_secs(30);

/// A registry, which ends when dropped.
pub struct Registry {
    child: Child,
    folder: tempfile::TempDir,
    host: String,
}

impl Registry {
    /// One that takes anything from anyone, or the running test is skipped.
    #[track_caller]
    pub fn start() -> Option<Registry> {
        Registry::with("", |_| String::new())
    }

    /// One whose config has more: `http` goes into that section, the rest is made for its directory.
    #[track_caller]
    pub fn with(http: &str, more: impl Fn(&Path) -> String) -> Option<Registry> {
        if !require_tool("docker-registry") {
            return None;
        }
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let more = more(folder.path());
        // Somebody else may take the port between us and the registry.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}, \
                 delete: {{enabled: true}}}}\nhttp:\n  addr: 127.0.0.1:{port}\n{http}\n{more}\n",
                folder.path().display()
            );
            fs::write(folder.path().join("config.yml"), config).unwrap();
            let log = File::create(folder.path().join("log")).unwrap();
            let mut command = Command::new("docker-registry");
            command.arg("serve").arg(folder.path().join("config.yml"));
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut child = command.spawn().unwrap();
            if answers(&mut child, port) {
                return Some(Registry { child, folder, host: format!("127.0.0.1:{port}") });
            }
            let _ = child.kill();
            child.wait().unwrap();
        }
        panic!("{}: {}", test_name(), fs::read_to_string(folder.path().join("log")).unwrap());
    }

    /// One that wants the name `user` and this password, or the running test is skipped.
    #[track_caller]
    pub fn with_password(secret: &str) -> Option<Registry> {
        if !require_tool("htpasswd") {
            return None;
        }
        Registry::with("", |folder| {
            let line = output(Command::new("htpasswd").args(["-Bbn", "user", secret]));
            fs::write(folder.join("htpasswd"), line).unwrap();
            format!("auth: {{htpasswd: {{realm: here, path: {}/htpasswd}}}}", folder.display())
        })
    }

    /// Its address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it has logged: who asked for what, and how many bytes were sent.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Where it keeps everything.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data/docker/registry/v2")
    }

    /// What it keeps under a digest.
    pub fn blob(&self, name: &str) -> Option<Vec<u8>> {
        let hex = name.strip_prefix("sha256:")?;
        fs::read(self.data().join(format!("blobs/sha256/{}/{hex}/data", hex.get(..2)?))).ok()
    }

    /// The descriptor of what a tag names.
    #[track_caller]
    pub fn descriptor(&self, name: &str, tag: &str) -> serde_json::Value {
        let link = self.data().join(format!("repositories/{name}/_manifests/tags/{tag}/current/link"));
        let name = fs::read_to_string(link).unwrap();
        let bytes = self.blob(&name).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        serde_json::json!({"mediaType": document["mediaType"], "digest": name, "size": bytes.len()})
    }

    /// Uploads that a repository was left with. Of one that was cancelled docker-registry keeps an empty directory.
    pub fn uploads(&self, name: &str) -> usize {
        let folder = self.data().join(format!("repositories/{name}/_uploads"));
        let is_there = |entry: &std::fs::DirEntry| entry.path().join("startedat").exists();
        folder.read_dir().map_or(0, |entries| entries.flatten().filter(is_there).count())
    }

    /// What skopeo tells of an image here.
    #[track_caller]
    pub fn inspect(&self, name: &str, flag: &str) -> serde_json::Value {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", flag]).arg(format!("docker://{}/{name}", self.host));
        serde_json::from_str(&output(&mut skopeo)).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answers(child: &mut Child, port: u16) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// An authority and a certificate of a server, made by openssl: `ca.pem`, `ca.key`, `server.pem`, `server.key`.
pub struct Certificates {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificates {
    /// For a server of this name, such as `IP:127.0.0.1`.
    #[track_caller]
    pub fn make(folder: &Path, name: &str) -> Certificates {
        let path = |file: &str| folder.join(file).display().to_string();
        let openssl = |line: String| output(Command::new("openssl").args(line.split_whitespace()));
        let ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(format!(
            "req -x509 {ec} -days 2 -subj /CN=authority -keyout {} -out {}",
            path("ca.key"),
            path("ca.pem")
        ));
        openssl(format!("req {ec} -subj /CN=server -keyout {} -out {}", path("server.key"), path("server.csr")));
        let mut extensions = File::create(folder.join("server.ext")).unwrap();
        writeln!(extensions, "subjectAltName={name}").unwrap();
        openssl(format!(
            "x509 -req -in {} -CA {} -CAkey {} -CAcreateserial -days 2 -extfile {} -out {}",
            path("server.csr"),
            path("ca.pem"),
            path("ca.key"),
            path("server.ext"),
            path("server.pem")
        ));
        Certificates {
            ca: folder.join("ca.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        }
    }

    /// What a registry's config says of it.
    pub fn config(&self) -> String {
        format!("  tls: {{certificate: {}, key: {}}}", self.certificate.display(), self.key.display())
    }
}

/// An image of the synthetic store, small and with layers of many kinds: its spec is at `image.json`, with these keys
/// besides.
pub fn spec(place: &Place, more: serde_json::Value) -> PathBuf {
    let synth = crate::support::synth();
    let mut spec = serde_json::json!({
        "name": "synth",
        "tag": "1",
        "contents": synth.path("bash-5.2"),
        "graph": synth.graph,
        "config": {"Cmd": ["/bin/bash"]},
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    place.write("image.json", spec.to_string())
}

/// The flag that says where the synthetic store is.
pub fn root() -> String {
    format!("--root {}", crate::support::synth().root.display())
}
