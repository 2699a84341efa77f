//! Running the scripts that finish a layer: `bash -e`, in the layer's folder, in a sandbox, with an environment that is
//! the same everywhere.

use crate::chroot::Chroot;
use crate::{Error, Result, Warning};
use layerstone_sandbox::{Ended, Ownership, Place, Power};
use layerstone_store::Store;
use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    pub(crate) fn name(&self) -> String {
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

/// Who a script is, and where.
#[derive(Clone, Copy, Debug)]
pub enum Guise<'a> {
    /// Its caller, in the layer's folder.
    Caller,
    /// Root, who gives files to users, makes device nodes and sets file capabilities; in the layer's folder.
    FakeRoot,
    /// The same with the layer as the root of all files, this store and a /dev and /proc mounted in it.
    FakeChroot(&'a Store),
}

/// What came of a script besides files.
#[derive(Debug)]
pub struct Ran {
    /// [`Warning::NoSandbox`], where none could be made.
    pub warning: Option<Warning>,
    /// What the files are that it gave away.
    pub ownership: Ownership,
}

/// Runs a script to its end, which must be exit status 0. Its standard output and error both go to `log` as they come.
pub fn run(script: &Script, place: &Workplace<'_>, guise: Guise<'_>, log: &mut dyn Write) -> Result<Ran> {
    let temporary = make_temporary_folder(place)?;
    let file = settle(script, place)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let (power, chroot) = match guise {
        Guise::Caller => (Power::Own, None),
        Guise::FakeRoot => (Power::FakeRoot, None),
        Guise::FakeChroot(store) => {
            (Power::FakeRoot, Some(Chroot::make(script, place.layer, &temporary, &file, store, &path)?))
        }
    };
    let outside;
    let setting = match &chroot {
        Some(chroot) => chroot.setting(),
        None => {
            outside = Setting { bash: find_bash(script, &path)?, script: file, path, temporary: temporary.clone() };
            &outside
        }
    };
    let inner = chroot.as_ref().map(Chroot::inner_root);
    let make = || command(setting, place);
    let run = layerstone_sandbox::run(&make, Place { enter: place.layer, scratch: &temporary, inner }, power, log);
    let Ended { status, last_lines, unconfined, ownership } =
        run.map_err(|source| Error::Spawn { script: script.name(), source })?;
    if !status.success() {
        return Err(Error::Script { script: script.name(), status, last_lines });
    }
    let warning =
        unconfined.map(|(step, source)| Warning::NoSandbox { script: script.name(), step: step.describe(), source });
    // For the next script.
    std::fs::remove_dir_all(&temporary).map_err(Error::io("remove", &temporary))?;
    Ok(Ran { warning, ownership })
}

/// Where things are, as the script's process sees them.
#[derive(Debug)]
pub struct Setting {
    /// The shell.
    pub bash: PathBuf,
    /// The script.
    pub script: PathBuf,
    /// PATH.
    pub path: OsString,
    /// TMPDIR.
    pub temporary: PathBuf,
}

/// The first bash in PATH.
fn find_bash(script: &Script, path: &OsStr) -> Result<PathBuf> {
    let found = std::env::split_paths(path).map(|folder| folder.join("bash")).find(|file| is_program(file));
    let bash = found.ok_or_else(|| Error::NoBash { script: script.name(), path: path.into() })?;
    // The script runs in another folder.
    std::path::absolute(&bash).map_err(Error::io("find", &bash))
}

/// Whether a file can be run.
pub fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Puts the script where bash can read it; its absolute path.
fn settle(script: &Script, place: &Workplace<'_>) -> Result<PathBuf> {
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

fn make_temporary_folder(place: &Workplace<'_>) -> Result<PathBuf> {
    let temporary = place.scratch.join("tmp");
    DirBuilder::new().mode(0o700).create(&temporary).map_err(Error::io("make", &temporary))?;
    Ok(temporary)
}

/// The command, in a process group of its own, all but its outputs and sandbox.
fn command(setting: &Setting, place: &Workplace<'_>) -> Command {
    let mut command = Command::new(&setting.bash);
    command.arg("-e").arg(&setting.script).current_dir(place.layer).stdin(Stdio::null()).process_group(0);
    command.env_clear().env("PATH", &setting.path).env("HOME", HOME).env("TMPDIR", &setting.temporary);
    command.env("LC_ALL", "C").env("TZ", "UTC").env("SOURCE_DATE_EPOCH", place.mtime.to_string());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

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
        fn run(&self, text: &str) -> (String, Result<Ran>) {
            self.run_script(&Script::Text { name: "extraCommands".to_owned(), text: text.to_owned() })
        }

        fn run_script(&self, script: &Script) -> (String, Result<Ran>) {
            let mut log = Vec::new();
            let workplace = Workplace { layer: &self.layer(), scratch: &self.scratch(), mtime: 315_532_800 };
            let result = run(script, &workplace, Guise::Caller, &mut log);
            (String::from_utf8(log).unwrap(), result)
        }
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
