//! `layerstone stream`: what nixpkgs' stream_layered_image.py writes, to the byte.

use crate::args::Common;
use crate::overwrite::Files;
use anyhow::{Context, Result};
use clap::Args;
use layerstone_image::{Archive, Base, Conf, LayerFacts, LayerMember, MANIFEST_NAME, Trailer};
use layerstone_layer::Source;
use layerstone_pipeline::{BuildCache, CompressionChoice, ImageTarget, layouts, recipes, write_archive};
use layerstone_store::{Digest, Store, StorePath};
use layerstone_tar::Owner;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Write what nixpkgs' stream_layered_image.py writes, to the byte
///
/// Takes the same conf.json and option. from_image may be plain or compressed.
#[derive(Args)]
pub struct Options {
    /// The conf.json of nixpkgs' streamLayeredImage
    #[arg(value_name = "CONF.JSON")]
    conf: PathBuf,
    /// What the image is called, instead of the conf's repo_tag
    #[arg(short = 't', long = "repo_tag", visible_alias = "repo-tag", value_name = "NAME:TAG")]
    repo_tag: Option<String>,
    /// Folder below which the store is read; no output names it
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Where to write, - for stdout; a name that ends in .gz or .zst is compressed
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let conf = Conf::read(&options.conf)?;
    let store = Store::new(&conf.store_dir, &options.root)?;
    let (place, packing) = (ImageTarget::parse_archive(options.output.as_os_str())?, CompressionChoice::default());
    let files = Files::of(&store).reads([&options.conf]).reads(&conf.from_image);
    files.writes_to(&place).check()?;
    let base = conf.from_image.as_deref().map(Base::open).transpose()?;
    let facts = conf.facts(base.as_ref())?;
    let recipes = recipes(&conf.store_layers, &store, conf.mtime, &conf.owner, false)?;
    let sources = layouts(&recipes, &BuildCache::none(), &store)?.into_iter().enumerate();
    let mut layers: Vec<LayerMember> =
        sources.map(|(index, source)| LayerMember::new(source, None, format!("layer {index}"))).collect();
    layers.push(customisation_layer(&conf, &store)?);
    let archive = Archive { base: base.as_ref(), directories: &[], layers, mtime: conf.mtime };
    let repo_tag = options.repo_tag.clone().unwrap_or_else(|| conf.repo_tag.clone());
    let trailer = |diff_ids: &[Digest]| -> Trailer {
        let mut layers: Vec<LayerFacts> = base.iter().flat_map(|base| base.layers().cloned()).collect();
        let paths = conf.store_layers.iter().map(|paths| paths.iter().map(StorePath::as_str).collect());
        let paths = paths.chain([vec![conf.customisation_layer.as_str()]]);
        layers.extend(diff_ids.iter().zip(paths).map(|(diff_id, paths)| LayerFacts::of_paths(*diff_id, &paths)));
        let image = facts.finish(&layers);
        let manifest = image.manifest(std::slice::from_ref(&repo_tag));
        vec![(image.config_name(), image.config), (MANIFEST_NAME.to_owned(), manifest)]
    };
    write_archive(&archive, &place, &packing, &trailer, common)?;
    Ok(())
}

/// The layer.tar that nixpkgs made, beside the checksum that names it. Python's tarfile puts the file's own mode and
/// owner into the archive.
fn customisation_layer(conf: &Conf, store: &Store) -> Result<LayerMember> {
    let folder = store.locate(&conf.customisation_layer);
    let (path, checksum) = (folder.join("layer.tar"), folder.join("checksum"));
    let text = std::fs::read_to_string(&checksum).with_context(|| format!("cannot read: {}", checksum.display()))?;
    let expected = format!("sha256:{}", text.trim()).parse().with_context(|| checksum.display().to_string())?;
    let metadata = path.metadata().with_context(|| format!("cannot read: {}", path.display()))?;
    let mut member = LayerMember::new(Source::blob(&path)?, Some(expected), path);
    member.mode = metadata.permissions().mode() & 0o7777;
    member.owner = Owner {
        uid: metadata.uid(),
        gid: metadata.gid(),
        uname: name_of(Path::new("/etc/passwd"), metadata.uid()),
        gname: name_of(Path::new("/etc/group"), metadata.gid()),
    };
    Ok(member)
}

/// The name of an id in passwd(5) or group(5), empty if it has none there.
///
/// Read from the file, since a static binary cannot ask the name service switch.
fn name_of(database: &Path, id: u32) -> String {
    let text = std::fs::read(database).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let with_id = |line: &&str| line.split(':').nth(2).and_then(|field| field.parse().ok()) == Some(id);
    text.lines().find(with_id).and_then(|line| line.split(':').next()).unwrap_or_default().to_owned()
}
