//! A child of this very program in namespaces: of users, or as root of the machine in all others.

use crate::receive::{Outside, Patience, Received, Worker, receive};
use crate::{Backend, Error, Result, Run};
use crossbeam_channel::{Receiver, bounded};
use layerstone_guest::{ChunkWriter, Job, namespace};
use layerstone_sandbox::Ids;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

/// The argument that makes this program the inside.
pub const INSIDE: &str = "inside-a-namespace";
/// This program.
const SELF: &str = "/proc/self/exe";
/// Bytes of contents that are passed on at a time.
const PIECE: usize = 1 << 17;
/// Until the child says hello.
const HELLO: Duration = Duration::from_secs(30);

/// Who can be root, if it is known before a child is started.
fn users(backend: Backend) -> Result<Option<Ids>> {
    if backend == Backend::Namespace {
        return match rustix::process::geteuid().is_root() {
            true => Ok(None),
            false => Err(Error::Unavailable("found an ordinary user, expected root".to_owned())),
        };
    }
    let uid = rustix::process::getuid().as_raw();
    let none = || {
        Error::Unavailable(format!(
            "found no subordinate users of user {uid}, expected some in /etc/subuid and /etc/subgid (usermod --add-subuids)"
        ))
    };
    Ids::many().map(Some).ok_or_else(none)
}

/// Runs in namespaces.
pub fn run(backend: Backend, run: &Run<'_>, outside: &mut Outside<'_>) -> Result<Received> {
    let ids = users(backend)?;
    let job = run.job(backend)?;
    let mut command = Command::new(SELF);
    command.arg(INSIDE).args(ids.as_ref().map(|_| namespace::USERS)).env_clear().current_dir("/");
    let mut worker = Worker::start("the namespace", command.stdin(Stdio::piped()))?;
    let Some(mut stdin) = worker.child.stdin.take() else {
        return Err(Error::Garbled("found no pipe".to_owned()));
    };
    let process = worker.child.id();
    // Whether users were mapped; nothing if there is nothing to be fed any more.
    let (go, wait) = bounded(1);
    let stop = go.clone();
    if ids.is_none() {
        let _ = go.send(Some(false));
    }
    let mut map = || match &ids {
        Some(ids) => {
            let advice = if rustix::process::geteuid().is_root() { "" } else { " (needs newuidmap: install uidmap)" };
            let no_map = |e| Error::Unavailable(format!("cannot map users: {e}{advice}"));
            ids.map(process).map_err(no_map)?;
            let _ = go.send(Some(true));
            Ok(())
        }
        None => Err(Error::Garbled("found a wish for users".to_owned())),
    };
    let (received, fed) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&mut stdin, &wait, &job, run));
        let mut outside = Outside { out: outside.out, log: outside.log, hello: outside.hello, users: &mut map };
        let received = receive(&mut worker, Patience::of(run, HELLO), &mut outside);
        // Whoever still feeds it gets an error now.
        drop(worker);
        let _ = stop.try_send(None);
        (received, feeder.join())
    });
    match fed {
        // A base that cannot be read explains what went wrong inside.
        Ok(Err(error @ (Error::Tar(_) | Error::Io { .. }))) if received.is_err() => Err(error),
        _ => received,
    }
}

/// Gives the child what it reads: nothing until it may go on.
fn feed(stdin: &mut ChildStdin, wait: &Receiver<Option<bool>>, job: &Job, run: &Run<'_>) -> Result<()> {
    let Ok(Some(has_users)) = wait.recv() else { return Ok(()) };
    let lost = |_: io::Error| Error::Garbled("it does not read".to_owned());
    if has_users {
        stdin.write_all(&[1]).map_err(lost)?;
    }
    let mut chunks = ChunkWriter(&mut *stdin);
    serde_json::to_writer(&mut chunks, job).map_err(|e| lost(e.into()))?;
    chunks.finish().map_err(lost)?;
    if let Some(base) = run.base {
        let mut chunks = ChunkWriter(&mut *stdin);
        base.write_tar(&mut chunks).map_err(|error| match error {
            Error::Tar(layerstone_tar::Error::Write { source, .. }) => lost(source),
            error => error,
        })?;
        chunks.finish().map_err(lost)?;
    }
    if let Some(contents) = &run.contents {
        let mut contents: &File = contents;
        contents.rewind().map_err(Error::io("read", "contents"))?;
        let mut chunks = ChunkWriter(&mut *stdin);
        let mut buffer = vec![0; PIECE];
        loop {
            match contents.read(&mut buffer).map_err(Error::io("read", "contents"))? {
                0 => break,
                count => chunks.write_all(&buffer[..count]).map_err(lost)?,
            }
        }
        chunks.finish().map_err(lost)?;
    }
    Ok(())
}
