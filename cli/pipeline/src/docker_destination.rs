//! Docker archives as a destination: a file, stdout, or a program that loads images.

use crate::destination::Destination;
use crate::error::Context;
use crate::report::titles;
use crate::{CompressionChoice, ImageTarget, Report, Result, engine};
use layerstone_image::{Archive, DockerImage, LegacyMetadata, Target, Trailer, WrittenLayer};
use layerstone_layer::{CompressionParams, Progress};
use layerstone_oci::{Image, PutImage};
use layerstone_store::{Digest, Output};
use std::fs::File;
use std::io::{IsTerminal, Write, stdout};
use std::os::fd::AsFd;
use std::path::Path;

/// Writes docker archives.
pub(crate) struct DockerDestination<'a> {
    pub target: &'a ImageTarget,
    /// How the archive is compressed.
    pub compression: CompressionChoice,
    pub legacy: Option<&'a dyn LegacyMetadata>,
}

impl Destination for DockerDestination<'_> {
    fn write(&self, image: &Image<'_>, report: &dyn Report) -> Result<PutImage> {
        let docker = DockerImage::new(image, self.legacy)?;
        let trailer = |diff_ids: &[Digest]| docker.trailer(diff_ids);
        let titles = titles(&image.layers);
        Ok(docker.put(&write_titled(docker.archive(), titles, self.target, &self.compression, &trailer, report)?))
    }

    /// Its layers are tars, but in an archive that is compressed they are there as blobs.
    fn compression(&self, _image: &Image<'_>) -> Option<CompressionParams> {
        self.target.compression(&self.compression).ok().flatten()
    }
}

/// Writes an archive to a file, compressed as the flags or its name say, to stdout for `-`, or into what loads images.
pub fn write_archive(
    archive: &Archive<'_>,
    target: &ImageTarget,
    compression: &CompressionChoice,
    trailer: &dyn Fn(&[Digest]) -> Trailer,
    report: &dyn Report,
) -> Result<Vec<WrittenLayer>> {
    let titles = archive.layers.iter().map(|layer| layer.label.display().to_string()).collect();
    write_titled(archive, titles, target, compression, trailer, report)
}

/// The same; what the layers are called for people is told.
fn write_titled(
    archive: &Archive<'_>,
    titles: Vec<String>,
    target: &ImageTarget,
    compression: &CompressionChoice,
    trailer: &dyn Fn(&[Digest]) -> Trailer,
    report: &dyn Report,
) -> Result<Vec<WrittenLayer>> {
    let pipe = |out: &mut (dyn Write + Send), name: &Path, params: Option<CompressionParams>| {
        let write = |meter: &Progress| archive.write(Target::Pipe(out, name), params, trailer, meter);
        report.during("writing", Some(archive.work(false)), titles.clone(), write)
    };
    let output = match target {
        ImageTarget::Engine(engine) => return engine::load(*engine, |out, name| pipe(out, name, None)),
        target => target.path().expect("it is a file"),
    };
    if target.is_stdout() {
        let out = stdout();
        if out.is_terminal() {
            bail!("stdout is a terminal: expected a file or a pipe, such as `| docker load`");
        }
        // Past std's line buffer, which would look for newlines in the tar.
        let mut out = File::from(out.as_fd().try_clone_to_owned().context("cannot write: stdout")?);
        return Ok(pipe(&mut out, Path::new("stdout"), target.compression(compression)?)?);
    }
    let params = target.compression(compression)?;
    let mut file = Output::create(output)?;
    let work = archive.work(file.is_seekable());
    let write = |meter: &_| archive.write(Target::File(&mut file), params, trailer, meter);
    let layers = report.during("writing", Some(work), titles, write)?;
    file.commit()?;
    Ok(layers)
}
