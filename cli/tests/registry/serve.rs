//! A registry that only gives: who takes from it, what it says, how it ends.

use super::{place, told};
use crate::support::docker::{Docker, client};
use crate::support::registry::{Registry, root, spec};
use crate::support::{Place, Run, digest, output, output_json, require_tool};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};

/// `layerstone serve`, which ends when dropped.
pub(super) struct Served {
    pub(super) child: Child,
    pub(super) host: String,
    /// What it said that it serves.
    names: Vec<String>,
}

impl Served {
    #[track_caller]
    pub(super) fn start(place: &Place, images: &str, count: usize) -> Served {
        let line = format!("serve {images} --listen 127.0.0.1:0 {}", root());
        let mut child = place.command(&line).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let names: Vec<String> = lines.by_ref().take(count).map(Result::unwrap).collect();
        if names.len() < count {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("{said}");
        }
        let host = names[0].split('/').next().unwrap().to_owned();
        Served { child, host, names }
    }

    /// Says something, and reads all that is answered.
    pub(super) fn ask(&self, text: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        (String::from_utf8(answer[..end].to_owned()).unwrap(), answer[end + 4..].to_owned())
    }

    pub(super) fn get(&self, target: &str, headers: &str) -> (String, Vec<u8>) {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n"))
    }

    #[track_caller]
    pub(super) fn json(&self, target: &str) -> Value {
        let (head, body) = self.get(target, "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        serde_json::from_slice(&body).unwrap()
    }

    /// A blob that is JSON.
    #[track_caller]
    pub(super) fn json_of(&self, target: &str) -> Value {
        serde_json::from_slice(&self.get(target, "").1).unwrap()
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(rustix::process::Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// Runs the binary while another one has work directories beside it.
#[track_caller]
fn beside(place: &Place, line: &str) -> Run {
    let run = place.run(line);
    assert_eq!(run.code, Some(0), "layerstone {line}\n{}", run.stderr);
    run
}

#[test]
fn lists() {
    let place = place();
    for (name, tag) in [("b", "1"), ("a/c", "1"), ("d", "1")] {
        let synth = crate::support::synth();
        let spec = json!({"name": name, "tag": tag, "contents": synth.path("bash-5.2"), "graph": synth.graph});
        place.write(&format!("{}.json", name.replace('/', "-")), spec.to_string());
    }
    let served = Served::start(&place, "b.json a-c.json d.json", 3);
    assert_eq!(served.names, ["b:1", "a/c:1", "d:1"].map(|name| format!("{}/{name}", served.host)));
    assert_eq!(served.json("/v2/"), json!({}));
    assert_eq!(served.json("/v2/_catalog"), json!({"repositories": ["a/c", "b", "d"]}));
    assert_eq!(served.json("/v2/a/c/tags/list"), json!({"name": "a/c", "tags": ["1"]}));
    let (head, body) = served.get("/v2/_catalog?n=2", "");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({"repositories": ["a/c", "b"]}));
    assert!(head.contains("\r\nLink: </v2/_catalog?n=2&last=b>; rel=\"next\""), "{head}");
    let (head, body) = served.get("/v2/_catalog?n=2&last=b", "");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({"repositories": ["d"]}));
    assert!(!head.contains("Link"), "{head}");
}

/// More connections than are answered at a time: the next is answered when one has ended.
#[test]
fn many_connections() {
    let place = place();
    let mut served = Served::start(&place, "image.json", 1);
    let mut silent: Vec<TcpStream> = (0..128).map(|_| TcpStream::connect(&served.host).unwrap()).collect();
    let host = served.host.clone();
    let waiting = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    silent.pop();
    assert!(waiting.join().unwrap().starts_with("HTTP/1.1 200 "));
    // All that say nothing are closed when it ends; one that has begun to ask is answered.
    let mut begun = silent.pop().unwrap();
    begun.write_all(b"GET /v2/ HTTP/1.1\r\n").unwrap();
    served.signal(rustix::process::Signal::TERM);
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    begun.write_all(b"Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    begun.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
}

#[test]
fn ranges_and_heads() {
    let place = place();
    let served = Served::start(&place, "image.json", 1);
    let manifest = served.json("/v2/synth/manifests/1");
    let layers = manifest["layers"].as_array().unwrap();
    // Not compressed: on one machine that costs time and saves none.
    assert!(layers.iter().all(|layer| layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar"));
    let layer = layers.iter().max_by_key(|layer| layer["size"].as_u64()).unwrap();
    let (name, size) = (layer["digest"].as_str().unwrap(), layer["size"].as_u64().unwrap());
    let target = format!("/v2/synth/blobs/{name}");
    let (head, whole) = served.get(&target, "");
    assert!(
        head.contains(&format!("\r\nContent-Length: {size}\r\n"))
            && head.contains(&format!("\r\nDocker-Content-Digest: {name}\r\n")),
        "{head}"
    );
    assert_eq!(format!("sha256:{}", digest(&whole)), name);
    let middle = size / 2;
    for (range, first, last) in [
        (format!("{middle}-"), middle, size - 1),
        (format!("0-{middle}"), 0, middle),
        (format!("{}-{}", middle, middle), middle, middle),
        ("-7".to_owned(), size - 7, size - 1),
    ] {
        let (head, part) = served.get(&target, &format!("Range: bytes={range}\r\n"));
        assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Range: bytes {first}-{last}/{size}\r\n")), "{head}");
        assert!(part == whole[first as usize..=last as usize], "{range}");
    }
    let (head, body) = served.get(&target, &format!("Range: bytes={size}-\r\n"));
    assert!(head.starts_with("HTTP/1.1 416 ") && body.is_empty(), "{head}");
    let (head, body) = served.ask(&format!("HEAD {target} HTTP/1.1\r\nConnection: close\r\n\r\n"));
    assert!(head.contains(&format!("Content-Length: {size}")) && body.is_empty(), "{head}");
    // Several requests on one connection.
    let twice = format!("HEAD {target} HTTP/1.1\r\n\r\nGET /v2/ HTTP/1.0\r\n\r\n");
    let (head, rest) = served.ask(&twice);
    assert!(head.starts_with("HTTP/1.1 200") && rest.starts_with(b"HTTP/1.1 200") && rest.ends_with(b"{}"), "{head}");
}

#[test]
fn what_is_not_there() {
    let place = place();
    let served = Served::start(&place, "image.json", 1);
    let absent = format!("sha256:{}", digest(b"absent"));
    for (target, status, code) in [
        ("/v2/none/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/none/manifests/1", 404, "NAME_UNKNOWN"),
        ("/v2/synth/manifests/2", 404, "MANIFEST_UNKNOWN"),
        (&format!("/v2/synth/manifests/{absent}"), 404, "MANIFEST_UNKNOWN"),
        (&format!("/v2/synth/blobs/{absent}"), 404, "BLOB_UNKNOWN"),
        ("/v2/synth/blobs/../../etc/passwd", 404, "BLOB_UNKNOWN"),
        ("/", 404, "NAME_UNKNOWN"),
    ] {
        let (head, body) = served.get(target, "");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {head}");
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["errors"][0]["code"], code, "{target}");
    }
    let (head, _) = served.ask("DELETE /v2/synth/manifests/1 HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET, HEAD\r\n"), "{head}");
    for bad in ["hello\r\n\r\n", "POST /v2/synth/blobs/uploads/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"] {
        assert!(served.ask(bad).0.starts_with("HTTP/1.1 400 "), "{bad}");
    }
    let long = format!("GET /v2/ HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let mut stream = TcpStream::connect(&served.host).unwrap();
    let _ = stream.write_all(long.as_bytes());
    // All of them left it as it was.
    assert_eq!(served.json("/v2/"), json!({}));
}

/// Everything that we can copy from a registry, and docker and skopeo; docker takes only the layers that it lacks.
#[test]
fn who_takes_from_it() {
    let place = place();
    place.on_synth("build image.json -o built.tar");
    place.on_synth("build image.json -o oci:gzip");
    let served = Served::start(&place, "image.json", 1);
    beside(&place, &format!("pull {}/synth:1 -o pulled.tar --as synth:1", served.host));
    assert!(place.read("pulled.tar") == place.read("built.tar"));
    if let Some(registry) = Registry::start() {
        let run = beside(&place, &format!("copy registry:{}/synth:1 registry:{}/synth", served.host, registry.host()));
        assert!(told(&run)[0] > 2);
    }
    if require_tool("skopeo") {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false"]).arg(format!("docker://{}/synth:1", served.host));
        assert_eq!(output_json(&mut skopeo)["RepoTags"], json!(["1"]));
    }
    // A single image, whose one layer begins with what lies in a work directory.
    spec(&place, json!({"kind": "single"}));
    beside(&place, &format!("build image.json -o single.tar {}", root()));
    let single = Served::start(&place, "image.json", 1);
    beside(&place, &format!("pull {}/synth:1 -o pulled.tar --as synth:1", single.host));
    assert!(place.read("pulled.tar") == place.read("single.tar"));
    drop(single);
    spec(&place, json!({}));
    let compressed = Served::start(&place, "oci:gzip", 1);
    let raw = compressed.json("/v2/synth/manifests/1");
    assert_eq!(raw, super::manifest(&place, "gzip"));
    let Some(docker) = Docker::find() else { return };
    let turn = docker.turn();
    let first = turn.loaded(&format!("{}/synth:1", served.host));
    output(client("pull -q").arg(format!("{}/synth:1", served.host)));
    let config = super::blob_json(&place, "gzip", &raw["config"]["digest"]);
    assert_eq!(first.shown()["RootFS"]["Layers"], config["rootfs"]["diff_ids"]);
    // Another image of the same paths: docker asks for what is new alone.
    spec(&place, json!({"extraCommands": "echo x > x"}));
    let line = format!("serve image.json --listen 127.0.0.1:0 {}", root());
    let mut child = place.command(&line).spawn().unwrap();
    let mut name = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut name).unwrap();
    let second = turn.loaded(name.trim());
    output(client("pull -q").arg(name.trim()));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(said.contains("gave synth:1 to 127.0.0.1: 2 blobs, "), "the customisation layer and the config: {said}");
    drop((first, second));
}

/// It says what to pull, and a line a pull; -v tells each blob.
#[test]
fn a_line_a_pull() {
    let place = place();
    for flag in ["", " -v", " -q"] {
        let mut served = Served::start(&place, &format!("image.json{flag}"), 1);
        beside(&place, &format!("pull {}/synth:1 -o pulled.tar", served.host));
        served.signal(rustix::process::Signal::TERM);
        let mut said = String::new();
        served.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(served.child.wait().unwrap().code(), Some(0));
        if flag == " -q" {
            assert_eq!(said, "");
            continue;
        }
        let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("registry: ")).collect();
        let pull = format!("  pull   docker pull {}/synth:1", served.host);
        assert!(said.contains(&&*pull), "{said:?}");
        let lines: Vec<&str> =
            said.iter().filter_map(|line| line.strip_prefix("gave synth:1 to 127.0.0.1: ")).collect();
        let [line] = lines[..] else { panic!("{said:?}") };
        let blobs: usize = line.split_once(" blobs, ").unwrap().0.parse().unwrap();
        assert!(blobs > 1, "{line}");
        let told = said.iter().filter(|line| line.starts_with("serve: gave blob sha256:")).count();
        assert_eq!(told, if flag == " -v" { blobs } else { 0 }, "{said:?}");
    }
}

#[test]
fn it_ends() {
    let place = place();
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let mut served = Served::start(&place, "image.json", 1);
        // A connection that says nothing does not hold it up.
        let silent = TcpStream::connect(&served.host).unwrap();
        served.signal(signal);
        assert_eq!(served.child.wait().unwrap().code(), Some(0));
        drop(silent);
    }
    place.check_no_leftovers();
    let served = Served::start(&place, "image.json", 1);
    let place = super::place();
    let error = place.fail(&format!("serve image.json --listen {} {}", served.host, root()));
    assert!(error.contains(&format!("cannot listen on {}: Address already in use", served.host)), "{error}");
    let error = place.fail(&format!("serve image.json image.json --listen 127.0.0.1:0 {}", root()));
    assert!(error.contains("two images called synth:1: expected names of their own"), "{error}");
}
