//! The flags that say what an image is published with.

use crate::args::bill::FormatArg;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use layerstone_pipeline::{BuiltBy, Companions, Published};
use layerstone_sbom::MetaFile;
use layerstone_store::{Output, read_input};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The media type of provenance.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// What lies beside an image.
#[derive(Args, Default)]
#[command(next_help_heading = "What lies beside the image")]
pub struct CompanionArgs {
    /// Attach its bill of materials
    #[arg(long, value_enum, value_name = "FORMAT")]
    sbom: Option<FormatArg>,
    /// Take licences, homepages and other facts of store paths from this file, for the bill (layerstone/meta)
    #[arg(long, value_name = "FILE", requires = "sbom")]
    meta: Vec<PathBuf>,
    /// Attach its provenance: how it was built, and of what (SLSA v1, a statement of in-toto)
    #[arg(long)]
    provenance: bool,
    /// Write its provenance to this file, a line for each image
    #[arg(long, value_name = "FILE", value_parser = crate::args::result::file_parser())]
    provenance_file: Option<PathBuf>,
    /// Platform that builds the image and stands for its provenance, a URI
    #[arg(long, value_name = "URI", value_parser = uri)]
    builder_id: Option<String>,
    /// Name of this build on that platform
    #[arg(long, value_name = "ID", requires = "builder_id")]
    invocation_id: Option<String>,
    /// Store them in the index of the image instead, as statements in the form of this program; an image without an index
    /// gets one
    #[arg(long, value_name = "FORM")]
    attest: Option<Form>,
}

/// Forms of statements within an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Buildkit,
}

/// The file of provenance, opened: it gets its name once it is written.
pub struct ProvenanceFile(Option<Output>);

/// Reads a URI (RFC 3986, section 3).
fn uri(text: &str) -> Result<String, String> {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    };
    let is_uri = |(scheme, rest): (&str, &str)| {
        is_scheme(scheme) && !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic())
    };
    match text.split_once(':').is_some_and(is_uri) {
        true => Ok(text.to_owned()),
        false => Err(format!("found {text:?}, expected a URI such as https://ci.example/runner")),
    }
}

impl CompanionArgs {
    /// What the flags say; `spec` is the file of the image's spec, if there is one.
    pub fn companions(&self, spec: Option<&Path>) -> Result<Companions> {
        let with_provenance = self.provenance || self.provenance_file.is_some();
        if self.builder_id.is_some() && !with_provenance {
            bail!("--builder-id: found no provenance, expected --provenance or --provenance-file with it");
        }
        if self.attest.is_some() && self.sbom.is_none() && !self.provenance {
            bail!("--attest: found nothing to state, expected --sbom or --provenance with it");
        }
        let read = |path: &PathBuf| Ok(MetaFile::parse(&read_input(path)?, &path.display().to_string())?);
        let by = BuiltBy { builder_id: self.builder_id.clone(), invocation_id: self.invocation_id.clone() };
        Ok(Companions {
            sbom: self.sbom.map(FormatArg::format),
            meta: self.meta.iter().map(read).collect::<Result<_>>()?,
            provenance: with_provenance.then_some(by),
            provenance_stays: self.provenance,
            in_index: self.attest.is_some(),
            directory: spec.and_then(Path::parent).map(Path::to_owned).unwrap_or_default(),
        })
    }

    /// Files that are read.
    pub fn inputs(&self) -> impl Iterator<Item = &PathBuf> {
        self.meta.iter()
    }

    /// Files that are written.
    pub fn outputs(&self) -> impl Iterator<Item = &PathBuf> {
        self.provenance_file.iter()
    }

    /// Opens the file, so that what cannot be written is an error before there is any work.
    pub fn open(&self) -> Result<ProvenanceFile> {
        Ok(ProvenanceFile(self.provenance_file.as_deref().map(Output::create).transpose()?))
    }
}

impl ProvenanceFile {
    /// Writes the statements, a line each (in-toto's attestation framework, bundle.md).
    pub fn write(self, published: &Published) -> Result<()> {
        let (Some(mut output), Published::Manifest { companions, .. }) = (self.0, published) else { return Ok(()) };
        for companion in companions.iter().filter(|it| it.media_type == IN_TOTO) {
            let written = output.write_all(&companion.bytes).and_then(|()| output.write_all(b"\n"));
            written.with_context(|| format!("cannot write: {}", output.destination().display()))?;
        }
        Ok(Output::commit_all([output])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        for text in ["https://ci.example/runner@v1", "urn:x:y", "tag:example.org,2026:ci"] {
            assert_eq!(uri(text).as_deref(), Ok(text));
        }
        for text in ["", "runner", "https:", ":x", "1x:y", "https://a b", "x:\u{e9}", "a/b:c"] {
            assert!(uri(text).is_err(), "{text}");
        }
    }
}
