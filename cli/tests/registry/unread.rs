//! Layouts in which somebody listed what cannot be read, or what is an index; and signatures under tags, which copies leave.

use super::referrers::{discovered, printed};
use super::signatures::{held, setting};
use crate::support::fake_registry::{MANIFEST, named};
use crate::support::referrer_registry::{INDEX, USUAL, start};
use crate::support::{Place, answer};
use serde_json::{Value, json};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Changes the entry of a digest in the index.json of a layout.
fn change(place: &Place, layout: &str, digest: &str, key: &str, value: Value) {
    let name = format!("{layout}/index.json");
    let mut index = place.json(&name);
    let entries = index["manifests"].as_array_mut().unwrap();
    entries.iter_mut().find(|it| it["digest"] == *digest).unwrap()[key] = value;
    place.write(&name, index.to_string());
}

/// Writes a blob into a layout; its entry.
fn blob(place: &Place, layout: &str, kind: &str, bytes: &[u8]) -> Value {
    place.write(&format!("{layout}/blobs/sha256/{}", &named(bytes)[7..]), bytes);
    json!({"mediaType": kind, "digest": named(bytes), "size": bytes.len()})
}

fn list(place: &Place, layout: &str, entry: &Value) {
    let name = format!("{layout}/index.json");
    let mut index = place.json(&name);
    index["manifests"].as_array_mut().unwrap().push(entry.clone());
    place.write(&name, index.to_string());
}

/// What somebody listed and nobody can read keeps nobody from the image; it is told where it matters, and detached.
#[test]
fn bad_entries_do_no_harm() {
    for fault in ["size", "missing", "algorithm"] {
        let (place, image) = setting();
        place.ok("sign one --key ed.key");
        let mut bad = printed(&place, "attach one sbom.json --type x/y");
        match fault {
            "size" => change(&place, "one", &bad, "size", 7.into()),
            "missing" => std::fs::remove_file(place.join(format!("one/blobs/sha256/{}", &bad[7..]))).unwrap(),
            _ => {
                let other = format!("sha512:{}", "0a".repeat(64));
                change(&place, "one", &bad, "digest", json!(other));
                bad = other;
            }
        }
        let run = place.ok("verify one --key ed.pub");
        assert_eq!(run.text(), format!("{image}  signature  ed.pub  bundle\n"));
        let run = place.ok("discover one");
        assert!(run.text().contains(BUNDLE) && !run.text().contains(&bad), "{fault}: {}", run.text());
        let told = format!("cannot read a referrer: {bad} (x/y): ");
        assert!(run.stderr.contains(&told), "{fault}: {}", run.stderr);
        let json = answer(&place.ok("discover one --json").stdout, "referrers");
        assert_eq!((&json["unread"][0]["digest"], &json["unread"][0]["artifactType"]), (&json!(bad), &json!("x/y")));
        // What takes the image alone does so, and what adds to it too.
        place.ok("copy one oci:alone");
        place.ok("sign one --key ec.key");
        place.ok("attach one sbom.json --type a/b");
        let error = place.fail("copy --referrers one oci:out");
        assert!(error.contains(&format!("error: {told}")), "{fault}: {error}");
        assert!(error.contains(&format!("hint: `layerstone detach IMAGE {bad}` takes it off the list")), "{error}");
        let error = place.fail("detach one --type c/d");
        assert!(error.contains("found ") && error.contains("x/y"), "{error}");
        assert_eq!(printed(&place, &format!("detach one {bad}")), bad);
        assert!(place.ok("discover one").stderr.is_empty());
        place.ok("copy --referrers one oci:out");
        assert_eq!(discovered(&place, "out").len(), 3, "{fault}");
    }
}

/// Bad signatures prove nothing, and do no harm beside a whole one.
#[test]
fn bad_signatures() {
    let (place, _) = setting();
    let bad = printed(&place, "sign one --key ed.key");
    std::fs::remove_file(place.join(format!("one/blobs/sha256/{}", &bad[7..]))).unwrap();
    let told = place.fail("verify one --key ed.pub");
    assert!(told.starts_with("error: not signed by the key: one: found ") && told.contains(&bad), "{told}");
    place.ok("sign one --key ec.key");
    let run = place.ok("verify one --key ec.pub --json");
    assert_eq!(answer(&run.stdout, "verified")["doubts"][0]["manifest"], *bad);
    // The same under a tag.
    let under_tag = printed(&place, "sign two --key ed.key --form tag");
    std::fs::remove_file(place.join(format!("two/blobs/sha256/{}", &under_tag[7..]))).unwrap();
    let told = place.fail("verify two --key ed.pub");
    assert!(told.contains(&under_tag), "{told}");
    place.ok("sign two --key ec.key");
    place.ok("verify two --key ec.pub");
    assert_eq!(printed(&place, &format!("detach two {under_tag}")), under_tag);
    assert_eq!(printed(&place, &format!("detach one --type {BUNDLE}")).lines().count(), 2);
}

/// An artifact whose layer has a digest of another algorithm is listed, as skopeo and oras read it; it is not copied.
#[test]
fn layers_of_another_algorithm() {
    let (place, image) = setting();
    place.ok("sign one --key ed.key");
    let empty = blob(&place, "one", "application/vnd.oci.empty.v1+json", b"{}");
    let layer = json!({"mediaType": "x/y", "digest": format!("sha512:{}", "0a".repeat(64)), "size": 1});
    let subject = place.json("one/index.json")["manifests"][0].clone();
    let subject = json!({"mediaType": MANIFEST, "digest": image, "size": subject["size"]});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "x/y", "config": empty,
        "layers": [layer], "subject": subject});
    let entry = blob(&place, "one", MANIFEST, manifest.to_string().as_bytes());
    list(&place, "one", &entry);
    place.ok("verify one --key ed.pub");
    let digest = entry["digest"].as_str().unwrap();
    assert!(discovered(&place, "one").contains(&(digest.to_owned(), "x/y".to_owned())));
    let told = place.fail("copy --referrers one oci:out");
    assert!(told.contains("not a sha256 digest") && told.contains("hint: `layerstone detach IMAGE sha256:"), "{told}");
    assert_eq!(printed(&place, &format!("detach one {digest}")), digest);
    place.ok("copy --referrers one oci:out");
}

/// An index may refer to an image too, and goes along with all that it lists.
#[test]
fn indexes_that_refer() {
    let (place, image) = setting();
    let empty = blob(&place, "one", "application/vnd.oci.empty.v1+json", b"{}");
    let part = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "x/part", "config": empty,
        "layers": [empty]});
    let part = blob(&place, "one", MANIFEST, part.to_string().as_bytes());
    let size = place.json("one/index.json")["manifests"][0]["size"].clone();
    let subject = json!({"mediaType": MANIFEST, "digest": image, "size": size});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "artifactType": "x/set", "manifests": [part],
        "subject": subject});
    let entry = blob(&place, "one", INDEX, index.to_string().as_bytes());
    list(&place, "one", &entry);
    let expected = [(entry["digest"].as_str().unwrap().to_owned(), "x/set".to_owned())];
    assert_eq!(discovered(&place, "one"), expected);
    let (server, _) = start(USUAL);
    let name = format!("{}/a:1", server.host());
    place.ok("copy --referrers one oci:layout");
    place.ok("copy --referrers layout oci-archive:layout.tar");
    place.ok(&format!("push --referrers layout.tar {name}"));
    place.ok(&format!("pull --referrers {name} -o oci:back"));
    for there in ["layout", "layout.tar", name.as_str(), "back"] {
        assert_eq!(discovered(&place, there), expected, "{there}");
    }
    assert!(place.join(format!("back/blobs/sha256/{}", &part["digest"].as_str().unwrap()[7..])).exists());
    assert_eq!(printed(&place, "detach back --type x/set"), expected[0].0);
}

/// Signatures under tags stay, and copies tell it, whether something else refers to the image or not.
#[test]
fn tags_that_stay() {
    for with_referrer in [false, true] {
        let (place, image) = setting();
        let (server, _, name) = held(&place, USUAL);
        place.ok(&format!("sign {name} --key ed.key --form tag"));
        place.ok(&format!("sign {name} --key ed.key --form tag --attest sbom.json --type spdx"));
        if with_referrer {
            place.ok(&format!("sign {name} --key ed.key"));
        }
        let tag = image.replace(':', "-");
        for target in [format!("registry:{}/b:1", server.host()), "oci:out".to_owned()] {
            let told = place.ok(&format!("copy --referrers registry:{name} {target}")).stderr;
            for ending in ["sig", "att"] {
                let expected = format!("what is under the tag {tag}.{ending} stays where it is: copy it by its name");
                assert_eq!(told.matches(&expected).count(), 1, "{target}: {told}");
            }
            assert_eq!(told.contains("with 1 referrer: "), with_referrer, "{told}");
        }
        assert_eq!(discovered(&place, "out").len(), usize::from(with_referrer));
    }
}

/// Many of one kind are counted.
#[test]
fn many_of_a_kind() {
    let (place, _) = setting();
    for number in 0..3 {
        place.ok(&format!("attach one sbom.json --type x/y --annotation number={number}"));
    }
    place.ok("attach one sbom.json --type spdx");
    let told = place.ok("copy --referrers one oci:out").stderr;
    assert!(told.contains("with 4 referrers: 3 x/y, 1 application/spdx+json\n"), "{told}");
}
