//! Cuts the power: commands run on a file system in memory that, after a random number of changes, is cut off, and forgets
//! what was not synced. What is left is written to the trial's own directory, and checked there.
//!
//! The registry and temporary files lie on another file system, which keeps its power.

mod disk;
mod mount;

use crate::bench::random::Random;
use crate::crash::files::Files;
use crate::crash::scenario::Scenario;
use crate::crash::subject::Subject;
use crate::crash::tally::Tally;
use crate::crash::trial::{REGISTRY, Trial, is_clear};
use anyhow::{Context, Result, bail, ensure};
use disk::{Arrived, Disk};
use mount::Shared;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// How often, with what and where.
#[derive(clap::Args)]
pub struct Options {
    /// Power cuts in all, shared among the commands
    #[arg(long, default_value_t = 450)]
    runs: usize,
    /// Decides the moments, and what had arrived
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the commands are told of syncing: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    sync: String,
    #[command(flatten)]
    subject: Subject,
}

/// How often it is looked whether the power is still on.
const TICK: Duration = Duration::from_millis(2);

const COLUMNS: [&str; 6] =
    ["cut on the way", "cut after its end", "outputs as before", "outputs new", "some of each", "cache repaired"];

/// Cuts the power, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    options.subject.run(|trial, scenarios| {
        let (mut tally, mut random) = (Tally::default(), Random::new(options.seed));
        for scenario in scenarios {
            let mut job = Job::new(trial, scenario, &options.sync)?;
            for _ in 0..options.runs.div_ceil(scenarios.len()) {
                match job.cut(&mut random) {
                    Ok(outcomes) => outcomes.into_iter().for_each(|it| tally.count(scenario.name, it)),
                    Err(error) => tally.wrong(scenario.name, format!("{}: {error:#}", job.what)),
                }
            }
        }
        tally.finish(&COLUMNS)
    })
}

struct Job<'a> {
    trial: &'a Trial,
    scenario: &'a Scenario,
    line: String,
    sync: &'a str,
    old: Files,
    new: Files,
    /// What is there before.
    disk: Disk,
    /// Changes that an undisturbed run makes.
    changes: u64,
    /// What is done to it this time.
    what: String,
}

impl Job<'_> {
    fn new<'a>(trial: &'a Trial, scenario: &'a Scenario, sync: &'a str) -> Result<Job<'a>> {
        let (old, new, _) = trial.reference(scenario)?;
        let line = format!("{} --sync {sync}", scenario.line);
        trial.reset()?;
        let disk = Disk::of(&trial.path(""), REGISTRY)?;
        let mut job = Job { trial, scenario, line, sync, old, new, disk, changes: 0, what: String::new() };
        let (disk, status) = job.run(None)?;
        ensure!(status.success(), "{}: {status} on a file system in memory", job.line);
        job.changes = disk.changes;
        Ok(job)
    }

    /// Runs the command on a disk that serves so many changes; the disk afterwards, and how the command ended.
    fn run(&self, last: Option<u64>) -> Result<(Disk, ExitStatus)> {
        let trial = self.trial;
        trial.restore(self.scenario)?;
        let mut disk = self.disk.clone();
        disk.last = last;
        let shared = Shared::new(disk);
        let registry = File::open(trial.path(REGISTRY))?;
        let mounted = shared.mount(&trial.path(""))?;
        let ended = mount_bind(format!("/proc/self/fd/{}", registry.as_raw_fd()), trial.path(REGISTRY))
            .context("cannot mount the registry's directory")
            .and_then(|()| self.run_until_cut(&shared));
        // With all that is mounted below, and without a look at what answers no more.
        unmount(trial.path(""), UnmountFlags::DETACH).context("cannot unmount the file system")?;
        drop(mounted);
        let status = ended?;
        let disk = std::mem::take(&mut *shared.lock());
        Ok((disk, status))
    }

    fn run_until_cut(&self, shared: &Shared) -> Result<ExitStatus> {
        let mut command = self.trial.command(&self.line);
        command.env("TMPDIR", self.trial.scratch()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if !shared.lock().is_on() {
                child.kill()?;
                break child.wait()?;
            }
            thread::sleep(TICK);
        };
        self.trial.wait_for_processes()?;
        Ok(status)
    }

    /// One power cut, and what came of it.
    fn cut(&mut self, random: &mut Random) -> Result<Vec<&'static str>> {
        let last = 1 + random.below(self.changes + self.changes / 4);
        let arrived = if random.below(2) == 0 { Arrived::Ordered } else { Arrived::Any };
        self.what = format!("{arrived:?}, after {last} of {} changes", self.changes);
        let (disk, status) = self.run(Some(last))?;
        let has_ended = disk.is_on();
        ensure!(!has_ended || status.success(), "{status}, and the power was on");
        self.trial.clear()?;
        disk.survivors(arrived, random, &self.trial.path(""))?;
        fs::create_dir_all(self.trial.path("tmp"))?;
        self.trial.check_outputs(self.scenario, &self.old, &self.new)?;
        let found = self.trial.outputs(self.scenario)?;
        let is_new = self.new.iter().all(|(path, digest)| found.get(path) == Some(digest));
        ensure!(self.sync != "always" || !has_ended || is_new, "it had ended, and an output is not what it wrote");
        let is_old = self.old.iter().all(|(path, digest)| found.get(path) == Some(digest));
        // What is damaged in the cache is met either by the next run or by its check.
        if random.below(2) == 0 {
            self.run_again()?;
        }
        let is_repaired = self.verify_cache()?;
        self.trial.check_next_run(self.scenario, &self.new)?;
        let outputs = match (is_old, is_new) {
            (_, true) => "outputs new",
            (true, false) => "outputs as before",
            (false, false) => "some of each",
        };
        let when = if has_ended { "cut after its end" } else { "cut on the way" };
        Ok([when, outputs].into_iter().chain(is_repaired.then_some("cache repaired")).collect())
    }

    fn run_again(&self) -> Result<()> {
        let output = self.trial.command(&self.line).output()?;
        ensure!(output.status.success(), "run again: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Whether `cache verify` finds something that is damaged, which it removes.
    fn verify_cache(&self) -> Result<bool> {
        let output = self.trial.command("cache verify").output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => Ok(false),
            Some(1) if is_clear(&stderr) => Ok(true),
            _ => bail!("cache verify: {}: {}", output.status, stderr.trim()),
        }
    }
}
