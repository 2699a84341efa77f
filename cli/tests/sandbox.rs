//! What `extraCommands` and `fakeRootCommands` reach of the machine: the rows of the table in docs/security.md. Whoever runs
//! them, both reach the same.

mod bounds;
mod lacking;

use crate::support::caller::{Caller, open_folder};
use crate::support::{Place, Run, require_tool, skip, test_name};
use serde_json::json;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

/// The two kinds of scripts, by their keys.
const KINDS: [&str; 2] = ["extraCommands", "fakeRootCommands"];

/// Runs a script of a kind.
#[track_caller]
fn run(caller: Caller, kind: &str, script: &str, flags: &str) -> (Place, Run) {
    let place = caller.place();
    place.write("x.json", json!({"name": "x", kind: script}).to_string());
    let line = format!("root --spec x.json -o x.layer.json --blob x.tar {flags}");
    let run = caller.command(&place, &line).output().unwrap().into();
    (place, run)
}

/// A script of either kind prints this, whoever runs it in a sandbox.
#[track_caller]
fn check(script: &str, flags: &str, expected: &str) {
    for caller in Caller::all().into_iter().filter(|caller| caller.has_namespaces()) {
        for kind in KINDS {
            let (place, run) = run(caller, kind, script, flags);
            assert_eq!((run.code, &*run.stderr), (Some(0), expected), "{caller:?} {kind}");
            place.check_no_leftovers();
        }
    }
}

/// A script of either kind prints the one in a sandbox, and the other without.
#[track_caller]
fn check_both(script: &str, inside: &str, outside: &str) {
    check(script, "", inside);
    check(script, "--sandbox none", outside);
}

/// A server of this machine is out of reach, and one of the script's own is not; `--network` brings the machine's.
#[test]
fn network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "if (exec 3<> /dev/tcp/127.0.0.1/{port}) 2> error; then echo reached; else grep -m 1 -o refused error; fi"
    );
    check(&script, "", "refused\n");
    check(&script, "--network", "reached\n");
    check("tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' '", "", "lo\n");
    let place = Place::new();
    place.write("script", &script);
    let told = place.ok("build --name x --extra-commands script --network -o x.tar").stderr;
    assert!(told.starts_with("reached\n"), "{told}");
    place.write("x.json", json!({"name": "x", "extraCommands": script}).to_string());
    assert_eq!(place.ok("copy x.json oci:x --quiet --network").stderr, "reached\n");
    assert_eq!(place.ok("copy x.json oci:y --quiet").stderr, "refused\n");
}

/// Sockets with a name of no file system are those of a network.
#[test]
fn abstract_sockets() {
    if !require_tool("perl") {
        return;
    }
    let name = format!("layerstone-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let script = connect(&format!("\\0{name}"));
    check(&script, "", "");
    check(&script, "--network", "reached\n");
}

/// A socket with a name in the file system is in reach of whoever may write to it.
#[test]
fn named_sockets() {
    if !require_tool("perl") {
        return;
    }
    let path = open_folder().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    check(&connect(&path.display().to_string()), "", "reached\n");
}

fn connect(name: &str) -> String {
    let open = "socket(S, AF_UNIX, SOCK_STREAM, 0) or die";
    format!("perl -MSocket -e '{open}; print \"reached\\n\" if connect(S, pack_sockaddr_un(\"{name}\"))'")
}

/// Shared memory of System V.
#[test]
fn shared_memory() {
    if !require_tool("perl") {
        return;
    }
    let key = i32::try_from(std::process::id()).unwrap();
    // SAFETY: numbers only.
    let id = unsafe { libc::shmget(key, 4096, libc::IPC_CREAT | 0o666) };
    assert!(id >= 0, "{}", std::io::Error::last_os_error());
    let script = format!("perl -e 'print \"reached\\n\" if defined shmget({key}, 0, 0)'");
    check_both(&script, "", "reached\n");
    // SAFETY: one that nobody has attached.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

/// Calls about keyrings fail as on a kernel without them.
#[test]
fn keyrings() {
    if !require_tool("perl") {
        return;
    }
    let call = |number: libc::c_long, arguments: &str| {
        format!("$! = 0; syscall({number}, {arguments}); print $! + 0, \"\\n\";")
    };
    // linux/keyctl.h: KEYCTL_GET_KEYRING_ID of KEY_SPEC_USER_KEYRING.
    let calls = [
        call(libc::SYS_keyctl, "0, -4, 1"),
        call(libc::SYS_add_key, "$type, $name, $name, 1, -4"),
        call(libc::SYS_request_key, "$type, $name, 0, -4"),
    ];
    let script = format!("perl -e 'my ($type, $name) = (\"user\", \"x\"); {}'", calls.concat());
    let absent = format!("{}\n", libc::ENOSYS).repeat(3);
    check(&script, "", &absent);
    let (_place, run) = run(Caller::Us, KINDS[0], &script, "--sandbox none");
    if run.stderr.lines().next() == absent.lines().next() {
        skip(&test_name(), "a kernel without keyrings");
    }
}

/// /proc shows the processes of the sandbox, and none of the machine.
#[test]
fn processes() {
    let script = "set -- /proc/[0-9]*; if test $# -gt 5; then echo many; fi; cut -d ' ' -f 1 /proc/self/stat > pid\n\
        test $(cat pid) -lt 100; if kill -0 $PPID 2> /dev/null && test $PPID -gt 1; then echo others; fi";
    check(script, "", "");
    let ours = std::process::id();
    let script = format!("if grep -q '^Name' /proc/{ours}/status 2> /dev/null; then echo shows; fi");
    // A number that the sandbox could not have given to one of its own by now.
    if ours > 1000 {
        check_both(&script, "", "shows\n");
    }
}

#[test]
fn host_name() {
    check(
        "cat /proc/sys/kernel/hostname; uname -n; cat /proc/sys/kernel/domainname",
        "",
        "localhost\nlocalhost\n(none)\n",
    );
}

/// What docker leaves to root in a container, whoever is root.
#[test]
fn capabilities() {
    check("grep CapBnd /proc/self/status | cut -f 2", "", "00000000a80425fb\n");
    let script = "if test $(id -u) = 0; then\n\
        if date -s 1999-01-01 > /dev/null 2>&1; then echo clock; fi\n\
        if mount -t tmpfs x . 2> /dev/null; then echo mounted; fi\n\
        if chroot /proc/1/root touch $PWD/../left 2> /dev/null; then echo left; fi\n\
        fi";
    check(script, "", "");
}

/// No device but those that store nothing; nodes that a script makes are for the image.
#[test]
fn devices() {
    let script = "head -c 1 /dev/zero | wc -c; echo > /dev/null\n\
        for device in $(find /dev -type b -o -type c); do\n\
          case $device in /dev/null|/dev/zero|/dev/full|/dev/random|/dev/urandom|/dev/tty) continue;; esac\n\
          if head -c 0 $device 2> error || ! grep -q 'Permission denied' error; then echo $device; fi\n\
        done\n\
        if mknod node c 1 5 2> /dev/null; then head -c 1 node 2> /dev/null | wc -c | grep -v '^0$' || true; fi";
    for kind in KINDS {
        for caller in Caller::all().into_iter().filter(|caller| caller.has_namespaces()) {
            let (_place, run) = run(caller, kind, script, "");
            assert_eq!((run.code, &*run.stderr), (Some(0), "1\n"), "{caller:?} {kind}");
        }
    }
}

/// Without a terminal, whatever the caller has.
#[test]
fn terminal() {
    if !require_tool("script") {
        return;
    }
    let text = "if (exec 3<> /dev/tty) 2> /dev/null; then echo tty; else echo none; fi";
    for (flags, expected) in [("", "none"), ("--sandbox none", "tty")] {
        let place = Place::new();
        place.write("x.json", json!({"name": "x", "extraCommands": text}).to_string());
        let line = format!("root --spec x.json -o x.layer.json --blob x.tar {flags}");
        let binary = env!("CARGO_BIN_EXE_layerstone");
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &format!("{binary} {line}"), "/dev/null"]).current_dir(place.path());
        let output = script.stdin(std::process::Stdio::null()).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.lines().any(|line| line.trim() == expected), "{flags}: {printed}");
    }
}

/// All files of the machine that its caller may read; with the layer as the root, none of them.
#[test]
fn files_to_read() {
    let file = open_folder().join("file to read");
    std::fs::write(&file, "read\n").unwrap();
    check(&format!("cat '{}'", file.display()), "", "read\n");
    private_files(&file);
}

/// A file that its caller may not read stays closed, whatever root the script is.
fn private_files(beside: &Path) {
    let secret = beside.with_file_name("secret");
    std::fs::write(&secret, "secret\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let script = format!("cat '{}' 2> /dev/null || echo closed", secret.display());
    for caller in Caller::all().into_iter().filter(|caller| [Caller::Nobody, Caller::NobodyWithUsers].contains(caller))
    {
        for kind in KINDS {
            let (_place, run) = run(caller, kind, &script, "");
            assert_eq!((run.code, &*run.stderr), (Some(0), "closed\n"), "{caller:?} {kind}");
        }
    }
}

/// Whatever the table of the docs names is there.
#[test]
fn the_docs_name_tests() {
    let page = include_str!("../../docs/security.md");
    let (_, section) = page.split_once("\n## The sandbox\n").unwrap();
    let count = crate::support::check_named_tests(section, &["tests"]);
    assert!(count > 15, "{count}");
}
