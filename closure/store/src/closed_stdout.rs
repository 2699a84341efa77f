//! Whether stdout was closed when the program began. Rust opens `/dev/null` in its place before `main`, where what is written
//! is lost without an error.

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Run by the loader, before Rust's runtime (System V ABI, "Initialization and Termination Functions").
#[used]
// SAFETY: the section holds addresses of functions of this type; more arguments that C's ABI passes are ignored.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: fcntl(2) only tells of the descriptor.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// Whether nothing was open as stdout when the program began.
pub fn was_stdout_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}
