//! `layerstone overlay run`: a script as root over a base image, to the layer of what it changes.

use crate::args::{Common, StoreArgs, parse_time};
use crate::base::{Base, BaseArgs};
use crate::command::root;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_closure::{Candidates, Closure, Scanner};
use layerstone_image::{RootMode, Spec, Time};
use layerstone_layer::{LayerFile, LayerTree, Owner};
use layerstone_overlay::{Backend, Choice, Hooks, Machine, Passed, Ran, Run, ScriptStore};
use layerstone_root::RootSpec;
use layerstone_stage::{Output, Scratch, Store, StorePath};
use std::fs::{self, File};
use std::io::{self, BufReader, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Memory of a virtual machine that nothing else is said of, in MiB; what dockerTools gives it.
pub const DEFAULT_MEMORY: u64 = 512;
/// Size of the disk of a run likewise, in MiB.
pub const DEFAULT_DISK: u64 = 1024;
/// The least memory in which Linux gets to its first program.
const LEAST_MEMORY: u64 = 256;

/// Run a script as root over a base image, and write what it changes as a layer
///
/// The script sees the files of the base as its root, with a /dev, /proc and /sys of its own, the store paths of
/// --store-closure, no network, and a clean environment. A script without #! is read by /bin/sh -e. What it adds, changes
/// and deletes becomes the layer; the layer file also lists the store paths that the layer refers to.
///
/// It runs in a virtual machine (KVM), or where there is none in a user namespace, or in an emulated machine: see `overlay
/// probe`. All of them give the same bytes.
#[derive(Args)]
pub struct Options {
    /// Script to run as root
    #[arg(long, value_name = "FILE")]
    script: PathBuf,
    /// Store paths whose files are copied into the layer first
    #[arg(long, value_name = "PATH", num_args = 1..)]
    contents: Vec<PathBuf>,
    /// Closure file or references graph of the store paths that scripts see; programs of those that no other refers to are
    /// in PATH
    #[arg(long, value_name = "CLOSURE.JSON")]
    store_closure: Option<PathBuf>,
    /// Script to run in the layer's folder when all else is done
    #[arg(long, value_name = "FILE")]
    extra_commands: Option<PathBuf>,
    #[command(flatten)]
    hooks: HookArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Layer file to write
    #[arg(short, long, value_name = "LAYER.JSON")]
    output: PathBuf,
    /// Tar to write
    #[arg(long, value_name = "TAR")]
    blob: PathBuf,
    /// Latest modification time in the layer: seconds since the epoch, RFC 3339, or now
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "1", help_heading = "Time of the files")]
    mtime: Time,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// The scripts beside the mount.
#[derive(Args)]
#[command(next_help_heading = "Hooks, in the folder of mnt, layer and work; with programs of --store-closure")]
struct HookArgs {
    /// Script to run before the base and the layer are mounted
    #[arg(long, value_name = "FILE")]
    pre_mount: Option<PathBuf>,
    /// Script to run when they are mounted, before the root script
    #[arg(long, value_name = "FILE")]
    post_mount: Option<PathBuf>,
    /// Script to run when they are unmounted, before --extra-commands
    #[arg(long, value_name = "FILE")]
    post_umount: Option<PathBuf>,
}

/// Where root scripts run.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Where root scripts run")]
pub struct PlaceArgs {
    /// Where to run them: vm (kvm, or else emulation), kvm, emulation, userns, or namespace (root, and no wall between the
    /// script and this kernel) [default: kvm, or else userns, or else emulation]
    #[arg(long, value_name = "BACKEND", value_parser = |text: &str| text.parse::<Choice>())]
    backend: Option<Choice>,
    /// Space for the layer and whatever else they write, in MiB [default: 1024]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    disk_size: Option<u64>,
    /// Memory of a virtual machine, in MiB, 256 at least [default: 512]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(LEAST_MEMORY..=1 << 24))]
    memory: Option<u64>,
    /// Seconds that they may take [default: as long as they need]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    #[command(flatten)]
    machine: MachineArgs,
}

/// What a virtual machine is made of.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Where root scripts run")]
pub struct MachineArgs {
    /// Linux kernel of a virtual machine [default: the newest in /boot, those for virtual machines first]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Folder to keep merged bases of virtual machines in
    #[arg(long, value_name = "DIR")]
    base_cache: Option<PathBuf>,
}

impl MachineArgs {
    pub fn machine(&self, memory: u64) -> Machine {
        Machine { memory: memory << 20, kernel: self.kernel.clone(), cache: self.base_cache.clone() }
    }
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let store = options.store.store()?;
    let closure = options.store_closure.as_deref().map(Closure::read).transpose()?;
    let spec = Spec::new("run");
    let base = options.base.open(None, common)?;
    let hooks = &options.hooks;
    let job = Job {
        script: read(&options.script)?,
        hooks: Hooks {
            pre_mount: hooks.pre_mount.as_deref().map(read).transpose()?,
            post_mount: hooks.post_mount.as_deref().map(read).transpose()?,
            post_umount: hooks.post_umount.as_deref().map(read).transpose()?,
            extra_commands: options.extra_commands.as_deref().map(read).transpose()?,
        },
        contents: match options.contents.is_empty() {
            true => None,
            false => {
                let spec = Spec { contents: options.contents.clone(), root_mode: RootMode::Copy, ..spec };
                let root = root::root_spec(&spec, &store, base.as_ref())?;
                Some(RootSpec { owner: Owner::numeric_root(), numeric: true, ..root })
            }
        },
        closure: closure.as_ref(),
        base: base.as_ref(),
        store: &store,
        mtime: options.mtime.seconds()?,
        place: &options.place,
    };
    if options.output != Path::new("-") {
        // First, so that a bad place is told before the script has run.
        Output::create(&options.output)?;
    }
    let mut layer = make(job, &options.blob, common)?;
    layer.set_blob(&options.output, &options.blob)?;
    Ok(layer.write(&options.output)?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read: {}", path.display()))
}

/// A root script to be run.
pub struct Job<'a> {
    pub script: Vec<u8>,
    pub hooks: Hooks,
    /// What is in the layer before it runs.
    pub contents: Option<RootSpec>,
    /// What of the store it sees.
    pub closure: Option<&'a Closure>,
    pub base: Option<&'a Base>,
    pub store: &'a Store,
    pub mtime: i64,
    pub place: &'a PlaceArgs,
}

/// Runs it, writes the layer's tar, and tells the warnings.
pub fn make(job: Job<'_>, blob: &Path, common: &Common) -> Result<LayerFile> {
    let mut output = Output::create(blob)?;
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let contents = job.contents.as_ref().map(|root| contents(root, &scratch, common)).transpose()?;
    let base = job.base.map(overlay_base).transpose()?;
    let place = job.place;
    let config = job.base.map(|base| &base.image.config);
    let run = Run {
        base: base.as_ref(),
        architecture: config.and_then(|config| Some(config.get("architecture")?.as_str()?.to_owned())),
        script: Some(job.script),
        hooks: job.hooks,
        contents,
        store: job.closure.map(|closure| script_store(closure, job.store)),
        path: config.and_then(path_of),
        mtime: job.mtime,
        disk: place.disk_size.unwrap_or(DEFAULT_DISK) << 20,
        machine: place.machine.machine(place.memory.unwrap_or(DEFAULT_MEMORY)),
        timeout: place.timeout.map(Duration::from_secs),
    };
    let mut tell = |backend: Backend, passed: &[Passed]| {
        if !common.quiet {
            eprintln!("root script in {}{}", backend.describe(), reasons(passed));
        }
    };
    let candidates = match job.store.locate(job.store.dir()).is_dir() {
        true => Some(Candidates::in_store(job.store)?),
        false => None,
    };
    let mut scanned = Scanned { out: &mut output, scanner: candidates.as_ref().map(Scanner::new) };
    let choice = place.backend.unwrap_or(Choice::Best);
    let ran = layerstone_overlay::run(&run, choice, &mut scanned, &mut stderr(), &mut tell)?;
    let references = scanned.scanner.map(Scanner::finish).unwrap_or_default();
    // It comes from where a script was root.
    check(&output, &ran)?;
    output.commit()?;
    for socket in &ran.sockets {
        common.warn(format_args!("left out of the layer: {}: a socket", socket.escape_ascii()));
    }
    Ok(LayerFile { references, ..LayerFile::new(ran.diff_id, ran.size) })
}

/// What is in the layer first, as a tar.
fn contents(root: &RootSpec, scratch: &Scratch, common: &Common) -> Result<File> {
    let blob = scratch.path().join("contents.tar");
    root::make(root, &blob, common)?;
    File::open(&blob).with_context(|| format!("cannot read: {}", blob.display()))
}

fn overlay_base(base: &Base) -> Result<layerstone_overlay::Base> {
    Ok(layerstone_overlay::Base {
        tree: base.tree()?,
        layers: base.image.layers.iter().map(|layer| layer.part.clone()).collect(),
        diff_ids: base.image.layers.iter().map(|layer| layer.diff_id).collect(),
    })
}

/// A closure as scripts see it: first in PATH are the programs of the paths that nobody refers to, then coreutils.
fn script_store<'a>(closure: &Closure, store: &'a Store) -> ScriptStore<'a> {
    let all: Vec<StorePath> = closure.graph.iter().map(|info| info.path.clone()).collect();
    let mut roots = closure.roots();
    roots.extend(all.iter().filter(|path| path.package() == "coreutils").cloned());
    ScriptStore { store, roots, closure: all }
}

/// PATH of an image's config (OCI image-spec, config.md, `Env`).
fn path_of(config: &serde_json::Value) -> Option<String> {
    let variables = config.get("config")?.get("Env")?.as_array()?;
    let path = variables.iter().filter_map(|variable| variable.as_str()?.strip_prefix("PATH=")).next_back();
    path.map(str::to_owned)
}

fn reasons(passed: &[Passed]) -> String {
    match passed.is_empty() {
        true => String::new(),
        false => {
            let reasons: Vec<String> =
                passed.iter().map(|it| format!("no {}: {}", it.backend, first_line(&it.reason))).collect();
            format!(" ({})", reasons.join("; "))
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Whether what came back is a layer.
fn check(output: &Output, ran: &Ran) -> Result<()> {
    let mut file = output.file();
    io::Seek::rewind(&mut file).context("cannot read the layer of the root script")?;
    match LayerTree::read_stream(BufReader::new(io::Read::take(file, ran.size))) {
        Ok(_) => Ok(()),
        Err(error) => bail!("cannot use what the root script left: {error}"),
    }
}

/// Looks for store paths in what is written.
struct Scanned<'a, 'b> {
    out: &'a mut Output,
    scanner: Option<Scanner<'b>>,
}

impl Write for Scanned<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        if let Some(scanner) = &mut self.scanner {
            scanner.feed(&bytes[..written]);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
