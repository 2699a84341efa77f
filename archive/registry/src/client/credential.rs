//! Finds credentials in the auth files of docker and podman, or asks their credential helpers (docker, config.json;
//! containers-auth.json(5); docker-credential-helpers).
//!
//! Secrets are never printed, and never stand in a command line, where a list of processes would show them.

use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerstone_oci::DOCKER_HOSTS;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What docker calls its own registry in auth files.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// The user of a secret that is a token (docker-credential-helpers, README, "Development").
const TOKEN_USER: &str = "<token>";

/// The credentials of a user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// A name and a password.
    Basic { user: String, secret: String },
    /// A token that gets tokens (OAuth 2's refresh token).
    Identity(String),
}

/// Credentials that were found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub credentials: Credentials,
    /// The file, or the helper and the file that names it, for messages.
    pub origin: String,
}

/// Without the secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Basic { .. } => "Basic(…)",
            Credentials::Identity(_) => "Identity(…)",
        })
    }
}

impl Credentials {
    fn basic(user: &str, secret: &str) -> Credentials {
        match user {
            TOKEN_USER => Credentials::Identity(secret.to_owned()),
            _ => Credentials::Basic { user: user.to_owned(), secret: secret.to_owned() },
        }
    }
}

/// The `Authorization` of a name and a password (RFC 7617).
pub(crate) fn basic(user: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthFile {
    #[serde(deserialize_with = "without_nulls")]
    auths: BTreeMap<String, Entry>,
    #[serde(deserialize_with = "without_nulls")]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// A map in which a value that is null, and the map itself if it is, counts as absent, as Go's tools read it.
fn without_nulls<'de, D, T>(deserializer: D) -> std::result::Result<BTreeMap<String, T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    let map = Option::<BTreeMap<String, Option<T>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(map.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

/// The output of a credential helper.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    username: String,
    secret: String,
}

/// The default auth files in the order in which they are searched: podman's, then docker's.
pub fn default_files() -> Vec<PathBuf> {
    let directory = |key: &str| env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(file) = directory("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = directory("HOME");
    let config = directory("XDG_CONFIG_HOME").or(home.as_ref().map(|home| home.join(".config")));
    let docker = directory("DOCKER_CONFIG").or(home.as_ref().map(|home| home.join(".docker")));
    let files = [
        directory("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        config.map(|dir| dir.join("containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ];
    files.into_iter().flatten().collect()
}

/// The credential for a repository of a host, from the first of these files that has one. A file that is named must be
/// there, of the default ones any may be absent.
pub(crate) fn find(host: &str, name: &str, files: &[PathBuf], must_exist: bool) -> Result<Option<Found>> {
    for path in files {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !must_exist => continue,
            Err(e) => return Err(unreadable(path, e.to_string())),
        };
        // serde_json's message has the position but none of the text.
        let file: AuthFile = serde_json::from_slice(&text).map_err(|e| {
            unreadable(path, format!("not JSON of this form at line {} column {}", e.line(), e.column()))
        })?;
        if let Some(found) = file.find(host, name, path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn unreadable(path: &Path, cause: String) -> Error {
    Error::Setup { what: "cannot read credentials", name: path.display().to_string(), cause }
}

impl AuthFile {
    fn find(&self, host: &str, name: &str, path: &Path) -> Result<Option<Found>> {
        let file = path.display().to_string();
        let ask = |helper: &str, key: &str| {
            let found = |credentials| Found { credentials, origin: format!("{} in {file}", program(helper)) };
            Ok(ask(helper, key)?.map(found))
        };
        let key = if DOCKER_HOSTS.contains(&host) { HUB_KEY } else { host };
        if let Some(helper) = self.cred_helpers.get(host).or_else(|| self.cred_helpers.get(key)) {
            return ask(helper, key);
        }
        for wanted in keys(host, name) {
            // A program that moves entries to a helper leaves empty ones.
            let entry = self.auths.iter().find(|(key, _)| normal(key) == wanted).map(|(_, entry)| entry);
            if let Some(credentials) = entry.map(|entry| entry.credential(path)).transpose()?.flatten() {
                return Ok(Some(Found { credentials, origin: file }));
            }
        }
        self.creds_store.as_deref().map_or(Ok(None), |helper| ask(helper, key))
    }
}

/// Whom an entry may be for, the nearest first: the repository, its directories, the host (containers-auth.json(5)).
fn keys(host: &str, name: &str) -> Vec<String> {
    let host = if DOCKER_HOSTS.contains(&host) { normal(HUB_KEY) } else { host.to_owned() };
    let full = format!("{host}/{name}");
    let ends = full.match_indices('/').map(|(at, _)| at).chain([full.len()]);
    ends.map(|end| full[..end].to_owned()).rev().collect()
}

/// A key as it is compared: docker writes addresses, `https://HOST/v1/`, podman names.
fn normal(key: &str) -> String {
    let name = key.trim_start_matches("https://").trim_start_matches("http://");
    let name = name.trim_end_matches('/');
    let name = name.strip_suffix("/v1").or_else(|| name.strip_suffix("/v2")).unwrap_or(name);
    if name == DOCKER_HOSTS[0] { DOCKER_HOSTS[1].to_owned() } else { name.to_owned() }
}

impl Entry {
    fn credential(&self, path: &Path) -> Result<Option<Credentials>> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.is_empty()) {
            return Ok(Some(Credentials::Identity(token.clone())));
        }
        if let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) {
            let wrong = || unreadable(path, "auth: expected base 64 of USER:PASSWORD".to_owned());
            let text = String::from_utf8(STANDARD.decode(auth.trim()).map_err(|_| wrong())?).map_err(|_| wrong())?;
            let (user, secret) = text.split_once(':').ok_or_else(wrong)?;
            // docker pads old entries with zeros.
            return Ok(Some(Credentials::basic(user, secret.trim_matches('\0'))));
        }
        match (&self.username, &self.password) {
            (Some(user), Some(secret)) => Ok(Some(Credentials::basic(user, secret))),
            _ => Ok(None),
        }
    }
}

/// The program that a helper is.
fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

/// Asks a helper.
fn ask(helper: &str, key: &str) -> Result<Option<Credentials>> {
    let program = program(helper);
    let failed = |cause: String| Error::Setup { what: "cannot get credentials", name: program.clone(), cause };
    if helper.contains('/') {
        return Err(failed("expected a name without a slash".to_owned()));
    }
    let child =
        Command::new(&program).arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|e| failed(e.to_string()))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    // A helper that does not read says itself what is wrong.
    let _ = stdin.write_all(key.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    tracing::info!(target: "layerstone::program", status = %output.status, "{program} get");
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        return match text.contains("credentials not found") {
            true => Ok(None),
            // What it prints may hold what it keeps.
            false => Err(failed(format!("found {}", output.status))),
        };
    }
    let kept: Kept = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("expected JSON with Username and Secret".to_owned()))?;
    Ok(Some(Credentials::basic(&kept.username, &kept.secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, secret: &str) -> Option<Credentials> {
        Some(Credentials::Basic { user: user.to_owned(), secret: secret.to_owned() })
    }

    #[track_caller]
    fn check(text: &str, host: &str, name: &str, expected: Option<Credentials>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        fs::write(&path, text).unwrap();
        let found = find(host, name, std::slice::from_ref(&path), true).unwrap();
        assert!(found.iter().all(|found| found.origin == path.display().to_string()), "{host}/{name}");
        assert!(found.map(|found| found.credentials) == expected, "{host}/{name}");
    }

    #[test]
    fn entries() {
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnB3"},
            "r.example": {"auth": "YTpiOmM="},
            "r.example/team": {"auth": "dGVhbTp4"},
            "https://old.example/v1/": {"username": "u", "password": "p"},
            "t.example": {"auth": "PHRva2VuPjp0", "identitytoken": ""},
            "i.example:5000": {"auth": "eDp5", "identitytoken": "id"},
            "empty.example": {}}}"#;
        check(text, "docker.io", "library/a", basic("hub", "pw"));
        check(text, "r.example", "a", basic("a", "b:c"));
        check(text, "r.example", "team/a", basic("team", "x"));
        check(text, "r.example", "teams/a", basic("a", "b:c"));
        check(text, "old.example", "a", basic("u", "p"));
        check(text, "t.example", "a", Some(Credentials::Identity("t".to_owned())));
        check(text, "i.example:5000", "a", Some(Credentials::Identity("id".to_owned())));
        check(text, "empty.example", "a", None);
        check(text, "i.example", "a", None);
        check("{}", "r.example", "a", None);
        check(r#"{"auths": null, "credHelpers": null, "credsStore": null}"#, "r.example", "a", None);
        let nulls = r#"{"auths": {"o.example": null, "r.example": {"auth": "YTpi", "identitytoken": null}},
            "credHelpers": {"r.example": null}}"#;
        check(nulls, "r.example", "a", basic("a", "b"));
        check(nulls, "o.example", "a", None);
    }

    /// An error has the file and the position, and nothing that stands there.
    #[test]
    fn errors_show_no_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        for text in [
            r#"{"auths": {"r.example": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"r.example": {"auth": "secret!"}}}"#,
            r#"{"auths": {"r.example": "secret"}}"#,
            r#"{"secret"#,
        ] {
            fs::write(&path, text).unwrap();
            let error = find("r.example", "a", std::slice::from_ref(&path), true).unwrap_err();
            let (shown, debug) = (error.to_string(), format!("{error:?}"));
            assert!(!shown.contains("secret") && !debug.contains("secret"), "{shown}");
            assert!(shown.starts_with("cannot read credentials: "), "{shown}");
        }
        assert_eq!(format!("{:?}", Credentials::basic("u", "secret")), "Basic(…)");
        fs::remove_file(&path).unwrap();
        assert!(find("r.example", "a", std::slice::from_ref(&path), true).is_err());
        assert_eq!(find("r.example", "a", &[path], false).unwrap(), None);
    }
}
