//! Builds the initramfs of a virtual machine: this program, the modules that it loads, and its request.
//!
//! The format is the kernel's Documentation/driver-api/early-userspace/buffer-format.rst, "newc". It is not compressed: the
//! machine would need longer to unpack it than to copy it.

use super::program::program_files;
use crate::{Error, Result};
use layerstone_guest::{Request, machine};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A module with its bytes, plain.
#[derive(Debug)]
pub struct Module {
    /// What it is called.
    pub name: String,
    /// Its file.
    pub bytes: Vec<u8>,
}

/// File types of stat(2).
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// Writes the initramfs.
pub fn write(request: &Request, modules: &[Module], out: &mut dyn Write) -> Result<()> {
    let program = program_files(machine::INIT)?;
    let to_write = Error::io("write", "the initramfs");
    let mut archive = Archive { out, directories: BTreeSet::new(), number: 0 };
    let written = (|| {
        for file in &program {
            archive.file(&file.name, 0o755, &file.bytes)?;
        }
        let mut order = String::new();
        for module in modules {
            let name = format!("/modules/{}.ko", module.name);
            archive.file(Path::new(&name), 0o644, &module.bytes)?;
            order += &format!("{name}\n");
        }
        archive.file(Path::new(machine::MODULES), 0o644, order.as_bytes())?;
        archive.file(Path::new(machine::REQUEST), 0o600, &serde_json::to_vec(request)?)?;
        archive.entry(OsStr::new("TRAILER!!!"), 0, &[])
    })();
    written.map_err(to_write)
}

struct Archive<'a> {
    out: &'a mut dyn Write,
    directories: BTreeSet<PathBuf>,
    number: u32,
}

impl Archive<'_> {
    /// A file at an absolute path, with the directories above it.
    fn file(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().skip(1).filter(|directory| directory.parent().is_some()).collect();
        for directory in above.into_iter().rev() {
            if self.directories.insert(directory.to_owned()) {
                self.entry(directory.as_os_str(), DIRECTORY | 0o755, &[])?;
            }
        }
        self.entry(path.as_os_str(), FILE | mode, bytes)
    }

    /// An entry: its header with the name, and its contents, each padded to four bytes.
    fn entry(&mut self, name: &OsStr, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let name = name.as_encoded_bytes();
        let name = name.strip_prefix(b"/").unwrap_or(name);
        self.number += 1;
        let size = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let links = if mode & DIRECTORY != 0 { 2 } else { 1 };
        // Number, mode, uid, gid, links, time, size, device and special device (major, minor), name's length, checksum.
        let length = u32::try_from(name.len() + 1).map_err(|_| io::ErrorKind::InvalidFilename)?;
        let fields = [self.number, mode, 0, 0, links, 0, size, 0, 0, 0, 0, length, 0];
        let fields: String = fields.iter().map(|field| format!("{field:08X}")).collect();
        let mut header = [b"070701", fields.as_bytes(), name, b"\0"].concat();
        header.resize(header.len().next_multiple_of(4), 0);
        self.out.write_all(&header)?;
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; 4][..bytes.len().next_multiple_of(4) - bytes.len()])
    }
}
