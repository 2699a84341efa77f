//! Runs a script as a fake root in a temporary directory, and prints the owners that it set.

use layerstone_sandbox::{Job, Privileges, SandboxOptions, WorkDirs, run_confined};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (enter, scratch) = (dir.path().canonicalize()?.join("layer"), dir.path().canonicalize()?.join("scratch"));
    std::fs::create_dir(&enter)?;
    std::fs::create_dir(&scratch)?;
    let make = || {
        let mut command = Command::new("sh");
        command.args(["-ec", "echo hello > file; chown 1000:100 file"]).current_dir(&enter);
        command
    };
    let dirs = WorkDirs { enter: &enter, scratch: &scratch, inner: None };
    let job = Job { make: &make, dirs, privileges: Privileges::FakeRoot, options: SandboxOptions::default() };
    let ended = run_confined(&job, &mut std::io::stdout(), &mut |lacks| eprintln!("cannot {}", lacks.step.describe()))?;
    let file = enter.join("file").symlink_metadata()?;
    println!("{}: {:?}", ended.status, ended.ownership.get(file.dev(), file.ino()));
    Ok(())
}
