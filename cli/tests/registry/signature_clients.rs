//! cosign and skopeo verify what we sign, and we verify what cosign signs, in each of its forms.

use super::referrer_lists::pushed;
use super::referrers::printed;
use crate::support::judges::Judges;
use crate::support::keys::keys;
use crate::support::registry::Registry;
use crate::support::today::Today;
use crate::support::{Place, answer, output};
use serde_json::{Value, json};
use std::process::{Command, Output};

const FLAGS: &str = "--allow-insecure-registry --allow-http-registry";
pub const VERIFY: &str = "--allow-insecure-registry --allow-http-registry --insecure-ignore-tlog";
/// The password of cosign's key, which no output may tell.
const PASSWORD: &str = "hunter2";
/// The type of the statement that signs an image and says no more.
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// A registry with an image, keys, and cosign.
pub struct Setting {
    pub place: Place,
    pub judges: Judges,
    pub registry: Registry,
    pub name: String,
}

impl Setting {
    #[track_caller]
    fn find() -> Option<Setting> {
        let place = Place::new();
        let (registry, name, _) = pushed(&place)?;
        Setting::of(place, registry, name)
    }

    /// With an image that is in the registry, or will be.
    #[track_caller]
    pub fn of(place: Place, registry: Registry, name: String) -> Option<Setting> {
        let judges = Judges::find()?;
        keys(&place);
        // Without one cosign asks Sigstore's servers for the keys of logs that it then ignores.
        place.write("root.json", r#"{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#);
        Some(Setting { place, judges, registry, name })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.judges.command(&format!("cosign {line}"), self.place.path());
        command.env("COSIGN_PASSWORD", PASSWORD).env("COSIGN_EXPERIMENTAL", "1");
        command
    }

    #[track_caller]
    pub fn cosign(&self, line: &str) -> String {
        output(&mut self.command(line))
    }

    pub fn try_cosign(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Signs with cosign's encrypted key.
    #[track_caller]
    fn sign(&self, line: &str) -> String {
        let mut command = self.place.command(&format!("sign {} {line}", self.name));
        let text = output(command.env("COSIGN_PASSWORD", PASSWORD));
        assert!(!text.contains(PASSWORD), "{text}");
        text
    }

    /// What is verified with a key: types of statements, none for a signature, and forms.
    #[track_caller]
    fn verified(&self, key: &str) -> Vec<(Option<String>, String)> {
        let found = answer(&self.place.ok(&format!("verify {} --key {key} --json", self.name)).stdout, "verified");
        let text = |it: &Value| it.as_str().map(str::to_owned);
        let pair = |it: &Value| (text(&it["predicateType"]), text(&it["form"]).unwrap());
        found["signatures"].as_array().unwrap().iter().map(pair).collect()
    }
}

/// The older form, which is all that `cosign verify` of cosign 2.5 looks for, and the bundle; a signature and a statement each.
#[test]
fn cosign_verifies() {
    let Some(setting) = Setting::find() else { return };
    let Setting { place, name, .. } = &setting;
    let bundles = format!("{VERIFY} --new-bundle-format --trusted-root root.json");
    for key in ["cosign", "ed"] {
        let before = setting.try_cosign(&format!("verify {VERIFY} --key {key}.pub {name}"));
        assert!(!before.status.success());
        setting.sign(&format!("--key {key}.key --form both"));
        setting.sign(&format!("--key {key}.key --form both --attest sbom.json --type spdx"));
        let claims = setting.cosign(&format!("verify {VERIFY} --key {key}.pub {name}"));
        let claims: Value = serde_json::from_str(claims.lines().find(|line| line.starts_with('[')).unwrap()).unwrap();
        let identity = &claims[0]["critical"]["identity"]["docker-reference"];
        assert_eq!(identity, name.trim_end_matches(":1"));
        setting.cosign(&format!("verify-attestation {VERIFY} --key {key}.pub --type spdxjson {name}"));
        for kind in ["spdxjson", SIGN] {
            setting.cosign(&format!("verify-attestation {bundles} --key {key}.pub --type {kind} {name}"));
        }
    }
    for other in ["ec.pub --type spdxjson", "ed.pub --type cyclonedx"] {
        assert!(!setting.try_cosign(&format!("verify-attestation {bundles} --key {other} {name}")).status.success());
    }
    // The bundle as a file, over the manifest as one.
    let image = printed(place, &format!("manifest {name}"));
    place.write("manifest.json", image);
    place.ok(&format!("copy --referrers registry:{name} oci:copied"));
    let found = answer(&place.ok("verify oci:copied --key ed.pub --json").stdout, "verified");
    let found = found["signatures"].as_array().unwrap();
    let signature = found.iter().find(|it| it["form"] == "bundle" && it["predicateType"].is_null()).unwrap();
    let blob = |digest: &Value| format!("copied/blobs/{}", digest.as_str().unwrap().replace(':', "/"));
    let layer = &place.json(&blob(&signature["manifest"]))["layers"][0];
    let bundle = blob(&layer["digest"]);
    let flags = "--insecure-ignore-tlog --new-bundle-format --trusted-root root.json";
    setting
        .cosign(&format!("verify-blob-attestation {flags} --key ed.pub --type {SIGN} --bundle {bundle} manifest.json"));
    let other = format!("verify-blob-attestation {flags} --key ec.pub --type {SIGN} --bundle {bundle} manifest.json");
    assert!(!setting.try_cosign(&other).status.success());
}

/// Under a tag, as a referrer in the older form, as bundles, and as a bundle of a file that `attach` attached.
#[test]
fn what_cosign_signs_is_verified() {
    let Some(setting) = Setting::find() else { return };
    let Setting { place, name, .. } = &setting;
    let told = place.fail(&format!("verify {name} --key cosign.pub"));
    assert!(
        told.starts_with(&format!("error: not signed by the key: registry:{name}: found no signature\n")),
        "{told}"
    );
    let flags = format!("{FLAGS} --tlog-upload=false -y --key cosign.key");
    // Each beside ours, in a list and a tag that both write to.
    setting.sign("--key ed.key --form both");
    setting.cosign(&format!("sign {flags} {name}"));
    assert_eq!(setting.verified("cosign.pub"), [(None, "tag".to_owned())]);
    setting.cosign(&format!("sign {flags} --registry-referrers-mode oci-1-1 {name}"));
    setting.cosign(&format!("attest {flags} --type spdxjson --predicate sbom.json {name}"));
    setting.cosign(&format!("attest {flags} --new-bundle-format --type cyclonedx --predicate sbom.json {name}"));
    place.write("manifest.json", place.ok(&format!("manifest {name}")).stdout);
    let line = "--tlog-upload=false -y --key cosign.key --new-bundle-format --bundle file.json manifest.json";
    setting.cosign(&format!("sign-blob {line}"));
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    place.ok(&format!("attach {name} file.json --type {kind}"));
    let mut found = setting.verified("cosign.pub");
    found.sort();
    let pair = |kind: Option<&str>, form: &str| (kind.map(str::to_owned), form.to_owned());
    let expected = [
        pair(None, "bundle"),
        pair(None, "tag"),
        pair(None, "tag"),
        pair(Some("https://cyclonedx.org/bom"), "bundle"),
        pair(Some("https://spdx.dev/Document"), "tag"),
    ];
    assert_eq!(found, expected);
    // In that mode cosign writes all that is under the tag, ours too.
    let mut ours = setting.verified("ed.pub");
    ours.sort();
    ours.dedup();
    assert_eq!(ours, [pair(None, "bundle"), pair(None, "tag")]);
    setting.cosign(&format!("verify {VERIFY} --key ed.pub {name}"));
    let predicate = place.ok(&format!("verify {name} --key cosign.pub --type cyclonedx --predicate-only"));
    assert_eq!(serde_json::from_slice::<Value>(&predicate.stdout).unwrap(), place.json("sbom.json"));
    let told = place.fail(&format!("verify {name} --key ed.pub --type cyclonedx"));
    assert!(told.starts_with("error: no signed statement of the type https://cyclonedx.org/bom: "), "{told}");
    assert!(told.contains("signatures by another key"), "{told}");
}

/// The program of docs/signing.md for `--with`.
#[test]
fn cosign_as_the_program_that_signs() {
    let Some(setting) = Setting::find() else { return };
    let Setting { place, name, .. } = &setting;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/signing.md")).unwrap();
    let script = page.split("```sh sign-by-cosign\n").nth(1).unwrap().split("```").next().unwrap();
    place.write_mode("sign-by-cosign", script, 0o755);
    let cosign = setting.command("").get_program().to_owned();
    let path = std::path::Path::new(&cosign).parent().unwrap();
    let line = format!("sign {name} --with ./sign-by-cosign -- --key cosign.key --tlog-upload=false");
    let mut command = place.command(&line);
    let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
    output(command.env("PATH", path).env("COSIGN_PASSWORD", PASSWORD).env("HOME", place.path()));
    assert_eq!(setting.verified("cosign.pub"), [(None, "bundle".to_owned())]);
    let bundles = format!("{VERIFY} --new-bundle-format --trusted-root root.json --type {SIGN}");
    setting.cosign(&format!("verify-attestation {bundles} --key cosign.pub {name}"));
}

/// policy.json of containers/image, which podman reads too.
#[test]
fn skopeo_verifies() {
    let Some(today) = Today::find() else { return };
    let place = Place::new();
    let Some((_registry, name, _)) = pushed(&place) else { return };
    keys(&place);
    place.ok(&format!("sign {name} --key ec.key --form tag"));
    place.write("registries.d/default.yaml", "default-docker:\n  use-sigstore-attachments: true\n");
    let copy = |key: &str| {
        let rule = json!([{"type": "sigstoreSigned", "keyPath": place.join(key), "signedIdentity": {"type": "matchRepository"}}]);
        let policy = json!({"default": [{"type": "reject"}], "transports": {"docker": {"": rule}}});
        place.write("policy.json", policy.to_string());
        let flags = ["policy.json", "registries.d", "out"].map(|name| place.join(name).display().to_string());
        let [policy, registries, out] = flags;
        let line = format!(
            "skopeo --policy {policy} --registries.d {registries} copy -q --src-tls-verify=false --remove-signatures \
             docker://{name} oci:{out}:1"
        );
        today.command(&line).output().unwrap()
    };
    let taken = copy("ec.pub");
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let refused = copy("ed.pub");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("signature verification failed"));
}
