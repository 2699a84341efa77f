//! Scripts and bases that want out: nothing outside their root is read or written, whoever is root there.

use super::{File, archive, backends, busybox, layer_of, run};
use crate::support::Place;
use crate::support::lab::Lab;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Everything that has ever led out of a root, and prints what it gets hold of.
const ATTACK: &str = r#"
canary=CANARY
see() { if test -e "$1$canary"; then echo "seen through $1"; echo bad > "$1$canary"; fi; }
see ''; see /proc/1/root; see /proc/self/root; see /proc/self/cwd; see /proc/self/cwd/..; see ../../../../../..
for fd in /proc/self/fd/* /proc/1/fd/*; do see "$fd"; see "$fd/.."; see "$fd/../.."; done
for id in $(ls /proc | grep '^[0-9]*$'); do see /proc/$id/root; see /proc/$id/cwd; done
ln -s / /way; see /way; ln -s ../../../../.. /up; see /up; rm /way /up
# A hard link to what is mounted, to write it under another name.
ln /etc/passwd /linked 2> /dev/null || true
# chroot into a folder, keep one outside of it, go up.
mkdir -p /in/bin; cp /bin/busybox /in/bin/sh
chroot /in /bin/sh -c 'cd ../../../..; ls' > /dev/null 2>&1 || true
# The store, and what it is mounted on, writable again.
mount -o remount,bind,rw /nix/store 2> /dev/null && echo remounted
umount /nix/store 2> /dev/null && ls /nix/store
for path in /nix/store/*; do (echo bad > $path/bad) 2> /dev/null && echo "wrote $path"; done
unshare -m mount -o remount,bind,rw /nix/store 2> /dev/null && echo remounted
unshare -Ur mount -o remount,bind,rw /nix/store 2> /dev/null && echo remounted
# Disks and memory of the machine.
for device in DEVICES; do
  mknod /disk-$device b ${device%.*} ${device#*.} 2> /dev/null && head -c 1 /disk-$device > /dev/null 2>&1 && echo "read disk $device"
done
mknod /mem c 1 1 2> /dev/null && head -c 1 /mem > /dev/null 2>&1 && echo "read memory"
# What changes the machine.
for file in kernel/core_pattern kernel/hostname vm/drop_caches kernel/modprobe; do
  (echo bad > /proc/sys/$file) 2> /dev/null && echo "wrote $file"
done
(echo h > /proc/sysrq-trigger) 2> /dev/null && echo "wrote sysrq"
find /sys -name uevent -maxdepth 3 2> /dev/null | while read -r file; do (echo add > $file) 2> /dev/null && echo "wrote $file"; done | head -n 1
# Processes of the machine.
kill -0 PID 2> /dev/null && echo "found a process"
echo end
true
"#;

/// Device numbers of the machine's disks.
fn devices() -> String {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| fs::read_to_string(entry.path().join("dev")).ok());
    numbers.map(|number| number.trim().replace(':', ".")).collect::<Vec<_>>().join(" ")
}

#[test]
fn nothing_outside_is_reached() {
    let (Some(busybox), Some(lab)) = (busybox(), Lab::find("small")) else { return };
    let links = layer_of(&[
        File::folder("etc/"),
        File::new("etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\n"),
        // Directories of the image that are links to those of the machine.
        File::link("home", "/proc/1/root"),
        File::link("tmp2", "../../../../../../tmp"),
    ]);
    for backend in backends() {
        let place = Place::new();
        let canary = place.write("canary", "safe");
        place.write("base.tar", archive(&[busybox.clone(), links.clone()]));
        let script = ATTACK.replace("CANARY", canary.to_str().unwrap()).replace("DEVICES", &devices());
        // A process of the machine that nobody else has the number of, unless the machine has few.
        let script = script.replace("PID", &std::process::id().to_string());
        place.write("script.sh", &script);
        let store = fs::read_dir("/nix/store").unwrap().count();
        let run = run(&place, backend, &format!("--store-closure {}", lab.graph().display()));
        assert_eq!(run.code, Some(0), "{backend}: {}", run.stderr);
        let seen = run.stderr.split_once('\n').unwrap().1;
        match backend {
            // Its kernel, disks and mounts are its own: what it wrote there is gone with it. The store is a disk that cannot be
            // written.
            "emulation" => assert!(!seen.contains("seen") && !seen.contains("wrote /nix"), "{seen}"),
            _ => assert_eq!(seen, "end\n", "{backend}"),
        }
        assert_eq!(fs::read(&canary).unwrap(), b"safe", "{backend}");
        assert_eq!(fs::read_dir("/nix/store").unwrap().count(), store);
        assert!(lab.infos().iter().all(|info| !Path::new(info["path"].as_str().unwrap()).join("bad").exists()));
    }
}

/// Names in layers that lead out are no names.
#[test]
fn bases_that_lead_out() {
    let Some(busybox) = busybox() else { return };
    for (files, expected) in [
        (vec![File::new("../../escaped", 0o644, "x")], "leads out of the image"),
        (vec![File::link("l", "/"), File::new("l/../../escaped", 0o644, "x")], "leads out of the image"),
        (vec![File::same("h", "../../etc/passwd")], "leads out of the image"),
        (vec![File::same("h", "etc/passwd")], "found the target etc/passwd"),
    ] {
        let place = Place::new();
        place.write("base.tar", archive(&[busybox.clone(), layer_of(&files)]));
        place.write("script.sh", "true");
        let run = run(&place, "userns", "");
        assert!(run.code == Some(1) && run.stderr.contains(expected), "{}", run.stderr);
        place.check_no_leftovers();
    }
    // Through a link that an upper layer makes of a directory: what is below it is in the image, or nowhere.
    let place = Place::new();
    let outside = place.join("outside");
    fs::create_dir(&outside).unwrap();
    let before = outside.metadata().unwrap().mtime();
    let target = outside.to_str().unwrap();
    let layers = [busybox, layer_of(&[File::link("l", target)]), layer_of(&[File::new("l/escaped", 0o644, "x")])];
    place.write("base.tar", archive(&layers));
    place.write("script.sh", "cat /l/escaped; echo");
    for backend in backends() {
        let run = run(&place, backend, "");
        assert!(run.code == Some(0) && run.stderr.ends_with("\nx\n"), "{backend}: {}", run.stderr);
        assert_eq!((fs::read_dir(&outside).unwrap().count(), outside.metadata().unwrap().mtime()), (0, before));
    }
}

/// What a script leaves in its /dev is not what hooks run in, or write to; nor has it a terminal to type into.
#[test]
fn a_dev_of_its_own() {
    let Some(lab) = Lab::find("small") else { return };
    let place = Place::new();
    let canary = place.write("canary", "safe");
    place.write("script.sh", format!(
        "rm -f /dev/hook; (rm -f /dev/null) 2> /tmp/error || true; ln -s {} /dev/hook; echo x > /dev/null; (echo > /dev/tty) 2> /dev/null && echo terminal; true",
        canary.display()
    ));
    place.write("extra.sh", "test -c /dev/null; ls -l /dev/hook | cut -c1; echo extra > extra");
    for backend in backends() {
        let flags = format!("--store-closure {} --extra-commands extra.sh", lab.graph().display());
        assert_eq!(super::printed(&place, backend, &flags), "-\n", "{backend}");
        assert_eq!(fs::read(&canary).unwrap(), b"safe");
    }
}

/// What whoever started us had open is not open for scripts.
#[test]
fn descriptors_of_the_caller() {
    let Some(busybox) = busybox() else { return };
    let place = Place::new();
    place.write("base.tar", archive(&[busybox]));
    place.write(
        "script.sh",
        "ls -l /proc/self/fd 2> /dev/null | grep -c -- '->'; ls /proc/self/fd/9/ 2> /dev/null || echo none",
    );
    for backend in backends() {
        let line =
            format!("overlay run --backend {backend} --base base.tar --script script.sh -o x.layer.json --blob x.tar");
        let command = place.command(&line);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "exec 9< /; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
        let output = shell.current_dir(place.path()).env("TMPDIR", place.temporary()).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        // Standard input and outputs.
        assert!(told.ends_with("\n3\nnone\n"), "{backend}: {told}");
    }
}
