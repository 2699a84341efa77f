//! Signatures and statements that are signed: in layouts, archives and registries, what proves nothing.

use super::referrers::printed;
use crate::support::fake_registry::{FakeRegistry, layout, named};
use crate::support::http::{Answer, Server};
use crate::support::keys::keys;
use crate::support::referrer_registry::{Behaviour, INDEX, USUAL, start};
use crate::support::{Place, answer};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A place with keys, an SBOM, and layouts `one` and `two` of different images; the digest of the first.
pub fn setting() -> (Place, String) {
    let place = Place::new();
    keys(&place);
    place.write("sbom.json", r#"{"spdxVersion": "SPDX-2.3"}"#);
    let image = layout(&place.join("one"), 1000);
    layout(&place.join("two"), 1001);
    (place, named(&image.manifest))
}

/// A registry that has the image of the layout `one` as `a:1`.
pub fn held(place: &Place, behaviour: Behaviour) -> (Server, Arc<FakeRegistry>, String) {
    let (server, registry) = start(behaviour);
    registry.hold(&layout(&place.join("held"), 1000));
    let name = format!("{}/a:1", server.host());
    (server, registry, name)
}

/// The file that an artifact of a layout has as its layer.
pub fn file_of(place: &Place, layout: &str, artifact: &str) -> String {
    let blob = |digest: &str| format!("{layout}/blobs/{}", digest.replace(':', "/"));
    blob(place.json(&blob(artifact))["layers"][0]["digest"].as_str().unwrap())
}

#[test]
fn signed_and_verified() {
    let (place, image) = setting();
    let first = printed(&place, "sign one --key ed.key");
    // Ed25519: the same once more; ECDSA would give another one.
    let again = place.ok("sign one --key ed.key");
    assert_eq!(again.text(), format!("{first}\n"));
    assert_eq!(again.stderr, format!("signed by this key already: {image}\n"));
    let second = printed(&place, "sign one --key ec.key");
    assert_eq!(printed(&place, "sign one --key ec.key"), second);
    place.ok("sign one --key ed.key --attest sbom.json --type spdx --form both");
    let text = place.ok("verify one --key ec.pub --key ed.pub");
    let expected = [
        format!("{image}  signature  ed.pub  bundle"),
        format!("{image}  signature  ec.pub  bundle"),
        format!("{image}  https://spdx.dev/Document  ed.pub  bundle"),
        format!("{image}  https://spdx.dev/Document  ed.pub  tag"),
    ];
    assert_eq!(text.text().lines().collect::<Vec<_>>(), expected);
    let index = place.json("one/index.json");
    let annotations =
        &index["manifests"].as_array().unwrap().iter().find(|it| it["digest"] == *first).unwrap()["annotations"];
    let kind = "https://sigstore.dev/cosign/sign/v1";
    assert_eq!(
        *annotations,
        json!({"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": kind})
    );
    let when = printed(&place, "sign two --key ed.key --created @1");
    let list = answer(&place.ok("discover two --json").stdout, "referrers");
    assert_eq!(list["referrers"][0]["digest"], *when);
    assert_eq!(list["referrers"][0]["annotations"]["org.opencontainers.image.created"], "1970-01-01T00:00:01Z");
    // Archives are verified too, wherever they came from; what has no manifests is not.
    place.ok("copy --referrers oci:one oci-archive:one.tar");
    place.ok("verify one.tar --key ed.pub");
    place.ok("copy oci:one docker.tar");
    let told = place.fail("verify docker.tar --key ed.pub");
    assert!(
        told.starts_with("error: no manifest: docker.tar: found a docker archive, expected an OCI layout"),
        "{told}"
    );
    // A statement is signed as it is, byte for byte.
    let statement = json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://x/y", "predicate": 1.50,
        "subject": [{"name": "x", "digest": {"sha256": image.trim_start_matches("sha256:")}}]});
    place.write("statement.json", statement.to_string());
    let signed = printed(&place, "sign one --key ed.key --attest statement.json");
    let bundle = place.json(&file_of(&place, "one", &signed));
    let payload = crate::support::keys::from_base64(bundle["dsseEnvelope"]["payload"].as_str().unwrap());
    assert_eq!(payload, place.read("statement.json"));
}

#[test]
fn what_cannot_be_signed() {
    let (place, image) = setting();
    place.write(
        "statement.json",
        r#"{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://x/y", "subject": []}"#,
    );
    place.write("word", "hunter3");
    for (line, expected, hint) in [
        ("one --key ed.pub", "not a private key: ed.pub: found a public key", "signing takes the private key"),
        ("one --key rsa.pub", "not a private key: rsa.pub: found a public key", "signing takes"),
        (
            "one --key sec1.key",
            "not a private key: sec1.key: found a private key (EC PRIVATE KEY)",
            "`openssl pkcs8 -topk8",
        ),
        ("one --key sbom.json", "not a private key: sbom.json: found no -----BEGIN line, expected PEM", ""),
        (
            "one --key cosign.key",
            "cannot decrypt the key: cosign.key: found no password, expected $COSIGN_PASSWORD",
            "the password is that of",
        ),
        (
            "one --key cosign.key --password-file word",
            "cannot decrypt the key: cosign.key: found another password, or a damaged file",
            "the password",
        ),
        (
            "one --key ed.key --attest sbom.json",
            "cannot attest: sbom.json: found no statement of in-toto, expected one, or --type",
            "--type spdx",
        ),
        ("one --key ed.key --attest word --type spdx", "cannot attest: word: not JSON", ""),
        (
            "one --key ed.key --attest statement.json",
            "cannot attest: statement.json: found a statement about another image, expected one about",
            "",
        ),
        (
            "one --key ed.key --attest statement.json --type spdx",
            "cannot attest: statement.json: found a statement of the type https://x/y, expected https://spdx.dev/Document",
            "",
        ),
    ] {
        let told = place.fail(&format!("sign {line}"));
        assert!(told.starts_with(&format!("error: {expected}")), "{told}");
        assert!(told.contains(&format!("hint: {hint}")) || hint.is_empty(), "{told}");
        assert!(!told.contains("hunter"), "{told}");
    }
    place.ok("copy oci:one docker.tar");
    assert!(
        place.fail("sign docker.tar --key ed.key").contains("found a file, expected the directory of an OCI layout")
    );
    // Nothing was added meanwhile, and no password is in what is logged.
    assert_eq!(place.ok("discover one").text(), "");
    place.write("word", "hunter2\n");
    let run = place.ok("sign one --key cosign.key --password-file word -vv");
    assert!(!run.stderr.contains("hunter2") && !run.stderr.contains("MIGH"), "{}", run.stderr);
    assert!(place.ok("verify one --key cosign.pub").text().contains(&image));
}

#[test]
fn what_proves_nothing() {
    let (place, _) = setting();
    for (key, expected) in [
        ("ed.key", "not a public key: ed.key: found a private key (PRIVATE KEY)"),
        ("cosign.key", "not a public key: cosign.key: found a private key (ENCRYPTED SIGSTORE PRIVATE KEY)"),
        ("rsa.pub", "not a public key: rsa.pub: found a key of another kind"),
        ("sbom.json", "not a public key: sbom.json: found no -----BEGIN line"),
    ] {
        let told = place.fail(&format!("verify one --key {key}"));
        assert!(told.starts_with(&format!("error: {expected}")), "{told}");
    }
    let whole = printed(&place, "sign two --key ed.key");
    let bundle = place.json(&file_of(&place, "two", &whole));
    let with = |key: &str, value: Value| {
        let mut changed = bundle.clone();
        changed[key] = value;
        changed
    };
    let envelope = |key: &str, value: &str| {
        let mut changed = bundle["dsseEnvelope"].clone();
        changed[key] = json!(value);
        with("dsseEnvelope", changed)
    };
    let keyless = with("verificationMaterial", json!({"certificate": {"rawBytes": "AAAA"}}));
    let two = with("messageSignature", json!({"signature": "AAAA"}));
    // That of another image, put on this one; damaged ones; and those of somebody else.
    for (bundle, expected) in [
        (bundle.clone(), "signed by the key, but of another image: sha256:"),
        (envelope("payload", "e30="), "found 1 signature by another key"),
        (envelope("payload", "e30"), "not a Sigstore bundle: sha256:"),
        (
            with("mediaType", json!("application/vnd.dev.sigstore.bundle.v0.9+json")),
            "mediaType: found application/vnd.dev.sigstore.bundle.v0.9+json, expected",
        ),
        (keyless, "signed with a certificate (keyless), which is not looked at"),
        (two, "found dsseEnvelope and messageSignature, expected one of them"),
        (json!([]), "not a Sigstore bundle: sha256:"),
    ] {
        place.write("bundle.json", bundle.to_string());
        let attached = printed(&place, &format!("attach one bundle.json --type {BUNDLE}"));
        let told = place.fail("verify one --key ed.pub");
        assert!(told.starts_with("error: not signed by the key: one: found ") && told.contains(expected), "{told}");
        assert!(told.contains("hint: `layerstone discover one` lists what is attached"), "{told}");
        place.ok(&format!("detach one {attached}"));
    }
    // Beside a whole one they are told, and do no harm.
    place.ok(&format!("attach one bundle.json --type {BUNDLE}"));
    place.ok("sign one --key ed.key");
    let run = place.ok("verify one --key ed.pub");
    assert!(
        run.text().ends_with("  signature  ed.pub  bundle\n") && run.stderr.contains("not a Sigstore bundle"),
        "{run:?}"
    );
    let doubts = answer(&place.ok("verify one --key ed.pub --json").stdout, "verified")["doubts"].clone();
    assert_eq!(doubts.as_array().unwrap().len(), 1);
    // A statement is no signature of the image.
    place.ok("sign two --key ec.key --attest sbom.json --type spdx");
    let told = place.fail("verify two --key ec.pub");
    assert!(told.contains("found a signed statement of the type https://spdx.dev/Document"), "{told}");
}

#[test]
fn in_registries() {
    let (place, image) = setting();
    let (server, registry, name) = held(&place, USUAL);
    let digest = printed(&place, &format!("sign {name} --key ed.key"));
    assert_eq!(place.ok(&format!("sign {name} --key ec.key --form tag")).text().lines().count(), 1);
    let tag = format!("{}.sig", image.replace(':', "-"));
    assert!(registry.manifests.lock().unwrap().contains_key(&tag));
    place.ok(&format!("verify {name} --key ed.pub"));
    place.ok(&format!("verify {}/a@{image} --key ec.pub", server.host()));
    // The same bytes wherever the image is.
    assert_eq!(printed(&place, "sign one --key ed.key"), digest);
    let (_server, _, name) = held(&place, Behaviour { forgets: true, ..USUAL });
    let told = place.fail(&format!("sign {name} --key ed.key --retries 1"));
    assert!(told.starts_with("error: not listed as a referrer: "), "{told}");
}

/// A registry whose list of referrers never ends, and one whose list goes on elsewhere: nobody else is asked.
#[test]
fn lists_of_bad_registries() {
    let (place, image) = setting();
    let elsewhere = Server::start(|_| Answer::new(404));
    let away = format!("http://{}/x?n=", elsewhere.host());
    let at_another = format!("found a next page at http://{}, expected one at http://127.0.0.1:", elsewhere.host());
    let endless = "found 21 pages of referrers, expected at most 20 (limit referrer-pages)".to_owned();
    for (next, expected) in [("?n=".to_owned(), endless), (away, at_another)] {
        let pages = AtomicUsize::default();
        let (server, registry) = FakeRegistry::start(move |_, request| {
            request.path().contains("/referrers/").then(|| {
                let empty = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
                let link = format!("<{next}{}>; rel=\"next\"", pages.fetch_add(1, Ordering::Relaxed));
                Answer::bytes(200, empty.to_string()).with("Content-Type", INDEX).with("Link", link)
            })
        });
        registry.hold(&layout(&place.join("held"), 1000));
        let name = format!("{}/a@{image}", server.host());
        for command in [
            format!("verify {name} --key ed.pub"),
            format!("sign {name} --key ed.key"),
            format!("discover {name}"),
            format!("copy --referrers registry:{name} oci:copied"),
        ] {
            let told = place.fail(&format!("{command} --limit referrer-pages=20"));
            assert!(told.contains(&expected), "{command}: {told}");
        }
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

/// What a command line lacks, and what its values are like, in words of signatures.
#[test]
fn command_lines() {
    let (place, _) = setting();
    place.write("two.pub", [place.read("ed.pub"), place.read("ec.pub")].concat());
    let address = "hint: --type spdx, or an address such as --type https://example.com/x/v1\n";
    for (line, expected) in [
        ("sign one --key ed.key --attest sbom.json --type x/y", address),
        ("verify one --key ed.pub --type x/y", address),
        (
            "verify one",
            "hint: --key FILE is the public key that must have signed it; --policy FILE has keys, and rules",
        ),
        (
            "attach one . --type x/y",
            "error: cannot attach: .: found a directory, expected a file\nhint: `tar -cf NAME.tar -C . .` ",
        ),
        (
            "verify one --key two.pub",
            "not a public key: two.pub: found 2 blocks of PEM, expected one key\nhint: each key",
        ),
    ] {
        let told = place.run(line).stderr;
        assert!(told.contains(expected), "{line}: {told}");
    }
}

/// Programs that sign: what they are given, what they may print, and how they may fail.
#[test]
fn programs() {
    let (place, image) = setting();
    let whole = printed(&place, "sign one --key ed.key");
    place.ok("copy --referrers oci:one oci-archive:signed.tar");
    place.ok("copy --referrers oci:two oci-archive:other.tar");
    place.ok("sign two --key ed.key");
    place.ok("copy --referrers oci:two oci-archive:two.tar");
    let bundle = file_of(&place, "one", &whole);
    place.ok(&format!("detach one {whole}"));
    let program = |name: &str, script: &str| {
        place.write_mode(name, format!("#!/bin/sh\n{script}\n"), 0o755);
    };
    program("layout", "cat >given; echo \"$* $LAYERSTONE_IMAGE\" >words; cat signed.tar");
    assert_eq!(printed(&place, "sign one --with ./layout -- a b"), whole);
    let given = place.json("given");
    assert_eq!((&given["digest"], given.as_object().unwrap().len()), (&json!(image), 3));
    assert_eq!(place.read("words"), b"sign-oci-artifact a b one\n");
    place.ok("verify one --key ed.pub");
    place.ok(&format!("detach one {whole}"));
    program("bundle", &format!("exec cat {bundle}"));
    assert_eq!(printed(&place, "sign one --with ./bundle"), whole);
    place.ok(&format!("detach one {whole}"));
    for (script, expected) in [
        ("exit 3", "signer failed: ./it: found exit status: 3"),
        ("kill -9 $$", "signer failed: ./it: found signal: 9"),
        ("true", "signer failed: ./it: printed nothing, expected the tar of an OCI layout"),
        ("echo garbage", "not a signature: what ./it printed: not an image: stdout: found no tar header"),
        ("echo '{}'", "not a signature: what ./it printed: not a Sigstore bundle: stdout: missing field"),
        ("cat other.tar", "not a signature: what ./it printed: found a layout without an artifact"),
        ("cat two.tar", "found the subject sha256:"),
        ("cat docker.tar", "found no index.json of an OCI layout"),
        ("head -c 5000 signed.tar", "not a signature: what ./it printed: "),
        ("cat signed.tar; exit 1", "signer failed: ./it: found exit status: 1"),
        ("exec cat /dev/zero", "signer failed: ./it: printed more than 67108864 bytes"),
    ] {
        place.ok("copy oci:one docker.tar");
        program("it", script);
        let told = place.fail("sign one --with ./it");
        assert!(told.contains(&format!("error: {expected}")) || told.contains(expected), "{script}: {told}");
        assert_eq!(place.ok("discover one").text(), "", "{script}");
    }
    assert!(place.fail("sign one --with ./absent").starts_with("error: cannot run: ./absent sign-oci-artifact"));
    assert!(place.run("sign one --with ./it --key ed.key").code == Some(2));
    place.check_no_leftovers();
}
