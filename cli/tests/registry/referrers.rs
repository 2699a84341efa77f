//! What is attached to images of a registry that lists referrers by itself, and what such a registry does wrong.

use crate::support::fake_registry::{FakeRegistry, MANIFEST, layout, named};
use crate::support::http::Server;
use crate::support::referrer_registry::{Behaviour, USUAL, artifact, start};
use crate::support::{Place, answer};
use serde_json::{Value, json};

/// Files to attach: `sbom.json`, a statement `prov.json`, `note`.
pub fn files(place: &Place) {
    place.write("sbom.json", r#"{"spdxVersion": "SPDX-2.3"}"#);
    let predicate = "https://slsa.dev/provenance/v1";
    let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate, "subject": []});
    place.write("prov.json", statement.to_string());
    place.write("note", "a note\n");
}

/// The digest that a command prints.
#[track_caller]
pub fn printed(place: &Place, line: &str) -> String {
    place.ok(line).text().trim_end().to_owned()
}

/// What `discover` lists: digests and types.
#[track_caller]
pub fn discovered(place: &Place, line: &str) -> Vec<(String, String)> {
    let found = answer(&place.ok(&format!("discover {line} --json")).stdout, "referrers");
    let pair = |it: &Value| [&it["digest"], &it["artifactType"]].map(|it| it.as_str().unwrap().to_owned());
    found["referrers"].as_array().unwrap().iter().map(|it| pair(it).into()).collect()
}

/// A registry that has an image `a:1`; its manifest.
fn held(place: &Place, behaviour: Behaviour) -> (Server, std::sync::Arc<FakeRegistry>, Vec<u8>) {
    let image = layout(&place.join("lay"), 1000);
    let (server, registry) = start(behaviour);
    registry.hold(&image);
    files(place);
    (server, registry, image.manifest)
}

#[test]
fn lists_of_the_registry() {
    for tells_subjects in [true, false] {
        let place = Place::new();
        let (server, registry, image) = held(&place, Behaviour { tells_subjects, ..USUAL });
        let name = format!("{}/a:1", server.host());
        let first = printed(&place, &format!("attach {name} sbom.json --type spdx --annotation k=v=w"));
        let second = printed(&place, &format!("attach {name} prov.json note --type provenance --artifact-type a/b"));
        let same = printed(&place, &format!("attach {name} sbom.json --type spdx --annotation k=v=w"));
        assert_eq!(first, same);
        let manifest: Value = serde_json::from_slice(&registry.manifests.lock().unwrap()[&first].0).unwrap();
        let expected = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/spdx+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": named(b"{}"), "size": 2, "data": "e30="},
            "layers": [{"mediaType": "application/spdx+json", "digest": named(&place.read("sbom.json")), "size": 27,
                "annotations": {"org.opencontainers.image.title": "sbom.json"}}],
            "subject": {"mediaType": MANIFEST, "digest": named(&image), "size": image.len()},
            "annotations": {"k": "v=w"},
        });
        assert_eq!(manifest, expected);
        let layers = serde_json::from_slice::<Value>(&registry.manifests.lock().unwrap()[&second].0).unwrap();
        let predicates = [0, 1].map(|at| layers["layers"][at]["annotations"]["in-toto.io/predicate-type"].clone());
        assert_eq!(predicates, [json!("https://slsa.dev/provenance/v1"), Value::Null]);
        let mut expected = vec![(first, "application/spdx+json".to_owned()), (second, "a/b".to_owned())];
        expected.sort();
        assert_eq!(discovered(&place, &name), expected);
        // No list is kept that the registry keeps.
        assert_eq!(server.count("PUT", "/manifests/sha256-"), 0);
        let shown = place.ok(&format!("inspect registry:{name}")).text().to_owned();
        assert!(shown.contains("\n  with   ") && shown.contains("application/spdx+json"), "{shown}");
    }
}

#[test]
fn pages_and_filters() {
    for (filters, page) in [(true, 100), (false, 100), (false, 1), (true, 2)] {
        let place = Place::new();
        let (server, registry, image) = held(&place, Behaviour { filters, page, ..USUAL });
        let mut digests = Vec::new();
        for number in 0..5 {
            let bytes = artifact(&format!("x/{}", number % 2), &[&image[..]].concat());
            let bytes = [&bytes[..], " ".repeat(number).as_bytes()].concat();
            digests.push((named(&bytes), format!("x/{}", number % 2)));
            registry.manifests.lock().unwrap().insert(named(&bytes), (bytes, MANIFEST.to_owned()));
        }
        digests.sort();
        let name = format!("{}/a:1", server.host());
        assert_eq!(discovered(&place, &name), digests);
        let odd: Vec<_> = digests.iter().filter(|(_, kind)| kind == "x/1").cloned().collect();
        assert_eq!(discovered(&place, &format!("{name} --type x/1")), odd);
        assert_eq!(discovered(&place, &format!("{name} --type spdx")), []);
    }
}

#[test]
fn detached() {
    let place = Place::new();
    let (server, registry, image) = held(&place, USUAL);
    let name = format!("{}/a:1", server.host());
    let kept = printed(&place, &format!("attach {name} note --type text/plain"));
    let first = printed(&place, &format!("attach {name} sbom.json --type spdx"));
    let below = printed(&place, &format!("attach {}/a@{first} note --type x/signature", server.host()));
    let tree = place.ok(&format!("discover {name} --tree")).text().to_owned();
    let expected = [
        format!("├── {first}  application/spdx+json\n│   └── {below}  x/signature\n└── {kept}  text/plain\n"),
        format!("├── {kept}  text/plain\n└── {first}  application/spdx+json\n    └── {below}  x/signature\n"),
    ];
    assert!(expected.iter().any(|it| tree == format!("{}\n{it}", named(&image))), "{tree}");
    for (line, expected) in [
        (named(&image), format!("error: no referrer {} of registry:{name}: found ", named(&image))),
        (below.clone(), format!("error: no referrer {below} of ")),
        ("--type vex".to_owned(), "error: no referrer application/vnd.openvex+json of ".to_owned()),
    ] {
        let told = place.fail(&format!("detach {name} {line}"));
        assert!(told.starts_with(&expected) && told.contains("\nhint: `layerstone discover "), "{told}");
    }
    assert_eq!(printed(&place, &format!("detach {name} --type spdx")), first);
    assert_eq!(discovered(&place, &name), [(kept, "text/plain".to_owned())]);
    assert!(!registry.manifests.lock().unwrap().contains_key(&first));
    assert!(registry.manifests.lock().unwrap().contains_key("1"));
}

/// A registry that takes what is attached and does not list it.
#[test]
fn a_registry_that_forgets() {
    let place = Place::new();
    let (server, _, image) = held(&place, Behaviour { forgets: true, ..USUAL });
    let told = place.fail(&format!("attach {}/a:1 note --type text/plain --retries 1", server.host()));
    let expected = format!("error: not listed as a referrer: {}/a@sha256:", server.host());
    assert!(
        told.starts_with(&expected) && told.contains(&format!("does not list it for {}\n", named(&image))),
        "{told}"
    );
}

/// What a list says is compared with what it lists, before anything is copied.
#[test]
fn wrong_lists() {
    let place = Place::new();
    let image = layout(&place.join("lay"), 1000);
    let other = artifact("x/other", b"another image");
    let lost = json!({"mediaType": MANIFEST, "digest": named(b"lost"), "size": 4});
    let entry = |bytes: &[u8]| json!({"mediaType": MANIFEST, "digest": named(bytes), "size": bytes.len()});
    for (listed, expected) in [
        (entry(&other), format!("not a referrer of {}: {}: found the subject", named(&image.manifest), named(&other))),
        (entry(&image.manifest), format!("not a referrer of {0}: {0}: found no subject", named(&image.manifest))),
        (lost, "not in the registry: ".to_owned()),
        (json!({"mediaType": "a/b", "digest": named(b"x"), "size": 1}), "found media type \"a/b\"".to_owned()),
    ] {
        let (server, registry) = FakeRegistry::start(|_, _| None);
        registry.hold(&image);
        let index = json!({"schemaVersion": 2, "manifests": [listed]}).to_string().into_bytes();
        let tag = named(&image.manifest).replace(':', "-");
        let mut manifests = registry.manifests.lock().unwrap();
        manifests.insert(named(&other), (other.clone(), MANIFEST.to_owned()));
        let kind = crate::support::referrer_registry::INDEX;
        manifests.insert(tag, (index, kind.to_owned()));
        drop(manifests);
        let told = place.fail(&format!("copy --referrers registry:{}/a:1 oci:out", server.host()));
        assert!(told.contains(&expected), "{told}");
        if listed["digest"] == named(b"lost") || listed["mediaType"] == "a/b" {
            continue;
        }
        // It can be taken off the list, and is not deleted.
        let name = format!("{}/a:1", server.host());
        let digest = listed["digest"].as_str().unwrap();
        let run = place.ok(&format!("detach {name} {digest}"));
        assert!(run.stderr.contains("taken off the list of referrers, and not deleted"), "{}", run.stderr);
        assert_eq!(discovered(&place, &name), []);
        assert_eq!(server.count("DELETE", ""), 0);
    }
}
