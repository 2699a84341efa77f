//! Docker archives as a destination: a file, stdout, or a program that loads images.

use crate::destination::{Destination, WriteOptions};
use crate::error::Context;
use crate::report::titles;
use crate::{CompressionChoice, ImageTarget, Report, Result, engine};
use layerstone_image::{Archive, ArchiveCache, DockerImage, LegacyMetadata, NewArchive, Target, Trailer, WrittenLayer};
use layerstone_layer::{CompressionParams, Progress};
use layerstone_oci::{Image, PutImage};
use layerstone_store::{Digest, Output};
use std::fs::File;
use std::io::{IsTerminal, Write, stdout};
use std::os::fd::AsFd;
use std::path::Path;

/// Writes docker archives.
pub(crate) struct DockerDestination<'a> {
    target: &'a ImageTarget,
    /// How the archive is compressed.
    compression: CompressionChoice,
    legacy: Option<&'a dyn LegacyMetadata>,
    /// What is known of earlier archives.
    archives: Option<ArchiveCache>,
    /// Whether an archive that would be what it is stays the file that it is.
    leaves: bool,
}

impl<'a> DockerDestination<'a> {
    /// Writes there.
    pub fn new(
        to: &WriteOptions<'a>,
        legacy: Option<&'a dyn LegacyMetadata>,
        archives: Option<&ArchiveCache>,
    ) -> DockerDestination<'a> {
        let WriteOptions { target, compression, leaves, .. } = *to;
        DockerDestination { target, compression, legacy, archives: archives.cloned(), leaves }
    }

    /// Writes an archive to a file, as far as it can be copied out of earlier ones, and remembers it for later ones.
    fn write_file(
        &self,
        image: &Image<'_>,
        (path, archives): (&Path, &ArchiveCache),
        report: &dyn Report,
    ) -> Result<PutImage> {
        let params = self.target.compression(&self.compression)?;
        let mut docker = DockerImage::new(image, self.legacy)?;
        let mut file = Output::create(path)?;
        let known = docker.known();
        let fingerprint = |docker: &DockerImage<'_>, digests: &[Digest]| {
            docker.archive().fingerprint(digests, params, &|digests| docker.trailer(digests))
        };
        if let Some(known) = known.filter(|_| self.leaves)
            && fingerprint(&docker, &known).is_some_and(|fingerprint| archives.has(&file, &fingerprint))
        {
            return Ok(docker.untouched(&known));
        }
        let kept = archives.find(&file, docker.members(), params);
        let mut written = write_docker(&docker, &mut file, params, titles(&image.layers), report);
        let is_sure = written.is_ok() && kept.are_unchanged();
        if !is_sure && !kept.is_empty() && !report.cancel().is_cancelled() {
            // What they have is not what they had: the store tells.
            docker.members().iter_mut().for_each(|layer| layer.kept = None);
            file.restart()?;
            written = write_docker(&docker, &mut file, params, titles(&image.layers), report);
        }
        let layers = &written?[..];
        let digests: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
        match fingerprint(&docker, &digests).filter(|_| file.is_seekable()) {
            Some(fingerprint) => archives.commit(file, &NewArchive { fingerprint, params, layers })?,
            None => file.commit()?,
        }
        Ok(docker.put(layers))
    }
}

impl Destination for DockerDestination<'_> {
    fn write(&self, image: &Image<'_>, report: &dyn Report) -> Result<PutImage> {
        let path = self.target.path().filter(|_| !self.target.is_stdout());
        if let Some(to) = path.zip(self.archives.as_ref()) {
            return self.write_file(image, to, report);
        }
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
    let layers = write_output(archive, &mut file, params, titles, trailer, report)?;
    file.commit()?;
    Ok(layers)
}

/// Writes the archive of an image into an output, which has no name yet.
fn write_docker(
    docker: &DockerImage<'_>,
    file: &mut Output,
    params: Option<CompressionParams>,
    titles: Vec<String>,
    report: &dyn Report,
) -> Result<Vec<WrittenLayer>> {
    write_output(docker.archive(), file, params, titles, &|digests| docker.trailer(digests), report)
}

fn write_output(
    archive: &Archive<'_>,
    file: &mut Output,
    params: Option<CompressionParams>,
    titles: Vec<String>,
    trailer: &dyn Fn(&[Digest]) -> Trailer,
    report: &dyn Report,
) -> Result<Vec<WrittenLayer>> {
    let work = archive.work(file.is_seekable());
    let write = |meter: &_| archive.write(Target::File(file), params, trailer, meter);
    Ok(report.during("writing", Some(work), titles, write)?)
}
