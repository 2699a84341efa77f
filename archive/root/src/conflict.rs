//! Describes a conflict between two contents: what the layer has, and what it leaves out.

use std::fmt;
use std::path::PathBuf;

/// Two contents items that disagree about a link or file, or about the mode of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The name, relative to the root of the layer.
    pub path: PathBuf,
    /// Logical path of what the layer has.
    pub kept: PathBuf,
    /// Logical path of what it has not.
    pub ignored: PathBuf,
    /// The permission bits of the two, if these are what they disagree about.
    pub modes: Option<(u32, u32)>,
}

impl fmt::Display for Conflict {
    /// `bin/x: /nix/store/a/bin/x kept, /nix/store/b/bin/x ignored`, or `bin: mode 755 of /nix/store/b/bin kept, 555 of
    /// /nix/store/a/bin ignored`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, kept, ignored) = (self.path.display(), self.kept.display(), self.ignored.display());
        match self.modes {
            None => write!(f, "{path}: {kept} kept, {ignored} ignored"),
            Some((ours, theirs)) => write!(f, "{path}: mode {ours:o} of {kept} kept, {theirs:o} of {ignored} ignored"),
        }
    }
}
