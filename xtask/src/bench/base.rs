//! A base image made from a seed, of the size and shape of a small Debian: 9,000 files, 170 MB, one layer.

use crate::bench::random::Random;
use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// Files in the layer, in directories of [`FOLDER`].
const FILES: usize = 9_000;
/// Files in a directory.
const FOLDER: usize = 40;
/// A file has from 2^7 to 2^17 bytes, evenly over the logarithm.
const EXPONENTS: std::ops::Range<u64> = 7..17;
/// Decides everything.
const SEED: u64 = 170;

/// Writes the layer's tar, and a docker archive with it.
pub fn write(layer: &Path, archive: &Path) -> Result<()> {
    write_layer(layer).with_context(|| format!("cannot write: {}", layer.display()))?;
    write_archive(layer, archive).with_context(|| format!("cannot write: {}", archive.display()))
}

fn write_layer(path: &Path) -> Result<()> {
    let mut random = Random::new(SEED);
    let mut tar = Builder::new(BufWriter::new(File::create(path)?));
    for index in 0..FILES {
        let folder = format!("srv/base/folder-{:03}", index / FOLDER);
        if index % FOLDER == 0 {
            append(&mut tar, &format!("{folder}/"), EntryType::Directory, &[])?;
        }
        let least = 1 << (EXPONENTS.start + random.below(EXPONENTS.end - EXPONENTS.start));
        let words = (least + random.below(least)) / 8;
        let contents: Vec<u8> = (0..words).flat_map(|_| random.next().to_le_bytes()).collect();
        append(&mut tar, &format!("{folder}/file-{index:04}"), EntryType::Regular, &contents)?;
    }
    append(&mut tar, "etc/", EntryType::Directory, &[])?;
    Ok(tar.into_inner()?.flush()?)
}

fn append(tar: &mut Builder<impl Write>, name: &str, kind: EntryType, contents: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_size(contents.len() as u64);
    tar.append_data(&mut header, name, contents)
}

/// Writes a docker archive of one layer that is there.
pub fn write_archive(layer: &Path, path: &Path) -> Result<()> {
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)?]}, "history": [{"created_by": "bench"}]});
    let manifest = json!([{"Config": "config.json", "RepoTags": ["base:1"], "Layers": ["base/layer.tar"]}]);
    let mut tar = Builder::new(BufWriter::new(File::create(path)?));
    tar.append_path_with_name(layer, "base/layer.tar")?;
    append(&mut tar, "config.json", EntryType::Regular, config.to_string().as_bytes())?;
    append(&mut tar, "manifest.json", EntryType::Regular, manifest.to_string().as_bytes())?;
    Ok(tar.into_inner()?.flush()?)
}

fn digest(path: &Path) -> Result<String> {
    let (mut file, mut hasher, mut buffer) = (BufReader::new(File::open(path)?), Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finalize().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}")))
}
