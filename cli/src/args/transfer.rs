//! The flags that `copy`, `push`, `pull`, `index`, `serve` and `prefetch` share.

use crate::args::Common;
use crate::args::cache::CacheArgs;
use crate::args::compression::CompressionArgs;
use crate::args::known::KnownArgs;
use crate::args::limit::LimitArgs;
use crate::args::plan::PreviousArgs;
use crate::args::platform::PlatformArgs;
use crate::args::registry::RegistryArgs;
use crate::args::result::ResultArgs;
use crate::args::sandbox::SandboxArgs;
use crate::args::script::ScriptArgs;
use crate::args::store::StoreArgs;
use crate::overwrite::Files;
use anyhow::Result;
use clap::Args;
use layerstone_pipeline::{BuildOptions, Copier, Error, ImageSource, ImageTarget, PlanOptions, Registries};
use layerstone_spec::Spec;
use layerstone_store::Store;
use std::path::PathBuf;

/// How images are moved.
#[derive(Args)]
pub struct TransferArgs {
    #[command(flatten)]
    pub platform: PlatformArgs,
    /// Directory that keeps the plan and the layer files of an image from a spec
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    #[command(flatten)]
    pub previous: PreviousArgs,
    #[command(flatten)]
    pub known: KnownArgs,
    #[command(flatten)]
    pub compression: CompressionArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
    #[command(flatten)]
    pub scripts: ScriptArgs,
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

impl TransferArgs {
    /// What copies images as the flags say.
    pub fn copier<'a>(&self, store: &'a Store, registries: &'a Registries, common: &'a Common) -> Result<Copier<'a>> {
        let options = BuildOptions {
            state: self.state.clone(),
            takes_blobs: true,
            plan: PlanOptions { previous: self.previous.plan()?, ..PlanOptions::default() },
            limits: self.limits.limits(),
            scripts: self.scripts.options(),
            sandbox: self.sandbox.options(),
            compression: self.compression.choice()?,
            cache: self.cache.options(),
            known: self.known.image()?,
            ..BuildOptions::new(store, registries, common)
        };
        Ok(Copier { wanted: self.platform.wanted(), options, rehearsal: None, referrers: false })
    }

    /// The registries that the flags speak of.
    pub fn registries(&self, common: &Common) -> Registries {
        self.registry.registries(self.limits.limits(), common)
    }

    /// Refuses flags that only the images of specs have, where there are none.
    pub fn check_sources<'a>(&self, sources: impl IntoIterator<Item = &'a ImageSource>) -> Result<()> {
        let flags = [
            ("--state", self.state.is_some()),
            ("--previous", self.previous.is_given()),
            ("--known", self.known.is_given()),
        ];
        let Some((flag, _)) = flags.into_iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
        if sources.into_iter().any(|source| matches!(source, ImageSource::Spec(_))) {
            return Ok(());
        }
        let message =
            format!("{flag}: found no image.json, expected one: images that are there are copied as they are");
        Err(Error::advised(
            message,
            "layers are planned and made of an image.json alone; of others what is there is not sent again",
        )
        .into())
    }

    /// Refuses a target that contradicts flags, or is one of the inputs, and other outputs that are.
    pub fn check_files(&self, sources: &[&ImageSource], target: &ImageTarget, results: &ResultArgs) -> Result<()> {
        target.compression(&self.compression.choice()?)?;
        self.check_sources(sources.iter().copied())?;
        let mut files = Files::of(&self.store.store()?)
            .reads(self.registry.files())
            .reads(self.previous.file())
            .reads(self.known.file());
        for source in sources {
            if let ImageSource::Spec(path) = source {
                for spec in Spec::read_all(path)? {
                    files = files.reads_spec(Some(path), &spec);
                }
            } else {
                files = files.reads(source.path());
            }
        }
        files.writes_state(self.state.as_deref()).writes_to(target).writes(results.files()).check()
    }
}
