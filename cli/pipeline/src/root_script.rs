//! Root scripts: where they run, what they see, and the layer that comes of them.

use crate::copies::{Below, libraries, report_libraries};
use crate::error::Context;
use crate::mentions::ScanWriter;
use crate::{BaseImage, Report, Result, root_layer};
use layerstone_closure::{Candidates, Closure, Scanner};
use layerstone_layer::{LayerFile, Progress};
use layerstone_overlay::{Backend, Choice, Hooks, Machine, Phase, Ran, Run, ScriptStore, Unavailable};
use layerstone_root::RootConfig;
use layerstone_spec::{Script, Spec};
use layerstone_store::{Limits, Output, Scratch, Store, StorePath};
use layerstone_tar::{Allowance, LayerTree};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the history says about the layer of a layered image's root script.
pub const COMMENT: &str = "runAsRoot";

/// Where root scripts run, and with what.
#[derive(Clone, Debug, Default)]
pub struct ScriptOptions {
    /// The backend.
    pub backend: Choice,
    /// Linux kernel of a virtual machine; none for the newest in /boot.
    pub kernel: Option<PathBuf>,
    /// Directory to keep merged bases of virtual machines in.
    pub base_cache: Option<PathBuf>,
    /// How long until a virtual machine must have begun; none for what is usual for the backend.
    pub boot_timeout: Option<Duration>,
    /// How long scripts may take; none for as long as they need.
    pub timeout: Option<Duration>,
    /// Space for what scripts write, in MiB; none for what the spec says.
    pub disk_size: Option<u64>,
    /// Memory of a virtual machine, in MiB; none for what the spec says.
    pub memory: Option<u64>,
}

impl ScriptOptions {
    /// Puts sizes over those of a spec.
    pub fn apply(&self, spec: &mut Spec) {
        spec.disk_size = self.disk_size.unwrap_or(spec.disk_size);
        spec.vm_memory = self.memory.unwrap_or(spec.vm_memory);
    }

    /// A virtual machine with so many MiB of memory.
    pub fn machine(&self, memory: u64) -> Machine {
        Machine {
            memory: memory << 20,
            kernel: self.kernel.clone(),
            cache: self.base_cache.clone(),
            boot_timeout: self.boot_timeout,
        }
    }
}

/// The text of a script.
pub fn text(script: &Script) -> Result<Vec<u8>> {
    match script {
        Script::File(path) => read(path),
        Script::Text(text) => Ok(text.clone().into_bytes()),
    }
}

/// The text of a script's file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read: {}", path.display()))
}

/// A root script to be run.
pub struct RootScript<'a> {
    /// The text of the script.
    pub script: Vec<u8>,
    /// Scripts around it.
    pub hooks: Hooks,
    /// What the spec's contents, which are in the layer before it runs, are made with.
    pub contents: Option<RootConfig>,
    /// What of the store it sees.
    pub closure: Option<&'a Closure>,
    /// The base, whose files it sees as its root.
    pub base: Option<&'a BaseImage>,
    /// Whether the base's bytes are checked, which nobody does later.
    pub checks_base: bool,
    /// Where store paths are read.
    pub store: &'a Store,
    /// Times, and sizes of disk and memory.
    pub spec: &'a Spec,
    /// Where it runs.
    pub options: &'a ScriptOptions,
    /// How much is read of what it sends back.
    pub limits: Limits,
}

/// What the contents that are in the layer before a script runs are made with; none if there are none.
///
/// # Errors
///
/// The base cannot be read.
pub fn contents(
    spec: &Spec,
    store: &Store,
    base: Option<&BaseImage>,
    limits: Limits,
    report: &dyn Report,
) -> Result<Option<RootConfig>> {
    if spec.contents.is_empty() && spec.helpers.is_empty() && spec.copy.is_empty() {
        return Ok(None);
    }
    let tree = base.map(BaseImage::tree).transpose()?;
    let found = libraries(spec, None, Below { base, tree: tree.as_deref() }, store, limits)?;
    let config = root_layer::root_config(spec, store, tree, limits)?;
    Ok(Some(RootConfig { libraries: report_libraries(found, report)?, ..config }))
}

/// Runs it, writes the layer's tar, and tells the warnings.
pub fn make(job: RootScript<'_>, blob: &Path, report: &dyn Report) -> Result<LayerFile> {
    let mut output = Output::create(blob)?;
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let contents = job.contents.as_ref().map(|config| contents_tar(job.spec, config, &scratch, report)).transpose()?;
    let base = job.base.map(overlay_base).transpose()?;
    let options = job.options;
    let config = job.base.map(|base| &base.config);
    let run = Run {
        base: base.as_ref(),
        architecture: config.and_then(|config| Some(config.get("architecture")?.as_str()?.to_owned())),
        script: Some(job.script),
        hooks: job.hooks,
        contents,
        store: job.closure.map(|closure| script_store(closure, job.store)),
        path: config.and_then(path_of),
        mtime: job.spec.mtime.seconds()?,
        disk: job.spec.disk_size << 20,
        machine: options.machine(job.spec.vm_memory),
        timeout: options.timeout,
        limits: job.limits,
    };
    let mut tell = |backend: Backend, passed: &[Unavailable]| {
        report.notice(&format!("root script in {}{}", backend.describe(), reasons(passed, options.backend)));
    };
    let has_store = job.store.locate(job.store.dir()).is_dir();
    let candidates = if has_store { Candidates::in_store(job.store)? } else { Candidates::new("", []) };
    let mut scanned = ScanWriter { out: &mut output, scanner: Scanner::new(&candidates) };
    let choice = options.backend;
    let mut output_of_script = report.script_output();
    let running = report.begin_script("root script");
    let ran = beside_check(job.base.filter(|_| job.checks_base), run.base, options, || {
        layerstone_overlay::run(&run, choice, &mut scanned, &mut output_of_script, &mut tell)
    })?;
    drop(running);
    let references = scanned.scanner.finish();
    // It comes from where a script was root.
    check(&output, &ran, job.limits)?;
    output.commit()?;
    tell_phases(&ran, report);
    for socket in &ran.sockets {
        report.warn(format_args!("left out of the layer: {}: a socket", socket.escape_ascii()));
    }
    Ok(LayerFile { references, ..LayerFile::new(ran.diff_id, ran.size) })
}

/// Runs something while the bytes of a base are checked; before that, if something is to be kept of them.
fn beside_check<T>(
    base: Option<&BaseImage>,
    merged: Option<&layerstone_overlay::LowerImage>,
    options: &ScriptOptions,
    run: impl FnOnce() -> layerstone_overlay::Result<T>,
) -> Result<T> {
    let check = |base: &BaseImage| Ok::<_, crate::Error>(base.image()?.check(&Progress::default())?);
    let cache = options.base_cache.as_deref();
    let is_kept_first = cache.is_some_and(|cache| merged.is_some_and(|merged| !merged.is_kept(cache)));
    match base {
        None => Ok(run()?),
        Some(base) if is_kept_first => {
            check(base)?;
            Ok(run()?)
        }
        Some(base) => std::thread::scope(|scope| {
            let checker = std::thread::Builder::new().spawn_scoped(scope, || check(base));
            let checker = checker.context("cannot start a thread: the base is not checked")?;
            let ran = run();
            // What is wrong with a layer explains what went wrong with the script.
            checker.join().map_err(|_| invalid!("a thread that checks the base panicked"))??;
            Ok(ran?)
        }),
    }
}

/// What is in the layer first, as a tar.
fn contents_tar(spec: &Spec, config: &RootConfig, scratch: &Scratch, report: &dyn Report) -> Result<File> {
    let blob = scratch.path().join("contents.tar");
    let spec = Spec { script: None, fake_root_commands: None, ..spec.clone() };
    root_layer::make(&spec, config, &blob, report)?;
    File::open(&blob).with_context(|| format!("cannot read: {}", blob.display()))
}

fn overlay_base(base: &BaseImage) -> Result<layerstone_overlay::LowerImage> {
    let image = base.image()?;
    Ok(layerstone_overlay::LowerImage {
        tree: base.tree_to_write()?,
        layers: image.parts(),
        diff_ids: image.layers.iter().map(|layer| layer.diff_id).collect(),
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

/// Why the backends before were passed over: of those that were waited for, and of all if a virtual machine was asked for.
/// A machine that has no virtual ones is nothing to tell of; events tell it.
fn reasons(passed: &[Unavailable], choice: Choice) -> String {
    let told = passed.iter().filter(|it| it.is_silent || choice == Choice::Vm);
    let reason = |it: &Unavailable| format!("no {}: {}", it.backend, it.reason.lines().next().unwrap_or_default());
    let reasons = told.map(reason).collect::<Vec<_>>().join("; ");
    if reasons.is_empty() { reasons } else { format!(" ({reasons})") }
}

/// Reports what took how long.
fn tell_phases(ran: &Ran, report: &dyn Report) {
    report.took("making ready", ran.prepared, None);
    let ends = ran.phases.iter().skip(1).map(|(_, begin)| *begin).chain([ran.total.saturating_sub(ran.prepared)]);
    let first = ran.phases.first().map(|(_, begin)| (Phase::Boot, Duration::ZERO, *begin));
    let rest = ran.phases.iter().zip(ends).map(|((phase, begin), end)| (*phase, *begin, end));
    for (phase, begin, end) in first.into_iter().chain(rest) {
        report.took(&phase.to_string(), end.saturating_sub(begin), None);
    }
}

/// Whether what came back is a layer.
fn check(output: &Output, ran: &Ran, limits: Limits) -> Result<()> {
    let mut file = output.file();
    let path = output.destination();
    let no_layer = || format!("cannot read the layer of the root script: {}", path.display());
    io::Seek::rewind(&mut file).with_context(no_layer)?;
    let read = LayerTree::read_stream(BufReader::new(io::Read::take(file, ran.size)), &Allowance::new(limits));
    read.map(drop).map_err(|error| invalid!("cannot use what the root script left: {error}"))
}
