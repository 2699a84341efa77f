//! What is tried again and what is not; each attempt is told once.

use super::auth;
use crate::support::fake_registry::{FakeRegistry, layout};
use crate::support::http::{Answer, Server};
use crate::support::proxy::Tunnel;
use crate::support::registry::{Certificates, root};
use crate::support::{Place, Run};
use serde_json::json;
use std::net::TcpListener;

/// An address of this machine at which nobody answers.
pub(super) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The lines about retries, without the host.
fn told(run: &Run, host: &str) -> Vec<String> {
    let lines = run.stderr.lines().filter(|line| line.contains("trying again"));
    lines.map(|line| line.replace(host, "HOST")).collect()
}

#[test]
fn refused_connections() {
    let place = Place::new();
    let host = nobody();
    let line = format!("pull {host}/a:1 -o x.tar --retries 2");
    let run = place.run(&line);
    let expected = ["0.25 s (2 of 3)", "0.5 s (3 of 3)"]
        .map(|wait| format!("warning: HOST: connection refused, trying again in {wait}"));
    assert_eq!(told(&run, &host), expected, "{}", run.stderr);
    assert_eq!(run.code, Some(1));
    let run = place.run(&format!("{line} --errors json"));
    let expected = expected.map(|text| json!({"warning": text.strip_prefix("warning: ")}).to_string());
    assert_eq!(told(&run, &host), expected, "{}", run.stderr);
    let run = place.run(&format!("{line} -q"));
    assert!(told(&run, &host).is_empty() && run.stderr.contains("connection refused"), "{}", run.stderr);
    let run = place.run(&line.replace("--retries 2", "--retries 0"));
    assert!(told(&run, &host).is_empty(), "{}", run.stderr);
}

/// Several uploads fail at a time, each as often as it is tried.
#[test]
fn once_for_all_requests() {
    let place = super::place();
    let (server, _) = FakeRegistry::start(|_, request| (request.method == "POST").then(|| Answer::new(503)));
    let host = server.host();
    let run = place.run(&format!("push image.json {host}/a:1 --retries 2 --uploads 4 {}", root()));
    let expected = ["0.25 s (2 of 3)", "0.5 s (3 of 3)"]
        .map(|wait| format!("warning: HOST: found status 503, trying again in {wait}"));
    assert_eq!(told(&run, &host), expected, "{}", run.stderr);
    assert!(server.count("POST", "/uploads/") > 3);
}

/// How long the registry asks to wait is told.
#[test]
fn waits() {
    let place = Place::new();
    layout(&place.join("lay"), 1000);
    let count = std::sync::atomic::AtomicUsize::new(0);
    let (server, _) = FakeRegistry::start(move |_, request| {
        let is_first = request.method == "POST" && count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        is_first.then(|| Answer::new(429).with("Retry-After", "1"))
    });
    let run = place.run(&format!("push lay {}/a:1 --uploads 1", server.host()));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let expected = "warning: HOST: found status 429, trying again in 1 s (2 of 6)";
    assert_eq!(told(&run, &server.host()), [expected], "{}", run.stderr);
}

/// What does not go away by itself is an error at once: names, certificates, hosts without TLS.
#[test]
fn what_stays_as_it_is() {
    let place = Place::new();
    let certificates = Certificates::make(&place.join(""), "DNS:other.example");
    let other = Server::start_tls(&certificates, |_| Answer::new(404));
    let plain = Server::start(|_| Answer::new(404));
    for (server, flags, expected, hint) in [
        (&other, "--ca ca.pem", "not valid for name \"r.example\"", "--insecure r.example any certificate"),
        (&other, "", "TLS: invalid peer certificate: UnknownIssuer", "--ca FILE trusts an authority"),
        (&plain, "", "found an answer without TLS", "--insecure r.example lets it speak plain HTTP"),
    ] {
        let tunnel = Tunnel::to(&server.host());
        let mut command = place.command(&format!("pull r.example/a:1 -o x.tar {flags}"));
        let run: Run = command.env("HTTPS_PROXY", tunnel.host()).output().unwrap().into();
        assert!(run.code == Some(1) && run.stderr.contains(expected) && run.stderr.contains(hint), "{}", run.stderr);
        assert_eq!(tunnel.asked().len(), 1, "{}", run.stderr);
        assert!(told(&run, "r.example").is_empty(), "{}", run.stderr);
    }
    let run = place.run("pull host.invalid/a:1 -o x.tar");
    assert!(
        run.stderr.contains("host.invalid") && run.stderr.contains(": cannot resolve the name: "),
        "{}",
        run.stderr
    );
    assert!(told(&run, "host.invalid").is_empty(), "{}", run.stderr);
    let run = auth::push(&super::place(), "host.invalid/a:1", &[]);
    assert!(run.stderr.contains(": cannot resolve the name: "), "{}", run.stderr);
    assert!(told(&run, "host.invalid").is_empty(), "{}", run.stderr);
}
