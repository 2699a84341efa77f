//! Images in registries: found by tag or digest, the one for a platform chosen among several.

use crate::registry_args::RegistryArgs;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_image::{StoredManifest, go_architecture, host_architecture};
use layerstone_oci::{Content, Descriptor, Index, Layer, Manifest, Name, Platform, media_type};
use layerstone_registry::{Fetched, Reference, Repository};
use layerstone_stage::Digest;
use std::sync::Arc;

/// Which image of several is meant.
#[derive(Args, Default)]
pub struct PlatformArgs {
    /// System that the image is for, by Go's name [default: linux]
    #[arg(long, value_name = "NAME")]
    pub os: Option<String>,
    /// Architecture that the image is for, by any of its names [default: this machine's]
    #[arg(long, value_name = "NAME")]
    pub arch: Option<String>,
    /// Variant of the architecture, such as v7
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
}

impl PlatformArgs {
    /// Whether a flag is given.
    pub fn is_given(&self) -> bool {
        self.os.is_some() || self.arch.is_some() || self.variant.is_some()
    }

    /// The one of an index that is meant.
    fn choose<'a>(&self, index: &'a Index, name: &str) -> Result<&'a Descriptor> {
        let os = self.os.as_deref().unwrap_or("linux");
        let (arch, told) = match &self.arch {
            Some(arch) => go_architecture(arch).unwrap_or((arch, None)),
            None => (host_architecture(), None),
        };
        let variant = self.variant.as_deref().or(told);
        let fits = |platform: &Platform| {
            let same_variant = variant.is_none_or(|variant| platform.variant.as_deref() == Some(variant));
            platform.os == os && platform.architecture == arch && same_variant
        };
        let images = index.manifests.iter().filter(|it| media_type::is_image(&it.media_type));
        let fitting: Vec<&Descriptor> = images.clone().filter(|it| it.platform.as_ref().is_some_and(fits)).collect();
        let list = |images: &[&Descriptor]| -> String {
            let texts = images.iter().filter_map(|it| it.platform.as_ref()).filter(|it| it.os != "unknown");
            texts.map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match &fitting[..] {
            [one] => Ok(one),
            [] => {
                let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
                bail!("no image for {os}/{arch}{variant}: {name}: found {}", list(&images.collect::<Vec<_>>()))
            }
            [first, ..] if fitting.iter().all(|it| it.digest == first.digest) => Ok(first),
            several => bail!("several images for {os}/{arch}: {name}: found {}, expected one --variant", list(several)),
        }
    }
}

/// An image in a registry, its layers not yet read.
pub struct RemoteImage {
    pub reference: Reference,
    pub repository: Repository,
    pub manifest: StoredManifest,
    pub config: Vec<u8>,
    /// The digest of what the name leads to: the manifest, or the index that it was chosen from.
    pub digest: Digest,
}

impl RemoteImage {
    /// What it is called, as short as can be.
    pub fn name(&self) -> Name {
        name_of(&self.reference)
    }

    /// Its layers, as they are.
    pub fn layers(&self) -> Vec<Layer> {
        let layer = |descriptor: &Descriptor| {
            let content: Arc<dyn Content> = Arc::new(self.repository.blob(descriptor));
            Layer::Blob(descriptor.clone(), content)
        };
        self.manifest.manifest.layers.iter().map(layer).collect()
    }
}

/// What an image of a registry is called, as short as can be.
pub fn name_of(reference: &Reference) -> Name {
    Name { name: reference.short_name(), tag: reference.tag_or_latest().to_owned() }
}

/// Finds an image.
pub fn image(reference: &Reference, platform: &PlatformArgs, args: &RegistryArgs) -> Result<RemoteImage> {
    let repository = args.repository(reference)?;
    let named = repository.manifest(&reference.target())?;
    let digest = named.descriptor.digest;
    let Fetched { descriptor, bytes } = match media_type::is_index(&named.descriptor.media_type) {
        true => {
            let index = Index::parse(&named.bytes, &reference.to_string())?;
            let chosen = platform.choose(&index, &reference.to_string())?;
            repository.manifest(&chosen.digest.to_string())?
        }
        false => named,
    };
    let manifest = Manifest::parse(&bytes, &format!("{}@{}", reference.full_name(), descriptor.digest))?;
    let config = repository.small_blob(&manifest.config).context("cannot read the config")?;
    let manifest = StoredManifest { descriptor, bytes, manifest };
    Ok(RemoteImage { reference: reference.clone(), repository, manifest, config, digest })
}
