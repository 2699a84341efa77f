//! Scripts that go wrong: what is told, and that nothing is left of them.

use super::{layer, spec};
use crate::support::caller::Caller;
use crate::support::process::processes_in;
use crate::support::{Place, require_tool, skip, test_name};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A script fails for every caller with the same words.
#[track_caller]
fn check_failure(script: &str, expected: &str) {
    let expected =
        &*format!("{expected}\nhint: what it said last stands above; `set -x` in its first line shows each command\n");
    for caller in Caller::all() {
        let (place, run) = layer(caller, &spec(script, false));
        let told: String = run.stderr.split_inclusive('\n').filter(|line| !line.starts_with("warning: ")).collect();
        assert_eq!((run.code, &*told), (Some(1), expected), "{caller:?}");
        assert!(!place.join("x.tar").exists() && !place.join("x.layer.json").exists());
        place.check_no_leftovers();
    }
}

#[test]
fn failing_scripts() {
    check_failure(
        "echo one; chown 5 absent",
        "one\nchown: cannot access 'absent': No such file or directory\n\
         error: script failed: fakeRootCommands: exit status 1",
    );
    check_failure("mkdir a; chown 5 a; exit 7", "error: script failed: fakeRootCommands: exit status 7");
    check_failure("kill -9 $$", "error: script failed: fakeRootCommands: killed by signal 9");
    check_failure(
        "mkdir a; mknod a c 1 3",
        "mknod: a: File exists\nerror: script failed: fakeRootCommands: exit status 1",
    );
}

/// A socket cannot be in a tar.
#[test]
fn a_socket_that_is_left() {
    if !require_tool("python3") && !require_tool("perl") {
        return;
    }
    let (place, run) = layer(
        Caller::Us,
        &spec("perl -e 'use IO::Socket::UNIX; IO::Socket::UNIX->new(Local => \"s\", Listen => 1) or die'", false),
    );
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("found a socket") && run.stderr.contains("/layer/s"), "{}", run.stderr);
    place.check_no_leftovers();
}

/// What a script mounts or starts is gone with it.
#[test]
fn mounts_and_processes_that_are_left() {
    for caller in Caller::all() {
        if !caller.has_namespaces() {
            continue;
        }
        let script = "mkdir m; if mount -t tmpfs tmpfs m 2> /dev/null; then echo mounted; fi\n\
             unshare -Urm sh -c 'mount -t tmpfs tmpfs m; echo in > m/x; exec sleep 1000' > /dev/null 2>&1 &\n\
             setsid sh -c 'chown 5 m; exec sleep 1000' > /dev/null 2>&1 &\n\
             until test $(stat -c %u m) = 5; do :; done";
        let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let (place, run) = layer(caller, &spec(script, false));
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{caller:?}");
        place.check_no_leftovers();
        assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
        assert!(processes_in(place.temporary()).is_empty(), "{caller:?}");
        let found = crate::support::archive::members(&place.read("x.tar"));
        assert_eq!(found.len(), 2, "{caller:?}");
    }
}

/// Nothing outside of the layer can be written, nor given away.
#[test]
fn what_is_outside_stays() {
    for caller in Caller::all() {
        if !caller.has_namespaces() {
            continue;
        }
        let place = caller.place();
        let outside = place.write("outside", "untouched");
        let script = format!(
            "for command in 'chown 5' 'chmod 600' 'rm -f' 'setfattr -n user.x -v y'; do\n\
               if $command {0}; then echo $command; fi\n\
             done 2> /dev/null > $TMPDIR/done\n\
             if echo bad 2> /dev/null > {0}; then echo written; fi\n\
             if mknod {0}.node c 1 3 2> /dev/null; then echo made; fi\n\
             ln -s {0} link; if chown 5 link 2> /dev/null; then echo followed; fi; rm link; cat $TMPDIR/done",
            outside.display()
        );
        place.write("x.json", spec(&script, false));
        let output = caller.command(&place, "root --spec x.json -o x.layer.json --blob x.tar").output().unwrap();
        assert!(output.status.success(), "{caller:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{caller:?}");
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "untouched");
        assert!(!place.join("outside.node").exists(), "{caller:?}");
    }
}

/// A script that fills the disk, which is one of the test's own.
#[test]
fn a_full_disk() {
    if !require_tool("unshare") {
        return;
    }
    let probe = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "x", "/mnt"]).output().unwrap();
    if !probe.status.success() {
        return skip(&test_name(), "no mount namespaces here");
    }
    let place = Place::new();
    place.write("x.json", spec("mkdir a; chown 5 a; head -c 1000000 /dev/zero > a/b", false));
    std::fs::create_dir(place.join("disk")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=256k disk disk; export TMPDIR=$PWD/disk
         {} root --spec x.json -o x.layer.json --blob x.tar; echo $?; ls -A disk",
        env!("CARGO_BIN_EXE_layerstone"),
    );
    let mut unshare = Command::new("unshare");
    let output = unshare.args(["-rm", "bash", "-c", &script]).current_dir(place.path()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("No space left on device") && told.contains("script failed: fakeRootCommands"), "{told}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n", "{told}");
    assert!(!place.join("x.tar").exists());
}

/// After kill -9 no process is left, and files of other users can be removed.
#[test]
fn killed() {
    for caller in Caller::all() {
        if !caller.has_namespaces() {
            continue;
        }
        let place = caller.place();
        let script = "mkdir a; echo x > a/b; chown -R 5:6 a; chmod 700 a; echo ready; sleep 1000";
        place.write("x.json", spec(script, false));
        let mut child = caller.command(&place, "root --spec x.json -o x.layer.json --blob x.tar").spawn().unwrap();
        let mut line = [0; 6];
        std::io::Read::read_exact(child.stderr.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(&line, b"ready\n");
        child.kill().unwrap();
        child.wait().unwrap();
        let start = Instant::now();
        while !processes_in(place.temporary()).is_empty() || !is_ours(place.temporary(), caller) {
            assert!(start.elapsed() < Duration::from_secs(60), "{caller:?}: {:?}", processes_in(place.temporary()));
            crate::support::process::pause();
        }
        place.write("x.json", spec("true", false));
        let output = caller.command(&place, "root --spec x.json -o x.layer.json --blob x.tar").output().unwrap();
        assert!(output.status.success(), "{caller:?}: {}", String::from_utf8_lossy(&output.stderr));
        place.check_no_leftovers();
    }
}

/// Whether all files belong to whoever made the directory.
fn is_ours(folder: &Path, caller: Caller) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = folder.metadata().unwrap().uid();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.uid() != owner {
            return false;
        }
        if metadata.is_dir() {
            let Ok(entries) = path.read_dir() else { panic!("{caller:?}: {}", path.display()) };
            left.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    true
}
