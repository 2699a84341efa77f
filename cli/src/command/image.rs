//! `layerstone image`: layer files and a spec to a docker archive.

use crate::args::{Common, StoreArgs};
use crate::out::print;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_image::{Archive, Codec, LayerFacts, LayerMember, MANIFEST_NAME, Spec, Target, Trailer};
use layerstone_layer::{LayerFile, Source, store_layout};
use layerstone_stage::{Digest, Output, Store, StorePath};
use std::fs::File;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Assemble layers into an image that docker loads
///
/// Layers given by recipe are made again from the store, and every layer's bytes are checked against its diff ID. The
/// output's name decides on compression: .tar none, .tar.gz gzip, .tar.zst zstd.
#[derive(Args)]
pub struct Options {
    /// Layer files, the bottom one first
    #[arg(value_name = "LAYER.JSON", required = true)]
    layers: Vec<PathBuf>,
    /// Image spec: name, tag, config, …
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: PathBuf,
    /// Image to write, - for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let spec = Spec::read(&options.spec)?;
    let store = options.store.store()?;
    let layers: Vec<ImageLayer> = options.layers.iter().map(|path| read_layer(path, &store)).collect::<Result<_>>()?;
    let built = write(&spec, layers, &options.output, common)?;
    built.tell(&options.output, common)
}

fn read_layer(path: &Path, store: &Store) -> Result<ImageLayer> {
    let layer = LayerFile::read(path)?;
    let source = match (&layer.recipe, layer.blob_path(path)) {
        (Some(recipe), _) => {
            let store = Store::new(&recipe.store, store.root())?;
            Source::Layout(store_layout(&store, recipe)?)
        }
        (None, Some(blob)) => Source::blob(&blob)?,
        (None, None) => bail!("no blob and no recipe: {}", path.display()),
    };
    if source.size() != layer.size {
        let (found, expected) = (source.size(), layer.size);
        bail!("wrong size: {}: found a layer of {found} bytes, expected {expected}", path.display());
    }
    Ok(ImageLayer { source, expected: Some(layer.diff_id), label: path.to_owned(), store_paths: layer.store_paths })
}

/// A layer on its way into an image.
pub struct ImageLayer {
    pub source: Source,
    /// Diff ID, if it is known.
    pub expected: Option<Digest>,
    /// What messages call it.
    pub label: PathBuf,
    /// The store paths that it holds; none for a customisation layer.
    pub store_paths: Vec<StorePath>,
}

/// An image that was written.
pub struct Built {
    pub reference: String,
    pub image_id: Digest,
    /// The layers' diff IDs, bottom first.
    pub diff_ids: Vec<Digest>,
}

impl Built {
    /// Says what was written, unless stdout holds the image itself.
    pub fn tell(&self, output: &Path, common: &Common) -> Result<()> {
        if output == Path::new("-") || common.quiet {
            return Ok(());
        }
        print(format_args!("{} {}\n", self.reference, self.image_id))
    }
}

/// Writes an image.
pub fn write(spec: &Spec, layers: Vec<ImageLayer>, output: &Path, common: &Common) -> Result<Built> {
    for warning in spec.warnings() {
        common.warn(warning);
    }
    let facts = spec.facts()?;
    let reference = spec.reference()?;
    let store_paths: Vec<Vec<StorePath>> = layers.iter().map(|layer| layer.store_paths.clone()).collect();
    let member = |layer: ImageLayer| LayerMember::new(layer.source, layer.expected, layer.label);
    let layers = layers.into_iter().map(member).collect();
    let archive = Archive { base: None, layers, mtime: spec.mtime.seconds()? };
    let finished = |diff_ids: &[Digest]| {
        let layers = diff_ids.iter().zip(&store_paths);
        let layers: Vec<LayerFacts> = layers.map(|(diff_id, paths)| layer_facts(*diff_id, paths)).collect();
        facts.finish(&layers)
    };
    let trailer = |diff_ids: &[Digest]| -> Trailer {
        let image = finished(diff_ids);
        let manifest = image.manifest(&[reference.for_image(&image.image_id)]);
        vec![(image.config_name(), image.config), (MANIFEST_NAME.to_owned(), manifest)]
    };
    let diff_ids = write_archive(&archive, output, &trailer, common)?;
    let image_id = finished(&diff_ids).image_id;
    Ok(Built { reference: reference.for_image(&image_id), image_id, diff_ids })
}

fn layer_facts(diff_id: Digest, paths: &[StorePath]) -> LayerFacts {
    if paths.is_empty() {
        return LayerFacts::customisation(diff_id);
    }
    let paths: Vec<&str> = paths.iter().map(StorePath::as_str).collect();
    LayerFacts::of_paths(diff_id, &paths)
}

/// Writes an archive to a file, compressed as its name says, or to stdout for `-`.
pub fn write_archive(
    archive: &Archive<'_>,
    output: &Path,
    trailer: &dyn Fn(&[Digest]) -> Trailer,
    common: &Common,
) -> Result<Vec<Digest>> {
    let count = archive.layers.len();
    if output == Path::new("-") {
        let out = stdout();
        if out.is_terminal() {
            bail!("stdout is a terminal: expected a file or a pipe, such as `| docker load`");
        }
        // Past std's line buffer, which would look for newlines in the tar.
        let mut out = File::from(out.as_fd().try_clone_to_owned().context("cannot write: stdout")?);
        let name = Path::new("stdout");
        let write = |meter: &_| archive.write(Target::Pipe(&mut out, name), None, trailer, meter);
        return Ok(common.progress().during("writing", Some(archive.work(false)), count, write)?);
    }
    let codec = Codec::of_name(output.as_os_str().as_bytes());
    let mut file = Output::create(output)?;
    let work = archive.work(file.is_seekable());
    let write = |meter: &_| archive.write(Target::File(&mut file), codec, trailer, meter);
    let diff_ids = common.progress().during("writing", Some(work), count, write)?;
    file.commit()?;
    Ok(diff_ids)
}
