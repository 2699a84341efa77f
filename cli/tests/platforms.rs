//! Which of several images for several platforms is taken, or refused: the same whatever holds them.

mod all;
mod odd;
mod single;

use crate::support::http::{Answer, Request, Server};
use crate::support::pieces::{
    Entry, Files, Packing, Pieces, blob, finish_oci, oci_image, plain_docker, tar, tar_of, write_folder,
};
use crate::support::{Place, archive, require_tool};
use serde_json::{Value, json};
use std::process::Command;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image for a platform, `ARCHITECTURE[/VARIANT]`, which its one layer names too.
fn image(platform: &str) -> Pieces {
    let file = Entry::File(platform.into());
    let mut image = Pieces::new(&[tar_of([(&b"platform"[..], file)])]).called(&["m:1"]);
    let (architecture, variant) = parts(platform);
    image.config["architecture"] = json!(architecture);
    if let Some(variant) = variant {
        image.config["variant"] = json!(variant);
    }
    image
}

fn parts(platform: &str) -> (&str, Option<&str>) {
    platform.split_once('/').map_or((platform, None), |(architecture, variant)| (architecture, Some(variant)))
}

/// Adds an image; its descriptor, which tells the platform unless it is in brackets.
fn described(platform: &str, files: &mut Files) -> Value {
    let bare = platform.trim_matches(['[', ']']);
    let mut descriptor = oci_image(&image(bare).called(&[]), &Packing::plain(), files);
    if bare == platform {
        let (architecture, variant) = parts(platform);
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        if let Some(variant) = variant {
            descriptor["platform"]["variant"] = json!(variant);
        }
    }
    descriptor
}

fn named(mut descriptor: Value) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "m:1"});
    descriptor
}

/// A layout with an index of these platforms, `depth` indexes deep.
pub fn nested(platforms: &[&str], depth: usize) -> Files {
    let mut files = Files::new();
    let mut manifests: Vec<Value> = platforms.iter().map(|platform| described(platform, &mut files)).collect();
    for _ in 0..depth {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string();
        manifests = vec![blob(&mut files, INDEX, index.as_bytes())];
    }
    finish_oci(&mut files, manifests.into_iter().map(named).collect());
    files
}

/// A `dir:` directory of what a layout lists first.
fn flat(layout: &Files) -> Files {
    let bytes = |wanted: &str| {
        let found = layout.iter().find(|(name, _)| name.ends_with(wanted));
        let Some((_, Entry::File(bytes))) = found else { panic!("no {wanted}") };
        bytes.clone()
    };
    let index: Value = serde_json::from_slice(&bytes("index.json")).unwrap();
    let hex = |descriptor: &Value| descriptor["digest"].as_str().unwrap()["sha256:".len()..].to_owned();
    let top = bytes(&hex(&index["manifests"][0]));
    let mut files: Files = vec![("version".to_owned(), Entry::File(b"Directory Transport Version: 1.1\n".to_vec()))];
    let listed: Value = serde_json::from_slice(&top).unwrap();
    for child in listed["manifests"].as_array().into_iter().flatten() {
        files.push((format!("{}.manifest.json", hex(child)), Entry::File(bytes(&hex(child)))));
    }
    files.push(("manifest.json".to_owned(), Entry::File(top)));
    for (name, entry) in layout {
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            files.push((hex.to_owned(), entry.clone()));
        }
    }
    files
}

/// A registry that has what a layout lists first, under any name and tag.
pub fn registry(layout: &Files) -> Server {
    let file = |wanted: &str, files: &Files| {
        files.iter().find_map(|(name, entry)| match entry {
            Entry::File(bytes) if name.ends_with(wanted) => Some(bytes.clone()),
            _ => None,
        })
    };
    let files = layout.clone();
    Server::start(move |request: &Request| {
        let (before, target) = request.path().rsplit_once('/').unwrap();
        let index: Value = serde_json::from_slice(&file("index.json", &files).unwrap()).unwrap();
        let digest = if target.contains(':') { target } else { index["manifests"][0]["digest"].as_str().unwrap() };
        let Some(bytes) = file(&digest["sha256:".len()..], &files) else { return Answer::new(404) };
        let json: Option<Value> = serde_json::from_slice(&bytes).ok().filter(|_| before.ends_with("/manifests"));
        let told = json.as_ref().and_then(|json| json["mediaType"].as_str());
        let kind = told.unwrap_or("application/vnd.oci.image.manifest.v1+json").to_owned();
        Answer::bytes(200, bytes).with("Content-Type", kind)
    })
}

/// Copies what is there into a docker archive: the platform of what came, or what was said.
fn copied(place: &Place, source: &str, flags: &str) -> Result<String, String> {
    let run = place.run(&format!("copy {source} out.tar --as x:1 {flags}"));
    if run.code != Some(0) {
        assert_eq!(run.code, Some(1), "{source} {flags}: {}", run.stderr);
        assert!(!place.join("out.tar").exists(), "{source} {flags}");
        return Err(run.stderr);
    }
    let config = archive::config(&place.read("out.tar"));
    std::fs::remove_file(place.join("out.tar")).unwrap();
    let variant = config["variant"].as_str().map(|variant| format!("/{variant}")).unwrap_or_default();
    Ok(format!("{}{variant}", config["architecture"].as_str().unwrap()))
}

/// What a refusal says: what was wanted and what there is, never nothing.
#[track_caller]
fn check_refusal(said: &str, wanted: &str, platforms: &[&str], what: &str) {
    let found = said.split_once(&format!("for linux/{wanted}: ")).or(said.split_once(&format!("for linux/{wanted}\n")));
    let found = found.unwrap_or_else(|| panic!("{what}: no {wanted} in {said}")).1;
    for platform in platforms {
        assert!(found.contains(&format!("linux/{}", platform.trim_matches(['[', ']']))), "{what}: {said}");
    }
    assert!(!found.trim_end().ends_with("found"), "{what}: {said}");
}

/// Every kind of index gives what containers/image takes of it, and refuses what it refuses. The last column tells whether
/// Debian 12's skopeo knows the row's rule: it chooses no variant by itself.
#[test]
fn of_indexes() {
    type Row = (&'static str, &'static str, Result<&'static str, &'static str>, bool);
    let rows: [Row; 18] = [
        ("amd64 arm64", "--arch arm64", Ok("arm64"), true),
        ("amd64 arm64", "--arch aarch64-linux", Ok("arm64"), false),
        ("amd64 arm64", "--arch s390x", Err("s390x"), true),
        ("amd64", "--arch arm64", Err("arm64"), true),
        ("arm64/v8 amd64", "--arch arm64", Ok("arm64/v8"), true),
        ("arm64 amd64", "--arch arm64 --variant v8", Ok("arm64"), true),
        ("arm amd64", "--arch armv7l-linux", Ok("arm"), false),
        ("arm/v5 arm/v6 amd64", "--arch arm --variant v7", Ok("arm/v6"), true),
        ("arm/v7 arm/v6", "--arch arm --variant v5", Err("arm/v5"), true),
        ("arm/v6 arm/v7", "--arch arm", Ok("arm/v7"), false),
        ("amd64/v3 amd64/v2 amd64", "--arch amd64", Ok("amd64"), true),
        ("amd64/v3 amd64/v2 amd64", "--arch amd64 --variant v1", Ok("amd64"), true),
        ("amd64/v3 amd64/v2 amd64", "--arch amd64 --variant v4", Ok("amd64/v3"), false),
        ("amd64/v3 amd64/v2", "--arch amd64", Err("amd64"), true),
        ("amd64 arm64", "--os windows --arch amd64", Err("windows"), true),
        ("[arm64]", "--arch arm64", Ok("arm64"), true),
        ("[amd64] [arm64]", "--arch arm64", Ok("arm64"), false),
        ("[amd64] [arm/v7]", "--arch s390x", Err("s390x"), false),
    ];
    let has_skopeo = require_tool("skopeo");
    for (platforms, flags, expected, is_theirs) in rows {
        let platforms: Vec<&str> = platforms.split(' ').collect();
        let place = Place::new();
        let layout = nested(&platforms, 1);
        write_folder(&place.join("layout"), &layout);
        write_folder(&place.join("flat"), &flat(&layout));
        write_folder(&place.join("deep"), &nested(&platforms, 3));
        place.write("oci.tar", tar(&layout));
        // As docker and containerd save it: their own table knows the first platform alone.
        let mut both = layout.clone();
        both.extend(plain_docker(&[image(platforms[0].trim_matches(['[', ']']))]));
        place.write("both.tar", tar(&both));
        let [direct, deep] = [registry(&layout), registry(&nested(&platforms, 2))];
        let mut sources =
            vec!["layout", "layout#m:1", "oci:layout:m:1", "oci.tar", "deep", "both.tar", "flat", "dir:flat"];
        if platforms.len() > 1 {
            write_folder(&place.join("top"), &nested(&platforms, 0));
            sources.push("top");
        }
        let remote = [&direct, &deep].map(|server| format!("registry:{}/m:1", server.host()));
        for source in sources.into_iter().chain(remote.iter().map(String::as_str)) {
            let what = format!("{source} {flags} of {platforms:?}");
            match (copied(&place, source, flags), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{what}"),
                (Err(said), Err("windows")) => assert!(said.contains("for windows/amd64: "), "{what}: {said}"),
                (Err(said), Err(wanted)) => check_refusal(&said, wanted, &platforms, &what),
                (found, expected) => panic!("{what}: found {found:?}, expected {expected:?}"),
            }
        }
        if has_skopeo && is_theirs {
            let mut skopeo = Command::new("skopeo");
            skopeo.args(["--override-os", if flags.contains("windows") { "windows" } else { "linux" }]);
            for (ours, theirs) in [("--arch", "--override-arch"), ("--variant", "--override-variant")] {
                let words: Vec<&str> = flags.split(' ').collect();
                if let Some(at) = words.iter().position(|word| *word == ours) {
                    skopeo.args([theirs, words[at + 1]]);
                }
            }
            let found =
                skopeo.args(["inspect", "--config", "oci:layout:m:1"]).current_dir(place.path()).output().unwrap();
            let config: Option<Value> = serde_json::from_slice(&found.stdout).ok();
            let found = config.map(|config| (config["architecture"].clone(), config["variant"].clone()));
            let expected = expected.ok().map(|expected| {
                let (architecture, variant) = parts(expected);
                (json!(architecture), variant.map_or(Value::Null, |variant| json!(variant)))
            });
            assert_eq!(found, expected, "skopeo {flags} of {platforms:?}");
        }
    }
}
