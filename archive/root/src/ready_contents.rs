//! Lists the files of ready contents: what an image needs besides its packages, by the names that nixpkgs has for it.

use crate::item::{Lost, follow};
use crate::tree::DIRECTORY_MODE;
use crate::{Error, Result, users};
use layerstone_spec::Helper;
use layerstone_store::{Store, StorePath};
use std::io;
use std::path::{Path, PathBuf};

/// Permission bits of texts that all may read.
const READABLE: u32 = 0o644;
/// Permission bits of texts that are the owner's: passwords.
const SECRET: u32 = 0o600;
/// Permission bits of a directory in which all may write, and remove what is theirs.
const FOR_ALL: u32 = 0o1777;
/// Where `caCertificates` finds the certificates in a package, and where programs look for them.
const CERTIFICATES: &str = "etc/ssl/certs/ca-bundle.crt";
const CERTIFICATE_PATHS: [&str; 3] =
    [CERTIFICATES, "etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"];

/// A file of a helper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperFile {
    /// Its path below the root.
    pub path: &'static Path,
    pub content: Content,
    /// Whether it gives way, in silence, to an existing file.
    pub when_absent: bool,
}

/// What a file of a helper is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A regular file with its text and permission bits.
    Text(String, u32),
    /// A symlink with its text.
    Link(PathBuf),
    /// A directory with its permission bits, which hold over others' unless they are those of any directory.
    Directory(u32),
}

/// How messages name a helper where they name the path that a file comes from.
pub fn label(helper: &Helper) -> PathBuf {
    PathBuf::from(format!("helper {}", helper.name()))
}

/// The files of a helper; packages are looked up in the store.
pub fn files_of(helper: &Helper, store: &Store) -> Result<Vec<HelperFile>> {
    let link = |package: &Path, targets: &[&str]| link(helper, store, &store.resolve(package)?, targets);
    match helper {
        Helper::FakeNss { extra_passwd_lines, extra_group_lines } => {
            let bad = |cause| Error::Helper { name: helper.name(), cause };
            Ok(vec![
                text("etc/passwd", &users::passwd(extra_passwd_lines).map_err(bad)?, READABLE),
                text("etc/group", &users::group(extra_group_lines).map_err(bad)?, READABLE),
                text("etc/nsswitch.conf", users::NSSWITCH, READABLE),
                file("var/empty", Content::Directory(DIRECTORY_MODE)),
            ])
        }
        Helper::Tmp => Ok(vec![file("tmp", Content::Directory(FOR_ALL))]),
        Helper::ShadowSetup => Ok(shadow_setup()),
        Helper::UsrBinEnv(package) => Ok(vec![file("usr/bin/env", link(package, &["bin/env"])?)]),
        Helper::BinSh(package) => Ok(vec![file("bin/sh", link(package, &["bin/bash", "bin/sh"])?)]),
        Helper::CaCertificates(package) => {
            let link = link(package, &[CERTIFICATES])?;
            Ok(CERTIFICATE_PATHS.map(|path| file(path, link.clone())).into())
        }
    }
}

/// A link to the first of these files that the package has.
fn link(helper: &Helper, store: &Store, package: &StorePath, targets: &[&str]) -> Result<Content> {
    let mut causes = Vec::new();
    for target in targets {
        let path = Path::new(package.as_str()).join(target);
        match check_target(store, package, target) {
            Ok(()) => return Ok(Content::Link(path)),
            Err(cause) => causes.push(format!("{}: {cause}", path.display())),
        }
    }
    Err(Error::Helper { name: helper.name(), cause: causes.join("; ") })
}

fn shadow_setup() -> Vec<HelperFile> {
    let texts = [
        ("etc/passwd", users::SHADOW_PASSWD, READABLE),
        ("etc/shadow", users::SHADOW, SECRET),
        ("etc/group", users::SHADOW_GROUP, READABLE),
        ("etc/gshadow", users::GSHADOW, SECRET),
        ("etc/pam.d/other", users::PAM_OTHER, READABLE),
        ("etc/login.defs", "", READABLE),
    ];
    texts.map(|(path, contents, mode)| HelperFile { when_absent: true, ..text(path, contents, mode) }).into()
}

fn text(path: &'static str, text: &str, mode: u32) -> HelperFile {
    file(path, Content::Text(text.to_owned(), mode))
}

fn file(path: &'static str, content: Content) -> HelperFile {
    HelperFile { path: Path::new(path), content, when_absent: false }
}

/// Checks that a package has a file; the error says why it has none.
fn check_target(store: &Store, package: &StorePath, file: &str) -> Result<(), String> {
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
    use crate::fixtures;

    /// What a helper for the item `a` of a store of these lines is, in lines, or the error.
    fn files_in(lines: &[&str], helper: fn(PathBuf) -> Helper) -> Result<Vec<String>, String> {
        let (_dir, store) = fixtures::store(lines);
        let files = files_of(&helper("/nix/store/a".into()), &store).map_err(|e| e.to_string())?;
        Ok(files.into_iter().map(line).collect())
    }

    fn line(HelperFile { path, content, .. }: HelperFile) -> String {
        match content {
            Content::Text(text, mode) => {
                format!("{mode:o}: {} = {}", path.display(), text.lines().next().unwrap_or(""))
            }
            Content::Link(text) => format!("{} -> {}", path.display(), text.display()),
            Content::Directory(mode) => format!("{mode:o}: {}/", path.display()),
        }
    }

    #[test]
    fn links_into_packages() {
        let files = ["a/bin/env -> coreutils", "a/bin/coreutils", "a/bin/bash", "a/bin/sh -> bash"];
        assert_eq!(files_in(&files, Helper::UsrBinEnv).unwrap(), ["usr/bin/env -> /nix/store/a/bin/env"]);
        assert_eq!(files_in(&files, Helper::BinSh).unwrap(), ["bin/sh -> /nix/store/a/bin/bash"]);
        assert_eq!(files_in(&["a/bin/sh"], Helper::BinSh).unwrap(), ["bin/sh -> /nix/store/a/bin/sh"]);
        let bundle = "/nix/store/a/etc/ssl/certs/ca-bundle.crt";
        assert_eq!(
            files_in(&["a/etc/ssl/certs/ca-bundle.crt -> ../../b", "a/etc/b"], Helper::CaCertificates).unwrap(),
            ["etc/ssl/certs/ca-bundle.crt", "etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"]
                .map(|path| format!("{path} -> {bundle}"))
        );
    }

    #[test]
    fn packages_without_the_target() {
        let error = |lines: &[&str], helper| files_in(lines, helper).unwrap_err();
        assert_eq!(
            error(&["b/x"], Helper::UsrBinEnv),
            "cannot make helper: usrBinEnv: /nix/store/a/bin/env: does not exist"
        );
        assert_eq!(
            error(&["a/bin/bash/", "a/bin/sh -> sh"], Helper::BinSh),
            "cannot make helper: binSh: /nix/store/a/bin/bash: found a directory, expected a regular file; \
             /nix/store/a/bin/sh: too many links"
        );
        assert_eq!(
            error(&["a/etc -> /etc"], Helper::CaCertificates),
            "cannot make helper: caCertificates: /nix/store/a/etc/ssl/certs/ca-bundle.crt: its links lead out of the store"
        );
        assert_eq!(
            error(&["a"], Helper::UsrBinEnv),
            "cannot make helper: usrBinEnv: /nix/store/a/bin/env: not a directory"
        );
    }

    #[test]
    fn texts_and_directories() {
        let nss = |_| Helper::FakeNss { extra_passwd_lines: Vec::new(), extra_group_lines: Vec::new() };
        assert_eq!(
            files_in(&[], nss).unwrap(),
            [
                "644: etc/passwd = root:x:0:0:root user:/var/empty:/bin/sh",
                "644: etc/group = root:x:0:",
                "644: etc/nsswitch.conf = hosts: files dns",
                "755: var/empty/",
            ]
        );
        assert_eq!(files_in(&[], |_| Helper::Tmp).unwrap(), ["1777: tmp/"]);
        let shadow = files_in(&[], |_| Helper::ShadowSetup).unwrap();
        assert_eq!(
            shadow[1..4],
            ["600: etc/shadow = root:!x:::::::", "644: etc/group = root:x:0:", "600: etc/gshadow = root:x::"]
        );
        let bad = |_| Helper::FakeNss { extra_passwd_lines: vec!["x".to_owned()], extra_group_lines: Vec::new() };
        assert_eq!(
            files_in(&[], bad).unwrap_err(),
            "cannot make helper: fakeNss: not a passwd line: \"x\": found 1 fields, expected 7"
        );
    }
}
