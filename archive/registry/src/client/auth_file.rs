//! Reads the auth files of docker and podman, and asks their credential helpers (docker, config.json;
//! containers-auth.json(5); docker-credential-helpers).
//!
//! Secrets are never printed, and never stand in a command line, where a list of processes would show them.

use crate::client::credential::{Credentials, Found, unreadable};
use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerstone_oci::DOCKER_HOSTS;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// What docker calls its own registry in auth files.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// An auth file.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AuthFile {
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

impl AuthFile {
    /// Reads the text of one; `file` is what messages call it.
    pub(crate) fn parse(text: &[u8], file: &str) -> Result<AuthFile> {
        // serde_json's message has the position but none of the text.
        let wrong = |e: serde_json::Error| format!("not JSON of this form at line {} column {}", e.line(), e.column());
        serde_json::from_slice(text).map_err(|e| unreadable(file, wrong(e)))
    }

    /// The credentials for a repository of a host.
    pub(crate) fn find(&self, host: &str, name: &str, file: &str) -> Result<Option<Found>> {
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
            if let Some(credentials) = entry.map(|entry| entry.credential(file)).transpose()?.flatten() {
                return Ok(Some(Found { credentials, origin: file.to_owned() }));
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
    fn credential(&self, file: &str) -> Result<Option<Credentials>> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.is_empty()) {
            return Ok(Some(Credentials::Identity(token.clone())));
        }
        if let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) {
            let wrong = || unreadable(file, "auth: expected base 64 of USER:PASSWORD".to_owned());
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
