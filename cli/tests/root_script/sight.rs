//! What scripts and hooks see: the same in every backend.

use super::{archive, backends, busybox, place, printed, run, tar_of};
use crate::support::Place;
use crate::support::lab::Lab;
use crate::support::pieces::Pieces;
use serde_json::json;
use std::collections::BTreeMap;

const LOOK: &str = r#"
cd /; pwd; id -u; id -g; umask 2> /dev/null || true; env | sort | grep -v OLDPWD
ls -d /dev /proc /sys /tmp /sys/class/net/*; ls /dev; ls -ld /tmp /dev/shm | cut -c1-10
test -c /dev/null; echo x > /dev/null; head -c 3 /dev/zero | wc -c; echo y > /dev/shm/y
cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '
tr '\0' ' ' < /proc/self/cmdline; echo
test -d /proc/self/fd && readlink /proc/self/root
ls /proc | grep -c '^[0-9]*$' | sed 's/^[1-9]$/few/'
cat; echo done
"#;

const SEEN: &str = "\
/
0
0
HOME=/root
LC_ALL=C
PATH=PATHS
PWD=/
SHLVL=1
SOURCE_DATE_EPOCH=7
TZ=UTC
/dev
/proc
/sys
/sys/class/net/lo
/tmp
fd
full
null
random
root-script
shm
stderr
stdin
stdout
tty
urandom
zero
drwxrwxrwt
drwxrwxrwt
3
lo
/bin/sh -e /dev/root-script \n/
few
done
";

#[test]
fn the_same_everywhere() {
    let Some(busybox) = busybox() else { return };
    let default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (env, path) in [(json!(null), default), (json!(["PATH=/x:/bin", "OTHER=1"]), "/x:/bin")] {
        let mut pieces = Pieces::new(std::slice::from_ref(&busybox));
        pieces.config["config"] = json!({"Env": env});
        for backend in backends().into_iter().filter(|backend| *backend != "emulation" || path != default) {
            let place = Place::new();
            place.write("base.tar", tar_of(&pieces));
            place.write("script.sh", LOOK.replace("umask 2> /dev/null || true; ", ""));
            let mut command = place.command(&format!(
                "overlay run --backend {backend} --base base.tar --script script.sh -o x.layer.json --blob x.tar --mtime 7"
            ));
            let output = command.env("SECRET", "1").output().unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            let seen = told.split_once('\n').unwrap().1;
            assert_eq!(seen, SEEN.replace("PATHS", path), "{backend}");
        }
    }
}

/// A script names its interpreter, or /bin/sh -e reads it; where there is neither, that is told.
#[test]
fn interpreters() {
    let Some(busybox) = busybox() else { return };
    let place = Place::new();
    place.write("base.tar", archive(&[busybox]));
    for (script, expected) in [
        (
            "echo one; false; echo two",
            Err("one\nerror: script failed: root script: exit status 1\n  | one\n\
                 hint: what it said last stands above; `set -x` in its first line shows each command\n"),
        ),
        ("#!/bin/sh\necho one; false; echo two", Ok("one\ntwo\n")),
        ("#!/bin/echo -n:\n", Ok("-n: /dev/root-script\n")),
        (
            "#!/bin/absent -x\n",
            Err(
                "error: root script not run to its end: running the script: cannot run its interpreter: /bin/absent -x: No \
                 such file or directory (os error 2)\n",
            ),
        ),
    ] {
        place.write("script.sh", script);
        match expected {
            Ok(expected) => assert_eq!(printed(&place, "userns", ""), expected, "{script}"),
            Err(expected) => {
                let run = run(&place, "userns", "");
                assert_eq!((run.code, run.stderr.split_once('\n').unwrap().1), (Some(1), expected), "{script}");
            }
        }
    }
    std::fs::remove_file(place.join("base.tar")).unwrap();
    place.write("script.sh", "true");
    let none = run(&place, "userns", "");
    let expected = "no shell: found no /bin/sh in the image and no bin/sh or bin/bash in the store closure, and the script does not \
                    name its interpreter\nhint: --base IMAGE brings a /bin/sh, --store-closure a bash; a script may name its own \
                    interpreter, as #!/bin/bash\n";
    assert!(none.code == Some(1) && none.stderr.ends_with(expected), "{}", none.stderr);
}

/// Store paths of a closure, hooks with their programs, contents: from nothing, in every backend one layer.
#[test]
fn store_and_hooks() {
    let Some(lab) = Lab::find("small") else { return };
    let place = Place::new();
    let hello = lab.path("hello");
    place.write("script.sh", format!(
        "case $PATH in /nix/store/*) ;; *) exit 1;; esac; ls /nix/store | wc -l; (echo > /nix/store/x) 2> /dev/null || echo \
         read-only; {hello}/bin/hello; echo script > /made; ln -s {hello} /hello; cat /given"));
    place.write("pre.sh", "pwd; ls -A; echo given > layer/given; ls mnt | wc -l");
    place.write("post.sh", "cat mnt/given; ls -d mnt/dev; mkdir mnt/post");
    place.write("umount.sh", "ls mnt | wc -l; ls layer; mkdir layer/umount");
    place.write("extra.sh", format!("#!{}/bin/bash\npwd; echo extra > extra; ls; touch $TMPDIR/x", lab.path("bash")));
    let graph = lab.graph();
    let flags = format!(
        "--store-closure {} --contents {hello} --pre-mount pre.sh --post-mount post.sh --post-umount umount.sh --extra-commands \
         extra.sh",
        graph.display()
    );
    let paths = lab.infos().len();
    let expected = format!(
        "/disk\nlayer\nmnt\nwork\n0\ngiven\nmnt/dev\n{paths}\nread-only\nHello, world!\ngiven\n0\nbin\ngiven\nhello\nmade\nnix-support\npost\n\
         share\n/disk/layer\nbin\nextra\ngiven\nhello\nmade\nnix-support\npost\nshare\numount\n"
    );
    let mut layers = BTreeMap::new();
    for backend in backends() {
        let told = printed(&place, backend, &flags);
        assert_eq!(told, expected, "{backend}");
        let references = place.json("run.layer.json")["references"].clone();
        assert!(references.as_array().unwrap().contains(&json!(hello)), "{references}");
        layers.insert(backend, crate::support::digest(&place.read("run.tar")));
    }
    assert_eq!(layers.values().collect::<std::collections::BTreeSet<_>>().len(), 1, "{layers:?}");
}

/// A store below /tmp, or wherever else, is seen.
#[test]
fn a_store_anywhere() {
    let (Some(busybox), Ok(folder)) = (busybox(), tempfile::tempdir_in("/tmp")) else { return };
    let path = "/nix/store/00000000000000000000000000000000-there";
    let real = folder.path().join(&path[1..]);
    std::fs::create_dir_all(real.join("bin")).unwrap();
    std::fs::write(real.join("bin/x"), "#!/bin/sh\necho ran\n").unwrap();
    std::fs::set_permissions(real.join("bin/x"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let place = Place::new();
    place.write("base.tar", archive(&[busybox]));
    place.write("graph.json", json!([{"path": path, "references": []}]).to_string());
    place.write("script.sh", "x; ls /nix/store; ls /nix/store/*");
    for backend in backends() {
        let flags = format!("--store-closure graph.json --root {}", folder.path().display());
        assert_eq!(printed(&place, backend, &flags), format!("ran\n{}\nbin\n", &path[11..]), "{backend}");
    }
}

/// A hook has no programs but those of a closure.
#[test]
fn hooks_without_a_store() {
    let Some(place) = place(&[], "true") else { return };
    place.write("hook.sh", "true");
    for (flag, phase) in [
        ("--pre-mount", "running the pre-mount hook"),
        ("--post-mount", "running the post-mount hook"),
        ("--post-umount", "running the post-umount hook"),
        ("--extra-commands", "running extraCommands"),
    ] {
        let run = run(&place, "userns", &format!("{flag} hook.sh"));
        let expected = format!(
            "error: root script not run to its end: {phase}: no shell for a hook: expected a store closure with bin/sh or \
             bin/bash, or a script that names an interpreter in it\nhint: --base IMAGE brings a /bin/sh, --store-closure a \
             bash; a script may name its own interpreter, as #!/bin/bash\n"
        );
        assert!(run.code == Some(1) && run.stderr.ends_with(&expected), "{}", run.stderr);
        place.check_no_leftovers();
    }
}

/// What works here, tried; what does not, with the reason.
#[test]
fn probes() {
    let place = Place::new();
    let lines = |run: crate::support::Run| -> Vec<String> { run.text().lines().map(str::to_owned).collect() };
    for backend in backends() {
        let found = lines(place.ok(&format!("overlay probe --backend {backend}")));
        assert!(
            found[0].starts_with(&format!("{backend}: works, ")) && found[0].ends_with(" s to begin and end"),
            "{found:?}"
        );
    }
    let line = "overlay probe --backend emulation --backend namespace --kernel absent";
    let found = lines(place.command(line).env("PATH", "/nonexistent").output().unwrap().into());
    assert_eq!(found[0], "emulation: not here: found no qemu-system-x86_64 in PATH: install qemu-system-x86");
    assert!(found[1].starts_with("namespace: "), "{found:?}");
    assert_eq!(found.len(), 2);
}

/// Where the time goes, phase by phase, and what to do where nothing goes.
#[test]
fn timings_and_hints() {
    let Some(place) = place(&[], "true") else { return };
    let told = printed(&place, "userns", "--timings");
    let stage = |line: &str| line.split_once(" s  ").unwrap().1.to_owned();
    let mut phases: Vec<String> = told.lines().map(stage).collect();
    // The base is.
    assert!(phases.remove(0).starts_with("unpacking"), "{told}");
    let expected = ["making ready", "booting", "mounting", "running the script", "packing the layer"];
    assert_eq!(phases[..5], expected);
    assert!(phases[5].starts_with("all, with ") && phases[5].ends_with(" MB of memory"), "{told}");
    let run = run(&place, "emulation", "--kernel absent");
    assert!(
        run.stderr.ends_with("hint: `layerstone overlay probe` tells which --backend works here\n"),
        "{}",
        run.stderr
    );
    let quiet = super::run(&place, "userns", "--quiet");
    assert_eq!((quiet.code, &*quiet.stderr), (Some(0), ""));
}
