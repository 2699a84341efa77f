//! The keys of `layerstone.toml`: what each takes, which flag it stands for, and who may set it.

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of some words.
    Word(&'static [&'static str]),
    /// A number of bytes, such as 5000000 or "5Gi".
    Bytes,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// true or false.
    Bool,
    /// A path, from the file's directory on, or from the user's home after `~/`.
    Path,
    /// Hosts, as `--insecure` takes them.
    Hosts,
    /// Hosts, each with its mirrors.
    Mirrors,
    /// Names of limits, each with a number.
    Limits,
}

/// A key.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name, with that of its table in front.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether a project may set it, too.
    pub for_projects: bool,
    /// What clap calls the flag that it stands for.
    pub flag: &'static str,
    /// Variables of the environment that say the same.
    pub variables: &'static [&'static str],
    /// What holds if nobody sets it.
    pub default: &'static str,
}

const WHEN: Kind = Kind::Word(&["auto", "always", "never"]);

const fn key(name: &'static str, kind: Kind, flag: &'static str, default: &'static str) -> Key {
    Key { name, kind, for_projects: false, flag, variables: &[], default }
}

/// All keys, in the order in which they are told.
pub const KEYS: [Key; 15] = [
    Key { for_projects: true, variables: &["NO_COLOR", "CLICOLOR_FORCE"], ..key("color", WHEN, "color", "auto") },
    Key { for_projects: true, ..key("progress", PROGRESS, "progress", "auto") },
    Key { for_projects: true, ..key("jobs", Kind::Number(1, 1024), "jobs", "one a core") },
    // A project is no reason to lose outputs.
    key("sync", WHEN, "sync", "auto"),
    // What lies in a cache decides what layers are taken to be.
    Key {
        variables: &[crate::args::cache::CACHE],
        ..key("cache.directory", Kind::Path, "cache", "layerstone in the user's cache directory")
    },
    key("cache.size", Kind::Bytes, "cache_size", "1Gi"),
    Key { for_projects: true, ..key("cache.blobs", Kind::Bool, "cache_blobs", "false") },
    Key { for_projects: true, ..key("registry.retries", Kind::Number(0, 100), "retries", "5") },
    Key { for_projects: true, ..key("registry.io-timeout", Kind::Number(1, 86400), "io_timeout", "60") },
    Key { for_projects: true, ..key("registry.uploads", Kind::Number(1, 64), "uploads", "4") },
    key("registry.ca", Kind::Path, "ca", "the system's alone"),
    Key {
        variables: &["REGISTRY_AUTH_FILE"],
        ..key("registry.authfile", Kind::Path, "authfile", "podman's and docker's")
    },
    key("registry.insecure", Kind::Hosts, "insecure", "this machine"),
    key("registry.mirrors", Kind::Mirrors, "mirror", "none"),
    key("limits", Kind::Limits, "set_limit", "those of docs/security.md"),
];

impl Key {
    /// A line that sets it, such as `cache.size = "5Gi"`.
    pub fn example(&self) -> String {
        let value = match self.kind {
            Kind::Word(words) => format!("{:?}", words.last().copied().unwrap_or_default()),
            Kind::Bytes => "\"5Gi\"".to_owned(),
            Kind::Number(least, most) => 8.clamp(least, most).to_string(),
            Kind::Bool => "true".to_owned(),
            Kind::Path => "\"/PATH\"".to_owned(),
            Kind::Hosts => "[\"localhost:5000\"]".to_owned(),
            Kind::Mirrors => "{ \"docker.io\" = [\"mirror.example\"] }".to_owned(),
            Kind::Limits => "{ members = 5000000 }".to_owned(),
        };
        format!("{} = {value}", self.name)
    }
}

/// What `progress` takes.
const PROGRESS: Kind = Kind::Word(&["auto", "plain", "always", "never"]);
