//! Uploads that break off, are refused, or are interrupted: taken up again, or cancelled.

use super::{place, told};
use crate::support::Place;
use crate::support::fake_registry::FakeRegistry;
use crate::support::http::{Answer, Request, Server};
use crate::support::registry::{Registry, root};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

/// A registry in memory, with other answers where there are some.
fn taking(
    other: impl Fn(&FakeRegistry, &Request) -> Option<Answer> + Send + Sync + 'static,
) -> (Server, Arc<FakeRegistry>) {
    FakeRegistry::start(other)
}

/// A spec whose layers are big and small: a file of two MiB that is hard to compress.
fn big() -> Place {
    let place = place();
    let mut bytes = Vec::new();
    let mut word = 1u64;
    while bytes.len() < 3 << 20 {
        word = word.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        bytes.extend((word >> 20).to_le_bytes());
    }
    place.write("content/big", bytes);
    crate::support::registry::spec(&place, json!({"contents": [], "extraCommandsFile": "copy.sh"}));
    place.write("copy.sh", format!("cp {} big", place.join("content/big").display()));
    place
}

#[test]
fn small_and_big() {
    let (server, taking) = taking(|_, _| None);
    let place = big();
    let run = place.on_synth(&format!("push image.json {}/a:1 --compression none", server.host()));
    assert_eq!(told(&run)[0], taking.blobs.lock().unwrap().len() as u64);
    // The big one in a PATCH before its digest, the config in one PUT with it.
    assert_eq!(server.count("PATCH", "/uploads/"), 1);
    let puts: Vec<Request> =
        server.seen().into_iter().filter(|it| it.method == "PUT" && it.target.contains("digest=")).collect();
    assert!(puts.iter().any(|it| it.body.is_empty()) && puts.iter().any(|it| !it.body.is_empty()));
    assert!(taking.uploads.lock().unwrap().is_empty());
}

/// A registry that lost the end of a blob says how far it is, and is sent the rest.
#[test]
fn taken_up() {
    let (server, taking) = taking(|taking, request| {
        let is_first = request.method == "PATCH" && request.header("content-range").is_none();
        is_first.then(|| {
            let part = Request { body: request.body[..1_000_000].to_vec(), ..request.clone() };
            taking.answer(&part);
            Answer::new(503)
        })
    });
    let place = big();
    place.on_synth(&format!("push image.json {}/a:1 --compression none", server.host()));
    let patches: Vec<Request> = server.seen().into_iter().filter(|it| it.method == "PATCH").collect();
    assert_eq!(patches.len(), 2);
    assert!(
        patches[1].header("content-range").unwrap().starts_with("1000000-"),
        "{:?}",
        patches[1].header("content-range")
    );
    assert!(taking.blobs.lock().unwrap().values().any(|blob| blob.len() > 3 << 20));
}

/// One that has forgotten the upload is sent all of it again.
#[test]
fn begun_again() {
    let (server, _taking) = taking(|taking, request| {
        let is_first = request.method == "PATCH" && request.path().ends_with("/0");
        let is_lost = request.method == "GET" && request.path().ends_with("/0");
        if is_first {
            taking.uploads.lock().unwrap().clear();
        }
        if is_first { Some(Answer::new(500)) } else { is_lost.then(|| Answer::new(404)) }
    });
    let place = big();
    place.on_synth(&format!("push image.json {}/a:1 --compression none --uploads 1", server.host()));
    assert_eq!(server.count("PATCH", "/uploads/"), 2);
}

/// What cannot be finished is cancelled, and nothing is named.
#[test]
fn given_up() {
    for (method, status, expected) in [
        ("PATCH", 500, "cannot send the blob: "),
        ("PATCH", 403, "not allowed: "),
        ("PUT", 400, "found status 400"),
        ("PUT", 500, "found status 500"),
    ] {
        let (server, taking) = taking(move |_, request| {
            let is_it = request.method == method && request.target.contains("/uploads/");
            is_it.then(|| Answer::new(status))
        });
        let place = big();
        let error = place.fail(&format!("push image.json {}/a:1 --retries 1 {}", server.host(), root()));
        assert!(error.contains(expected), "{method} {status}: {error}");
        assert!(taking.uploads.lock().unwrap().is_empty(), "{method} {status}");
        assert!(server.count("DELETE", "/uploads/") > 0);
        assert_eq!(server.count("PUT", "/manifests/"), 0);
    }
    // A manifest that is refused.
    let (server, _) = taking(|_, request| {
        (request.method == "PUT" && request.path().contains("/manifests/")).then(|| Answer::new(400))
    });
    let error = place().fail(&format!("push image.json {}/a:1 {}", server.host(), root()));
    assert!(error.contains("cannot send the manifest: ") && error.contains("found status 400"), "{error}");
}

/// Where nothing is taken over, an upload has begun instead, which is used.
#[test]
fn mounts_refused() {
    let (server, taking) = taking(|_, _| None);
    let place = place();
    place.on_synth(&format!("push image.json {}/a:1 --mount-from b --mount-from c", server.host()));
    let blobs = taking.blobs.lock().unwrap().len();
    assert_eq!(server.count("POST", "mount="), 2 * blobs);
    assert_eq!(server.count("POST", "/uploads/"), 2 * blobs, "no third one");
    assert!(taking.uploads.lock().unwrap().is_empty());
}

/// A signal ends a push, and the upload is cancelled before.
#[test]
fn interrupted() {
    let (reached, wait) = std::sync::mpsc::channel();
    let reached = Mutex::new(reached);
    let (server, taking) = taking(move |_, request| {
        let is_it = request.method == "PATCH";
        is_it.then(|| {
            reached.lock().unwrap().send(()).unwrap();
            Answer::new(503)
        })
    });
    let place = big();
    let mut command = place.command(&format!("push image.json {}/a:1 --retries 50 {}", server.host(), root()));
    let mut child = command.spawn().unwrap();
    wait.recv().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status}");
    assert!(taking.uploads.lock().unwrap().is_empty());
    place.check_no_leftovers();
}

/// A signal in the middle of a big blob: its request is brought to an end, so that docker-registry 2.8 names the upload
/// by its new address, and cancels it there. It would keep the data of one whose request broke off.
#[test]
fn interrupted_within() {
    let Some(registry) = Registry::start() else { return };
    let (reached, wait) = channel();
    let (go, held) = channel::<()>();
    let held = Mutex::new(held);
    let host = relay(registry.host(), move |passed| {
        if passed > 1 << 20 && reached.send(()).is_ok() {
            // Until the signal was sent.
            let _ = held.lock().unwrap().recv();
        }
        false
    });
    let place = big();
    let push = format!("push image.json {host}/a:1 --compression none --uploads 1 {}", root());
    let mut child = place.command(&push).spawn().unwrap();
    wait.recv().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    drop(go);
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status}");
    assert_eq!(registry.uploads("a"), 0);
    place.check_no_leftovers();
}

/// docker-registry behind a connection that breaks again and again. Its version 2.8 loses an upload whose connection broke
/// (404 to everything that is asked of it, until it is purged), so that the blob is sent again.
#[test]
fn broken_connections() {
    let Some(registry) = Registry::start() else { return };
    let count = Arc::new(AtomicUsize::new(0));
    let breaks = Arc::clone(&count);
    let host = relay(registry.host(), move |passed| passed > 1 << 20 && breaks.fetch_add(1, Ordering::Relaxed) < 3);
    let place = big();
    place.on_synth(&format!("push image.json {host}/a:1 --compression none --retries 20"));
    assert!(count.load(Ordering::Relaxed) >= 3, "{count:?}");
    assert_eq!(registry.uploads("a"), 3, "those that broke, and no other");
    place.ok(&format!("pull {}/a:1 -o x.tar", registry.host()));
}

/// Passes the bytes of connections on in both directions; a connection breaks where `breaks` says so, after so many bytes of
/// a client. The host to connect to.
fn relay(target: &str, breaks: impl Fn(usize) -> bool + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (target, breaks) = (target.to_owned(), Arc::new(breaks));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, target, breaks) = (client.unwrap(), target.clone(), Arc::clone(&breaks));
            std::thread::spawn(move || drop(pass(&client, &TcpStream::connect(target).unwrap(), &*breaks)));
        }
    });
    host
}

fn pass(client: &TcpStream, registry: &TcpStream, breaks: &dyn Fn(usize) -> bool) -> std::io::Result<()> {
    let (mut from, mut to) = (registry.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (client.try_clone()?, registry.try_clone()?);
    let (mut buffer, mut passed) = (vec![0; 1 << 16], 0);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&buffer[..read])?;
        passed += read;
        if breaks(passed) {
            from.shutdown(Shutdown::Both)?;
            return to.shutdown(Shutdown::Both);
        }
    }
}
