//! System calls that fail: locks that a file system does not have, errors that come only when data is written back, kernels
//! without openat2. strace(1) makes them fail.

mod scripts;

use crate::bad_output::place;
use crate::support::{Place, Run, require_tool, skip, synth, test_name, without_summary};
use std::fs;
use std::process::{Command, Stdio};

/// Whether strace can be used here.
#[track_caller]
fn has_strace() -> bool {
    if !require_tool("strace") {
        return false;
    }
    let probe = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).stdin(Stdio::null()).output().unwrap();
    if !probe.status.success() {
        skip(&test_name(), "strace may not trace here (ptrace(2) is not permitted)");
    }
    probe.status.success()
}

/// The binary under strace with these flags, of which `-f` is for all threads and not the first alone.
fn traced(place: &Place, flags: &[&str], line: &str) -> Command {
    let mut command = Command::new("strace");
    command.arg("-qq").args(flags).arg(env!("CARGO_BIN_EXE_layerstone")).args(line.split_whitespace());
    command.current_dir(place.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("TMPDIR", place.temporary()).stdin(Stdio::null());
    command
}

/// Runs the binary while a system call fails.
fn run(place: &Place, call: &str, fault: &str, line: &str) -> Run {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{fault}"));
    traced(place, &["-f", "-o", "/dev/null", "-e", &trace, "-e", &inject], line).output().unwrap().into()
}

/// Every way in which a file system says that it has no locks: outputs are the same, and only what is locked is removed.
#[test]
fn without_locks() {
    if !has_strace() {
        return;
    }
    let place = place();
    let root = format!("--root {}", synth().root.display());
    for output in ["x.tar", "oci:x"] {
        place.ok(&format!("build s.json {root} -o {output}"));
    }
    let expected = (place.read("x.tar"), place.read("x/index.json"));
    for error in ["ENOLCK", "EBADF", "EOPNOTSUPP", "EINVAL"] {
        let left = place.write(".layerstone-tmp-1-left", "another process may be writing it");
        for output in ["x.tar", "oci:x", "oci:x", "x.layers.json"] {
            let line = match output {
                "x.layers.json" => "layers x.closure.json --max-layers 5 --restat -o x.layers.json".to_owned(),
                _ => format!("build s.json {root} --cache cache -o {output}"),
            };
            let run = run(&place, "flock", &format!("error={error}"), &line);
            assert_eq!((run.code, &*without_summary(&run.stderr)), (Some(0), ""), "{error} {line}");
        }
        assert!(place.read("x.tar") == expected.0 && place.read("x/index.json") == expected.1, "{error}");
        assert!(left.exists(), "nobody knows whether its process is dead");
        fs::remove_file(left).unwrap();
        place.check_no_leftovers();
    }
}

/// A lock for writers alone, as NFS has it: the index's is taken on a descriptor that is open for writing.
#[test]
fn locks_for_writers() {
    if !has_strace() {
        return;
    }
    let place = place();
    let line = format!("build s.json --root {} -o oci:x", synth().root.display());
    place.ok(&line);
    let output =
        traced(&place, &["-f", "-y", "-e", "trace=openat,openat2,flock", "-o", "log"], &line).output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(place.read("log")).unwrap();
    let lines = |call: &str, what: &str| log.lines().filter(|line| line.contains(call) && line.contains(what)).count();
    assert_eq!(lines("flock(", "/oci-layout>, LOCK_EX)"), 1, "{log}");
    let opened = log.lines().filter(|line| line.contains(" openat") && line.contains("\"oci-layout\", "));
    assert_eq!(opened.filter(|line| line.contains("O_RDWR")).count(), 1, "{log}");
}

/// What is told only at the end: every output keeps what it had, and the command fails with its name and the reason.
#[test]
fn errors_of_write_back() {
    if !has_strace() {
        return;
    }
    let place = place();
    let root = format!("--root {}", synth().root.display());
    let build = format!("build s.json {root}");
    for (line, name) in [
        ("layers x.closure.json --max-layers 5 -o x.layers.json".to_owned(), "x.layers.json"),
        (format!("{build} -o x.tar"), "x.tar"),
        (format!("{build} -o x.tar.gz"), "x.tar.gz"),
        (format!("{build} -o oci-archive:x.oci"), "x.oci"),
        (format!("layer x.layers.json {root} --all --blobs -o layers"), "layers/000.layer.json"),
        (format!("root --contents {} {root} -o r.layer.json --blob r.tar", synth().path("root-env")), "r.tar"),
    ] {
        place.ok(&line);
        place.write(name, "old");
        let before = place.listing();
        for (error, cause) in [
            ("EIO", "Input/output error (os error 5)"),
            ("ENOSPC", "No space left on device (os error 28)"),
            ("EDQUOT", "Disk quota exceeded (os error 122)"),
        ] {
            for when in ["auto", "always"] {
                let run = run(&place, "fdatasync", &format!("error={error}"), &format!("{line} --sync {when}"));
                assert_eq!(run.code, Some(1), "{error} {line}: {}", run.stderr);
                let told = run.stderr.split("\nhint: ").next().unwrap().trim_end();
                assert!(told.starts_with("error: cannot write: ") && told.ends_with(cause), "{told}");
                assert_eq!(place.listing(), before, "{error} {line}");
                place.check_no_leftovers();
            }
        }
        let run = run(&place, "fdatasync", "error=EIO", &format!("{line} --sync never"));
        assert_eq!(run.code, Some(0), "{line}: {}", run.stderr);
        if name == "x.layers.json" {
            assert_ne!(place.read(name), b"old");
        }
    }
}

/// What a power loss may tear apart is on the disk first: a file before its name, blobs and directories before the index that
/// needs them. What `--sync always` adds is the directory of the name.
#[test]
fn order_of_syncs() {
    if !has_strace() {
        return;
    }
    let place = place();
    let root = format!("--root {}", synth().root.display());
    let trace = "trace=fdatasync,fsync,renameat,renameat2";
    for (when, output, last) in [
        ("auto", "x.tar", "rename"),
        ("always", "x.tar", "fsync"),
        ("auto", "oci:x", "rename"),
        ("always", "oci:x", "fsync"),
    ] {
        let line = format!("build s.json {root} -o {output} --sync {when}");
        assert!(traced(&place, &["-f", "-y", "-e", trace, "-o", "log"], &line).output().unwrap().status.success());
        let log = String::from_utf8(place.read("log")).unwrap();
        let name = if output == "x.tar" { "\"x.tar\"" } else { "\"index.json\"" };
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("(")).collect();
        let named = lines.iter().rposition(|line| line.contains("rename") && line.contains(name)).unwrap();
        let synced = |what: &str| lines[..named].iter().filter(|line| line.contains(what)).count();
        let blobs =
            lines[..named].iter().filter(|line| line.contains("rename") && line.contains("/blobs/sha256>")).count();
        if output == "x.tar" {
            assert!(synced("fdatasync(") > 0 && blobs == 0, "{log}");
        } else {
            assert!(synced("fdatasync(") > blobs && blobs > 2 && synced("fsync(") > 0, "{log}");
            let made = |directory: &str| {
                lines[..named].iter().any(|line| line.contains(" fsync(") && line.contains(directory))
            };
            assert!(made("/blobs/sha256>") && made("/blobs>") && made("/x>"), "{log}");
            fs::remove_dir_all(place.join("x")).unwrap();
        }
        assert!(lines.last().unwrap().contains(last), "{when} {output}: {log}");
    }
}

/// Calls that a signal interrupts are made again.
#[test]
fn interrupted_calls() {
    if !has_strace() {
        return;
    }
    let place = place();
    let root = format!("--root {}", synth().root.display());
    // The loader's reads come first, and are not tried again.
    for (number, (calls, when)) in
        [("openat2,flock,fdatasync,fsync", "1+2"), ("pread64", "31+2")].into_iter().enumerate()
    {
        for (output, file) in [(format!("x{number}.tar.gz"), "x.tar.gz"), (format!("oci:x{number}"), "x/index.json")] {
            let build = |cache: &str, output: &str| format!("build s.json {root} --cache {cache} -o {output}");
            let first = output.replace(&format!("x{number}"), "x");
            place.ok(&build("cache", &first));
            // Neither archive nor cache tells it what there is to do.
            let line = build(&format!("cache-{number}"), &output);
            let run = run(&place, calls, &format!("error=EINTR:when={when}"), &line);
            assert_eq!((run.code, &*without_summary(&run.stderr)), (Some(0), ""), "{line}");
            assert!(place.read(&file.replacen('x', &format!("x{number}"), 1)) == place.read(file), "{line}");
            place.check_no_leftovers();
        }
    }
}

/// Threads that cannot be made: fewer do the work, or an error says so.
#[test]
fn without_threads() {
    if !has_strace() {
        return;
    }
    let place = place();
    let root = format!("--root {}", synth().root.display());
    for (line, file) in [
        (format!("build s.json {root} -j 2 -o x.tar.gz"), "x.tar.gz"),
        (format!("build s.json {root} -j 2 -o oci:x"), "x/index.json"),
        ("copy x.tar.gz oci:y --as y:1 -j 2".to_owned(), "y/index.json"),
    ] {
        place.ok(&line);
        let expected = place.read(file);
        let mut codes = Vec::new();
        // The thread for signals, two of the pool, and all others.
        for first in 1..=6 {
            let run = run(&place, "clone3", &format!("error=EAGAIN:when={first}+"), &line);
            codes.push(run.code);
            match run.code {
                Some(0) => assert!(first > 3 && place.read(file) == expected, "{line}: {first}"),
                code => {
                    assert_eq!(code, Some(1), "{line}: {first}: {}", run.stderr);
                    let told = "Resource temporarily unavailable (os error 11)\n";
                    assert!(run.stderr.contains("error: cannot ") && run.stderr.ends_with(told), "{}", run.stderr);
                }
            }
            place.check_no_leftovers();
        }
        assert!(codes.contains(&Some(1)), "{line}");
    }
}

/// What close(2) says of an output, or of standard output where it leads to a file, is an error as well.
#[test]
fn errors_of_close() {
    if !has_strace() {
        return;
    }
    let place = place();
    let root = format!("--root {}", synth().root.display());
    for (line, name) in [
        ("layers x.closure.json --max-layers 5 -o x.layers.json".to_owned(), "x.layers.json"),
        (format!("build s.json {root} -o x.tar"), "x.tar"),
        ("closure --graph graph".to_owned(), "stdout"),
    ] {
        if name == "stdout" {
            fs::copy(&synth().graph, place.join("graph")).unwrap();
        }
        let command = |flags: &[&str]| {
            let mut command = traced(&place, flags, &line);
            if name == "stdout" {
                command.stdout(fs::File::create(place.join(name)).unwrap());
            }
            command.output().unwrap()
        };
        if name != "stdout" {
            place.write(name, "old");
        }
        // Which of the closes of the first thread is that of the output.
        assert!(command(&["-y", "-e", "trace=close", "-o", "log"]).status.success(), "{line}");
        let log = String::from_utf8(place.read("log")).unwrap();
        fs::remove_file(place.join("log")).unwrap();
        let names = [".layerstone-tmp-", "stdout>"].map(|name| place.join(name).display().to_string());
        let is_output = |line: &str| names.iter().any(|name| line.contains(name));
        let number = 1 + log.lines().position(is_output).unwrap_or_else(|| panic!("{line}: it is not closed: {log}"));
        if name != "stdout" {
            place.write(name, "old");
        }
        let before = place.listing();
        let inject = format!("inject=close:error=EIO:when={number}");
        let output = command(&["-e", "trace=close", "-e", &inject, "-o", "/dev/null"]);
        let what = if name == "stdout" { "standard output" } else { name };
        let told = format!("error: cannot write: {what}: Input/output error (os error 5)\n");
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(1), told), "{line}");
        if name != "stdout" {
            assert_eq!(place.listing(), before, "{line}");
        }
        place.check_no_leftovers();
    }
}

/// A kernel, or a filter of system calls, that knows no openat2(2).
#[test]
fn without_openat2() {
    if !has_strace() {
        return;
    }
    let place = place();
    let line = format!("build s.json --root {} --cache cache --cache-blobs -o x.tar.gz", synth().root.display());
    place.ok(&line);
    let expected = place.read("x.tar.gz");
    let victim = place.write("victim/file", "dear");
    for error in ["ENOSYS", "EPERM"] {
        for folder in [place.path(), place.temporary()] {
            let left = folder.join(".layerstone-tmp-1-left");
            fs::create_dir_all(left.join("a/b/c")).unwrap();
            std::os::unix::fs::symlink(victim.parent().unwrap(), left.join("a/link")).unwrap();
        }
        let run = run(&place, "openat2", &format!("error={error}"), &line);
        assert_eq!((run.code, &*without_summary(&run.stderr)), (Some(0), ""), "{error}");
        assert!(place.read("x.tar.gz") == expected && victim.exists(), "{error}");
        place.check_no_leftovers();
    }
}
