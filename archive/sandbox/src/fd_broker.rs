//! Opens files that only root of a user namespace may open, for the process outside of it.
//!
//! The supervisor of a sandbox serves such requests while it waits. A request is a directory's descriptor and, in one
//! packet, flags and mode of openat(2) and a name; the answer is an error number and, if that is 0, a descriptor.

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::ffi::CStr;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of flags and mode.
const HEAD: usize = 8;
/// Bytes of the longest name and its NUL (limits.h, NAME_MAX).
const NAME: usize = 256;

/// Opens files, with the supervisor's help if there is one and it is needed.
#[derive(Debug, Default)]
pub struct FdBroker(Option<OwnedFd>);

/// A broker, and the end of its socket at which a supervisor serves.
pub fn pair() -> Result<(FdBroker, OwnedFd), Errno> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((FdBroker(Some(ours)), theirs))
}

impl FdBroker {
    /// openat(2), of a single name.
    pub fn open(&self, directory: &OwnedFd, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        match (retry_on_intr(|| openat(directory, name, flags, mode)), &self.0) {
            (Err(Errno::ACCESS | Errno::PERM), Some(supervisor)) => ask(supervisor, directory, name, flags, mode),
            (result, _) => result,
        }
    }
}

fn ask(supervisor: &OwnedFd, directory: &OwnedFd, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    if name.len() >= NAME || name.contains(&0) {
        return Err(Errno::NAMETOOLONG);
    }
    let head = [flags.bits().to_ne_bytes(), mode.bits().to_ne_bytes()].concat();
    send(supervisor.as_fd(), &[&head, name, b"\0"].concat(), Some(directory.as_fd()))?;
    let mut answer = [0; 4];
    match (receive(supervisor.as_fd(), &mut answer)?, i32::from_ne_bytes(answer)) {
        ((4, Some(file)), 0) => Ok(file),
        ((4, None), errno) if errno != 0 => Err(Errno::from_raw_os_error(errno)),
        _ => Err(Errno::CONNRESET),
    }
}

/// Serves one request; an error if there will be no more. Allocates nothing.
pub fn serve(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut request = [0; HEAD + NAME];
    let (length, directory) = receive(socket, &mut request)?;
    let number = |at: usize| u32::from_ne_bytes([request[at], request[at + 1], request[at + 2], request[at + 3]]);
    let opened = match (directory, request.get(HEAD..length).map(CStr::from_bytes_with_nul)) {
        (Some(directory), Some(Ok(name))) => retry_on_intr(|| {
            openat(&directory, name, OFlags::from_bits_retain(number(0)), Mode::from_bits_retain(number(4)))
        }),
        _ if length == 0 => return Err(Errno::CONNRESET),
        _ => Err(Errno::INVAL),
    };
    let errno = opened.as_ref().err().map_or(0, |errno| errno.raw_os_error());
    send(socket, &errno.to_ne_bytes(), opened.as_ref().ok().map(AsFd::as_fd))
}

/// Sends a message, and a descriptor with it. Allocates nothing.
pub fn send(socket: BorrowedFd<'_>, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|descriptor| [descriptor]);
    if let Some(descriptors) = &descriptors {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Receives a message, and a descriptor if one came with it. Allocates nothing.
pub fn receive(socket: BorrowedFd<'_>, message: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(message)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((received.bytes, descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;

    #[test]
    fn requests_are_served() {
        let (broker, service) = pair().unwrap();
        let supervisor = broker.0.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let descriptor = openat(CWD, directory.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| while serve(service.as_fd()).is_ok() {});
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let made = ask(&supervisor, &descriptor, b"x", flags, Mode::from_raw_mode(0o600)).unwrap();
            rustix::io::write(&made, b"hi").unwrap();
            assert_eq!(std::fs::read(directory.path().join("x")).unwrap(), b"hi");
            let again = ask(&supervisor, &descriptor, b"x", flags, Mode::from_raw_mode(0o600));
            assert_eq!(again.unwrap_err(), Errno::EXIST);
            assert_eq!(
                ask(&supervisor, &descriptor, &[b'n'; 256], flags, Mode::empty()).unwrap_err(),
                Errno::NAMETOOLONG
            );
            drop(supervisor);
        });
    }
}
