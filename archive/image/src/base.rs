//! The image that another one is built on: its config, and its layers copied as nixpkgs' `stream_layered_image.py`
//! copies them.
//!
//! It is the first image that the archive's manifest lists. Diff IDs are taken from its config without looking at the
//! layers, which may be compressed; a layer that is a link stays one.

use crate::blobs::Blobs;
use crate::config::paths_comment;
use crate::inherit::merge_env;
use crate::stored::Kept;
use crate::tar_file::TarFile;
use crate::{LayerFacts, MaxUnpacked, Result, docker_archive};
use layerstone_store::Digest;
use layerstone_tar::{BLOCK, Part};
use serde_json::Value;
use std::io::{self, Cursor, Read};
use std::path::Path;

/// A base image.
#[derive(Debug)]
pub struct Base {
    config: Value,
    members: Vec<BaseMember>,
}

/// One layer of a base image, as a member of the new archive.
#[derive(Debug)]
struct BaseMember {
    facts: LayerFacts,
    header: Vec<u8>,
    /// The contents in the base; empty for a link.
    contents: Part,
}

impl Base {
    /// Opens a docker archive: plain, gzip, bzip2, xz or zstd; `-` is standard input.
    pub fn open(path: &Path) -> Result<Base> {
        let blobs = Blobs::Tar(TarFile::open(path, MaxUnpacked::default())?);
        let images = docker_archive::images(&blobs)?;
        let Blobs::Tar(archive) = &blobs else { unreachable!("a tar was opened") };
        let image = &images[0];
        let config = blobs.json(&image.config.name)?;
        let layers = image.with_diff_ids(&config, &blobs)?;
        let mut kept = Kept::default();
        let mut members = Vec::new();
        for (blob, diff_id) in layers {
            let member = member(archive, &blob.name, diff_id)?;
            kept.add(member.header.len(), 1).map_err(|cause| archive.error(cause))?;
            members.push(member);
        }
        Ok(Base { members, config })
    }

    /// The whole image config.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// How many layers it has.
    pub fn layer_count(&self) -> usize {
        self.members.len()
    }

    /// What the new image says about the layers, bottom first.
    pub fn layers(&self) -> impl Iterator<Item = &LayerFacts> {
        self.members.iter().map(|member| &member.facts)
    }

    /// How many bytes a layer's member takes in the new archive, headers and padding included.
    pub fn member_size(&self, index: usize) -> u64 {
        let member = &self.members[index];
        member.header.len() as u64 + member.contents.size().next_multiple_of(BLOCK as u64)
    }

    /// Reads a layer's member for the new archive: header in Python's PAX dialect, contents, padding. Reads at places
    /// of its own, so several may be read at the same time.
    pub fn member_reader(&self, index: usize) -> impl Read + Send + '_ {
        let member = &self.members[index];
        let size = member.contents.size();
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        Cursor::new(&member.header).chain(member.contents.reader()).chain(io::repeat(0).take(padding))
    }

    /// Puts the base's environment under that of `config`.
    pub(crate) fn merge_env(&self, config: Value) -> Result<Value, String> {
        merge_env(self.config.get("config").unwrap_or(&Value::Null), config)
    }
}

fn member(archive: &TarFile, name: &str, diff_id: Digest) -> Result<BaseMember> {
    let member = archive.member(name)?;
    let contents = archive.contents(member)?;
    let size = member.info.size;
    if size > contents.info.size {
        let found = contents.info.size;
        return Err(archive.error(format!("{name}: found {found} bytes where it links to, expected {size}")));
    }
    let name = name.trim_end_matches('/');
    Ok(BaseMember {
        facts: LayerFacts { diff_id, name: name.to_owned(), comment: paths_comment(&[name]) },
        header: member.info.header(),
        contents: archive.section(name, contents.offset, size),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decompression::{Trailing, decompress};
    use crate::{Compression, Conf};
    use std::io::Write;
    use std::path::PathBuf;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
    }

    fn copied(base: &Base) -> Vec<u8> {
        let mut out = Vec::new();
        for index in 0..base.layer_count() {
            let read = base.member_reader(index).read_to_end(&mut out).unwrap();
            assert_eq!(read as u64, base.member_size(index));
        }
        out
    }

    /// What Python's tarfile made of the same archives; see golden/make-bases.py.
    #[test]
    fn copies_as_python_makes_them() {
        for line in include_str!("../golden/base-members.sha256").lines() {
            let (sum, name) = line.split_once("  ").unwrap();
            let base = Base::open(&golden(&format!("base-{name}.tar.xz"))).unwrap();
            assert_eq!(Digest::of(&copied(&base)).hex(), sum, "{name}");
            assert_eq!(base.layer_count(), 5);
        }
    }

    #[test]
    fn links_stay_links() {
        let base = Base::open(&golden("base-gnu.tar.xz")).unwrap();
        let sizes: Vec<_> = base.members.iter().map(|member| member.contents.size()).collect();
        assert_eq!(sizes, [513, 0, 512, 1, 0]);
        assert_eq!(base.layers().nth(1).unwrap().comment, "store paths: ['a/layer.tar']");
    }

    fn plain(name: &str) -> Vec<u8> {
        let mut tar = Vec::new();
        let compressed = std::fs::read(golden(name)).unwrap();
        decompress(Compression::Xz, &compressed[..], Trailing::Refused).unwrap().read_to_end(&mut tar).unwrap();
        tar
    }

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn any_compression() {
        let tar = plain("base-gnu.tar.xz");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar[..1000]).unwrap();
        let mut gzip = gzip.finish().unwrap();
        let mut second = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        second.write_all(&tar[1000..]).unwrap();
        gzip.extend(second.finish().unwrap());
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&tar).unwrap();
        let zstd = zstd::encode_all(&tar[..], 1).unwrap();
        let expected = copied(&Base::open(&golden("base-gnu.tar.xz")).unwrap());
        for bytes in [tar, gzip, bzip2.finish().unwrap(), zstd] {
            assert_eq!(copied(&Base::open(written(&bytes).path()).unwrap()), expected);
        }
    }

    /// A docker archive of these members.
    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn golden_on_a_base() {
        let manifest = include_bytes!("../golden/manifest-5.json");
        let config = include_bytes!("../golden/image-config-5.json");
        let listed: Value = serde_json::from_slice(manifest).unwrap();
        let layers: Vec<&str> = listed[0]["Layers"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
        let mut members: Vec<(&str, &[u8])> = layers.iter().map(|name| (*name, &b""[..])).collect();
        members.extend([(listed[0]["Config"].as_str().unwrap(), &config[..]), ("manifest.json", &manifest[..])]);
        let file = written(&archive(&members));
        let base = Base::open(file.path()).unwrap();
        let conf = Conf::parse(include_bytes!("../golden/conf-on-base.json"), "conf.json").unwrap();
        assert_eq!(conf.from_image.as_deref(), Some(Path::new("image-5.tar")));
        let expected: Value = serde_json::from_str(include_str!("../golden/image-config-on-base.json")).unwrap();
        let diff_ids: Vec<Digest> = serde_json::from_value(expected["rootfs"]["diff_ids"].clone()).unwrap();
        let mut facts: Vec<LayerFacts> = base.layers().cloned().collect();
        let own = conf.store_layers.iter().map(|l| l.iter().map(|path| path.to_string()).collect());
        let own: Vec<Vec<String>> = own.chain([vec![conf.customisation_layer.clone()]]).collect();
        facts.extend(own.iter().zip(&diff_ids[5..]).map(|(paths, id)| LayerFacts::of_paths(*id, paths)));
        let finished = conf.facts(Some(&base)).unwrap().finish(&facts);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(text(finished.config.clone()), include_str!("../golden/image-config-on-base.json"));
        assert_eq!(text(finished.manifest(&[conf.repo_tag])), include_str!("../golden/manifest-on-base.json"));
    }

    #[track_caller]
    fn check_error(bytes: &[u8], cause: &str) {
        let file = written(bytes);
        let error = Base::open(file.path()).unwrap_err().to_string();
        assert_eq!(error, format!("not an image: {}: {cause}", file.path().display()));
    }

    const MANIFEST: &[u8] = br#"[{"Config":"c","RepoTags":null,"Layers":["l"]}]"#;
    const CONFIG: &[u8] = br#"{"rootfs":{"diff_ids":[
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;

    #[test]
    fn what_is_no_docker_archive() {
        check_error(b"hello", "found no tar header");
        check_error(&[b'x'; 2000], "found no tar header");
        check_error(b"", "found no manifest.json");
        check_error(&archive(&[("x", b"y")]), "found no manifest.json");
        check_error(&archive(&[("manifest.json", b"[]")]), "manifest.json: found no image");
        check_error(&archive(&[("manifest.json", MANIFEST)]), "found no c");
        check_error(&archive(&[("manifest.json", MANIFEST), ("c", CONFIG)]), "found no l");
        check_error(&archive(&[("manifest.json", MANIFEST), ("c", b"{}")]), "c: found no rootfs.diff_ids");
        check_error(
            &archive(&[("manifest.json", MANIFEST), ("c", br#"{"rootfs":{"diff_ids":[]}}"#)]),
            "found 1 layers, expected 0 as the config has diff IDs",
        );
        let error = Base::open(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read: /nonexistent: "), "{error}");
    }

    #[test]
    fn links_that_lead_nowhere() {
        let link = |target: &str| {
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, "l", target).unwrap();
            let links = tar.into_inner().unwrap();
            [&links[..512], &archive(&[("manifest.json", MANIFEST), ("c", CONFIG)])].concat()
        };
        check_error(&link("away"), "l links to away, which is not there");
        check_error(&link("../l"), "too many links: l");
        let file = written(&link("./x/../c"));
        assert_eq!(Base::open(file.path()).unwrap().members[0].contents.size(), 0);
    }

    /// Cut anywhere before its end marker, an archive is refused; none of the ways panics.
    #[test]
    fn prefixes_are_refused() {
        for name in ["gnu", "pax"] {
            let tar = plain(&format!("base-{name}.tar.xz"));
            let end = tar.iter().rposition(|&byte| byte != 0).unwrap().next_multiple_of(512);
            for len in (0..end).step_by(61).chain((512..end).step_by(512)) {
                assert!(Base::open(written(&tar[..len]).path()).is_err(), "{name} {len}");
            }
        }
        let compressed = std::fs::read(golden("base-gnu.tar.xz")).unwrap();
        let error = Base::open(written(&compressed[..compressed.len() - 30]).path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot unpack: "), "{error}");
    }
}
