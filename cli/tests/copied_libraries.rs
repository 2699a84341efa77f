//! What copied programs need, found on this machine: in one go, by stages, by ninja and make, over bases, run in docker.

use crate::support::archive::{self, members};
use crate::support::docker::Docker;
use crate::support::{Place, require_root, require_tool};
use crate::wires::Tool;
use serde_json::json;
use std::fs;
use std::process::Command;

/// A place with a program `opt/bin/app` that prints the number which a library of ours knows, `opt/lib/libnumber.so`, found
/// by its run path; and with `lost`, which has no run path. None without a C compiler.
fn compiled() -> Option<Place> {
    if !require_tool("cc") {
        return None;
    }
    let place = Place::new();
    for directory in ["opt/bin", "opt/lib"] {
        fs::create_dir_all(place.join(directory)).unwrap();
    }
    place.write("app.c", "#include <stdio.h>\nint number(void);\nint main(void) { printf(\"%d\\n\", number()); }\n");
    number(&place, 42);
    let flags = "app.c -Lopt/lib -lnumber -o";
    cc(&place, &[flags, "opt/bin/app -Wl,-rpath,$ORIGIN/../lib"].join(" "));
    cc(&place, &[flags, "lost"].join(" "));
    Some(place)
}

fn number(place: &Place, number: u32) {
    place.write("number.c", format!("int number(void) {{ return {number}; }}\n"));
    cc(place, "number.c -shared -fPIC -o opt/lib/libnumber.so");
}

#[track_caller]
fn cc(place: &Place, words: &str) {
    assert!(Command::new("cc").args(words.split(' ')).current_dir(place.path()).status().unwrap().success());
}

/// The files of each layer of a docker archive, bottom first.
fn layers(tar: &[u8]) -> Vec<Vec<String>> {
    let manifest = archive::manifest(tar);
    let names = manifest["Layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    let files =
        |layer: Vec<u8>| members(&layer).into_iter().map(|member| String::from_utf8(member.name).unwrap()).collect();
    names.map(|name| files(archive::member(tar, &name))).collect()
}

fn spec() -> serde_json::Value {
    json!({"name": "app", "tag": "1", "config": {"Cmd": ["/srv/bin/app"]}, "copy": [
        {"from": "opt/bin/app", "to": "/srv/bin/", "libraries": true},
        {"from": "app.c", "to": "/srv/app.c", "layer": "source"},
    ]})
}

/// The layer of libraries lies below the others, and holds nothing else; links lead to what they lead to here.
#[test]
fn a_layer_of_their_own() {
    let Some(place) = compiled() else { return };
    place.write("image.json", spec().to_string());
    let built = place.ok("build image.json -o app.tar --strict");
    let layers = layers(&place.read("app.tar"));
    assert_eq!(layers.len(), 3);
    let files = &layers[0];
    let ends = |ending: &str| files.iter().any(|name| name.ends_with(ending));
    assert!(ends("/libc.so.6") || ends("/libc.so") || ends("/ld-musl-x86_64.so.1"), "{files:?}");
    assert!(files.contains(&"./srv/lib/libnumber.so".to_owned()), "{files:?}");
    assert!(built.stderr.contains("libraries copied too: /lib"), "{}", built.stderr);
    assert!(built.stderr.contains("/srv/lib/libnumber.so"), "{}", built.stderr);
    assert_eq!(layers[2], [".", "./srv", "./srv/bin", "./srv/bin/app"]);
    // Another program over the same libraries is another top layer alone.
    place.ok("build --name app --tag 1 --cmd /srv/bin/app --copy opt/bin/app:/srv/bin/ --with-libraries -o flags.tar");
    let flags = self::layers(&place.read("flags.tar"));
    assert_eq!((flags.len(), &flags[0]), (2, &layers[0]));
    place.ok("build --name app --tag 1 --copy opt/bin/app:/srv/bin/,libraries=true --cmd /srv/bin/app -o option.tar");
    assert!(place.read("option.tar") == place.read("flags.tar"));
}

#[test]
fn stage_by_stage() {
    let Some(place) = compiled() else { return };
    place.write("image.json", spec().to_string());
    place.ok("build image.json -o app.tar");
    let below = ["libraries", "source"];
    for (number, name) in below.iter().enumerate() {
        let under: String = below[..number].iter().map(|name| format!(" --below {name}.layer.json")).collect();
        place.ok(&format!("root --spec image.json --copy-layer {name}{under} -o {name}.layer.json --blob {name}.tar"));
    }
    place.ok(
        "root --spec image.json --below libraries.layer.json --below source.layer.json -o r.layer.json --blob r.tar",
    );
    place.ok("image --spec image.json libraries.layer.json source.layer.json r.layer.json -o staged.tar");
    assert_eq!(members(&place.read("staged.tar")), members(&place.read("app.tar")));
    place.ok("root --copy opt/bin/app:/srv/bin/,libraries=true --copy-layer libraries -o l.layer.json --blob l.tar");
    assert!(place.read("l.tar") == place.read("libraries.tar"));
}

/// Whatever decides them has the layer made again: a library, a program that needs another one.
#[test]
fn by_ninja_and_make() {
    for tool in Tool::all() {
        let Some(place) = compiled() else { return };
        place.write("image.json", spec().to_string());
        place.ok(&format!("{} image.json --image wired.tar", tool.name()));
        let check = |what: &str| {
            tool.ok(&place, &[]);
            place.ok("build image.json -o app.tar");
            assert!(place.read("wired.tar") == place.read("app.tar"), "{tool:?} {what}");
        };
        check("at first");
        number(&place, 43);
        check("another library");
        place.write("none.c", "int main(void) { return 0; }\n");
        cc(&place, "none.c -o opt/bin/app");
        check("another program");
        assert!(!layers(&place.read("wired.tar"))[0].contains(&"./srv/lib/libnumber.so".to_owned()));
        place.ok("build image.json -o app.tar --depfile app.d");
        let depfile = String::from_utf8(place.read("app.d")).unwrap();
        assert!(depfile.contains("/libc.so") || depfile.contains("/ld-musl"), "{depfile}");
    }
}

/// What the image has is left as it is: of the base, of what else is copied.
#[test]
fn what_the_image_has() {
    let Some(place) = compiled() else { return };
    place.ok("build --name base --tag 1 --copy opt/bin/app:/srv/bin/ --with-libraries -o base.tar -q");
    let built = place.ok("build --base base.tar --name app --copy opt/bin/app:/srv/bin/ --with-libraries -o app.tar");
    assert!(!built.stderr.contains("libraries copied too"), "{}", built.stderr);
    // A library of its own, which is found in a usual directory of the image alone.
    let flags = "--copy lost:/usr/bin/ --copy opt/lib:/usr/lib,layer=lib --with-libraries --cmd /usr/bin/lost --strict";
    let built = place.ok(&format!("build --name lost {flags} -o lost.tar"));
    assert!(!built.stderr.contains("libnumber"), "{}", built.stderr);
}

#[test]
fn in_a_single_image() {
    let Some(place) = compiled() else { return };
    let flags = "--kind single --copy opt/bin/app:/srv/bin/ --with-libraries --cmd /srv/bin/app --strict";
    place.ok(&format!("build --name app --tag 1 {flags} -o app.tar"));
    let layers = layers(&place.read("app.tar"));
    assert_eq!(layers.len(), 1);
    assert!(layers[0].contains(&"./srv/lib/libnumber.so".to_owned()), "{layers:?}");
}

#[test]
fn what_is_not_found() {
    let Some(place) = compiled() else { return };
    place.write_mode("script", "#!/absent/interpreter\n", 0o755);
    place.write_mode("text", "#!/absent/interpreter\n", 0o644);
    for (copy, expected) in [
        ("lost:/bin/", "cannot find libraries: /bin/lost: found no libnumber.so, its library"),
        ("script:/bin/", "cannot find libraries: /bin/script: found no /absent/interpreter, its interpreter"),
    ] {
        let error = place.fail(&format!("build --name app --copy {copy} --with-libraries -o app.tar"));
        assert!(error.contains(expected) && error.contains("hint: --copy FILE:/usr/lib/NAME"), "{error}");
    }
    place.ok("build --name app --copy text:/x --with-libraries -o app.tar");
    let error = place.run("build --name app --with-libraries -o app.tar");
    assert_eq!(error.code, Some(2));
    assert!(error.stderr.contains("--with-libraries: expected --copy with it"), "{}", error.stderr);
}

/// A program of ours and one of the machine, in an image that has nothing else; a script, by its interpreter.
#[test]
fn runs_in_docker() {
    let Some(docker) = Docker::find() else { return };
    let Some(place) = compiled() else { return };
    if !require_root() {
        return;
    }
    place.write_mode("script", "#!/bin/sh\necho script\n", 0o755);
    place.ok(
        "build --name libraries --tag 1 --copy opt/bin/app:/srv/bin/ --copy /bin/ls:/bin/ls --copy script:/script \
        --with-libraries --cmd /srv/bin/app -o app.tar",
    );
    let turn = docker.turn();
    let loaded = turn.load(&place.join("app.tar"), "libraries:1");
    assert_eq!(loaded.run(&[]), "42\n");
    assert_eq!(loaded.run(&["/bin/ls", "/srv"]), "bin\nlib\n");
    assert_eq!(loaded.run(&["/script"]), "script\n");
}
