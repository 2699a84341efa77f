//! Builds the filter that stops these calls until they are answered (seccomp(2), classic bpf(4)).

use super::calls::{ABSENT, DEVICES, WHO, always};
use crate::bpf::{AARCH64, ARCH, IF_EQUAL, LOAD, MASK, NUMBER, RETURN, RISCV64, X86_64, argument, jump, step};

/// The architecture of this program.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(X86_64)
} else if cfg!(target_arch = "aarch64") {
    Some(AARCH64)
} else if cfg!(target_arch = "riscv64") {
    Some(RISCV64)
} else {
    None
};

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
