//! Finds the credentials for a repository: in a variable, in an auth file, in a netrc file. Does not know their formats.
//!
//! Secrets are never printed, and never stand in a command line, where a list of processes would show them.

use crate::client::auth_file::AuthFile;
use crate::client::netrc;
use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The variable that holds the text of an auth file (docker, "docker login", "DOCKER_AUTH_CONFIG"; GitLab CI's name, too).
const TEXT: &str = "DOCKER_AUTH_CONFIG";
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
    pub(crate) fn basic(user: &str, secret: &str) -> Credentials {
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

/// A place where credentials may be.
pub(crate) enum Source {
    /// The text of an auth file in a variable.
    Text(String),
    /// An auth file.
    AuthFile(PathBuf),
    /// A file of curl's and ftp's.
    Netrc(PathBuf),
}

/// Without the text.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

impl Source {
    /// What messages call it.
    fn label(&self) -> String {
        match self {
            Source::Text(_) => TEXT.to_owned(),
            Source::AuthFile(path) | Source::Netrc(path) => path.display().to_string(),
        }
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        match self {
            Source::Text(text) => Ok(text.clone().into_bytes()),
            Source::AuthFile(path) | Source::Netrc(path) => fs::read(path),
        }
    }
}

/// The sources that the environment names, in the order in which they are searched: docker's variable, podman's file, docker's
/// file, netrc.
pub(crate) fn default_sources() -> Vec<Source> {
    let set = |key: &str| env::var_os(key).filter(|value| !value.is_empty());
    let path = |key: &str| set(key).map(PathBuf::from);
    let text = set(TEXT).and_then(|text| text.into_string().ok()).map(Source::Text);
    // A netrc file is for many programs, and is read only where it is named.
    let netrc = path("NETRC").map(Source::Netrc);
    text.into_iter().chain(default_files(path).into_iter().map(Source::AuthFile)).chain(netrc).collect()
}

/// The auth files of podman and docker.
fn default_files(path: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(file) = path("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = path("HOME");
    let config = path("XDG_CONFIG_HOME").or(home.as_ref().map(|home| home.join(".config")));
    let docker = path("DOCKER_CONFIG").or(home.as_ref().map(|home| home.join(".docker")));
    let files = [
        path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        config.map(|dir| dir.join("containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ];
    files.into_iter().flatten().collect()
}

/// The credential for a repository of a host, from the first of these sources that has one. A file that is named must be
/// there, of the default ones any may be absent.
pub(crate) fn find(host: &str, name: &str, sources: &[Source], must_exist: bool) -> Result<Option<Found>> {
    for source in sources {
        let label = source.label();
        let text = match source.text() {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !must_exist => continue,
            Err(e) => return Err(unreadable(&label, e.to_string())),
        };
        let found = match source {
            Source::Netrc(_) => netrc::find(&text, host)
                .map(|(user, secret)| Found { credentials: Credentials::basic(&user, &secret), origin: label.clone() }),
            _ => AuthFile::parse(&text, &label)?.find(host, name, &label)?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

pub(crate) fn unreadable(name: &str, cause: String) -> Error {
    Error::Setup { what: "cannot read credentials", name: name.to_owned(), cause }
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
        let found = find(host, name, &[Source::AuthFile(path.clone())], true).unwrap();
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

    /// A variable goes before files, and a netrc file behind them; an empty one has none for anybody.
    #[test]
    fn sources() {
        let directory = tempfile::tempdir().unwrap();
        let netrc = directory.path().join("netrc");
        fs::write(&netrc, "machine r.example login me password it\nmachine n.example login n password p\n").unwrap();
        let text = r#"{"auths": {"r.example": {"auth": "YTpiOmM="}}}"#;
        let sources = [Source::Text(text.to_owned()), Source::AuthFile("absent".into()), Source::Netrc(netrc.clone())];
        let look =
            |host: &str| find(host, "a", &sources, false).unwrap().map(|found| (found.credentials, found.origin));
        assert!(look("r.example") == basic("a", "b:c").map(|it| (it, TEXT.to_owned())));
        assert!(look("n.example") == basic("n", "p").map(|it| (it, netrc.display().to_string())));
        assert!(look("other.example").is_none());
        let wrong = find("r.example", "a", &[Source::Text("secret".to_owned())], false).unwrap_err().to_string();
        assert_eq!(wrong, "cannot read credentials: DOCKER_AUTH_CONFIG: not JSON of this form at line 1 column 1");
        assert!(!format!("{sources:?}").contains("YTpi"));
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
            let error = find("r.example", "a", &[Source::AuthFile(path.clone())], true).unwrap_err();
            let (shown, debug) = (error.to_string(), format!("{error:?}"));
            assert!(!shown.contains("secret") && !debug.contains("secret"), "{shown}");
            assert!(shown.starts_with("cannot read credentials: "), "{shown}");
        }
        assert_eq!(format!("{:?}", Credentials::basic("u", "secret")), "Basic(…)");
        fs::remove_file(&path).unwrap();
        assert!(find("r.example", "a", &[Source::AuthFile(path.clone())], true).is_err());
        assert_eq!(find("r.example", "a", &[Source::AuthFile(path)], false).unwrap(), None);
    }
}
