//! Where store paths are on this machine: a store directory, seen below a root directory.
//!
//! Outputs only ever name logical paths (`/nix/store/…`); this is the one place that knows where they really are.

use crate::{Error, Result, StorePath};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Links followed before a chain counts as a loop, as Linux does (path_resolution(7)).
const MAX_LINKS: usize = 40;

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
    /// absolute paths and targets of links are looked up below the root.
    pub fn resolve(&self, path: &Path) -> Result<StorePath> {
        let outside = |cause: String| Error::StorePath { text: path.display().to_string(), cause };
        let mut walk = Walk::new(self.absolute(path));
        for _ in 0..=MAX_LINKS {
            match self.walk(&mut walk, path)? {
                Step::Arrived(found) => return Ok(found),
                Step::Link(target) => walk.follow(&target),
                Step::End => {
                    self.real(&walk.at).symlink_metadata().map_err(Error::io("find", path))?;
                    return Err(outside(format!("it is outside the store {}", self.dir)));
                }
            }
        }
        Err(outside("too many links".to_owned()))
    }

    /// Walks to the next symbolic link, the store path, or the end.
    fn walk(&self, walk: &mut Walk, path: &Path) -> Result<Step> {
        loop {
            if let Some((entry, behind)) = self.entry_of(&walk.whole())? {
                if !behind.contains(&OsString::from("..")) {
                    return Ok(Step::Arrived(entry));
                }
                if !walk.at.starts_with(&self.dir) {
                    // The store is known by its name, links that lead to it or not.
                    let base = OsString::from(entry.base_name());
                    *walk = Walk { at: self.dir.clone().into(), rest: [base].into_iter().chain(behind).collect() };
                }
            }
            let Some(name) = walk.rest.pop_front() else { return Ok(Step::End) };
            if name == ".." {
                walk.up();
                continue;
            }
            let next = walk.at.join(name);
            let real = self.real(&next);
            match std::fs::read_link(&real) {
                Ok(target) => return Ok(Step::Link(target)),
                // The kernel goes through directories alone.
                Err(_) if walk.rest.is_empty() || real.is_dir() => walk.at = next,
                Err(_) => {
                    let metadata = real.metadata().map_err(Error::io("find", path))?;
                    let kind = if metadata.is_dir() { io::ErrorKind::Other } else { io::ErrorKind::NotADirectory };
                    return Err(Error::io("find", path)(kind.into()));
                }
            }
        }
    }

    /// The path from the top, if paths of this machine are those of the store.
    fn absolute(&self, path: &Path) -> PathBuf {
        match std::env::current_dir() {
            Ok(current) if self.root == Path::new("/") => current.join(path),
            _ => path.to_owned(),
        }
    }

    fn real(&self, path: &Path) -> PathBuf {
        match path.is_absolute() {
            true => self.locate(path),
            // The directory itself is called `.`.
            false => Path::new(".").join(path),
        }
    }

    /// The store path that an absolute logical path is or lies in, by its name alone, and what follows in the path.
    fn entry_of(&self, path: &Path) -> Result<Option<(StorePath, VecDeque<OsString>)>> {
        let Ok(inside) = path.strip_prefix(&self.dir) else { return Ok(None) };
        let mut components = inside.components();
        let Some(Component::Normal(base)) = components.next() else { return Ok(None) };
        let base = base.to_str().ok_or_else(|| Error::StorePath {
            text: path.display().to_string(),
            cause: "its name is not UTF-8".to_owned(),
        })?;
        Ok(Some((self.entry(base)?, components.map(|component| component.as_os_str().to_owned()).collect())))
    }
}

/// A path on the way: what was walked, without links, and what is to come.
struct Walk {
    at: PathBuf,
    rest: VecDeque<OsString>,
}

/// What was met on the way.
enum Step {
    Arrived(StorePath),
    /// A symbolic link with this target, in the directory that was walked to.
    Link(PathBuf),
    End,
}

impl Walk {
    fn new(path: PathBuf) -> Walk {
        let mut walk = Walk { at: PathBuf::new(), rest: VecDeque::new() };
        walk.follow(&path);
        walk
    }

    /// Goes on with a target of a link, and then with the rest.
    fn follow(&mut self, target: &Path) {
        if target.is_absolute() {
            self.at = PathBuf::from("/");
        }
        for component in target.components().rev() {
            if matches!(component, Component::Normal(_) | Component::ParentDir) {
                self.rest.push_front(component.as_os_str().to_owned());
            }
        }
    }

    /// All of it.
    fn whole(&self) -> PathBuf {
        self.at.iter().chain(self.rest.iter().map(OsString::as_os_str)).collect()
    }

    /// To the parent directory; that of the root is the root.
    fn up(&mut self) {
        match self.at.components().next_back() {
            None | Some(Component::ParentDir) => self.at.push(".."),
            _ => drop(self.at.pop()),
        }
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

    #[test]
    fn relative_paths_are_walked_as_well() {
        let mut walk = Walk::new("a/../../b/..".into());
        walk.at.push(walk.rest.pop_front().unwrap());
        assert_eq!((walk.at.as_path(), walk.whole()), (Path::new("a"), "a/../../b/..".into()));
        for expected in ["", ".."] {
            walk.rest.pop_front();
            walk.up();
            assert_eq!(walk.at, Path::new(expected));
        }
    }
}
