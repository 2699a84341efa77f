//! What a file is by its first bytes, and which command reads such a file: for hints, where it was given to another one.

use crate::message::command_line::running_name;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// As many bytes of a file that is not JSON are looked at.
const HEAD: usize = 512;
/// JSON that is longer is not looked into.
const MOST_JSON: u64 = 64 << 20;
/// Where a tar has its magic.
const USTAR: std::ops::Range<usize> = 257..262;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Spec,
    Closure,
    Plan,
    Layer,
    Graph,
    DockerArchive,
    Layout,
    StorePath,
    Folder,
    Dockerfile,
    Program,
    Script,
    Tar,
    Compressed,
    Empty,
    OtherJson,
    Other,
}

/// What is at a path, if anything is; a link that leads nowhere may be one into a store.
pub fn of(path: &Path) -> Option<FileKind> {
    let target = path.canonicalize().or_else(|_| path.read_link()).ok()?;
    if is_store_path(&target) {
        return Some(FileKind::StorePath);
    }
    if path.is_dir() {
        let is_layout = path.join("oci-layout").exists() || path.join("manifest.json").exists();
        return Some(if is_layout { FileKind::Layout } else { FileKind::Folder });
    }
    if !path.is_file() {
        return None;
    }
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD as u64).read_to_end(&mut head).ok()?;
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    Some(match first {
        None => FileKind::Empty,
        _ if head.get(USTAR) == Some(b"ustar") => {
            if is_docker_archive(path) {
                FileKind::DockerArchive
            } else {
                FileKind::Tar
            }
        }
        _ if head.starts_with(b"\x1f\x8b") || head.starts_with(b"\x28\xb5\x2f\xfd") => FileKind::Compressed,
        _ if head.starts_with(b"\x7fELF") => FileKind::Program,
        _ if head.starts_with(b"#!") => FileKind::Script,
        Some(b'{' | b'[') => json_kind(path)?,
        _ if path.file_name().is_some_and(|name| name == "Dockerfile" || name == "Containerfile") => {
            FileKind::Dockerfile
        }
        _ if head.starts_with(b"FROM ") => FileKind::Dockerfile,
        _ => FileKind::Other,
    })
}

/// Whether a path is below that of a store path, whose name begins with 32 letters and digits.
pub fn is_store_path(path: &Path) -> bool {
    let name = path.strip_prefix("/nix/store").or_else(|_| path.strip_prefix("/gnu/store")).ok();
    let name = name.and_then(|rest| rest.iter().next()).map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.split_once('-').is_some_and(|(hash, _)| hash.len() == 32))
}

fn is_docker_archive(path: &Path) -> bool {
    let mut end = Vec::new();
    // Its manifest is its last member, or not far from the end.
    let read = File::open(path).and_then(|mut file| {
        use std::io::{Seek, SeekFrom};
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(1 << 20)))?;
        file.read_to_end(&mut end)
    });
    let has = |name: &[u8]| end.windows(name.len()).any(|window| window == name);
    read.is_ok() && (has(b"manifest.json") || has(b"index.json"))
}

fn json_kind(path: &Path) -> Option<FileKind> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(MOST_JSON).read_to_end(&mut text).ok()?;
    let Ok(value) = serde_json::from_slice::<Value>(&text) else { return Some(FileKind::Other) };
    Some(match value.get("format").and_then(Value::as_str) {
        Some("layerstone/image") => FileKind::Spec,
        Some("layerstone/closure") => FileKind::Closure,
        Some("layerstone/layers") => FileKind::Plan,
        Some("layerstone/layer") => FileKind::Layer,
        _ if value.get(0).is_some_and(|entry| entry.get("references").is_some()) => FileKind::Graph,
        _ if value.get(0).is_some_and(Value::is_array) => FileKind::Plan,
        _ if value.get("name").is_some() => FileKind::Spec,
        _ => FileKind::OtherJson,
    })
}

impl FileKind {
    /// Whether an error says that a file of this kind was expected.
    pub fn is_expected_by(self, text: &str) -> bool {
        match self {
            FileKind::Spec => text.starts_with("malformed layerstone/image"),
            FileKind::Closure | FileKind::Graph => {
                text.starts_with("malformed references graph") || text.starts_with("malformed layerstone/closure")
            }
            FileKind::Plan => text.starts_with("malformed layerstone/layers"),
            FileKind::Layer => text.starts_with("malformed layerstone/layer:"),
            FileKind::DockerArchive | FileKind::Layout => {
                text.starts_with("not an image: ") || text.starts_with("no such image")
            }
            FileKind::Tar | FileKind::Compressed => text.contains("a whole tar") || text.starts_with("not an image: "),
            _ => false,
        }
    }

    /// What it is and which command reads it, if that helps.
    pub fn hint(self, path: &str) -> Option<String> {
        let command = running_name();
        let is_build = matches!(&*command, "build" | "ninja" | "make");
        let (what, use_it) = match self {
            FileKind::Spec => (
                "a spec",
                match &*command {
                    "root" | "closure" => format!("`layerstone {command} --spec {path}`"),
                    "layers" => format!("`layerstone layers CLOSURE.JSON --spec {path}`"),
                    "layer" => format!("`layerstone layer LAYERS.JSON --spec {path} --all`"),
                    "image" => format!("`layerstone image --spec {path} LAYER.JSON...`"),
                    _ => format!("`layerstone build {path} -o NAME.tar`"),
                },
            ),
            FileKind::Closure => ("a closure", format!("`layerstone layers {path} --max-layers 100 -o LAYERS.JSON`")),
            FileKind::Plan => ("a plan", format!("`layerstone layer {path} --all -o FOLDER`")),
            FileKind::Layer => ("a layer file", format!("`layerstone image --spec IMAGE.JSON {path} -o NAME.tar`")),
            FileKind::Graph => ("a references graph", format!("`layerstone closure --graph {path}`")),
            FileKind::DockerArchive | FileKind::Layout if is_build => {
                ("an image", format!("--base {path} builds on it, `layerstone copy {path} PLACE` copies it"))
            }
            FileKind::DockerArchive | FileKind::Layout => ("an image", format!("`layerstone inspect {path}`")),
            FileKind::StorePath if is_build => {
                ("a store path", format!("--contents {path} --name NAME puts it into an image"))
            }
            FileKind::StorePath => {
                ("a store path", format!("`layerstone build --contents {path} --name NAME` makes an image of it"))
            }
            FileKind::Folder if is_build => {
                ("a directory", format!("--copy {path}:/ --name NAME puts it into an image"))
            }
            FileKind::Dockerfile => {
                ("a Dockerfile", "`docker build` reads it, `layerstone init` writes an image.json".to_owned())
            }
            FileKind::Program | FileKind::Script if is_build => {
                let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
                ("a program", format!("--copy {path}:/bin/{name} --name NAME puts it into an image"))
            }
            FileKind::Tar | FileKind::Compressed if is_build => {
                ("an archive", format!("--base {path} builds on an image, --tar-layer {path} takes a tar as a layer"))
            }
            FileKind::Tar => ("a tar", format!("`layerstone layer --tar {path} -o LAYER.JSON` makes a layer of it")),
            _ => return None,
        };
        Some(format!("{path} is {what}: {use_it}"))
    }
}
