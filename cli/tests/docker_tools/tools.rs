//! Nix, useradd, su and curl of the lab's tools at work in a container.

use crate::support::docker::{Docker, Turn, client};
use crate::support::lab::Lab;
use crate::support::{Place, output, require_tool};
use serde_json::json;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const REFERENCE: &str = "layerstone-test-tools:1";

/// The image of all tools, with what they need besides packages, in a place; built once.
#[track_caller]
fn tools(place: &Place, lab: &Lab) -> PathBuf {
    let spec = json!({
        "name": "layerstone-test-tools", "tag": "1", "contents": lab.env, "graph": lab.graph(), "includeNixDB": true,
        "helpers": ["shadowSetup", "tmp", {"binSh": lab.path("bash")}],
        // Debian's rules for su name others that its packages make when they are installed.
        "extraCommands": "rm etc/pam.d/su etc/pam.d/su-l",
        "config": {"Env": ["PATH=/bin:/sbin"]},
    });
    place.write("tools.json", spec.to_string());
    place.ok("build tools.json -o tools.tar");
    place.join("tools.tar")
}

/// A script in a new container: its status and what it wrote, errors too.
#[track_caller]
fn script(reference: &str, text: &str) -> (Option<i32>, String) {
    let run = client("run --rm --network none").args([reference, "bash", "-c", &format!("exec 2>&1; {text}")]).output();
    let run = run.unwrap();
    (run.status.code(), String::from_utf8(run.stdout).unwrap())
}

#[test]
fn nix_knows_the_store() {
    let (Some(docker), Some(lab)) = (Docker::find(), Lab::find("tools")) else { return };
    let place = Place::new();
    let file = tools(&place, &lab);
    let turn = docker.turn();
    let loaded = turn.load(&file, REFERENCE);
    let nix = lab.path("nix-bin");
    let mut found: Vec<String> = loaded.run(&["nix-store", "-qR", &nix]).lines().map(str::to_owned).collect();
    found.sort();
    let mut expected: Vec<String> =
        output(Command::new("nix-store").args(["-qR", &nix])).lines().map(str::to_owned).collect();
    expected.sort();
    assert!(expected.len() > 10);
    assert_eq!(found, expected);
    let (status, told) = script(REFERENCE, "nix-store --verify --check-contents");
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("checking store hashes..."), "{told}");
    let changed = format!("echo more >> {nix}/bin/nix; nix-store --verify --check-contents");
    let (status, told) = script(REFERENCE, &changed);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains(&format!("path '{nix}' was modified")), "{told}");
    // What is added is there, and what nobody needs goes.
    let (status, told) = script(
        REFERENCE,
        &format!(
            "echo text > file; added=$(nix-store --add file); cat $added; nix-store --gc > /dev/null; \
             ls $added; test -x {nix}/bin/nix; nix-store --verify > /dev/null && echo whole"
        ),
    );
    assert!(status == Some(0) && told.contains("\ntext\n") && told.ends_with("whole\n"), "{status:?} {told}");
}

#[test]
fn users_are_added_and_become_somebody() {
    let (Some(docker), Some(lab)) = (Docker::find(), Lab::find("tools")) else { return };
    let place = Place::new();
    let file = tools(&place, &lab);
    let turn = docker.turn();
    let _loaded = turn.load(&file, REFERENCE);
    let text = "groupadd --gid 2000 staff && useradd --create-home --uid 1234 --gid staff app && stat -c '%U %a' /home/app\n\
        su app -c 'id -u; id -gn; echo in > ~/file; stat -c %U ~/file; su root -c id'; echo $?\n\
        usermod --lock app; while IFS=: read -r name password rest; do echo $name $password; done < /etc/shadow; su nobody2 -c id; echo $?; stat -c %a /etc/shadow";
    let (status, told) = script(REFERENCE, text);
    let expected = "app 755\n1234\nstaff\napp\nsu: Permission denied\n1\nroot !x\napp !\n\
         su: user nobody2 does not exist or the user entry does not contain all the required fields\n1\n600\n";
    assert_eq!((status, &*told), (Some(0), expected));
}

/// An authority of the test's own, and a server on this machine's own address that it vouches for.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    #[track_caller]
    fn start(place: &Place) -> Server {
        let make = "key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key; }
            key ca; key server
            openssl req -x509 -key ca.key -out ca.crt -days 2 -subj /CN=authority
            openssl req -new -key server.key -out server.csr -subj /CN=server
            echo subjectAltName=IP:127.0.0.1 > names
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile names
            echo 'over TLS' > page";
        output(Command::new("bash").args(["-ec", make]).current_dir(place.path()).stderr(Stdio::null()));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new("openssl");
        server.args(["s_server", "-quiet", "-WWW", "-cert", "server.crt", "-key", "server.key", "-accept"]);
        server.arg(format!("127.0.0.1:{port}")).current_dir(place.path());
        let child = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Server { child, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "no server");
            crate::support::process::pause();
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl fetches in a container on the machine's network: its status and what it wrote.
fn fetch(turn: &Turn, file: &Path, reference: &str, port: u16) -> (Option<i32>, String) {
    let _loaded = turn.load(file, reference);
    let url = format!("https://127.0.0.1:{port}/page");
    let run = client("run --rm --network host").args([reference, "curl", "-sS", &url]).output().unwrap();
    (run.status.code(), String::from_utf8([run.stdout, run.stderr].concat()).unwrap())
}

#[test]
fn certificates_are_trusted() {
    let (Some(docker), Some(lab)) = (Docker::find(), Lab::find("tools")) else { return };
    if !require_tool("openssl") {
        return;
    }
    let place = Place::new();
    let tools = tools(&place, &lab);
    let server = Server::start(&place);
    let package = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-authority";
    place.write(&format!("root{package}/etc/ssl/certs/ca-bundle.crt"), place.read("ca.crt"));
    let spec = json!({
        "name": "layerstone-test-trust", "tag": "1", "fromImage": "tools.tar", "inherit": true,
        "helpers": [{"caCertificates": package}],
    });
    place.write("trust.json", spec.to_string());
    place.ok("build trust.json --scan --root root -o trust.tar");
    let turn = docker.turn();
    let (status, told) = fetch(&turn, &tools, REFERENCE, server.port);
    assert_eq!(status, Some(77), "{told}");
    let trusted = fetch(&turn, &place.join("trust.tar"), "layerstone-test-trust:1", server.port);
    assert_eq!(trusted, (Some(0), "over TLS\n".to_owned()));
}
