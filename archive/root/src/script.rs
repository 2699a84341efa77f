//! Runs the scripts that finish a layer: `bash -e` in the layer's directory, in a sandbox.

use crate::bash::{Bash, find_bash};
use crate::chroot::Chroot;
use crate::script_log::ScriptLog;
use crate::warning::Warning;
use crate::{Error, Result};
use layerstone_sandbox::{
    Ended, Error as SandboxError, Job, Ownership, Privileges, SandboxOptions, Weakness, WorkDirs,
};
use layerstone_spec::Script;
use layerstone_store::Store;
use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where a script runs.
#[derive(Debug)]
pub struct Workplace<'a> {
    /// The layer's directory, absolute.
    pub layer: &'a Path,
    /// A private directory beside it, absolute: TMPDIR is made in it.
    pub scratch: &'a Path,
    /// SOURCE_DATE_EPOCH, in seconds since the epoch.
    pub mtime: i64,
    /// What scripts are given of the machine.
    pub sandbox: SandboxOptions,
}

/// Where what a script prints goes, and what there is to be said before it runs.
pub struct Console<'a> {
    /// Its standard output and error, as they come.
    pub log: &'a mut dyn Write,
    /// What the user should know.
    pub warn: &'a mut dyn FnMut(Warning),
    /// Is told the name of a script that begins, and none when it has ended.
    pub running: &'a mut dyn FnMut(Option<&str>),
}

/// The user that a script runs as, and its root directory.
#[derive(Clone, Copy, Debug)]
pub enum RunAs<'a> {
    /// The caller, in the layer's directory: `extraCommands`.
    Caller,
    /// A fake root, who gives files to users, makes device nodes and sets file capabilities, in the layer's directory:
    /// `fakeRootCommands`.
    FakeRoot,
    /// The same with the layer as its root directory, and this store, a /dev and a /proc mounted in it.
    FakeChroot(&'a Store),
}

impl RunAs<'_> {
    /// How messages name a script that runs so: by its file, or by its key in image.json.
    fn name(self, script: &Script) -> String {
        match (script, self) {
            (Script::File(path), _) => path.display().to_string(),
            (Script::Text(_), RunAs::Caller) => "extraCommands".to_owned(),
            (Script::Text(_), RunAs::FakeRoot | RunAs::FakeChroot(_)) => "fakeRootCommands".to_owned(),
        }
    }
}

/// Runs a script to its end, which must be exit status 0. Returns owners, modes and devices that it gave its files. What its
/// sandbox lacks is a [`Warning::NoSandbox`] before it runs.
pub fn run(
    script: &Script,
    workplace: &Workplace<'_>,
    run_as: RunAs<'_>,
    console: &mut Console<'_>,
) -> Result<Ownership> {
    let name = run_as.name(script);
    let temporary = make_temporary_directory(workplace)?;
    let file = script_file(script, workplace)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let privileges = if matches!(run_as, RunAs::Caller) { Privileges::Caller } else { Privileges::FakeRoot };
    let (bash, chroot) = if let RunAs::FakeChroot(store) = run_as {
        let (bash, chroot) = Chroot::make(&name, workplace.layer, &temporary, &file, store, &path)?;
        (bash, Some(chroot))
    } else {
        (Bash { program: find_bash(&name, &path)?, script: file, path, temporary: temporary.clone() }, None)
    };
    let inner = chroot.as_ref().map(|chroot| &chroot.inner_root);
    let shown = bash.script.clone();
    let make = || bash.command(workplace.layer, workplace.mtime);
    let dirs = WorkDirs { enter: workplace.layer, scratch: &temporary, inner };
    let job = Job { make: &make, dirs, privileges, options: workplace.sandbox };
    let mut warn = |Weakness { step, source }| {
        (console.warn)(Warning::NoSandbox { script: name.clone(), step, source });
    };
    (console.running)(Some(&name));
    let mut log = ScriptLog::new(console.log, &shown, &name);
    let run = layerstone_sandbox::run_confined(&job, &mut log, &mut warn);
    (console.running)(None);
    // Of what cannot be told nobody is left to be told.
    let _ = log.finish();
    let renamed = |lines: Vec<String>| lines.iter().map(|line| log.renamed(line)).collect();
    let Ended { status, last_lines, ownership } = run.map_err(|source| match source {
        SandboxError::Exceeded { exceeded, last_lines } => {
            Error::ScriptExceeded { script: name.clone(), exceeded, last_lines: renamed(last_lines) }
        }
        source => Error::Spawn { script: name.clone(), source },
    })?;
    if !status.success() {
        return Err(Error::Script { script: name, status, last_lines: renamed(last_lines) });
    }
    // For the next script.
    std::fs::remove_dir_all(&temporary).map_err(Error::io("remove", &temporary))?;
    Ok(ownership)
}

/// The absolute path of the script's file; a text is written to one.
fn script_file(script: &Script, workplace: &Workplace<'_>) -> Result<PathBuf> {
    match script {
        Script::File(path) => {
            let file = std::fs::File::open(path).map_err(Error::io("read", path))?;
            if file.metadata().map_err(Error::io("read", path))?.is_dir() {
                return Err(Error::io("read", path)(std::io::ErrorKind::IsADirectory.into()));
            }
            std::path::absolute(path).map_err(Error::io("find", path))
        }
        Script::Text(text) => {
            let path = workplace.scratch.join("script");
            std::fs::write(&path, text).map_err(Error::io("write", &path))?;
            Ok(path)
        }
    }
}

fn make_temporary_directory(workplace: &Workplace<'_>) -> Result<PathBuf> {
    let temporary = workplace.scratch.join("tmp");
    DirBuilder::new().mode(0o700).create(&temporary).map_err(Error::io("make", &temporary))?;
    Ok(temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory for the layer, and a scratch directory.
    struct Fixture(tempfile::TempDir);

    impl Fixture {
        fn new() -> Fixture {
            let fixture = Fixture(tempfile::tempdir().unwrap());
            std::fs::create_dir(fixture.layer()).unwrap();
            std::fs::create_dir(fixture.scratch()).unwrap();
            fixture
        }

        fn layer(&self) -> PathBuf {
            self.0.path().join("layer")
        }

        fn scratch(&self) -> PathBuf {
            self.0.path().join("scratch")
        }

        /// What a script printed, and how it went.
        fn run(&self, text: &str) -> (String, Result<Ownership>) {
            self.run_script(&Script::Text(text.to_owned()))
        }

        fn run_script(&self, script: &Script) -> (String, Result<Ownership>) {
            let mut log = Vec::new();
            let (layer, scratch, sandbox) = (self.layer(), self.scratch(), SandboxOptions::default());
            let workplace = Workplace { layer: &layer, scratch: &scratch, mtime: 315_532_800, sandbox };
            let mut console = Console { log: &mut log, warn: &mut |_| {}, running: &mut |_| {} };
            let result = run(script, &workplace, RunAs::Caller, &mut console);
            (String::from_utf8(log).unwrap(), result)
        }
    }

    const SHOW_ENVIRONMENT: &str = "env | grep -v ^_= | sort; umask; cat; test -d $TMPDIR; touch $TMPDIR/x";

    fn environment(fixture: &Fixture) -> String {
        let path = std::env::var("PATH").unwrap();
        let (layer, scratch) = (fixture.layer(), fixture.scratch());
        let (layer, scratch) = (layer.display(), scratch.display());
        // PWD and SHLVL are of bash's own making, as is _.
        format!(
            "HOME=/homeless-shelter\nLC_ALL=C\nPATH={path}\nPWD={layer}\nSHLVL=1\nSOURCE_DATE_EPOCH=315532800\n\
             TMPDIR={scratch}/tmp\nTZ=UTC\n0022\n"
        )
    }

    #[test]
    fn the_environment_is_the_same_everywhere() {
        let fixture = Fixture::new();
        let (log, result) = fixture.run(SHOW_ENVIRONMENT);
        result.unwrap();
        assert_eq!(log, environment(&fixture));
    }

    #[track_caller]
    fn check_failure(text: &str, expected: &str) {
        let (_, result) = Fixture::new().run(text);
        assert_eq!(result.unwrap_err().to_string(), expected);
    }

    #[test]
    fn failures_have_the_last_lines() {
        check_failure("exit 3", "script failed: extraCommands: exit status 3");
        check_failure("echo a; false; echo b", "script failed: extraCommands: exit status 1\n  | a");
        let last: String = (11..=30).map(|n| format!("\n  | {n}")).collect();
        check_failure("seq 30 >&2; exit 1", &format!("script failed: extraCommands: exit status 1{last}"));
        check_failure("echo a; kill -TERM $$; sleep 9", "script failed: extraCommands: killed by signal 15\n  | a");
        check_failure("(kill -KILL $$); sleep 9", "script failed: extraCommands: killed by signal 9");
    }

    #[test]
    fn a_file_is_read_where_it_is() {
        let fixture = Fixture::new();
        let file = fixture.0.path().join("my script");
        std::fs::write(&file, "echo $0 > here").unwrap();
        let (_, result) = fixture.run_script(&Script::File(file.clone()));
        result.unwrap();
        assert_eq!(std::fs::read_to_string(fixture.layer().join("here")).unwrap(), format!("{}\n", file.display()));
        let (_, result) = Fixture::new().run_script(&Script::File("/absent/file".into()));
        assert_eq!(
            result.unwrap_err().to_string(),
            "cannot read: /absent/file: No such file or directory (os error 2)"
        );
    }
}
