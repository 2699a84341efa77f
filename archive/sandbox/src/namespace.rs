//! Sets up what a new namespace begins without: its network has no interface that is up, its host has our name.

use crate::system::set_flags_up;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::system::{setdomainname, sethostname};

/// The host's name and its domain, as in Nix's sandbox.
const HOST: (&[u8], &[u8]) = (b"localhost", b"(none)");

/// Brings up the loopback interface of the caller's network, so that programs can speak to themselves.
pub fn start_loopback() -> Result<(), Errno> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    set_flags_up(&socket, c"lo")
}

/// Gives the host the name that it has in every sandbox.
pub fn name_host() -> Result<(), Errno> {
    sethostname(HOST.0)?;
    setdomainname(HOST.1)
}
