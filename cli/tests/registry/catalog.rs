//! What a registry that only gives understands and lists: names however they are written, referrers, platforms.

use super::place;
use super::serve::Served;
use crate::support::registry::{root, spec};
use crate::support::{Place, digest, output_json, require_tool};
use serde_json::{Value, json};
use std::io::Read;
use std::process::Command;

/// Names, digests and queries are what they are decoded (RFC 3986, section 6.2.2), and paths may be whole addresses.
#[test]
fn codes() {
    let place = Place::new();
    spec(&place, json!({"name": "team/synth"}));
    let served = Served::start(&place, "image.json", 1);
    let (head, manifest) = served.get("/v2/team/synth/manifests/1", "");
    let named = head.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: ")).unwrap().to_owned();
    let hex = named.strip_prefix("sha256:").unwrap();
    let config =
        serde_json::from_slice::<Value>(&manifest).unwrap()["config"]["digest"].as_str().unwrap()[7..].to_owned();
    for target in [
        format!("/v2/team/synth/manifests/sha256%3A{hex}"),
        format!("/v2/team/synth/manifests/sha256%3a{hex}"),
        format!("/v2/team%2Fsynth/manifests/{named}"),
        format!("/v2/team%2fsynth/manifests/%73ha256:{hex}"),
        "/v2/team%2Fsynth%2Fmanifests%2F1".to_owned(),
        "/v2/%74eam/synth/manifests/%31".to_owned(),
        format!("http://{}/v2/team/synth/manifests/1", served.host),
        "HTTP://else.example/v2/team/synth/manifests/1?ns=docker.io".to_owned(),
    ] {
        let (head, body) = served.get(&target, "");
        assert!(head.starts_with("HTTP/1.1 200 ") && body == manifest, "{target}: {head}");
    }
    for (target, part) in [
        (format!("/v2/team%2Fsynth/blobs/sha256%3A{config}"), "\"rootfs\""),
        ("/v2/team%2Fsynth/tags/list".to_owned(), "\"tags\":[\"1\"]"),
        ("/v2/team/synth/tags/list?last=%30".to_owned(), "\"tags\":[\"1\"]"),
        ("/v2/_catalog?last=team%2Fs".to_owned(), "[\"team/synth\"]"),
        ("/v2/_catalog?last=team%2Fsynth".to_owned(), "[]"),
        ("/v2".to_owned(), "{}"),
        (format!("http://{}/v2/", served.host), "{}"),
    ] {
        let (head, body) = served.get(&target, "");
        let body = String::from_utf8(body).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && body.contains(part), "{target}: {head} {body}");
    }
    for target in [
        "/v2/team%2/synth/manifests/1",
        "/v2/team%zzsynth/manifests/1",
        "/v2/%ffteam/synth/tags/list",
        "/v2team/synth/tags/list",
        "/v2//team/synth/tags/list",
        "/v2/team%252Fsynth/tags/list",
        "http://host",
    ] {
        let (head, _) = served.get(target, "");
        assert!(head.starts_with("HTTP/1.1 404 "), "{target}: {head}");
    }
}

#[test]
fn referrers() {
    let place = place();
    let served = Served::start(&place, "image.json", 1);
    let (head, _) = served.get("/v2/synth/manifests/1", "");
    let named = head.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: ")).unwrap().to_owned();
    let index = "application/vnd.oci.image.index.v1+json";
    let empty = json!({"schemaVersion": 2, "mediaType": index, "manifests": []});
    let absent = format!("sha256:{}", digest(b"absent"));
    let coded = named.replace(':', "%3A");
    // What is referred to need not be there.
    for target in [named.clone(), absent, coded, format!("{named}?artifactType=a%2Fb")] {
        let (head, body) = served.get(&format!("/v2/synth/referrers/{target}"), "");
        assert!(head.starts_with("HTTP/1.1 200 "), "{target}: {head}");
        assert!(head.contains(&format!("\r\nContent-Type: {index}")), "{target}: {head}");
        assert_eq!(head.contains("\r\nOCI-Filters-Applied: artifactType"), target.contains('?'), "{target}: {head}");
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), empty, "{target}");
    }
    for (target, status) in
        [("/v2/none/referrers/".to_owned() + &named, 404), ("/v2/synth/referrers/1".to_owned(), 400)]
    {
        let (head, _) = served.get(&target, "");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {head}");
    }
}

/// An image for several platforms has its index under the tag, whatever it is kept in.
#[test]
fn platforms() {
    let place = Place::new();
    spec(&place, json!({"architectures": ["amd64", "arm64"]}));
    for output in ["oci:multi", "oci-archive:multi.tar"] {
        place.on_synth(&format!("build image.json -o {output}"));
    }
    let top = place.json("multi/index.json")["manifests"][0].clone();
    let raw = super::blob(&place, "multi", &top["digest"]);
    let index: Value = serde_json::from_slice(&raw).unwrap();
    let [amd, arm] = [0, 1].map(|at| index["manifests"][at]["digest"].as_str().unwrap().to_owned());
    for image in ["multi", "oci:multi", "multi.tar", "oci:multi#synth:1", "image.json"] {
        let served = Served::start(&place, image, 1);
        let (head, body) = served.get("/v2/synth/manifests/1", "");
        assert!(head.contains("\r\nContent-Type: application/vnd.oci.image.index.v1+json"), "{image}: {head}");
        let listed: Value = serde_json::from_slice(&body).unwrap();
        assert!(image == "image.json" || body == raw, "{image}: {listed}");
        for listed in listed["manifests"].as_array().unwrap() {
            let manifest = served.json(&format!("/v2/synth/manifests/{}", listed["digest"].as_str().unwrap()));
            let config = served.json_of(&format!("/v2/synth/blobs/{}", manifest["config"]["digest"].as_str().unwrap()));
            assert_eq!(config["architecture"], listed["platform"]["architecture"], "{image}");
            for layer in manifest["layers"].as_array().unwrap() {
                let blob = format!("/v2/synth/blobs/{}", layer["digest"].as_str().unwrap());
                let (head, _) = served.ask(&format!("HEAD {blob} HTTP/1.1\r\nConnection: close\r\n\r\n"));
                assert!(head.starts_with("HTTP/1.1 200 "), "{image}: {head}");
            }
        }
        if image == "multi" && require_tool("skopeo") {
            for architecture in ["amd64", "arm64"] {
                let mut skopeo = Command::new("skopeo");
                skopeo.args(["inspect", "--tls-verify=false", "--override-arch", architecture]);
                let shown = output_json(skopeo.arg(format!("docker://{}/synth:1", served.host)));
                assert_eq!(shown["Architecture"], architecture);
            }
        }
    }
    for (flags, expected) in [("multi --arch arm64", &arm), ("multi.tar --arch amd64", &amd)] {
        let served = Served::start(&place, flags, 1);
        let (head, _) = served.get("/v2/synth/manifests/1", "");
        assert!(head.contains(expected.as_str()), "{flags}: {head}");
    }
    let error = place.fail(&format!("serve multi --compression zstd --listen 127.0.0.1:0 {}", root()));
    assert!(error.contains("--compression: found an image for several platforms, expected --arch NAME"), "{error}");
    // Of an index whose other images are not there, as some engines save them, the one that is.
    let other = if cfg!(target_arch = "aarch64") { &amd } else { &arm };
    std::fs::remove_file(place.join(format!("multi/blobs/sha256/{}", &other[7..]))).unwrap();
    let mut served = Served::start(&place, "multi", 1);
    let (head, _) = served.get("/v2/synth/manifests/1", "");
    assert!(head.contains("\r\nContent-Type: application/vnd.oci.image.manifest.v1+json"), "{head}");
    served.signal(rustix::process::Signal::TERM);
    let mut said = String::new();
    served.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("warning: multi: one image of its index is taken, others are not there: "), "{said}");
}
