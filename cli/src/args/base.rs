//! The flags that name an image to build on, or to look into.

use crate::args::Common;
use crate::args::cache::CacheArgs;
use crate::args::key::VerifyKeyArgs;
use crate::args::limit::LimitArgs;
use crate::args::read::parse_place;
use crate::args::registry::ConnectArgs;
use anyhow::Result;
use clap::Args;
use layerstone_attestation::PublicKey;
use layerstone_oci::Place;
use layerstone_pipeline::{BaseImage, BaseNeeds, Opener, Registries, Report};
use layerstone_spec::Spec;
use layerstone_store::Limits;
use std::ffi::OsString;
use std::path::PathBuf;

/// The flags that name a base.
#[derive(Args, Default)]
#[command(next_help_heading = "Base image")]
pub struct BaseArgs {
    /// Image to build on: a file or directory of images (FILE[#NAME:TAG], oci:DIR, …), registry:REF, docker:NAME or
    /// podman:NAME
    #[arg(long, value_name = "PLACE")]
    base: Option<OsString>,
    #[command(flatten)]
    verify: VerifyKeyArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

impl BaseArgs {
    /// How much may be read of it.
    pub fn limits(&self) -> Limits {
        self.limits.limits()
    }

    /// The base that the flag names, or else the spec.
    fn place(&self, spec: Option<&Spec>) -> Result<Option<Place>> {
        Ok(self.named()?.or_else(|| spec.and_then(|spec| spec.from_image.clone())))
    }

    /// Keys of which one must have signed it.
    pub fn verify_keys(&self) -> Result<Vec<PublicKey>> {
        self.verify.keys()
    }

    /// The files of these keys.
    pub fn key_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.verify.files()
    }

    /// The file or directory of that base.
    pub fn file(&self, spec: Option<&Spec>) -> Option<PathBuf> {
        self.place(spec).ok()??.path().map(PathBuf::from)
    }

    /// The base that the flag names.
    pub fn named(&self) -> Result<Option<Place>> {
        self.base.as_deref().map(parse_place).transpose()
    }

    /// Opens the base that the flag names, or else the spec.
    pub fn open(
        &self,
        spec: Option<&Spec>,
        registries: &Registries,
        cache: &CacheArgs,
        report: &dyn Report,
    ) -> Result<Option<BaseImage>> {
        let verify_keys = self.verify.keys()?;
        let opener = Opener { registries, limits: self.limits(), cache: cache.options(), verify_keys, report };
        let base = self.place(spec)?.map(|place| BaseImage::open(&place, spec, BaseNeeds::Files, &opener));
        Ok(base.transpose()?)
    }
}

/// The flags of a stage that looks into a base, and talks to registries for nothing else.
#[derive(Args, Default)]
pub struct StageBaseArgs {
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl StageBaseArgs {
    /// How much may be read of it.
    pub fn limits(&self) -> Limits {
        self.base.limits()
    }

    /// The files that are read: those of the base that the flag names, or else the spec, and of the registry.
    pub fn files(&self, spec: Option<&Spec>) -> Vec<PathBuf> {
        let files = self.base.key_files().chain(self.connect.files());
        self.base.file(spec).into_iter().chain(files.cloned()).collect()
    }

    /// Opens the base that the flag names, or else the spec.
    pub fn open(&self, spec: Option<&Spec>, common: &Common) -> Result<Option<BaseImage>> {
        self.base.open(spec, &self.registries(common), &CacheArgs::default(), common)
    }

    /// The registries that the flags speak of.
    pub fn registries(&self, common: &Common) -> Registries {
        self.connect.registries(self.limits(), common)
    }

    /// What opens images.
    pub fn opener<'a>(&self, registries: &'a Registries, report: &'a dyn Report) -> Opener<'a> {
        Opener {
            registries,
            limits: self.limits(),
            cache: CacheArgs::default().options(),
            verify_keys: Vec::new(),
            report,
        }
    }
}
