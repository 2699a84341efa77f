//! What is attached to images of a registry without the referrers API: lists under tags, in docker-registry 2.8 and where
//! others write at the same moment.

use super::referrers::{discovered, files, printed};
use crate::support::Place;
use crate::support::fake_registry::{FakeRegistry, MANIFEST, layout, named};
use crate::support::http::Answer;
use crate::support::referrer_registry::{INDEX, artifact};
use crate::support::registry::Registry;
use serde_json::{Value, json};
use std::sync::Mutex;

/// A registry with an image `team/web:1`; the place has `lay`, and files.
pub fn pushed(place: &Place) -> Option<(Registry, String, String)> {
    let registry = Registry::start()?;
    let image = layout(&place.join("lay"), 1000);
    files(place);
    let name = format!("{}/team/web:1", registry.host());
    place.ok(&format!("push lay {name}"));
    Some((registry, name, named(&image.manifest)))
}

#[test]
fn attached_and_detached() {
    let place = Place::new();
    let Some((registry, name, image)) = pushed(&place) else { return };
    let tag = image.replace(':', "-");
    let first = printed(&place, &format!("attach {name} sbom.json --type spdx --annotation k=v"));
    let second = printed(&place, &format!("attach {name} prov.json --type provenance --created @1"));
    let list = registry.descriptor("team/web", &tag);
    assert_eq!(list["mediaType"], INDEX);
    let read = |list: &Value| -> Value {
        serde_json::from_slice(&registry.blob(list["digest"].as_str().unwrap()).unwrap()).unwrap()
    };
    let size = |digest: &str| registry.blob(digest).unwrap().len();
    let expected = json!([
        {"mediaType": MANIFEST, "digest": first, "size": size(&first), "artifactType": "application/spdx+json",
            "annotations": {"k": "v"}},
        {"mediaType": MANIFEST, "digest": second, "size": size(&second), "artifactType": "application/vnd.in-toto+json",
            "annotations": {"org.opencontainers.image.created": "1970-01-01T00:00:01Z",
                "in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}},
    ]);
    assert_eq!(read(&list)["manifests"], expected);
    // Once more the same: nothing changes.
    assert_eq!(printed(&place, &format!("attach {name} sbom.json --type spdx --annotation k=v")), first);
    assert_eq!(registry.descriptor("team/web", &tag), list);
    let text = place.ok(&format!("discover {name}")).text().to_owned();
    let provenance = "application/vnd.in-toto+json  https://slsa.dev/provenance/v1";
    assert_eq!(text, format!("{first}  application/spdx+json\n{second}  {provenance}\n"));
    assert_eq!(printed(&place, &format!("detach {name} {first}")), first);
    assert_eq!(discovered(&place, &name), [(second, "application/vnd.in-toto+json".to_owned())]);
    assert!(
        place.fail(&format!("pull {}@{first} -o x.tar", name.trim_end_matches(":1"))).contains("not in the registry")
    );
}

/// SOURCE_DATE_EPOCH says when, and without it nothing does.
#[test]
fn same_inputs_same_digest() {
    let place = Place::new();
    layout(&place.join("lay"), 1000);
    files(&place);
    let digest = |epoch: Option<&str>| {
        let mut command = place.command("attach oci:lay note --type text/plain --json");
        command.envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)));
        let printed = crate::support::answer(&command.output().unwrap().stdout, "attached");
        printed["descriptor"].clone()
    };
    let (plain, dated) = (digest(None), digest(Some("7")));
    assert_eq!(dated["annotations"]["org.opencontainers.image.created"], "1970-01-01T00:00:07Z");
    assert_eq!((plain.get("annotations"), digest(None)["digest"].clone()), (None, plain["digest"].clone()));
}

/// Eight at the same moment: none is lost.
#[test]
fn at_the_same_moment() {
    let place = Place::new();
    let Some((_registry, name, _)) = pushed(&place) else { return };
    let children: Vec<_> = (0..8)
        .map(|number| {
            place.write(&format!("file{number}"), number.to_string());
            place.command(&format!("attach {name} file{number} --type text/plain")).spawn().unwrap()
        })
        .collect();
    let mut digests: Vec<String> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
        })
        .collect();
    let mut listed: Vec<String> = discovered(&place, &name).into_iter().map(|(digest, _)| digest).collect();
    digests.sort();
    listed.sort();
    assert_eq!(listed, digests);
}

/// Somebody else writes the list between our reading and our writing, or undoes ours right after it.
#[test]
fn others_write_too() {
    for is_refused in [true, false] {
        let place = Place::new();
        let image = layout(&place.join("lay"), 1000);
        files(&place);
        let other = json!({"mediaType": MANIFEST, "digest": named(b"other"), "size": 5, "artifactType": "x/y"});
        let list = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [other]}).to_string().into_bytes();
        let writes = Mutex::new(0);
        let (server, registry) = FakeRegistry::start(move |registry, request| {
            let is_list = request.method == "PUT" && request.path().contains("/manifests/sha256-");
            let mut writes = writes.lock().unwrap();
            if !is_list || *writes > 0 {
                return None;
            }
            *writes += 1;
            let tag = request.path().rsplit('/').next().unwrap().to_owned();
            registry.manifests.lock().unwrap().insert(tag, (list.clone(), INDEX.to_owned()));
            // One that looks at the condition refuses, another says that it took what is overwritten.
            assert_eq!(request.header("if-none-match"), Some("*"));
            Some(Answer::new(if is_refused { 412 } else { 201 }))
        });
        registry.hold(&image);
        let name = format!("{}/a:1", server.host());
        let ours = printed(&place, &format!("attach {name} note --type text/plain"));
        let expected = [(named(b"other"), "x/y".to_owned()), (ours, "text/plain".to_owned())];
        assert_eq!(discovered(&place, &name), expected);
    }
}

/// A tag that leads to something else is not overwritten, and counts as no list.
#[test]
fn what_is_no_list() {
    let place = Place::new();
    let image = layout(&place.join("lay"), 1000);
    files(&place);
    let (server, registry) = FakeRegistry::start(|_, _| None);
    registry.hold(&image);
    let tag = named(&image.manifest).replace(':', "-");
    let bytes = artifact("x/y", b"z");
    registry.manifests.lock().unwrap().insert(tag.clone(), (bytes.clone(), MANIFEST.to_owned()));
    let name = format!("{}/a:1", server.host());
    assert_eq!(discovered(&place, &name), []);
    let told = place.fail(&format!("attach {name} note --type text/plain"));
    let expected = format!(
        "error: no list of referrers: {}/a:{tag}: found media type {MANIFEST}, expected an index\n",
        server.host()
    );
    assert!(told.starts_with(&expected), "{told}");
    assert_eq!(registry.manifests.lock().unwrap()[&tag].0, bytes);
}

/// No referrer without an image, and no password in what is said.
#[test]
fn images_that_are_not_there() {
    let place = Place::new();
    files(&place);
    let (server, _) = FakeRegistry::start(|_, request| {
        (request.path() == "/v2/").then(|| Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""))
    });
    let user = "bWU6aHVudGVyMg==";
    place.write("auth.json", json!({"auths": {server.host(): {"auth": user}}}).to_string());
    for command in ["attach IT note --type text/plain", "discover IT", "detach IT --type spdx"] {
        let line = command.replace("IT", &format!("{}/a:1", server.host()));
        let told = place.fail(&format!("{line} --authfile auth.json -vv"));
        assert!(told.contains("not in the registry: "), "{told}");
        assert!(!told.contains("hunter2") && !told.contains(user), "{told}");
    }
    let told = place.fail(&format!("attach {}/a:1 absent --type text/plain --authfile auth.json", server.host()));
    assert!(told.starts_with("error: cannot read: absent: "), "{told}");
}
