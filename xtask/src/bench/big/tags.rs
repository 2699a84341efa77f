//! Makes repositories and layouts of many tags, and lists those of a server page by page (distribution-spec, "Listing
//! Tags").

use super::archive::{self, hex};
use super::store::write;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// Tags that a page of a list has.
const PAGE: usize = 100;

/// Nothing: a registry is filled when it runs.
pub fn registry(_: u64, _: &Path) -> Result<()> {
    Ok(())
}

/// Gives the image that docker-registry keeps as `big:0` so many tags, as copies of the files that it keeps for a tag.
pub fn repeat(count: u64, registry: &Path) -> Result<()> {
    let tags = registry.join("data/docker/registry/v2/repositories/big/_manifests/tags");
    let link = fs::read(tags.join("0/current/link")).context("docker-registry keeps no tag")?;
    let hex = std::str::from_utf8(&link)?.trim().strip_prefix("sha256:").context("not a digest")?;
    for number in 1..count {
        let tag = tags.join(number.to_string());
        for directory in [tag.join("current"), tag.join("index/sha256").join(hex)] {
            fs::create_dir_all(&directory)?;
            fs::write(directory.join("link"), &link)?;
        }
    }
    Ok(())
}

/// The directory of a layout, `tags`, with so many images of one layer, each with a config and a name of its own; and an
/// archive of an image, `small.tar`.
pub fn layout(count: u64, directory: &Path) -> Result<()> {
    archive::layers(1, directory)?;
    fs::rename(directory.join("image.tar"), directory.join("small.tar"))?;
    let layout = directory.join("tags");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let put = |kind: &str, bytes: &[u8]| -> Result<Value> {
        let digest = hex(&Sha256::digest(bytes));
        fs::write(blobs.join(&digest), bytes)?;
        Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
    };
    let layer = put("application/vnd.oci.image.layer.v1.tar", &[0; 1024])?;
    let mut manifests = Vec::new();
    for number in 0..count {
        let rootfs = json!({"type": "layers", "diff_ids": [layer["digest"]]});
        let labels = json!({"Labels": {"number": number.to_string()}});
        let config = json!({"architecture": "amd64", "os": "linux", "config": labels, "rootfs": rootfs});
        let config = put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
        let mut listed = put(kind, manifest.to_string().as_bytes())?;
        listed["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/library/big:{number}"),
            "org.opencontainers.image.ref.name": number.to_string(),
        });
        manifests.push(listed);
    }
    write(&layout, "oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
    write(&layout, "index.json", &json!({"schemaVersion": 2, "manifests": manifests}))
}

/// What a command line calls so many images of that layout.
pub fn names(count: u64) -> String {
    (0..count).map(|number| format!("oci:tags#big:{number}")).collect::<Vec<_>>().join(" ")
}

/// Asks a server for all tags of the repository of a name, `HOST/REPOSITORY:TAG`, page after page.
pub fn list(name: &str) -> Result<()> {
    let (host, rest) = name.split_once('/').with_context(|| format!("found {name:?}, expected HOST/NAME:TAG"))?;
    let repository = rest.split(':').next().unwrap_or(rest);
    let mut next = Some(format!("/v2/{repository}/tags/list?n={PAGE}"));
    let mut tags = BTreeSet::new();
    while let Some(target) = next {
        let (head, body) = get(host, &target)?;
        let page: Value = serde_json::from_slice(&body).with_context(|| format!("{target}: {head}"))?;
        let page = page["tags"].as_array().with_context(|| format!("{target}: {head}"))?;
        ensure!(page.len() <= PAGE, "{target}: found {} tags, expected at most {PAGE}", page.len());
        for tag in page {
            ensure!(tags.insert(tag.to_string()), "{target}: found {tag} twice");
        }
        let link = head.lines().find_map(|line| line.strip_prefix("Link: <"));
        next = link.and_then(|link| link.split('>').next()).map(str::to_owned);
    }
    eprintln!("  listed {} tags", tags.len());
    Ok(())
}

/// The head and the body of an answer.
fn get(host: &str, target: &str) -> Result<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(host).with_context(|| format!("cannot connect: {host}"))?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no head")?;
    let body = answer.split_off(end + 4);
    Ok((String::from_utf8(answer)?, body))
}
