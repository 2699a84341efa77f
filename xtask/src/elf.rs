//! The part of an ELF file that says how it is linked: its interpreter, the libraries it needs, where it looks for
//! them.
//!
//! Only 64-bit little-endian files are read. Layout and constants: System V ABI, chapters 4 and 5 (elf(5)).

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Size of the file header and of one program header.
const FILE_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
/// A longer name of a library or a search path is cut; none comes near.
const LONGEST_NAME: usize = 4096;

/// How a program or shared library is linked.
#[derive(Debug, PartialEq, Eq)]
pub struct Elf {
    /// The program that loads it; a static program has none, and neither has most libraries.
    pub interpreter: Option<PathBuf>,
    /// What its dynamic section says, if it has one.
    pub dynamic: Option<Dynamic>,
}

/// The dynamic section.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dynamic {
    /// Names of the libraries it needs, in order.
    pub needed: Vec<OsString>,
    /// Directories to look for them in, in order.
    pub search: Vec<PathBuf>,
}

/// Reads a file; `None` if it is no ELF program or shared library of this kind, or a broken one.
pub fn read(path: &Path) -> io::Result<Option<Elf>> {
    let file = File::open(path)?;
    match parse(&file) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        parsed => parsed,
    }
}

/// One program header.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

fn parse(file: &File) -> io::Result<Option<Elf>> {
    let header = read_at(file, 0, FILE_HEADER)?;
    // Magic number, 64 bits, little-endian.
    if !header.starts_with(b"\x7fELF\x02\x01") || !matches!(u16_at(&header, 16), ET_EXEC | ET_DYN) {
        return Ok(None);
    }
    if usize::from(u16_at(&header, 54)) != PROGRAM_HEADER {
        return Ok(None);
    }
    let table = read_at(file, u64_at(&header, 32), PROGRAM_HEADER * usize::from(u16_at(&header, 56)))?;
    let segments: Vec<Segment> = table.chunks_exact(PROGRAM_HEADER).map(segment).collect();
    let contents = |kind| {
        let found = segments.iter().find(|segment| segment.kind == kind);
        found.map(|segment| read_whole(file, segment)).transpose()
    };
    let interpreter = contents(PT_INTERP)?.map(|text| until_nul(text).into());
    let dynamic = match contents(PT_DYNAMIC)? {
        Some(section) => dynamic(file, &segments, &section)?,
        None => None,
    };
    Ok(Some(Elf { interpreter, dynamic }))
}

fn segment(header: &[u8]) -> Segment {
    Segment {
        kind: u32_at(header, 0),
        offset: u64_at(header, 8),
        address: u64_at(header, 16),
        size: u64_at(header, 32),
    }
}

fn dynamic(file: &File, segments: &[Segment], section: &[u8]) -> io::Result<Option<Dynamic>> {
    let pairs = section.chunks_exact(16).map(|pair| (u64_at(pair, 0), u64_at(pair, 8)));
    let tags: Vec<(u64, u64)> = pairs.take_while(|(tag, _)| *tag != DT_NULL).collect();
    let strings = tags.iter().find(|(tag, _)| *tag == DT_STRTAB).and_then(|(_, address)| locate(segments, *address));
    let Some(strings) = strings else { return Ok(None) };
    let mut found = Dynamic::default();
    for (tag, value) in tags {
        match tag {
            DT_NEEDED => found.needed.push(string_at(file, strings.saturating_add(value))?),
            DT_RPATH | DT_RUNPATH => {
                let path = string_at(file, strings.saturating_add(value))?;
                found.search.extend(std::env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty()));
            }
            _ => {}
        }
    }
    Ok(Some(found))
}

/// Where in the file an address is loaded from.
fn locate(segments: &[Segment], address: u64) -> Option<u64> {
    let holds = |s: &&Segment| s.kind == PT_LOAD && address >= s.address && address - s.address < s.size;
    segments.iter().find(holds).and_then(|s| s.offset.checked_add(address - s.address))
}

fn string_at(file: &File, offset: u64) -> io::Result<OsString> {
    let mut text = vec![0; LONGEST_NAME];
    let len = file.read_at(&mut text, offset)?;
    text.truncate(len);
    Ok(until_nul(text))
}

fn until_nul(mut text: Vec<u8>) -> OsString {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.truncate(end);
    OsString::from_vec(text)
}

fn read_whole(file: &File, segment: &Segment) -> io::Result<Vec<u8>> {
    // A size beyond the file's would only make a needless allocation before the read fails.
    let size = segment.size.min(file.metadata()?.len());
    read_at(file, segment.offset, usize::try_from(size).map_err(io::Error::other)?)
}

fn read_at(file: &File, offset: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, Result};

    #[test]
    fn this_test_is_linked_as_its_header_says() -> Result<()> {
        let elf = read(&std::env::current_exe()?)?.context("a test program is an ELF file")?;
        let dynamic = elf.dynamic.context("a test program is dynamically linked or a static PIE")?;
        assert_eq!(elf.interpreter.is_some(), dynamic.needed.iter().any(|name| name.as_bytes().starts_with(b"libc.")));
        Ok(())
    }

    #[test]
    fn a_static_program_has_no_interpreter() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("x");
        std::fs::write(&path, header(0))?;
        assert_eq!(read(&path)?, Some(Elf { interpreter: None, dynamic: None }));
        Ok(())
    }

    #[test]
    fn what_is_no_elf_or_cut_short() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("x");
        for bytes in [&b"#!/bin/sh\n"[..], &header(0)[..63], &header(1)] {
            std::fs::write(&path, bytes)?;
            assert_eq!(read(&path)?, None);
        }
        Ok(())
    }

    /// A file header that announces so many program headers right behind it.
    fn header(segments: u8) -> Vec<u8> {
        let mut bytes = vec![0; FILE_HEADER];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16] = 2;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = segments;
        bytes
    }

    use std::os::unix::ffi::OsStrExt;
}
