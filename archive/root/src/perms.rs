//! Owners and modes by rule: what whoever makes an image without being root cannot set in the file system.
//!
//! The rules go over the entries of the finished layer, one after the other, so that of those that match the last one
//! decides, field by field. Names are those of the layer, or over a base those where entries come to be.

use crate::over::{below_root, path};
use crate::{Error, Result};
use glob::MatchOptions;
use layerstone_tar::{Entry, Kind, Owner, Placed};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// `*` and `?` stop at a slash, and find names that begin with a dot.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };
/// The bits that a mode may have (chmod(2)).
const MODE_BITS: u32 = 0o7777;

/// What entries get that a rule finds; what it does not say stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The entries.
    pub which: Which,
    /// Permission bits; links have none.
    pub mode: Option<u32>,
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// User name; with a user id alone it is that of [`Owner::numbered`].
    pub uname: Option<String>,
    /// Group name, likewise.
    pub gname: Option<String>,
}

/// Which entries a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one of this name; `.` or `/` for the root folder.
    Path(PathBuf),
    /// Those whose whole names below the root match: `*` and `?` within a name, `**` for any folders, `[…]`.
    Glob(glob::Pattern),
}

impl Which {
    /// The entry of a name, with or without a slash or `./` in front.
    pub fn path(name: &str) -> Which {
        Which::Path(trimmed(name).into())
    }

    /// The entries that match a pattern, with or without a slash or `./` in front. Of a name that is not UTF-8, the bytes
    /// that are not are found by `*`, `?` and `**` alone.
    pub fn glob(pattern: &str) -> Result<Which> {
        let bad = |cause: glob::PatternError| Error::Glob { pattern: pattern.to_owned(), cause: cause.to_string() };
        glob::Pattern::new(trimmed(pattern)).map(Which::Glob).map_err(bad)
    }

    fn matches(&self, name: &Path) -> bool {
        match self {
            Which::Path(path) => path.as_os_str() == name.as_os_str(),
            Which::Glob(_) if name.as_os_str().is_empty() => false,
            Which::Glob(pattern) => pattern.matches_with(&name.as_os_str().to_string_lossy(), OPTIONS),
        }
    }
}

impl fmt::Display for Which {
    /// `path bin/x`, `glob home/**`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Path(path) if path.as_os_str().is_empty() => f.write_str("path ."),
            Which::Path(path) => write!(f, "path {}", path.display()),
            Which::Glob(pattern) => write!(f, "glob {pattern}"),
        }
    }
}

impl Rule {
    /// Whether it gives a name to an owner.
    pub(crate) fn has_names(&self) -> bool {
        self.uname.is_some() || self.gname.is_some()
    }

    fn has_owner(&self) -> bool {
        self.uid.is_some() || self.gid.is_some() || self.has_names()
    }

    fn apply(&self, entry: &mut Entry, common: &Common<'_>) {
        if let Some(mode) = self.mode
            && !is_link(entry)
        {
            entry.mode = mode & MODE_BITS;
        }
        if !self.has_owner() {
            return;
        }
        let mut owner = entry.owner.take().map_or_else(|| common.owner.clone(), |owner| *owner);
        let named = common.numbered(self.uid.unwrap_or(owner.uid), self.gid.unwrap_or(owner.gid));
        if self.uid.is_some() {
            (owner.uid, owner.uname) = (named.uid, named.uname);
        }
        if self.gid.is_some() {
            (owner.gid, owner.gname) = (named.gid, named.gname);
        }
        if let Some(uname) = &self.uname {
            owner.uname.clone_from(uname);
        }
        if let Some(gname) = &self.gname {
            owner.gname.clone_from(gname);
        }
        entry.owner = Some(Box::new(owner));
    }
}

/// What entries of a layer have in common.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    /// Owner of those that name none.
    pub owner: &'a Owner,
    /// Whether owners have numbers only, unless a rule names them.
    pub numeric: bool,
}

impl Common<'_> {
    fn numbered(&self, uid: u32, gid: u32) -> Owner {
        match self.numeric {
            true => Owner { uid, gid, ..Owner::numeric_root() },
            false => Owner::numbered(uid, gid),
        }
    }
}

/// Applies the rules to the members of a layer. `names` are what the members are called before they come to their places
/// over a base, none if there is no base; either name will do.
///
/// # Errors
///
/// A rule finds no entry, or sets a mode and finds nothing but links.
pub fn apply(rules: &[Rule], members: &mut [Placed], names: &[PathBuf], common: Common<'_>) -> Result<()> {
    for rule in rules {
        let (mut is_found, mut is_used) = (false, false);
        for (index, member) in members.iter_mut().enumerate() {
            let own = names.get(index).is_some_and(|name| rule.which.matches(name));
            if !own && !rule.which.matches(&place(&member.entry)) {
                continue;
            }
            is_found = true;
            is_used |= rule.has_owner() || !is_link(&member.entry);
            rule.apply(&mut member.entry, &common);
        }
        match (is_found, is_used) {
            (true, true) => {}
            (true, false) => return Err(Error::ModeOfLinks { which: rule.which.to_string() }),
            (false, _) => return Err(Error::NothingFound { which: rule.which.to_string() }),
        }
    }
    Ok(())
}

fn place(entry: &Entry) -> Cow<'_, Path> {
    match entry.name.strip_prefix(b"./") {
        Some(name) => Cow::Borrowed(path(name)),
        None => Cow::Owned(below_root(&entry.name)),
    }
}

fn is_link(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Symlink { .. })
}

/// A name as it is below the root.
fn trimmed(name: &str) -> &str {
    let name = name.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/');
    if name == "." { "" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Rule =
        Rule { which: Which::Path(PathBuf::new()), mode: None, uid: None, gid: None, uname: None, gname: None };

    fn on(glob: &str) -> Rule {
        Rule { which: Which::glob(glob).unwrap(), ..NOTHING }
    }

    /// The root, `a/`, `a/.h`, `a/b/`, `a/b/c`, `a/l -> b`, `a/X` where X is no text, `d`.
    fn members() -> Vec<Placed> {
        let entries = [
            Entry::directory(b".", 0o755),
            Entry::directory(b"./a", 0o755),
            Entry::file(b"./a/.h", 0o644, 0),
            Entry::directory(b"./a/b", 0o755),
            Entry::file(b"./a/b/c", 0o644, 0),
            Entry::symlink(b"./a/l", b"b"),
            Entry::file(b"./a/\xe9", 0o644, 0),
            Entry::file(b"./d", 0o644, 0),
        ];
        entries.into_iter().map(Placed::bare).collect()
    }

    fn applied(rules: &[Rule], names: &[&str]) -> Result<Vec<Placed>> {
        let mut members = members();
        let names: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        apply(rules, &mut members, &names, Common { owner: &Owner::numbered(5, 5), numeric: false })?;
        Ok(members)
    }

    /// The names of those that a rule gives the mode 0700 or a new owner.
    #[track_caller]
    fn check(rule: Rule, expected: &[&str]) {
        let found = applied(&[Rule { uid: Some(7), ..rule }], &[]).unwrap();
        let names = found.iter().filter(|member| member.entry.owner.is_some());
        let names: Vec<String> = names.map(|member| member.entry.name.escape_ascii().to_string()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn which_entries() {
        let path = |name| Rule { which: Which::path(name), ..NOTHING };
        for name in ["a/b", "/a/b", "./a/b", "a/b/"] {
            check(path(name), &["./a/b"]);
        }
        for name in ["", ".", "/", "./"] {
            check(path(name), &["."]);
        }
        check(on("*"), &["./a", "./d"]);
        check(on("/a/*"), &["./a/.h", "./a/b", "./a/l", "./a/\\xe9"]);
        check(on("./a/?"), &["./a/b", "./a/l", "./a/\\xe9"]);
        check(on("a/[a-c]"), &["./a/b"]);
        check(on("a/**"), &["./a/.h", "./a/b", "./a/b/c", "./a/l", "./a/\\xe9"]);
        check(on("**/c"), &["./a/b/c"]);
        check(on("**"), &["./a", "./a/.h", "./a/b", "./a/b/c", "./a/l", "./a/\\xe9", "./d"]);
        let error = Which::glob("a/[").unwrap_err().to_string();
        assert!(error.starts_with("not a glob: \"a/[\": "), "{error}");
    }

    #[test]
    fn the_last_one_wins_field_by_field() {
        let rules = [
            Rule { mode: Some(0o700), uid: Some(1000), gid: Some(0), ..on("a/**") },
            Rule { mode: Some(0o4711), ..on("**/c") },
            Rule { uname: Some("app".to_owned()), gid: Some(9), ..on("a/b/*") },
        ];
        let found = applied(&rules, &[]).unwrap();
        let line = |entry: &Entry| {
            let owner = entry.owner.as_ref().unwrap();
            format!("{:o} {}:{} {}:{}", entry.mode, owner.uid, owner.gid, owner.uname, owner.gname)
        };
        assert_eq!(line(&found[4].entry), "4711 1000:9 app:");
        assert_eq!(line(&found[3].entry), "700 1000:0 :root");
        assert_eq!(line(&found[5].entry), "777 1000:0 :root", "a link has no mode of its own");
        assert!(found[7].entry.owner.is_none());
    }

    /// A group alone leaves the user what it is.
    #[test]
    fn what_is_not_said_stays() {
        let found = applied(&[Rule { gid: Some(0), ..on("d") }], &[]).unwrap();
        let owner = Owner { gid: 0, gname: "root".to_owned(), ..Owner::numbered(5, 5) };
        assert_eq!((found[7].entry.owner.as_deref(), found[7].entry.mode), (Some(&owner), 0o644));
    }

    #[test]
    fn rules_without_effect() {
        let told = |rule: Rule| applied(&[rule], &[]).unwrap_err().to_string();
        let mode = Some(0o700);
        assert_eq!(told(Rule { mode, ..on("x*") }), "cannot apply perms: glob x*: found nothing in the layer");
        let path = Rule { which: Which::path("/a/l"), mode, ..NOTHING };
        assert_eq!(told(path.clone()), "cannot apply perms: path a/l: found symbolic links only, which have no mode");
        applied(&[Rule { uid: Some(1), ..path }], &[]).unwrap();
    }

    #[test]
    fn names_before_they_came_to_their_places() {
        let names = ["", "x", "x/.h", "x/b", "x/b/c", "x/l", "x/y", "d"];
        for glob in ["x/b/c", "a/b/c"] {
            let found = applied(&[Rule { mode: Some(0o600), ..on(glob) }], &names).unwrap();
            assert_eq!(found[4].entry.mode, 0o600);
        }
    }
}
