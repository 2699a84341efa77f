//! Reads and writes the memory of a process that waits for an answer, and reads its status from /proc (proc(5)).

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// Bytes of the longest path, its NUL counted (limits.h, PATH_MAX).
const PATH_MAX: usize = 4096;
/// Bytes that are read at a time: texts do not cross the end of such a piece unless they must.
const PAGE: u64 = 4096;

/// The process, or thread, of a number.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// Something of its directory in /proc, opened to find other files by.
    pub fn open(self, what: &str) -> Result<OwnedFd, Errno> {
        open(self.path(what), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    }

    /// The text at an address, without its NUL.
    pub fn text(self, mut address: u64) -> Result<Vec<u8>, Errno> {
        let memory = self.memory()?;
        let mut text = Vec::new();
        loop {
            // Not beyond the end of a page, behind which there may be nothing.
            let length = usize::try_from(PAGE - address % PAGE).map_err(|_| Errno::FAULT)?;
            let mut piece = vec![0; length];
            let read = memory.read_at(&mut piece, address).map_err(|_| Errno::FAULT)?;
            piece.truncate(read);
            if let Some(end) = piece.iter().position(|&byte| byte == 0) {
                text.extend_from_slice(&piece[..end]);
                return Ok(text);
            }
            text.append(&mut piece);
            if read == 0 || text.len() >= PATH_MAX {
                return Err(Errno::NAMETOOLONG);
            }
            address += read as u64;
        }
    }

    /// So many bytes at an address.
    pub fn read(self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        self.memory()?.read_exact_at(&mut bytes, address).map_err(|_| Errno::FAULT)?;
        Ok(bytes)
    }

    /// Writes bytes to an address.
    pub fn write(self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.memory()?.write_all_at(bytes, address).map_err(|_| Errno::FAULT)
    }

    /// Whether it may do what this capability allows (capabilities(7)), in its user namespace.
    pub fn has_capability(self, number: u32) -> bool {
        let set = self.status("CapEff:").and_then(|text| u64::from_str_radix(&text, 16).ok());
        set.is_some_and(|set| set >> number & 1 == 1)
    }

    /// The permission bits that files which it makes do not get.
    pub fn umask(self) -> u32 {
        self.status("Umask:").and_then(|text| u32::from_str_radix(&text, 8).ok()).unwrap_or(crate::system::UMASK)
    }

    fn status(self, key: &str) -> Option<String> {
        let status = std::fs::read_to_string(self.path("status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned())
    }

    fn memory(self) -> Result<File, Errno> {
        let opened = OpenOptions::new().read(true).write(true).open(self.path("mem"));
        opened.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
    }

    fn path(self, what: &str) -> String {
        format!("/proc/{}/{what}", self.0)
    }
}
