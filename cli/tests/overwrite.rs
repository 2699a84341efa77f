//! Outputs over inputs, over each other and in the store: every command refuses them, and changes nothing.

use crate::cache::{path, store};
use crate::support::{Place, digest, golden};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

/// A place with an input of every kind, `--root root` being its store.
fn inputs() -> Place {
    let place = store();
    for name in ["script.sh", "fake.sh", "pre.sh"] {
        place.write(name, "true\n");
    }
    for name in ["db.sqlite", "rates.json", "ca.pem", "auth.json", "old.json"] {
        place.write(name, "[]");
    }
    place.write("pipeline.json", r#"[["popularity_contest"]]"#);
    place.write("tree/file", "x");
    place.write(
        "b.json",
        json!({"name": "b", "tag": "1", "contents": [path("libc")], "graph": "graph.json"}).to_string(),
    );
    let full = json!({
        "name": "full", "tag": "1", "contents": [path("app")], "graph": "graph.json",
        "extraCommandsFile": "script.sh", "fromImage": "base.tar",
    });
    place.write("full.json", full.to_string());
    place.ok("build b.json --root root --no-cache -o base.tar");
    place.ok("build x.json --root root --no-cache -o oci:lay");
    place.ok("layer x.layers.json --root root --no-cache --all -o layers");
    place.ok("root --spec x.json --root root -o root.layer.json --blob root.tar");
    fs::copy(place.join("x.layers.json"), place.join("p.json")).unwrap();
    fs::copy(golden("conf-5.json"), place.join("conf.json")).unwrap();
    place
}

/// Command lines, `OUT` being what is written, and the inputs that it may not be.
const LINES: &[(&str, &[&str])] = &[
    (
        "build full.json --root root --base base.tar --previous p.json -o OUT",
        &["full.json", "script.sh", "graph.json", "base.tar", "p.json"],
    ),
    ("build x.json --root root --db db.sqlite -o OUT", &["db.sqlite"]),
    ("build --root root --strategy pipeline pipeline.json x.json -o OUT", &["pipeline.json"]),
    ("build --name y --extra-commands script.sh --fake-root-commands fake.sh -o OUT", &["script.sh", "fake.sh"]),
    ("build x.json --root root -o y.tar --depfile OUT", &["x.json", "graph.json"]),
    ("build x.json --root root -o oci-archive:OUT", &["x.json", "graph.json"]),
    ("build x.json --root root -o docker-archive:OUT", &["x.json"]),
    (
        "image --spec full.json --root root layers/000.layer.json root.layer.json -o OUT",
        &["full.json", "layers/000.layer.json", "root.layer.json", "root.tar", "base.tar"],
    ),
    ("image --spec x.json --root root layers -o oci:new --depfile OUT", &["x.json", "layers/001.layer.json"]),
    (
        "closure --spec x.json --layer root.layer.json --graph graph.json --root root -o OUT",
        &["x.json", "root.layer.json", "graph.json"],
    ),
    ("closure --db db.sqlite --root root -o OUT", &["db.sqlite"]),
    ("closure --spec x.json --root root -o y.json --depfile OUT", &["x.json"]),
    (
        "layers x.closure.json --spec x.json --previous p.json --rates rates.json --base base.tar -o OUT",
        &["x.closure.json", "x.json", "p.json", "rates.json", "base.tar"],
    ),
    ("layers --strategy pipeline pipeline.json x.closure.json -o OUT", &["pipeline.json", "x.closure.json"]),
    ("layer x.layers.json --spec x.json --root root --index 0 -o OUT", &["x.layers.json", "x.json"]),
    ("layer x.layers.json --spec x.json --root root --index 0 -o y.json --blob OUT", &["x.layers.json", "x.json"]),
    (
        "layer x.layers.json --root root --behind root.layer.json -o y.json --blob OUT",
        &["root.layer.json", "root.tar", "x.layers.json"],
    ),
    ("root --spec full.json --root root -o OUT --blob y.tar", &["full.json", "script.sh", "base.tar"]),
    ("root --spec full.json --root root -o y.json --blob OUT", &["full.json", "script.sh", "base.tar"]),
    ("root --extra-commands script.sh --fake-root-commands fake.sh -o y.json --blob OUT", &["script.sh", "fake.sh"]),
    ("root --legacy old.json -o y.json --blob OUT", &["old.json"]),
    (
        "nix-db x.closure.json --behind root.layer.json --spec x.json --root root -o y.json --blob OUT",
        &["x.closure.json", "root.layer.json", "root.tar", "x.json"],
    ),
    ("nix-db x.closure.json --root root -o OUT --blob y.tar", &["x.closure.json"]),
    (
        "overlay run --script script.sh --extra-commands fake.sh --pre-mount pre.sh --base base.tar --store-closure \
         x.closure.json --root root -o y.json --blob OUT",
        &["script.sh", "fake.sh", "pre.sh", "base.tar", "x.closure.json"],
    ),
    ("overlay run --script script.sh -o OUT --blob y.tar", &["script.sh"]),
    ("overlay export base.tar -o OUT", &["base.tar"]),
    ("overlay export lay -o OUT", &["lay/index.json"]),
    ("report base.tar#b:1 --graph graph.json -o OUT", &["base.tar", "graph.json"]),
    ("merge base.tar#b:1 lay -o OUT", &["base.tar", "lay/index.json"]),
    ("index base.tar x.json --root root -o oci-archive:OUT", &["base.tar", "x.json", "graph.json"]),
    ("copy x.json oci-archive:OUT --root root", &["x.json", "graph.json"]),
    ("copy oci:lay OUT", &["lay/index.json", "lay/oci-layout"]),
    ("copy base.tar#b:1 OUT", &["base.tar"]),
    ("pull 127.0.0.1:1/x:1 --ca ca.pem --authfile auth.json -o OUT", &["ca.pem", "auth.json"]),
    ("build x.json --root root -o y.tar --digest-file OUT", &["x.json", "graph.json"]),
    ("image --spec x.json --root root layers -o y.tar --metadata-file OUT", &["x.json", "layers/001.layer.json"]),
    ("copy base.tar y.tar --digest-file OUT", &["base.tar"]),
    ("push x.json 127.0.0.1:1/x:1 --root root --metadata-file OUT", &["x.json", "graph.json"]),
    ("index base.tar x.json --root root -o oci:new --digest-file OUT", &["base.tar", "x.json"]),
    ("pull 127.0.0.1:1/x:1 --ca ca.pem -o y.tar --digest-file OUT", &["ca.pem"]),
    ("stream conf.json -o OUT", &["conf.json"]),
    ("merge-trees tree base.tar -o OUT", &["base.tar", "tree/new.tar", "tree/new"]),
    ("merge-trees tree base.tar --only-deps -o OUT", &["base.tar"]),
    (
        "ninja full.json --root root --previous p.json -o OUT",
        &["full.json", "script.sh", "graph.json", "base.tar", "p.json"],
    ),
    ("make full.json --root root --previous p.json --image OUT", &["full.json", "script.sh", "graph.json", "base.tar"]),
];

/// By its name, by its whole path, by a symlink and by a hard link.
#[test]
fn no_output_over_an_input() {
    let place = inputs();
    let here = place.path().display().to_string();
    for (line, names) in LINES {
        for name in *names {
            let input = if name.starts_with("tree/") || name.starts_with("lay/") {
                &name[..name.find('/').unwrap()]
            } else {
                name
            };
            let _ = fs::remove_file(place.join("link"));
            symlink(place.join(name), place.join("link")).unwrap();
            let mut others = vec![(*name).to_owned(), format!("{here}/{name}"), "link".to_owned()];
            if !name.contains('/') && place.join(name).is_file() {
                let _ = fs::remove_file(place.join("hard"));
                fs::hard_link(place.join(name), place.join("hard")).unwrap();
                others.push("hard".to_owned());
            }
            for out in others {
                let told = place.fail(&line.replace("OUT", &out));
                assert!(told.starts_with(&format!("error: cannot write: {out}: it is ")), "{line} {out}: {told}");
                assert!(told.contains(&format!("the input {input}")) || told.contains(&format!("/{input}")), "{told}");
            }
        }
    }
}

#[test]
fn no_output_over_another() {
    let place = inputs();
    let lines = [
        "root --extra-commands script.sh -o same --blob same",
        "root --extra-commands script.sh -o same --blob ./same",
        "root --extra-commands script.sh -o same --blob y.tar --depfile same",
        "root --legacy old.json -o y.json --blob json",
        "root --legacy old.json -o VERSION --blob y.tar",
        "layer x.layers.json --root root --index 0 -o same --blob same",
        "layer x.layers.json --root root --all -o new --depfile new/000.layer.json",
        "layer x.layers.json --root root --behind root.layer.json -o same --blob same",
        "nix-db x.closure.json --root root -o same --blob same",
        "overlay run --script script.sh -o same --blob same",
        "closure --spec x.json --root root -o same --depfile same",
        "layers x.closure.json --max-layers 3 -o same --depfile same",
        "image --spec x.json --root root layers -o same --depfile same",
        "build x.json --root root -o same --depfile same",
        "build x.json --root root -o same --digest-file same",
        "build x.json --root root -o y.tar --digest-file same --metadata-file same",
        "image --spec x.json --root root layers -o y.tar --depfile same --metadata-file same",
        "copy base.tar same --metadata-file same",
        "index base.tar x.json --root root -o oci-archive:same --digest-file ./same",
        "build x.json --root root -o oci-archive:lay/image.layers.json --state lay",
        "ninja x.json --root root -o same --image same",
        "make x.json --root root -o layerstone.build/image.layers.json",
        "ninja x.json --root root --image layerstone.build/root.tar",
    ];
    for line in lines {
        let told = place.fail(line);
        assert!(told.contains(": it is the output ") && told.contains(" too, expected two files"), "{line}: {told}");
    }
    let devices = "layer x.layers.json --root root --index 0 -o /dev/null --blob /dev/null";
    assert_eq!(place.run(devices).code, Some(0));
}

/// What is to be read for later images is not replaced by what an earlier one writes.
#[test]
fn folders_of_outputs() {
    let place = inputs();
    fs::create_dir(place.join("st")).unwrap();
    fs::copy(place.join("x.layers.json"), place.join("st/image.layers.json")).unwrap();
    fs::create_dir(place.join("d")).unwrap();
    fs::copy(place.join("x.layers.json"), place.join("d/000.layer.json")).unwrap();
    for line in [
        "build x.json --root root --state st --previous st/image.layers.json -o oci:new",
        "layer d/000.layer.json --root root --all -o d",
    ] {
        let told = place.fail(line);
        assert!(told.contains(": it is the input "), "{line}: {told}");
    }
}

/// Nothing is written into a store path, by its name or by a link such as `result`, but the output of a Nix build.
#[test]
fn nothing_in_the_store() {
    let place = inputs();
    symlink(place.join(format!("root{}", path("app"))), place.join("result")).unwrap();
    let real = place.join("root/nix/store").canonicalize().unwrap();
    for line in [
        "build x.json --root root -o OUT",
        "build x.json --root root -o oci:OUT",
        "build x.json --root root -o y.tar --depfile OUT",
        "build x.json --root root -o oci:y --state result",
        "image --spec x.json --root root layers -o OUT",
        "closure --spec x.json --root root -o OUT",
        "layer x.layers.json --root root --index 0 -o OUT",
        "layer x.layers.json --root root --all -o result",
        "root --extra-commands script.sh --root root -o y.json --blob OUT",
        "nix-db x.closure.json --root root -o OUT --blob y.tar",
        "overlay run --script script.sh --root root -o y.json --blob OUT",
        "ninja x.json --root root --image OUT",
        "make x.json --root root -o OUT",
        "helper tmp OUT --root root",
        "copy base.tar OUT --root root",
        "pull 127.0.0.1:1/x:1 -o OUT --root root",
    ] {
        for out in ["result/out", &format!("root{}/bin/out", path("lib")), "root/nix/store/out"] {
            let told = place.fail(&line.replace("OUT", out));
            assert!(told.contains(&format!(": it is in the store {}, expected", real.display())), "{line}: {told}");
        }
    }
    // Where there is no such store, there is no such directory.
    for line in
        ["demo -o", "merge base.tar -o", "layers x.closure.json --max-layers 3 -o", "overlay export base.tar -o"]
    {
        place.fail(&format!("{line} /nix/store/layerstone-test/x.tar"));
    }
    let out = place.join("root/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x.tar");
    let line = format!("build x.json --root root -o {}", out.display());
    for (name, value) in [("out", out.clone()), ("NIX_ATTRS_JSON_FILE", place.join("attrs.json"))] {
        place.write("attrs.json", json!({"outputs": {"out": out}}).to_string());
        assert_eq!(place.run(&line).code, Some(1));
        let output = place.command(&line).env(name, value).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::remove_file(&out).unwrap();
    }
}

/// An archive is read before its copy takes its name, in any form, and a layout is added to.
#[test]
fn what_may_be_replaced() {
    let place = inputs();
    place.ok("copy base.tar expected.tar");
    place.ok("copy base.tar oci-archive:expected.oci");
    for (to, expected) in
        [("k.tar", "expected.tar"), ("./k.tar", "expected.tar"), ("oci-archive:k.tar", "expected.oci")]
    {
        fs::copy(place.join("base.tar"), place.join("k.tar")).unwrap();
        place.ok(&format!("copy k.tar {to}"));
        assert!(place.read("k.tar") == place.read(expected), "{to}");
    }
    let before = digest(&place.read("lay/oci-layout"));
    place.ok("build b.json --root root --no-cache --base lay -o oci:lay");
    place.ok("copy oci:lay#x:1 oci:lay --as y:1");
    assert_eq!(place.json("lay/index.json")["manifests"].as_array().unwrap().len(), 3);
    assert_eq!(digest(&place.read("lay/oci-layout")), before);
    place.ok("layer x.layers.json --root root --no-cache --known layers --all -o layers");
}
