//! Follows symbolic links below a root as Linux does (path_resolution(7)), on disk or in memory. Does not know what is at a
//! name: whoever asks says so.
//!
//! There is one limit, [`MAX_SYMLINKS`], and one rule for `..`: the parent of the root is the root, whether the path or a
//! link asks for it. An absolute link leads to the root. A walk reports `..` at the root, so that those who
//! refuse what leads out can do so.
//!
//! [`Walk`] is the whole algorithm on paths. [`Components`] is what is common to it and to a walk on open directories.

use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Symbolic links followed in one path: as many as Linux follows (path_resolution(7)).
pub const MAX_SYMLINKS: usize = 40;

/// What is at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing; what is below it is nothing either. Whoever wants an error there returns it from the look-up.
    Nothing,
    /// A directory.
    Directory,
    /// A symbolic link with this text.
    Symlink(PathBuf),
    /// Something that can only be the end of a path.
    Other,
}

impl Found {
    /// Looks a file up on disk; a symbolic link at its end is not followed.
    ///
    /// # Errors
    ///
    /// It is not there or cannot be read.
    pub fn on_disk(path: &Path) -> io::Result<Found> {
        let kind = path.symlink_metadata()?.file_type();
        Ok(if kind.is_symlink() {
            Found::Symlink(path.read_link()?)
        } else if kind.is_dir() {
            Found::Directory
        } else {
            Found::Other
        })
    }
}

/// Why a walk ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop<E> {
    /// There are more than [`MAX_SYMLINKS`] links.
    TooManySymlinks,
    /// Something comes after this path, which is no directory.
    NotADirectory(PathBuf),
    /// The look-up failed.
    Lookup(E),
}

/// Where `..` was asked for at the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Escape {
    /// In the path itself.
    Path,
    /// In the text of a link.
    Symlink {
        /// Where the link is.
        link: PathBuf,
        /// Its text.
        target: PathBuf,
    },
}

/// A path that is being followed. Paths that are looked up begin with the root and have neither links nor `..` in them.
#[derive(Clone, Debug)]
pub struct Walk {
    root: PathBuf,
    at: PathBuf,
    /// Whether what is at `at` can have something below it.
    is_open: bool,
    left: Components,
    /// Whether a link that is the last component is followed.
    follows_last: bool,
    escape: Option<Escape>,
}

impl Walk {
    /// Begins a walk in the directory `at`, which is the root or lies below it; at the root if the path is absolute.
    pub fn new(root: impl Into<PathBuf>, at: impl Into<PathBuf>, path: &Path) -> Walk {
        let (root, at) = (root.into(), at.into());
        let at = if path.is_absolute() { root.clone() } else { at };
        Walk { root, at, is_open: true, left: Components::new(path), follows_last: true, escape: None }
    }

    /// The same walk without following a link that is the last component. Behind a slash at the end there is another one.
    pub fn keeping_last(self) -> Walk {
        Walk { follows_last: false, ..self }
    }

    /// Walks to the end; where that is.
    ///
    /// # Errors
    ///
    /// See [`Stop`].
    pub fn follow<E>(&mut self, mut look: impl FnMut(&Path) -> Result<Found, E>) -> Result<PathBuf, Stop<E>> {
        while self.step(&mut look)? {}
        Ok(self.at.clone())
    }

    /// Takes one component; false if there is none left.
    ///
    /// # Errors
    ///
    /// See [`Stop`].
    pub fn step<E>(&mut self, mut look: impl FnMut(&Path) -> Result<Found, E>) -> Result<bool, Stop<E>> {
        let Some(name) = self.left.next() else { return Ok(false) };
        if !self.is_open {
            return Err(Stop::NotADirectory(self.at.clone()));
        }
        match name.as_bytes() {
            b"" | b"." => {}
            b".." if self.at == self.root => {
                self.escape.get_or_insert_with(|| self.left.source());
            }
            b".." => drop(self.at.pop()),
            _ => {
                let next = self.at.join(&name);
                match look(&next).map_err(Stop::Lookup)? {
                    Found::Symlink(target) if self.follows_last || !self.left.is_empty() => {
                        if target.is_absolute() {
                            self.at.clone_from(&self.root);
                        }
                        self.left.enter(next, target).map_err(|TooManySymlinks| Stop::TooManySymlinks)?;
                    }
                    found => {
                        self.is_open = matches!(found, Found::Nothing | Found::Directory);
                        self.at = next;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Where the walk is.
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// The components that are left, links among them not followed.
    pub fn left(&self) -> impl Iterator<Item = &OsStr> {
        self.left.iter()
    }

    /// Where `..` was first asked for at the root.
    pub fn escape(&self) -> Option<&Escape> {
        self.escape.as_ref()
    }
}

/// A path and the texts of the links that were met in it, component by component.
#[derive(Clone, Debug)]
pub struct Components {
    /// The path, and the links that are not yet followed to their ends, the last one last.
    texts: Vec<Text>,
    links: usize,
}

/// A path has more than [`MAX_SYMLINKS`] links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySymlinks;

/// A path or the text of a link.
#[derive(Clone, Debug)]
struct Text {
    /// Where the link is.
    link: Option<PathBuf>,
    bytes: Vec<u8>,
    /// Where the next component begins; none behind the last one.
    next: Option<usize>,
}

impl Components {
    /// The components of a path, empty ones too: two slashes have one between them, and a slash at an end has one behind it.
    pub fn new(path: &Path) -> Components {
        Components { texts: vec![Text::new(None, path.to_owned())], links: 0 }
    }

    /// Whether no component is left.
    pub fn is_empty(&self) -> bool {
        self.texts.iter().all(|text| text.next.is_none())
    }

    /// Goes on with the text of a link, and then with what is left.
    ///
    /// # Errors
    ///
    /// It is one link too many.
    pub fn enter(&mut self, link: PathBuf, target: PathBuf) -> Result<(), TooManySymlinks> {
        self.links += 1;
        if self.links > MAX_SYMLINKS {
            return Err(TooManySymlinks);
        }
        self.texts.push(Text::new(Some(link), target));
        Ok(())
    }

    /// All that are left.
    fn iter(&self) -> impl Iterator<Item = &OsStr> {
        let rests = self.texts.iter().rev().filter_map(|text| text.bytes.get(text.next?..));
        rests.flat_map(|rest| rest.split(|&byte| byte == b'/')).map(OsStr::from_bytes)
    }

    /// What the last component is of.
    fn source(&self) -> Escape {
        match self.texts.last() {
            Some(Text { link: Some(link), bytes, .. }) => {
                Escape::Symlink { link: link.clone(), target: OsString::from_vec(bytes.clone()).into() }
            }
            _ => Escape::Path,
        }
    }
}

impl Iterator for Components {
    type Item = OsString;

    fn next(&mut self) -> Option<OsString> {
        // The text that the last component is of stays, for `source`.
        while self.texts.pop_if(|text| text.next.is_none()).is_some() {}
        let text = self.texts.last_mut()?;
        let rest = &text.bytes[text.next?..];
        let slash = rest.iter().position(|&byte| byte == b'/');
        let component = OsStr::from_bytes(&rest[..slash.unwrap_or(rest.len())]).to_owned();
        text.next = slash.and_then(|slash| Some(text.next? + slash + 1));
        Some(component)
    }
}

impl Text {
    fn new(link: Option<PathBuf>, text: PathBuf) -> Text {
        Text { link, bytes: text.into_os_string().into_vec(), next: Some(0) }
    }
}

/// A path of this machine and where the links lead that its last component is, for a file that may not be there yet: the
/// last of these paths is no link. What comes before the last component stays as it is written: the system follows it when
/// the file is opened.
///
/// # Errors
///
/// There are too many links.
pub fn follow_last(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut chain = vec![path.to_owned()];
    let mut at = path.to_owned();
    while let Ok(target) = at.read_link() {
        if chain.len() > MAX_SYMLINKS {
            return Err(Errno::LOOP.into());
        }
        at = parent_of(&at).join(target);
        chain.push(at.clone());
    }
    Ok(chain)
}

/// The directory in which a path's last component is.
pub(crate) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != OsStr::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const TREE: &[&str] = &[
        "usr/",
        "usr/bin/",
        "usr/bin/sh",
        "bin->usr/bin",
        "abs->/usr/bin",
        "etc/",
        "etc/passwd",
        "etc/up->../bin/sh",
        "etc/self->.",
        "out->../../x",
        "clamped->/../usr",
        "round->dnuor",
        "dnuor->round",
        "slash->etc/passwd/",
        "dangling->etc/new/x",
    ];

    fn tree(lines: &[&str]) -> BTreeMap<PathBuf, Found> {
        let entry = |line: &&str| match (line.split_once("->"), line.strip_suffix('/')) {
            (Some((name, target)), _) => (name.into(), Found::Symlink(target.into())),
            (None, Some(name)) => (name.into(), Found::Directory),
            (None, None) => (line.into(), Found::Other),
        };
        lines.iter().map(entry).collect()
    }

    /// Follows a path below `root`, where the names of the tree are below it.
    fn walk(lines: &[&str], root: &str, path: &str) -> (Result<PathBuf, Stop<()>>, Option<Escape>) {
        let tree = tree(lines);
        let look = |path: &Path| Ok(tree.get(path.strip_prefix(root).unwrap()).cloned().unwrap_or(Found::Nothing));
        let mut walk = Walk::new(root, root, Path::new(path));
        (walk.follow(look), walk.escape().cloned())
    }

    #[track_caller]
    fn check(path: &str, expected: &str) {
        for root in ["", "/", "/r"] {
            let expected = if expected.is_empty() { root.into() } else { Path::new(root).join(expected) };
            assert_eq!(walk(TREE, root, path), (Ok(expected), None), "{root} {path}");
        }
    }

    #[test]
    fn links_and_parents() {
        check("", "");
        check("usr/bin/sh", "usr/bin/sh");
        check("/usr//./bin/../bin/sh", "usr/bin/sh");
        check("bin/sh", "usr/bin/sh");
        check("abs/sh", "usr/bin/sh");
        check("abs/", "usr/bin");
        check("etc/up", "usr/bin/sh");
        check("etc/self/self/passwd", "etc/passwd");
        check("bin/../bin", "usr/bin");
        check("no/such/../x", "no/x");
        check("dangling/y", "etc/new/x/y");
    }

    #[test]
    fn the_parent_of_the_root_is_the_root() {
        for (path, expected, escape) in [
            ("..", "", Escape::Path),
            ("bin/../../../etc", "etc", Escape::Path),
            ("out/y", "x/y", Escape::Symlink { link: "out".into(), target: "../../x".into() }),
            ("clamped/bin", "usr/bin", Escape::Symlink { link: "clamped".into(), target: "/../usr".into() }),
        ] {
            assert_eq!(walk(TREE, "", path), (Ok(expected.into()), Some(escape)), "{path}");
        }
    }

    #[test]
    fn what_is_no_directory() {
        for path in ["etc/passwd/x", "etc/passwd/", "etc/passwd/.", "etc/passwd/..", "slash"] {
            assert_eq!(walk(TREE, "", path).0, Err(Stop::NotADirectory("etc/passwd".into())), "{path}");
        }
    }

    #[test]
    fn the_last_link_may_be_left_alone() {
        let tree = tree(TREE);
        for (path, expected) in
            [("bin", "bin"), ("bin/", "usr/bin"), ("bin/sh", "usr/bin/sh"), ("etc/self/up", "etc/up")]
        {
            let mut walk = Walk::new("", "", Path::new(path)).keeping_last();
            let found = walk.follow(|path| tree.get(path).cloned().ok_or(()));
            assert_eq!(found, Ok(expected.into()), "{path}");
        }
    }

    #[test]
    fn as_many_links_as_linux_follows() {
        assert_eq!(walk(TREE, "", "round/x").0, Err(Stop::TooManySymlinks));
        for (count, expected) in [(40, Ok("40".into())), (41, Err(Stop::TooManySymlinks))] {
            let chain: Vec<String> = (0..count).map(|at| format!("{at}->{}", at + 1)).collect();
            let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
            assert_eq!(walk(&chain, "", "0").0, expected);
        }
    }

    /// The same paths on disk, where the system follows them.
    #[test]
    fn as_the_system_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for (path, found) in tree(TREE) {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match found {
                Found::Directory => std::fs::create_dir_all(path).unwrap(),
                Found::Symlink(target) => std::os::unix::fs::symlink(target, path).unwrap(),
                _ => std::fs::write(path, "").unwrap(),
            }
        }
        let paths = [
            "bin/sh",
            "etc/up",
            "etc/self/self/passwd",
            "bin/../bin/",
            "slash",
            "round",
            "no",
            "etc/passwd/..",
            "bin//.",
        ];
        for path in paths.map(|path| root.join(path)) {
            let mut walk = Walk::new("/", "/", &path);
            assert_eq!(walk.follow(Found::on_disk).ok(), path.canonicalize().ok(), "{}", path.display());
        }
    }
}
