//! A root who is none: system calls that only root may make are answered by us.
//!
//! A filter (seccomp_unotify(2)) stops some calls and asks us what they shall return. Owners that the caller
//! may not give, device nodes that it may not make and capabilities of files are written into a [`Ledger`] instead, and
//! what asks for them hears what the ledger says. All other calls go on to the kernel, as do those of the list that are
//! none of our business. Unlike a library that is preloaded this works for static programs too, and unlike ptrace it
//! costs nothing where nobody asks.
//!
//! It is not a guard of anything: a program that wants to may see what its files really are.

mod answer;
mod attribute;
mod calls;
mod filter;
mod find;
mod ledger;
mod listener;
mod process;

pub use filter::filter;
pub use ledger::{Device, Ledger, Record};

use crate::ids::Ids;
use crate::opener::{Opener, receive, send};
use answer::Answers;
use listener::Listener;
use rustix::io::Errno;
use rustix::process::Pid;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// First byte of a message that asks for users to be mapped; a process id follows.
const MAP: u8 = b'm';
/// First byte of the message that brings the listener along.
const LISTENER: u8 = b'l';
/// Bytes of a message, and of an answer less one.
const MESSAGE: usize = 5;

/// Who the commands of a fake root are.
#[derive(Clone, Debug)]
pub struct Nature {
    /// The users that they see.
    pub ids: Ids,
    /// Whether the kernel gives files to those, so that only others need the ledger.
    pub gives: bool,
    /// Whether they are no root to the kernel, and are told that they are.
    pub pretends: bool,
}

/// Maps users for the sandbox at the other end of the socket, and then answers the command's calls until nobody is left to
/// make any. What was written down.
pub fn attend(socket: &UnixStream, nature: &Nature, opener: Opener) -> io::Result<Ledger> {
    loop {
        let mut message = [0; MESSAGE];
        match receive(socket.as_fd(), &mut message)? {
            (MESSAGE, Some(listener)) if message[0] == LISTENER => {
                let mut answers = Answers::new(nature.clone(), opener);
                Listener::new(listener)?.serve(|call| answers.answer(call))?;
                return Ok(answers.into_ledger());
            }
            (MESSAGE, _) => {
                let [_, number @ ..] = message;
                let mapped = nature.ids.map(u32::from_ne_bytes(number));
                let errno = mapped.err().map_or(0, |e| e.raw_os_error().unwrap_or(libc::EPERM));
                (&*socket).write_all(&errno.to_ne_bytes())?;
            }
            _ => return Ok(Ledger::default()),
        }
    }
}

/// Has the attendant map users, and waits until it has. For between fork and exec.
pub fn ask_for_users(socket: &UnixStream, process: Pid) -> Result<(), Errno> {
    let [a, b, c, d] = process.as_raw_nonzero().get().to_ne_bytes();
    rustix::io::write(socket, &[MAP, a, b, c, d])?;
    let mut answer = [0; 4];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut answer))?;
    match (length, i32::from_ne_bytes(answer)) {
        (4, 0) => Ok(()),
        (4, errno) => Err(Errno::from_raw_os_error(errno)),
        _ => Err(Errno::CONNRESET),
    }
}

/// Gives the attendant the listener. For between fork and exec.
pub fn hand_over(socket: &UnixStream, listener: OwnedFd) -> Result<(), Errno> {
    send(socket.as_fd(), &[LISTENER, 0, 0, 0, 0], Some(listener.as_fd()))
}
