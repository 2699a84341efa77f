//! What is used or stored only if it is signed, by keys and by policies.

use super::referrers::printed;
use super::signatures::{held, setting};
use crate::support::answer;
use crate::support::referrer_registry::{USUAL, start};
use serde_json::{Value, json};

/// Nothing is stored or built on that is not signed.
#[test]
fn only_what_is_signed() {
    let (place, _) = setting();
    let (server, _, name) = held(&place, USUAL);
    std::fs::remove_dir_all(place.join("one")).unwrap();
    place.ok("demo -o oci:one -q");
    let image = printed(&place, "digest oci:one");
    place.ok(&format!("push oci:one {name}"));
    let lines = [
        format!("pull {name} -o out.tar"),
        format!("copy registry:{name} oci:out"),
        "copy oci:one oci:out".to_owned(),
        format!("build --name x --base registry:{name} -o out.tar"),
        "build --name x --base oci:one -o out.tar".to_owned(),
        format!("build --name x --base registry:{name} -o oci:out"),
    ];
    let before = place.listing();
    for line in &lines {
        let told = place.fail(&format!("{line} --verify-key ed.pub --verify-key cosign.pub"));
        assert!(told.contains("error: not signed by the key: ") && told.contains("found no signature"), "{told}");
        assert_eq!(place.listing(), before, "{line}");
    }
    place.ok(&format!("sign {name} --key ed.key"));
    place.ok("sign one --key ed.key");
    for line in &lines {
        let told = place.fail(&format!("{line} --verify-key ec.pub"));
        assert!(told.contains("found 1 signature by another key"), "{told}");
        let run = place.ok(&format!("{line} --verify-key ec.pub --verify-key ed.pub"));
        assert!(run.stderr.contains(&format!("{image} is signed by ed.pub")), "{}", run.stderr);
        let _ = (std::fs::remove_file(place.join("out.tar")), std::fs::remove_dir_all(place.join("out")));
    }
    let told = place.fail(&format!("pull {name} -o x.tar --verify-key ABSENT"));
    assert!(told.starts_with("error: cannot read: ABSENT") || told.starts_with("error: cannot read ABSENT"), "{told}");
    drop(server);
}

/// The index is signed, and so is what it lists; one image of it may be signed alone.
#[test]
fn several_platforms() {
    let (place, _) = setting();
    for arch in ["amd64", "arm64"] {
        place.ok(&format!("build --name web --arch {arch} -o {arch}.tar"));
    }
    place.ok("index amd64.tar arm64.tar -o oci:both --as web:1");
    place.ok("sign both --key ed.key");
    place.ok("verify both --key ed.pub");
    let one = answer(&place.ok("verify both --platform linux/arm64 --key ed.pub --json").stdout, "verified");
    assert_eq!(one["index"], one["signatures"][0]["about"]);
    assert_ne!(one["subject"]["digest"], one["index"]);
    place.ok("copy oci:both oci:arm --platform linux/arm64 --verify-key ed.pub");
    place.ok("copy oci:both oci:all --all --verify-key ed.pub");
    place.ok("sign both --platform linux/arm64 --key ec.key");
    place.ok("copy oci:both oci:arm2 --platform linux/arm64 --verify-key ec.pub");
    place.fail("copy oci:both oci:amd2 --platform linux/amd64 --verify-key ec.pub");
    place.fail("copy oci:both oci:all2 --all --verify-key ec.pub");
    place.fail("verify both --key ec.pub");
    place.ok("verify both --key ec.pub --platform linux/arm64");
}

/// The trust part of policies, by `verify` and by `check`.
#[test]
fn by_policy() {
    let (place, _) = setting();
    std::fs::remove_dir_all(place.join("one")).unwrap();
    place.ok("demo -o oci:one -q");
    let image = printed(&place, "digest oci:one");
    let policy = |images: Value| {
        let keys = json!({"release": "../ed.pub", "ci": crate::support::keys::sample_key::P256_PUBLIC});
        place.write("policies/p.json", json!({"trust": {"keys": keys, "images": images}}).to_string());
    };
    let spdx = json!([{"type": "spdx", "signedBy": ["ci"]}]);
    policy(json!([{"signedBy": ["release"], "attestations": spdx, "digests": [image]}]));
    let rules = |line: &str| -> Vec<String> {
        let run = place.run(line);
        let findings = answer(&run.stdout, line.split(' ').next().unwrap().replace("verify", "verified").as_str());
        let findings = findings.get("findings").unwrap_or(&findings["images"][0]["findings"]).clone();
        assert_eq!(run.code, Some(i32::from(findings != json!([]))), "{line}: {}", run.stderr);
        findings.as_array().unwrap().iter().map(|it| it["rule"].as_str().unwrap().to_owned()).collect()
    };
    let lines = ["verify one --policy policies/p.json --json", "check oci:one --policy policies/p.json --json"];
    lines.iter().for_each(|line| assert_eq!(rules(line), ["trust.signedBy", "trust.attestations"]));
    let told = place.run("verify one --policy policies/p.json");
    assert!(told.text().contains("  trust.signedBy: found no signature by release\n"), "{}", told.text());
    assert!(told.stderr.starts_with("error: not trusted by the policy: found 2 faults: one"), "{}", told.stderr);
    place.ok("sign one --key ed.key");
    place.ok("sign one --key ed.key --attest sbom.json --type spdx");
    lines.iter().for_each(|line| assert_eq!(rules(line), ["trust.attestations"]));
    place.ok("sign one --key ec.key --attest sbom.json --type spdx");
    lines.iter().for_each(|line| assert!(rules(line).is_empty()));
    assert_eq!(place.ok("verify one --policy policies/p.json").text(), format!("{image}  trusted by the policy\n"));
    // The same offline, of an archive, and in a registry.
    place.ok("copy --referrers oci:one oci-archive:one.tar");
    place.ok("verify one.tar --policy policies/p.json");
    let (server, _) = start(USUAL);
    place.ok(&format!("push --referrers oci:one {}/team/web:1", server.host()));
    policy(json!([{"match": format!("{}/team/*", server.host()), "signedBy": ["release"]}]));
    place.ok(&format!("verify {}/team/web:1 --policy policies/p.json", server.host()));
    place.ok(&format!("check registry:{}/team/web:1 --policy policies/p.json", server.host()));
    assert_eq!(rules("verify one --policy policies/p.json --json"), ["trust.images"]);
    place.ok("copy oci:one docker.tar");
    assert_eq!(rules("check docker.tar --policy policies/p.json --json"), ["trust.images"]);
    // What is no policy of whom to trust.
    place.write("none.json", "{}");
    let told = place.fail("verify one --policy none.json");
    assert!(told.starts_with("error: no trust in the policy: none.json: expected trust.images\nhint: {"), "{told}");
    place.write("none.json", r#"{"trust": {"keys": {"a": "absent.pub"}, "images": [{"signedBy": ["a"]}]}}"#);
    let told = place.fail("verify one --policy none.json");
    assert!(told.starts_with("error: trust.keys: a: none.json: cannot read: absent.pub: No such file"), "{told}");
    place.write("none.json", r#"{"trust": {"keys": {"a": "ed.key"}, "images": [{"signedBy": ["a"]}]}}"#);
    let told = place.fail("verify one --policy none.json");
    assert!(told.starts_with("error: trust.keys: a: none.json: not a public key: a: found a private key"), "{told}");
}
