//! Lets system calls fail: for each command, each kind of call that it makes fails once, at a random one of its times.

use crate::bench::random::Random;
use crate::crash::files::Files;
use crate::crash::scenario::Scenario;
use crate::crash::subject::Subject;
use crate::crash::tally::Tally;
use crate::crash::trace::{Count, Injected, calls, strace};
use crate::crash::trial::{STATES, Trial, is_clear};
use anyhow::{Context, Result, ensure};
use std::fs;
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
    /// Only this call
    #[arg(long, value_name = "NAME")]
    call: Option<String>,
    #[command(flatten)]
    subject: Subject,
}

/// Errors that a call of any kind may meet on a machine that is full, broken or closed.
const ERRORS: [&str; 5] = ["ENOSPC", "EIO", "EMFILE", "EINTR", "EACCES"];

/// Calls that are left out, and why.
const LEFT_OUT: [(&[&str], &str); 7] = [
    (
        &["prlimit64"],
        "the kernel's has none of these errors for a process that asks for its own limits, and rustix trusts it",
    ),
    (
        &["brk"],
        "the kernel's returns no error but the break as it is, and the C library takes anything else for an address",
    ),
    (&["execve"], "the first one is strace's own, and each program counts its first as 1"),
    (
        &["exit", "exit_group", "rt_sigreturn", "restart_syscall", "sched_yield"],
        "they do not come back, or not with an error",
    ),
    (
        &["getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "umask", "uname", "sync"],
        "they cannot fail, or not for a program that gives them an address of its own",
    ),
    (
        &["futex"],
        "a wake-up that is not made is lost, and strace cannot tell it from a wait; the kernel's never fails so",
    ),
    // The tests `faults::errors_of_close` have what it returns.
    (
        &["close"],
        "strace does not close the descriptor then, so that a pipe never ends, and a lock is never given back",
    ),
];

/// A call of which EINTR is the only of these errors that the kernel returns (getrandom(2)), and after any other of which
/// the Rust runtime ends the process.
const INTERRUPTED_ALONE: &str = "getrandom";
/// What std says when it cannot read, from a pipe or a socket of its own, whether a program was started; the kernel's read
/// of such a pair has none of these errors.
const STD: &str = "the CLOEXEC pipe failed";
/// Such a read of a socket. Before it says so, std waits for the program, which may wait for us.
const STD_READ: &str = ", 8, 0, NULL, NULL)";

/// How long a command may take that waits a second or two before it tries again.
const PATIENCE: &str = "120";
/// How often a smaller number is tried if a call was not reached, as threads share their work differently.
const TRIES: usize = 4;

const SAYS_WHAT: &str = "error that says what";
const DONE: &str = "done all the same";
const NO_MEMORY: &str = "no memory";
const RUNTIME: &str = "runtime";
const NEVER: &str = "never reached";
const COLUMNS: [&str; 7] = ["injected", SAYS_WHAT, DONE, NO_MEMORY, RUNTIME, NEVER, STATES];

/// Lets calls fail, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    options.subject.run(|trial, scenarios| {
        let (mut tally, mut random) = (Tally::default(), Random::new(options.seed));
        for scenario in scenarios {
            let (old, new, _) = trial.reference(scenario)?;
            trial.reset()?;
            let mut calls = calls(&trial.command(scenario.line), &trial.path("tmp/strace.log"))?;
            calls.retain(|name, _| !LEFT_OUT.iter().any(|(names, _)| names.contains(&name.as_str())));
            calls.retain(|name, _| options.call.as_ref().is_none_or(|only| only == name));
            for (name, count) in &calls {
                for error in ERRORS.iter().filter(|&&error| name != INTERRUPTED_ALONE || error == "EINTR") {
                    for _ in 0..options.times.min(reachable(*count).1) {
                        let mut fault = Fault { name, error, when: choose(*count, &mut random), met: None };
                        let outcome = fault.run(trial, scenario, &old, &new);
                        if fault.met.is_some() {
                            tally.count(scenario.name, "injected");
                        }
                        match outcome {
                            Ok(outcome) => tally.count(scenario.name, outcome),
                            Err(cause) => tally.wrong(scenario.name, format!("{fault}: {cause:#}")),
                        }
                    }
                }
            }
            tally.add(scenario.name, STATES, trial.states());
        }
        tally.finish(&COLUMNS)
    })
}

/// The first call that code of ours makes, and how many there are from there on. Where no thread makes more than the first
/// one before `main`, those of other threads have the same numbers.
fn reachable(count: Count) -> (u64, u64) {
    match count.most.checked_sub(count.before_main) {
        Some(more @ 1..) => (1 + count.before_main as u64, more as u64),
        _ => (1, count.most as u64),
    }
}

fn choose(count: Count, random: &mut Random) -> u64 {
    let (first, number) = reachable(count);
    first + random.below(number)
}

struct Fault<'a> {
    name: &'a str,
    error: &'a str,
    when: u64,
    /// The call that failed.
    met: Option<Injected>,
}

impl std::fmt::Display for Fault<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of {}, call {}", self.error, self.name, self.when)?;
        self.met.as_ref().map_or(Ok(()), |met| write!(formatter, ": {}", met.line))
    }
}

impl Fault<'_> {
    fn run(&mut self, trial: &Trial, scenario: &Scenario, old: &Files, new: &Files) -> Result<&'static str> {
        let mut output = self.inject(trial, scenario)?;
        for _ in 1..TRIES {
            if self.met.is_some() || self.when == 1 {
                break;
            }
            self.when = self.when.div_ceil(2);
            output = self.inject(trial, scenario)?;
        }
        let Some(met) = &self.met else { return Ok(NEVER) };
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.code() == Some(124) {
            let is_std = met.line.contains("recvfrom(") && met.line.contains(STD_READ);
            ensure!(is_std, "hangs: {stderr}");
            return Ok(RUNTIME);
        }
        if output.status.success() {
            trial.check_next_run(scenario, new)?;
            return Ok(DONE);
        }
        trial.check(scenario, old, new)?;
        let is_ours = output.status.code() == Some(1) && is_clear(&stderr);
        if is_ours {
            ensure!(names_what_failed(met, scenario, &stderr), "no path: {stderr}");
            return Ok(SAYS_WHAT);
        }
        // The loader's own message, or that of the Rust runtime, whose code we do not write.
        if met.program == "layerstone" && (met.is_before_main || stderr.contains(STD)) {
            return Ok(RUNTIME);
        }
        // What every program in Rust says and does then.
        let is_aborted =
            output.status.signal() == Some(libc::SIGABRT) || output.status.code() == Some(128 + libc::SIGABRT);
        if is_aborted && stderr.contains("memory allocation of ") {
            return Ok(NO_MEMORY);
        }
        anyhow::bail!("unclear: {}: {stderr}", output.status)
    }

    /// Runs the command from the beginning, and sees which call failed.
    fn inject(&mut self, trial: &Trial, scenario: &Scenario) -> Result<Output> {
        trial.restore(scenario)?;
        let log = trial.path("tmp/strace.log");
        let path = log.to_str().context("the work directory's name is not UTF-8")?;
        let trace = format!("trace={},sigaltstack,execve", self.name);
        let inject = format!("inject={}:error={}:when={}", self.name, self.error, self.when);
        let traced = strace(&trial.command(scenario.line), &["-Yy", "-o", path, "-e", &trace, "-e", &inject]);
        let mut bounded = std::process::Command::new("timeout");
        bounded.arg(PATIENCE).arg(traced.get_program()).args(traced.get_args());
        bounded.envs(traced.get_envs().filter_map(|(name, value)| Some((name, value?))));
        bounded.current_dir(trial.path("")).stdin(Stdio::null()).stdout(Stdio::null());
        let output = bounded.output()?;
        self.met = Injected::find(&String::from_utf8_lossy(&fs::read(&log)?));
        Ok(output)
    }
}

/// Whether an error names a path, an output, standard output, or a script, if the call that failed had one of ours.
fn names_what_failed(met: &Injected, scenario: &Scenario, stderr: &str) -> bool {
    let has_path = met.program == "layerstone" && !met.is_before_main && !met.names().is_empty();
    let words =
        met.names().into_iter().chain(scenario.outputs.iter().copied()).chain(["/", "standard output", "Commands"]);
    !has_path || words.into_iter().any(|word| stderr.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_before_main_are_not_chosen() {
        let count = |most, before_main| Count { most, before_main };
        assert_eq!(reachable(count(10, 4)), (5, 6));
        assert_eq!(reachable(count(4, 4)), (1, 4));
        assert_eq!(reachable(count(3, 0)), (1, 3));
        assert!((0..20).all(|seed| (5..=10).contains(&choose(count(10, 4), &mut Random::new(seed)))));
    }
}
