//! Defines the errors of the root stage.

use crate::conflict::Conflict;
use crate::loader::Missing;
use layerstone_sandbox::{Exceeded, describe_exit, quote};
use layerstone_store::StorePath;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Conflicts and other faults that a message spells out; the others are counted.
const LISTED: usize = 10;

/// An error of the root stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written, or a path is not a store path.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
    /// The spec names a file or time that cannot be used.
    #[error(transparent)]
    Spec(#[from] layerstone_spec::Error),
    /// The finished tree cannot be made a tar, or the tar of a base cannot be read.
    #[error(transparent)]
    Tar(#[from] layerstone_tar::Error),
    /// The finished tree cannot be made a layer.
    #[error(transparent)]
    Layer(#[from] layerstone_layer::Error),
    /// The finished tree cannot be scanned for references.
    #[error(transparent)]
    Closure(#[from] layerstone_closure::Error),
    /// Contents that are no directory, or that lead out of the store.
    #[error("cannot merge: {item}: {cause}")]
    Contents {
        /// The contents item.
        item: StorePath,
        /// What was found and what was expected.
        cause: String,
    },
    /// A socket, pipe or device in contents.
    #[error("cannot merge: {}: found a {found}, expected a directory, a regular file or a symbolic link", path.display())]
    Special {
        /// Its logical path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A link of contents that would be copied as a directory for ever.
    #[error("cannot copy: {}: a link to {}, a directory that it lies in", link.display(), directory.display())]
    Circle {
        /// Logical path of the link.
        link: PathBuf,
        /// Logical path of the directory.
        directory: PathBuf,
    },
    /// A link of contents that leads to directories too deep to be copied.
    #[error("cannot copy: {}: it leads to directories that are too deep", link.display())]
    TooDeep {
        /// Logical path of the link.
        link: PathBuf,
    },
    /// A directory and something else for one name.
    #[error(
        "contents disagree: {}: {} is a {}, {} a {}",
        path.display(), first.path.display(), first.what, second.path.display(), second.what
    )]
    Disagreement {
        /// The name, relative to the root of the layer.
        path: PathBuf,
        /// What the layer has from contents that came first.
        first: Side,
        /// What it cannot have as well.
        second: Side,
    },
    /// A directory of the layer and something else of the base for one name, or the other way round.
    #[error("layer and base disagree: {}: {ours}, the base's a {base}", name.display())]
    OverBase {
        /// The name, relative to the root of the layer.
        name: PathBuf,
        /// Which file of the layer it is: `/nix/store/…/bin is a directory`.
        ours: String,
        /// What the base has: `symbolic link to usr/bin`.
        base: String,
    },
    /// A link of the base, under the name of a directory of the layer, that cannot be followed.
    #[error("cannot place over the base: {}: {source}", name.display())]
    Unfollowed {
        /// The name of the directory.
        name: PathBuf,
        /// Why.
        source: layerstone_tar::Error,
    },
    /// Two entries of the layer that have one destination over the base.
    #[error(
        "cannot place over the base: {}: found {}, a {}, and {}, a {}, which come to one place",
        path.display(), first.0.display(), first.1, second.0.display(), second.1
    )]
    Collision {
        /// The destination.
        path: PathBuf,
        /// The name and kind of one.
        first: (PathBuf, &'static str),
        /// The name and kind of the other.
        second: (PathBuf, &'static str),
    },
    /// A directory of the layer that goes through a symlink of the base which is gone with the layer over it.
    #[error(
        "cannot place over the base: {}: links of the base lead to {}, but not with this layer over it",
        name.display(), destination.display()
    )]
    RedirectLost {
        /// The name of the directory.
        name: PathBuf,
        /// Its path in the base.
        destination: PathBuf,
    },
    /// Something of the image under a name of Nix's database.
    #[error("cannot put the Nix database over {over}: {}: found {found}, expected {expected}", path.display())]
    UnderNixDb {
        /// What has it: the root of the image, or the base.
        over: String,
        /// The path.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What may be there.
        expected: &'static str,
    },
    /// Contents that disagree, where that was not to be tolerated; never empty.
    #[error("contents conflict: {}", list(conflicts))]
    Conflicts {
        /// All of them, in the order of the contents and then of the paths.
        conflicts: Vec<Conflict>,
    },
    /// Something that a copied program needs and that neither the image nor this machine has; never empty.
    #[error("cannot find libraries: {}", list(missing))]
    Libraries {
        /// All of it.
        missing: Vec<Missing>,
    },
    /// Ready contents that cannot be made.
    #[error("cannot make helper: {name}: {cause}")]
    Helper {
        /// What they are called.
        name: &'static str,
        /// What was found and what was expected.
        cause: String,
    },
    /// A file of ready contents that the base has too.
    #[error("layer and base disagree: {}: {} would replace what the base has", name.display(), helper.display())]
    HelperOverBase {
        /// The name, relative to the root of the layer.
        name: PathBuf,
        /// Which helper it is: `helper fakeNss`.
        helper: PathBuf,
    },
    /// A pattern that is no glob.
    #[error("not a glob: {pattern:?}: {cause}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it, and where.
        cause: String,
    },
    /// A rule for owners and modes that fits no entry, or a rule for modes that fits only links.
    #[error("cannot apply perms: {which}: found {found}")]
    Perm {
        /// The entries: `path bin/x`, `glob bin/*`.
        which: String,
        /// What was found.
        found: &'static str,
    },
    /// A tar that is to be merged and cannot.
    #[error("cannot merge: {}: {source}", tar.display())]
    TarFile {
        /// The tar.
        tar: PathBuf,
        /// What is wrong with it, and where.
        source: io::Error,
    },
    /// There is no bash to run the script.
    #[error("cannot run: {script}: no bash in {searched} ({})", path.display())]
    NoBash {
        /// What the script is called.
        script: String,
        /// What was searched: PATH, or the layer that is the script's root and the store.
        searched: &'static str,
        /// The value of PATH.
        path: PathBuf,
    },
    /// Something under the name of a directory that is mounted in the layer.
    #[error("cannot run: {script}: cannot mount in the layer: {}: {source}", name.display())]
    NoMountPoint {
        /// What the script is called.
        script: String,
        /// The mount point, relative to the root of the layer.
        name: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The script's process cannot be started or watched.
    #[error("cannot run: {script}: {source}")]
    Spawn {
        /// What the script is called.
        script: String,
        /// Why.
        source: layerstone_sandbox::Error,
    },
    /// The script ended with something else than exit status 0.
    #[error("script failed: {script}: {}{}", describe_exit(*status), quote(last_lines))]
    Script {
        /// What the script is called.
        script: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it printed, as far as they are text.
        last_lines: Vec<String>,
    },
    /// The script did not keep to a bound, and was killed.
    #[error("script failed: {script}: {exceeded}{}", quote(last_lines))]
    ScriptExceeded {
        /// What the script is called.
        script: String,
        /// The bound.
        exceeded: Exceeded,
        /// The last lines that it printed, as far as they are text.
        last_lines: Vec<String>,
    },
}

/// One side of a disagreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its logical path.
    pub path: PathBuf,
    /// What it is.
    pub what: &'static str,
}

impl Error {
    /// For `map_err` on I/O: `Error::io("read", path)`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let stage = layerstone_store::Error::io(action, path);
        move |source| Error::Stage(stage(source))
    }

    /// For `map_err` on reading a tar that is merged.
    pub(crate) fn tar(tar: &Path) -> impl FnOnce(io::Error) -> Error {
        let tar = tar.to_owned();
        move |source| Error::TarFile { tar, source }
    }
}

fn list(items: &[impl ToString]) -> String {
    let listed: Vec<_> = items.iter().take(LISTED).map(ToString::to_string).collect();
    match items.len().saturating_sub(LISTED) {
        0 => listed.join("; "),
        more => format!("{}; and {more} more", listed.join("; ")),
    }
}
