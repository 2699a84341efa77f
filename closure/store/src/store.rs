//! Locates store paths on this machine: a store directory, seen below a root directory.
//!
//! Outputs only ever name logical paths (`/nix/store/…`); this module alone knows where they really are.

use crate::symlink::{Found, Stop, Walk};
use crate::{Error, Result, StorePath};
use std::io;
use std::path::{Component, Path, PathBuf};

/// A store directory such as `/nix/store` and the root below which it is found (`/` unless `--root` says otherwise).
#[derive(Clone, Debug)]
pub struct Store {
    dir: String,
    root: PathBuf,
}

impl Default for Store {
    fn default() -> Store {
        Store { dir: "/nix/store".to_owned(), root: PathBuf::from("/") }
    }
}

impl Store {
    /// A store directory (absolute, at least one component) seen below `root`.
    pub fn new(dir: &str, root: impl Into<PathBuf>) -> Result<Store> {
        let dir = dir.trim_end_matches('/');
        // A store directory is good exactly when an entry in it is a good store path.
        StorePath::parse(&format!("{dir}/x")).map_err(|_| Error::StorePath {
            text: dir.to_owned(),
            cause: "expected an absolute store directory, such as /nix/store".to_owned(),
        })?;
        Ok(Store { dir: dir.to_owned(), root: root.into() })
    }

    /// The store directory, logical: `/nix/store`.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    /// The root below which logical paths are found.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an absolute logical path is on this machine.
    pub fn locate(&self, logical: impl AsRef<Path>) -> PathBuf {
        let logical = logical.as_ref();
        self.root.join(logical.strip_prefix("/").unwrap_or(logical))
    }

    /// Checks that the text is a path of this store.
    pub fn parse(&self, text: &str) -> Result<StorePath> {
        let path = StorePath::parse(text)?;
        if path.store_dir() != self.dir {
            let cause = format!("it is outside the store {}", self.dir);
            return Err(Error::StorePath { text: text.to_owned(), cause });
        }
        Ok(path)
    }

    /// The store path named `base` in this store.
    pub fn entry(&self, base: &str) -> Result<StorePath> {
        StorePath::parse(&format!("{}/{base}", self.dir))
    }

    /// The store path that a path leads to: a store path itself, something below one, or anything that leads there
    /// through symbolic links, at its end or in its middle, such as `./result/bin`.
    ///
    /// The path is walked as the kernel does (path_resolution(7)), until it is in a store path: what follows is not looked
    /// at, except where it leads out again by `..`. A relative path begins in the current directory of this machine;
    /// absolute paths and targets of links are looked up below the root, and on this machine if they lead nowhere there.
    pub fn resolve(&self, path: &Path) -> Result<StorePath> {
        let current = || std::env::current_dir().map_err(Error::io("find", path));
        let current = if path.is_absolute() { PathBuf::new() } else { current()? };
        self.resolve_from(&current, path).or_else(|error| self.resolve_here(&current, path).ok_or(error))
    }

    /// The store path that a path of this machine leads to, wherever the store is on this machine; none if it leads elsewhere.
    fn resolve_here(&self, current: &Path, path: &Path) -> Option<StorePath> {
        let store = self.locate(&self.dir).canonicalize().ok()?;
        let mut walk = Walk::new("/", current, path);
        loop {
            // All links before this are followed, as they are in the store's own path.
            if let Ok(inside) = walk.at().strip_prefix(&store)
                && let Some(Component::Normal(base)) = inside.components().next()
                && walk.left().all(|name| *name != *"..")
            {
                return self.entry(base.to_str()?).ok();
            }
            // A store path that is a link is not followed.
            let entered = |at: &Path| at.parent() == Some(&store);
            let look = |at: &Path| if entered(at) { Ok(Found::Directory) } else { Found::on_disk(at) };
            if !walk.step(look).ok()? {
                return None;
            }
        }
    }

    /// [`resolve`](Store::resolve) of a path that begins in `current` if it is relative.
    fn resolve_from(&self, current: &Path, path: &Path) -> Result<StorePath> {
        let outside = |cause: String| Error::StorePath { text: path.display().to_string(), cause };
        let mut walk = Walk::new("/", current, path);
        // Whether the walk is below the root of the store, and not in the directories of this machine.
        let mut is_below = path.is_absolute() || self.root == Path::new("/");
        loop {
            let full: PathBuf = [walk.at().as_os_str()].into_iter().chain(walk.left()).collect();
            let entry = if is_below { self.entry_of(&full)? } else { None };
            if let Some((entry, false)) = entry {
                return Ok(entry);
            }
            let look = |at: &Path| {
                // The store is known by its name, links that lead to it or not.
                if entry.is_some() && Path::new(&self.dir).starts_with(at) {
                    return Ok(Found::Directory);
                }
                let found = Found::on_disk(&if is_below { self.locate(at) } else { at.to_owned() })?;
                is_below |= matches!(&found, Found::Symlink(target) if target.is_absolute());
                Ok(found)
            };
            let is_end = match walk.step(look) {
                Ok(has_more) => !has_more,
                Err(Stop::TooManySymlinks) => return Err(outside("too many links".to_owned())),
                Err(Stop::NotADirectory(_)) => {
                    return Err(Error::io("find", path)(io::ErrorKind::NotADirectory.into()));
                }
                Err(Stop::Lookup(source)) => return Err(Error::io("find", path)(source)),
            };
            if is_end {
                return Err(outside(format!("it is outside the store {}", self.dir)));
            }
        }
    }

    /// The store path that an absolute logical path is or lies in, by its name alone, and whether `..` follows in the path.
    fn entry_of(&self, path: &Path) -> Result<Option<(StorePath, bool)>> {
        let Ok(inside) = path.strip_prefix(&self.dir) else { return Ok(None) };
        let mut components = inside.components();
        let Some(Component::Normal(base)) = components.next() else { return Ok(None) };
        let base = base.to_str().ok_or_else(|| Error::StorePath {
            text: path.display().to_string(),
            cause: "its name is not UTF-8".to_owned(),
        })?;
        Ok(Some((self.entry(base)?, components.any(|component| component == Component::ParentDir))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_end_in_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new("/nix/store/", dir.path()).unwrap();
        symlink("/nix/store/abc-x/bin", dir.path().join("result")).unwrap();
        symlink("result", dir.path().join("again")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let expected = StorePath::parse("/nix/store/abc-x").unwrap();
        assert_eq!(store.resolve(Path::new("/again")).unwrap(), expected);
        assert_eq!(store.resolve(Path::new("/nix/store/abc-x")).unwrap(), expected);
        assert!(store.resolve(Path::new("/loop")).is_err());
        assert!(store.resolve(Path::new("/absent")).is_err());
        assert!(store.parse("/gnu/store/abc-x").is_err());
    }

    /// `..` and links at every place of a path, as the kernel goes; and stores that a link leads to.
    #[test]
    fn paths_are_walked_as_the_kernel_does() {
        let dir = tempfile::tempdir().unwrap();
        let make = |path: &str| std::fs::create_dir_all(dir.path().join(path)).unwrap();
        ["data/store/a/bin/deep", "data/store/b/share", "home/far"].into_iter().for_each(make);
        std::fs::write(dir.path().join("data/store/file"), "").unwrap();
        let link = |target: &str, name: &str| symlink(target, dir.path().join(name)).unwrap();
        link("data", "nix");
        link("/nix/store/a", "home/result");
        link("../result/../b", "home/far/other");
        link("/home/far", "data/store/away");
        let store = Store::new("/nix/store", dir.path()).unwrap();
        for (path, expected) in [
            ("/nix/store/a/../b", Ok("b")),
            ("/nix/store/a/./../b/../a/bin", Ok("a")),
            ("/nix/store/a/bin/deep/../../../b/share", Ok("b")),
            ("/nix/./store/b/x/y", Ok("b")),
            ("/home/result", Ok("a")),
            ("/home/result/bin/deep", Ok("a")),
            ("/home/result/../b", Ok("b")),
            ("/home/far/other", Ok("b")),
            ("/home/far/../result/bin", Ok("a")),
            ("/../home/result", Ok("a")),
            // The target's parent, not the link's.
            ("/nix/store/away/../result", Ok("a")),
            ("/nix/store/away", Ok("away")),
            ("/nix/store/a/..", Err("outside the store")),
            ("/nix/store/a/../../..", Err("outside the store")),
            ("/nix/store/file/../a", Err("not a directory")),
            ("/nix/store/absent/../a", Err("No such file")),
            ("/home/absent/x", Err("No such file")),
            ("/home", Err("outside the store")),
        ] {
            let found = store.resolve(Path::new(path));
            match expected {
                Ok(name) => assert_eq!(found.unwrap(), store.entry(name).unwrap(), "{path}"),
                Err(cause) => assert!(found.unwrap_err().to_string().contains(cause), "{path}"),
            }
        }
    }

    /// Where the store is on this machine counts too, for paths and links that lead nowhere below the root.
    #[test]
    fn paths_of_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["root/nix/store/a/bin", "root/nix/store/b", "home", "other"] {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let real = dir.path().canonicalize().unwrap();
        symlink(real.join("root/nix/store/a/bin"), dir.path().join("home/result")).unwrap();
        symlink(real.join("root/nix"), dir.path().join("home/nix")).unwrap();
        symlink(real.join("other"), dir.path().join("root/nix/store/link")).unwrap();
        let store = Store::new("/nix/store", dir.path().join("root")).unwrap();
        let full = |path: &str| real.join(path).display().to_string();
        for (path, expected) in [
            (full("home/result"), Some("a")),
            (full("home/nix/store/b/absent"), Some("b")),
            (full("root/nix/store/a/../b"), Some("b")),
            (full("root/nix/store/link"), Some("link")),
            (full("root/nix/store"), None),
            (full("home/nix"), None),
            (full("other"), None),
        ] {
            let found = store.resolve(Path::new(&path));
            match expected {
                Some(name) => assert_eq!(found.unwrap(), store.entry(name).unwrap(), "{path}"),
                None => assert!(found.is_err(), "{path}"),
            }
        }
    }

    /// A relative path begins in a directory of this machine, which need not lie below the root.
    #[test]
    fn relative_paths_are_walked_as_well() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["root/nix/store/a/bin", "root/nix/store/b", "home/far"] {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        symlink("/nix/store/a", dir.path().join("home/result")).unwrap();
        symlink("far", dir.path().join("home/near")).unwrap();
        let home = dir.path().canonicalize().unwrap().join("home/far");
        for root in ["root", "other"] {
            let store = Store::new("/nix/store", dir.path().join(root)).unwrap();
            for path in ["../result", "../result/bin", "../near/../result/absent", ".././far/../result"] {
                assert_eq!(store.resolve_from(&home, path.as_ref()).unwrap(), store.entry("a").unwrap(), "{path}");
            }
            let found = store.resolve_from(&home, "../result/../b".as_ref()).map_err(|e| e.to_string());
            match root {
                "root" => assert_eq!(found, Ok(store.entry("b").unwrap())),
                _ => assert!(found.unwrap_err().contains("No such file")),
            }
            for path in ["..", "../near"] {
                let error = store.resolve_from(&home, path.as_ref()).unwrap_err().to_string();
                assert!(error.contains("outside the store"), "{path}: {error}");
            }
        }
    }
}
