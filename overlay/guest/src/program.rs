//! Runs a program until no process that it started is left.
//!
//! ```text
//! the stage ── a process that enters namespaces ── process 1 of the process namespace ── the program
//! ```
//!
//! The program is not process 1: signals that are sent to that from inside are lost, so that `kill $$` did nothing.

use crate::{Channel, Error, Frame, Request, Result, mounts::make_private, root};
use layerstone_sandbox::system::{exit, fork, unshare, wait_for};
use layerstone_sandbox::{KEPT_CAPABILITIES, bound_capabilities};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, chdir, umask, waitpid};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags, set_capabilities};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Bytes of output that are passed on at a time.
const RELAYED: usize = 8192;

/// A program to run.
#[derive(Debug)]
pub struct Program<'a> {
    /// What is called, with its arguments.
    pub words: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(&'static str, OsString)>,
    /// The directory to run in.
    pub directory: &'a Path,
    /// What becomes its root, if that is another than the stage's, and the script that is put there; the directory is in it.
    pub root: Option<(&'a Path, &'a [u8])>,
    /// Whether it may do all that root may.
    pub is_privileged: bool,
}

/// Runs a program; what it prints is sent as it comes.
///
/// # Errors
///
/// [`Error::Script`]: its status (wait(2)) is not 0.
pub fn run(program: &Program<'_>, request: &Request, channel: &mut Channel) -> Result<()> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(Error::call("make a pipe"));
    let ((output, output_in), (report, report_in)) = (pipe()?, pipe()?);
    let Some(first) = fork().map_err(Error::call("fork"))? else {
        drop((output, report));
        match confine(program, request, &output_in, &report_in) {
            Ok(()) => exit(0),
            Err(error) => {
                let _ = rustix::io::write(&report_in, format!("E{error}\0").as_bytes());
                exit(1)
            }
        }
    };
    drop((output_in, report_in));
    relay(&output, channel)?;
    let mut message = [0; 4096];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&report, &mut message)).map_err(Error::call("read"))?;
    rustix::io::retry_on_intr(|| waitpid(Some(first), WaitOptions::empty())).map_err(Error::call("wait"))?;
    match &message[..length] {
        [b'S', 0, 0, 0, 0] => Ok(()),
        [b'S', a, b, c, d] => Err(Error::Script(i32::from_ne_bytes([*a, *b, *c, *d]))),
        // Process 1 reports a program that could not be run, too.
        [b'E', text @ ..] => {
            let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
            Err(Error::Found(String::from_utf8_lossy(text).into_owned()))
        }
        // The kernel killed process 1, as it may when memory runs out: as if the program itself had been killed.
        _ => Err(Error::Script(9)),
    }
}

/// Passes on the output until its end.
fn relay(output: &OwnedFd, channel: &mut Channel) -> Result<()> {
    let mut buffer = [0; RELAYED];
    loop {
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        match poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&second)) {
            Ok(0) => channel.send(&Frame::Beat)?,
            Ok(_) | Err(Errno::INTR) => match rustix::io::read(output, &mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => channel.send(&Frame::Log(buffer[..length].to_vec()))?,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::call("read")(errno)),
            },
            Err(errno) => return Err(Error::call("wait")(errno)),
        }
    }
}

/// The first process: makes namespaces, and waits.
fn confine(program: &Program<'_>, request: &Request, output: &OwnedFd, report: &OwnedFd) -> Result<()> {
    let input =
        open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(Error::io("open", "/dev/null"))?;
    let copied = rustix::stdio::dup2_stdin(&input)
        .and_then(|()| rustix::stdio::dup2_stdout(output))
        .and_then(|()| rustix::stdio::dup2_stderr(output));
    copied.map_err(Error::call("copy a descriptor"))?;
    let mut flags = UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWNET;
    if program.root.is_some() {
        flags |= UnshareFlags::NEWNS;
    }
    unshare(flags).map_err(Error::call("make namespaces"))?;
    if let Some((root, script)) = program.root {
        make_private()?;
        root::mount_system_dirs(root, request, script)?;
    }
    match fork().map_err(Error::call("fork"))? {
        Some(init) => {
            // Nobody shall wait on the far end of the output for this process.
            let quiet = close_output(&input);
            rustix::io::retry_on_intr(|| waitpid(Some(init), WaitOptions::empty())).map_err(Error::call("wait"))?;
            quiet
        }
        None => start(program, report, &input),
    }
}

/// Why a program does not run: of a script that may be its interpreter, which the system does not say.
fn not_run(program: &OsStr, source: io::Error) -> Error {
    let text = std::fs::read(program).unwrap_or_default();
    let line = text.strip_prefix(b"#!").and_then(|text| text.split(|&byte| byte == b'\n').next());
    match line {
        Some(line) => {
            Error::Found(format!("cannot run its interpreter: {}: {source}", line.trim_ascii().escape_ascii()))
        }
        None => Error::io("run", program)(source),
    }
}

fn close_output(null: &OwnedFd) -> Result<()> {
    let closed = rustix::stdio::dup2_stdout(null).and_then(|()| rustix::stdio::dup2_stderr(null));
    closed.map_err(Error::call("copy a descriptor"))
}

/// Process 1: enters the root, starts the program, waits for it, and reports how it ended.
fn start(program: &Program<'_>, report: &OwnedFd, null: &OwnedFd) -> Result<()> {
    if let Some((root, _)) = program.root {
        root::mount_proc(root, program.is_privileged)?;
        root::pivot(root)?;
    }
    chdir(program.directory).map_err(Error::io("enter", program.directory))?;
    if !program.is_privileged {
        drop_capabilities()?;
    }
    umask(Mode::from_raw_mode(0o022));
    let Some(child) = fork().map_err(Error::call("fork"))? else {
        let mut words = program.words.iter();
        let mut command = Command::new(words.next().cloned().unwrap_or_default());
        command.args(words).env_clear();
        command.envs(program.environment.iter().map(|(name, value)| (name, value)));
        let error = command.exec();
        return Err(not_run(command.get_program(), error));
    };
    close_output(null)?;
    let status = wait_for(child).map_err(Error::call("wait"))?;
    let message = [&b"S"[..], &status.to_ne_bytes()].concat();
    rustix::io::write(report.as_fd(), &message).map_err(Error::call("write"))?;
    Ok(())
}

/// Gives up what root may do to the machine, for good.
fn drop_capabilities() -> Result<()> {
    bound_capabilities().map_err(Error::call("give up capabilities"))?;
    let sets = CapabilitySets {
        effective: KEPT_CAPABILITIES,
        permitted: KEPT_CAPABILITIES,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(Error::call("give up capabilities"))
}
