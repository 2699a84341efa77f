//! Fakes root: a seccomp notifier answers the system calls that only root may make.
//!
//! A filter (seccomp_unotify(2)) stops some calls and asks the notifier, a thread of ours, what they shall return. Owners
//! that the caller may not set, device nodes that it may not make and file capabilities go into an [`OwnerTable`] instead,
//! and later calls that ask for them are answered from the table. All other calls go on to the kernel. Unlike a preloaded
//! library this works for static programs too, and unlike ptrace it costs nothing for other calls.
//!
//! It is no security boundary: a program that wants to can see what its files really are.

mod answer;
mod attribute;
mod calls;
mod filter;
mod find;
mod identity;
mod listener;
mod owner_table;
mod process;

pub use filter::filter;
pub use identity::Identity;
pub use owner_table::{Device, OwnerTable};

use crate::fd_broker::{FdBroker, receive, send};
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

/// The notifier's work: maps users for the sandbox at the other end of the socket, and then answers the command's calls
/// until no process is left to make any. Returns the table.
pub fn serve(socket: &UnixStream, identity: &Identity, broker: FdBroker) -> io::Result<OwnerTable> {
    loop {
        let mut message = [0; MESSAGE];
        match receive(socket.as_fd(), &mut message)? {
            (MESSAGE, Some(listener)) if message[0] == LISTENER => {
                let mut answers = Answers { identity: identity.clone(), table: OwnerTable::default(), broker };
                Listener::new(listener)?.serve(|call| answers.answer(call))?;
                return Ok(answers.table);
            }
            (MESSAGE, _) => {
                let [_, number @ ..] = message;
                let mapped = identity.ids.map(u32::from_ne_bytes(number));
                let errno = mapped.err().map_or(0, |e| e.raw_os_error().unwrap_or(libc::EPERM));
                (&*socket).write_all(&errno.to_ne_bytes())?;
            }
            _ => return Ok(OwnerTable::default()),
        }
    }
}

/// Has the notifier map users, and waits until it has. To be called between fork and exec.
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

/// Gives the notifier the listener. To be called between fork and exec.
pub fn hand_over(socket: &UnixStream, listener: OwnedFd) -> Result<(), Errno> {
    send(socket.as_fd(), &[LISTENER, 0, 0, 0, 0], Some(listener.as_fd()))
}
