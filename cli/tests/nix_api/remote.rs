//! A second machine as a remote builder: it takes layers, and they are the same.

use super::machine::Machine;
use crate::support::{output, require_root, require_tool};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A machine's server for ssh, on a port of the loopback interface; it ends when dropped.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts it, with a key of its own that lets `root` in who has the key in `client`.
    #[track_caller]
    fn start(machine: &Machine, client: &Path) -> Server {
        let place = &machine.place;
        output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(place.join("host_key")));
        output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(client));
        std::fs::copy(client.with_extension("pub"), place.join("authorized_keys")).unwrap();
        // A port that is free, as it was a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = place.path().display();
        place.write(
            "nix-conf/nix.conf",
            "sandbox = false\nsubstitute = false\nbuild-users-group =\nfilter-syscalls = false\n",
        );
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n\
            PermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\nSetEnv NIX_CONF_DIR={folder}/nix-conf\n"
        );
        let config = place.write("sshd_config", config);
        // Its directory for what has no privileges is in a /run of its own.
        let script = r#"mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec /usr/sbin/sshd -D -e -f "$0""#;
        let mut command = machine.command("sh");
        command.args(["-c", script]).arg(config).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("sshd ended: {said}")).unwrap();
            if line.starts_with("Server listening on") {
                break;
            }
            said += &line;
        }
        // What it says later must have somewhere to go.
        std::thread::spawn(move || lines.for_each(drop));
        Server { process, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Half of the layers are made elsewhere; the image is the one that a machine alone makes.
#[test]
fn a_second_machine_takes_half_of_the_layers() {
    if !require_root() || !["ssh", "ssh-keygen"].into_iter().all(require_tool) {
        return;
    }
    if !Path::new("/usr/sbin/sshd").exists() {
        let name = crate::support::test_name();
        return crate::support::skip(&name, "no /usr/sbin/sshd");
    }
    let (Some(here), Some(there), Some(alone)) = (Machine::find(), Machine::empty(), Machine::find()) else { return };
    let key = here.place.join("key");
    let server = Server::start(&there, &key);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();

    let image =
        r#"layerstone.buildLayeredImage { name = "tool"; contents = [ hello bash coreutils ]; maxLayers = 9; }"#;
    let count = here.value(&format!("builtins.length ({image}).layers")).as_u64().unwrap();
    assert_eq!(count, 8);
    // Nothing is built here, so that what is asked for is built there.
    let builders = format!("ssh-ng://root@127.0.0.1 x86_64-linux {} 2", key.display());
    let flags = ["--max-jobs", "0", "--builders", &builders];
    let half = format!("builtins.genList (i: builtins.elemAt ({image}).layers (2 * i)) 4");
    let options = format!(
        "-p {} -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        server.port
    );
    let expression = here.expression(&half);
    let mut command = here.command("nix-build");
    command.args(["--no-out-link", "-E", &expression]).args(flags).env("NIX_SSHOPTS", options);
    let run = command.output().unwrap();
    let log = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{log}");
    let taken: Vec<&str> = log.lines().filter(|line| line.contains("on 'ssh-ng://root@127.0.0.1'")).collect();
    assert_eq!(taken.len(), 4, "{log}");
    let paths: Vec<String> = String::from_utf8(run.stdout).unwrap().lines().map(str::to_owned).collect();
    for path in &paths {
        assert!(there.read(path) == here.read(path), "{path}");
    }

    let built = here.build(image);
    assert_eq!(built.layers().len(), 4, "{}", built.log);
    let expected = alone.build(image);
    assert_eq!((expected.layers().len(), expected.path()), (8, built.path()));
    assert!(here.read(built.path()) == alone.read(expected.path()));
}
