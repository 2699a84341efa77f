//! Kills commands at random moments: after a random part of the time that they take, or at a random system call.

use crate::bench::random::Random;
use crate::crash::files::Files;
use crate::crash::scenario::Scenario;
use crate::crash::subject::Subject;
use crate::crash::tally::Tally;
use crate::crash::trace::{Calls, Count, calls, strace};
use crate::crash::trial::{STATES, Trial};
use crate::process;
use anyhow::{Result, ensure};
use rustix::process::Signal;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// How often, with what and where.
#[derive(clap::Args)]
pub struct Options {
    /// Kills in all, shared among the commands
    #[arg(long, default_value_t = 1000)]
    runs: usize,
    /// Decides the moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Signal: KILL, or one that programs may handle
    #[arg(long, default_value = "KILL")]
    signal: String,
    #[command(flatten)]
    subject: Subject,
}

const ENDED: &str = "had ended";
/// What comes of a kill: the command had ended already, or it was killed; and by what the moment was chosen.
const COLUMNS: [&str; 6] = ["killed by time", "killed at a call", ENDED, "failed by itself", "uploads left", STATES];

/// Runs all kills and prints the table.
pub fn run(options: &Options) -> Result<()> {
    let number = number(&options.signal)?;
    if number != Signal::KILL {
        // A shell that starts this in the background has had it ignored, which all programs that are started inherit.
        process::let_through(number);
    }
    options.subject.run(|trial, scenarios| {
        let (mut tally, mut random) = (Tally::default(), Random::new(options.seed));
        for scenario in scenarios {
            let job = Job::new(trial, scenario, &options.signal)?;
            let mut killed_any = false;
            for run in 0..options.runs.div_ceil(scenarios.len()) {
                let killed = if run % 2 == 0 { job.by_time(&mut random) } else { job.at_call(&mut random) };
                let (what, outcome) = killed?;
                killed_any |= outcome != ENDED;
                tally.count(scenario.name, outcome);
                tally.add(scenario.name, "uploads left", trial.uploads());
                if let Err(error) = job.check() {
                    tally.wrong(scenario.name, format!("{what}: {error:#}"));
                }
            }
            if !killed_any {
                tally.wrong(scenario.name, "no signal ended it".to_owned());
            }
            tally.add(scenario.name, STATES, trial.states());
        }
        tally.finish(&COLUMNS)
    })
}

struct Job<'a> {
    trial: &'a Trial,
    scenario: &'a Scenario,
    signal: &'a str,
    old: Files,
    new: Files,
    takes: Duration,
    calls: Vec<(String, Count)>,
}

impl Job<'_> {
    fn new<'a>(trial: &'a Trial, scenario: &'a Scenario, signal: &'a str) -> Result<Job<'a>> {
        let (old, new, takes) = trial.reference(scenario)?;
        trial.reset()?;
        let calls: Calls = calls(&trial.command(scenario.line), &trial.path("tmp/strace.log"))?;
        Ok(Job { trial, scenario, signal, old, new, takes, calls: calls.into_iter().collect() })
    }

    fn by_time(&self, random: &mut Random) -> Result<(String, &'static str)> {
        self.trial.restore(self.scenario)?;
        let moment = self.takes.mul_f64(random.below(1000) as f64 / 1000.0);
        let mut child = self.trial.command(self.scenario.line).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        thread::sleep(moment);
        let process = rustix::process::Pid::from_child(&child);
        // One that has ended is a zombie until it is waited for, and takes signals.
        rustix::process::kill_process(process, number(self.signal)?)?;
        let status = child.wait()?;
        Ok((format!("killed after {moment:?} of {:?}", self.takes), outcome(status, "killed by time")))
    }

    fn at_call(&self, random: &mut Random) -> Result<(String, &'static str)> {
        self.trial.restore(self.scenario)?;
        let (name, count) = &self.calls[random.below(self.calls.len() as u64) as usize];
        let when = 1 + random.below(count.most as u64);
        let inject = format!("inject={name}:signal={}:when={when}", self.signal);
        let flags = ["-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &inject];
        let mut traced = strace(&self.trial.command(self.scenario.line), &flags);
        let status = traced.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        Ok((format!("killed at call {when} of {name}"), outcome(status, "killed at a call")))
    }

    fn check(&self) -> Result<()> {
        if self.signal != "KILL" {
            ensure!(self.trial.uploads() == 0, "{} uploads are left in the registry", self.trial.uploads());
        }
        self.trial.check(self.scenario, &self.old, &self.new)
    }
}

fn number(name: &str) -> Result<Signal> {
    match name {
        "KILL" => Ok(Signal::KILL),
        "TERM" => Ok(Signal::TERM),
        "INT" => Ok(Signal::INT),
        "HUP" => Ok(Signal::HUP),
        other => anyhow::bail!("--signal: found {other}, expected KILL, TERM, INT or HUP"),
    }
}

fn outcome(status: std::process::ExitStatus, killed: &'static str) -> &'static str {
    match status.code() {
        None => killed,
        Some(0) => ENDED,
        // A process that the command had started was killed.
        Some(_) => "failed by itself",
    }
}
