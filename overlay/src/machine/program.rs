//! Lists this program's files for an initramfs: itself, the libraries that it is linked with, and their loader.
//!
//! So the inside of a machine is the very program outside, however that was built. What is not loaded of a file (symbols,
//! debug information) is left out: it is most of a program that is being developed.

use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file with its name in the initramfs.
#[derive(Debug)]
pub struct ProgramFile {
    /// Absolute.
    pub name: PathBuf,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// Where the program is.
const SELF: &str = "/proc/self/exe";
/// Bytes in which the table of segments is, for every linker.
const TABLE: u64 = 4096;
/// Bytes of an ELF header and of a program header (elf(5), Elf64_Ehdr and Elf64_Phdr).
const HEADER: usize = 64;
const SEGMENT: usize = 56;
/// Types of segments.
const LOAD: u32 = 1;
const INTERPRETER: u32 = 3;

/// The program under the name that it shall have, and its libraries under their own.
pub fn program_files(name: &str) -> Result<Vec<ProgramFile>> {
    let own = Path::new(SELF);
    let bytes = loaded(own)?;
    let mut files = Vec::new();
    if let Some(interpreter) = interpreter(&bytes) {
        let real = interpreter.canonicalize().map_err(Error::io("find", &interpreter))?;
        files.push(ProgramFile { bytes: loaded(&real)?, name: interpreter });
        for library in libraries()?.into_iter().filter(|library| *library != real) {
            files.push(ProgramFile { bytes: loaded(&library)?, name: library });
        }
    }
    files.push(ProgramFile { name: name.into(), bytes });
    Ok(files)
}

/// The libraries that are mapped into this process, by their real names.
fn libraries() -> Result<BTreeSet<PathBuf>> {
    let maps = "/proc/self/maps";
    let text = fs::read_to_string(maps).map_err(Error::io("read", maps))?;
    let own = fs::read_link(SELF).map_err(Error::io("read", SELF))?;
    // proc_pid_maps(5): address, permissions, offset, device, inode, path.
    let path = |line: &str| {
        let words: Vec<&str> = line.splitn(6, ' ').collect();
        let (is_code, path) = (words.get(1)?.contains('x'), words.get(5)?.trim_start());
        (is_code && path.starts_with('/')).then(|| PathBuf::from(path))
    };
    Ok(text.lines().filter_map(path).filter(|path| *path != own).collect())
}

/// The bytes of a program or library up to the end of what is loaded, without a table of sections, which would be behind.
fn loaded(path: &Path) -> Result<Vec<u8>> {
    let read = |length: u64| {
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(length).read_to_end(&mut bytes))
            .map_err(Error::io("read", path))?;
        Ok::<_, Error>(bytes)
    };
    let end = segments(&read(TABLE)?).filter(|segment| segment.kind == LOAD).map(|segment| segment.end).max();
    let mut bytes = read(end.map_or(u64::MAX, |end| end as u64))?;
    if end.is_some() {
        // e_shoff, and e_shentsize, e_shnum and e_shstrndx.
        bytes[40..48].fill(0);
        bytes[58..64].fill(0);
    }
    Ok(bytes)
}

/// What loads the program, if that is not the kernel alone.
fn interpreter(bytes: &[u8]) -> Option<PathBuf> {
    let segment = segments(bytes).find(|segment| segment.kind == INTERPRETER)?;
    let text = bytes.get(segment.start..segment.end)?;
    let text = text.split(|&byte| byte == 0).next()?;
    Some(PathBuf::from(std::str::from_utf8(text).ok()?))
}

struct Segment {
    kind: u32,
    start: usize,
    end: usize,
}

/// The segments of a 64-bit ELF file that are stored in it; none of any other file.
fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment> {
    let is_elf = bytes.len() >= HEADER && bytes.starts_with(b"\x7fELF\x02\x01");
    let number = |at: usize, length: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(length)?)?;
        let value = field.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        usize::try_from(value).ok()
    };
    let (table, count) = match is_elf {
        true => (number(32, 8).unwrap_or(0), number(56, 2).unwrap_or(0)),
        false => (0, 0),
    };
    (0..count).filter_map(move |index| {
        let at = table.checked_add(index * SEGMENT)?;
        let kind = u32::try_from(number(at, 4)?).ok()?;
        let start = number(at + 8, 8)?;
        let end = start.checked_add(number(at + 32, 8)?)?;
        matches!(kind, LOAD | INTERPRETER).then_some(Segment { kind, start, end })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// A program without what is not loaded is still a program.
    #[test]
    fn what_is_loaded_runs() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("true");
        fs::write(&file, loaded(Path::new("/bin/true")).unwrap()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Command::new(&file).status().unwrap().success());
    }

    #[test]
    fn all_that_is_needed_is_there() {
        let files = program_files("/init").unwrap();
        let names: Vec<_> = files.iter().map(|file| file.name.to_string_lossy().into_owned()).collect();
        assert_eq!(names.last().unwrap(), "/init");
        if names.len() > 1 {
            assert!(names.iter().any(|name| name.contains("libc")), "{names:?}");
            assert!(names[0].contains("ld"), "{names:?}");
        }
    }

    #[test]
    fn what_is_no_program_stays_whole() {
        assert_eq!(segments(b"#!/bin/sh\n").count(), 0);
        assert_eq!(segments(&[b"\x7fELF\x02\x01", &[0xff; 80][..]].concat()).count(), 0);
    }
}
