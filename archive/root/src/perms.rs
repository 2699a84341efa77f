//! Applies the rules of `perms` to the entries of a finished layer: owners and modes that only root could set on disk.
//!
//! The rules are applied one after the other, so that of those that match the last one decides, field by field. A rule
//! names an entry by its name in the layer, or over a base by the name that it has in the image.

use crate::tree::below_root;
use crate::{Error, Result};
use glob::MatchOptions;
use layerstone_spec::{Perm, Which};
use layerstone_tar::{Entry, Kind, Owner, Placed};
use std::fmt;
use std::path::{Path, PathBuf};

/// `*` and `?` stop at a slash, and find names that begin with a dot.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };
/// The bits that a mode may have (chmod(2)).
const MODE_BITS: u32 = 0o7777;

/// The rules of a spec, with their patterns compiled.
#[derive(Debug)]
pub struct Rules<'a>(Vec<(&'a Perm, Pattern)>);

/// Which entries a rule is about.
#[derive(Debug)]
enum Pattern {
    /// The one of this name; empty for the root directory.
    Path(PathBuf),
    /// Those whose full names below the root match. Of a name that is not UTF-8, the bytes that are not match `*`, `?`
    /// and `**` alone.
    Glob(glob::Pattern),
}

impl Pattern {
    fn new(which: &Which) -> Result<Pattern> {
        match which {
            Which::Path(name) => Ok(Pattern::Path(trimmed(name).into())),
            Which::Glob(text) => compile(text, trimmed(text)).map(Pattern::Glob),
        }
    }

    fn matches(&self, name: &Path) -> bool {
        match self {
            Pattern::Path(path) => path.as_os_str() == name.as_os_str(),
            Pattern::Glob(_) if name.as_os_str().is_empty() => false,
            Pattern::Glob(pattern) => glob_matches(pattern, name),
        }
    }
}

/// Compiles what is left of a glob once it is trimmed; the error names all of it.
pub fn compile(text: &str, trimmed: &str) -> Result<glob::Pattern> {
    glob::Pattern::new(trimmed).map_err(|cause| Error::Glob { pattern: text.to_owned(), cause: cause.to_string() })
}

/// Whether a whole name below the root matches.
pub fn glob_matches(pattern: &glob::Pattern, name: &Path) -> bool {
    pattern.matches_with(&name.as_os_str().to_string_lossy(), OPTIONS)
}

impl fmt::Display for Pattern {
    /// `path bin/x`, `glob home/**`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Path(path) if path.as_os_str().is_empty() => f.write_str("path ."),
            Pattern::Path(path) => write!(f, "path {}", path.display()),
            Pattern::Glob(pattern) => write!(f, "glob {pattern}"),
        }
    }
}

/// Gives an entry what a rule says; what it does not say stays as it is.
fn change(entry: &mut Entry, perm: &Perm, defaults: &Defaults<'_>) {
    if let Some(mode) = perm.mode
        && !is_link(entry)
    {
        entry.mode = mode & MODE_BITS;
    }
    if !perm.has_owner() {
        return;
    }
    let old = entry.owner.take().map_or_else(|| defaults.owner.clone(), |owner| *owner);
    let (uid, gid) = (perm.uid.unwrap_or(old.uid), perm.gid.unwrap_or(old.gid));
    let new = defaults.numbered(uid, gid);
    let uname = perm.uname.clone().unwrap_or(if perm.uid.is_some() { new.uname } else { old.uname });
    let gname = perm.gname.clone().unwrap_or(if perm.gid.is_some() { new.gname } else { old.gname });
    entry.owner = Some(Box::new(Owner { uid, gid, uname, gname }));
}

/// The owner of entries that no rule gives one.
#[derive(Clone, Copy, Debug)]
pub struct Defaults<'a> {
    /// Owner of those that name none.
    pub owner: &'a Owner,
    /// Whether owners have numbers only, unless a rule names them.
    pub numeric: bool,
}

impl Defaults<'_> {
    fn numbered(&self, uid: u32, gid: u32) -> Owner {
        match self.numeric {
            true => Owner { uid, gid, ..Owner::numeric_root() },
            false => Owner::numbered(uid, gid),
        }
    }
}

impl<'a> Rules<'a> {
    /// Compiles the rules of a spec.
    pub fn new(perms: &'a [Perm]) -> Result<Rules<'a>> {
        let rules = perms.iter().map(|perm| Ok((perm, Pattern::new(&perm.which)?)));
        rules.collect::<Result<_>>().map(Rules)
    }

    /// Whether any gives a name to an owner.
    pub fn have_names(&self) -> bool {
        self.0.iter().any(|(perm, _)| perm.has_names())
    }

    /// Applies the rules to the members of a layer. `names` are the names of the members before they were placed on a
    /// base, none if there is no base; either name will do.
    ///
    /// # Errors
    ///
    /// A rule finds no entry, or sets a mode and finds nothing but links.
    pub fn apply(&self, members: &mut [Placed], names: &[PathBuf], defaults: Defaults<'_>) -> Result<()> {
        for (perm, pattern) in &self.0 {
            let (mut is_found, mut is_used) = (false, false);
            for (index, member) in members.iter_mut().enumerate() {
                let is_named = names.get(index).is_some_and(|name| pattern.matches(name));
                if !is_named && !pattern.matches(below_root(&member.entry.name)) {
                    continue;
                }
                is_found = true;
                is_used |= perm.has_owner() || !is_link(&member.entry);
                change(&mut member.entry, perm, &defaults);
            }
            let found = match (is_found, is_used) {
                (true, true) => continue,
                (true, false) => "symbolic links only, which have no mode",
                (false, _) => "nothing in the layer",
            };
            return Err(Error::Perm { which: pattern.to_string(), found });
        }
        Ok(())
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

    const NOTHING: Perm =
        Perm { which: Which::Path(String::new()), mode: None, uid: None, gid: None, uname: None, gname: None };

    fn on(glob: &str) -> Perm {
        Perm { which: Which::Glob(glob.to_owned()), ..NOTHING }
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

    fn applied(rules: &[Perm], names: &[&str]) -> Result<Vec<Placed>> {
        let mut members = members();
        let names: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let defaults = Defaults { owner: &Owner::numbered(5, 5), numeric: false };
        Rules::new(rules)?.apply(&mut members, &names, defaults)?;
        Ok(members)
    }

    /// The names of those that a rule gives the mode 0700 or a new owner.
    #[track_caller]
    fn check(rule: Perm, expected: &[&str]) {
        let found = applied(&[Perm { uid: Some(7), ..rule }], &[]).unwrap();
        let names = found.iter().filter(|member| member.entry.owner.is_some());
        let names: Vec<String> = names.map(|member| member.entry.name.escape_ascii().to_string()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn which_entries() {
        let path = |name: &str| Perm { which: Which::Path(name.to_owned()), ..NOTHING };
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
        let error = applied(&[on("a/[")], &[]).unwrap_err().to_string();
        assert!(error.starts_with("not a glob: \"a/[\": "), "{error}");
    }

    #[test]
    fn the_last_one_wins_field_by_field() {
        let rules = [
            Perm { mode: Some(0o700), uid: Some(1000), gid: Some(0), ..on("a/**") },
            Perm { mode: Some(0o4711), ..on("**/c") },
            Perm { uname: Some("app".to_owned()), gid: Some(9), ..on("a/b/*") },
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
        let found = applied(&[Perm { gid: Some(0), ..on("d") }], &[]).unwrap();
        let owner = Owner { gid: 0, gname: "root".to_owned(), ..Owner::numbered(5, 5) };
        assert_eq!((found[7].entry.owner.as_deref(), found[7].entry.mode), (Some(&owner), 0o644));
    }

    #[test]
    fn rules_without_effect() {
        let error = |rule: Perm| applied(&[rule], &[]).unwrap_err().to_string();
        let mode = Some(0o700);
        assert_eq!(error(Perm { mode, ..on("x*") }), "cannot apply perms: glob x*: found nothing in the layer");
        let path = Perm { which: Which::Path("/a/l".to_owned()), mode, ..NOTHING };
        assert_eq!(error(path.clone()), "cannot apply perms: path a/l: found symbolic links only, which have no mode");
        applied(&[Perm { uid: Some(1), ..path }], &[]).unwrap();
    }

    #[test]
    fn names_before_they_came_to_their_places() {
        let names = ["", "x", "x/.h", "x/b", "x/b/c", "x/l", "x/y", "d"];
        for glob in ["x/b/c", "a/b/c"] {
            let found = applied(&[Perm { mode: Some(0o600), ..on(glob) }], &names).unwrap();
            assert_eq!(found[4].entry.mode, 0o600);
        }
    }
}
