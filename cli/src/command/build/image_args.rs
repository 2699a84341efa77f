//! The flags of `build` that say what the image is called and what its config holds, over what an image.json says.

use crate::args::platform::Platform;
use crate::args::time::parse_time;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use layerstone_oci::Time;
use layerstone_pipeline::Error;
use layerstone_spec::{ImageKind, Spec};
use serde_json::Value;
use std::str::FromStr;

/// The tag that docker gives where none is named.
const LATEST: &str = "latest";

/// What the image is and says.
#[derive(Args)]
#[command(next_help_heading = "Image")]
pub struct ImageArgs {
    /// What the image is called
    #[arg(long)]
    pub name: Option<String>,
    /// Form of the image [default: layered]
    #[arg(long)]
    kind: Option<Kind>,
    /// Its tag [default: 32 digits of the image ID]
    #[arg(long)]
    tag: Option<String>,
    /// Its name and tag in one, as docker takes them
    #[arg(short = 't', long, value_name = "NAME:TAG", conflicts_with_all = ["name", "tag"])]
    pub repo_tag: Option<RepoTag>,
    /// Command to run, one word for each --cmd
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// What runs the command, one word for each --entrypoint
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// Environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Directory to run in
    #[arg(long, value_name = "DIR")]
    working_dir: Option<String>,
    /// User to run as
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Label
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// When the image was made: a date with a time and a zone or without, @SECONDS, or now [default: 1970-01-01T00:00:01Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created: Option<Time>,
    /// Architecture, by any common name [default: the base's, or this machine's]
    #[arg(id = "architecture", long = "arch", alias = "architecture", value_name = "NAME")]
    architecture: Option<String>,
    /// Platform, as docker writes it: the architecture and its variant
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", conflicts_with = "architecture")]
    platform: Option<Platform>,
    /// Inherit all of the base's config, as docker build does, and not only its environment, as dockerTools does
    #[arg(long)]
    inherit: bool,
}

/// `NAME:TAG`, or `NAME` for the tag latest.
#[derive(Clone)]
pub struct RepoTag {
    pub name: String,
    tag: String,
}

impl FromStr for RepoTag {
    type Err = String;

    fn from_str(text: &str) -> Result<RepoTag, String> {
        let (name, tag) = text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((text, LATEST));
        match name.is_empty() || tag.is_empty() {
            true => Err("expected NAME:TAG".to_owned()),
            false => Ok(RepoTag { name: name.to_owned(), tag: tag.to_owned() }),
        }
    }
}

/// What an image is made of.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Layers of store paths, and the root on top (dockerTools' buildLayeredImage)
    Layered,
    /// One layer of the root and all store paths (dockerTools' buildImage)
    Single,
}

impl ImageArgs {
    /// Puts what the flags say over what the spec does.
    pub fn apply(&self, spec: &mut Spec) -> Result<()> {
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
        spec.tag = self.tag.clone().or(spec.tag.take());
        if let Some(RepoTag { name, tag }) = &self.repo_tag {
            (spec.name, spec.tag) = (name.clone(), Some(tag.clone()));
        }
        match self.kind {
            Some(Kind::Layered) => spec.kind = ImageKind::Layered,
            Some(Kind::Single) => spec.kind = ImageKind::Single,
            None => {}
        }
        spec.inherit |= self.inherit;
        spec.created = self.created.unwrap_or(spec.created);
        if let Some(name) = &self.architecture {
            spec.set_architecture(name)?;
        }
        if let Some(Platform { os, architecture, variant }) = &self.platform {
            if os != "linux" {
                bail!("--platform: found {os}, expected linux");
            }
            spec.set_architecture(architecture)?;
            spec.variant = variant.clone().or(spec.variant.take());
        }
        let lists = [("Cmd", &self.cmd), ("Entrypoint", &self.entrypoint), ("Env", &self.env)];
        for (key, words) in lists.into_iter().filter(|(_, words)| !words.is_empty()) {
            spec.config.insert(key.to_owned(), words.clone().into());
        }
        for (key, text) in [("WorkingDir", &self.working_dir), ("User", &self.user)] {
            if let Some(text) = text {
                spec.config.insert(key.to_owned(), text.clone().into());
            }
        }
        if !self.label.is_empty() {
            let pairs = self.label.iter().map(|label| match label.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), Value::from(value))),
                None => {
                    let message = format!("not a label: {label:?}: expected NAME=VALUE");
                    Err(Error::advised(message, "--label NAME=VALUE").into())
                }
            });
            spec.config.insert("Labels".to_owned(), Value::Object(pairs.collect::<Result<_>>()?));
        }
        Ok(())
    }
}
