//! Writes large inputs: archives of many files and layers, stores of many files, bytes and paths.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Bytes of a tar's blocks.
const BLOCK: usize = 512;
/// Files in a directory.
const IN_DIRECTORY: u64 = 1000;

/// A docker archive of one layer with so many empty files.
pub fn files(count: u64, directory: &Path) -> Result<()> {
    archive(&[count], directory)
}

/// A docker archive of so many layers of a hundred files.
pub fn layers(count: u64, directory: &Path) -> Result<()> {
    archive(&vec![100; count as usize], directory)
}

/// A store path of so many files of a line each.
pub fn store_files(count: u64, directory: &Path) -> Result<()> {
    let path = make_path(0, directory)?;
    for index in 0..count {
        let parent = path.join((index / IN_DIRECTORY).to_string());
        if index % IN_DIRECTORY == 0 {
            fs::create_dir(&parent)?;
        }
        fs::write(parent.join((index % IN_DIRECTORY).to_string()), format!("{index}\n"))?;
    }
    plan(directory)
}

/// A store path with a file of so many 10⁹ bytes, all of them a hole.
pub fn store_bytes(count: u64, directory: &Path) -> Result<()> {
    let path = make_path(0, directory)?;
    File::create(path.join("file"))?.set_len(count * 1_000_000_000)?;
    plan(directory)
}

/// So many store paths of a file each; every path refers to the next ten.
pub fn store_paths(count: u64, directory: &Path) -> Result<()> {
    let mut graph = Vec::new();
    for index in 0..count {
        fs::write(make_path(index, directory)?.join("file"), format!("{index}\n"))?;
        let references: Vec<String> = (index + 1..count.min(index + 11)).map(name).collect();
        graph.push(json!({"path": name(index), "references": references, "narSize": 400}));
    }
    let spec = json!({"name": "big", "contents": [name(0)], "graph": "graph.json", "maxLayers": 99});
    write(directory, "graph.json", &Value::Array(graph))?;
    write(directory, "image.json", &spec)
}

fn name(index: u64) -> String {
    format!("/nix/store/{index:032}-big")
}

/// Makes an empty store path.
fn make_path(index: u64, directory: &Path) -> Result<std::path::PathBuf> {
    let path = directory.join("root").join(&name(index)[1..]);
    fs::create_dir_all(&path).with_context(|| format!("cannot make: {}", path.display()))?;
    Ok(path)
}

/// The plan of one layer with the first path.
fn plan(directory: &Path) -> Result<()> {
    write(directory, "plan.layers.json", &json!([[name(0)]]))
}

fn write(directory: &Path, file: &str, value: &Value) -> Result<()> {
    fs::write(directory.join(file), value.to_string()).with_context(|| format!("cannot write: {file}"))
}

/// A docker archive whose layers have so many files each, `image.tar`.
fn archive(layers: &[u64], directory: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(directory.join("image.tar"))?);
    let (mut names, mut diff_ids) = (Vec::new(), Vec::new());
    for (number, &count) in layers.iter().enumerate() {
        let layer = layer(number, count);
        names.push(format!("{number}.tar"));
        diff_ids.push(format!("sha256:{}", hex(&Sha256::digest(&layer))));
        member(&mut out, &names[number], &layer)?;
    }
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs});
    member(&mut out, "config.json", config.to_string().as_bytes())?;
    let manifest = json!([{"Config": "config.json", "RepoTags": ["big:1"], "Layers": names}]);
    member(&mut out, "manifest.json", manifest.to_string().as_bytes())?;
    out.write_all(&[0; 2 * BLOCK])?;
    Ok(out.flush()?)
}

fn layer(number: usize, count: u64) -> Vec<u8> {
    let mut tar = Vec::with_capacity((count as usize + 2) * BLOCK);
    for index in 0..count {
        let name = format!("layer{number}/usr/share/directory{}/file{index}", index / IN_DIRECTORY);
        tar.extend_from_slice(&header(&name, 0));
    }
    tar.extend_from_slice(&[0; 2 * BLOCK]);
    tar
}

fn member(out: &mut impl Write, name: &str, contents: &[u8]) -> Result<()> {
    out.write_all(&header(name, contents.len()))?;
    out.write_all(contents)?;
    Ok(out.write_all(&[0; BLOCK][..contents.len().next_multiple_of(BLOCK) - contents.len()])?)
}

/// The header of a regular file (POSIX.1-2017, "ustar Interchange Format").
fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    for (at, number) in [(100, 0o644), (108, 0), (116, 0)] {
        put(at, &format!("{number:07o}\0"));
    }
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000001\0");
    put(148, "        0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
