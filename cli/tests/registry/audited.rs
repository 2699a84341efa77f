//! All that an auditor asks for, of an image of real packages in a registry: oras finds the bill of materials and the
//! provenance, the libraries of their makers take them, cosign and the image's policy verify who signed what.

use super::signature_clients::{Setting, VERIFY};
use crate::sbom::{judged, judges};
use crate::support::lab::Lab;
use crate::support::registry::Registry;
use crate::support::{Place, answer};
use serde_json::{Value, json};

/// Files that `push` attaches, as oras pulls them; the types that we and cosign call their statements.
const ATTACHED: [(&str, &str, &str); 2] =
    [("sbom.cdx.json", "cyclonedx", "cyclonedx"), ("provenance.intoto.json", "provenance", "slsaprovenance1")];

#[test]
fn found_and_verified_by_others() {
    let (Some(lab), Some(libraries), Some(registry)) = (Lab::find("medium"), judges(), Registry::start()) else {
        return;
    };
    let name = format!("{}/team/tools:1", registry.host());
    let Some(setting) = Setting::of(Place::new(), registry, name) else { return };
    let Setting { place, judges, registry, name } = &setting;
    let spec = json!({"name": "tools", "tag": "1", "contents": [lab.env], "graph": lab.graph()});
    place.write("image.json", spec.to_string());
    let policy = json!({"trust": {
        "keys": {"release": "ed.pub", "ci": "ec.pub"},
        "images": [{"match": format!("{}/team/*", registry.host()), "signedBy": ["release"], "attestations": [
            {"type": "cyclonedx", "signedBy": ["release"]},
            {"type": "provenance", "signedBy": ["release"]},
        ]}],
    }});
    place.write("policy.json", policy.to_string());
    let builder = "https://ci.example/runner@v1";
    let flags = format!("--compression zstd --level 1 --sbom cyclonedx --provenance --builder-id {builder}");
    place.ok(&format!("push image.json {name} {flags}"));
    let image = String::from_utf8(place.ok(&format!("digest {name}")).stdout).unwrap().trim().to_owned();

    let listed = judges.run(&format!("oras discover --plain-http --format json {name}"), place.path());
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed = listed["manifests"].as_array().unwrap();
    assert_eq!(listed.len(), ATTACHED.len(), "{listed:?}");
    for one in listed {
        let reference = format!("{}@{}", name.trim_end_matches(":1"), one["digest"].as_str().unwrap());
        judges.run(&format!("oras pull --plain-http {reference}"), place.path());
    }
    for (file, kind, _) in ATTACHED {
        assert_eq!(judged(place, &libraries, kind, file), "", "{file}");
    }
    let bill = place.json("sbom.cdx.json");
    let mut paths: Vec<&Value> = bill["components"].as_array().unwrap().iter().map(|it| &it["bom-ref"]).collect();
    paths.sort_by_key(|it| it.as_str());
    let infos = lab.infos();
    let mut expected: Vec<&Value> = infos.iter().map(|it| &it["path"]).collect();
    expected.sort_by_key(|it| it.as_str());
    assert_eq!(paths, expected);
    let statement = place.json("provenance.intoto.json");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], image.trim_start_matches("sha256:"));
    assert_eq!(statement["predicate"]["runDetails"]["builder"]["id"], builder);

    // Nobody has signed anything yet.
    let run = place.run(&format!("verify {name} --policy policy.json --json"));
    let rules: Vec<Value> =
        answer(&run.stdout, "verified")["findings"].as_array().unwrap().iter().map(|it| it["rule"].clone()).collect();
    assert_eq!(rules, ["trust.signedBy", "trust.attestations", "trust.attestations"]);
    place.ok(&format!("sign {name} --key ed.key --form both"));
    for (file, kind, _) in ATTACHED {
        place.ok(&format!("sign {name} --key ed.key --form both --attest {file} --type {kind}"));
    }
    place.ok(&format!("verify {name} --policy policy.json"));
    setting.cosign(&format!("verify {VERIFY} --key ed.pub {name}"));
    for (_, _, kind) in ATTACHED {
        setting.cosign(&format!("verify-attestation {VERIFY} --key ed.pub --type {kind} {name}"));
        let bundles = format!("{VERIFY} --new-bundle-format --trusted-root root.json --type {kind}");
        setting.cosign(&format!("verify-attestation {bundles} --key ed.pub {name}"));
        for other in [format!("{VERIFY} --type {kind}"), bundles] {
            assert!(!setting.try_cosign(&format!("verify-attestation {other} --key ec.pub {name}")).status.success());
        }
    }
    assert!(!setting.try_cosign(&format!("verify {VERIFY} --key ec.pub {name}")).status.success());

    // All of it comes along to a directory, where the policy holds without a network; another image under the name is refused.
    place.ok(&format!("copy --referrers registry:{name} oci:copied"));
    place.write("policy.json", policy.to_string().replace(&format!("{}/team/*", registry.host()), "**"));
    place.ok("verify oci:copied --policy policy.json");
    let mut other = spec;
    other["config"] = json!({"Env": ["A=B"]});
    place.write("other.json", other.to_string());
    place.ok(&format!("push other.json {name} --compression zstd --level 1"));
    let refused = place.run(&format!("verify {name} --policy policy.json"));
    assert!(refused.stderr.starts_with("error: not trusted by the policy: found 3 faults: "), "{}", refused.stderr);
}
