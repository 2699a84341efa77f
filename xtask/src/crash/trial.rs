//! A directory in which a command is disturbed, and the checks of what is there afterwards.

use crate::bench::CACHE;
use crate::bench::registry::keeper::Keeper;
use crate::crash::scenario::{BEFORE, Scenario};
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What temporary names begin with (closure/store, `temporary.rs`).
const TEMPORARY: &str = ".layerstone-tmp-";
/// The variable by which processes of a trial are known.
const MARK: &str = "LAYERSTONE_TRIAL";
/// How long processes that a killed command had started may live on.
const GRACE: Duration = Duration::from_secs(5);

/// The files of outputs and their sha256, by name.
pub type Files = BTreeMap<PathBuf, [u8; 32]>;

/// Where trials take place, one after the other.
pub struct Trial {
    binary: PathBuf,
    template: PathBuf,
    directory: PathBuf,
    registry: Keeper,
}

impl Trial {
    /// Prepares the state that every trial begins with.
    pub fn prepare(binary: &Path, work: &Path, closure: &Path) -> Result<Trial> {
        let (template, directory) = (work.join("template"), work.join("trial"));
        for path in [&template, &directory] {
            fs::create_dir_all(path.join("tmp"))?;
        }
        let registry = Keeper::start(&directory.join("registry"))?;
        let trial = Trial { binary: binary.to_owned(), template, directory, registry };
        trial.write_inputs(closure)?;
        for version in ["old", "new"] {
            process::run(&mut trial.command(&format!("closure --spec {version}.json -o {version}.closure.json")))?;
            let count = if version == "old" { 6 } else { 8 };
            let line = format!("layers {version}.closure.json --max-layers {count} -o {version}.layers.json");
            process::run(&mut trial.command(&line))?;
        }
        for line in ["build amd64.json -o base.tar", "build arm64.json -o arm64.tar"].iter().chain(&BEFORE) {
            process::run(trial.command(line).stdout(Stdio::null()))?;
        }
        copy(&trial.directory, &trial.template)?;
        Ok(trial)
    }

    fn write_inputs(&self, closure: &Path) -> Result<()> {
        let contents = fs::read_link(closure.join("result")).context("cannot read the lab's result link")?;
        let write = |name: &str, text: String| {
            fs::write(self.directory.join(name), text).with_context(|| format!("cannot write: {name}"))
        };
        for (version, layers) in [("old", 6), ("new", 8)] {
            let spec = json!({
                "name": "crash", "tag": "1", "contents": [contents], "graph": closure.join("graph.json"),
                "maxLayers": layers, "config": {"Cmd": [version]},
            });
            write(&format!("{version}.json"), spec.to_string())?;
            let script = format!("mkdir -p etc; for i in 1 2 3 4 5 6 7 8; do echo {version} $i > etc/file$i; done");
            let fake = "chown 1:2 etc/file1; chmod 4755 etc/file2";
            let root = json!({"name": "crash", "extraCommands": script, "fakeRootCommands": fake});
            write(&format!("{version}.root.json"), root.to_string())?;
            write(
                &format!("{version}.sh"),
                format!("mkdir -p /etc\nfor i in 1 2 3; do echo {version} $i > /etc/run$i; done\n"),
            )?;
        }
        for architecture in ["amd64", "arm64"] {
            let spec = json!({
                "name": "base", "contents": [contents], "graph": closure.join("graph.json"), "maxLayers": 3,
                "architecture": architecture,
            });
            write(&format!("{architecture}.json"), spec.to_string())?;
        }
        Ok(())
    }

    /// layerstone with these arguments, in the trial's directory, with its cache and its directory for temporary files.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(line.replace("HOST", self.registry.host()).split(' ')).arg("-q").current_dir(&self.directory);
        command.env(CACHE, self.directory.join("cache")).env("TMPDIR", self.directory.join("tmp"));
        command.env(MARK, &self.directory).stdin(Stdio::null());
        command
    }

    /// A path in the trial's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes the directory what it was before the first trial.
    pub fn reset(&self) -> Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.ends_with("registry") {
                fs::remove_dir_all(path.join("data"))?;
            } else if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        copy(&self.template, &self.directory)
    }

    /// The files of a scenario's outputs, but for temporary ones.
    pub fn outputs(&self, scenario: &Scenario) -> Result<Files> {
        let mut files = Files::new();
        for output in scenario.outputs {
            collect(&self.path(output), &mut files)?;
        }
        Ok(files)
    }

    /// What an undisturbed run makes of the state before.
    pub fn reference(&self, scenario: &Scenario) -> Result<(Files, Files, Duration)> {
        self.reset()?;
        let old = self.outputs(scenario)?;
        let begin = Instant::now();
        process::run(self.command(scenario.line).stdout(Stdio::null()))?;
        let takes = begin.elapsed();
        let new = self.outputs(scenario)?;
        ensure!(old != new, "{}: makes what was there", scenario.name);
        Ok((old, new, takes))
    }

    /// Checks the state after a command that did not succeed, and that the next run makes all good.
    pub fn check(&self, scenario: &Scenario, old: &Files, new: &Files) -> Result<()> {
        self.wait_for_processes()?;
        let found = self.outputs(scenario)?;
        for (path, digest) in &found {
            let name = path.strip_prefix(&self.directory).unwrap_or(path).display();
            ensure!([old.get(path), new.get(path)].contains(&Some(digest)), "{name}: neither old nor new");
        }
        if let Some((path, _)) =
            old.iter().find(|(path, digest)| new.get(*path) == Some(digest) && !found.contains_key(*path))
        {
            bail!("{}: gone", path.display());
        }
        let index = found.iter().find(|(path, _)| path.ends_with("index.json"));
        if index.is_some_and(|(path, digest)| new.get(path) == Some(digest)) {
            ensure!(new.keys().all(|path| found.contains_key(path)), "a new index, and a blob that is missing");
        }
        self.check_next_run(scenario, new)
    }

    /// Checks that an undisturbed run makes what it always makes, and removes what was left.
    pub fn check_next_run(&self, scenario: &Scenario, new: &Files) -> Result<()> {
        let output = self.command(scenario.line).output()?;
        ensure!(
            output.status.success(),
            "the next run: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let found = self.outputs(scenario)?;
        let differs = new.iter().find(|(path, digest)| found.get(*path) != Some(digest)).map(|(path, _)| path);
        let more = found.keys().find(|path| !new.contains_key(*path));
        if let Some(path) = differs.or(more) {
            bail!("the next run: {} is not what an undisturbed run makes", path.display());
        }
        let verified = self.command("cache verify").output()?;
        ensure!(verified.status.success(), "cache verify: {}", String::from_utf8_lossy(&verified.stderr).trim());
        match leftover(&self.directory)? {
            Some(path) => bail!("left after the next run: {}", path.display()),
            None => Ok(()),
        }
    }

    /// Uploads of the registry that nobody has finished.
    pub fn uploads(&self) -> usize {
        let uploads = self.path("registry/data/docker/registry/v2/repositories/crash/_uploads");
        fs::read_dir(uploads).map_or(0, Iterator::count)
    }

    /// Waits until no process of the trial lives.
    fn wait_for_processes(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            match self.living()? {
                None => return Ok(()),
                Some(process) if begin.elapsed() > GRACE => bail!("a process lives on: {process}"),
                Some(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn living(&self) -> Result<Option<String>> {
        let mark = format!("{MARK}={}", self.directory.display());
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            // One that ends meanwhile has nothing to read.
            let environment = fs::read(path.join("environ")).unwrap_or_default();
            if environment.split(|&byte| byte == 0).any(|it| it == mark.as_bytes()) {
                let words = fs::read(path.join("cmdline")).unwrap_or_default();
                return Ok(Some(format!("{}: {}", path.display(), String::from_utf8_lossy(&words).replace('\0', " "))));
            }
        }
        Ok(None)
    }
}

/// Whether an error is one line a person can use: ours, with a cause, and no panic.
pub fn is_clear(stderr: &str) -> bool {
    let is_panic = stderr.contains("panicked at");
    !is_panic && stderr.lines().any(|line| line.starts_with("layerstone: ") && line.matches(": ").count() >= 2)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    process::run(Command::new("cp").args(["-a", "--"]).arg(from.join(".")).arg(to))
}

fn collect(path: &Path, files: &mut Files) -> Result<()> {
    let is_temporary = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()));
    if is_temporary || !path.exists() {
        return Ok(());
    }
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
        return Ok(());
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read: {}", path.display()))?;
    files.insert(path.to_owned(), Sha256::digest(bytes).into());
    Ok(())
}

/// The first temporary name below a directory.
fn leftover(directory: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
            return Ok(Some(entry.path()));
        }
        if entry.file_type()?.is_dir()
            && let Some(found) = leftover(&entry.path())?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
