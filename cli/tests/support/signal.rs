//! Gives the programs that tests start the signals of a foreground job, whatever the caller of the tests ignores.
//!
//! nohup(1) ignores SIGHUP, and a shell without job control ignores SIGINT and SIGQUIT in what it runs in the background;
//! both are inherited, and a program that waits for such a signal would wait for good.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::null_mut;

/// Those that end a program, or tell it to end.
const SIGNALS: [libc::c_int; 5] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGPIPE, libc::SIGTERM];

/// The command with every such signal at its default, none of them blocked.
pub fn with_default_signals(mut command: Command) -> Command {
    // SAFETY: between fork and exec only calls that signal-safety(7) lists are made, and nothing is allocated.
    unsafe { command.pre_exec(reset) };
    command
}

fn reset() -> io::Result<()> {
    for signal in SIGNALS {
        // SAFETY: the default is no function, so that nothing can be called.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: an empty set of signals is a value of its type, and both pointers are valid or null.
    let unblocked = unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, null_mut())
    };
    if unblocked == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A test that waits until `serve` obeys SIGINT and SIGTERM ends under a caller that ignores them.
#[test]
fn tests_end_where_the_caller_ignores_signals() {
    let script =
        "trap '' HUP INT QUIT PIPE TERM; exec timeout --signal=KILL 120 \"$0\" --exact registry::serve::it_ends";
    let this = std::env::current_exe().unwrap();
    let output = Command::new("sh").args(["-c", script]).arg(this).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{}: {text}", output.status);
}
