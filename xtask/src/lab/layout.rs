//! Where a Debian package's file goes in a store path: /usr is the top, games are programs.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// The directory for libraries of this architecture, below `lib`, and the dynamic linker in it.
pub const TRIPLET: &str = "x86_64-linux-gnu";
pub const LINKER: &str = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
/// The same architecture as Nix names it.
pub const SYSTEM: &str = "x86_64-linux";
/// A component's file that names its dependencies, one line of store paths, as nixpkgs has it.
pub const DEPENDENCIES: &str = "nix-support/propagated-build-inputs";

/// A path in a Debian system, taken from its root, as a path inside a store path; the top is the empty path.
pub fn canonical(path: &Path) -> PathBuf {
    let mut parts: Vec<&OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::ParentDir => drop(parts.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if parts.first() == Some(&OsStr::new("usr")) {
        parts.remove(0);
    }
    if let Some(first) = parts.first_mut().filter(|first| **first == "games") {
        *first = OsStr::new("bin");
    }
    parts.iter().collect()
}

/// Joins without the slash that an empty path would leave at the end.
pub fn join(base: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { base.to_owned() } else { base.join(path) }
}

/// The text of a link in `folder` that leads to `target`; both are canonical paths of one tree.
pub fn relative(folder: &Path, target: &Path) -> PathBuf {
    let common = folder.components().zip(target.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(target.components().skip(common)).collect();
    if path.as_os_str().is_empty() { ".".into() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_paths() {
        let cases = [
            ("/usr/bin/git", "bin/git"),
            ("./usr/games/../bin//x", "bin/x"),
            ("/bin/sh", "bin/sh"),
            ("usr/", ""),
            ("/usr/games/hello", "bin/hello"),
            ("/usr/games", "bin"),
            ("/../lib/x", "lib/x"),
            ("/", ""),
        ];
        for (path, expected) in cases {
            assert_eq!(canonical(Path::new(path)).as_os_str(), expected, "{path}");
        }
    }

    #[test]
    fn relative_links() {
        let cases = [
            ("bin", "bin/x", "x"),
            ("bin", "lib/x", "../lib/x"),
            ("", "lib", "lib"),
            ("a/b", "a/b", "."),
            ("a", "", ".."),
        ];
        for (folder, target, expected) in cases {
            assert_eq!(relative(Path::new(folder), Path::new(target)).as_os_str(), expected);
        }
    }
}
