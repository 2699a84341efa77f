//! Runs a guest as a child process of this program in namespaces, with a user namespace or as root of the machine.

use crate::receive::{Bounds, ChildGuard, HostSide, Received, receive};
use crate::{Backend, Error, Result, Run};
use crossbeam_channel::{Receiver, bounded};
use layerstone_guest::{ChunkWriter, Request, namespace};
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

/// The users of the namespace, as far as they are mapped from outside.
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
pub fn run(backend: Backend, run: &Run<'_>, host: &mut HostSide<'_>) -> Result<Received> {
    let ids = users(backend)?;
    let request = run.request(backend)?;
    let mut command = Command::new(SELF);
    command.arg(INSIDE).args(ids.as_ref().map(|_| namespace::USERS)).env_clear().current_dir("/");
    let mut guard = ChildGuard::start("the namespace", command.stdin(Stdio::piped()))?;
    let Some(stdin) = guard.child.stdin.take() else {
        return Err(Error::Garbled("found no pipe".to_owned()));
    };
    let process = guard.child.id();
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
        let (wait, request) = (&wait, &request);
        let feeder = std::thread::Builder::new().spawn_scoped(scope, move || feed(stdin, wait, request, run));
        let feeder = feeder.map_err(Error::io("start a thread for", "the input of the root script"))?;
        let mut host = HostSide { out: host.out, log: host.log, hello: host.hello, users: &mut map };
        let received = receive(&mut guard, Bounds::of(run, HELLO), &mut host);
        // Whoever still feeds it gets an error now.
        drop(guard);
        let _ = stop.try_send(None);
        Ok::<_, Error>((received, feeder.join()))
    })?;
    match fed {
        // A base that cannot be read explains what went wrong inside.
        Ok(Err(error @ (Error::Tar(_) | Error::Stage(_)))) if received.is_err() => Err(error),
        _ => received,
    }
}

/// Gives the child what it reads: nothing until it may go on. It reads an end of its input after an error, and so ends too.
fn feed(mut stdin: ChildStdin, wait: &Receiver<Option<bool>>, request: &Request, run: &Run<'_>) -> Result<()> {
    let Ok(Some(has_users)) = wait.recv() else { return Ok(()) };
    let lost = |_: io::Error| Error::Garbled("it does not read".to_owned());
    if has_users {
        stdin.write_all(&[1]).map_err(lost)?;
    }
    let mut chunks = ChunkWriter(&mut stdin);
    serde_json::to_writer(&mut chunks, request).map_err(|e| lost(e.into()))?;
    chunks.finish().map_err(lost)?;
    if let Some(base) = run.base {
        let mut chunks = ChunkWriter(&mut stdin);
        base.write_tar(&mut chunks).map_err(|error| match error {
            Error::Tar(layerstone_tar::Error::Write { source, .. }) => lost(source),
            error => error,
        })?;
        chunks.finish().map_err(lost)?;
    }
    if let Some(contents) = &run.contents {
        let mut contents: &File = contents;
        contents.rewind().map_err(Error::io("read", "contents"))?;
        let mut chunks = ChunkWriter(&mut stdin);
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
