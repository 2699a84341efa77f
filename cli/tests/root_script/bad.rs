//! What is told when something fails, in every backend: what, where, and what to do. Nothing is left of it.

use super::{archive, backends, busybox, has_machine, place, run, tar_of};
use crate::support::caller::Caller;
use crate::support::pieces::Pieces;
use crate::support::{Place, Run, require_tool};
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A run that failed, and left nothing.
#[track_caller]
pub fn failed(place: &Place, run: Run, expected: &str) {
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains(expected), "found:\n{}\nexpected:\n{expected}", run.stderr);
    assert!(!place.join("run.tar").exists() && !place.join("run.layer.json").exists());
    place.check_no_leftovers();
}

#[test]
fn scripts_that_fail() {
    let script =
        "for n in $(echo 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22); do echo line $n; done; exit 7";
    let Some(place) = place(&[], script) else { return };
    let lines: String = (3..=22).map(|n| format!("  | line {n}\n")).collect();
    for backend in backends() {
        let run = run(&place, backend, "");
        let hint = "hint: what it said last stands above; `set -x` in its first line shows each command\n";
        assert!(run.stderr.ends_with(&format!("{lines}{hint}")), "{}", run.stderr);
        failed(&place, run, &format!("error: script failed: root script: exit status 7\n{lines}"));
    }
    place.write("script.sh", "kill -9 $$");
    failed(&place, run(&place, "userns", ""), "error: script failed: root script: killed by signal 9\n");
}

/// An old layer stays what it was.
#[test]
fn the_old_output_stays() {
    let Some(place) = place(&[], "exit 1") else { return };
    place.write("run.tar", "old");
    place.write("run.layer.json", "old");
    assert_eq!(run(&place, "userns", "").code, Some(1));
    assert_eq!((place.read("run.tar"), place.read("run.layer.json")), (b"old".to_vec(), b"old".to_vec()));
}

#[test]
fn a_disk_that_is_full() {
    let Some(place) = place(&[], "cat /dev/zero > /big") else { return };
    for backend in backends() {
        let run = run(&place, backend, "--disk-size 4");
        failed(&place, run, ": the disk of the run was full (4 MiB): raise diskSize (--disk-size)\n  | cat: ");
    }
}

#[test]
fn scripts_that_take_too_long() {
    let Some(place) = place(&[], "echo begun; sleep 1000") else { return };
    for backend in backends() {
        // It must have begun by then.
        let seconds = if backend == "emulation" { 20 } else { 5 };
        let run = run(&place, backend, &format!("--timeout {seconds}"));
        failed(
            &place,
            run,
            &format!(
                "error: timed out after {seconds} s: running the script\n  | begun\nhint: --timeout S allows more\n"
            ),
        );
    }
}

/// The script is killed by the kernel of the machine, and that is told.
#[test]
fn a_machine_without_memory() {
    if !has_machine() {
        return;
    }
    let Some(place) = place(&[], "echo begun; tail /dev/zero; echo 'not reached'") else { return };
    let run = run(&place, "emulation", "--memory 256 --disk-size 1");
    failed(&place, run, "raise buildVMMemorySize (--memory)\n  | begun\n");
}

#[test]
fn a_machine_that_panics() {
    if !has_machine() {
        return;
    }
    let Some(place) = place(&[], "echo begun; echo c > /proc/sysrq-trigger; sleep 100") else { return };
    let run = run(&place, "emulation", "");
    failed(
        &place,
        run,
        "error: QEMU ended before the run did: running the script: exit status 0: Kernel panic - not syncing: ",
    );
}

/// A kernel that never gets to its first program: one that is an endless loop (EB FE: jmp to itself).
#[test]
fn a_machine_that_does_not_begin() {
    if !has_machine() {
        return;
    }
    let Some(place) = place(&[], "true") else { return };
    let mut kernel = vec![0; 0x10000];
    kernel[0x1f1] = 4;
    kernel[0x1fe..0x202].copy_from_slice(&[0x55, 0xaa, 0xeb, 0x66]);
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x206..0x208].copy_from_slice(&0x20c_u16.to_le_bytes());
    kernel[0x20e..0x210].copy_from_slice(&0x400_u16.to_le_bytes());
    kernel[0x211] = 1;
    kernel[0x22c..0x230].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    kernel[0x268..0x26a].copy_from_slice(&[0xeb, 0xfe]);
    kernel[0x600..0x605].copy_from_slice(b"9.9.9");
    place.write("boot/vmlinuz-9.9.9", kernel);
    let own = newest_modules();
    fs::create_dir_all(place.join("lib/modules")).unwrap();
    symlink(own, place.join("lib/modules/9.9.9")).unwrap();
    let run = run(&place, "emulation", "--kernel boot/vmlinuz-9.9.9 --boot-timeout 2");
    failed(&place, run, "emulation: no sign of life for 2 s: booting\n");
}

fn newest_modules() -> std::path::PathBuf {
    let mut found: Vec<_> = fs::read_dir("/lib/modules").unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found.into_iter().rfind(|path| path.join("modules.dep").exists()).unwrap()
}

#[test]
fn kernels_that_cannot_be_used() {
    if !has_machine() {
        return;
    }
    let Some(place) = place(&[], "true") else { return };
    place.write("no-kernel", "x");
    place.write("boot/vmlinuz-1", [&[0; 0x202][..], b"HdrS", &[0; 8], &[0; 2], &[0; 0x100]].concat());
    for (kernel, expected) in [
        (
            "absent",
            "no guest kernel: absent: No such file or directory (os error 2): install linux-image-cloud-amd64 or name one with --kernel",
        ),
        ("no-kernel", "no guest kernel: no-kernel: expected a bzImage of Linux for x86"),
    ] {
        let run = run(&place, "emulation", &format!("--kernel {kernel}"));
        failed(&place, run, &format!("error: no way to run a root script here\n  emulation: {expected}\n"));
    }
    // Root reads what it wants.
    if !Caller::all().contains(&Caller::Nobody) {
        return;
    }
    let place = Caller::Nobody.place();
    place.write("base.tar", archive(&[busybox().unwrap()]));
    place.write("script.sh", "true");
    place.write("vmlinuz", "x");
    fs::set_permissions(place.join("vmlinuz"), Permissions::from_mode(0o0)).unwrap();
    let line =
        "overlay run --backend vm --base base.tar --script script.sh -o run.layer.json --blob run.tar --kernel vmlinuz";
    let run = Caller::Nobody.command(&place, line).output().unwrap().into();
    failed(
        &place,
        run,
        "emulation: cannot read the guest kernel: vmlinuz: its mode is 0000: sudo chmod 0644 vmlinuz, or name a copy",
    );
}

#[test]
fn no_qemu() {
    let Some(place) = place(&[], "true") else { return };
    let line = "overlay run --backend emulation --base base.tar --script script.sh -o run.layer.json --blob run.tar";
    let run = place.command(line).env("PATH", "/nonexistent").output().unwrap().into();
    failed(&place, run, "emulation: found no qemu-system-x86_64 in PATH: install qemu-system-x86\n");
}

/// KVM that lets a machine begin and then hangs: the emulator takes over, and says why. What stands in for QEMU does
/// nothing for ever if it is to use KVM.
#[test]
fn kvm_that_hangs() {
    if !has_machine() || !Path::new("/dev/kvm").exists() {
        return;
    }
    let Some(place) = place(&[], "echo ran") else { return };
    let stand_in = "#!/bin/sh\ncase \" $* \" in *' kvm '*) exec sleep 1000;; esac\nPATH=${PATH#*:}; exec qemu-system-x86_64 \"$@\"\n";
    let file = place.write("bin/qemu-system-x86_64", stand_in);
    fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.join("bin").display(), std::env::var("PATH").unwrap());
    let base = "overlay run --base base.tar --script script.sh -o run.layer.json --blob run.tar";
    for (flags, told) in [
        ("--backend vm", "root script in an emulated virtual machine (no kvm: no sign of life for "),
        ("", "root script in a user namespace (no kvm: no sign of life for "),
    ] {
        // The boot takes longer where it is real, and beside other tests.
        let timeout = if flags.is_empty() { "--boot-timeout 1" } else { "--boot-timeout 60" };
        let run: Run = place.command(&format!("{base} {flags} {timeout}")).env("PATH", &path).output().unwrap().into();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stderr.starts_with(told) && run.stderr.ends_with("ran\n"), "{}", run.stderr);
        place.check_no_leftovers();
    }
}

/// That there are no virtual machines is told to whoever asked for one, and to `-v`; elsewhere the script just runs.
#[test]
fn machines_that_are_not_there() {
    let Some(place) = place(&[], "echo ran") else { return };
    let tools: Vec<_> = ["newuidmap", "newgidmap"].into_iter().filter(|tool| require_tool(tool)).collect();
    fs::create_dir(place.join("bin")).unwrap();
    for tool in &tools {
        symlink(Path::new("/usr/bin").join(tool), place.join("bin").join(tool)).unwrap();
    }
    let run = |flags: &str| -> Run {
        let line = format!("overlay run --base base.tar --script script.sh -o run.layer.json --blob run.tar {flags}");
        place.command(&line).env("PATH", place.join("bin")).output().unwrap().into()
    };
    let auto = run("");
    assert_eq!(auto.code, Some(0), "{}", auto.stderr);
    assert_eq!(auto.stderr, "root script in a user namespace\nran\n");
    let told = run("-v").stderr;
    assert!(told.contains("kvm: not available") && told.contains("\nroot script in a user namespace\n"), "{told}");
    let machine = run("--backend vm").stderr;
    let reasons = ["error: no way to run a root script here\n", "\n  kvm: ", "\n  emulation: "];
    assert!(reasons.iter().all(|reason| machine.contains(reason)), "{machine}");
}

/// A machine runs no programs of another one.
#[test]
fn another_architecture() {
    let Some(busybox) = busybox() else { return };
    let mut pieces = Pieces::new(&[busybox]);
    pieces.config["architecture"] = json!("s390x");
    let place = Place::new();
    place.write("base.tar", tar_of(&pieces));
    place.write("script.sh", "true");
    for backend in backends() {
        let run = run(&place, backend, "");
        failed(&place, run, "error: wrong architecture: found an image for s390x, expected amd64, this machine's\n");
    }
}

/// Who may map no users, or is not root, is told which way is left.
#[test]
fn callers_without_rights() {
    let callers = Caller::all();
    for (caller, backend, expected) in [
        (
            Caller::Nobody,
            "userns",
            "userns: found no subordinate users of user 65534, expected some in /etc/subuid and /etc/subgid",
        ),
        (Caller::Nobody, "namespace", "namespace: found an ordinary user, expected root"),
        (Caller::WithoutNamespaces, "userns", "cannot make"),
        (Caller::WithoutNamespaces, "namespace", "cannot make namespaces: "),
    ] {
        if !callers.contains(&caller) {
            continue;
        }
        let place = caller.place();
        place.write("base.tar", archive(&[busybox().unwrap()]));
        place.write("script.sh", "true");
        let line = format!(
            "overlay run --backend {backend} --base base.tar --script script.sh -o run.layer.json --blob run.tar"
        );
        let run: Run = caller.command(&place, &line).output().unwrap().into();
        failed(&place, run, expected);
    }
}

/// A user who has users of its own makes root's layer.
#[test]
fn an_ordinary_user() {
    let (caller, Some(us)) =
        (Caller::NobodyWithUsers, place(&[], "mkdir /d; echo x > /d/x; chown 12:34 /d/x; chmod 600 /d/x"))
    else {
        return;
    };
    if !Caller::all().contains(&caller) {
        return;
    }
    super::printed(&us, "userns", "");
    let place = caller.place();
    place.write("base.tar", us.read("base.tar"));
    place.write("script.sh", us.read("script.sh"));
    let line = "overlay run --backend userns --base base.tar --script script.sh -o run.layer.json --blob run.tar";
    let run: Run = caller.command(&place, line).output().unwrap().into();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(place.read("run.tar"), us.read("run.tar"));
    place.check_no_leftovers();
}

#[test]
fn what_flags_take() {
    let Some(place) = place(&[], "true") else { return };
    for (flags, expected) in [
        ("--backend docker", "found docker, expected vm, kvm, emulation, userns or namespace"),
        ("--memory 64", "invalid value '64' for '--memory <MIB>': expected 256 to 16777216"),
        ("--disk-size 0", "'0' for '--disk-size <MIB>': expected 1 to 16777216"),
        ("--timeout 0", "'0' for '--timeout <S>': expected 1 or more"),
    ] {
        let run =
            place.run(&format!("overlay run --base base.tar --script script.sh -o x.layer.json --blob x.tar {flags}"));
        assert!(run.code == Some(2) && run.stderr.contains(expected), "{}", run.stderr);
    }
    let run = place.run("overlay run --script absent -o x.layer.json --blob x.tar");
    let hint = "hint: it is the name of a file: <(echo 'COMMANDS') makes one of commands";
    assert_eq!(run.stderr, format!("error: cannot read: absent: No such file or directory (os error 2)\n{hint}\n"));
}
