//! Proxies: which requests go through which, and how.

use super::faults::{image, serve};
use crate::support::http::{Answer, Request, Server};
use crate::support::proxy::{Squid, Tunnel};
use crate::support::registry::{Certificates, Registry, root};
use crate::support::{Place, Run};

fn run(place: &Place, line: &str, variables: &[(&str, &str)]) -> Run {
    let mut command = place.command(line);
    command.envs(variables.iter().copied()).output().unwrap().into()
}

/// A server that plays the proxy: what it is asked for stands in its requests.
fn refusing() -> Server {
    Server::start(|_| Answer::new(403))
}

/// What is asked of whom, for each variable that decides. PROXY is the proxy.
#[test]
fn variables() {
    let proxy = refusing();
    for (variables, flags, expected) in [
        ("HTTPS_PROXY=PROXY", "", &["CONNECT r.example.com:443"][..]),
        ("https_proxy=PROXY", "", &["CONNECT r.example.com:443"]),
        ("https_proxy=http://PROXY/", "", &["CONNECT r.example.com:443"]),
        ("ALL_PROXY=PROXY", "", &["CONNECT r.example.com:443"]),
        ("HTTPS_PROXY=PROXY https_proxy=ftp://x", "", &["CONNECT r.example.com:443"]),
        ("HTTP_PROXY=PROXY", "", &[]),
        ("HTTPS_PROXY=PROXY NO_PROXY=r.example.com", "", &[]),
        ("HTTPS_PROXY=PROXY no_proxy=example.com", "", &[]),
        ("HTTPS_PROXY=PROXY NO_PROXY=localhost,_r.example.com", "", &[]),
        ("HTTPS_PROXY=PROXY NO_PROXY=example.com:443", "", &[]),
        ("HTTPS_PROXY=PROXY NO_PROXY=example.com:5000", "", &["CONNECT r.example.com:443"]),
        ("HTTPS_PROXY=PROXY NO_PROXY=*", "", &[]),
        ("HTTPS_PROXY=PROXY NO_PROXY=*.r.example.com", "", &["CONNECT r.example.com:443"]),
        // No tunnel for a registry that may speak plain HTTP: it is asked in absolute form.
        (
            "ALL_PROXY=PROXY",
            "--insecure r.example.com",
            &["CONNECT r.example.com:443", "GET http://r.example.com/v2/", "GET http://r.example.com/v2/a/manifests/1"],
        ),
        (
            "http_proxy=PROXY",
            "--insecure r.example.com",
            &["GET http://r.example.com/v2/", "GET http://r.example.com/v2/a/manifests/1"],
        ),
    ] {
        let place = Place::new();
        let pairs: Vec<(String, String)> = variables
            .split(' ')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| (key.to_owned(), value.replace("PROXY", &proxy.host()).replace('_', " ")))
            .collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let before = proxy.seen().len();
        let run = run(&place, &format!("pull r.example.com/a:1 -o x.tar --retries 0 {flags}"), &pairs);
        assert_eq!(run.code, Some(1), "{variables}");
        let asked: Vec<String> =
            proxy.seen()[before..].iter().map(|it| format!("{} {}", it.method, it.target)).collect();
        assert_eq!(asked, expected, "{variables} {flags}: {}", run.stderr);
    }
    // This machine is asked directly.
    let registry = serve(|_, _| None);
    let before = proxy.seen().len();
    let here = run(
        &Place::new(),
        &format!("pull {}/a/b:1 -o x.tar", registry.host()),
        &[("ALL_PROXY", &proxy.host()), ("HTTP_PROXY", "ftp://x"), ("HTTPS_PROXY", "http://")],
    );
    assert_eq!(here.code, Some(0), "{}", here.stderr);
    assert_eq!(proxy.seen().len(), before);
}

/// What is said of a proxy that cannot be used: the variable, and no password.
#[test]
fn errors() {
    let wants_password = Server::start(|_| Answer::new(407).with("Proxy-Authenticate", "Basic realm=x"));
    let refuses = refusing();
    let gone = Server::start(|_| Answer::new(502));
    let (wants, no, broken) = (wants_password.host(), refuses.host(), gone.host());
    for (variable, value, flags, expected) in [
        (
            "HTTPS_PROXY",
            "ftp://u:battery@p",
            "",
            "cannot use the proxy of HTTPS_PROXY: found an unknown scheme, expected ",
        ),
        ("https_proxy", "http://u:battery@p:x", "", "cannot use the proxy of https_proxy: found a bad port, expected "),
        ("all_proxy", "u:battery@", "", "cannot use the proxy of all_proxy: found no host, expected "),
        (
            "HTTPS_PROXY",
            &format!("u:battery@{wants}"),
            "",
            "does not take the user and password, or wants some: found status 407",
        ),
        (
            "HTTP_PROXY",
            &format!("u:battery@{wants}"),
            "--insecure r.example",
            "does not take the user and password, or wants some: found status 407",
        ),
        (
            "HTTPS_PROXY",
            &no,
            "",
            "cannot use the proxy of HTTPS_PROXY: http://PROXY makes no connection: found status 403",
        ),
        ("HTTPS_PROXY", &broken, "", "cannot reach: r.example: through http://PROXY of HTTPS_PROXY: "),
        ("HTTPS_PROXY", "127.0.0.1:1", "", "through http://127.0.0.1:1 of HTTPS_PROXY: connection refused"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1", "", "through socks5://127.0.0.1:1 of HTTPS_PROXY: "),
    ] {
        let place = Place::new();
        let run = run(&place, &format!("pull r.example/a:1 -o x.tar --retries 0 {flags}"), &[(variable, value)]);
        let said = run.stderr.replace(&no, "PROXY").replace(&broken, "PROXY");
        assert!(run.code == Some(1) && said.contains(expected), "{variable}={value}: {said}");
        assert!(!said.contains("battery"), "{said}");
    }
}

/// Through a tunnel, by CONNECT and by SOCKS, with TLS and without, with a password and without.
#[test]
fn tunnels() {
    let place = Place::new();
    let certificates = Certificates::make(&place.join(""), "DNS:r.example");
    let image = image();
    let plain_image = image.clone();
    let tls = Server::start_tls(&certificates, move |request| image.answer(request));
    let plain = Server::start(move |request| plain_image.answer(request));
    for (scheme, server, flags, target, user) in [
        ("http", &tls, "--ca ca.pem", "r.example:443", "Basic dUB4OmE6Yg=="),
        ("socks5", &tls, "--ca ca.pem", "r.example:443", "u@x:a:b"),
        ("socks5h", &tls, "--insecure r.example", "r.example:443", "u@x:a:b"),
        ("socks5", &plain, "--insecure r.example", "r.example:80", "u@x:a:b"),
    ] {
        for (login, user) in [("", None), ("u%40x:a%3Ab@", Some(user))] {
            let tunnel = Tunnel::to(&server.host());
            let proxy = format!("{scheme}://{login}{}", tunnel.host());
            let run = run(&place, &format!("pull r.example/a/b:1 -o x.tar {flags}"), &[("ALL_PROXY", &proxy)]);
            assert_eq!(run.code, Some(0), "{scheme} {login}: {}", run.stderr);
            let asked = tunnel.asked();
            assert!(asked.iter().all(|it| it.user.as_deref() == user), "{scheme} {login}: {asked:?}");
            assert_eq!(asked.last().unwrap().target, target, "{scheme} {login}");
        }
    }
}

/// Plain HTTP in absolute form, through a proxy that has TLS itself and one that has none.
#[test]
fn absolute_form() {
    let place = Place::new();
    let certificates = Certificates::make(&place.join(""), "IP:127.0.0.1");
    let answer = |request: &Request| match (request.method.as_str(), request.header("proxy-authorization")) {
        ("CONNECT", _) => Answer::new(405),
        (_, Some("Basic dXNlcjpiYXR0ZXJ5")) => image().answer(request),
        _ => Answer::new(407),
    };
    for (scheme, proxy) in [("http", Server::start(answer)), ("https", Server::start_tls(&certificates, answer))] {
        let variables = [("ALL_PROXY", &*format!("{scheme}://user:battery@{}", proxy.host()))];
        let line = "pull r.example:5000/a/b:1 -o x.tar --insecure r.example:5000 --ca ca.pem";
        let run = run(&place, line, &variables);
        assert_eq!(run.code, Some(0), "{scheme}: {}", run.stderr);
        let asked = proxy.seen();
        let forwarded: Vec<&Request> = asked.iter().filter(|it| it.method != "CONNECT").collect();
        assert!(forwarded.len() >= 4, "{scheme}: {asked:?}");
        for request in forwarded {
            assert!(request.target.starts_with("http://r.example:5000/v2/"), "{scheme}: {}", request.target);
            assert_eq!(request.header("host"), Some("r.example:5000"), "{scheme}");
        }
    }
}

/// A real proxy, which makes tunnels to the port of TLS alone: an image is pushed and pulled, with TLS and without.
#[test]
fn squid() {
    let place = super::place();
    let certificates = Certificates::make(&place.join(""), "DNS:tls.example");
    let Some(tls) = Registry::with(&certificates.config(), |_| String::new()) else { return };
    let Some(plain) = Registry::start() else { return };
    let port = |registry: &Registry| registry.host().rsplit_once(':').unwrap().1.to_owned();
    let Some(squid) = Squid::start(&["tls.example", "plain.example"], port(&tls).parse().unwrap()) else { return };
    for (name, registry, flags, log) in [
        ("tls.example", &tls, "--ca ca.pem", "CONNECT tls.example:PORT"),
        ("plain.example", &plain, "--insecure plain.example", "PUT http://plain.example:PORT/v2/a/b/blobs/uploads/"),
    ] {
        let host = format!("{name}:{}", port(registry));
        let proxy = [("HTTP_PROXY", squid.host()), ("HTTPS_PROXY", squid.host())];
        let more = format!("--compression none {}", root());
        let pushed = run(&place, &format!("push image.json {host}/a/b:1 {flags} {more}"), &proxy);
        assert_eq!(pushed.code, Some(0), "{name}: {}", pushed.stderr);
        let pulled = run(&place, &format!("pull {host}/a/b:1 -o {name}.tar --as synth:1 {flags}"), &proxy);
        assert_eq!(pulled.code, Some(0), "{name}: {}", pulled.stderr);
        let log = log.replace("PORT", &port(registry));
        assert!(squid.log().contains(&log), "{log}: {}", squid.log());
    }
    assert!(place.read("tls.example.tar") == place.read("plain.example.tar"));
}
