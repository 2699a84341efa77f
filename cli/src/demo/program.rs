//! A Linux program of a few hundred bytes that prints a file and needs nothing else: no libc, no loader.
//!
//! It opens the file, reads up to 4096 bytes to the stack, writes them to standard output, and exits with 0, or with 1 if
//! the file cannot be opened or read. Written as an ELF file with one segment (elf(5)): header, program header, code,
//! path.

use anyhow::{Result, bail};

/// Where the file is mapped.
const BASE: u64 = 0x40_0000;
/// Sizes of the ELF header and of one program header, for 64 bits.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// A program for this machine's architecture that prints the file at `path`.
pub fn printing_file(path: &str) -> Result<Vec<u8>> {
    let (machine, code) = match std::env::consts::ARCH {
        "x86_64" => (62, x86_64()),
        "aarch64" => (183, aarch64()),
        other => bail!("no demo program for this architecture: found {other}, expected x86_64 or aarch64"),
    };
    Ok(elf(machine, &code, path))
}

/// The code is followed by the path and a NUL.
fn elf(machine: u16, code: &[u8], path: &str) -> Vec<u8> {
    let start = HEADER + PROGRAM_HEADER;
    let size = (start + code.len() + path.len() + 1) as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // ET_EXEC, machine, EV_CURRENT.
    put(&mut file, &[(2, 2), (u64::from(machine), 2), (1, 4)]);
    // Entry, offsets of program and section headers, flags.
    put(&mut file, &[(BASE + start as u64, 8), (HEADER as u64, 8), (0, 8), (0, 4)]);
    // Sizes and counts: one program header, no sections.
    put(&mut file, &[(HEADER as u64, 2), (PROGRAM_HEADER as u64, 2), (1, 2), (0, 2), (0, 2), (0, 2)]);
    // PT_LOAD, readable and executable: the whole file.
    put(&mut file, &[(1, 4), (5, 4), (0, 8), (BASE, 8), (BASE, 8), (size, 8), (size, 8), (0x1_0000, 8)]);
    file.extend_from_slice(code);
    file.extend_from_slice(path.as_bytes());
    file.push(0);
    file
}

/// Appends numbers, little-endian, each in so many bytes.
fn put(file: &mut Vec<u8>, numbers: &[(u64, usize)]) {
    for (number, len) in numbers {
        file.extend_from_slice(&number.to_le_bytes()[..*len]);
    }
}

fn x86_64() -> Vec<u8> {
    // Jumps and the address of the path are relative to the end of their instruction.
    let code: [&[u8]; 22] = [
        b"\x48\x81\xec\x00\x10\x00\x00", // sub rsp, 4096
        b"\x48\x8d\x3d\x3a\x00\x00\x00", // lea rdi, [path]
        b"\x31\xf6",                     // xor esi, esi
        b"\xb8\x02\x00\x00\x00",         // mov eax, 2 (open)
        b"\x0f\x05",                     // syscall
        b"\x85\xc0",                     // test eax, eax
        b"\x78\x26",                     // js fail
        b"\x89\xc7",                     // mov edi, eax
        b"\x48\x89\xe6",                 // mov rsi, rsp
        b"\xba\x00\x10\x00\x00",         // mov edx, 4096
        b"\x31\xc0",                     // xor eax, eax (read)
        b"\x0f\x05",                     // syscall
        b"\x85\xc0",                     // test eax, eax
        b"\x78\x14",                     // js fail
        b"\x89\xc2",                     // mov edx, eax
        b"\xbf\x01\x00\x00\x00",         // mov edi, 1
        b"\x89\xf8",                     // mov eax, edi (write)
        b"\x0f\x05",                     // syscall
        b"\x31\xff",                     // xor edi, edi
        b"\xb8\x3c\x00\x00\x00\x0f\x05", // exit: mov eax, 60; syscall
        b"\xbf\x01\x00\x00\x00",         // fail: mov edi, 1
        b"\xeb\xf2",                     // jmp exit
    ];
    code.concat()
}

fn aarch64() -> Vec<u8> {
    let code: [u32; 21] = [
        0xd140_07ff, // sub sp, sp, 4096
        0x9280_0c60, // mov x0, -100 (AT_FDCWD)
        0x1000_0261, // adr x1, path
        0xd280_0002, // mov x2, 0
        0xd280_0708, // mov x8, 56 (openat)
        0xd400_0001, // svc 0
        0xb7f8_01a0, // tbnz x0, 63, fail
        0x9100_03e1, // mov x1, sp
        0xd282_0002, // mov x2, 4096
        0xd280_07e8, // mov x8, 63 (read)
        0xd400_0001, // svc 0
        0xb7f8_0100, // tbnz x0, 63, fail
        0xaa00_03e2, // mov x2, x0
        0xd280_0020, // mov x0, 1
        0xd280_0808, // mov x8, 64 (write)
        0xd400_0001, // svc 0
        0xd280_0000, // mov x0, 0
        0xd280_0ba8, // exit: mov x8, 93
        0xd400_0001, // svc 0
        0xd280_0020, // fail: mov x0, 1
        0x17ff_fffd, // b exit
    ];
    code.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// Jumps are counted by hand: the code must end where it says it does.
    #[test]
    fn prints_the_file_or_fails() {
        let dir = tempfile::tempdir().unwrap();
        let (text, program) = (dir.path().join("text"), dir.path().join("program"));
        fs::write(&program, printing_file(text.to_str().unwrap()).unwrap()).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Command::new(&program).output().unwrap().status.code(), Some(1));
        fs::write(&text, "hi\n").unwrap();
        let output = Command::new(&program).output().unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(0), b"hi\n".to_vec()));
    }
}
