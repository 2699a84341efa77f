//! Who asks, and whom they are told: certificates, passwords, tokens, the files and programs that keep them.

use super::{place, told};
use crate::support::http::{Answer, Request, Server};
use crate::support::registry::{Certificates, Registry, root};
use crate::support::{Place, Run, output, require_tool};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const SECRET: &str = "correct horse: battery";
/// `user:correct horse: battery` in base 64, as auth files have it.
const AUTH: &str = "dXNlcjpjb3JyZWN0IGhvcnNlOiBiYXR0ZXJ5";

/// Runs a push with these variables; nothing that it prints or logs is a secret.
#[track_caller]
pub(super) fn push(place: &Place, line: &str, variables: &[(&str, &Path)]) -> Run {
    let mut command = place.command(&format!("push image.json {line} {} --log push.log", root()));
    command.envs(variables.iter().copied());
    let run: Run = command.output().unwrap().into();
    let log = String::from_utf8(place.read("push.log")).unwrap();
    assert!(log.contains(" of layerstone "), "{log}");
    let said = format!("{}{}{log}", run.text(), run.stderr);
    for secret in [SECRET, AUTH, "battery", "Bearer ", "Basic ", "eyJ"] {
        assert!(!said.contains(secret), "{said}");
    }
    place.check_no_leftovers();
    run
}

fn auth_file(host: &str) -> String {
    json!({"auths": {host: {"auth": AUTH}}}).to_string()
}

/// Every place in which podman and docker keep a password, and those who give it.
#[test]
fn passwords() {
    let Some(registry) = Registry::with_password(SECRET) else { return };
    let place = place();
    let host = registry.host();
    let to = format!("{host}/synth");
    let run = push(&place, &to, &[]);
    assert!(run.stderr.contains("no credentials for it in any auth file"), "{}", run.stderr);
    let hint =
        format!("hint: `docker login {host}` or `podman login {host}` keeps credentials, --authfile names a file");
    assert!(run.stderr.contains(&hint), "{}", run.stderr);
    let here = place.path().to_owned();
    for (file, variable, folder) in [
        ("named.json", "REGISTRY_AUTH_FILE", "named.json"),
        ("run/containers/auth.json", "XDG_RUNTIME_DIR", "run"),
        ("config/containers/auth.json", "XDG_CONFIG_HOME", "config"),
        ("home/.config/containers/auth.json", "HOME", "home"),
        ("home2/.docker/config.json", "HOME", "home2"),
        ("docker/config.json", "DOCKER_CONFIG", "docker"),
    ] {
        place.write(file, auth_file(host));
        let run = push(&place, &to, &[(variable, &here.join(folder))]);
        assert_eq!(run.code, Some(0), "{file}: {}", run.stderr);
    }
    assert_eq!(push(&place, &format!("{to} --authfile named.json"), &[]).code, Some(0));
    place.write("bad.json", auth_file(host).replace(AUTH, "dXNlcjp3cm9uZw=="));
    let run = push(&place, &format!("{to} --authfile bad.json"), &[]);
    assert!(
        run.stderr.starts_with(&format!(
            "error: not allowed: http://{host}/v2/: the credentials of bad.json for {host} were refused: found \
             status 401"
        )),
        "{}",
        run.stderr
    );
    let run = push(&place, &format!("{to} --authfile absent.json"), &[]);
    assert!(run.stderr.contains("cannot read credentials: absent.json: "), "{}", run.stderr);
    // What skopeo keeps is what we read.
    if require_tool("skopeo") {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["login", "--tls-verify=false", "-u", "user", "-p", SECRET, "--authfile"]);
        output(skopeo.arg(place.join("skopeo.json")).arg(host));
        assert_eq!(push(&place, &format!("{to} --authfile skopeo.json"), &[]).code, Some(0));
    }
}

/// Programs that keep passwords are told the host on stdin, and nothing else by anyone.
#[test]
fn helpers() {
    let Some(registry) = Registry::with_password(SECRET) else { return };
    let place = place();
    let host = registry.host();
    let script = |name: &str, text: &str| {
        let path = place.write(&format!("bin/docker-credential-{name}"), format!("#!/bin/sh\n{text}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    script(
        "good",
        &format!(
            "echo \"$@\" > args; cat > asked; echo '{{\"ServerURL\":\"x\",\"Username\":\"user\",\"Secret\":\"{SECRET}\"}}'"
        ),
    );
    script("none", "echo 'credentials not found in native keychain'; exit 1");
    script("bad", "echo 'my secret is battery'; exit 1");
    script("noise", "echo battery");
    let path = format!("{}:{}", place.join("bin").display(), std::env::var("PATH").unwrap());
    let run = |file: serde_json::Value| {
        place.write("auth.json", file.to_string());
        push(&place, &format!("{host}/synth --authfile auth.json"), &[("PATH", Path::new(&path))])
    };
    assert_eq!(run(json!({"credHelpers": {host: "good"}})).code, Some(0));
    assert_eq!(place.read("args"), b"get\n");
    assert_eq!(place.read("asked"), host.as_bytes());
    assert_eq!(run(json!({"credsStore": "good", "auths": {host: {}}})).code, Some(0));
    for (helper, cause) in [
        ("none", "no credentials for it in any auth file"),
        ("bad", "cannot get credentials: docker-credential-bad: found exit status: 1"),
        ("noise", "cannot get credentials: docker-credential-noise: expected JSON with Username and Secret"),
        ("absent", "cannot get credentials: docker-credential-absent: No such file"),
        ("../../bin/sh", "expected a name without a slash"),
    ] {
        let run = run(json!({"credHelpers": {host: helper}}));
        assert!(run.code == Some(1) && run.stderr.contains(cause), "{helper}: {}", run.stderr);
    }
}

/// A server of tokens as docker-registry takes them: JSON, signed by openssl.
struct Tokens {
    server: Server,
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn sign(folder: &Path, access: &serde_json::Value, lives: i64) -> String {
    let pem = fs::read_to_string(folder.join("server.pem")).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [der]});
    let claims = json!({"iss": "tests", "sub": "user", "aud": "here", "exp": now + lives, "nbf": now - 600,
        "iat": now - 600, "jti": "1", "access": access});
    let text = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let file = tempfile::NamedTempFile::new_in(folder).unwrap();
    fs::write(file.path(), &text).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-sign"]).arg(folder.join("server.key")).arg(file.path());
    let signature = openssl.output().unwrap().stdout;
    format!("{text}.{}", base64url(&raw_signature(&signature)))
}

/// The two numbers of a signature, 32 bytes each (RFC 7518, section 3.4), out of DER.
fn raw_signature(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut raw = Vec::new();
    for _ in 0..2 {
        let (number, left) = rest[2..].split_at(rest[1].into());
        let number = &number[number.len().saturating_sub(32)..];
        raw.extend(std::iter::repeat_n(0, 32 - number.len()));
        raw.extend(number);
        rest = left;
    }
    raw
}

/// What was asked for, as a token grants it.
fn access(scopes: &[String]) -> serde_json::Value {
    scopes
        .iter()
        .map(|scope| {
            let [kind, name, actions] = scope.splitn(3, ':').collect::<Vec<_>>()[..] else { panic!("{scope}") };
            json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()})
        })
        .collect()
}

fn with_tokens(place: &Place, lives: impl Fn(usize) -> i64 + Send + Sync + 'static) -> Option<(Registry, Tokens)> {
    let certificates = Certificates::make(&place.join(""), "IP:127.0.0.1");
    let (folder, count) = (place.path().to_owned(), AtomicUsize::new(0));
    let server = Server::start(move |request: &Request| {
        let lives = lives(count.fetch_add(1, Ordering::Relaxed));
        match request.method.as_str() {
            "GET" => {
                if request.header("authorization").is_some_and(|header| header != format!("Basic {AUTH}")) {
                    return Answer::bytes(401, r#"{"details": "wrong password"}"#);
                }
                let mut scopes = request.query("scope");
                if request.header("authorization").is_none() {
                    scopes = scopes.iter().map(|scope| scope.replace("pull,push", "pull")).collect();
                }
                Answer::bytes(200, json!({"token": sign(&folder, &access(&scopes), lives)}).to_string())
            }
            _ => {
                let form = String::from_utf8(request.body.clone()).unwrap();
                let form = Request { target: format!("?{}", form.replace("%20", " ")), ..Request::default() };
                if form.query("refresh_token") != ["identity"] || form.query("grant_type") != ["refresh_token"] {
                    return Answer::new(401);
                }
                let scopes: Vec<String> = form.query("scope")[0].split(' ').map(str::to_owned).collect();
                Answer::bytes(200, json!({"access_token": sign(&folder, &access(&scopes), lives)}).to_string())
            }
        }
    });
    let realm = format!("http://{}/token", server.host());
    let registry = Registry::with("", |_| {
        format!(
            "auth: {{token: {{realm: \"{realm}\", service: here, issuer: tests, rootcertbundle: {}}}}}",
            certificates.certificate.display()
        )
    })?;
    Some((registry, Tokens { server }))
}

#[test]
fn tokens() {
    let place = place();
    let Some((registry, tokens)) = with_tokens(&place, |_| 60) else { return };
    let host = registry.host();
    place.write("password.json", auth_file(host));
    place.write("identity.json", json!({"auths": {host: {"auth": AUTH, "identitytoken": "identity"}}}).to_string());
    place.write("wrong.json", auth_file(host).replace(AUTH, "dXNlcjp3cm9uZw=="));
    let run = push(&place, &format!("{host}/team/one --authfile password.json"), &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    // One token for all blobs, not one for each.
    let asked = tokens.server.seen();
    assert!(asked.len() <= 5, "{asked:?}");
    assert!(asked.iter().all(|it| it.query("service") == ["here"] && it.query("account") == ["user"]), "{asked:?}");
    assert!(asked.iter().all(|it| it.query("scope") == ["repository:team/one:pull,push"]), "{asked:?}");
    // Taking over from another repository needs a word for that one too.
    let run = push(&place, &format!("{host}/two --authfile identity.json --mount-from team/one"), &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(told(&run)[0], 0, "{}", run.stderr);
    // Anyone may read, as far as the server of tokens goes.
    place.ok(&format!("pull {host}/two:1 -o x.tar"));
    let run = push(&place, &format!("{host}/three"), &[]);
    assert!(run.code == Some(1) && run.stderr.contains("not allowed: "), "{}", run.stderr);
    let run = push(&place, &format!("{host}/three --authfile wrong.json"), &[]);
    assert!(
        run.stderr.starts_with(&format!(
            "error: not allowed: http://{host}/v2/: the credentials of wrong.json for {host} were refused: \
             http://{}/token: found status 401",
            tokens.server.host()
        )),
        "{}",
        run.stderr
    );
    assert_eq!(registry.uploads("three"), 0);
}

/// A token that has run out is replaced, once for each request.
#[test]
fn tokens_that_run_out() {
    let place = place();
    let Some((registry, tokens)) = with_tokens(&place, |number| if number == 0 { -120 } else { 60 }) else { return };
    let host = registry.host();
    place.write("auth.json", auth_file(host));
    let run = push(&place, &format!("{host}/a --authfile auth.json --uploads 1"), &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(tokens.server.seen().len(), 2);
    // None of them does: refused.
    let place = super::place();
    let Some((registry, tokens)) = with_tokens(&place, |_| -120) else { return };
    let host = registry.host();
    place.write("auth.json", auth_file(host));
    let run = push(&place, &format!("{host}/a --authfile auth.json --uploads 1"), &[]);
    let expected = format!("the credentials of auth.json for {host} do not allow it: found status 401");
    assert!(run.code == Some(1) && run.stderr.contains(&expected), "{}", run.stderr);
    let asked = tokens.server.seen().len();
    assert!(asked <= 3, "{asked}");
}

/// What nobody may be told: passwords of a registry with TLS do not go to a server of tokens without.
#[test]
fn downgrades() {
    let place = place();
    let certificates = Certificates::make(&place.join(""), "IP:127.0.0.1");
    let tokens = Arc::new(Server::start(|_| Answer::bytes(200, r#"{"token": "t"}"#)));
    let realm = format!("http://{}/token", tokens.host());
    let registry = Server::start_tls(&certificates, move |_| {
        Answer::new(401).with("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"s\""))
    });
    place.write("auth.json", auth_file(&registry.host()));
    let run = push(&place, &format!("{}/a --ca ca.pem --authfile auth.json", registry.host()), &[]);
    let expected = format!("found the token server http://{}/token, expected https", tokens.host());
    assert!(run.code == Some(1) && run.stderr.contains(&expected), "{}", run.stderr);
    assert!(tokens.seen().is_empty());
}

/// A server of tokens that sends us on to somebody else does not send the password on.
#[test]
fn token_servers_that_redirect() {
    let place = place();
    let other = Arc::new(Server::start(|_| Answer::bytes(200, r#"{"token": "t"}"#)));
    let target = format!("http://{}/token", other.host());
    let first = Server::start(move |_| Answer::new(307).with("Location", &target));
    let realm = format!("http://{}/token", first.host());
    let registry = Server::start(move |request: &Request| match request.header("authorization") {
        Some("Bearer t") => Answer::new(404),
        _ => Answer::new(401).with("WWW-Authenticate", format!("Bearer realm=\"{realm}\"")),
    });
    place.write("auth.json", auth_file(&registry.host()));
    let run = place.run(&format!("pull {}/a:1 -o x.tar --authfile auth.json --retries 0", registry.host()));
    assert!(run.code == Some(1) && run.stderr.contains("not in the registry: "), "{}", run.stderr);
    assert!(first.seen().iter().all(|it| it.header("authorization").is_some()));
    assert!(!other.seen().is_empty() && other.seen().iter().all(|it| it.header("authorization").is_none()));
}
