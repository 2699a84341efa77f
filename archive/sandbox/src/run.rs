//! Runs a command in the best sandbox that the machine allows.

use crate::child::Users;
use crate::confine::{Confinement, confine, leave_open};
use crate::fake::{self, Identity, OwnerTable};
use crate::fd_broker::{self, FdBroker};
use crate::ids::Ids;
use crate::inner_root::InnerRoot;
use crate::options::{Bounds, Exceeded, SandboxMode, SandboxOptions};
use crate::ownership::Ownership;
use crate::report::Report;
use crate::signal;
use crate::step::Step;
use crate::watch::{Watched, join, watch};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// How messages name a bound of processes.
const COUNTED: &str = "a bound of its processes";

/// The directories of a command.
#[derive(Clone, Copy, Debug)]
pub struct WorkDirs<'a> {
    /// The directory to run in, absolute; it can be written.
    pub enter: &'a Path,
    /// Another directory that can be written, absolute.
    pub scratch: &'a Path,
    /// What makes the directory to run in the root; none if it does not become that.
    pub inner: Option<&'a InnerRoot>,
}

/// The privileges of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileges {
    /// Those of its caller.
    Caller,
    /// Those of root over files, as the command and readers of the result see them.
    FakeRoot,
}

/// A command to be run, and how.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Makes the command, anew for each attempt to run it.
    pub make: &'a dyn Fn() -> Command,
    /// Its directories.
    pub dirs: WorkDirs<'a>,
    /// Its privileges.
    pub privileges: Privileges,
    /// What it is given of the machine.
    pub options: SandboxOptions,
}

/// What a command's sandbox lacks, which is said before the command runs.
#[derive(Debug)]
pub struct Weakness {
    /// What cannot be done: a step that has something [in reach](Step::in_reach), or else there is no sandbox at all.
    pub step: Step,
    /// The system's answer.
    pub source: io::Error,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// The last lines that it printed, as far as they are text.
    pub last_lines: Vec<String>,
    /// What its files are, if it was a fake root.
    pub ownership: Ownership,
}

/// Why a command was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No process can be made or watched.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something that cannot be done without fails.
    #[error("cannot {}: {source}", step.describe())]
    Step {
        /// What that is.
        step: Step,
        /// The system's answer.
        source: io::Error,
    },
    /// A sandbox is required, and something of it cannot be made.
    #[error("no sandbox, or not all of one, and it is required: cannot {}: {source}", step.describe())]
    NoSandbox {
        /// What that is.
        step: Step,
        /// The system's answer.
        source: io::Error,
    },
    /// Something cannot be had without a sandbox, and none is wanted or none can be made.
    #[error("{0} needs a sandbox")]
    NeedsSandbox(&'static str),
    /// It did not keep to a bound, and was killed with all that it had started.
    #[error("{exceeded}")]
    Exceeded {
        /// The bound.
        exceeded: Exceeded,
        /// The last lines that it printed, as far as they are text.
        last_lines: Vec<String>,
    },
    /// Its calls cannot be answered on this kind of machine.
    #[error("no fake root on this architecture: found {}, expected x86_64, aarch64 or riscv64", std::env::consts::ARCH)]
    Architecture,
    /// A [signal](crate::signal) asks this program to end; nothing that the command started is left.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
}

/// Runs a command until it and all that it left behind are gone: in the first sandbox that can be made, or without one, as
/// far as its options allow that. Its standard output and error both go to `log` as they come. What its sandbox lacks goes
/// to `warn`, before it runs.
///
/// # Errors
///
/// It cannot be started or watched; calls of a fake root cannot be answered; a directory cannot become the root; a sandbox
/// is required and cannot be made; it does not keep to a bound; a signal asks this program to end.
pub fn run_confined(job: &Job<'_>, log: &mut dyn Write, warn: &mut dyn FnMut(Weakness)) -> Result<Ended, Error> {
    // Until the files are the caller's again, who can remove them then.
    let _hold = signal::hold();
    run_in(attempts(job)?, job, log, warn)
}

/// Runs a command in the first of several sandboxes that can be made.
pub(crate) fn run_in(
    attempts: Vec<Attempt>,
    job: &Job<'_>,
    log: &mut dyn Write,
    warn: &mut dyn FnMut(Weakness),
) -> Result<Ended, Error> {
    let SandboxOptions { mode, network, bounds } = job.options;
    let mut lacking = if network { vec![Step::Network] } else { Vec::new() };
    // The first of the sandboxes is the one that is expected to work.
    let mut first: Option<Weakness> = None;
    for attempt in attempts {
        if attempt.users.is_none() {
            first.take().into_iter().for_each(&mut *warn);
        }
        loop {
            let outcome = launch(job, &attempt, &lacking, log);
            if let Some(signal) = signal::came() {
                return Err(Error::Interrupted(signal));
            }
            let (step, source) = match outcome? {
                Outcome::Ended(ended) => return Ok(ended),
                Outcome::Failed(step, source) => (step, source),
            };
            if step == Step::Reclaim || step == Step::Listen || step == Step::Limit {
                return Err(Error::Step { step, source });
            }
            if step.in_reach().is_none() || lacking.contains(&step) {
                first = first.or(Some(Weakness { step, source }));
                break;
            }
            if mode == SandboxMode::Require {
                return Err(Error::NoSandbox { step, source });
            }
            if step == Step::Proc && bounds.processes.is_some() {
                return Err(Error::NeedsSandbox(COUNTED));
            }
            warn(Weakness { step, source });
            lacking.push(step);
        }
    }
    let unsupported = || Weakness { step: Step::Unshare, source: io::ErrorKind::Unsupported.into() };
    let Weakness { step, source } = first.unwrap_or_else(unsupported);
    match mode {
        SandboxMode::Require => Err(Error::NoSandbox { step, source }),
        _ => Err(Error::Step { step, source }),
    }
}

/// A sandbox that is tried, or none.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Who it is in its sandbox; none without a sandbox.
    pub(crate) users: Option<Users>,
    /// What a fake root is.
    identity: Identity,
}

/// The sandboxes to try, the best one first.
pub(crate) fn attempts(job: &Job<'_>) -> Result<Vec<Attempt>, Error> {
    let is_root = rustix::process::geteuid().is_root();
    let attempt = |users, ids, gives, pretends| Attempt { users, identity: Identity { ids, gives, pretends } };
    let mut attempts = Vec::new();
    match job.privileges {
        _ if job.options.mode == SandboxMode::None => {}
        Privileges::Caller => attempts.push(attempt(Some(Users::Own), Ids::alone(), false, false)),
        Privileges::FakeRoot => {
            attempts.extend(Ids::many().map(|ids| attempt(Some(Users::Many), ids, true, false)));
            if is_root {
                attempts.push(attempt(Some(Users::Real), Ids::identity(), true, false));
            } else {
                attempts.push(attempt(Some(Users::Alone), Ids::alone(), false, false));
            }
        }
    }
    let needs = match job.options.bounds.processes {
        _ if job.dirs.inner.is_some() => Some("a root directory of its own"),
        Some(_) => Some(COUNTED),
        None => None,
    };
    match (job.options.mode, needs) {
        (SandboxMode::Require, _) | (SandboxMode::Auto, Some(_)) => {}
        (SandboxMode::None, Some(what)) => return Err(Error::NeedsSandbox(what)),
        (_, None) => {
            let ids = if is_root { Ids::identity() } else { Ids::alone() };
            attempts.push(attempt(None, ids, false, !is_root));
        }
    }
    Ok(attempts)
}

/// The outcome of a launch.
enum Outcome {
    Ended(Ended),
    /// It was not run because a step of making the sandbox failed, or its files could not be taken back.
    Failed(Step, io::Error),
}

/// Runs the command until it and all that it left behind are gone.
fn launch(job: &Job<'_>, attempt: &Attempt, lacking: &[Step], log: &mut dyn Write) -> Result<Outcome, Error> {
    let Job { dirs, privileges, options: SandboxOptions { bounds, .. }, .. } = *job;
    let mut command = (job.make)();
    let name = command.get_program().to_owned();
    let (output, input) = io::pipe()?;
    command.stdout(input.try_clone()?).stderr(input);
    let (ours, notifier) = match privileges {
        Privileges::Caller => (None, None),
        Privileges::FakeRoot => {
            let (ours, theirs) = UnixStream::pair()?;
            let filter = fake::filter(attempt.identity.pretends).ok_or(Error::Architecture)?;
            (Some(ours), Some((theirs, filter)))
        }
    };
    let (broker, service) = match (privileges, attempt.users) {
        (Privileges::FakeRoot, Some(Users::Many)) => fd_broker::pair().map(|(broker, service)| (broker, Some(service))),
        _ => Ok((FdBroker::default(), None)),
    }
    .map_err(io::Error::from)?;
    let report = match attempt.users {
        Some(users) => Some(confine(&mut command, dirs, Confinement { users, lacking, bounds }, notifier, service)?),
        None => {
            leave_open(&mut command, bounds, notifier);
            None
        }
    };
    let (report, ended, table) = std::thread::scope(|scope| {
        let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let notifier = ours
            .map(|socket| {
                spawn("notifier").spawn_scoped(scope, move || {
                    let table = fake::serve(&socket, &attempt.identity, broker);
                    // Not by closing it alone: the sandbox, which may wait for an answer, has a copy of this end.
                    let _ = socket.shutdown(Shutdown::Both);
                    table
                })
            })
            .transpose()?;
        // What is reclaimed may be more than a pipe holds.
        let reader = report.map(|pipe| spawn("report").spawn_scoped(scope, || Report::read(pipe))).transpose()?;
        tracing::debug!(target: "layerstone::program", sandbox = attempt.users.map(tracing::field::debug), "starting {}", name.to_string_lossy());
        let spawned = command.spawn();
        // Drops our ends of the pipes, so that reading the others comes to an end.
        drop(command);
        let is_kept = attempt.users.is_some_and(|users| users != Users::Own);
        let ended = spawned.and_then(|child| watch(child, is_kept, bounds.time, output, log));
        let report = reader.map(join).transpose()?;
        let table = notifier.map(join).transpose();
        io::Result::Ok((report, ended, table))
    })?;
    conclude(&name, report, ended, table, bounds)
}

/// What is to be made of all that came back.
fn conclude(
    name: &OsStr,
    report: Option<Report>,
    ended: io::Result<Watched>,
    table: io::Result<Option<OwnerTable>>,
    bounds: Bounds,
) -> Result<Outcome, Error> {
    if let Some(Report::Failed(step, source)) = report {
        return Ok(Outcome::Failed(step, source));
    }
    let Watched { status, last_lines, timed_out } = ended?;
    tracing::info!(target: "layerstone::program", %status, timed_out, "{}", name.to_string_lossy());
    let exceeded = match (&report, bounds.time, bounds.processes) {
        (_, Some(time), _) if timed_out => Some(Exceeded::Time(time)),
        (Some(Report::TooMany), _, Some(most)) => Some(Exceeded::Processes(most)),
        _ => None,
    };
    if let Some(exceeded) = exceeded {
        return Err(Error::Exceeded { exceeded, last_lines });
    }
    let (status, reclaimed) = match report {
        None => (status, Vec::new()),
        // One that was killed before it had given back all files has not told of all of them.
        Some(Report::Ended(ended, reclaimed)) if status.success() => (ended, reclaimed),
        Some(_) => return Err(io::Error::other(format!("its sandbox was lost: {status}")).into()),
    };
    let table = table.map_err(|source| Error::Step { step: Step::Listen, source })?.unwrap_or_default();
    Ok(Outcome::Ended(Ended { status, last_lines, ownership: Ownership::new(&reclaimed, &table) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::Fixture;

    /// All sandboxes of a fake root.
    const SANDBOXES: [Option<Users>; 4] = [Some(Users::Many), Some(Users::Real), Some(Users::Alone), None];

    /// The sandboxes of a fake root that this caller is given.
    fn sandboxes() -> impl Iterator<Item = Option<Users>> {
        let is_root = rustix::process::geteuid().is_root();
        let has_many = Ids::many().is_some();
        SANDBOXES.into_iter().filter(move |users| match users {
            Some(Users::Many) => has_many,
            Some(Users::Real) => is_root,
            Some(Users::Alone) => !is_root,
            _ => true,
        })
    }

    #[test]
    fn nothing_else_can_be_written() {
        let sandboxes = sandboxes().flatten().map(|users| (users, Privileges::FakeRoot));
        for (users, privileges) in sandboxes.chain([(Users::Own, Privileges::Caller)]) {
            let fixture = Fixture::new();
            let beside = fixture.directory().join("beside");
            std::fs::create_dir(&beside).unwrap();
            let home = std::env::var("HOME").unwrap_or("/root".to_owned());
            let directories = format!(
                "{} {} {home} /tmp /etc /dev/shm / .. $TMPDIR/..",
                beside.display(),
                fixture.directory().display()
            );
            let text = format!(
                "for folder in {directories}; do\n\
                   if touch $folder/layerstone-probe 2> $TMPDIR/error; then rm $folder/layerstone-probe; echo $folder\n\
                   else grep -q -e Read-only -e 'Permission denied' $TMPDIR/error; fi\n\
                 done\n\
                 if mount -o remount,bind,rw / 2> /dev/null; then echo remounted; fi\n\
                 if mount -t tmpfs tmpfs . 2> /dev/null; then echo mounted; fi\n\
                 if chown 7 {0} 2> /dev/null; then echo given; fi\n\
                 if mknod {0}/null c 1 3 2> /dev/null; then echo made; fi\n\
                 if touch /proc/1/root/tmp/layerstone-probe 2> /dev/null; then echo left; fi\n\
                 touch inside $TMPDIR/inside; echo > /dev/null",
                beside.display()
            );
            if let Some((log, _)) = fixture.printed(Some(users), privileges, &text) {
                assert_eq!(log, "", "{users:?}");
            }
        }
    }

    /// Leaves a process that is named after its directory.
    const LEAVE: &str = "bash -c 'echo > begun; exec -a $TMPDIR/left sleep 1000' > /dev/null 2>&1 &\n\
         until test -s begun; do :; done";

    fn left(fixture: &Fixture) -> bool {
        let name = fixture.scratch().join("left").into_os_string().into_encoded_bytes();
        let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
        // A killed process that nobody has reaped yet has no command line.
        processes.map(|path| std::fs::read(path).unwrap_or_default()).any(|line| line.starts_with(&name))
    }

    #[test]
    fn nobody_is_left_behind() {
        for (users, privileges) in
            sandboxes().map(|users| (users, Privileges::FakeRoot)).chain([(Some(Users::Own), Privileges::Caller)])
        {
            let fixture = Fixture::new();
            let text = if users.is_some() { format!("setsid {LEAVE}") } else { LEAVE.to_owned() };
            if fixture.printed(users, privileges, &text).is_none() {
                continue;
            }
            // Without a sandbox the signal is sent, and the process dies when the kernel gets to it.
            let start = std::time::Instant::now();
            while left(&fixture) {
                assert!(users.is_none() && start.elapsed().as_secs() < 60, "{users:?}: the process is still there");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_sandbox_tells_which_step_failed() {
        let fixture = Fixture::new();
        let mut command = Command::new("true");
        let (enter, scratch) = (fixture.layer(), Path::new("/absent"));
        let dirs = WorkDirs { enter: &enter, scratch, inner: None };
        let confinement = Confinement { users: Users::Own, lacking: &[], bounds: Bounds::default() };
        let pipe = confine(&mut command, dirs, confinement, None, None).unwrap();
        let error = command.spawn().unwrap_err();
        drop(command);
        let Report::Failed(step, source) = Report::read(pipe).unwrap() else { panic!("no failure") };
        assert_eq!(source.raw_os_error(), error.raw_os_error());
        assert!(
            step == Step::Bind && source.kind() == io::ErrorKind::NotFound || step == Step::Unshare,
            "{step:?} {source}"
        );
    }

    /// What a script as a fake root does and sees, line by line, the same in all sandboxes.
    #[test]
    fn a_fake_root_is_obeyed() {
        let text = "umask 022\n\
            id -u; id -g\n\
            echo x > file; mkdir -p folder/inner; ln -s file link\n\
            stat -c '%n %u:%g %a' file folder\n\
            chown 1000:100 file; chown -h 1001 link; chown -R 7:8 folder; chown :9 folder\n\
            stat -c '%n %u:%g %F' file link folder folder/inner\n\
            find . -uid 7 | sort\n\
            mknod -m 640 null c 1 3; mknod disk b 259 70000; chown 0:6 disk; mkfifo fifo\n\
            stat -c '%n %u:%g %a %F %t,%T' null disk fifo\n\
            test -c null; test -b disk; test -f file; test ! -f null\n\
            cp -a null copy; stat -c '%n %F' copy; rm copy; echo > copy; stat -c '%n %u %F' copy\n\
            mv file moved; ln moved second; stat -c '%n %u' moved second\n\
            chmod 4755 moved; chown 1000 moved; stat -c '%n %a' moved; chmod 4711 moved\n\
            chown 0:0 folder; stat -c '%n %u:%g' folder\n\
            tar -cf - moved null | tar --numeric-owner -tvf - | cut -d ' ' -f 1,2";
        let expected = "0\n0\nfile 0:0 644\nfolder 0:0 755\n\
            file 1000:100 regular file\nlink 1001:0 symbolic link\nfolder 7:9 directory\nfolder/inner 7:8 directory\n\
            ./folder\n./folder/inner\n\
            null 0:0 640 character special file 1,3\ndisk 0:6 644 block special file 103,11170\nfifo 0:0 644 fifo 0,0\n\
            copy character special file\ncopy 0 regular file\n\
            moved 1000\nsecond 1000\nmoved 755\nfolder 0:0\n\
            -rws--x--x 1000/100\ncrw-r----- 0/0\n";
        for users in sandboxes() {
            let fixture = Fixture::new();
            let Some((log, ownership)) = fixture.printed(users, Privileges::FakeRoot, text) else { continue };
            assert_eq!(log, expected, "{users:?}");
            assert_eq!(facts(&fixture, &ownership, "second").unwrap().uid, 1000, "{users:?}");
            assert_eq!(facts(&fixture, &ownership, "link").unwrap().uid, 1001, "{users:?}");
            assert!(facts(&fixture, &ownership, "folder").is_none_or(|f| (f.uid, f.gid) == (0, 0)), "{users:?}");
            let disk = facts(&fixture, &ownership, "disk").unwrap();
            let device = fake::Device { is_block: true, major: 259, minor: 70_000 };
            assert_eq!((disk.uid, disk.gid, disk.device), (0, 6, Some(device)), "{users:?}");
            assert_eq!(facts(&fixture, &ownership, "copy"), None, "{users:?}");
        }
    }

    fn facts(fixture: &Fixture, ownership: &Ownership, name: &str) -> Option<crate::FileFacts> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fixture.layer().join(name).symlink_metadata().unwrap();
        ownership.get(metadata.dev(), metadata.ino()).cloned()
    }

    /// `cap_net_raw+ep` as setcap(8) writes it (linux/capability.h, struct vfs_cap_data, revision 2).
    const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn capabilities_are_kept() {
        // The value as setfattr(1) takes it, which goes through setxattr(2) as setcap(8) does.
        let text = "value=0x0100000200200000000000000000000000000000\n\
            echo > file; setfattr -n security.capability -v $value file\n\
            getfattr --absolute-names -e hex -n security.capability file | sed -n 2p\n\
            getfattr -m - file | sed -n 2p\n\
            cp --preserve=all file copy; getfattr -m - copy | sed -n 2p\n\
            chown 5 copy; getfattr -m - copy; stat -c %u copy\n\
            echo > other; setfattr -n security.capability -v $value other; setfattr -x security.capability other\n\
            getfattr -m - other\n\
            if setfattr -n security.capability -v 0x01 other 2> /dev/null; then echo wrong; fi\n\
            mkdir folder; if setfattr -n security.capability -v $value folder 2> /dev/null; then echo wrong; fi";
        for users in sandboxes() {
            let fixture = Fixture::new();
            let Some((log, ownership)) = fixture.printed(users, Privileges::FakeRoot, text) else { continue };
            assert_eq!(
                log,
                "security.capability=0x0100000200200000000000000000000000000000\n\
                 security.capability\nsecurity.capability\n5\n",
                "{users:?}"
            );
            assert_eq!(facts(&fixture, &ownership, "file").unwrap().capability, Some(NET_RAW.to_vec()), "{users:?}");
            assert_eq!(facts(&fixture, &ownership, "copy").unwrap().capability, None, "{users:?}");
            assert!(facts(&fixture, &ownership, "other").is_none_or(|f| f.capability.is_none()), "{users:?}");
        }
    }

    /// A file's record is its own: a later file of its inode number is root's.
    #[test]
    fn removed_files_leave_nothing_behind() {
        let text = "for round in 1 2 3 4 5 6 7 8 9; do : > a; chown 5:6 a; rm a; : > b; stat -c %u:%g b; rm b; done";
        for users in sandboxes() {
            let fixture = Fixture::new();
            let Some((log, _)) = fixture.printed(users, Privileges::FakeRoot, text) else { continue };
            assert_eq!(log, "0:0\n".repeat(9), "{users:?}");
        }
    }

    /// Files that even their owner may not read come back, and directories too deep for one path.
    #[test]
    fn closed_files_are_opened_and_reported() {
        let text = "mkdir -p shut/inner; echo x > shut/inner/file; chown 7 shut/inner/file\n\
            chmod 0 shut/inner/file shut/inner shut; echo y > $TMPDIR/left; chown 8 $TMPDIR/left; chmod 0 $TMPDIR/left";
        for users in sandboxes().flatten() {
            let fixture = Fixture::new();
            let Some((_, ownership)) = fixture.printed(Some(users), Privileges::FakeRoot, text) else { continue };
            let file = std::fs::read(fixture.layer().join("shut/inner/file")).unwrap();
            assert_eq!(file, b"x\n");
            // Root may read a file of mode 0, and the record has the mode all the same.
            assert_eq!(facts(&fixture, &ownership, "shut/inner").unwrap().mode, Some(0), "{users:?}");
            assert_eq!(facts(&fixture, &ownership, "shut/inner/file").unwrap().uid, 7, "{users:?}");
        }
    }

    #[test]
    fn paths_are_those_of_the_command() {
        let text = "mkdir -p a/b c; : > a/b/file; ln -s ../a/b c/link; ln -s $PWD/a all; chown 5 a/b/file\n\
            stat -c %u c/link/file all/b/file all/b/../b/./file c/link/../b//file\n\
            stat -c %u c/link; stat -L -c %u c/link; cd c/link; stat -c %u file; exec 3< file; stat -L -c %u /dev/fd/3\n\
            chown -h 9 ../../c/link; stat -c %u ../../c/link .; ln -s loop loop; if stat -L loop 2> /dev/null; then echo wrong; fi\n\
            if chown 5 absent 2> /dev/null; then echo wrong; fi; if mknod file c 1 3 2> /dev/null; then echo wrong; fi";
        for users in sandboxes() {
            let fixture = Fixture::new();
            let Some((log, _)) = fixture.printed(users, Privileges::FakeRoot, text) else { continue };
            assert_eq!(log, "5\n5\n5\n5\n0\n0\n5\n5\n9\n0\n", "{users:?}");
        }
    }
}
