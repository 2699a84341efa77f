//! `check --policy`: rules on real images, findings for people, programs and code hosts; signatures that Nix made.

use crate::support::{Place, require_tool, synth};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// A place with an image of git of the synthetic store, and with what is copied beside it.
fn place() -> Place {
    let place = Place::new();
    place.write_mode("files/bin/su", "", 0o755);
    place.write("files/etc/secret", "");
    let spec = json!({
        "name": "x", "tag": "1", "contents": [synth().path("git-2.39")], "graph": synth().graph,
        "copy": [{"from": "files", "to": "/"}], "perms": [{"path": "bin/su", "mode": "4755"}, {"path": "etc/secret", "mode": "0666"}],
        "config": {"Cmd": ["/bin/git"], "Env": ["PATH=/bin", "API_TOKEN=hidden"]},
    });
    place.write("image.json", spec.to_string());
    place.ok(&format!("build image.json --root {} -o oci:image", synth().root.display()));
    place
}

/// The rules that an image breaks, and the paths that they are about, by their ends.
#[track_caller]
fn check(place: &Place, policy: &Value, flags: &str, expected: &[&str]) {
    place.write("policy.json", policy.to_string());
    let run = place.run(&format!("check oci:image --policy policy.json {flags} --json"));
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{}", run.stderr));
    let found: Vec<String> = answer["images"][0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let path = it["path"].as_str().unwrap_or_default();
            let name =
                path.strip_prefix("/nix/store/").and_then(|name| name.split_once('-')).map_or(path, |(_, name)| name);
            format!("{} {name}", it["rule"].as_str().unwrap()).trim().to_owned()
        })
        .collect();
    assert_eq!(found, expected, "{answer:#}");
    assert_eq!(run.code, Some(i32::from(!expected.is_empty())), "{}", run.stderr);
}

#[test]
fn rules() {
    let place = place();
    let good = json!({
        "size": {"image": "1G", "layer": "1G"}, "packages": {"required": ["git", "libc"], "forbidden": ["gcc"]},
        "files": {"setUserIdAllowed": ["/bin/su"], "worldWritableAllowed": ["/etc/*"],
            "required": [{"path": "/bin/git", "kind": "symlink"}, {"path": "/etc/secret", "mode": "0666", "uid": 0}]},
        "config": {"cmd": ["/bin/git"]},
    });
    check(&place, &good, "", &[]);
    let bad = json!({
        "size": {"image": 10, "path": "400k"}, "packages": {"forbidden": ["perl"]},
        "files": {"setUserIdAllowed": [], "worldWritableAllowed": [], "forbidden": ["/etc/*"]},
        "config": {"notRoot": true, "env": {"forbidden": ["*TOKEN*"]}},
    });
    check(
        &place,
        &bad,
        "",
        &[
            "size.image",
            "size.path perl-5.38",
            "packages.forbidden perl-5.38",
            "files.forbidden /etc/secret",
            "files.setUserIdAllowed /bin/su",
            "files.worldWritableAllowed /etc/secret",
            "config.notRoot",
            "config.env.forbidden",
        ],
    );
    // People read what brings it in and what to do, and no value of a variable.
    let run = place.run("check oci:image --policy policy.json");
    for told in [
        "packages.forbidden: found perl-5.38, forbidden by \"perl\", in layer ",
        "by git-2.39 -> perl-5.38",
        "git-2.39 refers to it",
    ] {
        assert!(run.text().contains(told), "no {told} in\n{}", run.text());
    }
    assert!(!run.text().contains("hidden"), "{}", run.text());
    assert_eq!(run.stderr, "error: not as it should be: found 8 faults: oci:image\n");
}

/// Another policy beside it adds its rules.
#[test]
fn several() {
    let place = place();
    place.write("other.json", r#"{"config": {"notRoot": true}}"#);
    check(
        &place,
        &json!({"packages": {"required": ["vim"]}}),
        "--policy other.json",
        &["packages.required", "config.notRoot"],
    );
}

#[test]
fn sarif() {
    let place = place();
    place.write("policy.json", r#"{"packages": {"forbidden": ["perl"]}}"#);
    let run = place.run("check oci:image --policy policy.json --sarif");
    assert_eq!(run.code, Some(1));
    let log: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"], json!([{"id": "packages.forbidden"}]));
    let result = &run["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&json!("packages.forbidden"), &json!("error")));
    assert!(result["message"]["text"].as_str().unwrap().contains("(git-2.39 -> perl-5.38)"), "{result}");
}

/// A licence is known by a file that evaluation wrote.
#[test]
fn licences() {
    let place = place();
    let meta = json!({"paths": {synth().path("perl-5.38"): {"licenses": [{"spdxId": "Artistic-2.0"}]}}});
    place.write("meta.json", meta.to_string());
    check(&place, &json!({"licenses": {"forbidden": ["MIT"]}}), "--meta meta.json", &[]);
    check(&place, &json!({"licenses": {"allowed": ["MIT"]}}), "--meta meta.json", &["licenses.allowed perl-5.38"]);
}

/// Nix signs a path of a store of its own; its key is taken, and another one is not.
#[test]
fn signatures_of_nix() {
    if !require_tool("nix-store") {
        return;
    }
    let place = Place::new();
    let nix = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).current_dir(place.path()).env("HOME", place.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    place.write("tool-1.0/bin/tool", "#!/bin/sh\n");
    let root = place.join("root").display().to_string();
    let path = nix("nix-store", &["--store", &root, "--add", "tool-1.0"]);
    let mut keys = Vec::new();
    for name in ["key-1", "key-2"] {
        nix("nix-store", &["--generate-binary-cache-key", name, &format!("{name}.secret"), &format!("{name}.public")]);
        keys.push(String::from_utf8(place.read(&format!("{name}.public"))).unwrap().trim().to_owned());
    }
    let feature = ["--extra-experimental-features", "nix-command"];
    nix("nix", &[&feature[..], &["store", "sign", "--store", &root, "--key-file", "key-1.secret", &path]].concat());
    place.write("image.json", json!({"name": "tool", "contents": [path]}).to_string());
    place.ok("build image.json --root root --scan -o oci:image");
    let signed_by = |key: &str| json!({"signatures": {"keys": [key]}});
    let db = "--db root/nix/var/nix/db/db.sqlite";
    check(&place, &signed_by(&keys[0]), db, &[]);
    check(&place, &signed_by(&keys[1]), db, &["signatures.keys tool-1.0"]);
    check(&place, &signed_by(&keys[0]), "", &["signatures.keys tool-1.0"]);
    // The bill says who signed it.
    let bill: Value = serde_json::from_slice(&place.ok(&format!("sbom oci:image {db}")).stdout).unwrap();
    let properties = bill["components"][0]["properties"].as_array().unwrap();
    let signature = properties.iter().find(|it| it["name"] == "nix:signature").unwrap()["value"].as_str().unwrap();
    assert!(signature.starts_with("key-1:"), "{signature}");
}

/// A policy that is none, flags without one, and a spec that is no image yet.
#[test]
fn what_is_wrong() {
    let place = place();
    place.write("typo.json", r#"{"package": {}}"#);
    place.write("good.json", "{}");
    for (line, told) in [
        ("check oci:image --policy typo.json", "malformed layerstone/policy: typo.json: unknown field `package`"),
        ("check oci:image --policy absent.json", "cannot read: absent.json"),
        ("check oci:image --meta good.json", "expected --policy"),
        ("check oci:image --sarif", "--policy"),
        ("check image.json --policy good.json", "hint: `layerstone build image.json -o oci:DIR` makes it"),
    ] {
        let run = place.run(line);
        assert!(run.code != Some(0) && run.stderr.contains(told), "{line}: {}", run.stderr);
    }
    assert!(place.ok("check oci:image --policy good.json").text().contains("no fault found"));
}
