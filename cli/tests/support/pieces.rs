//! Images that no code of ours has written: tars made header by header, and the forms in which tools keep images.

use crate::support::archive::{config, manifest, member};
use crate::support::digest;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What a member of a tar, or a file of a directory, is.
#[derive(Clone)]
pub enum Entry {
    Folder,
    File(Vec<u8>),
    Symlink(String),
    HardLink(String),
}

/// Files by name, in order.
pub type Files = Vec<(String, Entry)>;

/// An image in pieces.
#[derive(Clone)]
pub struct Pieces {
    /// Its layers as tars, the bottom one first.
    pub layers: Vec<Vec<u8>>,
    /// Its config.
    pub config: Value,
    /// What it is called.
    pub names: Vec<String>,
}

impl Pieces {
    /// An image of these layers and a config that says nothing else.
    pub fn new(layers: &[Vec<u8>]) -> Pieces {
        let config = json!({"architecture": "amd64", "os": "linux"});
        let mut pieces = Pieces { layers: layers.to_vec(), config, names: vec!["base:1".to_owned()] };
        pieces.config["rootfs"] = json!({"type": "layers", "diff_ids": pieces.diff_ids()});
        pieces
    }

    /// The image of a plain docker archive.
    pub fn of(archive: &[u8]) -> Pieces {
        let manifest = manifest(archive);
        let strings = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap() };
        let layers = strings(&manifest["Layers"]).iter().map(|name| member(archive, name)).collect();
        Pieces { layers, config: config(archive), names: strings(&manifest["RepoTags"]) }
    }

    /// The same by other names.
    pub fn called(&self, names: &[&str]) -> Pieces {
        Pieces { names: names.iter().map(|name| (*name).to_owned()).collect(), ..self.clone() }
    }

    pub fn diff_ids(&self) -> Vec<String> {
        self.layers.iter().map(|layer| format!("sha256:{}", digest(layer))).collect()
    }

    pub fn config_bytes(&self) -> Vec<u8> {
        self.config.to_string().into_bytes()
    }
}

/// A docker archive as skopeo and we write it: `HEX.json`, `HEX.tar`.
pub fn plain_docker(images: &[Pieces]) -> Files {
    docker(images, |hex| format!("{hex}.json"), |_, hex| format!("{hex}.tar"))
}

/// As `docker save` writes it since version 25: everything in `blobs/sha256`, beside the index of an OCI layout.
pub fn new_save(images: &[Pieces]) -> Files {
    let blob = |hex: &str| format!("blobs/sha256/{hex}");
    let mut files: Files = vec![("blobs/".to_owned(), Entry::Folder), ("blobs/sha256/".to_owned(), Entry::Folder)];
    files.extend(docker(images, blob, |_, hex| blob(hex)));
    let descriptors = images.iter().map(|image| oci_image(image, &Packing::plain(), &mut files)).collect();
    finish_oci(&mut files, descriptors);
    files
}

/// As `docker save` wrote it until then: a directory for each layer, and `repositories`.
pub fn old_save(images: &[Pieces]) -> Files {
    let mut files = Files::new();
    for (name, entry) in
        docker(images, |hex| format!("{hex}.json"), |index, hex| format!("{}/layer.tar", id(index, hex)))
    {
        if let Some(folder) = name.strip_suffix("/layer.tar") {
            files.push((format!("{folder}/"), Entry::Folder));
            files.push((format!("{folder}/VERSION"), Entry::File(b"1.0".to_vec())));
            files.push((format!("{folder}/json"), json_file(&json!({"id": folder, "os": "linux"}))));
        }
        files.push((name, entry));
    }
    files.push(("repositories".to_owned(), json_file(&json!({"base": {"1": "0".repeat(64)}}))));
    files
}

/// The ID of a layer, which is that of the place where it stands and no digest of the tar.
fn id(index: usize, hex: &str) -> String {
    digest(format!("{index} {hex}").as_bytes())
}

fn docker(images: &[Pieces], config: impl Fn(&str) -> String, layer: impl Fn(usize, &str) -> String) -> Files {
    let mut files = Files::new();
    let mut manifest = Vec::new();
    for image in images {
        let hexes: Vec<String> = image.layers.iter().map(|layer| digest(layer)).collect();
        let names: Vec<String> = hexes.iter().enumerate().map(|(index, hex)| layer(index, hex)).collect();
        for (name, layer) in names.iter().zip(&image.layers) {
            add_file(&mut files, name, layer);
        }
        let config = config(&digest(&image.config_bytes()));
        add_file(&mut files, &config, &image.config_bytes());
        manifest.push(json!({"Config": config, "RepoTags": image.names, "Layers": names}));
    }
    files.push(("manifest.json".to_owned(), json_file(&json!(manifest))));
    files
}

/// How the pieces of an OCI layout are packed.
#[derive(Clone)]
pub struct Packing {
    /// What becomes of the layers.
    pub compress: fn(&[u8]) -> Vec<u8>,
    pub layer_type: &'static str,
    pub manifest_type: &'static str,
    pub index_type: &'static str,
}

impl Packing {
    /// OCI's own media types, layers as they are.
    pub fn plain() -> Packing {
        Packing {
            compress: <[u8]>::to_vec,
            layer_type: "application/vnd.oci.image.layer.v1.tar",
            manifest_type: "application/vnd.oci.image.manifest.v1+json",
            index_type: "application/vnd.oci.image.index.v1+json",
        }
    }

    /// Docker's media types.
    pub fn docker(compress: fn(&[u8]) -> Vec<u8>) -> Packing {
        Packing {
            compress,
            layer_type: "application/vnd.docker.image.rootfs.diff.tar.gzip",
            manifest_type: "application/vnd.docker.distribution.manifest.v2+json",
            index_type: "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }
}

/// An OCI layout of these images, each under all its names.
pub fn oci(images: &[Pieces], packing: &Packing) -> Files {
    let mut files = Files::new();
    let descriptors = images.iter().map(|image| oci_image(image, packing, &mut files)).collect();
    finish_oci(&mut files, descriptors);
    files
}

/// Adds an image's blobs; its descriptor.
pub fn oci_image(image: &Pieces, packing: &Packing, files: &mut Files) -> Value {
    let layer = |layer: &Vec<u8>| blob(files, packing.layer_type, &(packing.compress)(layer));
    let layers: Vec<Value> = image.layers.iter().map(layer).collect();
    let config = blob(files, "application/vnd.oci.image.config.v1+json", &image.config_bytes());
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    let mut descriptor = blob(files, packing.manifest_type, manifest.to_string().as_bytes());
    if let Some(name) = image.names.first() {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    }
    descriptor
}

/// Adds a blob; its descriptor.
pub fn blob(files: &mut Files, media_type: &str, bytes: &[u8]) -> Value {
    add_file(files, &format!("blobs/sha256/{}", digest(bytes)), bytes);
    json!({"mediaType": media_type, "digest": format!("sha256:{}", digest(bytes)), "size": bytes.len()})
}

/// Adds the index of a layout.
pub fn finish_oci(files: &mut Files, descriptors: Vec<Value>) {
    files.push(("index.json".to_owned(), json_file(&json!({"schemaVersion": 2, "manifests": descriptors}))));
    files.push(("oci-layout".to_owned(), json_file(&json!({"imageLayoutVersion": "1.0.0"}))));
}

/// A file, unless one of that name is there.
pub fn add_file(files: &mut Files, name: &str, bytes: &[u8]) {
    if files.iter().all(|(known, _)| known != name) {
        files.push((name.to_owned(), Entry::File(bytes.to_vec())));
    }
}

pub fn json_file(value: &Value) -> Entry {
    Entry::File(value.to_string().into_bytes())
}

/// Puts something in the place of the file of a name, or of one that ends so.
#[track_caller]
pub fn replace(files: &mut Files, ending: &str, entry: Entry) {
    let file = files.iter_mut().find(|(name, _)| name.ends_with(ending));
    file.unwrap_or_else(|| panic!("no {ending}")).1 = entry;
}

/// Writes files into a directory.
pub fn write_folder(folder: &Path, files: &Files) {
    for (name, entry) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match entry {
            Entry::Folder => fs::create_dir_all(path).unwrap(),
            Entry::File(bytes) => fs::write(path, bytes).unwrap(),
            Entry::Symlink(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            Entry::HardLink(target) => fs::hard_link(folder.join(target), path).unwrap(),
        }
    }
}

/// A tar of files.
pub fn tar(files: &Files) -> Vec<u8> {
    tar_of(files.iter().map(|(name, entry)| (name.as_bytes(), entry.clone())))
}

/// A tar of files under these names, which may be any bytes.
pub fn tar_of<'a>(files: impl IntoIterator<Item = (&'a [u8], Entry)>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, entry) in files {
        let mut header = tar::Header::new_gnu();
        let (kind, mode, link, contents) = match &entry {
            Entry::Folder => (tar::EntryType::Directory, 0o755, "", &[][..]),
            Entry::File(bytes) => (tar::EntryType::Regular, 0o644, "", &bytes[..]),
            Entry::Symlink(target) => (tar::EntryType::Symlink, 0o777, target.as_str(), &[][..]),
            Entry::HardLink(target) => (tar::EntryType::Link, 0o644, target.as_str(), &[][..]),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(contents.len() as u64);
        set_name(&mut builder, &mut header, b'L', name);
        set_name(&mut builder, &mut header, b'K', link.as_bytes());
        for number in [tar::Header::set_uid, tar::Header::set_gid, tar::Header::set_mtime] {
            number(&mut header, 0);
        }
        header.set_cksum();
        builder.append(&header, contents).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Sets a name or a link target past the tar crate, which takes no `..`; a long one in GNU's header of this type before.
fn set_name(builder: &mut tar::Builder<Vec<u8>>, header: &mut tar::Header, long: u8, name: &[u8]) {
    let old = header.as_old_mut();
    let field = if long == b'L' { &mut old.name } else { &mut old.linkname };
    let fits = name.len().min(field.len());
    field[..fits].copy_from_slice(&name[..fits]);
    if fits < name.len() {
        let mut extension = tar::Header::new_gnu();
        extension.set_entry_type(tar::EntryType::new(long));
        extension.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
        extension.set_size(name.len() as u64 + 1);
        extension.set_cksum();
        builder.append(&extension, &[name, b"\0"].concat()[..]).unwrap();
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// Gzip members of a few kilobytes each.
pub fn gzip_members(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(5000).flat_map(gzip).collect()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    liblzma::encode_all(bytes, 1).unwrap()
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}
