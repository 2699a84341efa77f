//! What is attached to images of OCI layouts, and copies that bring it along.

use super::referrer_lists::pushed;
use super::referrers::{discovered, files, printed};
use super::serve::Served;
use crate::support::Place;
use crate::support::fake_registry::{layout, named};
use crate::support::registry::spec;
use serde_json::{Value, json};

#[test]
fn attached_and_detached() {
    let place = Place::new();
    let image = layout(&place.join("lay"), 1000);
    files(&place);
    let before = place.json("lay/index.json");
    let first =
        printed(&place, "attach oci:lay sbom.json --type spdx --annotation org.opencontainers.image.ref.name=x");
    let second = printed(&place, "attach lay note --type text/plain");
    assert_eq!(printed(&place, "attach lay note --type text/plain"), second);
    let index = place.json("lay/index.json");
    assert_eq!(index["manifests"][0], before["manifests"][0]);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 3, "{index}");
    // A name is that of an image, whatever an artifact says of itself.
    assert_eq!(index["manifests"][1].get("annotations"), None);
    let both = [(first.clone(), "application/spdx+json".to_owned()), (second.clone(), "text/plain".to_owned())];
    assert_eq!(discovered(&place, "oci:lay"), both);
    assert_eq!(discovered(&place, "lay#m:1"), both);
    let shown = place.ok("inspect lay").text().to_owned();
    assert!(shown.contains("\n  with   application/spdx+json, text/plain\n"), "{shown}");
    let shown: Value = serde_json::from_slice(&place.ok("inspect lay --json").stdout).unwrap();
    assert_eq!(shown["images"][0]["referrers"][0]["digest"], first.as_str());
    assert_eq!(printed(&place, "detach lay --type text/plain"), second);
    assert_eq!(discovered(&place, "lay"), both[..1]);
    // What reads the image reads it as before.
    place.ok("copy lay oci:copy");
    assert_eq!(place.json("copy/index.json")["manifests"][0]["digest"], named(&image.manifest));
    place.ok("copy --referrers lay oci-archive:lay.tar");
    assert_eq!(discovered(&place, "oci-archive:lay.tar"), both[..1]);
    for (line, expected) in [
        ("attach lay.tar note --type a/b", "error: cannot change: lay.tar: found a file, expected the directory of"),
        ("detach lay.tar --type a/b", "error: cannot change: lay.tar: found a file, expected the directory of"),
        ("attach oci:absent note --type a/b", "error: cannot read: absent: "),
        ("attach docker:x note --type a/b", "error: cannot change: docker:x: found an engine, expected the directory"),
        ("copy --referrers lay x.tar", "error: --referrers: found x.tar, expected OCI images on both sides"),
        ("detach lay --type a/b", "error: no referrer a/b of lay: found application/spdx+json"),
    ] {
        let told = place.fail(line);
        assert!(told.starts_with(expected), "{line}: {told}");
    }
}

/// The index by default, and the image for a platform if one is named: copies take what refers to what they take.
#[test]
fn platforms() {
    let place = Place::new();
    spec(&place, json!({"architectures": ["amd64", "arm64"]}));
    files(&place);
    place.on_synth("build image.json -o oci:multi");
    let index = place.json("multi/index.json")["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let whole = printed(&place, "attach oci:multi note --type text/plain");
    let arm = printed(&place, "attach oci:multi sbom.json --type spdx --arch arm64");
    let nested = |digest: &str| super::blob_json(&place, "multi", &json!(digest))["subject"]["digest"].clone();
    assert_eq!(nested(&whole), index.as_str());
    let listed = super::blob_json(&place, "multi", &json!(index));
    let of_arm = listed["manifests"].as_array().unwrap().iter().find(|it| it["platform"]["architecture"] == "arm64");
    assert_eq!(nested(&arm), of_arm.unwrap()["digest"]);
    assert_eq!(discovered(&place, "multi"), [(whole.clone(), "text/plain".to_owned())]);
    assert_eq!(discovered(&place, "multi --arch arm64"), [(arm.clone(), "application/spdx+json".to_owned())]);
    assert_eq!(discovered(&place, "multi --arch amd64"), []);
    place.ok("copy --all --referrers multi oci:all");
    assert_eq!(discovered(&place, "all").len() + discovered(&place, "all --arch arm64").len(), 2);
    let told = place.ok("copy --referrers --arch arm64 multi oci:arm").stderr;
    assert!(told.contains("1 referrer of the index stay where they are (--all "), "{told}");
    assert_eq!(discovered(&place, "arm"), [(arm, "application/spdx+json".to_owned())]);
}

/// From a layout to a registry, to a layout, to an archive, and back: the same bytes everywhere, what refers to what
/// refers to the image too.
#[test]
fn copies() {
    let place = Place::new();
    let Some((_registry, name, _)) = pushed(&place) else { return };
    let repository = name.trim_end_matches(":1");
    let first = printed(&place, &format!("attach {name} sbom.json --type spdx"));
    let below = printed(&place, &format!("attach {repository}@{first} note --type x/signature"));
    let tree = |image: &str| place.ok(&format!("discover {image} --tree")).text().to_owned();
    let expected = tree(&name);
    assert!(
        expected.contains(&format!("└── {first}  application/spdx+json\n    └── {below}  x/signature")),
        "{expected}"
    );
    place.ok(&format!("pull --referrers {name} -o oci:pulled"));
    assert_eq!(tree("oci:pulled"), expected);
    place.ok("copy --referrers oci:pulled oci-archive:pulled.tar");
    assert_eq!(tree("pulled.tar"), expected);
    place.ok(&format!("push --referrers --all pulled.tar {repository}-2:1"));
    assert_eq!(tree(&format!("{repository}-2:1")), expected);
    // Without the flag nothing goes along, and nothing is written by a rehearsal.
    place.ok(&format!("copy registry:{name} oci:alone"));
    assert_eq!(discovered(&place, "alone"), []);
    let told = place.ok(&format!("copy --referrers --dry-run registry:{name} oci:never")).text().to_owned();
    assert!(told.contains(&format!("write manifest {first} ")) && !place.join("never").exists(), "{told}");
}

/// A layout that is served tells what refers to its image.
#[test]
fn served() {
    let place = Place::new();
    layout(&place.join("lay"), 1000);
    files(&place);
    let first = printed(&place, "attach oci:lay sbom.json --type spdx");
    let served = Served::start(&place, "lay", 1);
    let name = format!("{}/m:1", served.host);
    assert_eq!(discovered(&place, &name), [(first, "application/spdx+json".to_owned())]);
    place.ok(&format!("copy --referrers registry:{name} oci:back"));
    assert_eq!(discovered(&place, "back").len(), 1);
}

/// Statements in the index of an image, as BuildKit puts them there: engines take the image as before.
#[test]
fn statements_in_the_index() {
    let place = Place::new();
    let Some((registry, name, image)) = pushed(&place) else { return };
    let attest = |file: &str, kind: &str| format!("attach {name} {file} --type {kind} --attest buildkit");
    let first = printed(&place, &attest("sbom.json", "spdx"));
    assert_eq!(registry.descriptor("team/web", "1")["digest"], first.as_str());
    let read = |digest: &Value| -> Value {
        serde_json::from_slice(&registry.blob(digest.as_str().unwrap()).unwrap()).unwrap()
    };
    let index = read(&json!(first));
    let unknown = json!({"architecture": "unknown", "os": "unknown"});
    assert_eq!(index["manifests"][0]["digest"], image.as_str());
    assert_eq!(index["manifests"][0]["platform"], json!({"architecture": "amd64", "os": "linux"}));
    let entry = &index["manifests"][1];
    assert_eq!(entry["platform"], unknown);
    let expected = json!({"vnd.docker.reference.digest": image, "vnd.docker.reference.type": "attestation-manifest"});
    assert_eq!(entry["annotations"], expected);
    let manifest = read(&entry["digest"]);
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
    assert_eq!(layer["annotations"], json!({"in-toto.io/predicate-type": "https://spdx.dev/Document"}));
    let expected = json!({
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
        "subject": [{"name": "_", "digest": {"sha256": image[7..]}}], "predicate": place.json("sbom.json"),
    });
    assert_eq!(read(&layer["digest"]), expected);
    let config = read(&manifest["config"]["digest"]);
    assert_eq!(config["rootfs"]["diff_ids"], json!([layer["digest"]]));
    // Once more the same, and another one beside it. A statement about another image is none of this one.
    let told = place.fail(&attest("prov.json", "in-toto"));
    let expected =
        format!("error: cannot attest: prov.json: found a statement about another image, expected one about {image}\n");
    assert!(told.starts_with(&expected), "{told}");
    let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"digest": {"sha256": image[7..]}}]});
    place.write("prov.json", statement.to_string());
    assert_eq!(printed(&place, &attest("sbom.json", "spdx")), first);
    let second = read(&json!(printed(&place, &attest("prov.json", "provenance"))));
    let both = read(&second["manifests"][1]["digest"]);
    assert_eq!((second["manifests"].as_array().unwrap().len(), &both["layers"][0]), (2, layer));
    assert_eq!(read(&both["layers"][1]["digest"]), place.json("prov.json"));
    // What reads images takes the image, and copies of all have the statements.
    place.ok(&format!("pull {name} -o oci:one"));
    assert_eq!(place.json("one/index.json")["manifests"][0]["digest"], image.as_str());
    place.ok(&format!("pull --all {name} -o oci:all"));
    assert!(place.ok(&format!("inspect registry:{name}")).text().contains("team/web:1  linux/amd64\n"));
    for found in [name.as_str(), "oci:all"] {
        let found = place.ok(&format!("discover {found}")).text().to_owned();
        assert_eq!(found, format!("{}  attestation-manifest\n", second["manifests"][1]["digest"].as_str().unwrap()));
    }
    let layout = printed(&place, "attach oci:all note --type a/b");
    assert_eq!(discovered(&place, "oci:all"), [(layout, "a/b".to_owned())]);
    for (line, expected) in [
        (attest("note", "spdx"), "error: not a statement: note: not JSON: "),
        (attest("sbom.json", "a/b"), "error: not a statement: sbom.json: found none of in-toto, and the type a/b\n"),
        (format!("{} --arch arm64", attest("sbom.json", "spdx")), "error: no image for linux/arm64: "),
        (attest("sbom.json", "spdx").replace(":1 ", &format!("@{image} ")), "error: found a digest: "),
    ] {
        let told = place.run(&line).stderr;
        assert!(told.starts_with(expected), "{line}: {told}");
    }
}

/// In a layout the index takes the place of the image, under its name.
#[test]
fn statements_in_layouts() {
    let place = Place::new();
    layout(&place.join("lay"), 1000);
    files(&place);
    place.ok("copy lay oci:named --as team/web:1");
    let index = printed(&place, "attach oci:named sbom.json --type spdx --attest buildkit");
    let listed = place.json("named/index.json")["manifests"].clone();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["digest"]), (1, &json!(index)));
    place.ok("copy named one.tar");
}
