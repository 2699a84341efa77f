//! Images for several architectures: made in one go, of images that are there, and copied whole.

use super::{blob_json, place};
use crate::support::registry::{Registry, root, spec};
use crate::support::{Place, output_json, require_tool};
use serde_json::{Value, json};
use std::process::Command;

/// What an index lists: platforms and digests.
fn platforms(index: &Value) -> Vec<String> {
    let text = |platform: &Value| {
        let variant = platform["variant"].as_str().map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("{}/{}{variant}", platform["os"].as_str().unwrap(), platform["architecture"].as_str().unwrap())
    };
    index["manifests"].as_array().unwrap().iter().map(|it| text(&it["platform"])).collect()
}

#[track_caller]
fn index_of(place: &Place, layout: &str) -> Value {
    let top = place.json(&format!("{layout}/index.json"));
    let listed = &top["manifests"][0];
    assert_eq!(listed["mediaType"], "application/vnd.oci.image.index.v1+json");
    blob_json(place, layout, &listed["digest"])
}

/// One graph for each architecture, and what else differs.
#[test]
fn built_in_one_go() {
    let place = Place::new();
    let synth = crate::support::synth();
    let other = place.write("other.json", std::fs::read(&synth.graph).unwrap());
    let arm = json!({"architecture": "armv7l-linux", "graph": other, "config": {"Cmd": ["/bin/arm"]}});
    spec(&place, json!({"architectures": ["x86_64-linux", arm]}));
    let run = place.on_synth("build image.json -o oci:layout --state state");
    let index = index_of(&place, "layout");
    assert_eq!(platforms(&index), ["linux/amd64", "linux/arm/v7"]);
    let lines: Vec<&str> = run.text().lines().collect();
    assert!(lines[0].starts_with("synth:1@sha256:") && lines.len() == 3, "{lines:?}");
    let commands: Vec<Value> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let manifest = blob_json(&place, "layout", &it["digest"]);
            blob_json(&place, "layout", &manifest["config"]["digest"])["config"]["Cmd"].clone()
        })
        .collect();
    assert_eq!(commands, [json!(["/bin/bash"]), json!(["/bin/arm"])]);
    // Each has a state of its own, and the same again gives the same.
    assert!(place.join("state/amd64/000.layer.json").exists() && place.join("state/armv7/000.layer.json").exists());
    let again = place.on_synth("build image.json -o oci:layout --state state");
    assert_eq!(again.text(), run.text());
}

#[test]
fn of_images_that_are_there() {
    let Some(registry) = Registry::start() else { return };
    let place = Place::new();
    let host = registry.host();
    for (architecture, line) in
        [("amd64", "-o amd64.tar"), ("arm64", "-o oci:arm64"), ("riscv64", "-o registry:HOST/riscv:1")]
    {
        spec(&place, json!({"architecture": architecture}));
        place.on_synth(&format!("build image.json {}", line.replace("HOST", host)));
    }
    spec(&place, json!({"architecture": "s390x"}));
    let images = format!("amd64.tar oci:arm64 registry:{host}/riscv:1 image.json");
    place.on_synth(&format!("index {images} -o registry:{host}/all:1"));
    place.on_synth(&format!("index {images} -o oci:all"));
    place.on_synth(&format!("index {images} -o oci-archive:all.tar --as x:1"));
    let raw = registry.inspect("all:1", "--raw");
    assert_eq!(platforms(&raw), ["linux/amd64", "linux/arm64", "linux/riscv64", "linux/s390x"]);
    assert_eq!(raw, index_of(&place, "all"));
    // The images keep their manifests.
    assert_eq!(raw["manifests"][1]["digest"], place.json("arm64/index.json")["manifests"][0]["digest"]);
    if require_tool("skopeo") {
        for architecture in ["amd64", "s390x"] {
            let mut skopeo = Command::new("skopeo");
            skopeo.args(["inspect", "--tls-verify=false", "--override-arch", architecture]);
            assert_eq!(output_json(skopeo.arg(format!("docker://{host}/all:1")))["Architecture"], architecture);
        }
    }
    // Copied whole, between every two of the kinds that can hold it.
    place.ok(&format!("copy --all registry:{host}/all:1 oci:b"));
    place.ok("copy --all oci:b oci-archive:b.tar");
    place.ok(&format!("copy --all oci-archive:b.tar registry:{host}/b:2"));
    assert_eq!(registry.inspect("b:2", "--raw"), raw);
    assert_eq!(index_of(&place, "b"), raw);
    place.ok(&format!("pull {host}/b:2 --arch s390x -o x.tar"));
    assert_eq!(crate::support::archive::config(&place.read("x.tar"))["architecture"], "s390x");
}

#[test]
fn what_makes_none() {
    let place = place();
    place.on_synth("build image.json -o a.tar");
    for (line, cause) in [
        ("index a.tar a.tar -o oci:x", "two images for linux/"),
        ("index a.tar -o x.tar", "several architectures: found x.tar, expected oci:DIR"),
        ("index a.tar -o docker:", "several architectures: found docker:, expected oci:DIR"),
    ] {
        let run = place.run(line);
        assert_eq!(run.code, Some(1), "{line}");
        assert!(run.stderr.contains(cause), "{line}: {}", run.stderr);
    }
    for (architectures, cause) in [
        (json!([]), "architectures: expected a list of architectures, or of objects with one each"),
        (json!([{"graph": "x"}]), "architectures: expected a list of architectures, or of objects with one each"),
        (json!("amd64"), "architectures: expected a list of architectures, or of objects with one each"),
        (json!(["pdp11"]), "image.json: architectures[0]: architecture: "),
        (json!([{"architecture": "amd64", "grahp": "x"}]), "unknown key, the nearest known one is \"graph\""),
    ] {
        spec(&place, json!({"architectures": architectures}));
        let error = place.fail(&format!("build image.json -o oci:y {}", root()));
        assert!(error.contains(cause), "{architectures}: {error}");
    }
    spec(&place, json!({"architectures": ["amd64", "arm64"]}));
    let error = place.fail(&format!("build image.json -o x.tar {}", root()));
    assert!(error.contains("several architectures: found x.tar"), "{error}");
    let error = place.fail(&format!("root --spec image.json -o x.layer.json --blob x.tar {}", root()));
    assert!(error.contains("architectures: found several images in one spec"), "{error}");
}
