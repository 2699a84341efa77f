//! Directories of any kind as stores: named by relative paths, below a root, through links; and store paths that are files.

use crate::support::archive::{self, members};
use crate::support::docker::Docker;
use crate::support::{Place, require_root, require_tool};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

/// A store path that is a script. It is found in configs by the hash in its name.
const RUN: &str = "4v5rpdfa0bahbxnfk1z5mykrsqrl92pv-run";

/// A place with a directory `st` of a directory and a script.
fn place() -> Place {
    let place = Place::new();
    place.write_mode("st/app/bin/app", "#!/bin/sh\necho app\n", 0o755);
    place.write_mode(&format!("st/{RUN}"), "#!/bin/sh\necho run\n", 0o755);
    place
}

/// The files of all layers of a docker archive, bottom first, one directory and all above it left out.
fn files(place: &Place, tar: &str) -> Vec<String> {
    let tar = place.read(tar);
    let manifest = archive::manifest(&tar);
    let names = manifest["Layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    let all = names.flat_map(|name| members(&archive::member(&tar, &name)));
    let here = format!(".{}/", real(place));
    let below = |name: String| Some(name.trim_start_matches(['.', '/']).strip_prefix(&here[2..])?.to_owned());
    let text = |name: Vec<u8>| String::from_utf8(name).unwrap();
    all.filter_map(|member| below(text(member.name))).collect()
}

fn real(place: &Place) -> String {
    place.path().canonicalize().unwrap().display().to_string()
}

#[test]
fn relative_stores() {
    let place = place();
    symlink(place.path(), place.join("here")).unwrap();
    place.ok(&format!("build --name a --tag 1 --store {0}/st --contents {0}/st/app --scan -o full.tar", real(&place)));
    assert!(files(&place, "full.tar").contains(&"st/app/bin/app".to_owned()), "{:?}", files(&place, "full.tar"));
    for (store, contents) in [
        ("./st", "./st/app"),
        ("st", "st/app/bin/.."),
        ("st/../st/", "here/st/app"),
        ("here/st", "./here/st/../st/app"),
    ] {
        place.ok(&format!("build --name a --tag 1 --store {store} --contents {contents} --scan -o out.tar"));
        assert!(place.read("out.tar") == place.read("full.tar"), "{store} {contents}");
    }
    let error = place.fail("build --name a --store absent --contents st/app -o out.tar");
    assert!(error.contains("cannot find: absent: No such file"), "{error}");
}

#[test]
fn stores_below_a_root() {
    let place = place();
    fs::create_dir_all(place.join("root/opt")).unwrap();
    fs::rename(place.join("st"), place.join("root/opt/st")).unwrap();
    symlink(place.join("root/opt/st/app"), place.join("result")).unwrap();
    symlink("/opt/st/app", place.join("as-it-is-called")).unwrap();
    place.ok("build --name a --tag 1 --root root --store /opt/st --contents /opt/st/app --scan -o full.tar");
    let here = format!("{}/root/opt/st/app", real(&place));
    for contents in ["result", "as-it-is-called", "root/opt/st/app", &here] {
        for store in ["/opt/st", "root/opt/st"] {
            place.ok(&format!(
                "build --name a --tag 1 --root root --store {store} --contents {contents} --scan -o o.tar"
            ));
            assert!(place.read("o.tar") == place.read("full.tar"), "{store} {contents}");
        }
    }
    let error = place.fail("build --name a --root root/opt --store result --contents /x -o o.tar");
    assert!(!error.contains("expected a directory below"), "{error}");
    fs::create_dir(place.join("elsewhere")).unwrap();
    let error = place.fail("build --name a --root root --store elsewhere --contents /x -o o.tar");
    assert!(error.contains("/elsewhere, expected a directory below --root root"), "{error}");
}

/// A store path that is a file is laid out where something names it, and cannot be merged into the root.
#[test]
fn store_paths_that_are_files() {
    let place = place();
    let spec = json!({"name": "a", "tag": "1", "config": {"Cmd": [format!("{}/st/{RUN}", real(&place))]}});
    place.write("image.json", spec.to_string());
    place.ok("build image.json --store st --scan -o app.tar");
    assert_eq!(files(&place, "app.tar"), ["st".to_owned(), format!("st/{RUN}")]);
    let store = "--spec image.json --store st";
    place.ok(&format!("root {store} -o root.layer.json --blob root.tar"));
    place.ok(&format!("closure {store} --scan --sizes --layer root.layer.json -o a.closure.json"));
    place.ok("layers a.closure.json --spec image.json -o a.layers.json");
    place.ok("layer a.layers.json --all --store st -o layers");
    place.ok(&format!("image {store} layers root.layer.json -o staged.tar"));
    assert_eq!(members(&place.read("staged.tar")), members(&place.read("app.tar")));
    let text = format!("build --name a --store st --contents st/{RUN} --scan -o x.tar");
    for mode in ["", " --mode copy"] {
        let error = place.fail(&format!("{text}{mode}"));
        let file = format!("{}/st/{RUN}", real(&place));
        assert!(
            error.contains(&format!("cannot merge: {file}: found a regular file, expected a directory")),
            "{error}"
        );
        assert!(error.contains(&format!("hint: --copy {file}:/bin/run puts a single file")), "{error}");
    }
    place.ok(&format!("build --name a --copy st/{RUN}:/bin/run -o x.tar"));
}

#[test]
fn a_file_of_a_store_runs_in_docker() {
    let Some(docker) = Docker::find() else { return };
    if !require_tool("busybox") || !require_root() {
        return;
    }
    let place = place();
    fs::copy("/bin/busybox", place.join("sh")).unwrap();
    let command = format!("{}/st/{RUN}", real(&place));
    place.ok(&format!(
        "build --name file --tag 1 --store st --scan --copy sh:/bin/ --cmd {command} -o app.tar --strict"
    ));
    let turn = docker.turn();
    assert_eq!(turn.load(&place.join("app.tar"), "file:1").run(&[]), "run\n");
}
