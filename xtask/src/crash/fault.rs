//! Lets system calls fail: for each command, each kind of call that it makes fails once, at a random one of its times.

use crate::bench::random::Random;
use crate::crash::scenario::Scenario;
use crate::crash::subject::Subject;
use crate::crash::tally::Tally;
use crate::crash::trace::{calls, strace};
use crate::crash::trial::{Files, Trial, is_clear};
use anyhow::Result;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

/// How often, with what and where.
#[derive(clap::Args)]
pub struct Options {
    /// How often each kind of call fails with each error
    #[arg(long, default_value_t = 3)]
    times: u64,
    /// Decides which call of a kind fails
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    subject: Subject,
}

/// Errors that a call of any kind may meet on a machine that is full, broken or closed.
const ERRORS: [&str; 5] = ["ENOSPC", "EIO", "EMFILE", "EINTR", "EACCES"];
/// Calls that never fail so (they have no such error in their manual), or whose failure ends a process before any of our
/// code runs.
const LEFT_OUT: [&str; 10] =
    ["execve", "exit", "exit_group", "wait4", "arch_prctl", "brk", "mprotect", "munmap", "close", "vfork"];
/// How long a command may take that waits a second or two before it tries again.
const PATIENCE: &str = "120";

const COLUMNS: [&str; 3] = ["error that says what", "done all the same", "never called"];

/// Lets calls fail, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    options.subject.run(|trial, scenarios| {
        let (mut tally, mut random) = (Tally::default(), Random::new(options.seed));
        for scenario in scenarios {
            let (old, new, _) = trial.reference(scenario)?;
            trial.reset()?;
            let calls = calls(&trial.command(scenario.line), &trial.path("tmp/strace.log"))?;
            for (name, count) in calls.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())) {
                for error in ERRORS {
                    for _ in 0..options.times.min(*count as u64) {
                        let fault = Fault { name, error, when: 1 + random.below(*count as u64) };
                        match fault.run(trial, scenario, &old, &new) {
                            Ok(outcome) => tally.count(scenario.name, outcome),
                            Err(cause) => tally.wrong(scenario.name, format!("{fault}: {cause:#}")),
                        }
                    }
                }
            }
        }
        tally.finish(&COLUMNS)
    })
}

struct Fault<'a> {
    name: &'a str,
    error: &'a str,
    when: u64,
}

impl std::fmt::Display for Fault<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of {}, call {}", self.error, self.name, self.when)
    }
}

impl Fault<'_> {
    fn run(&self, trial: &Trial, scenario: &Scenario, old: &Files, new: &Files) -> Result<&'static str> {
        trial.reset()?;
        let output = self.inject(trial, scenario)?;
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        anyhow::ensure!(output.status.code() != Some(124), "hangs");
        match output.status.code() {
            Some(0) => {
                trial.check_next_run(scenario, new)?;
                Ok("done all the same")
            }
            // The loader's and the C library's own start.
            Some(127) if stderr.contains("error while loading") => Ok("never called"),
            Some(_) => {
                anyhow::ensure!(is_clear(&stderr), "unclear: {}: {stderr}", output.status);
                trial.check(scenario, old, new)?;
                Ok("error that says what")
            }
            None => anyhow::bail!("signal {:?}: {stderr}", output.status.signal()),
        }
    }

    fn inject(&self, trial: &Trial, scenario: &Scenario) -> Result<Output> {
        let (trace, inject) = (format!("trace={}", self.name), self.to_inject());
        let traced = strace(&trial.command(scenario.line), &["-o", "/dev/null", "-e", &trace, "-e", &inject]);
        let mut bounded = std::process::Command::new("timeout");
        bounded.arg(PATIENCE).arg(traced.get_program()).args(traced.get_args());
        bounded.envs(traced.get_envs().filter_map(|(name, value)| Some((name, value?))));
        bounded.current_dir(trial.path("")).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(bounded.output()?)
    }

    fn to_inject(&self) -> String {
        format!("inject={}:error={}:when={}", self.name, self.error, self.when)
    }
}
