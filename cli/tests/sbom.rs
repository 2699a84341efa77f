//! Bills of materials: validated by the libraries of their makers, compared with that of syft, the same everywhere.

mod facts;
mod planned;

use crate::support::{Place, require_tool, skip, synth, test_name};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where `.ci/judges.txt` is installed; or the running test is skipped.
#[track_caller]
pub fn judges() -> Option<PathBuf> {
    let found = std::env::var_os("LAYERSTONE_JUDGES").map(PathBuf::from);
    if found.is_none() {
        skip(&test_name(), "no LAYERSTONE_JUDGES, the directory that pip installed .ci/judges.txt into");
    }
    found
}

/// What a judge prints of a file.
#[track_caller]
pub fn judged(place: &Place, judges: &PathBuf, kind: &str, file: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sbom/judge.py");
    let mut command = Command::new("/usr/bin/python3");
    command.args([script, kind, file]).env("PYTHONPATH", judges).current_dir(place.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A place with an image of the synthetic store over a Debian of two packages, once with Nix's database and once without.
fn place() -> Place {
    let place = Place::new();
    let spec = json!({
        "name": "registry.example/team/x", "tag": "1", "contents": [synth().path("root-env")], "graph": synth().graph,
    });
    place.write("plain.json", spec.to_string());
    let mut with_database = spec;
    with_database["includeNixDB"] = true.into();
    place.write("database.json", with_database.to_string());
    let root = format!("--root {}", synth().root.display());
    place.ok(&format!("build plain.json {root} -o oci:plain"));
    place.ok(&format!("build database.json {root} -o database.tar"));
    place
}

/// Every path of the synthetic store, with all that evaluation may know of it.
fn meta() -> String {
    let path = synth().path("bash-5.2");
    let known = json!({
        "name": "bash", "version": "5.2.37", "supplier": "GNU", "description": "A shell", "homepage": "https://gnu.example/bash",
        "licenses": [{"spdxId": "GPL-3.0-or-later"}, {"name": "own, of ours"}],
        "cpes": ["cpe:2.3:a:gnu:bash:5.2.37:*:*:*:*:*:*:*"], "purl": "pkg:generic/bash@5.2.37", "patches": ["https://x.example/p"],
    });
    json!({"format": "layerstone/meta", "version": 1, "paths": {path: known}}).to_string()
}

#[test]
fn valid_in_every_format() {
    let Some(judges) = judges() else { return };
    let place = place();
    place.write("meta.json", meta());
    let graph = synth().graph.display();
    for (source, name) in [
        (graph.to_string(), "closure"),
        (format!("plain.json --root {}", synth().root.display()), "spec"),
        (format!("oci:plain --graph {graph} --meta meta.json --supplier Us"), "image"),
        ("database.tar".to_owned(), "database"),
    ] {
        for format in ["cyclonedx", "spdx", "spdx3"] {
            let file = format!("{name}.{format}.json");
            place.ok(&format!("sbom {source} --format {format} -o {file}"));
            assert_eq!(judged(&place, &judges, format, &file), "", "{file}");
        }
    }
    let elements: Value = serde_json::from_str(&judged(&place, &judges, "ntia", "image.spdx.json")).unwrap();
    assert_eq!(elements["no supplier"], json!([]), "{elements}");
    assert_eq!(elements["no identifier"], json!([]), "{elements}");
    assert!(elements["is"].as_object().unwrap().values().all(|it| *it == true), "{elements}");
}

/// What syft finds in the files of an image is in ours, and the other way round; syft leaves out paths without a version,
/// and what follows the numbers of one.
#[test]
fn syft_finds_the_same() {
    let Some(judges) = judges() else { return };
    let place = place();
    let mut command = Command::new(judges.join("bin/syft"));
    command.args(["scan", "docker-archive:database.tar", "-q", "-o", "syft-json=syft.json"]).current_dir(place.path());
    command.env("PYTHONPATH", &judges).env("SYFT_CHECK_FOR_APP_UPDATE", "false").env("HOME", place.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let theirs: BTreeMap<String, (String, String)> = place.json("syft.json")["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["type"] == "nix")
        .map(|it| (text(&it["metadata"]["outputHash"]), (text(&it["name"]), text(&it["version"]))))
        .collect();
    place.ok("sbom database.tar -o ours.json");
    let ours: BTreeMap<String, (String, String)> = place.json("ours.json")["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let path = text(&it["bom-ref"]);
            let hash = path.rsplit('/').next().unwrap().split('-').next().unwrap().to_owned();
            (hash, (text(&it["name"]), text(&it["version"])))
        })
        .filter(|(_, (_, version))| !version.is_empty())
        .collect();
    assert!(theirs.len() > 3, "{theirs:?}");
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    for (hash, (name, version)) in &theirs {
        assert!(
            ours[hash].0 == *name && ours[hash].1.starts_with(version),
            "{hash}: {name} {version}, {:?}",
            ours[hash]
        );
    }
}

/// Hashes, layers and references of an image with a database are those of the store; without one nothing is made up.
#[test]
fn what_is_known_of_paths() {
    let place = place();
    let bill = |line: &str| -> Value { serde_json::from_slice(&place.ok(line).stdout).unwrap() };
    let bash = synth().path("bash-5.2");
    let graph = bill(&format!("inspect --json {}", synth().graph.display()));
    let entry = graph["graph"].as_array().unwrap().iter().find(|it| it["path"] == bash).unwrap().clone();
    let component =
        |bill: &Value| bill["components"].as_array().unwrap().iter().find(|it| it["bom-ref"] == bash).unwrap().clone();
    let property = |component: &Value, name: &str| {
        let mut all = component["properties"].as_array().unwrap().iter();
        all.find(|it| it["name"] == name).map(|it| it["value"].as_str().unwrap().to_owned())
    };
    let known = bill("sbom database.tar");
    assert_eq!(property(&component(&known), "nix:nar_hash").as_deref(), entry["narHash"].as_str());
    let scanned = bill("sbom oci:plain");
    assert_eq!(property(&component(&scanned), "nix:nar_hash"), None);
    assert_eq!(property(&component(&scanned), "nix:nar_size"), None);
    let needs = |bill: &Value| {
        let all = bill["dependencies"].as_array().unwrap();
        all.iter().find(|it| it["ref"] == bash).map(|it| it["dependsOn"].clone()).unwrap()
    };
    assert_eq!(needs(&known), needs(&scanned));
    let manifest: Value = serde_json::from_slice(&place.ok("manifest oci:plain").stdout).unwrap();
    let layer = property(&component(&scanned), "oci:layer:digest").unwrap();
    let holds =
        |it: &&Value| it["annotations"]["io.layerstone.store-paths"].as_str().unwrap_or_default().contains(bash);
    let holder = manifest["layers"].as_array().unwrap().iter().find(holds).unwrap();
    assert_eq!(holder["digest"], layer);
    // The digest of the manifest names the image, the name its repository.
    let digest = place.ok("digest oci:plain").text().trim().to_owned();
    let url = format!("pkg:oci/x@{digest}?repository_url=registry.example%2Fteam%2Fx&tag=1");
    assert_eq!(scanned["metadata"]["component"]["purl"], url);
    assert_eq!(scanned["metadata"]["timestamp"], "1970-01-01T00:00:01Z");
}

/// One more pass gives the sha512 of each NAR, and tells a path that is not what the closure says.
#[test]
fn sha512_of_nars() {
    let place = Place::new();
    let (graph, root) = (synth().graph.display(), synth().root.display());
    let bill: Value =
        serde_json::from_slice(&place.ok(&format!("sbom {graph} --root {root} --sha512")).stdout).unwrap();
    for component in bill["components"].as_array().unwrap() {
        let hashes: BTreeMap<&str, usize> = component["hashes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (it["alg"].as_str().unwrap(), it["content"].as_str().unwrap().len()))
            .collect();
        assert_eq!(hashes, [("SHA-256", 64), ("SHA-512", 128)].into(), "{component}");
    }
    let path = synth().path("bash-5.2");
    let wrong = json!([{"path": path, "narHash": format!("sha256:{}", "0".repeat(64)), "references": []}]);
    place.write("wrong.json", wrong.to_string());
    let run = place.run(&format!("sbom wrong.json --root {root} --sha512 -o out.json"));
    assert!(
        run.code == Some(1) && run.stderr.contains("error: wrong NAR hash: ") && run.stderr.contains(path),
        "{}",
        run.stderr
    );
    assert!(!place.join("out.json").exists());
}

/// The package URLs in the bill of an image of what lies in `base`.
#[track_caller]
fn check_packages(place: &Place, expected: &[&str]) {
    place.write("base.json", r#"{"name": "base", "copy": [{"from": "base", "to": "/"}]}"#);
    place.ok("build base.json -o base.tar");
    let bill: Value = serde_json::from_slice(&place.ok("sbom base.tar").stdout).unwrap();
    let urls: Vec<&str> = bill["components"].as_array().unwrap().iter().filter_map(|it| it["purl"].as_str()).collect();
    assert_eq!(urls, expected, "{bill:#}");
}

/// Packages of a base are listed with the system's name, by dpkg's database.
#[test]
fn packages_of_a_base() {
    let place = Place::new();
    let status = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9+deb12u1\nArchitecture: amd64\nSource: glibc\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n";
    place.write("base/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n");
    place.write("base/var/lib/dpkg/status", status);
    check_packages(&place, &["pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12"]);
}

/// Packages are listed by the database that rpm itself makes.
#[test]
fn packages_of_rpm() {
    if !require_tool("rpmbuild") {
        return;
    }
    let place = Place::new();
    let spec = "Name: tool-libs\nVersion: 3.0.7\nRelease: 24.el9\nEpoch: 1\nSummary: x\nLicense: MIT\n%description\nx\n%files\n";
    place.write("tool.spec", spec);
    let rpm = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(["--define", &format!("_topdir {}", place.join("build").display())]);
        command.args(words).current_dir(place.path()).env("HOME", place.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    rpm("rpmbuild", &["-bb", "--target", "x86_64", "tool.spec"]);
    let folder = place.join("base/var/lib/rpm").display().to_string();
    place.write("base/etc/os-release", "ID=rhel\nVERSION_ID=9.4\n");
    let package = place.join("build/RPMS/x86_64/tool-libs-3.0.7-24.el9.x86_64.rpm").display().to_string();
    std::fs::create_dir_all(&folder).unwrap();
    rpm("rpm", &["--dbpath", &folder, "--install", "--justdb", "--nodeps", "--ignorearch", &package]);
    check_packages(&place, &["pkg:rpm/redhat/tool-libs@3.0.7-24.el9?arch=x86_64&distro=rhel-9.4&epoch=1"]);
}

/// The same closure is the same text, and SOURCE_DATE_EPOCH or a flag decides the time.
#[test]
fn the_same_everywhere() {
    let place = Place::new();
    let graph = synth().graph.display();
    let name = || synth().graph.file_stem().unwrap().to_string_lossy().into_owned();
    for format in ["cyclonedx", "spdx", "spdx3"] {
        let line = format!("sbom {graph} --format {format}");
        let first = place.ok(&line).stdout;
        assert_eq!(place.ok(&format!("{line} -j 1")).stdout, first);
        let piped = Command::new("bash")
            .args([
                "-c",
                &format!("{} sbom - --name {} --format {format} < {graph}", env!("CARGO_BIN_EXE_layerstone"), name()),
            ])
            .output()
            .unwrap();
        assert_eq!(piped.stdout, first, "{}", String::from_utf8_lossy(&piped.stderr));
        let later = place.ok(&format!("{line} --created 2024-05-01T12:00:00.7+02:00")).text().to_owned();
        assert!(later.contains("2024-05-01T10:00:00Z") && later.as_bytes() != first, "{format}");
    }
}

#[test]
fn differences() {
    let place = Place::new();
    let graph = |paths: &[&str]| {
        let path = |name: &&str| json!({"path": format!("/nix/store/{}-{name}", "0".repeat(32)), "references": []});
        json!(paths.iter().map(path).collect::<Vec<_>>()).to_string()
    };
    place.write("old.json", graph(&["curl-8.0", "curl-8.0-dev", "zlib-1.3", "gone-1"]));
    place.write("new.json", graph(&["curl-8.1", "zlib-1.3", "new"]));
    assert_eq!(place.ok("sbom --diff old.json new.json").text(), "- gone 1\n+ new\n~ curl 8.0 -> 8.1\n");
    let answer: Value = serde_json::from_slice(&place.ok("sbom --diff old.json new.json --json").stdout).unwrap();
    assert_eq!(answer["changed"], json!([{"name": "curl", "old": ["8.0"], "new": ["8.1"]}]));
    assert_eq!(place.ok("sbom --diff old.json old.json").text(), "no package was added, removed or changed\n");
}

/// What is vulnerable is told with its layer, what mends it, and what brings it in.
#[test]
fn vulnerabilities() {
    let place = place();
    let osv = json!([{
        "id": "CVE-2024-1", "summary": "It reads too far",
        "affected": [{"package": {"name": "bash", "ecosystem": "Bitnami"},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "5.0"}, {"fixed": "5.3"}]}]}],
    }]);
    place.write("osv.json", osv.to_string());
    let run = place.run("sbom database.tar --vulns osv.json");
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_eq!(run.stderr, "error: vulnerable: registry.example/team/x: 1 package\n");
    let lines: Vec<&str> = run.text().lines().collect();
    assert!(
        lines[0].starts_with("CVE-2024-1  bash 5.2, in layer ") && lines[0].ends_with(", fixed in 5.3"),
        "{lines:?}"
    );
    assert_eq!(lines[1..3], ["  It reads too far", "  root-env"], "{lines:?}");
    assert!(lines.last().unwrap().ends_with("└─ bash-5.2"), "{lines:?}");
    let answer: Value = serde_json::from_slice(&place.run("sbom oci:plain --vulns osv.json --json").stdout).unwrap();
    assert_eq!(answer["findings"][0]["path"], synth().path("bash-5.2"));
    assert_eq!(answer["findings"][0]["fixed"], json!(["5.3"]));
    let vex = json!({"@context": "https://openvex.dev/ns/v0.2.0", "statements": [
        {"vulnerability": {"name": "CVE-2024-1"}, "products": [{"@id": "pkg:nix/absent"}], "status": "affected"}]});
    place.write("vex.json", vex.to_string());
    // Somebody has looked at the other one.
    let looked = vex.to_string().replace("pkg:nix/absent", "pkg:nix/bash").replace("affected", "not_affected");
    place.write("looked.json", looked);
    place.ok("sbom database.tar --vulns osv.json --vulns looked.json");
    assert_eq!(place.ok("sbom oci:plain --vulns vex.json").text(), "no package is vulnerable by these advisories\n");
}

/// What cannot be read is named, and nothing is written.
#[test]
fn what_is_wrong() {
    let place = Place::new();
    let graph = synth().graph.display();
    place.write("bad.json", r#"{"paths": {"/nix/store/x": {"licence": "MIT"}}}"#);
    place.write("plan.json", r#"{"format": "layerstone/layers", "version": 1, "layers": []}"#);
    place.write("short.json", "[");
    for (line, told) in [
        (format!("sbom {graph} --meta bad.json"), "malformed layerstone/meta: bad.json: unknown field `licence`"),
        (format!("sbom {graph} --meta absent.json"), "cannot read: absent.json"),
        ("sbom plan.json".to_owned(), "found a plan, which tells no references: plan.json"),
        ("sbom short.json".to_owned(), "short.json"),
        ("sbom absent.tar".to_owned(), "absent.tar"),
        (format!("sbom {graph} --created never"), "never"),
        (format!("sbom {graph} --json"), "expected --diff or --vulns"),
    ] {
        let run = place.run(&format!("{line} -o out.json"));
        assert!(run.code != Some(0) && run.stderr.contains(told), "{line}: {}", run.stderr);
        assert!(!place.join("out.json").exists());
    }
}
