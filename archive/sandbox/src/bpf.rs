//! Builds filters of system calls from steps of classic bpf(4), for seccomp(2).

/// Offsets in `struct seccomp_data`: the call's number, its architecture, the low half of an argument. All of the
/// architectures that are filtered are little-endian.
pub const NUMBER: u32 = 0;
pub const ARCH: u32 = 4;
pub const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

pub const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
pub const MASK: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
pub const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
pub const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// What a call's architecture is called (linux/audit.h).
pub const X86_64: u32 = 0xC000_003E;
pub const I386: u32 = 0x4000_0003;
pub const AARCH64: u32 = 0xC000_00B7;
pub const ARM: u32 = 0x4000_0028;
pub const RISCV64: u32 = 0xC000_00F3;

pub fn step(code: u32, k: u32) -> libc::sock_filter {
    jump(code, k, 0, 0)
}

/// Goes on so many steps after the next one, if it is so and if not.
pub fn jump(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    // Codes have 16 bits.
    libc::sock_filter { code: code as u16, jt, jf, k }
}
