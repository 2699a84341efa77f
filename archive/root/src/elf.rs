//! Reads what a loader must know of an ELF file (elf(5)): for which machine it is, who loads it, which libraries it needs
//! and where it says that they are.

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, FileHeader32, FileHeader64};
use object::elf::{EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_MIPS, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64, Machine};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, StringTable};

/// The bytes that an ELF file begins with.
const MAGIC: &[u8] = b"\x7fELF";
/// Where a header says whether numbers have 64 bits.
const CLASS: usize = 4;

/// An ELF file, as far as a loader looks at it first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elf {
    /// Go's name of the architecture; none for one that Go has not.
    pub architecture: Option<&'static str>,
    /// The number of the machine (`e_machine`), and whether numbers have 64 bits: a library must have the same.
    pub machine: (u16, bool),
    /// The program that loads it; none for a static program, and for most libraries.
    pub interpreter: Option<Vec<u8>>,
    /// The libraries that it needs, by name or path, in the order of the file.
    pub needed: Vec<Vec<u8>>,
    /// Directories in which libraries are looked for first, those of whoever needs this file too.
    pub rpath: Vec<Vec<u8>>,
    /// Directories in which its own libraries are looked for; with any of them `rpath` counts for nothing.
    pub runpath: Vec<Vec<u8>>,
}

/// What is wrong with an ELF file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct DamagedElf(object::read::Error);

impl Elf {
    /// Parses a whole file; none if it is no ELF file.
    ///
    /// # Errors
    ///
    /// It is damaged.
    pub fn parse(bytes: &[u8]) -> Option<Result<Elf, DamagedElf>> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let parsed = match bytes.get(CLASS) {
            Some(1) => parse::<FileHeader32<Endianness>>(bytes),
            _ => parse::<FileHeader64<Endianness>>(bytes),
        };
        Some(parsed.map_err(DamagedElf))
    }
}

fn parse<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> object::read::Result<Elf> {
    let header = H::parse(bytes)?;
    let endian = header.endian()?;
    let machine = header.e_machine(endian);
    let mut elf = Elf {
        architecture: architecture(machine, header.is_class_64(), endian),
        machine: (machine.0, header.is_class_64()),
        ..Elf::default()
    };
    let segments = header.program_headers(endian, bytes)?;
    for segment in segments {
        if let Some(name) = segment.interpreter(endian, bytes)? {
            elf.interpreter = Some(name.to_vec());
        }
        // It may be behind the bytes that were read of a very large file.
        let Ok(Some(entries)) = segment.dynamic(endian, bytes) else { continue };
        let value = |tag| entries.iter().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian));
        let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else { continue };
        // The table is found as the kernel maps it, since a stripped program has no sections.
        let table = segments.iter().find_map(|other| other.data_range(endian, bytes, address, size).ok().flatten());
        let Some(table) = table else { continue };
        let texts = StringTable::new(table, 0, table.len() as u64);
        for entry in entries.iter().take_while(|entry| entry.tag(endian) != object::elf::DT_NULL) {
            let tag = entry.tag(endian);
            if ![DT_NEEDED, DT_RPATH, DT_RUNPATH].contains(&tag) {
                continue;
            }
            let text = entry.string(endian, texts)?;
            match tag {
                DT_NEEDED => elf.needed.push(text.to_vec()),
                DT_RPATH => elf.rpath = directories(text),
                _ => elf.runpath = directories(text),
            }
        }
    }
    Ok(elf)
}

/// The directories of a search path; an empty one is left out, where the loader takes the current directory.
fn directories(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|&byte| byte == b':').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Go's name of a machine (go/build, `GOARCH`).
fn architecture(machine: Machine, is_64: bool, endian: Endianness) -> Option<&'static str> {
    let is_little = endian == Endianness::Little;
    Some(match (machine, is_64, is_little) {
        (EM_X86_64, true, _) => "amd64",
        (EM_386, ..) => "386",
        (EM_AARCH64, ..) => "arm64",
        (EM_ARM, ..) => "arm",
        (EM_RISCV, true, _) => "riscv64",
        (EM_LOONGARCH, true, _) => "loong64",
        (EM_S390, true, _) => "s390x",
        (EM_PPC64, _, true) => "ppc64le",
        (EM_PPC64, _, false) => "ppc64",
        (EM_MIPS, true, true) => "mips64le",
        (EM_MIPS, true, false) => "mips64",
        (EM_MIPS, false, true) => "mipsle",
        (EM_MIPS, false, false) => "mips",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program that runs this test was linked dynamically, and needs the C library.
    #[test]
    fn this_program() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let elf = Elf::parse(&bytes).unwrap().unwrap();
        let expected = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        assert_eq!(elf.architecture, Some(expected));
        let interpreter = elf.interpreter.unwrap();
        assert!(interpreter.starts_with(b"/lib"), "{}", interpreter.escape_ascii());
        assert!(elf.needed.iter().any(|name| name.starts_with(b"libc.")), "{:?}", elf.needed);
    }

    #[test]
    fn what_is_none() {
        assert_eq!(Elf::parse(b"#!/bin/sh\n"), None);
        assert_eq!(Elf::parse(b""), None);
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        for length in [4, 5, 20, 63, 64, 100, 200] {
            assert!(Elf::parse(&bytes[..length]).unwrap().is_err(), "{length}");
        }
    }

    #[test]
    fn search_paths() {
        assert_eq!(directories(b"/a:$ORIGIN/../lib::"), [b"/a".to_vec(), b"$ORIGIN/../lib".to_vec()]);
    }
}
