//! Builds the filter that keeps a command from the kernel's keyrings (keyrings(7)).
//!
//! They belong to users and sessions, and no namespace has keyrings of its own for all of them. The calls fail as on a
//! kernel that has none, which programs expect; docker refuses them too.

use crate::bpf::{AARCH64, ARCH, ARM, I386, IF_EQUAL, LOAD, NUMBER, RETURN, RISCV64, X86_64, jump, step};

/// Marks calls of x32 programs, whose architecture is that of x86_64 (asm/unistd.h, __X32_SYSCALL_BIT).
const X32: u32 = 0x4000_0000;

/// Numbers of add_key(2), request_key(2) and keyctl(2), by architecture, those of programs with 32 bits too.
const CALLS: [(u32, &[u32]); 5] = [
    (X86_64, &[248, 249, 250, X32 | 248, X32 | 249, X32 | 250]),
    (I386, &[286, 287, 288]),
    (AARCH64, &[217, 218, 219]),
    (ARM, &[309, 310, 311]),
    (RISCV64, &[217, 218, 219]),
];

/// The filter; empty, which no kernel takes, on an architecture that it does not know.
pub fn filter() -> Vec<libc::sock_filter> {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")) {
        return Vec::new();
    }
    let mut program = vec![step(LOAD, ARCH)];
    for (architecture, numbers) in CALLS {
        let mut block = vec![step(LOAD, NUMBER)];
        for number in numbers {
            let decision = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
            block.extend([jump(IF_EQUAL, *number, 0, 1), step(RETURN, decision)]);
        }
        block.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
        // The longest block has 14 steps.
        program.push(jump(IF_EQUAL, architecture, 0, block.len() as u8));
        program.append(&mut block);
    }
    program.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter decides about a call of an architecture.
    fn decide(architecture: u32, number: u32) -> u32 {
        let (program, mut at, mut register) = (filter(), 0, 0);
        loop {
            let step = program[at];
            at += 1;
            match u32::from(step.code) {
                LOAD if step.k == ARCH => register = architecture,
                LOAD => register = number,
                IF_EQUAL => at += usize::from(if register == step.k { step.jt } else { step.jf }),
                _ => return step.k,
            }
        }
    }

    #[test]
    fn three_calls_of_each_architecture() {
        if filter().is_empty() {
            return;
        }
        for (architecture, numbers) in CALLS {
            for number in (0..500).chain((0..500).map(|number| X32 | number)) {
                let is_refused = decide(architecture, number) != libc::SECCOMP_RET_ALLOW;
                assert_eq!(is_refused, numbers.contains(&number), "{architecture:x} {number}");
            }
        }
        assert_eq!(decide(0, 250), libc::SECCOMP_RET_ALLOW);
    }
}
