//! Running the script that finishes a layer: `bash -e`, in the layer's folder, in a sandbox, with an environment that is
//! the same everywhere.

use crate::sandbox::{self, Report};
use crate::tail::Tail;
use crate::{Error, Result, Warning};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A home that does not exist: a program that needs one fails where it would write, as in Nix builds.
const HOME: &str = "/homeless-shelter";

/// A bash script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// A file.
    File(PathBuf),
    /// Text.
    Text {
        /// What messages call it.
        name: String,
        /// The script itself.
        text: String,
    },
}

impl Script {
    fn name(&self) -> String {
        match self {
            Script::File(path) => path.display().to_string(),
            Script::Text { name, .. } => name.clone(),
        }
    }
}

/// Where a script runs.
#[derive(Debug)]
pub struct Workplace<'a> {
    /// The layer's folder, absolute.
    pub layer: &'a Path,
    /// A private folder beside it, absolute: TMPDIR is made in it.
    pub scratch: &'a Path,
    /// SOURCE_DATE_EPOCH, in seconds since the epoch.
    pub mtime: i64,
}

/// Runs a script to its end, which must be exit status 0. Its standard output and error both go to `log` as they come.
///
/// The warning is [`Warning::NoSandbox`], where none could be made.
pub fn run(script: &Script, place: &Workplace<'_>, log: &mut dyn Write) -> Result<Option<Warning>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let bash = find_bash(script, &path)?;
    let file = settle(script, place)?;
    let launch = |confined: bool, log: &mut dyn Write| {
        launch(command(&bash, &file, &path, place), place, confined, log)
            .map_err(|source| Error::Spawn { script: script.name(), source })
    };
    let mut warning = None;
    let mut outcome = launch(true, log)?;
    if let Outcome::NoSandbox(step, source) = outcome {
        warning = Some(Warning::NoSandbox { script: script.name(), step: step.describe(), source });
        outcome = launch(false, log)?;
    }
    match outcome {
        Outcome::Ended(status, _) if status.success() => Ok(warning),
        Outcome::Ended(status, last_lines) => Err(Error::Script { script: script.name(), status, last_lines }),
        Outcome::NoSandbox(_, source) => Err(Error::Spawn { script: script.name(), source }),
    }
}

/// What came of a launch.
enum Outcome {
    /// The script ended so, and these were its last lines.
    Ended(ExitStatus, Vec<String>),
    /// It was not run because a step of making the sandbox failed.
    NoSandbox(sandbox::Step, io::Error),
}

/// The first bash in PATH.
fn find_bash(script: &Script, path: &OsStr) -> Result<PathBuf> {
    let executable = |file: &PathBuf| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let found = std::env::split_paths(path).map(|folder| folder.join("bash")).find(executable);
    let bash = found.ok_or_else(|| Error::NoBash { script: script.name(), path: path.into() })?;
    // The script runs in another folder.
    std::path::absolute(&bash).map_err(Error::io("find", &bash))
}

/// Makes TMPDIR and puts the script where bash can read it; its absolute path.
fn settle(script: &Script, place: &Workplace<'_>) -> Result<PathBuf> {
    let temporary = temporary_folder(place);
    DirBuilder::new().mode(0o700).create(&temporary).map_err(Error::io("make", &temporary))?;
    match script {
        Script::File(path) => {
            std::fs::File::open(path).map_err(Error::io("read", path))?;
            std::path::absolute(path).map_err(Error::io("find", path))
        }
        Script::Text { text, .. } => {
            let path = place.scratch.join("script");
            std::fs::write(&path, text).map_err(Error::io("write", &path))?;
            Ok(path)
        }
    }
}

fn temporary_folder(place: &Workplace<'_>) -> PathBuf {
    place.scratch.join("tmp")
}

/// The command, in a process group of its own, all but its outputs and sandbox.
fn command(bash: &Path, file: &Path, path: &OsStr, place: &Workplace<'_>) -> Command {
    let mut command = Command::new(bash);
    command.arg("-e").arg(file).current_dir(place.layer).stdin(Stdio::null()).process_group(0);
    command.env_clear().env("PATH", path).env("HOME", HOME).env("TMPDIR", temporary_folder(place));
    command.env("LC_ALL", "C").env("TZ", "UTC").env("SOURCE_DATE_EPOCH", place.mtime.to_string());
    command
}

/// Runs the command until it and all that it left behind are gone.
fn launch(mut command: Command, place: &Workplace<'_>, confined: bool, log: &mut dyn Write) -> io::Result<Outcome> {
    let (output, input) = io::pipe()?;
    command.stdout(input.try_clone()?).stderr(input);
    let report = if confined {
        Some(sandbox::confine(&mut command, place.layer, &temporary_folder(place))?)
    } else {
        sandbox::leave_open(&mut command);
        None
    };
    let spawned = command.spawn();
    // Drops our ends of the pipes, so that reading the others comes to an end.
    drop(command);
    let ended = spawned.and_then(|child| watch(child, output, log));
    match (report.map(Report::read).transpose()?, ended) {
        (Some(Report::Failed(step, source)), Err(_)) => Ok(Outcome::NoSandbox(step, source)),
        (_, Err(source)) => Err(source),
        (None, Ok((status, lines))) => Ok(Outcome::Ended(status, lines)),
        (Some(Report::Ended(status)), Ok((_, lines))) => Ok(Outcome::Ended(status, lines)),
        (Some(_), Ok((status, _))) => Err(io::Error::other(format!("its sandbox was lost: {status}"))),
    }
}

/// Passes on the output of a process group until nobody is left to write; how the first process ended, and the last
/// lines.
fn watch(mut child: Child, output: PipeReader, log: &mut dyn Write) -> io::Result<(ExitStatus, Vec<String>)> {
    std::thread::scope(|scope| {
        let waiter = std::thread::Builder::new().spawn_scoped(scope, || wait_for_group(&mut child))?;
        let lines = relay(output, log)?;
        let status = waiter.join().map_err(|_| io::Error::other("the thread that waits for it panicked"))??;
        Ok((status, lines))
    })
}

/// Waits for a process and kills the rest of its group. In a sandbox there is no rest; without one this stops what the
/// script left in the background, unless that made a group of its own.
fn wait_for_group(child: &mut Child) -> io::Result<ExitStatus> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    // The id stays taken, and with it the group's, until the process is reaped.
    while let Err(errno) = waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if errno != Errno::INTR {
            return Err(errno.into());
        }
    }
    // An error means that nobody is left to kill.
    let _ = kill_process_group(id, Signal::KILL);
    child.wait()
}

/// Copies the output to the log until its end; the last lines. A log that cannot be written does not stop the script.
fn relay(mut output: PipeReader, log: &mut dyn Write) -> io::Result<Vec<String>> {
    let mut tail = Tail::default();
    let mut buffer = [0; 8192];
    loop {
        match output.read(&mut buffer) {
            Ok(0) => return Ok(tail.into_lines()),
            Ok(read) => {
                let _ = log.write_all(&buffer[..read]).and_then(|()| log.flush());
                tail.push(&buffer[..read]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Step;

    /// A folder for the layer, and a scratch folder.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Place {
            let place = Place(tempfile::tempdir().unwrap());
            std::fs::create_dir(place.layer()).unwrap();
            std::fs::create_dir(place.scratch()).unwrap();
            place
        }

        fn layer(&self) -> PathBuf {
            self.0.path().join("layer")
        }

        fn scratch(&self) -> PathBuf {
            self.0.path().join("scratch")
        }

        /// What a script printed, and how it went.
        fn run(&self, text: &str) -> (String, Result<Option<Warning>>) {
            self.run_script(&Script::Text { name: "extraCommands".to_owned(), text: text.to_owned() })
        }

        fn run_script(&self, script: &Script) -> (String, Result<Option<Warning>>) {
            let mut log = Vec::new();
            let workplace = Workplace { layer: &self.layer(), scratch: &self.scratch(), mtime: 315_532_800 };
            let result = run(script, &workplace, &mut log);
            (String::from_utf8(log).unwrap(), result)
        }

        /// As if no sandbox could be made.
        fn run_in_the_open(&self, text: &str) -> (String, ExitStatus) {
            let mut log = Vec::new();
            let workplace = Workplace { layer: &self.layer(), scratch: &self.scratch(), mtime: 315_532_800 };
            let script = Script::Text { name: "extraCommands".to_owned(), text: text.to_owned() };
            let path = std::env::var_os("PATH").unwrap();
            let file = settle(&script, &workplace).unwrap();
            let command = command(&find_bash(&script, &path).unwrap(), &file, &path, &workplace);
            let Outcome::Ended(status, _) = launch(command, &workplace, false, &mut log).unwrap() else { panic!() };
            (String::from_utf8(log).unwrap(), status)
        }
    }

    /// Whether the script ran in a sandbox; tells the reader of the test's output if not.
    fn was_confined(test: &str, result: Result<Option<Warning>>) -> bool {
        let Some(warning) = result.unwrap() else { return true };
        assert!(std::env::var_os("LAYERSTONE_REQUIRE_ALL").is_none(), "{warning}");
        println!("SKIP {test}: {warning}");
        false
    }

    const SHOW_ENVIRONMENT: &str = "env | grep -v ^_= | sort; umask; cat; test -d $TMPDIR; touch $TMPDIR/x";

    fn environment(place: &Place) -> String {
        let path = std::env::var("PATH").unwrap();
        let (layer, scratch) = (place.layer(), place.scratch());
        let (layer, scratch) = (layer.display(), scratch.display());
        // PWD and SHLVL are of bash's own making, as is _.
        format!(
            "HOME=/homeless-shelter\nLC_ALL=C\nPATH={path}\nPWD={layer}\nSHLVL=1\nSOURCE_DATE_EPOCH=315532800\n\
             TMPDIR={scratch}/tmp\nTZ=UTC\n0022\n"
        )
    }

    #[test]
    fn the_environment_is_the_same_everywhere() {
        let place = Place::new();
        let (log, result) = place.run(SHOW_ENVIRONMENT);
        result.unwrap();
        assert_eq!(log, environment(&place));
    }

    #[test]
    fn in_the_open_it_is_the_same_too() {
        let place = Place::new();
        let (log, status) = place.run_in_the_open(SHOW_ENVIRONMENT);
        assert!(status.success());
        assert_eq!(log, environment(&place));
    }

    #[track_caller]
    fn check_failure(text: &str, expected: &str) {
        let (_, result) = Place::new().run(text);
        assert_eq!(result.unwrap_err().to_string(), expected);
    }

    #[test]
    fn failures_are_told_with_the_last_lines() {
        check_failure("exit 3", "script failed: extraCommands: exit status 3");
        check_failure("echo a; false; echo b", "script failed: extraCommands: exit status 1\n  | a");
        let last: String = (11..=30).map(|n| format!("\n  | {n}")).collect();
        check_failure("seq 30 >&2; exit 1", &format!("script failed: extraCommands: exit status 1{last}"));
        check_failure("echo a; kill -TERM $$; sleep 9", "script failed: extraCommands: killed by signal 15\n  | a");
        check_failure("(kill -KILL $$); sleep 9", "script failed: extraCommands: killed by signal 9");
    }

    #[test]
    fn a_file_is_read_where_it_is() {
        let place = Place::new();
        let file = place.0.path().join("my script");
        std::fs::write(&file, "echo $0 > here").unwrap();
        let (_, result) = place.run_script(&Script::File(file.clone()));
        result.unwrap();
        assert_eq!(std::fs::read_to_string(place.layer().join("here")).unwrap(), format!("{}\n", file.display()));
        let (_, result) = Place::new().run_script(&Script::File("/absent/file".into()));
        assert_eq!(
            result.unwrap_err().to_string(),
            "cannot read: /absent/file: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn nothing_else_can_be_written() {
        let place = Place::new();
        let beside = place.0.path().join("beside");
        std::fs::create_dir(&beside).unwrap();
        let home = std::env::var("HOME").unwrap_or("/root".to_owned());
        let folders =
            format!("{} {} {home} /tmp /etc /dev/shm / .. $TMPDIR/..", beside.display(), place.0.path().display());
        let (log, result) = place.run(&format!(
            "for folder in {folders}; do\n\
               if touch $folder/layerstone-probe 2> $TMPDIR/error; then rm $folder/layerstone-probe; echo $folder\n\
               else grep -q -e Read-only -e 'Permission denied' $TMPDIR/error; fi\n\
             done\n\
             if mount -o remount,bind,rw / 2> /dev/null; then echo remounted; fi\n\
             if touch /proc/1/root/tmp/layerstone-probe 2> /dev/null; then echo left; fi\n\
             touch inside $TMPDIR/inside; echo > /dev/null"
        ));
        if was_confined("nothing_else_can_be_written", result) {
            assert_eq!(log, "");
        }
    }

    /// Leaves a process that has the number in the file `pid`.
    const LEAVE: &str = "bash -c 'read -r pid rest < /proc/self/stat; echo $pid > pid; exec sleep 1000' > /dev/null 2>&1 &\n\
         until test -s pid; do :; done";

    fn left(place: &Place) -> bool {
        let pid = std::fs::read_to_string(place.layer().join("pid")).unwrap();
        // A killed process that nobody has reaped yet has no command line.
        std::fs::read(format!("/proc/{}/cmdline", pid.trim_end())).is_ok_and(|line| !line.is_empty())
    }

    #[test]
    fn nobody_is_left_behind() {
        let place = Place::new();
        let (_, result) = place.run(&format!("setsid {LEAVE}"));
        if was_confined("nobody_is_left_behind", result) {
            assert!(!left(&place));
        }
        let place = Place::new();
        assert!(place.run_in_the_open(LEAVE).1.success());
        // The signal is sent, the process dies when the kernel gets to it.
        let start = std::time::Instant::now();
        while left(&place) {
            assert!(start.elapsed().as_secs() < 60, "the process is still there");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_sandbox_tells_which_step_failed() {
        let place = Place::new();
        let mut command = Command::new("true");
        let pipe = sandbox::confine(&mut command, &place.layer(), Path::new("/absent")).unwrap();
        let error = command.spawn().unwrap_err();
        drop(command);
        let Report::Failed(step, source) = Report::read(pipe).unwrap() else { panic!("no failure") };
        assert_eq!(source.raw_os_error(), error.raw_os_error());
        assert!(
            step == Step::Bind && source.kind() == io::ErrorKind::NotFound || step == Step::Unshare,
            "{step:?} {source}"
        );
    }

    #[test]
    fn bash_is_looked_for_in_path() {
        let place = Place::new();
        let (folder, script) = (place.layer(), Script::File("x.sh".into()));
        let path = OsStr::new("/absent").to_owned();
        let error = find_bash(&script, &path).unwrap_err().to_string();
        assert_eq!(error, "cannot run: x.sh: no bash in PATH (/absent)");
        std::fs::write(folder.join("bash"), "").unwrap();
        assert!(find_bash(&script, folder.as_os_str()).is_err(), "not executable");
        std::fs::set_permissions(folder.join("bash"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([path.as_ref(), folder.as_path()]).unwrap();
        assert_eq!(find_bash(&script, &path).unwrap(), folder.join("bash"));
    }
}
