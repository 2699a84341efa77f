//! Today's clients: those of Debian 13, which `cargo xtask lab clients` puts beside the lab's closures.

use crate::support::lab;
use crate::support::{output, require_root};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use xtask::stamp;

/// How long a daemon may take until it answers.
const PATIENCE: Duration = Duration::from_secs(120);

/// Programs of Debian 13, with a state of their own that goes when this is dropped.
pub struct Today {
    bin: PathBuf,
    state: tempfile::TempDir,
}

impl Today {
    /// The programs, or the running test is skipped.
    #[track_caller]
    pub fn find() -> Option<Today> {
        let folder = lab::folder().join("clients");
        if !require_root() {
            return None;
        }
        if let Err(reason) = stamp::check(&folder, &stamp::expected("clients").unwrap()) {
            lab::absent(&reason, "clients");
            return None;
        }
        // Sockets below it must have short names.
        Some(Today { bin: folder.join("bin"), state: tempfile::tempdir_in("/tmp").unwrap() })
    }

    /// A program with these words, separated by spaces.
    pub fn command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = Command::new(self.bin.join(words.next().unwrap()));
        command.args(words).env_remove("CONTAINER_HOST").env_remove("DOCKER_HOST");
        command.env("LAYERSTONE_CLIENTS_STATE", self.state.path()).env("HOME", self.state.path());
        command
    }

    /// What podman prints. It copies files instead of mounting layers, and runs by runc.
    #[track_caller]
    pub fn podman(&self, line: &str) -> String {
        let flags = "--storage-driver vfs --runtime runc --cgroup-manager cgroupfs --events-backend file";
        output(&mut self.command(&format!("podman {flags} {line}")))
    }
}

/// Where a docker daemon keeps images.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ImageStore {
    /// docker's own, the default of docker 26.
    Classic,
    /// containerd's, the default since docker 29.
    Containerd,
}

/// A docker daemon, and the containerd that it starts, which end when dropped.
pub struct Daemon<'a> {
    today: &'a Today,
    child: Child,
    folder: PathBuf,
}

impl<'a> Daemon<'a> {
    /// Starts one that has no network, and waits until it answers.
    #[track_caller]
    pub fn start(today: &'a Today, store: ImageStore) -> Daemon<'a> {
        let folder = today.state.path().join("docker");
        fs::create_dir(&folder).unwrap();
        let settings = format!(r#"{{"features": {{"containerd-snapshotter": {}}}}}"#, store == ImageStore::Containerd);
        fs::write(folder.join("daemon.json"), settings).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = today.command("dockerd --iptables=false --ip6tables=false --bridge=none");
        for (flag, name) in
            [("--config-file", "daemon.json"), ("--pidfile", "pid"), ("--data-root", "data"), ("--exec-root", "exec")]
        {
            command.arg(flag).arg(folder.join(name));
        }
        command.arg("--host").arg(format!("unix://{}/socket", folder.display()));
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut daemon = Daemon { today, child, folder };
        daemon.wait_until_it_answers();
        daemon
    }

    #[track_caller]
    fn wait_until_it_answers(&mut self) {
        let begin = Instant::now();
        let answers = |daemon: &Daemon<'_>| {
            let version = daemon.client("version").stdin(Stdio::null()).output();
            version.is_ok_and(|output| output.status.success())
        };
        while !answers(self) {
            let has_ended = self.child.try_wait().unwrap().is_some();
            let log = || fs::read_to_string(self.folder.join("log")).unwrap();
            assert!(!has_ended && begin.elapsed() < PATIENCE, "no docker daemon: {}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// docker with these words.
    pub fn client(&self, line: &str) -> Command {
        let mut command = self.today.command(&format!("docker {line}"));
        command.env("DOCKER_HOST", format!("unix://{}/socket", self.folder.display()));
        command
    }

    /// What docker prints.
    #[track_caller]
    pub fn docker(&self, line: &str) -> String {
        output(&mut self.client(line))
    }

    /// What an image prints when it is run, as the daemon has it in its log: what an attached client gets may be nothing
    /// where a container ends at once on a busy machine.
    #[track_caller]
    pub fn run(&self, reference: &str) -> String {
        let created = self.docker(&format!("create --network none {reference}"));
        let container = created.trim();
        self.docker(&format!("start --attach {container}"));
        let printed = self.docker(&format!("logs {container}"));
        self.docker(&format!("rm {container}"));
        printed
    }

    /// containerd's own client, with these words.
    pub fn ctr(&self, line: &str) -> Command {
        let mut command = self.today.command("ctr --namespace layerstone-test --address");
        command.arg(self.folder.join("exec/containerd/containerd.sock")).args(line.split_whitespace());
        command
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
