//! Checks layouts, indexes, manifests and configs against the clauses of the OCI image specification, version 1.1.
//!
//! Each clause is a row: its section, what must hold, and a function that says whether it does. Documents are looked up
//! by digest through a function, so that a layout, an archive and what a registry keeps are all checked in the same way.

mod clause;
mod text;

use super::archive::{Member, members};
use super::digest;
use clause::{CONFIG, Clause, DESCRIPTOR, HISTORY, INDEX, LAYOUT, MANIFEST, PLATFORM};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Media types of the documents that are followed (media-types.md).
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// Kinds of documents, and parts of them that have clauses of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Layout,
    Index,
    Manifest,
    Config,
    Descriptor,
    Platform,
    History,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Layout, Kind::Index, Kind::Manifest, Kind::Config, Kind::Descriptor, Kind::Platform, Kind::History];

    /// The clauses of a document of this kind alone.
    pub fn clauses(self) -> &'static [Clause] {
        match self {
            Kind::Layout => LAYOUT,
            Kind::Index => INDEX,
            Kind::Manifest => MANIFEST,
            Kind::Config => CONFIG,
            Kind::Descriptor => DESCRIPTOR,
            Kind::Platform => PLATFORM,
            Kind::History => HISTORY,
        }
    }
}

/// The clauses that a document and its parts break, each with its place and section.
pub fn broken(kind: Kind, document: &Value, place: &str) -> Vec<String> {
    let failed = kind.clauses().iter().filter(|clause| !(clause.holds)(document));
    let mut broken: Vec<String> =
        failed.map(|clause| format!("{place}: {} ({}): {document}", clause.rule, clause.section)).collect();
    for (key, part) in parts(kind) {
        let within = match &document[*key] {
            Value::Array(values) => values.iter().collect(),
            Value::Null => Vec::new(),
            value => vec![value],
        };
        for (number, value) in within.into_iter().enumerate() {
            broken.extend(self::broken(*part, value, &format!("{place} {key}[{number}]")));
        }
    }
    broken
}

/// The keys of a kind under which parts stand, one or a list.
fn parts(kind: Kind) -> &'static [(&'static str, Kind)] {
    match kind {
        Kind::Index => &[("manifests", Kind::Descriptor), ("subject", Kind::Descriptor)],
        Kind::Manifest => &[("config", Kind::Descriptor), ("layers", Kind::Descriptor), ("subject", Kind::Descriptor)],
        Kind::Config => &[("history", Kind::History)],
        Kind::Descriptor => &[("platform", Kind::Platform)],
        Kind::Layout | Kind::Platform | Kind::History => &[],
    }
}

/// Where blobs are found by digest.
pub struct Blobs<F>(pub F);

impl<F: Fn(&str) -> Option<Vec<u8>>> Blobs<F> {
    /// Checks what a descriptor stands for: the blob, and all that it lists.
    pub fn broken(&self, descriptor: &Value) -> Vec<String> {
        let name = descriptor["digest"].as_str().unwrap_or_default();
        let bytes = match self.fetch(descriptor) {
            Ok(bytes) => bytes,
            Err(error) => return vec![error],
        };
        match descriptor["mediaType"].as_str() {
            Some(INDEX_TYPE) => self.of_json(Kind::Index, &bytes, name, |index| {
                list(&index["manifests"]).flat_map(|it| self.broken(it)).collect()
            }),
            Some(MANIFEST_TYPE) => self.of_json(Kind::Manifest, &bytes, name, |manifest| self.image(manifest, name)),
            Some(CONFIG_TYPE) => self.of_json(Kind::Config, &bytes, name, |_| Vec::new()),
            _ => Vec::new(),
        }
    }

    /// What a manifest lists, and whether config and layers fit each other.
    fn image(&self, manifest: &Value, name: &str) -> Vec<String> {
        let mut broken = self.broken(&manifest["config"]);
        if manifest["config"]["mediaType"] != CONFIG_TYPE {
            broken.extend(list(&manifest["layers"]).filter_map(|layer| self.fetch(layer).err()));
            return broken;
        }
        let config = self.fetch(&manifest["config"]).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let config: Value = config.unwrap_or_default();
        let mut diff_ids = Vec::new();
        for layer in list(&manifest["layers"]) {
            match self.fetch(layer).and_then(|bytes| unpacked(layer, bytes)) {
                Ok(tar) => diff_ids.push(Value::from(format!("sha256:{}", digest(&tar)))),
                Err(error) => broken.push(error),
            }
        }
        if config["rootfs"]["diff_ids"] != Value::from(diff_ids.clone()) {
            broken.push(format!("{name}: diff_ids are those of the layers, first to last (config.md, rootfs)"));
        }
        let filled = list(&config["history"]).filter(|it| it["empty_layer"] != true).count();
        if config.get("history").is_some() && filled != diff_ids.len() {
            broken.push(format!("{name}: every layer has one entry that is not empty (config.md, history)"));
        }
        broken
    }

    fn of_json(&self, kind: Kind, bytes: &[u8], name: &str, more: impl Fn(&Value) -> Vec<String>) -> Vec<String> {
        match serde_json::from_slice(bytes) {
            Ok(document) => [broken(kind, &document, name), more(&document)].concat(),
            Err(error) => vec![format!("{name}: is JSON (RFC 8259): {error}")],
        }
    }

    /// A blob that is what its descriptor says (descriptor.md, "Digests": "content SHOULD be verified").
    fn fetch(&self, descriptor: &Value) -> Result<Vec<u8>, String> {
        let name = descriptor["digest"].as_str().unwrap_or_default();
        let bytes = (self.0)(name).ok_or_else(|| format!("{name}: the blob is there (image-layout.md, Blobs)"))?;
        if format!("sha256:{}", digest(&bytes)) != name {
            return Err(format!("{name}: the blob has its digest (image-layout.md, Blobs)"));
        }
        if descriptor["size"] != bytes.len() {
            return Err(format!("{name}: the blob has its size (descriptor.md, size): {} bytes", bytes.len()));
        }
        Ok(bytes)
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A layer's tar (layer.md, "`+gzip` Media Types", "`+zstd` Media Types").
fn unpacked(layer: &Value, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let media_type = layer["mediaType"].as_str().unwrap_or_default();
    let mut tar = Vec::new();
    let unpacked = match media_type.strip_prefix("application/vnd.oci.image.layer.v1.tar") {
        Some("") => return Ok(bytes),
        Some("+gzip") => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut tar).map(|_| tar),
        Some("+zstd") => zstd::decode_all(&bytes[..]),
        _ => return Err(format!("{media_type}: is the media type of a layer (media-types.md)")),
    };
    unpacked.map_err(|error| format!("{media_type}: the layer is what its media type says (layer.md): {error}"))
}

/// What is broken in the directory of a layout.
pub fn broken_layout(folder: &Path) -> Vec<String> {
    let mut files = BTreeMap::new();
    list_files(folder, folder, &mut files);
    broken_files(&files)
}

/// What is broken in a tar of a layout.
pub fn broken_archive(tar: &[u8]) -> Vec<String> {
    let is_file = |member: &Member| member.kind == '0' || member.kind == '\0';
    let files = members(tar).into_iter().filter(is_file);
    let named = files.map(|member| {
        let name = String::from_utf8(member.name).unwrap();
        (name.strip_prefix("./").unwrap_or(&name).to_owned(), member.contents)
    });
    broken_files(&named.collect())
}

fn list_files(top: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            list_files(top, &path, files);
        } else {
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

/// The files of a layout by name (image-layout.md).
fn broken_files(files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let json = |name: &str| {
        let bytes = files.get(name).ok_or_else(|| format!("{name}: exists (image-layout.md, Content)"))?;
        serde_json::from_slice(bytes).map_err(|error| format!("{name}: is JSON (image-layout.md): {error}"))
    };
    let mut all = Vec::new();
    match json("oci-layout") {
        Ok(layout) => all.extend(broken(Kind::Layout, &layout, "oci-layout")),
        Err(error) => all.push(error),
    }
    let index: Value = match json("index.json") {
        Ok(index) => index,
        Err(error) => return [all, vec![error]].concat(),
    };
    all.extend(broken(Kind::Index, &index, "index.json"));
    for (name, bytes) in files {
        let Some((algorithm, encoded)) = name.strip_prefix("blobs/").and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        let found = text::is_digest(&format!("{algorithm}:{encoded}"));
        if !found || (algorithm == "sha256" && digest(bytes) != encoded) {
            all.push(format!("{name}: the blob has its digest (image-layout.md, Blobs)"));
        }
    }
    let blobs = Blobs(|name: &str| files.get(&format!("blobs/{}", name.replacen(':', "/", 1))).cloned());
    all.extend(list(&index["manifests"]).flat_map(|descriptor| blobs.broken(descriptor)));
    all
}
