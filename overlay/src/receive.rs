//! Receives what a guest sends: frames on one pipe, its console on another, with a timeout for each.

use crate::console::Console;
use crate::{Error, Result, Run};
use layerstone_guest::{DiskUsage, Done, Failed, Failure, Frame, Phase};
use layerstone_sandbox::signal;
use layerstone_store::{Digest, Hasher, Limit, Limits};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The target of events.
const LOG: &str = "layerstone::program";
/// Bytes read at a time.
const READ: usize = 1 << 17;
/// Between two signs of life.
const SILENCE: Duration = Duration::from_secs(120);
/// Parts of a disk that may be left when it counts as full.
const FULL: u64 = 100;

/// What a run may take: time, and bytes of what it sends. What has broken out of the script in a machine must not fill the
/// memory or the disk outside.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Until the first sign of life.
    pub hello: Duration,
    /// Between two signs of life.
    pub silence: Duration,
    /// All of it, after the first sign of life; none without a limit.
    pub timeout: Option<Duration>,
    /// Bytes that the layer's tar may have.
    pub layer: u64,
    /// How much of what the guest sends is read besides.
    pub limits: Limits,
}

impl Bounds {
    /// Those of a run, whose first sign of life may take so long.
    pub fn of(run: &Run<'_>, hello: Duration) -> Bounds {
        let layer = run.disk.saturating_mul(run.limits.most(Limit::ScriptLayer));
        Bounds { hello, silence: SILENCE, timeout: run.timeout, layer, limits: run.limits }
    }
}

/// The host's side of a run: where its output goes.
pub struct HostSide<'a> {
    /// The layer's tar.
    pub out: &'a mut dyn Write,
    /// What scripts print.
    pub log: &'a mut dyn Write,
    /// Called at the first sign of life.
    pub hello: &'a mut dyn FnMut(),
    /// Called when the inside waits for users to be mapped.
    pub users: &'a mut dyn FnMut() -> Result<()>,
}

/// What a run has sent.
#[derive(Debug)]
pub struct Received {
    /// How long it took to make everything ready.
    pub prepared: Duration,
    /// Bytes of the layer.
    pub size: u64,
    /// sha256 of them.
    pub digest: Digest,
    /// Names of sockets.
    pub sockets: Vec<Vec<u8>>,
    /// When each phase began, after that.
    pub phases: Vec<(Phase, Duration)>,
}

/// A child process that is killed and waited for when dropped.
#[derive(Debug)]
pub struct ChildGuard {
    /// What messages call it.
    pub name: &'static str,
    /// The process.
    pub child: Child,
}

impl ChildGuard {
    /// Starts a program with pipes at its outputs, which dies with us.
    pub fn start(name: &'static str, command: &mut Command) -> Result<ChildGuard> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // What a terminal sends to its foreground is for us alone.
        command.process_group(0);
        layerstone_sandbox::kill_with_us(command);
        let words = || command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
        tracing::debug!(target: LOG, arguments = words(), "starting {name}");
        let child = command.spawn().map_err(Error::io("run", command.get_program()))?;
        Ok(ChildGuard { name, child })
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let status = self.child.try_wait().ok().flatten();
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let ended = status.map_or_else(|| "ended by us".to_owned(), |status| status.to_string());
        tracing::info!(target: LOG, status = ended, "{}", self.name);
    }
}

/// Receives until the run has ended, well or not. The worker's outputs are pipes.
pub fn receive(guard: &mut ChildGuard, bounds: Bounds, host: &mut HostSide<'_>) -> Result<Received> {
    let (stdout, stderr) = (guard.child.stdout.take(), guard.child.stderr.take());
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        return Err(Error::Garbled("found no pipes".to_owned()));
    };
    let begin = Instant::now();
    let receiver = Receiver {
        bounds,
        begin,
        heard: begin,
        hello: None,
        phase: Phase::Boot,
        phases: Vec::new(),
        frames: Vec::new(),
        script: Console::default(),
        console: Console::default(),
        hasher: Hasher::default(),
        size: 0,
    };
    receiver.run(guard, stdout, stderr, host)
}

struct Receiver {
    bounds: Bounds,
    begin: Instant,
    /// When the last frame came.
    heard: Instant,
    /// When the first one came.
    hello: Option<Instant>,
    phase: Phase,
    phases: Vec<(Phase, Duration)>,
    /// Bytes of an incomplete frame.
    frames: Vec<u8>,
    script: Console,
    console: Console,
    hasher: Hasher,
    size: u64,
}

impl Receiver {
    fn run(
        mut self,
        guard: &mut ChildGuard,
        stdout: ChildStdout,
        stderr: ChildStderr,
        host: &mut HostSide<'_>,
    ) -> Result<Received> {
        let mut buffer = vec![0; READ];
        let mut has_console = true;
        loop {
            let left = self.time_left()?;
            let second = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let mut polled = vec![PollFd::new(&stdout, PollFlags::IN)];
            polled.extend(has_console.then(|| PollFd::new(&stderr, PollFlags::IN)));
            polled.extend(signal::descriptor().map(|signal| PollFd::from_borrowed_fd(signal, PollFlags::IN)));
            match poll(&mut polled, Some(&second)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::io("wait for", guard.name)(errno.into())),
            }
            let has_come = |at: usize| polled.get(at).is_some_and(|polled| !polled.revents().is_empty());
            let (from_stdout, from_stderr) = (has_come(0), has_console && has_come(1));
            if let Some(signal) = signal::came() {
                return Err(Error::Interrupted(signal));
            }
            // First, so that the last words of a machine are there when its end is seen.
            if from_stderr {
                let length = read(&stderr, &mut buffer).map_err(Error::io("read from", guard.name))?;
                self.console.push(&buffer[..length]);
                has_console = length > 0;
            }
            if from_stdout {
                let length = read(&stdout, &mut buffer).map_err(Error::io("read from", guard.name))?;
                if length == 0 {
                    return Err(self.lost(guard, stderr));
                }
                self.frames.extend_from_slice(&buffer[..length]);
                if let Some(ended) = self.take_frames(host)? {
                    return self.conclude(ended);
                }
            }
        }
    }

    /// How long may be waited now.
    fn time_left(&self) -> Result<Duration> {
        let allowed = if self.hello.is_some() { self.bounds.silence } else { self.bounds.hello };
        let silence = allowed.saturating_sub(self.heard.elapsed());
        if silence.is_zero() {
            return Err(Error::Silent { phase: self.phase, after: allowed, console: self.console.lines() });
        }
        let (Some(hello), Some(timeout)) = (self.hello, self.bounds.timeout) else { return Ok(silence) };
        let left = timeout.saturating_sub(hello.elapsed());
        match left.is_zero() {
            true => Err(Error::Timeout { phase: self.phase, after: timeout, last_lines: self.script.lines() }),
            false => Ok(silence.min(left)),
        }
    }

    /// Takes all complete frames; the last one if it ends the run.
    fn take_frames(&mut self, host: &mut HostSide<'_>) -> Result<Option<Done>> {
        let mut taken = 0;
        let limits = self.bounds.limits;
        while let Some((frame, length)) = Frame::decode(&self.frames[taken..], &limits).map_err(garbled)? {
            taken += length;
            self.heard = Instant::now();
            if let Some(ended) = self.take(frame, host)? {
                return Ok(Some(ended));
            }
        }
        self.frames.drain(..taken);
        Ok(None)
    }

    fn take(&mut self, frame: Frame, host: &mut HostSide<'_>) -> Result<Option<Done>> {
        match frame {
            // The time that a run may take counts from the first one; more of them would stretch it without end.
            Frame::Hello(_) if self.hello.is_some() => {
                return Err(Error::Garbled("found a second hello, expected one".to_owned()));
            }
            Frame::Hello(_) => {
                self.hello = Some(Instant::now());
                (host.hello)();
            }
            Frame::Users => (host.users)()?,
            Frame::Phase(phase) => {
                let count = self.phases.len() as u64 + 1;
                self.bounds.limits.check(Limit::ScriptPhases, count).map_err(|it| garbled(it.into()))?;
                self.phase = phase;
                self.phases.push((phase, self.begin.elapsed()));
            }
            Frame::Log(bytes) => {
                self.script.push(&bytes);
                // Whether somebody reads what a script prints does not change what it does.
                let _ = host.log.write_all(&bytes).and_then(|()| host.log.flush());
            }
            Frame::Beat => {}
            Frame::Tar(bytes) => {
                self.size = self.size.saturating_add(bytes.len() as u64);
                if self.size > self.bounds.layer {
                    return Err(Error::LayerTooLarge { limit: self.bounds.layer });
                }
                self.hasher.update(&bytes);
                host.out.write_all(&bytes).map_err(Error::io("write", "the layer of the root script"))?;
            }
            Frame::Done(ended) => return Ok(Some(ended)),
            Frame::Failed(failed) => return Err(self.failed(failed)),
        }
        Ok(None)
    }

    fn conclude(self, ended: Done) -> Result<Received> {
        let (size, digest) = (self.size, self.hasher.finish());
        if (ended.size, ended.digest) != (size, digest) {
            let expected = ended.size;
            return Err(Error::Garbled(format!(
                "found a layer of {size} bytes, expected {expected} with their sha256"
            )));
        }
        Ok(Received { prepared: Duration::ZERO, size, digest, sockets: ended.sockets, phases: self.phases })
    }

    fn failed(&self, failed: Failed) -> Error {
        let Failed { phase, failure, space } = failed;
        let note = space.and_then(full).or_else(|| self.console.reason().map(hint));
        match failure {
            Failure::Script(status) => Error::Script {
                what: phase.script(),
                status: ExitStatus::from_raw(status),
                note,
                last_lines: self.script.lines(),
            },
            Failure::Stage(text) => Error::Inside { phase, text, note },
        }
    }

    /// What is to be said of a worker that ended too early.
    fn lost(mut self, guard: &mut ChildGuard, mut stderr: ChildStderr) -> Error {
        let _ = guard.child.kill();
        let mut rest = Vec::new();
        let _ = stderr.by_ref().take(self.bounds.limits.most(Limit::ScriptConsole)).read_to_end(&mut rest);
        self.console.push(&rest);
        match guard.child.wait() {
            Ok(status) => Error::Lost {
                what: guard.name,
                phase: self.phase,
                status,
                note: self.console.reason().map(hint),
                console: self.console.lines(),
            },
            Err(source) => Error::io("wait for", guard.name)(source),
        }
    }
}

fn read(input: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::read(&input, &mut *buffer))?)
}

fn garbled(error: io::Error) -> Error {
    Error::Garbled(error.to_string())
}

/// What a disk that is full explains.
fn full(space: DiskUsage) -> Option<String> {
    let DiskUsage { total, free } = space;
    let mib = total >> 20;
    (total > 0 && free <= total / FULL)
        .then(|| format!("the disk of the run was full ({mib} MiB): raise diskSize (--disk-size)"))
}

/// What the kernel's last words ask for.
fn hint(reason: &str) -> String {
    match reason.starts_with("Out of memory") {
        true => format!("{reason}: raise buildVMMemorySize (--memory)"),
        false => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of these frames, and how many bytes of the layer are written.
    fn received(frames: &[Frame], layer: u64) -> (Result<Received>, u64) {
        let wait = Duration::from_secs(60);
        let limits = Limits::default();
        received_within(frames, "cat frames", Bounds { hello: wait, silence: wait, timeout: None, layer, limits })
    }

    /// The same of a guest that is this command in a directory with the file `frames`.
    fn received_within(frames: &[Frame], command: &str, bounds: Bounds) -> (Result<Received>, u64) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("frames");
        std::fs::write(&file, frames.iter().flat_map(Frame::encode).collect::<Vec<u8>>()).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(directory.path()).stdin(Stdio::null());
        let mut guard = ChildGuard::start("the test", &mut shell).unwrap();
        let (mut out, mut log) = (Vec::new(), Vec::new());
        let mut host = HostSide { out: &mut out, log: &mut log, hello: &mut || (), users: &mut || Ok(()) };
        let result = receive(&mut guard, bounds, &mut host);
        (result, out.len() as u64)
    }

    fn hello() -> Frame {
        Frame::Hello("6.1.0".to_owned())
    }

    /// An end that is as it must be, behind a layer of so many bytes.
    fn layer(size: usize) -> Vec<Frame> {
        let tar = vec![7; size];
        let mut hasher = Hasher::default();
        hasher.update(&tar);
        let (size, digest) = (size as u64, hasher.finish());
        let mut frames: Vec<Frame> = tar.chunks(60_000).map(|piece| Frame::Tar(piece.to_vec())).collect();
        frames.push(Frame::Done(Done { size, digest, sockets: Vec::new() }));
        frames
    }

    #[test]
    fn a_layer_within_its_bound() {
        let (result, written) = received(&[vec![hello()], layer(200_000)].concat(), 200_000);
        assert_eq!((result.unwrap().size, written), (200_000, 200_000));
    }

    #[test]
    fn what_an_inside_that_means_harm_sends() {
        let phases = vec![Frame::Phase(Phase::Script); 101];
        for (frames, most, expected) in [
            (vec![hello(), hello()], 9, "cannot understand what came back: found a second hello, expected one"),
            (
                phases,
                9,
                "cannot understand what came back: found 101 phases, expected at most 100 (limit script-phases)",
            ),
            (
                [vec![hello()], layer(1_000_000)].concat(),
                199_999,
                "layer of the root script: found more than 199999 bytes, which its disk cannot hold (limit script-layer)",
            ),
        ] {
            let (result, written) = received(&frames, most);
            assert_eq!(result.unwrap_err().to_string(), expected);
            assert!(written <= most, "{written}");
        }
    }

    #[test]
    fn as_many_phases_as_the_limit() {
        let phases = vec![Frame::Phase(Phase::Script); 100];
        let (result, _) = received(&[vec![hello()], phases, layer(0)].concat(), 0);
        assert_eq!(result.unwrap().phases.len(), 100);
    }

    /// The time of a run begins at the first hello: what comes before it, a slow boot, takes none of it.
    #[test]
    fn the_timeout_counts_from_the_first_hello() {
        let wait = Duration::from_secs(60);
        let timeout = Some(Duration::from_secs(2));
        let bounds = Bounds { hello: wait, silence: wait, timeout, layer: 0, limits: Limits::default() };
        let frames = [vec![hello()], layer(0)].concat();
        let (result, _) = received_within(&frames, "sleep 3; cat frames", bounds);
        assert!(result.is_ok(), "{result:?}");
        let begin = Instant::now();
        let (result, _) = received_within(&[hello(), Frame::Beat], "cat frames; sleep 60", bounds);
        assert!(matches!(result, Err(Error::Timeout { .. })), "{result:?}");
        assert!((2..30).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    }

    /// Of what a machine says when it has ended, so much is kept as is allowed.
    #[test]
    fn last_words() {
        let wait = Duration::from_secs(60);
        let words = |most| {
            let limits = Limits::default().with(Limit::ScriptConsole, most);
            let bounds = Bounds { hello: wait, silence: wait, timeout: None, layer: 0, limits };
            // The pipe of frames closes first, so that all of the console, of a process that outlives it, is last words.
            let late = "(exec 1>&-; sleep 0.5; echo one >&2; echo two >&2) & exec 1>&-; sleep 60";
            let (result, _) = received_within(&[], late, bounds);
            let Err(Error::Lost { console, .. }) = result else { panic!("{result:?}") };
            console
        };
        assert_eq!(words(8), ["one", "two"]);
        assert_eq!(words(7), ["one", "two"]);
        assert_eq!(words(4), ["one"]);
    }
}
