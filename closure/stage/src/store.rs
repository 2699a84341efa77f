//! Where store paths are on this machine: a store directory, seen below a root directory.
//!
//! Outputs only ever name logical paths (`/nix/store/…`); this is the one place that knows where they really are.

use crate::{Error, Result, StorePath};
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

    /// The store path that a path leads to: a store path itself, something below one, or a link (a chain of links)
    /// that ends in the store, such as `./result`.
    ///
    /// A relative path is taken from the current folder of this machine and its links are followed there until one
    /// is absolute: absolute targets are looked up below the root.
    pub fn resolve(&self, path: &Path) -> Result<StorePath> {
        let outside = |cause: String| Error::StorePath { text: path.display().to_string(), cause };
        let mut at = path.to_owned();
        for _ in 0..MAX_LINKS {
            if let Some(found) = self.containing(&at)? {
                return Ok(found);
            }
            let real = if at.is_absolute() { self.locate(&at) } else { at.clone() };
            match std::fs::read_link(&real) {
                Ok(target) if target.is_absolute() => at = target,
                Ok(target) => at = at.parent().unwrap_or(Path::new("")).join(target),
                Err(_) => {
                    real.symlink_metadata().map_err(Error::io("find", path))?;
                    return Err(outside(format!("it is outside the store {}", self.dir)));
                }
            }
        }
        Err(outside("too many links".to_owned()))
    }

    /// The store path that an absolute logical path is or lies in, by its name alone.
    fn containing(&self, path: &Path) -> Result<Option<StorePath>> {
        let Ok(inside) = path.strip_prefix(&self.dir) else { return Ok(None) };
        let Some(Component::Normal(base)) = inside.components().next() else { return Ok(None) };
        let base = base.to_str().ok_or_else(|| Error::StorePath {
            text: path.display().to_string(),
            cause: "its name is not UTF-8".to_owned(),
        })?;
        self.entry(base).map(Some)
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
}
