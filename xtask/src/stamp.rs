//! Writes and checks the stamp of a lab: which recipe made a closure or a base.
//!
//! Tests count on what `cargo xtask lab` makes: store paths that programs find each other in, files beside them, links
//! that keep them. What lies in the same directory and has no such stamp, or another one, was made by something else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The version of the recipe, which goes into every derivation as well: raise it whenever the same packages would become
/// other store paths or other files beside them.
pub const RECIPE: u32 = 1;

/// Closures that tests and benches know, and their packages: 23 paths and 54 MB, 31 paths and 32 MB, 96 paths and 220 MB,
/// 128 paths and 255 MB, 608 paths and 1.5 GB.
pub const PRESETS: [(&str, &str); 5] = [
    ("small", "hello bash coreutils dash"),
    ("web", "nginx-light"),
    ("tools", "nix-bin passwd util-linux libpam-modules curl bash coreutils"),
    (
        "medium",
        "bash coreutils dash python3 git perl nginx-light curl redis-server sed grep gawk findutils tar gzip \
         openssh-client vim-tiny sqlite3 jq",
    ),
    (
        "large",
        "bash coreutils dash python3 git perl nginx-light curl redis-server sed grep gawk findutils tar gzip jq \
         postgresql-15 npm python3-scipy texlive-latex-base gcc python3-pandas ruby",
    ),
];

/// The Debian that closures and the base are made of.
pub const RELEASE: &str = "bookworm";

/// The Debian that today's clients come from.
pub const CLIENTS_RELEASE: &str = "trixie";

/// Its packages, separated by commas. Nothing that starts by itself is run.
pub const CLIENTS: &str = "ca-certificates,mount,procps,passwd,xz-utils,podman,skopeo,buildah,docker.io,docker-cli,\
                           containerd,runc,nix-bin,patchelf,openssh-client";

/// The packages of that Debian whose programs judge what is attached to images. They run on any Debian since 12.
pub const JUDGES: [&str; 2] = ["oras", "cosign"];

/// What a closure of these packages, or the base, is stamped with.
pub fn text(packages: &str) -> String {
    format!("layerstone lab, recipe {RECIPE}: {packages}\n")
}

/// What the closure or base of this name is stamped with; none if `cargo xtask lab` knows no such name.
pub fn expected(name: &str) -> Option<String> {
    match name {
        "debian" => Some(text(&format!("{RELEASE}, minbase"))),
        "judges" => Some(text(&format!("{CLIENTS_RELEASE}, {}", JUDGES.join(" ")))),
        "clients" => Some(text(&format!("{CLIENTS_RELEASE}, {CLIENTS}"))),
        _ => PRESETS.iter().find(|(preset, _)| *preset == name).map(|(_, packages)| text(packages)),
    }
}

/// Where the stamp of a closure's directory or of a base's file is: within the one, beside the other.
pub fn place(of: &Path) -> PathBuf {
    if of.is_dir() { of.join("stamp") } else { of.with_extension("stamp") }
}

/// Stamps what was made, whole or not at all.
///
/// # Errors
///
/// The stamp cannot be written.
pub fn write(of: &Path, text: &str) -> io::Result<()> {
    let (place, new) = (place(of), place(of).with_extension("new"));
    fs::write(&new, text)?;
    fs::rename(new, place)
}

/// Takes the stamp away, before something is made anew.
///
/// # Errors
///
/// It is there and cannot be removed.
pub fn remove(of: &Path) -> io::Result<()> {
    match fs::remove_file(place(of)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether something was made so; if not, the reason.
///
/// # Errors
///
/// The stamp is missing, cannot be read, or is another one.
pub fn check(of: &Path, expected: &str) -> Result<(), String> {
    let place = place(of);
    match fs::read_to_string(&place) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => {
            let (found, expected) = (found.trim_end(), expected.trim_end());
            Err(format!("{}: found {found:?}, expected {expected:?}", place.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("no stamp {}: something else than this `cargo xtask lab` made it", place.display()))
        }
        Err(error) => Err(format!("cannot read: {}: {error}", place.display())),
    }
}

/// The directory of a closure of a lab. One that `cargo xtask lab` knows must be as it makes it.
///
/// # Errors
///
/// It is not there, or its stamp is missing or another one.
pub fn closure(lab: &Path, name: &str) -> Result<PathBuf, String> {
    let folder = lab.join("closures").join(name);
    if !folder.join("graph.json").is_file() {
        return Err(format!("no closure {}: `cargo xtask lab {name}` makes it", folder.display()));
    }
    expected(name).map_or(Ok(()), |expected| check(&folder, &expected))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_stamp_will_do() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (folder, base) = (dir.path().join("small"), dir.path().join("debian.tar"));
        fs::create_dir(&folder)?;
        fs::write(&base, "")?;
        for (of, name) in [(&folder, "small"), (&base, "debian")] {
            let expected = expected(name).unwrap_or_default();
            let reason = |end: &str| check(of, &expected).is_err_and(|error| error.ends_with(end));
            assert!(reason("something else than this `cargo xtask lab` made it"));
            fs::write(place(of), expected.replace("recipe 1", "recipe 0"))?;
            assert!(reason(&format!("expected {:?}", expected.trim_end())));
            write(of, &expected)?;
            assert_eq!(check(of, &expected), Ok(()));
            remove(of)?;
            remove(of)?;
            assert!(check(of, &expected).is_err());
        }
        assert_ne!(expected("small"), expected("web"));
        assert_eq!(expected("mine"), None);
        Ok(())
    }
}
