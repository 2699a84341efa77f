//! Registries without TLS, or with a certificate that nobody vouches for: each host by itself, and nobody else is told
//! anything.

use super::faults::{image, serve};
use super::{auth, place};
use crate::support::http::{Answer, Request, Server};
use crate::support::proxy::{Asked, Tunnel};
use crate::support::registry::{Certificates, Registry};
use crate::support::{Place, Run};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// `user:pass`.
const AUTH: &str = "dXNlcjpwYXNz";

fn auth_file(place: &Place, hosts: &[&str]) {
    let auths: serde_json::Map<_, _> = hosts.iter().map(|host| ((*host).to_owned(), json!({"auth": AUTH}))).collect();
    place.write("auth.json", json!({"auths": auths}).to_string());
}

fn pull(place: &Place, line: &str, variables: &[(&str, &str)]) -> Run {
    let mut command = place.command(&format!("pull {line} -o x.tar --as x:1 --authfile auth.json --retries 1"));
    let run: Run = command.envs(variables.iter().copied()).output().unwrap().into();
    assert!(!run.stderr.contains(AUTH) && !run.stderr.contains("user:pass"), "{}", run.stderr);
    run
}

/// A server of this machine that does something with what it gets first, and all that it gets.
struct Raw {
    host: String,
    first: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Raw {
    fn start(answer: impl Fn(TcpStream) + Send + 'static) -> Raw {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let first = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&first);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut bytes = vec![0; 4096];
                let count = stream.read(&mut bytes).unwrap_or(0);
                kept.lock().unwrap().push(bytes[..count].to_vec());
                answer(stream);
            }
        });
        Raw { host, first }
    }
}

/// Whoever does not answer TLS in plain is never asked in plain, also on this machine.
#[test]
fn nothing_but_a_plain_answer_leads_to_plain() {
    let certificates_of = Place::new();
    let certificates = Certificates::make(&certificates_of.join(""), "DNS:other.example");
    let closes = |stream: TcpStream| drop(stream);
    let resets = |stream: TcpStream| {
        let linger = rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO));
        linger.unwrap();
    };
    // handshake_failure (RFC 8446, section 6).
    let alerts = |mut stream: TcpStream| drop(stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]));
    let half = |mut stream: TcpStream| drop(stream.write_all(&[0x16, 3, 3]));
    for (name, server) in [
        ("closes", Raw::start(closes)),
        ("resets", Raw::start(resets)),
        ("alert", Raw::start(alerts)),
        ("half a record", Raw::start(half)),
    ] {
        let place = Place::new();
        auth_file(&place, &[&server.host]);
        let run = pull(&place, &format!("{}/a:1", server.host), &[]);
        assert!(
            run.code == Some(1) && run.stderr.contains(&format!("cannot reach: {}: ", server.host)),
            "{name}: {}",
            run.stderr
        );
        let first = server.first.lock().unwrap();
        assert!(first.len() == 2 && first.iter().all(|bytes| bytes.first() == Some(&0x16)), "{name}: {first:?}");
    }
    // A name that the user does not exempt: neither a certificate of another one nor a plain answer will do.
    for server in [Server::start_tls(&certificates, |_| Answer::new(404)), Server::start(|_| Answer::new(404))] {
        let (place, tunnel) = (Place::new(), Tunnel::to(&server.host()));
        auth_file(&place, &["r.example"]);
        let proxy = tunnel.host();
        let run = pull(&place, "r.example/a:1 --insecure q.example", &[("ALL_PROXY", &proxy)]);
        assert!(run.code == Some(1) && run.stderr.contains("cannot reach: r.example: "), "{}", run.stderr);
        assert!(tunnel.asked().iter().all(Asked::is_tls));
        assert!(server.seen().is_empty());
    }
}

/// What is said for one host says nothing about another of the same command.
#[test]
fn each_host_by_itself() {
    let hub = serve(|_, request| {
        let is_known = request.header("authorization").is_some();
        (!is_known).then(|| Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""))
    });
    let here = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&here);
    let local = Server::start(move |request| {
        seen.lock().unwrap().push(request.clone());
        Answer::new(404)
    });
    let place = Place::new();
    auth_file(&place, &["docker.io", "https://index.docker.io/v1/"]);
    let tunnel = Tunnel::to(&hub.host());
    let proxy = tunnel.host();
    let line = format!(
        "copy docker://docker.io/team/app:1 registry:{0}/app:1 --insecure {0} --retries 0 --authfile auth.json",
        local.host()
    );
    let run: Run = place.command(&line).env("ALL_PROXY", &proxy).output().unwrap().into();
    assert!(run.code == Some(1) && run.stderr.contains("found an answer without TLS"), "{}", run.stderr);
    let hint = "hint: --insecure registry-1.docker.io lets it speak plain HTTP\n";
    assert!(run.stderr.ends_with(hint), "{}", run.stderr);
    assert!(hub.seen().is_empty(), "{:?}", hub.seen());
    // Where it is named it is so: TLS through the tunnel is answered in plain, and then plain HTTP is forwarded.
    let forward = serve(|_, request| {
        assert!(request.method == "CONNECT" || request.target.starts_with("http://registry-1.docker.io/v2/"));
        match request.header("authorization") {
            _ if request.method == "CONNECT" => Some(Answer::new(403)),
            None => Some(Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\"")),
            Some(header) => (header != format!("Basic {AUTH}")).then(|| Answer::new(403)),
        }
    });
    let proxy = forward.host();
    let run = pull(&place, "docker.io/team/app:1 --insecure docker.io", &[("ALL_PROXY", &proxy)]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

/// Where a password goes that a registry sends us on with: the realm's host is asked as that host may be.
#[test]
fn token_servers() {
    let tokens = Server::start(|_| Answer::bytes(200, r#"{"token": "t"}"#));
    let to_tokens = tokens.host();
    for (realm, flags, code) in [
        (format!("http://{}/token", tokens.host()), "", 0),
        ("http://tokens.example/token".to_owned(), "", 1),
        ("http://tokens.example/token".to_owned(), "--insecure 127.0.0.1 --insecure example", 1),
        ("http://tokens.example/token".to_owned(), "--insecure tokens.example:443", 1),
        ("http://tokens.example/token".to_owned(), "--insecure tokens.example", 0),
        ("http://tokens.example:81/token".to_owned(), "--insecure tokens.example:81", 0),
    ] {
        let place = Place::new();
        let shown = realm.clone();
        let registry = serve(move |_, request| {
            (request.header("authorization") != Some("Bearer t"))
                .then(|| Answer::new(401).with("WWW-Authenticate", format!("Bearer realm=\"{realm}\"")))
        });
        auth_file(&place, &[&registry.host()]);
        let before = tokens.seen().len();
        let line = format!("{}/a/b:1 {flags}", registry.host());
        let run = pull(&place, &line, &[("HTTP_PROXY", &to_tokens)]);
        assert_eq!(run.code, Some(code), "{shown} {flags}: {}", run.stderr);
        let asked = &tokens.seen()[before..];
        if code == 0 {
            assert!(!asked.is_empty(), "{shown} {flags}");
            assert!(asked.iter().all(|it| it.header("authorization") == Some(&format!("Basic {AUTH}"))), "{asked:?}");
        } else {
            assert!(asked.is_empty(), "{asked:?}");
            let expected = format!("found the token server {shown}, expected https\nhint: --insecure tokens.example");
            assert!(run.stderr.contains(&expected), "{}", run.stderr);
        }
    }
}

/// Redirects from TLS to plain HTTP lead only to hosts that are named.
#[test]
fn redirects() {
    let place = Place::new();
    let certificates = Certificates::make(&place.join(""), "IP:127.0.0.1");
    let image = image();
    let plain = Server::start(move |request| image.answer(request));
    let registry = Server::start_tls(&certificates, |request: &Request| {
        Answer::new(307).with("Location", format!("http://blobs.example{}", request.target))
    });
    auth_file(&place, &[&registry.host()]);
    let proxy = plain.host();
    for (flags, code) in [("", 1), ("--insecure 127.0.0.1", 1), ("--insecure blobs.example", 0)] {
        let run = pull(&place, &format!("{}/a/b:1 {flags}", registry.host()), &[("HTTP_PROXY", &proxy)]);
        assert_eq!(run.code, Some(code), "{flags}: {}", run.stderr);
        assert_eq!(plain.seen().is_empty(), code == 1, "{flags}");
    }
    assert!(plain.seen().iter().all(|it| it.header("authorization").is_none()), "{:?}", plain.seen());
}

/// The flag names a host, and says how.
#[test]
fn usage() {
    let place = Place::new();
    place.write("image.json", "{}");
    for (line, expected) in [
        ("push image.json r.example/a --insecure", "a value is required for '--insecure <HOST[:PORT]>'"),
        ("push image.json r.example/a --insecure --retries 1", "a value is required for '--insecure <HOST[:PORT]>'"),
        ("push --insecure image.json r.example/a", "found the file image.json, expected a host"),
        ("push image.json r.example/a --insecure=", "found \"\", expected HOST or HOST:PORT"),
        ("push image.json --insecure r.example/a", "found \"r.example/a\", expected HOST or HOST:PORT"),
        ("push image.json r.example/a --insecure https://r.example", "expected HOST or HOST:PORT"),
        ("push image.json r.example/a --insecure r.example:x", "expected HOST or HOST:PORT"),
    ] {
        let run = place.run(line);
        assert_eq!(run.code, Some(2), "{line}: {}", run.stderr);
        let tip = "hint: it names a registry, as in --insecure registry.example:5000; this machine needs none";
        assert!(run.stderr.contains(expected) && run.stderr.contains(tip), "{line}: {}", run.stderr);
    }
}

/// Of another machine, which a proxy leads to: on this one any certificate will do.
#[test]
fn certificates() {
    let place = place();
    let certificates = Certificates::make(&place.join(""), "DNS:registry.example");
    let Some(registry) = Registry::with(&certificates.config(), |_| String::new()) else { return };
    let tunnel = Tunnel::to(registry.host());
    let proxy = format!("http://{}", tunnel.host());
    let push = |flags: &str, variables: &[(&str, &Path)]| {
        let variables = [&[("HTTPS_PROXY", Path::new(&proxy))], variables].concat();
        auth::push(&place, &format!("registry.example/synth --retries 1 {flags}"), &variables)
    };
    let run = push("", &[]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("TLS: invalid peer certificate: UnknownIssuer"), "{}", run.stderr);
    let hint =
        "hint: --ca FILE trusts an authority of your own, --insecure registry.example any certificate of that host\n";
    assert!(run.stderr.ends_with(hint), "{}", run.stderr);
    assert_eq!(push("--ca ca.pem", &[]).code, Some(0));
    for variable in ["SSL_CERT_FILE", "NIX_SSL_CERT_FILE"] {
        assert_eq!(push("", &[(variable, &certificates.ca)]).code, Some(0), "{variable}");
    }
    assert_eq!(push("", &[("NIX_SSL_CERT_FILE", Path::new("/no-cert-file.crt"))]).code, Some(1));
    for (flags, code) in [
        ("--insecure registry.example", 0),
        ("--insecure registry.example:443", 0),
        ("--insecure other.example --insecure REGISTRY.example", 0),
        ("--insecure registry.example:5000", 1),
        ("--insecure other.example --insecure example --insecure 127.0.0.1", 1),
    ] {
        let run = push(flags, &[]);
        assert_eq!(run.code, Some(code), "{flags}: {}", run.stderr);
    }
    assert!(tunnel.asked().iter().all(|asked| asked.is_tls() && asked.target == "registry.example:443"));
    for (file, cause) in [("absent.pem", "No such file"), ("image.json", "found no certificate in PEM")] {
        let run = push(&format!("--ca {file}"), &[]);
        assert!(run.stderr.starts_with(&format!("error: cannot read certificates: {file}: {cause}")), "{}", run.stderr);
    }
    // The same one on this machine.
    assert_eq!(auth::push(&place, &format!("{}/synth", registry.host()), &[]).code, Some(0));
}

/// A certificate of somebody else, and a registry without TLS.
#[test]
fn wrong_names() {
    let place = place();
    let certificates = Certificates::make(&place.join(""), "DNS:registry.example");
    let Some(registry) = Registry::with(&certificates.config(), |_| String::new()) else { return };
    let Some(plain) = Registry::start() else { return };
    for (server, expected, hint) in [
        (&registry, "TLS: invalid peer certificate: certificate not valid for name \"other.example\"", "--ca FILE"),
        (&plain, "found an answer without TLS", "hint: --insecure other.example:5000 lets it speak plain HTTP\n"),
    ] {
        let tunnel = Tunnel::to(server.host());
        let proxy = format!("http://{}", tunnel.host());
        let line = "other.example:5000/synth --ca ca.pem --retries 1";
        let run = auth::push(&place, line, &[("HTTPS_PROXY", Path::new(&proxy))]);
        assert!(run.stderr.contains(expected) && run.stderr.contains(hint), "{}", run.stderr);
        assert!(tunnel.asked().iter().all(Asked::is_tls));
    }
}
