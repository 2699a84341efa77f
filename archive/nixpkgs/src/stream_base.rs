//! The image that a [`Stream`](crate::Stream) is built on: its config, and its layers copied as nixpkgs'
//! `stream_layered_image.py` copies them.
//!
//! It is the first image that the archive's manifest lists. Diff IDs are taken from its config without looking at the
//! layers, which may be compressed; a layer that is a link stays one.

use crate::Result;
use crate::python_tar::{TarInfo, read_members};
use layerstone_image::{CopiedMember, LayerFacts, NotAnEnv, TarFile, merge_env};
use layerstone_store::{Limit, Limits};
use serde_json::Value;
use std::path::Path;

/// The base of a stream.
#[derive(Debug)]
pub(crate) struct StreamBase {
    config: Value,
    /// What the new image says about the layers, bottom first.
    pub(crate) layers: Vec<LayerFacts>,
    /// The layers as members of the new archive, with headers in Python's PAX dialect.
    pub(crate) members: Vec<CopiedMember>,
}

impl StreamBase {
    /// Opens a docker archive: plain, gzip, bzip2, xz or zstd; `-` is standard input.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no docker archive by the rules of Python, or is beyond a limit.
    pub(crate) fn open(path: &Path, limits: Limits) -> Result<StreamBase> {
        let mut infos = Vec::new();
        let tar = TarFile::open(path, limits, |tar, bounds| read_members(tar, bounds, &mut infos))?;
        let image = tar.first_image()?;
        let mut base = StreamBase { config: image.config, layers: Vec::new(), members: Vec::new() };
        let mut copied = 0;
        for (name, diff_id) in &image.layers {
            let member = copied_member(&tar, &infos, name)?;
            copied += member.header.len();
            limits.check(Limit::CopiedHeaders, copied as u64).map_err(|exceeded| tar.error(exceeded.to_string()))?;
            let name = name.trim_end_matches('/');
            let name = name.to_owned();
            base.layers.push(LayerFacts { name: name.clone(), ..LayerFacts::of_paths(*diff_id, &[name]) });
            base.members.push(member);
        }
        Ok(base)
    }

    /// Puts the base's environment under that of `config`.
    pub(crate) fn merge_env(&self, config: Value) -> Result<Value, NotAnEnv> {
        merge_env(self.config.get("config").unwrap_or(&Value::Null), config)
    }
}

/// The member of a name: its header written again, and as many bytes of what it is or links to as the header says, which for
/// a link are none.
fn copied_member(tar: &TarFile, infos: &[TarInfo], name: &str) -> layerstone_image::Result<CopiedMember> {
    let number = tar.member(name)?;
    let (info, contents) = (&infos[number], tar.contents(number, name.trim_end_matches('/'))?);
    let (found, expected) = (contents.size(), info.size);
    if expected > found {
        return Err(tar.error(format!("{name}: found {found} bytes where it links to, expected {expected}")));
    }
    Ok(CopiedMember { header: info.header(), contents: Some(contents.first(expected)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conf;
    use layerstone_image::{Archive, Target};
    use layerstone_layer::Progress;
    use layerstone_store::Digest;
    use std::io::{Read, Write};
    use std::path::PathBuf;

    fn open(path: &Path) -> Result<StreamBase> {
        StreamBase::open(path, Limits::default())
    }

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
    }

    /// The members as an archive holds them, without its end.
    fn copied(base: &StreamBase) -> Vec<u8> {
        let archive = Archive { before: &base.members, layers: Vec::new(), mtime: 0 };
        let mut out = Vec::new();
        let target = Target::Pipe(&mut out, Path::new("out"));
        archive.write(target, None, &|_| Vec::new(), &Progress::default()).unwrap();
        let padded = |member: &CopiedMember| member.header.len() + size(member).next_multiple_of(512) as usize;
        out.truncate(base.members.iter().map(padded).sum());
        out
    }

    /// What Python's tarfile made of the same archives; see golden/make-bases.py.
    #[test]
    fn copies_as_python_makes_them() {
        for line in include_str!("../golden/base-members.sha256").lines() {
            let (sum, name) = line.split_once("  ").unwrap();
            let base = open(&golden(&format!("base-{name}.tar.xz"))).unwrap();
            assert_eq!(Digest::of(&copied(&base)).hex(), sum, "{name}");
            assert_eq!(base.layers.len(), 5);
        }
    }

    #[test]
    fn links_stay_links() {
        let base = open(&golden("base-gnu.tar.xz")).unwrap();
        let sizes: Vec<_> = base.members.iter().map(size).collect();
        assert_eq!(sizes, [513, 0, 512, 1, 0]);
        assert_eq!(base.layers[1].comment, "store paths: ['a/layer.tar']");
    }

    fn size(member: &CopiedMember) -> u64 {
        member.contents.as_ref().unwrap().size()
    }

    fn plain(name: &str) -> Vec<u8> {
        let mut tar = Vec::new();
        let compressed = std::fs::read(golden(name)).unwrap();
        liblzma::read::XzDecoder::new(&compressed[..]).read_to_end(&mut tar).unwrap();
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
        let expected = copied(&open(&golden("base-gnu.tar.xz")).unwrap());
        for bytes in [tar, gzip, bzip2.finish().unwrap(), zstd] {
            assert_eq!(copied(&open(written(&bytes).path()).unwrap()), expected);
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
        let base = open(file.path()).unwrap();
        let conf = Conf::parse(include_bytes!("../golden/conf-on-base.json"), "conf.json").unwrap();
        assert_eq!(conf.from_image.as_deref(), Some(Path::new("image-5.tar")));
        let expected: Value = serde_json::from_str(include_str!("../golden/image-config-on-base.json")).unwrap();
        let diff_ids: Vec<Digest> = serde_json::from_value(expected["rootfs"]["diff_ids"].clone()).unwrap();
        let mut facts: Vec<LayerFacts> = base.layers.to_vec();
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
        let error = open(file.path()).unwrap_err().to_string();
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
            "found 1 layer, expected 0 as the config has diff IDs",
        );
        let error = open(Path::new("/nonexistent")).unwrap_err().to_string();
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
        assert_eq!(size(&open(file.path()).unwrap().members[0]), 0);
    }

    /// Cut anywhere before its end marker, an archive is refused; none of the ways panics.
    #[test]
    fn prefixes_are_refused() {
        for name in ["gnu", "pax"] {
            let tar = plain(&format!("base-{name}.tar.xz"));
            let end = tar.iter().rposition(|&byte| byte != 0).unwrap().next_multiple_of(512);
            for len in (0..end).step_by(61).chain((512..end).step_by(512)) {
                assert!(open(written(&tar[..len]).path()).is_err(), "{name} {len}");
            }
        }
        let compressed = std::fs::read(golden("base-gnu.tar.xz")).unwrap();
        let error = open(written(&compressed[..compressed.len() - 30]).path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot unpack: "), "{error}");
    }
}
