//! Images of registries: as archives, blob by blob, and with credentials.

use super::machine::Machine;
use crate::support::archive::manifest;
use crate::support::proxy::Tunnel;
use crate::support::registry::{Certificates, Registry, root, spec};
use crate::support::{Place, Run, output, require_root, require_tool};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// A password, and what it is in base 64 behind `user:`.
const SECRET: &str = "correct-horse-battery";
const AUTH: &str = "dXNlcjpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=";

/// An image of a registry, by what `layerstone prefetch` prints.
#[test]
fn archives() {
    let Some(machine) = Machine::find() else { return };
    if !require_tool("docker-registry") {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let built = machine.build(r#"layerstone.buildImage { name = "base"; tag = "1"; copyToRoot = hello; }"#);
    let layerstone = || Command::new(env!("CARGO_BIN_EXE_layerstone"));
    let reference = format!("{}/team/base:1", registry.host());
    output(layerstone().arg("copy").arg(machine.locate(built.path())).arg(format!("registry:{reference}")));
    let facts = output(layerstone().args(["prefetch", &reference, "--as", "team/base:1"]));
    let pull = format!(r#"layerstone.pullImage ({facts} // {{ tlsVerify = false; }})"#);
    let told = machine.value(&format!("{{ inherit ({pull}) name imageName imageTag; }}"));
    let expected = json!({"name": "docker-image-team-base-1.tar", "imageName": "team/base", "imageTag": "1"});
    assert_eq!(told, expected);
    let pulled = machine.build(&pull);
    assert_eq!(manifest(&machine.read(pulled.path()))["RepoTags"], json!(["team/base:1"]));
    let on_top =
        format!(r#"layerstone.buildLayeredImage {{ name = "top"; fromImage = {pull}; compressor = "none"; }}"#);
    let on_top = machine.build(&on_top);
    assert_eq!(manifest(&machine.read(on_top.path()))["Layers"].as_array().unwrap().len(), 2);
    // It goes on as it is.
    let copy = machine.build(&format!("({pull}).copyTo"));
    machine.ok(&format!("{}/bin/copy-to", copy.path()), &["oci:copied"]);
    assert!(machine.place.join("copied/index.json").exists());
    // Other bytes than those that were meant.
    let wrong = pull.replace("tlsVerify", r#"hash = null; sha256 = builtins.hashString "sha256" "other"; tlsVerify"#);
    let run = machine.try_build(&[], &wrong);
    assert!(run.code != Some(0) && run.stderr.contains("hash mismatch"), "{}", run.stderr);
}

/// Puts an image of the synthetic store into a registry, once for each of these names, with configs of their own.
fn push(registry: &Registry, names: &[&str], flags: &str) {
    for name in names {
        let place = Place::new();
        spec(&place, json!({"config": {"Labels": {"name": name}}}));
        place.ok(&format!("push image.json {}/{name} {} {flags}", registry.host(), root()));
    }
}

/// An image of a lock file, in a registry of this address.
fn by_manifest(registry: &Registry, name: &str, more: &str) -> String {
    let host = registry.host();
    format!(
        r#"(layerstone.pullImageFromManifest {{ imageName = "{name}"; registryUrl = "{host}"; tlsVerify = false; {more} }})"#
    )
}

/// The manifest is a lock file, which a program writes; each blob is fetched once, whatever images it is in.
#[test]
fn by_manifests() {
    let Some(machine) = Machine::find() else { return };
    let Some(registry) = Registry::start() else { return };
    push(&registry, &["team/base:1", "team/other:2"], "");
    let lock = |name: &str, tag: &str| {
        let getter =
            machine.build(&format!("{}.getManifest", by_manifest(&registry, name, &format!(r#"imageTag = "{tag}";"#))));
        let bytes = machine.ok(&format!("{}/bin/get-manifest", getter.path()), &[]).stdout;
        let digest = registry.descriptor(name, tag)["digest"].as_str().unwrap().to_owned();
        assert!(registry.blob(&digest).as_ref() == Some(&bytes), "{name}");
        let file = machine.place.write(&format!("{tag}.json"), &bytes);
        let image =
            by_manifest(&registry, name, &format!(r#"imageTag = "{tag}"; imageManifest = {};"#, file.display()));
        (image, digest, serde_json::from_slice::<Value>(&bytes).unwrap()["layers"].as_array().unwrap().len())
    };
    let (one, digest, layers) = lock("team/base", "1");
    let (other, ..) = lock("team/other", "2");
    let text = format!(
        r#"let one = {one}; other = {other}; in [
            one other
            (layerstone.buildLayeredImage {{ name = "top"; tag = "1"; compressor = "none"; fromImage = one; contents = hello; }})
            (layerstone.buildImage {{ name = "single"; tag = "1"; compressor = "none"; fromImage = one; }})
            (layerstone.mergeImages [ one (layerstone.buildImage {{ name = "more"; tag = "1"; compressor = "none"; }}) ])
            (layerstone.exportImage {{ fromImage = one; }})
            one.copyTo
        ]"#
    );
    let built = machine.build(&text);
    let [one, other, top, single, merged, exported, copy] = &built.paths[..] else { panic!("{built:?}") };
    // The layers of both are the same, their configs are not.
    let fetched = built.names().into_iter().filter(|name| name.starts_with("blob-")).count();
    assert_eq!(fetched, layers + 2, "{}", built.log);
    let ours = env!("CARGO_BIN_EXE_layerstone");
    for (image, tag) in [(one, "1"), (other, "2")] {
        machine.ok(ours, &["check", &format!("oci:{image}")]);
        let name = machine.ok(ours, &["inspect", image]);
        assert!(name.text().contains(&format!(":{tag}")), "{}", name.text());
    }
    assert_eq!(machine.ok(ours, &["digest", one]).text(), format!("{digest}\n"));
    let tar = |path: &str| manifest(&machine.read(path));
    assert!(tar(top)["Layers"].as_array().unwrap().len() > layers);
    assert_eq!(tar(single)["Layers"].as_array().unwrap().len(), layers + 1);
    assert!(String::from_utf8(machine.read(merged)).is_err() && !machine.read(exported).is_empty());
    machine.ok(&format!("{copy}/bin/copy-to"), &["oci:copied"]);
    assert_eq!(machine.ok(ours, &["digest", "oci:copied"]).text(), format!("{digest}\n"));
}

/// Of an index, the manifest for the platform that is asked for.
#[test]
fn manifests_of_an_index() {
    let Some(machine) = Machine::bare() else { return };
    let Some(registry) = Registry::start() else { return };
    push(&registry, &["team/all:amd"], "");
    let place = Place::new();
    spec(&place, json!({"architecture": "arm64"}));
    place.ok(&format!("push image.json {}/team/all:arm {}", registry.host(), root()));
    let all = ["all", "amd", "arm"].map(|tag| format!("registry:{}/team/all:{tag}", registry.host()));
    place.ok(&format!("index {} {} -o {}", all[1], all[2], all[0]));
    let get = |more: &str| {
        let image = by_manifest(&registry, "team/all", more);
        let getter = machine.build(&format!("{image}.getManifest"));
        machine.run(&format!("{}/bin/get-manifest", getter.path()), &[])
    };
    for (more, tag) in
        [(r#"imageTag = "all"; arch = "amd64";"#, "amd"), (r#"imageTag = "all"; arch = "arm64";"#, "arm")]
    {
        let digest = registry.descriptor("team/all", tag)["digest"].as_str().unwrap().to_owned();
        assert!(registry.blob(&digest) == Some(get(more).stdout), "{more}");
    }
    let none = get(r#"imageTag = "all"; arch = "riscv64";"#);
    assert!(none.code == Some(1) && none.stderr.contains("no image for linux/riscv64"), "{}", none.stderr);
}

/// Credentials reach what downloads by each variable, and a script that writes a netrc file; they are in no store path.
#[test]
fn credentials() {
    let Some(machine) = Machine::find() else { return };
    if !require_tool("htpasswd") {
        return;
    }
    let Some(registry) = Registry::with_password(SECRET) else { return };
    let file = machine.place.write("auth.json", json!({"auths": {registry.host(): {"auth": AUTH}}}).to_string());
    machine.place.write("docker/config.json", machine.place.read("auth.json"));
    machine.place.write("netrc", format!("machine 127.0.0.1 login user password {SECRET}\n"));
    let names = ["team/a:1", "team/b:1", "team/c:1", "team/d:1", "team/e:1"];
    push(&registry, &names, &format!("--authfile {}", file.display()));
    let config = |name: &str, more: &str| {
        let descriptor = registry.descriptor(name, "1");
        let manifest = registry.blob(descriptor["digest"].as_str().unwrap()).unwrap();
        let lock = machine.place.write(&format!("{name}.json"), manifest);
        format!(
            "builtins.head {}.blobs",
            by_manifest(&registry, name, &format!("imageManifest = {}; {more}", lock.display()))
        )
    };
    let build = |text: &str, variables: &[(&str, &str)]| {
        let expression = machine.expression(text);
        let mut command = machine.command("nix-build");
        command.args(["--no-out-link", "-E", &expression]).envs(variables.iter().copied());
        let run: Run = command.output().unwrap().into();
        assert!(!format!("{}{}", run.text(), run.stderr).contains(SECRET), "{}", run.stderr);
        run
    };
    let refused = build(&config("team/a", ""), &[]);
    assert!(refused.code != Some(0) && refused.stderr.contains("no credentials for it"), "{}", refused.stderr);
    let text = String::from_utf8(machine.place.read("auth.json")).unwrap();
    let path = |name: &str| machine.place.join(name).display().to_string();
    let phase = r#"netrcImpureEnvVars = [ "PASSWORD" ]; netrcPhase = ''
        echo "machine 127.0.0.1 login user password $PASSWORD" >netrc
    '';"#;
    for (name, more, variable, value) in [
        ("team/a", "", "DOCKER_AUTH_CONFIG", &*text),
        ("team/b", "", "REGISTRY_AUTH_FILE", &path("auth.json")),
        ("team/c", "", "DOCKER_CONFIG", &path("docker")),
        ("team/d", "", "NETRC", &path("netrc")),
        ("team/e", phase, "PASSWORD", SECRET),
    ] {
        let run = build(&config(name, more), &[(variable, value)]);
        assert_eq!(run.code, Some(0), "{variable}: {}", run.stderr);
    }
    let layer =
        config("team/e", r#"netrcPhase = ": nothing";"#).replace("builtins.head ", "(at: builtins.elemAt at 1) ");
    let nothing = build(&layer, &[]);
    let told = "error: netrcPhase: found no file netrc, expected one that it writes";
    assert!(nothing.code != Some(0) && nothing.stderr.contains(told), "{}", nothing.stderr);
    let store = machine.place.join("nix/store");
    for secret in [SECRET, AUTH] {
        let mut grep = Command::new("grep");
        let found =
            grep.args(["--recursive", "--files-with-matches", "--fixed-strings", secret]).arg(&store).output().unwrap();
        assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
}

/// In a sandbox too, where a setting shows the file of an authority of the user's own: a proxy leads to a registry of another
/// name.
#[test]
fn in_a_sandbox() {
    let Some(machine) = Machine::bare() else { return };
    if !require_root() || !require_tool("openssl") {
        return;
    }
    let certificates = Certificates::make(&machine.place.join(""), "DNS:registry.example");
    let Some(registry) = Registry::with(&certificates.config(), |_| String::new()) else { return };
    push(&registry, &["team/base:1"], "");
    let descriptor = registry.descriptor("team/base", "1");
    let lock = registry.blob(descriptor["digest"].as_str().unwrap()).unwrap();
    let lock = machine.place.write("lock.json", lock);
    let text = format!(
        r#"layerstone.pullImageFromManifest {{
            imageName = "team/base"; registryUrl = "registry.example"; imageManifest = {};
        }}"#,
        lock.display()
    );
    let proxy = Tunnel::to(registry.host());
    let build = |authority: &Path| {
        // Our binary, as these tests have it, is not static.
        let shown = format!("/lib /lib64 /usr/lib {}", certificates.ca.display());
        let mut command = machine.command("nix-build");
        command.args(["--no-out-link", "--option", "sandbox", "true", "--option", "sandbox-paths", &shown]);
        command.arg("-E").arg(machine.expression(&text));
        command.env("https_proxy", format!("http://{}", proxy.host())).env("NIX_SSL_CERT_FILE", authority);
        Run::from(command.output().unwrap())
    };
    let unknown = build(Path::new("/no-cert-file.crt"));
    assert!(unknown.code != Some(0) && unknown.stderr.contains("UnknownIssuer"), "{}", unknown.stderr);
    let built = build(&certificates.ca);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(proxy.asked().iter().all(|asked| asked.target == "registry.example:443"));
}
