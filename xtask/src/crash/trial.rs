//! A directory in which a command is disturbed, and the checks of what is there afterwards.

use crate::bench::CACHE;
use crate::bench::registry::keeper::Keeper;
use crate::crash::files::{Files, collect, copy, is_temporary, leftover, remove, walk};
use crate::crash::scenario::{BEFORE, Scenario};
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The directory of the registry, in which a trial's outputs are but for those that it keeps.
pub const REGISTRY: &str = "registry";
/// The variable by which processes of a trial are known.
const MARK: &str = "LAYERSTONE_TRIAL";
/// The column of how many states the next run was tried from.
pub const STATES: &str = "states";
/// How long processes that a killed command had started may live on.
const GRACE: Duration = Duration::from_secs(5);

/// Where trials take place, one after the other.
pub struct Trial {
    binary: PathBuf,
    template: PathBuf,
    directory: PathBuf,
    scratch: PathBuf,
    registry: Keeper,
    /// States of a scenario from which the next run was seen to do what it must.
    good: Mutex<BTreeSet<[u8; 32]>>,
}

impl Trial {
    /// Prepares the state that every trial begins with.
    pub fn prepare(binary: &Path, work: &Path, closure: &Path) -> Result<Trial> {
        let (template, directory) = (work.join("template"), work.join("trial"));
        for path in [&template, &directory] {
            fs::create_dir_all(path.join("tmp"))?;
        }
        let scratch = work.join("scratch");
        fs::create_dir_all(&scratch)?;
        let registry = Keeper::start(&directory.join(REGISTRY))?;
        let trial = Trial { binary: binary.to_owned(), template, directory, scratch, registry, good: Mutex::default() };
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

    /// A directory for temporary files that no trial looks at.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// A path in the trial's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes the directory what it was before the first trial.
    pub fn reset(&self) -> Result<()> {
        fs::remove_dir_all(self.path("registry/data"))?;
        self.clear()?;
        copy(&self.template, &self.directory)
    }

    /// The same after a scenario, which touches its outputs, the cache, the directory for temporary files, and, if it pushes,
    /// the registry.
    pub fn restore(&self, scenario: &Scenario) -> Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if !self.template.join(entry.file_name()).exists() {
                remove(&entry.path())?;
            }
        }
        let of_registry = |output: &&str| output.starts_with(REGISTRY);
        let outputs = scenario.outputs.iter().map(|output| if of_registry(output) { "registry/data" } else { output });
        for name in outputs.chain(["cache", "tmp"]) {
            let (from, to) = (self.template.join(name), self.path(name));
            remove(&to)?;
            if from.exists() {
                process::run(Command::new("cp").args(["-a", "--"]).arg(from).arg(to))?;
            }
        }
        Ok(())
    }

    /// Removes all but the registry.
    pub fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if !path.ends_with(REGISTRY) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// The files of a scenario's outputs, but for temporary ones.
    pub fn outputs(&self, scenario: &Scenario) -> Result<Files> {
        let mut files = Files::new();
        for output in scenario.outputs {
            collect(&self.path(output), &mut files, |name| !is_temporary(name))?;
        }
        Ok(files)
    }

    /// What an undisturbed run makes of the state before.
    pub fn reference(&self, scenario: &Scenario) -> Result<(Files, Files, Duration)> {
        self.reset()?;
        self.good().clear();
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
        self.check_outputs(scenario, old, new)?;
        self.check_next_run(scenario, new)
    }

    /// Checks that each output is old, new or, if it was to be replaced, missing; an index that is new has all its blobs.
    pub fn check_outputs(&self, scenario: &Scenario, old: &Files, new: &Files) -> Result<()> {
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
        Ok(())
    }

    /// Checks that an undisturbed run makes what it always makes, and removes what was left. A state that was met before, byte
    /// by byte, is not run from again.
    pub fn check_next_run(&self, scenario: &Scenario, new: &Files) -> Result<()> {
        let state = self.state(scenario)?;
        if self.good().contains(&state) {
            return Ok(());
        }
        self.run_next(scenario, new)?;
        self.good().insert(state);
        Ok(())
    }

    /// How many states of the scenario were run from.
    pub fn states(&self) -> usize {
        self.good().len()
    }

    fn good(&self) -> MutexGuard<'_, BTreeSet<[u8; 32]>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of all that the next run may find: outputs, the cache, what is left, the names of the registry's files.
    fn state(&self, scenario: &Scenario) -> Result<[u8; 32]> {
        let mut files = Files::new();
        for name in scenario.outputs.iter().chain(&["cache"]) {
            collect(&self.path(name), &mut files, |_| true)?;
        }
        let mut hasher = Sha256::new();
        for (path, digest) in files {
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(digest);
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            names.push(entry?.path());
        }
        walk(&self.path("tmp"), &mut names)?;
        walk(&self.path("registry/data"), &mut names)?;
        names.sort();
        names.iter().for_each(|name| hasher.update(name.as_os_str().as_encoded_bytes()));
        Ok(hasher.finalize().into())
    }

    fn run_next(&self, scenario: &Scenario, new: &Files) -> Result<()> {
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

    /// Uploads of the registry that nobody has finished. One that was cancelled has lost its bytes and its beginning; of it
    /// docker-registry 2.8 may keep a directory with the state of a hash, which it writes after it has answered.
    pub fn uploads(&self) -> usize {
        let uploads = self.path("registry/data/docker/registry/v2/repositories/crash/_uploads");
        let uploads = fs::read_dir(uploads).into_iter().flatten().flatten();
        uploads.filter(|it| ["data", "startedat"].iter().any(|name| it.path().join(name).exists())).count()
    }

    /// Waits until no process of the trial lives.
    pub fn wait_for_processes(&self) -> Result<()> {
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

/// Whether an error is one a person can use: ours, with a cause, on the same line or on those that are indented below, and
/// no panic.
pub fn is_clear(stderr: &str) -> bool {
    let ours = stderr.lines().skip_while(|line| !line.starts_with("error: "));
    let causes = ours.enumerate().take_while(|(number, line)| *number == 0 || line.starts_with("  "));
    !stderr.contains("panicked at") && causes.map(|(_, line)| line.matches(": ").count()).sum::<usize>() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_say_what() {
        assert!(is_clear("warning: x\nerror: cannot write: out.tar: No space left on device\nhint: y"));
        assert!(is_clear("error: no way to run it\n  userns: mounting: cannot change: /tmp: full"));
        assert!(!is_clear("error: no way to run it\nhint: `x: y: z`"));
        assert!(!is_clear("thread 'main' panicked at x: y\nerror: cannot write: out.tar: full"));
    }
}
