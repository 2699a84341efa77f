//! Describes a run and its result.

use crate::{Backend, Error, LowerImage, Result};
use layerstone_guest::{Bind, Hooks, Phase, Request, StoreRequest};
use layerstone_store::{Digest, Limit, Limits, Store, StorePath};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

/// What docker gives as PATH where an image's config gives none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A script to be run as root over a base image.
#[derive(Debug, Default)]
pub struct Run<'a> {
    /// The image below; none starts from nothing.
    pub base: Option<&'a LowerImage>,
    /// The image's architecture, by Go's name; none is this machine's.
    pub architecture: Option<String>,
    /// The script; none runs none.
    pub script: Option<Vec<u8>>,
    /// What runs beside it.
    pub hooks: Hooks,
    /// A tar that is in the layer before all that, plain.
    pub contents: Option<File>,
    /// The store that scripts see.
    pub store: Option<ScriptStore<'a>>,
    /// PATH of the base's config.
    pub path: Option<String>,
    /// Later times in the layer become this one, in seconds since the epoch.
    pub mtime: i64,
    /// Bytes that the layer, and what scripts write besides, may have.
    pub disk: u64,
    /// How a virtual machine is made.
    pub machine: Machine,
    /// How long it may take, from the first sign of life on.
    pub timeout: Option<Duration>,
    /// How much is read of what comes back, and of the base.
    pub limits: Limits,
}

/// How a virtual machine is made.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Its memory in bytes; what does not fit goes to a disk.
    pub memory: u64,
    /// Its kernel; none looks for one.
    pub kernel: Option<PathBuf>,
    /// A directory in which merged bases are kept.
    pub cache: Option<PathBuf>,
    /// How long it may take until its first sign of life; none for what is usual.
    pub boot_timeout: Option<Duration>,
}

/// Store paths that scripts see.
#[derive(Clone, Debug)]
pub struct ScriptStore<'a> {
    /// Their store.
    pub store: &'a Store,
    /// Those whose programs are in the script's PATH, in this order.
    pub roots: Vec<StorePath>,
    /// All of them, the roots included.
    pub closure: Vec<StorePath>,
}

/// What came of a run whose layer is written.
#[derive(Debug)]
pub struct Ran {
    /// Where it ran.
    pub backend: Backend,
    /// Bytes of the layer's tar.
    pub size: u64,
    /// sha256 of the tar.
    pub diff_id: Digest,
    /// Names of sockets, which the layer cannot hold.
    pub sockets: Vec<Vec<u8>>,
    /// How long it took to make everything ready: merging the base, for one.
    pub prepared: Duration,
    /// When each phase began, after that.
    pub phases: Vec<(Phase, Duration)>,
    /// How long it took.
    pub total: Duration,
}

impl Run<'_> {
    /// The request to the guest. Store paths are mounted one by one if it is in a namespace.
    pub(crate) fn request(&self, backend: Backend) -> Result<Request> {
        let contents = self.contents.as_ref().map(File::metadata).transpose().map_err(Error::io("read", "contents"))?;
        Ok(Request {
            script: self.script.clone(),
            hooks: self.hooks.clone(),
            path: self.script_path(),
            store: self.store.as_ref().map(|store| store.request(backend)),
            mtime: self.mtime,
            disk: self.disk,
            // A tar of them has headers besides, which count as much.
            files: self.disk.saturating_mul(self.limits.most(Limit::ScriptLayer)) / 2,
            has_base: self.base.is_some(),
            contents: contents.map(|metadata| metadata.len()),
        })
    }

    /// The programs that are given, then the image's.
    fn script_path(&self) -> String {
        let given = self.store.iter().flat_map(|store| store.programs(&store.roots));
        let own = self.path.clone().unwrap_or_else(|| DEFAULT_PATH.to_owned());
        given.chain([own]).collect::<Vec<_>>().join(":")
    }
}

impl ScriptStore<'_> {
    fn request(&self, backend: Backend) -> StoreRequest {
        let others: Vec<StorePath> = self.closure.iter().filter(|path| !self.roots.contains(path)).cloned().collect();
        let programs: Vec<String> = self.programs(&self.roots).chain(self.programs(&others)).collect();
        let shells = programs.iter().flat_map(|directory| ["bash", "sh"].map(|name| format!("{directory}/{name}")));
        let shell = shells.into_iter().find(|shell| self.store.locate(shell).exists());
        let bind = |path: &StorePath| Bind {
            source: self.locate(path).into_os_string().into_encoded_bytes(),
            name: path.base_name().to_owned(),
        };
        let binds = if backend.is_machine() { Vec::new() } else { self.closure.iter().map(bind).collect() };
        StoreRequest { dir: self.store.dir().to_owned(), programs, shell, binds }
    }

    /// The absolute path of a store path on this machine.
    fn locate(&self, path: &StorePath) -> PathBuf {
        let real = self.store.locate(path.as_str());
        // Without a current directory, it has to do as it is.
        std::path::absolute(&real).unwrap_or(real)
    }

    /// The directories of programs of some paths.
    fn programs(&self, paths: &[StorePath]) -> impl Iterator<Item = String> {
        let directories = paths.iter().map(|path| format!("{}/bin", path.as_str()));
        directories.filter(|directory| self.store.locate(directory).is_dir())
    }
}
