//! `layerstone prefetch`: what pullImage needs to get an image.

use super::copy::parse_name;
use super::pull::parse_reference;
use crate::args::Common;
use crate::args::transfer::TransferArgs;
use crate::screen::answer::{AnswerArgs, print_answer};
use crate::screen::out::{print, print_json};
use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use layerstone_image::{DockerImage, Target};
use layerstone_layer::{DigestWriter, Progress};
use layerstone_oci::{Place, Reference};
use layerstone_pipeline::{ImageSource, remote_image};
use layerstone_store::Digest;
use serde_json::{Map, json};
use std::io;
use std::path::Path;

/// Print an image's digest and hash, as dockerTools' pullImage wants them
///
/// As nix-prefetch-docker does. The hash is that of the archive that `layerstone pull` makes, which depends on the image and
/// its name alone.
#[derive(Args)]
pub struct Options {
    /// The image, HOST/NAME:TAG, HOST/NAME@sha256:HEX, or both
    #[arg(value_name = "REF")]
    reference: String,
    /// What the archive calls it [default: what REF calls it]
    #[arg(long = "as", value_name = "NAME:TAG")]
    name: Option<String>,
    /// How to print it; --json is --form json with a format and a version
    #[arg(long, value_name = "FORM", default_value = "nix")]
    form: Form,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    transfer: TransferArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Nix,
    Json,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    options.transfer.compression.choice()?;
    options.transfer.check_sources([])?;
    let reference = parse_reference(&options.reference)?;
    let remote = remote_image(&reference, &options.transfer.platform.wanted(), &options.transfer.registries(common))?;
    let reference = reference.with_digest(remote.digest);
    let name = options.name.as_deref().map(parse_name).transpose()?.unwrap_or_else(|| remote.name());
    let (hash, image_name) = (hash(&reference, &name, options, common)?, reference.familiar().name().to_owned());
    let fields = [
        ("imageName", image_name),
        ("imageDigest", remote.digest.to_string()),
        ("hash", format!("sha256-{}", STANDARD.encode(hash.as_bytes()))),
        ("finalImageName", name.name().to_owned()),
        ("finalImageTag", name.tag_or_latest().to_owned()),
    ];
    let object = || fields.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect::<Map<_, _>>();
    match options.form {
        _ if options.answer.is_json() => print_answer("prefetch", &object()),
        Form::Json => print_json(&object()),
        Form::Nix => {
            // Neither a name nor a digest has characters that mean something in a string of Nix.
            let lines: String = fields.iter().map(|(key, text)| format!("  {key} = \"{text}\";\n")).collect();
            print(format_args!("{{\n{lines}}}\n"))
        }
    }
}

/// sha256 of the docker archive of an image under a name.
fn hash(reference: &Reference, name: &Reference, options: &Options, common: &Common) -> Result<Digest> {
    let mut sink = io::sink();
    let mut hashed = DigestWriter::new(&mut sink);
    let (store, registries) = (options.transfer.store.store()?, options.transfer.registries(common));
    let copier = options.transfer.copier(&store, &registries, common)?;
    let image = copier.plain(&ImageSource::Image(Place::Registry(reference.clone())), Some(name.clone()))?;
    let (docker, target) = (DockerImage::new(&image, None)?, Target::Pipe(&mut hashed, Path::new("nowhere")));
    docker.archive().write(target, None, &|diff_ids| docker.trailer(diff_ids), &Progress::default())?;
    Ok(hashed.finish().0)
}
