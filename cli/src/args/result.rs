//! The flags that name files which say what was built or published, for programs, and the files.

use crate::screen::out::json;
use anyhow::Result;
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use layerstone_oci::Reference;
use layerstone_pipeline::Published;
use layerstone_store::{Error as StoreError, Output};
use serde_json::{Map, Value};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Files that say what was made.
#[derive(Args)]
#[command(next_help_heading = "For programs")]
pub struct ResultArgs {
    /// Write the digest of the manifest to this file at the end; for docker archives and engines, which have no
    /// manifests, the image ID
    #[arg(long, value_name = "FILE", value_parser = file_parser())]
    digest_file: Option<PathBuf>,
    /// Write digests and name to this file at the end, as JSON with the keys of docker buildx
    #[arg(long, value_name = "FILE", value_parser = file_parser())]
    metadata_file: Option<PathBuf>,
}

/// These files, opened: each gets its name once it is written, and none does if the work fails.
pub struct ResultFiles {
    digest: Option<Output>,
    metadata: Option<Output>,
}

/// Reads a name of a file that is written besides an image.
pub fn file_parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(file)
}

/// Reads a name of a file. Standard output is for the image, or for what the command prints.
fn file(path: PathBuf) -> Result<PathBuf, &'static str> {
    if path == Path::new("-") { Err("found -, expected a file") } else { Ok(path) }
}

impl ResultArgs {
    /// Files that are written.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.digest_file.iter().chain(&self.metadata_file)
    }

    /// Opens the files, so that what cannot be written is an error before there is any work.
    pub fn open(&self) -> Result<ResultFiles> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(Output::create).transpose();
        Ok(ResultFiles { digest: open(&self.digest_file)?, metadata: open(&self.metadata_file)? })
    }
}

impl ResultFiles {
    /// Writes the files, all or none: the work is done.
    pub fn write(self, published: &Published) -> Result<()> {
        let digest = self.digest.map(|output| filled(output, &format!("{}\n", published.digest()))).transpose()?;
        let metadata = self.metadata.map(|output| filled(output, &json(&metadata(published)?)?)).transpose()?;
        Ok(Output::commit_all(digest.into_iter().chain(metadata))?)
    }
}

fn filled(mut output: Output, text: &str) -> Result<Output> {
    if let Err(error) = output.write_all(text.as_bytes()) {
        return Err(StoreError::io("write", output.destination())(error).into());
    }
    Ok(output)
}

/// What `docker buildx build --metadata-file` says of an image (BuildKit, `exporter/containerimage/exptypes/types.go`), but for
/// what depends on when and how it was built. The name is written in full, as there.
fn metadata(published: &Published) -> Result<Map<String, Value>> {
    let (descriptor, config, name) = match published {
        Published::Manifest { name, descriptor, config, .. } => (Some(descriptor), *config, name.clone()),
        Published::Image { name, image_id, .. } => (None, Some(*image_id), name.as_ref().map(Reference::to_string)),
    };
    let mut metadata = Map::new();
    metadata.extend(config.map(|config| ("containerimage.config.digest".to_owned(), config.to_string().into())));
    if let Some(descriptor) = descriptor {
        metadata.insert("containerimage.descriptor".to_owned(), serde_json::to_value(descriptor)?);
    }
    metadata.insert("containerimage.digest".to_owned(), published.digest().to_string().into());
    let full = name.map(|name| Reference::unchecked(&name).full().to_string());
    metadata.extend(full.map(|name| ("image.name".to_owned(), name.into())));
    Ok(metadata)
}
