//! Owners and modes by rule: in layered and single images, on a base, last match first; rules that do nothing are told.

use crate::support::archive::{manifest, member};
use crate::support::{Place, synth};
use serde_json::{Value, json};

/// Builds an image of these keys, and lists its topmost layer: `755 0:0 : ./etc`.
#[track_caller]
fn top(place: &Place, keys: &Value) -> Vec<String> {
    write(place, keys);
    place.ok(&format!("build s.json --root {} -o x.tar", synth().root.display()));
    let image = place.read("x.tar");
    let layers = manifest(&image)["Layers"].as_array().unwrap().clone();
    list(&member(&image, layers.last().unwrap().as_str().unwrap()))
}

fn list(layer: &[u8]) -> Vec<String> {
    let line = |entry: std::io::Result<tar::Entry<&[u8]>>| {
        let entry = entry.unwrap();
        let header = entry.header();
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let (uname, gname) = (header.username().unwrap().unwrap(), header.groupname().unwrap().unwrap());
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
        format!("{:o} {uid}:{gid} {uname}:{gname} {name}", header.mode().unwrap() & 0o7777)
    };
    tar::Archive::new(layer).entries().unwrap().map(line).collect()
}

fn write(place: &Place, keys: &Value) {
    let mut spec = json!({"name": "x", "tag": "1", "graph": synth().graph});
    spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    place.write("s.json", spec.to_string());
}

const SCRIPT: &str = "mkdir -p home/alice/.cache; echo x > home/alice/.profile; ln -s .profile home/alice/link";

fn perms() -> Value {
    json!([
        {"glob": "/home/**", "uid": 1000, "gid": 100, "mode": "0700"},
        {"path": "home/alice/.profile", "mode": "0640", "gid": 0},
        {"path": ".", "mode": "0711"},
    ])
}

#[test]
fn last_match_wins_in_every_kind_of_image() {
    for (kind, root) in [("layered", ":"), ("single", "root:root")] {
        let place = Place::new();
        let found = top(&place, &json!({"kind": kind, "extraCommands": SCRIPT, "perms": perms()}));
        let group = root.rsplit(':').next().unwrap();
        let expected = [
            format!("711 0:0 {root} ."),
            format!("755 0:0 {root} ./home"),
            "700 1000:100 : ./home/alice".to_owned(),
            "700 1000:100 : ./home/alice/.cache".to_owned(),
            format!("640 1000:0 :{group} ./home/alice/.profile"),
            "777 1000:100 : ./home/alice/link".to_owned(),
        ];
        assert_eq!(found, expected);
        // The same image again.
        let before = place.read("x.tar");
        top(&place, &json!({"kind": kind, "extraCommands": SCRIPT, "perms": perms()}));
        assert!(place.read("x.tar") == before);
    }
}

/// Copied contents and ready ones take rules; so does what is merged without a script; store paths do not.
#[test]
fn contents_and_helpers() {
    let place = Place::new();
    let curl = synth().path("curl-8.0");
    let rules = json!([
        {"glob": "bin/*", "mode": "0555", "uname": "app", "uid": 1000},
        {"path": "/etc/shadow", "mode": "0640", "gid": 42, "gname": "shadow"},
    ]);
    let keys = json!({"contents": curl, "rootMode": "copy", "helpers": ["shadowSetup"], "perms": rules});
    let found = top(&place, &keys);
    let one = |name: &str| found.iter().find(|line| line.ends_with(name)).unwrap().as_str();
    assert_eq!(one(" ./bin/curl"), "555 1000:0 app: ./bin/curl");
    assert_eq!(one(" ./etc/shadow"), "640 0:42 :shadow ./etc/shadow");
    assert_eq!(one(" ./etc/group"), "644 0:0 : ./etc/group");
    let image = place.read("x.tar");
    for layer in manifest(&image)["Layers"].as_array().unwrap().iter().rev().skip(1) {
        let layer = list(&member(&image, layer.as_str().unwrap()));
        assert!(layer.iter().all(|line| line.contains(" 0:0 root:root ")), "{layer:?}");
    }
}

#[test]
fn on_a_base() {
    let place = Place::new();
    top(
        &place,
        &json!({"extraCommands": "mkdir -p usr/bin home; ln -s usr/bin bin; echo x > home/old; chmod 700 home"}),
    );
    std::fs::rename(place.join("x.tar"), place.join("base.tar")).unwrap();
    let rules = json!([{"path": "bin/x", "mode": "0711"}, {"glob": "usr/**", "uid": 5}, {"path": "home", "gid": 7}]);
    let script = "mkdir bin home; echo > bin/x; echo > home/new";
    let found = top(&place, &json!({"fromImage": "base.tar", "extraCommands": script, "perms": rules}));
    let expected = [
        "755 0:0 : .",
        "700 0:7 : ./home",
        "644 0:0 : ./home/new",
        "755 0:0 : ./usr",
        "755 5:0 : ./usr/bin",
        "711 5:0 : ./usr/bin/x",
    ];
    assert_eq!(found, expected);
    write(&place, &json!({"fromImage": "base.tar", "perms": [{"path": "home/old", "uid": 1}]}));
    let told = place.fail("build s.json -o x.tar");
    assert_eq!(told, "error: cannot apply perms: path home/old: found nothing in the layer\n");
}

#[test]
fn rules_that_do_nothing() {
    let place = Place::new();
    let check = |keys: Value, expected: &str| {
        write(&place, &keys);
        let told = place.error_of(&format!("build s.json --root {} -o x.tar", synth().root.display()));
        assert_eq!(told, format!("error: {expected}\n"));
    };
    let rule = |which: &str, name: &str| json!([{which: name, "mode": "0755"}]);
    let curl = synth().path("curl-8.0");
    check(json!({"perms": rule("glob", "x/**")}), "cannot apply perms: glob x/**: found nothing in the layer");
    check(json!({"perms": rule("path", "../x")}), "cannot apply perms: path ../x: found nothing in the layer");
    check(
        json!({"contents": curl, "perms": rule("path", "bin/curl")}),
        "cannot apply perms: path bin/curl: found symbolic links only, which have no mode",
    );
    check(
        json!({"perms": rule("glob", "a**")}),
        "not a glob: \"a**\": Pattern syntax error near position 0: recursive wildcards must form a single path component",
    );
    check(
        json!({"perms": [{"path": "x", "mode": "0100644"}]}),
        "malformed layerstone/image: s.json: perms[0]: mode: found the string \"0100644\", expected permission bits in octal, \
         a string such as \"0755\"",
    );
    assert!(!place.join("x.tar").exists());
}

/// Two contents that disagree about a directory's mode.
#[test]
fn folders_with_different_modes() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let (a, b) = ("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a", "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b");
    place.write(&format!("store{a}/data/x"), "first");
    place.write(&format!("store{b}/data/y"), "second");
    for (item, mode) in [(a, 0o755), (b, 0o700)] {
        for name in ["", "/data"] {
            let path = place.join(format!("store{item}{name}"));
            std::fs::set_permissions(path, PermissionsExt::from_mode(if name.is_empty() { 0o755 } else { mode }))
                .unwrap();
        }
    }
    let line = format!("root --contents {a} {b} --mode copy --root store -o x.layer.json --blob x.tar");
    let expected = format!("contents conflict: data: mode 700 of {b}/data kept, 755 of {a}/data ignored");
    assert_eq!(place.ok(&line).stderr, format!("warning: {expected}\n"));
    assert!(list(&place.read("x.tar")).contains(&"700 0:0 : ./data".to_owned()));
    assert_eq!(place.fail(&format!("{line} --strict")), format!("error: {expected}\n"));
}
