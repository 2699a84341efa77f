//! How much memory a command takes, measured by a small process between it and the tests: the kernel counts what a process
//! had before exec too (getrusage(2), ru_maxrss), and a test process may have a lot.

use crate::support::Place;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Bytes of a file that a bounded command may write; bytes of its address space; seconds of its processor time.
const BOUNDS: [u64; 3] = [100_000_000, 4_000_000_000, 120];

/// Runs its arguments but the first two, waits, and writes the peak memory in KiB to the file that the first names. The
/// second is empty, or holds the bounds on the size of files, on the address space, and on the processor time.
const MEASURE: &str = "
import os, resource, signal, sys
child = os.fork()
if child == 0:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for kind, bound in zip((resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_CPU), sys.argv[2].split()):
        resource.setrlimit(kind, (int(bound), int(bound)))
    os.execvp(sys.argv[3], sys.argv[3:])
for stream in (0, 1, 2):
    os.close(stream)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], 'w') as out:
    out.write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status) % 256)
";

/// A command that runs and is measured.
pub struct Measured {
    /// The process between; its streams are the command's.
    pub child: Child,
    result: PathBuf,
}

/// What became of it.
pub struct Peak {
    /// Exit status.
    pub status: i32,
    /// Peak memory in KiB.
    pub memory: u64,
}

impl Measured {
    /// Runs a command of this place.
    pub fn new(command: &Command, place: &Place) -> Measured {
        Measured::start(command, place, "")
    }

    /// Runs a command that is ended by the kernel where it writes or takes more than it may.
    pub fn bounded(command: &Command, place: &Place) -> Measured {
        Measured::start(command, place, &BOUNDS.map(|bound| bound.to_string()).join(" "))
    }

    fn start(command: &Command, place: &Place, bounds: &str) -> Measured {
        // Beside the work directory, whose files tests count.
        let result = place.path().with_extension("memory");
        let mut python = Command::new("python3");
        python.args(["-c", MEASURE]).arg(&result).arg(bounds).arg(command.get_program()).args(command.get_args());
        python.current_dir(place.path()).env_clear();
        python.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Measured { child: python.spawn().unwrap(), result }
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Peak {
        let status = self.child.wait().unwrap().code().unwrap();
        Peak { status, memory: std::fs::read_to_string(&self.result).unwrap().parse().unwrap() }
    }
}
