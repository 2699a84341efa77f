//! Builds the initramfs of a virtual machine: this program, the modules that it loads, and its request.
//!
//! The format is the kernel's Documentation/driver-api/early-userspace/buffer-format.rst, "newc". It is not compressed: the
//! machine would need longer to unpack it than to copy it.

use crate::program::program_files;
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
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// Writes the initramfs.
pub fn write(request: &Request, modules: &[Module], out: &mut dyn Write) -> Result<()> {
    let program = program_files(machine::INIT)?;
    let to_write = Error::io("write", "the initramfs");
    let mut archive = Archive { out, count: 0, folders: BTreeSet::new(), number: 0 };
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
        archive.finish()
    })();
    written.map_err(to_write)
}

struct Archive<'a> {
    out: &'a mut dyn Write,
    count: usize,
    folders: BTreeSet<PathBuf>,
    number: u32,
}

impl Archive<'_> {
    /// A file at an absolute path, with the folders around it.
    fn file(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let around: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
        for folder in around.into_iter().rev().filter(|folder| folder.parent().is_some()) {
            if self.folders.insert(folder.clone()) {
                self.entry(folder.as_os_str(), FOLDER | 0o755, &[])?;
            }
        }
        self.entry(path.as_os_str(), FILE | mode, bytes)
    }

    fn entry(&mut self, name: &OsStr, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let name = name.as_encoded_bytes();
        let name = name.strip_prefix(b"/").unwrap_or(name);
        self.number += 1;
        let size = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let links = if mode & FOLDER != 0 { 2 } else { 1 };
        // Number, mode, uid, gid, links, time, size, device and special device (major, minor), name's length, checksum.
        let length = u32::try_from(name.len() + 1).map_err(|_| io::ErrorKind::InvalidFilename)?;
        let fields = [self.number, mode, 0, 0, links, 0, size, 0, 0, 0, 0, length, 0];
        let fields: String = fields.iter().map(|field| format!("{field:08X}")).collect();
        self.put(b"070701")?;
        self.put(fields.as_bytes())?;
        self.put(name)?;
        self.put(b"\0")?;
        self.align()?;
        self.put(bytes)?;
        self.align()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.entry(OsStr::new("TRAILER!!!"), 0, &[])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count += bytes.len();
        self.out.write_all(bytes)
    }

    fn align(&mut self) -> io::Result<()> {
        let missing = self.count.next_multiple_of(4) - self.count;
        self.put(&[0; 4][..missing])
    }
}
