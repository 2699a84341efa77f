//! nginx of the lab, on Debian, serves a page.

use super::{build, ready, saved};
use crate::support::docker::{Turn, client};
use crate::support::lab::Lab;
use crate::support::{Place, output};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

const PAGE: &str = "<p>Served from a store path.</p>\n";

/// What the nginx of the image is told: it serves the machine's own address only, and says on stderr what it does.
fn script(port: u16) -> String {
    format!(
        "mkdir -p srv/www etc/page var/lib/nginx\n\
         printf '{PAGE}' > srv/www/index.html\n\
         cat > etc/page/nginx.conf <<'END'\n\
         daemon off;\n\
         error_log /dev/stderr notice;\n\
         pid /run/page.pid;\n\
         events {{}}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port}; root /srv/www; }} }}\n\
         END\n"
    )
}

/// A container that is removed when dropped.
struct Server<'a> {
    _turn: &'a Turn,
    id: String,
}

impl<'a> Server<'a> {
    /// Starts an image in the network of the machine, as there is no other one.
    #[track_caller]
    fn start(turn: &'a Turn, reference: &str) -> Server<'a> {
        let id = output(client("run --detach --network host").arg(reference));
        Server { _turn: turn, id: id.trim().to_owned() }
    }

    /// Waits until a line of what it writes to stderr has these words.
    #[track_caller]
    fn wait_for(&self, words: &str) {
        let mut logs =
            client("logs --follow").arg(&self.id).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(logs.stderr.take().unwrap());
        // It ends with the container, and says why then.
        while !said.contains(words) && lines.read_line(&mut said).unwrap() > 0 {}
        end(&mut logs);
        assert!(said.contains(words), "{said}");
    }
}

fn end(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let removed = client("rm --force").arg(&self.id).stdin(Stdio::null()).output();
        assert!(std::thread::panicking() || removed.is_ok_and(|output| output.status.success()));
    }
}

/// A port of the machine that nobody listens at.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn nginx_serves_a_page() {
    let (Some((docker, debian, _)), Some(web)) = (ready(), Lab::find("web")) else { return };
    let place = Place::new();
    let turn = docker.turn();
    let base = saved(&turn, &debian);
    let port = free_port();
    let keys: Value = json!({
        "kind": "single",
        "extraCommands": script(port),
        "config": {"Cmd": ["nginx", "-c", "/etc/page/nginx.conf"], "ExposedPorts": {format!("{port}/tcp"): {}}},
    });
    let reference = build(&place, "nginx", &base, &web, "nginx", keys);
    let _image = turn.load(&place.join("nginx.tar"), &reference);
    let server = Server::start(&turn, &reference);
    server.wait_for("start worker process");
    let answer = get(port);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nServer: nginx/"), "{head}");
    assert_eq!(body, PAGE);
}
