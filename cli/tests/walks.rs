//! Walks of people who see the program for the first time, step by step: one who knows docker and has no Nix, one who has a store
//! and built images with dockerTools; and the doors that were closed to them once.

use crate::support::registry::Registry;
use crate::support::{Place, synth};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

/// A program in a directory, and nothing of Nix.
fn application() -> Place {
    let place = Place::new();
    place.write_mode("app", "#!/bin/sh\necho hello\n", 0o755);
    fs::create_dir(place.join("folder")).unwrap();
    fs::copy(place.join("app"), place.join("folder/app")).unwrap();
    place
}

/// An image of the store, which says what it runs.
fn image() -> (Place, String) {
    let place = Place::new();
    let spec = json!({"name": "x", "tag": "1", "contents": [synth().path("root-env")], "config": {"Cmd": ["/bin/sh"]}});
    place.write("s.json", spec.to_string());
    (place, format!("--root {}", synth().root.display()))
}

/// What is no store path is told how it gets into an image, and gets there so.
#[test]
fn plain_files_have_a_door() {
    let place = application();
    for (contents, hint) in [
        ("./app", "hint: --copy ./app:/app copies plain files into the image\n"),
        ("./folder", "hint: --copy ./folder:/ copies plain files into the image\n"),
        ("/usr/bin/env", "hint: --copy /usr/bin/env:/env copies plain files into the image\n"),
    ] {
        let told = place.fail(&format!("build --name app --contents {contents} --cmd /app -o app.tar"));
        assert!(told.contains("it is outside the store /nix/store") && told.ends_with(hint), "{told}");
        let copy = hint.split(' ').nth(2).unwrap();
        place.ok(&format!("build --name app --copy {copy} --cmd /app --no-check -o app.tar"));
    }
    // Any directory may be the store, below a root too, and a link may lead there.
    fs::create_dir_all(place.join("rootfs/opt/app/bin")).unwrap();
    fs::copy(place.join("app"), place.join("rootfs/opt/app/bin/app")).unwrap();
    symlink("rootfs/opt/app", place.join("result")).unwrap();
    let build = "build --name app --root rootfs --store /opt --cmd /bin/app --no-check -o";
    place.ok(&format!("{build} one.tar --contents /opt/app"));
    place.ok(&format!("{build} two.tar --contents ./result"));
    assert!(place.read("one.tar") == place.read("two.tar"));
    // A tar is a layer.
    let tar = std::process::Command::new("tar").args(["cf", "t.tar", "app"]).current_dir(place.path()).status();
    assert!(tar.unwrap().success());
    place.ok("layer --tar t.tar -o t.layer.json --blob t.blob.tar");
    place.ok("build --name app --tar-layer t.tar --cmd /app --no-check -o tar.tar");
}

/// Names as docker has them, a first image, and its way into a registry and back.
#[test]
fn without_nix() {
    let Some(registry) = Registry::start() else { return };
    let place = application();
    let build = "build --copy app:/app --cmd /app --no-check -o app.tar";
    assert!(place.fail(&format!("{build} --name app:1")).ends_with("hint: --name app --tag 1\n"));
    let said = place.ok(&format!("{build} -t app:1")).stderr;
    assert!(said.contains("next   docker load -i app.tar\n         docker run --rm app:1\n"), "{said}");
    let host = registry.host();
    let told = place.fail(&format!("push app.tar {host}/App"));
    assert!(told.contains("lower-case") && told.ends_with(&format!("{host}/app\n")), "{told}");
    let told = place.run(&format!("push app.tar http://{host}/app")).stderr;
    assert!(told.contains("unknown kind of place"), "{told}");
    // A registry on this machine needs no flag, and is sent nothing twice.
    place.ok(&format!("push app.tar {host}/app:1"));
    let said = place.ok(&format!("push app.tar {host}/app:1")).stderr;
    assert!(said.contains("sent   0 blobs"), "{said}");
    place.ok(&format!("pull {host}/app:1 -o pulled.tar"));
    for architecture in ["arm64", "sparc"] {
        let told = place.fail(&format!("pull {host}/app:1 -o other.tar --arch {architecture}"));
        assert!(told.contains(&format!("no image for linux/{architecture}")), "{told}");
    }
    assert!(!place.join("other.tar").exists());
}

/// What does not work is told before it is sent anywhere; what is there is shown.
#[test]
fn with_a_store() {
    let (place, root) = image();
    let first = place.ok(&format!("build s.json {root} --no-check -o x.tar -q"));
    assert!(first.text().starts_with("sha256:"), "docker prints the digest alone");
    let shown = place.ok("inspect x.tar");
    let lines: Vec<&str> = shown.text().lines().collect();
    assert!(lines[0].starts_with("x:1  linux/") && !shown.text().contains('['), "{}", shown.text());
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{}", shown.text());
    // A plan is the same table, wherever it is from.
    let plan = place.ok(&format!("build s.json {root} --dry-run"));
    let heads = |text: &str| text.lines().filter(|line| line.starts_with("layer ")).count();
    assert_eq!((heads(shown.text()), heads(plan.text())), (1, 1));
    // A script that fails is told once, by its own name.
    place.write("bad.sh", "mkdri x\n");
    let told = place.fail(&format!("build s.json {root} --extra-commands bad.sh -o y.tar"));
    assert_eq!((told.matches("mkdri").count(), told.contains("script failed: bad.sh")), (1, true), "{told}");
    assert!(!told.contains("layerstone-tmp"), "{told}");
    // A command that is no file, or several words in one, and a relative directory.
    for (flags, expected) in [
        ("--cmd /bin/nope", "Cmd: found no /bin/nope in the image"),
        ("--cmd '/bin/sh -c'", "Cmd: found no /bin/sh -c in the image: one word for each --cmd"),
        ("--working-dir relative", "WorkingDir: found relative, expected an absolute path"),
    ] {
        let mut command = place.command(&format!("build s.json {root} -o y.tar"));
        let words: Vec<&str> = flags.splitn(2, ' ').collect();
        let run = command.args([words[0], words[1].trim_matches('\'')]).output().unwrap();
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success() && told.contains(&format!("warning: {expected}\n")), "{told}");
    }
}
