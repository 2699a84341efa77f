//! Builds the filter that stops these calls until they are answered (seccomp(2), classic bpf(4)).

use super::calls::{ABSENT, DEVICES, WHO, always};

/// linux/audit.h: what a call's architecture is called.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xC000_003E)
} else if cfg!(target_arch = "aarch64") {
    Some(0xC000_00B7)
} else if cfg!(target_arch = "riscv64") {
    Some(0xC000_00F3)
} else {
    None
};

/// Offsets in `struct seccomp_data`: the call's number, its architecture, the low half of an argument. All of the
/// architectures above are little-endian.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const MASK: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// The filter, or none for another architecture than those above. With `pretends`, a process that asks who it is gets the
/// answer root, and one that raises its capabilities succeeds.
///
/// Calls of another architecture (32-bit programs) are not stopped.
pub fn filter(pretends: bool) -> Option<Vec<libc::sock_filter>> {
    let mut program = vec![
        step(LOAD, ARCH),
        jump(IF_EQUAL, ARCHITECTURE?, 1, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW),
        step(LOAD, NUMBER),
    ];
    let mut decide = |number: libc::c_long, decision: u32| {
        // Numbers of calls are small.
        program.extend([jump(IF_EQUAL, number as u32, 0, 1), step(RETURN, decision)]);
    };
    always().for_each(|call| decide(call.number, libc::SECCOMP_RET_USER_NOTIF));
    ABSENT.iter().for_each(|number| decide(*number, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32));
    if pretends {
        // Error 0 is none: the call is not made and gives 0.
        WHO.iter().for_each(|number| decide(*number, libc::SECCOMP_RET_ERRNO));
    }
    for (call, mode) in DEVICES {
        program.extend([
            jump(IF_EQUAL, call.number as u32, 0, 6),
            step(LOAD, argument(mode)),
            step(MASK, libc::S_IFMT),
            jump(IF_EQUAL, libc::S_IFCHR, 1, 0),
            jump(IF_EQUAL, libc::S_IFBLK, 0, 1),
            step(RETURN, libc::SECCOMP_RET_USER_NOTIF),
            step(RETURN, libc::SECCOMP_RET_ALLOW),
        ]);
    }
    program.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
    Some(program)
}

fn step(code: u32, k: u32) -> libc::sock_filter {
    jump(code, k, 0, 0)
}

/// Goes on so many steps after the next one, if it is so and if not.
fn jump(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    // Codes have 16 bits.
    libc::sock_filter { code: code as u16, jt, jf, k }
}
