//! Running programs and measuring them: wall and processor time, peak memory.
//!
//! The kernel counts the memory of whoever started a program into the program's peak, so this process must stay small: it
//! holds no data.

use crate::bench::CACHE;
use crate::process;
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Programs joined by pipes.
#[derive(Clone)]
pub struct Pipeline {
    /// Program and arguments of each.
    pub programs: Vec<Vec<OsString>>,
    /// What it makes; removed before each run.
    pub output: Output,
}

/// Where a pipeline's result goes.
#[derive(Clone)]
pub enum Output {
    /// Nowhere.
    Null,
    /// To a file or directory that a program's arguments name.
    Named(PathBuf),
    /// To a file, from the last program's standard output.
    Stdout(PathBuf),
}

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// From the start to the end of the last program.
    pub wall: Duration,
    /// User and system time of all programs.
    pub cpu: Duration,
    /// Resident memory of the largest program at its peak, in bytes.
    pub peak: u64,
}

/// A program with its arguments.
pub fn program<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Vec<OsString> {
    arguments.into_iter().map(Into::into).collect()
}

/// Seconds that a command takes, which must succeed; what it prints is thrown away.
pub fn timed(command: &mut Command) -> Result<f64> {
    let begin = Instant::now();
    process::run(command.stdout(Stdio::null()))?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Whether a program can be found.
pub fn is_installed(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

impl Pipeline {
    /// One program that writes to the file or directory at `output` itself.
    pub fn named(program: Vec<OsString>, output: &Path) -> Pipeline {
        Pipeline { programs: vec![program], output: Output::Named(output.to_owned()) }
    }

    /// The file that it makes.
    pub fn file(&self) -> Option<&Path> {
        match &self.output {
            Output::Null => None,
            Output::Named(path) | Output::Stdout(path) => Some(path),
        }
    }

    /// Removes what it made.
    pub fn remove_output(&self) -> Result<()> {
        self.file().map_or(Ok(()), remove)
    }

    /// Runs it to its end.
    pub fn run(&self) -> Result<Usage> {
        self.remove_output()?;
        let begin = Instant::now();
        let mut children: Vec<Child> = Vec::with_capacity(self.programs.len());
        for (index, program) in self.programs.iter().enumerate() {
            let stdin = match children.last_mut().and_then(|child| child.stdout.take()) {
                Some(pipe) => Stdio::from(pipe),
                None => Stdio::null(),
            };
            let stdout = if index + 1 < self.programs.len() { Stdio::piped() } else { self.last_stdout()? };
            let child =
                Command::new(&program[0]).args(&program[1..]).env(CACHE, "").stdin(stdin).stdout(stdout).spawn();
            children.push(child.with_context(|| format!("cannot run: {}", Path::new(&program[0]).display()))?);
        }
        let mut usage = Usage { wall: Duration::ZERO, cpu: Duration::ZERO, peak: 0 };
        for (child, program) in children.into_iter().zip(&self.programs) {
            let spent = process::wait(&child)?;
            ensure!(spent.status.success(), "{} failed: {}", Path::new(&program[0]).display(), spent.status);
            usage.cpu += spent.cpu;
            usage.peak = usage.peak.max(spent.peak);
        }
        usage.wall = begin.elapsed();
        Ok(usage)
    }

    fn last_stdout(&self) -> Result<Stdio> {
        Ok(match &self.output {
            Output::Stdout(path) => {
                Stdio::from(File::create(path).with_context(|| format!("cannot write: {}", path.display()))?)
            }
            Output::Null | Output::Named(_) => Stdio::null(),
        })
    }
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove: {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_run_and_are_measured() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("count");
        let programs = vec![program(["head", "-c", "50000000", "/dev/zero"]), program(["wc", "-c"])];
        let usage = Pipeline { programs, output: Output::Stdout(file.clone()) }.run().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "50000000\n");
        assert!(usage.cpu > Duration::ZERO && usage.wall > Duration::ZERO && usage.peak > 0);
    }

    #[test]
    fn failures_are_told() {
        let run = |name: &str| Pipeline { programs: vec![program([name])], output: Output::Null }.run();
        assert_eq!(run("false").unwrap_err().to_string(), "false failed: exit status: 1");
        assert_eq!(run("/nonexistent").unwrap_err().to_string(), "cannot run: /nonexistent");
        assert!(is_installed("sh") && !is_installed("no-such-program"));
    }
}
