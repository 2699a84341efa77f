//! oras, cosign and skopeo find what is attached, and what they attach is found.

use super::referrer_lists::pushed;
use super::referrers::{discovered, files, printed};
use crate::support::fake_registry::layout;
use crate::support::judges::Judges;
use crate::support::referrer_registry::{USUAL, start};
use crate::support::{Place, output_json, require_tool};
use serde_json::Value;
use std::process::Command;

/// Lists under tags: each adds to what the other wrote, and takes it away.
#[test]
fn oras_and_lists_under_tags() {
    let place = Place::new();
    let Some(judges) = Judges::find() else { return };
    let Some((registry, name, image)) = pushed(&place) else { return };
    let ours = printed(&place, &format!("attach {name} sbom.json --type spdx"));
    judges.run(&format!("oras attach --plain-http {name} --artifact-type x/theirs note:text/plain"), place.path());
    let found = discovered(&place, &name);
    let theirs = found.iter().find(|(_, kind)| kind == "x/theirs").unwrap().0.clone();
    assert_eq!(found.len(), 2);
    let listed: Value =
        serde_json::from_str(&judges.run(&format!("oras discover --plain-http --format json {name}"), place.path()))
            .unwrap();
    let digests: Vec<&str> =
        listed["manifests"].as_array().unwrap().iter().map(|it| it["digest"].as_str().unwrap()).collect();
    assert_eq!(digests, [&ours, &theirs]);
    // The file comes out under its name.
    let repository = name.trim_end_matches(":1");
    judges.run(&format!("oras pull --plain-http {repository}@{ours} -o out"), place.path());
    assert_eq!(place.read("out/sbom.json"), place.read("sbom.json"));
    place.ok(&format!("detach {name} {theirs}"));
    let left = judges.run(&format!("oras discover --plain-http {name}"), place.path());
    assert!(left.contains(&ours) && !left.contains(&theirs), "{left}");
    // oras brings along what we attached.
    judges.run(&format!("oras cp -r --from-plain-http {name} --to-oci-layout copied:1"), place.path());
    assert_eq!(discovered(&place, "copied"), [(ours.clone(), "application/spdx+json".to_owned())]);
    if require_tool("skopeo") {
        let tag = image.replace(':', "-");
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--raw"]);
        let list = output_json(skopeo.arg(format!("docker://{}/team/web:{tag}", registry.host())));
        assert_eq!(list["manifests"][0]["digest"], ours.as_str());
    }
}

/// The referrers API: of a registry of these tests with oras as its client, and of ours.
#[test]
fn oras_and_lists_of_registries() {
    let place = Place::new();
    let Some(judges) = Judges::find() else { return };
    let image = layout(&place.join("lay"), 1000);
    files(&place);
    let (server, registry) = start(USUAL);
    registry.hold(&image);
    let name = format!("{}/a:1", server.host());
    let ours = printed(&place, &format!("attach {name} sbom.json --type spdx"));
    judges.run(&format!("oras attach --plain-http {name} --artifact-type x/theirs note:text/plain"), place.path());
    let shown = judges.run(&format!("oras discover --plain-http {name}"), place.path());
    assert!(shown.contains(&ours) && shown.contains("x/theirs"), "{shown}");
    assert_eq!(discovered(&place, &name).len(), 2);
    assert_eq!(server.count("PUT", "/manifests/sha256-"), 0);
    place.ok(&format!("copy --referrers registry:{name} oci:copied"));
    let shown = judges.run("oras discover --oci-layout copied:1", place.path());
    assert!(shown.contains(&ours) && shown.contains("x/theirs"), "{shown}");
    judges.run("oras attach --oci-layout copied:1 --artifact-type x/more note:text/plain", place.path());
    assert_eq!(discovered(&place, "copied").len(), 3);
}

/// A signature of cosign is a referrer that copies bring along, and is still one of the image there.
#[test]
fn cosign_signs() {
    let place = Place::new();
    let Some(judges) = Judges::find() else { return };
    let Some((_registry, name, image)) = pushed(&place) else { return };
    let repository = name.trim_end_matches(":1").to_owned();
    let cosign = |line: &str| {
        let mut command = judges.command(&format!("cosign {line}"), place.path());
        command.env("COSIGN_PASSWORD", "").env("COSIGN_EXPERIMENTAL", "1");
        crate::support::output(&mut command)
    };
    cosign("generate-key-pair");
    let flags = "--allow-insecure-registry --allow-http-registry";
    let mode = "--registry-referrers-mode oci-1-1";
    cosign(&format!("sign {flags} {mode} --tlog-upload=false --key cosign.key -y {repository}@{image}"));
    let found = discovered(&place, &name);
    assert_eq!(found.len(), 1, "{found:?}");
    place.ok(&format!("copy --referrers registry:{name} registry:{repository}-copied:1"));
    assert_eq!(discovered(&place, &format!("{repository}-copied:1")), found);
    let verify = "--experimental-oci11 --insecure-ignore-tlog=true --key cosign.pub";
    cosign(&format!("verify {flags} {verify} {repository}-copied@{image}"));
    place.ok(&format!("detach {repository}-copied:1 {}", found[0].0));
    let mut command =
        judges.command(&format!("cosign verify {flags} {verify} {repository}-copied@{image}"), place.path());
    assert!(!command.env("COSIGN_EXPERIMENTAL", "1").output().unwrap().status.success());
}
