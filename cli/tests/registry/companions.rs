//! Images that are published with their bill of materials and their provenance: what oras finds and pulls, what a second push
//! sends, what a registry that refuses or forgets does to the name.

use super::referrers::{discovered, printed};
use super::{place, told};
use crate::support::fake_registry::{FakeRegistry, MANIFEST};
use crate::support::http::Answer;
use crate::support::judges::Judges;
use crate::support::referrer_registry::{Behaviour, USUAL, start};
use crate::support::registry::{Registry, root};
use crate::support::{Place, answer, output, require_tool, synth};
use serde_json::{Value, json};
use std::process::Command;

const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
const IN_TOTO: &str = "application/vnd.in-toto+json";

fn types(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(_, kind)| kind.as_str()).collect()
}

/// With lists under tags: oras finds both and pulls them, the bill is that of the image as it is there, and once more nothing is
/// sent.
#[test]
fn found_by_oras() {
    let place = place();
    let Some(judges) = Judges::find() else { return };
    let Some(registry) = Registry::start() else { return };
    let name = format!("{}/team/web:1", registry.host());
    let line = format!("push image.json {name} --sbom cyclonedx --provenance {}", root());
    let rehearsed = answer(&place.ok(&format!("{line} --dry-run --json")).stdout, "transfer");
    let image = rehearsed["digest"].as_str().unwrap().to_owned();
    assert!(place.fail(&format!("discover {name}")).contains("not in the registry"));
    let run = place.ok(&line);
    assert!(run.stderr.contains(&format!("with 2 referrers: {CYCLONEDX}, {IN_TOTO}\n")), "{}", run.stderr);
    assert_eq!(printed(&place, &format!("digest registry:{name}")), image);
    let found = discovered(&place, &name);
    assert_eq!(types(&found), [CYCLONEDX, IN_TOTO]);
    // The rehearsal told all of it: the image, both manifests, and their blobs.
    let manifests: Vec<&str> =
        rehearsed["manifests"].as_array().unwrap().iter().map(|it| it["digest"].as_str().unwrap()).collect();
    assert!(found.iter().all(|(digest, _)| manifests.contains(&digest.as_str())), "{rehearsed}");
    let again = place.ok(&line);
    assert_eq!(told(&again)[0], 0, "{}", again.stderr);
    assert_eq!(discovered(&place, &name), found);
    let listed = judges.run(&format!("oras discover --plain-http --format json {name}"), place.path());
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let digests: Vec<&str> =
        listed["manifests"].as_array().unwrap().iter().map(|it| it["digest"].as_str().unwrap()).collect();
    assert_eq!(digests, [&*found[0].0, &*found[1].0]);
    for (digest, _) in &found {
        judges.run(&format!("oras pull --plain-http {}@{digest} -o out", name.trim_end_matches(":1")), place.path());
    }
    check_page(&judges, &place, &name, &found[1].0);
    let graph = synth().graph.display();
    let bill = place.ok(&format!("sbom registry:{name} --graph {graph}")).stdout;
    let pushed: Value = serde_json::from_slice(&place.read("out/sbom.cdx.json")).unwrap();
    let mut expected: Value = serde_json::from_slice(&bill).unwrap();
    // The image calls itself otherwise than the registry does.
    for key in ["serialNumber", "metadata"] {
        expected[key] = pushed[key].clone();
    }
    assert_eq!(pushed, expected);
    let statement = place.json("out/provenance.intoto.json");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], image.trim_start_matches("sha256:"));
    // The same files, attached by hand, are the same manifests.
    let digest = printed(&place, &format!("attach {name} out/sbom.cdx.json --type cyclonedx"));
    assert_eq!(digest, found[0].0);
    assert_eq!(printed(&place, &format!("attach {name} out/provenance.intoto.json --type provenance")), found[1].0);
    // An image that is there already has a bill, and no provenance.
    place.ok(&format!("copy registry:{name} oci:lay"));
    place.ok(&format!("push lay {}/other:1 --sbom spdx", registry.host()));
    assert_eq!(types(&discovered(&place, &format!("{}/other:1", registry.host()))), ["application/spdx+json"]);
}

/// The commands of oras that docs/audit.md shows, with another image.
fn check_page(judges: &Judges, place: &Place, name: &str, provenance: &str) {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/audit.md")).unwrap();
    let (repository, mut count) = (name.trim_end_matches(":1"), 0);
    for line in page.lines().filter(|line| line.starts_with("oras ")) {
        let line = line.replace("localhost:5124/team/curl:8.0", name).replace("localhost:5124/team/curl", repository);
        let line = line.split_once("@sha256:").map_or(line.clone(), |(before, _)| format!("{before}@{provenance}"));
        judges.run(&line, place.path());
        count += 1;
    }
    assert_eq!(count, 2);
    assert!(place.join("provenance.intoto.json").exists());
}

/// Each image of an index has its own, and the index has none.
#[test]
fn several_architectures() {
    let place = place();
    let (server, registry) = start(USUAL);
    let mut spec = place.json("image.json");
    spec.as_object_mut().unwrap().remove("architecture");
    spec["architectures"] = json!(["amd64", "arm64"]);
    place.write("image.json", spec.to_string());
    let name = format!("{}/a:1", server.host());
    for line in [
        format!("push image.json {name} --sbom spdx --provenance {}", root()),
        format!("build image.json -o registry:{name} --sbom spdx --provenance {}", root()),
    ] {
        registry.manifests.lock().unwrap().clear();
        place.ok(&line);
        assert_eq!(discovered(&place, &name), []);
        let mut kinds = Vec::new();
        for arch in ["amd64", "arm64"] {
            let found = discovered(&place, &format!("{name} --arch {arch}"));
            kinds.push(types(&found).into_iter().map(str::to_owned).collect::<Vec<_>>());
        }
        kinds.iter_mut().for_each(|kinds| kinds.sort());
        assert_eq!(kinds, [["application/spdx+json", IN_TOTO]; 2]);
    }
}

/// BuildKit's form is read by skopeo, and by ours; each image of the index has its statements behind the images.
#[test]
fn in_the_index() {
    let place = place();
    let Some(registry) = Registry::start() else { return };
    let name = format!("{}/team/web:1", registry.host());
    let flags = "--sbom spdx --provenance --attest buildkit";
    place.ok(&format!("push image.json {name} {flags} {}", root()));
    let found = answer(&place.ok(&format!("discover {name} --json")).stdout, "referrers");
    assert_eq!(found["attestations"].as_array().map(Vec::len), Some(1), "{found}");
    let index: Value = serde_json::from_slice(&place.ok(&format!("manifest registry:{name}")).stdout).unwrap();
    let entry = &index["manifests"][1];
    assert_eq!(entry["annotations"]["vnd.docker.reference.digest"], index["manifests"][0]["digest"]);
    assert_eq!(entry["platform"], json!({"architecture": "unknown", "os": "unknown"}));
    if require_tool("skopeo") {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "-q", "--src-tls-verify=false", "--all"]);
        output(skopeo.arg(format!("docker://{name}")).arg(format!("dir:{}", place.join("dir").display())));
        let manifest = entry["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        let statements = place.json(&format!("dir/{manifest}.manifest.json"));
        let predicates: Vec<&str> = statements["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["annotations"]["in-toto.io/predicate-type"].as_str().unwrap())
            .collect();
        assert_eq!(predicates, ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1"]);
        for layer in statements["layers"].as_array().unwrap() {
            let hex = layer["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
            let statement = place.json(&format!("dir/{hex}"));
            let subject = format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap());
            assert_eq!(index["manifests"][0]["digest"], subject.as_str());
        }
    }
    place.ok(&format!("build image.json -o oci:lay {flags} {}", root()));
    let there = place.ok("manifest oci:lay").stdout;
    assert_eq!(serde_json::from_slice::<Value>(&there).unwrap()["manifests"], index["manifests"]);
}

/// A registry that refuses artifacts, and one that forgets them: an error, and the name leads to what it led to before.
#[test]
fn the_name_comes_last() {
    let place = place();
    let line = |host: &str| format!("push image.json {host}/a:1 --sbom cyclonedx {}", root());
    let check = |place: &Place, host: &str, registry: &FakeRegistry, expected: &str| {
        let told = place.fail(&line(host));
        assert!(told.contains(expected), "{told}");
        assert!(!registry.manifests.lock().unwrap().contains_key("1"), "{told}");
    };
    let (server, registry) = start(Behaviour { forgets: true, ..USUAL });
    check(&place, &server.host(), &registry, "error: not listed as a referrer: ");
    let (server, registry) = FakeRegistry::start(|_, request| {
        let is_artifact = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("artifactType");
        let is_put = request.method == "PUT" && request.path().contains("/manifests/");
        (is_put && is_artifact(&request.body)).then(|| {
            let error = json!({"errors": [{"code": "MANIFEST_INVALID", "message": "no artifacts here"}]});
            Answer::bytes(400, error.to_string())
        })
    });
    check(&place, &server.host(), &registry, "no artifacts here");
    // What went there stays, and the image alone goes on from it.
    let run = place.ok(&format!("push image.json {}/a:1 {}", server.host(), root()));
    assert_eq!(told(&run)[0], 0, "{}", run.stderr);
    assert_eq!(registry.manifests.lock().unwrap()["1"].1, MANIFEST);
}
