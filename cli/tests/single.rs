//! Images of one layer: its bytes are GNU tar's for the same tree and the store paths behind it, and the stages one by
//! one make the same.

use crate::support::archive::{config, manifest, member, members};
use crate::support::{Place, digest, require_root, require_tool, synth};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

/// What dockerTools' buildImage runs, with names of any bytes: `rsync`, a script, `tar -c`, and `tar -r` of what `find`
/// finds of the closure, in the order of bytes.
const BUILD_IMAGE: &str = r#"
umask 022; mkdir layer
for item in $ITEMS; do rsync -a$LINKS --chown=0:0 "$ROOT$item/" layer/; done
chmod ug+w layer
(cd layer; bash -e ../script)
stamp="--hard-dereference --sort=name --mtime=@$MTIME"
tar -C layer $stamp --owner=$OWNER --group=$GROUP -cf layer.tar .
mkdir -p parents/nix/store; chmod -R 555 parents/nix
tar -C parents -rpf layer.tar $stamp --owner=0 --group=0 --no-recursion ./nix ./nix/store
(cd "$ROOT"; for path in $CLOSURE; do find "${path#/}" -print0; done) | sort -zu >files
tar -C "$ROOT" -rpf layer.tar $stamp --owner=0 --group=0 --no-recursion --null --verbatim-files-from --files-from=files
"#;

/// The spec of a single image of the synthetic store.
fn spec(contents: &[&str], keys: Value) -> Value {
    let contents: Vec<&str> = contents.iter().map(|name| synth().path(name)).collect();
    let mut spec = json!({"name": "single", "tag": "1", "kind": "single", "contents": contents,
        "graph": synth().graph, "extraCommandsFile": "script"});
    spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    spec
}

/// The only layer of the image that is built.
fn layer(place: &Place, spec: &Value, flags: &str) -> Vec<u8> {
    place.write("image.json", spec.to_string());
    place.ok(&format!("build image.json --root {} {flags} -o image.tar", synth().root.display()));
    let image = place.read("image.tar");
    let layers = manifest(&image)["Layers"].as_array().unwrap().clone();
    member(&image, layers.last().unwrap().as_str().unwrap())
}

/// The store paths that the history says the top layer holds.
fn told(place: &Place) -> Vec<String> {
    let config = config(&place.read("image.tar"));
    let history = config["history"].as_array().unwrap();
    let comment = history.last().unwrap()["comment"].as_str().unwrap();
    comment.split('\'').filter(|part| part.starts_with('/')).map(str::to_owned).collect()
}

#[track_caller]
fn check_gnu_tar(contents: &[&str], script: &str, keys: Value) {
    if !require_root() || !require_tool("tar") || !require_tool("rsync") {
        return;
    }
    let place = Place::new();
    place.write("script", script);
    let spec = spec(contents, keys);
    let ours = layer(&place, &spec, "");
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", BUILD_IMAGE]).current_dir(place.path()).env("LC_ALL", "C").env("TZ", "UTC");
    bash.env("ROOT", &synth().root).env("CLOSURE", told(&place).join(" "));
    let items: Vec<&str> = contents.iter().map(|name| synth().path(name)).collect();
    bash.env("ITEMS", items.join(" ")).env("MTIME", "1").env("SOURCE_DATE_EPOCH", "1");
    bash.env("LINKS", if spec["keepContentsDirlinks"] == true { "K" } else { "k" });
    bash.env("OWNER", spec["uid"].as_u64().unwrap_or(0).to_string());
    bash.env("GROUP", spec["gid"].as_u64().unwrap_or(0).to_string());
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let gnu = place.read("layer.tar");
    for (ours, gnu) in members(&ours).iter().zip(members(&gnu)) {
        let name = String::from_utf8_lossy(&ours.name);
        assert_eq!(name, String::from_utf8_lossy(&gnu.name));
        assert!(*ours == gnu, "{name}");
    }
    assert_eq!((ours.len(), digest(&ours)), (gnu.len(), digest(&gnu)));
}

#[test]
fn same_bytes_as_gnu_tar() {
    let script = "mkdir -p tmp 'own folder'; chmod 1777 tmp; echo x > 'own folder/new\nline'; \
        ln 'own folder/new\nline' linked-hard; mkfifo own-pipe";
    check_gnu_tar(&["curl-8.0"], ":", json!({"rootMode": "copy"}));
    check_gnu_tar(&["corners", "git-2.39"], script, json!({"rootMode": "copy", "uid": 12345, "gid": 0}));
    check_gnu_tar(&["root-env"], script, json!({"rootMode": "copy", "keepContentsDirlinks": true, "gid": 54321}));
    // A root without contents, and the closure that the config brings in.
    let cmd = json!({"config": {"Cmd": [format!("{}/bin/curl", synth().path("curl-8.0"))]}, "rootMode": "copy"});
    check_gnu_tar(&[], script, cmd);
}

/// Links into the store bring their targets in; what is copied brings in what it refers to, itself included if its files
/// name it.
#[test]
fn what_the_layer_holds() {
    let place = Place::new();
    place.write("script", "");
    let names = |contents: &[&str], keys: Value| -> BTreeSet<String> {
        layer(&place, &spec(contents, keys), "");
        told(&place).iter().map(|path| path.split_once('-').unwrap().1.to_owned()).collect()
    };
    let linked = names(&["curl-8.0"], json!({}));
    let closure = ["curl-8.0", "libc-2.36", "ssl-3.0", "zlib-1.3"].map(str::to_owned);
    assert_eq!(linked, BTreeSet::from(closure));
    let copied = names(&["curl-8.0"], json!({"rootMode": "copy"}));
    assert!(copied.contains("libc-2.36"), "{copied:?}");
    assert_eq!(names(&["curl-8.0"], json!({"includeStorePaths": false})), BTreeSet::new());
}

/// The directories that lead to the store can be read by everybody, and its files are root's.
#[test]
fn owners_and_modes() {
    let place = Place::new();
    place.write("script", "echo x > own");
    let layer = layer(&place, &spec(&["curl-8.0"], json!({"uid": 1000, "gid": 100})), "");
    let mut seen = (false, false);
    for entry in tar::Archive::new(&layer[..]).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let name = entry.path().unwrap().display().to_string();
        let ids = (header.uid().unwrap(), header.gid().unwrap());
        let owners = (header.username().unwrap().unwrap(), header.groupname().unwrap().unwrap());
        if name.starts_with("nix") || name.starts_with("./nix") {
            assert_eq!((ids, owners), ((0, 0), ("root", "root")), "{name}");
            seen.0 |= name.starts_with("nix/store/");
            if name.trim_start_matches("./").split('/').count() < 4 {
                assert_eq!(header.mode().unwrap() & 0o005, 0o005, "{name}");
            }
        } else {
            assert_eq!((ids, owners), ((1000, 100), ("", "")), "{name}");
            seen.1 |= name == "own" || name == "./own";
        }
    }
    assert_eq!(seen, (true, true));
}

/// `root`, `closure`, `layers`, `layer --behind`, `image`: the bytes of `build`, on a base and without one.
#[test]
fn stage_by_stage() {
    let place = Place::new();
    place.write("script", "mkdir -m 1777 tmp");
    let root = synth().root.display().to_string();
    place.ok(&format!(
        "build --name base --tag 1 --contents {} --root {root} --graph {} -o base.tar",
        synth().path("zlib-1.3"),
        synth().graph.display()
    ));
    for (keys, base, held) in [
        (json!({}), "", false),
        (json!({"rootMode": "copy"}), "", false),
        (json!({"fromImage": "base.tar"}), "--base base.tar", true),
    ] {
        place.write("image.json", spec(&["curl-8.0"], keys).to_string());
        place.ok(&format!("build image.json --root {root} -o built.tar"));
        place.ok(&format!("root --spec image.json --root {root} -o root.layer.json --blob root.tar"));
        place.ok(&format!("closure --spec image.json --layer root.layer.json --root {root} -o x.closure.json"));
        place.ok(&format!("layers x.closure.json --max-layers 99 {base} -o x.layers.json"));
        place.ok(&format!(
            "layer x.layers.json --behind root.layer.json --spec image.json --root {root} -o x.layer.json --blob x.tar"
        ));
        place.ok(&format!("image --spec image.json x.layer.json --root {root} -o staged.tar"));
        assert!(place.read("built.tar") == place.read("staged.tar"), "{base}");
        let paths = place.json("x.layer.json")["storePaths"].to_string();
        assert_eq!(paths.contains("zlib-1.3"), !held, "{paths}");
    }
    place.write("root.tar", [place.read("root.tar"), vec![0; 512]].concat());
    let error = place.fail(&format!(
        "layer x.layers.json --behind root.layer.json --spec image.json --root {root} -o x.layer.json --blob x.tar"
    ));
    assert!(error.starts_with("error: wrong digest: root.tar: found sha256:"), "{error}");
}

#[test]
fn keys_and_flags_of_layered_images() {
    let place = Place::new();
    place.write("script", "");
    place.write("image.json", spec(&["curl-8.0"], json!({"maxLayers": 5})).to_string());
    let root = synth().root.display().to_string();
    assert_eq!(
        place.error_of(&format!("build image.json --root {root} -o x.tar")),
        "error: malformed layerstone/image: image.json: maxLayers: found in an image of kind \"single\", expected in \
         a layered one\n"
    );
    place.write("image.json", spec(&["curl-8.0"], json!({})).to_string());
    for flags in ["--max-layers 5", "--strategy size", "--uname me", "--min-layer-size 1M", "--layer x"] {
        let flag = flags.split(' ').next().unwrap();
        let run = place.run(&format!("build image.json --root {root} {flags} -o x.tar"));
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(&format!("error: {flag}: expected an image of kind layered, ")), "{}", run.stderr);
    }
    let run = place.run(&format!("build image.json --root {root} --keep-dirlinks -o x.tar"));
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("--keep-dirlinks: expected --mode copy with it"), "{}", run.stderr);
}

/// Store paths have their names in the image; a base that has something else on the way to them is refused.
#[test]
fn a_base_with_a_link_to_the_store() {
    let place = Place::new();
    let root = synth().root.display().to_string();
    for (script, found) in [
        ("mkdir -p mnt/nix; ln -s mnt/nix nix", "/nix: found a link to mnt/nix"),
        ("mkdir nix; echo x > nix/store", "/nix/store: found a file"),
    ] {
        place.write("script", script);
        place.ok("build --name base --tag 1 --extra-commands script -o base.tar");
        for kind in ["single", "layered"] {
            let line = format!(
                "build --name x --kind {kind} --contents {} --root {root} --graph {} --base base.tar -o x.tar",
                synth().path("curl-8.0"),
                synth().graph.display()
            );
            let expected = format!("error: cannot put store paths over base.tar: {found}, expected a directory\n");
            assert_eq!(place.fail(&line), expected);
        }
    }
}
