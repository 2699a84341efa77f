//! Ready contents: what an image needs besides its packages, by the names that nixpkgs has for it.

use crate::item::{Lost, follow};
use crate::read::FOLDER_MODE;
use crate::{Error, Result, users};
use layerstone_store::{Store, StorePath};
use std::io;
use std::path::{Path, PathBuf};

/// Permission bits of texts that all may read.
const READABLE: u32 = 0o644;
/// Permission bits of texts that are the owner's: passwords.
const SECRET: u32 = 0o600;
/// Permission bits of a folder in which all may write, and remove what is theirs.
const FOR_ALL: u32 = 0o1777;
/// Where `caCertificates` finds the certificates in a package, and where programs look for them.
const CERTIFICATES: &str = "etc/ssl/certs/ca-bundle.crt";
const PLACES_OF_CERTIFICATES: [&str; 3] =
    [CERTIFICATES, "etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"];

/// Ready contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Helper {
    /// /etc/passwd and /etc/group with root, the lines given, and nobody; /etc/nsswitch.conf; the folder /var/empty.
    FakeNss {
        /// Lines of /etc/passwd (passwd(5)).
        extra_passwd_lines: Vec<String>,
        /// Lines of /etc/group (group(5)).
        extra_group_lines: Vec<String>,
    },
    /// The folder /tmp, mode 1777.
    Tmp,
    /// What the tools of the package shadow and PAM ask for: /etc/passwd, group, shadow, gshadow, login.defs and
    /// pam.d/other, each where it is absent.
    ShadowSetup,
    /// /usr/bin/env, a link into this package.
    UsrBinEnv(StorePath),
    /// /bin/sh, a link to the bash of this package, or its sh if it has none.
    BinSh(StorePath),
    /// The places where programs look for certificates, as links to this package's.
    CaCertificates(StorePath),
}

/// An entry of a helper, named below the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub path: &'static Path,
    pub what: What,
    /// Whether it gives way, in silence, to what is there.
    pub when_absent: bool,
}

/// What an entry of a helper is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A regular file with its text and permission bits.
    Text(String, u32),
    /// A symbolic link with its text.
    Link(PathBuf),
    /// A folder with its permission bits, which hold over others' unless they are those of any folder.
    Folder(u32),
}

impl Helper {
    /// What it is called, also in image.json.
    pub fn name(&self) -> &'static str {
        match self {
            Helper::FakeNss { .. } => "fakeNss",
            Helper::Tmp => "tmp",
            Helper::ShadowSetup => "shadowSetup",
            Helper::UsrBinEnv(_) => "usrBinEnv",
            Helper::BinSh(_) => "binSh",
            Helper::CaCertificates(_) => "caCertificates",
        }
    }

    /// How messages name it where they name the path that an entry comes from.
    pub(crate) fn label(&self) -> PathBuf {
        PathBuf::from(format!("helper {}", self.name()))
    }

    /// What it consists of.
    pub(crate) fn parts(&self, store: &Store) -> Result<Vec<Part>> {
        match self {
            Helper::FakeNss { extra_passwd_lines, extra_group_lines } => {
                let bad = |cause| Error::Helper { name: self.name(), cause };
                Ok(vec![
                    text("etc/passwd", &users::passwd(extra_passwd_lines).map_err(bad)?, READABLE),
                    text("etc/group", &users::group(extra_group_lines).map_err(bad)?, READABLE),
                    text("etc/nsswitch.conf", users::NSSWITCH, READABLE),
                    part("var/empty", What::Folder(FOLDER_MODE)),
                ])
            }
            Helper::Tmp => Ok(vec![part("tmp", What::Folder(FOR_ALL))]),
            Helper::ShadowSetup => Ok(shadow_setup()),
            Helper::UsrBinEnv(package) => Ok(vec![part("usr/bin/env", self.link(store, package, &["bin/env"])?)]),
            Helper::BinSh(package) => Ok(vec![part("bin/sh", self.link(store, package, &["bin/bash", "bin/sh"])?)]),
            Helper::CaCertificates(package) => {
                let link = self.link(store, package, &[CERTIFICATES])?;
                Ok(PLACES_OF_CERTIFICATES.map(|place| part(place, link.clone())).into())
            }
        }
    }

    /// A link to the first of these files that the package has.
    fn link(&self, store: &Store, package: &StorePath, files: &[&str]) -> Result<What> {
        let mut told = Vec::new();
        for file in files {
            let path = Path::new(package.as_str()).join(file);
            match target(store, package, file) {
                Ok(()) => return Ok(What::Link(path)),
                Err(cause) => told.push(format!("{}: {cause}", path.display())),
            }
        }
        Err(Error::Helper { name: self.name(), cause: told.join("; ") })
    }
}

fn shadow_setup() -> Vec<Part> {
    let texts = [
        ("etc/passwd", users::SHADOW_PASSWD, READABLE),
        ("etc/shadow", users::SHADOW, SECRET),
        ("etc/group", users::SHADOW_GROUP, READABLE),
        ("etc/gshadow", users::GSHADOW, SECRET),
        ("etc/pam.d/other", users::PAM_OTHER, READABLE),
        ("etc/login.defs", "", READABLE),
    ];
    texts.map(|(path, contents, mode)| Part { when_absent: true, ..text(path, contents, mode) }).into()
}

fn text(path: &'static str, text: &str, mode: u32) -> Part {
    part(path, What::Text(text.to_owned(), mode))
}

fn part(path: &'static str, what: What) -> Part {
    Part { path: Path::new(path), what, when_absent: false }
}

/// Checks that a package has a file, or why it has none.
fn target(store: &Store, package: &StorePath, file: &str) -> Result<(), String> {
    let at = follow(store, Path::new(store.dir()), &Path::new(package.base_name()).join(file)).map_err(reason)?;
    match store.locate(&at).symlink_metadata() {
        Ok(found) if found.is_file() => Ok(()),
        Ok(found) => Err(format!("found a {}, expected a regular file", crate::item::describe(found.file_type()))),
        Err(error) => Err(error.to_string()),
    }
}

fn reason(lost: Lost) -> String {
    match lost {
        Lost::Outside => "its links lead out of the store".to_owned(),
        Lost::Loop => "too many links".to_owned(),
        Lost::Nowhere(_, source) if source.kind() == io::ErrorKind::NotFound => "does not exist".to_owned(),
        Lost::Nowhere(_, source) | Lost::Unread(_, source) => source.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    /// What a helper for the item `a` of a store of these lines is, in lines, or the error.
    fn parts(lines: &[&str], helper: fn(StorePath) -> Helper) -> Result<Vec<String>, String> {
        let (_dir, store) = sample::store(lines);
        let parts = helper(store.entry("a").unwrap()).parts(&store).map_err(|e| e.to_string())?;
        Ok(parts.into_iter().map(line).collect())
    }

    fn line(Part { path, what, .. }: Part) -> String {
        match what {
            What::Text(text, mode) => format!("{mode:o}: {} = {}", path.display(), text.lines().next().unwrap_or("")),
            What::Link(text) => format!("{} -> {}", path.display(), text.display()),
            What::Folder(mode) => format!("{mode:o}: {}/", path.display()),
        }
    }

    #[test]
    fn links_into_packages() {
        let files = ["a/bin/env -> coreutils", "a/bin/coreutils", "a/bin/bash", "a/bin/sh -> bash"];
        assert_eq!(parts(&files, Helper::UsrBinEnv).unwrap(), ["usr/bin/env -> /nix/store/a/bin/env"]);
        assert_eq!(parts(&files, Helper::BinSh).unwrap(), ["bin/sh -> /nix/store/a/bin/bash"]);
        assert_eq!(parts(&["a/bin/sh"], Helper::BinSh).unwrap(), ["bin/sh -> /nix/store/a/bin/sh"]);
        let bundle = "/nix/store/a/etc/ssl/certs/ca-bundle.crt";
        assert_eq!(
            parts(&["a/etc/ssl/certs/ca-bundle.crt -> ../../b", "a/etc/b"], Helper::CaCertificates).unwrap(),
            ["etc/ssl/certs/ca-bundle.crt", "etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"]
                .map(|place| format!("{place} -> {bundle}"))
        );
    }

    #[test]
    fn packages_without_what_is_linked_to() {
        let told = |lines: &[&str], helper| parts(lines, helper).unwrap_err();
        assert_eq!(
            told(&["b/x"], Helper::UsrBinEnv),
            "cannot make helper: usrBinEnv: /nix/store/a/bin/env: does not exist"
        );
        assert_eq!(
            told(&["a/bin/bash/", "a/bin/sh -> sh"], Helper::BinSh),
            "cannot make helper: binSh: /nix/store/a/bin/bash: found a folder, expected a regular file; \
             /nix/store/a/bin/sh: too many links"
        );
        assert_eq!(
            told(&["a/etc -> /etc"], Helper::CaCertificates),
            "cannot make helper: caCertificates: /nix/store/a/etc/ssl/certs/ca-bundle.crt: its links lead out of the store"
        );
        assert_eq!(
            told(&["a"], Helper::UsrBinEnv),
            "cannot make helper: usrBinEnv: /nix/store/a/bin/env: not a directory"
        );
    }

    #[test]
    fn texts_and_folders() {
        let nss = |_| Helper::FakeNss { extra_passwd_lines: Vec::new(), extra_group_lines: Vec::new() };
        assert_eq!(
            parts(&[], nss).unwrap(),
            [
                "644: etc/passwd = root:x:0:0:root user:/var/empty:/bin/sh",
                "644: etc/group = root:x:0:",
                "644: etc/nsswitch.conf = hosts: files dns",
                "755: var/empty/",
            ]
        );
        assert_eq!(parts(&[], |_| Helper::Tmp).unwrap(), ["1777: tmp/"]);
        let shadow = parts(&[], |_| Helper::ShadowSetup).unwrap();
        assert_eq!(
            shadow[1..4],
            ["600: etc/shadow = root:!x:::::::", "644: etc/group = root:x:0:", "600: etc/gshadow = root:x::"]
        );
        let bad = |_| Helper::FakeNss { extra_passwd_lines: vec!["x".to_owned()], extra_group_lines: Vec::new() };
        assert_eq!(
            parts(&[], bad).unwrap_err(),
            "cannot make helper: fakeNss: not a passwd line: \"x\": found 1 fields, expected 7"
        );
    }
}
