//! One image for several architectures: an image for each, and the index that lists them.

use super::Of;
use crate::args::Common;
use crate::command::image::{Built, Target, oci};
use crate::out::print;
use crate::outgoing::{Arrived, Keeper};
use anyhow::{Result, bail};
use layerstone_layering::Strategy;
use layerstone_oci::{Descriptor, Index, Reference, media_type};
use layerstone_spec::Spec;
use layerstone_store::Scratch;
use std::collections::BTreeMap;
use std::time::Instant;

/// Builds an image for each spec, and the index of them all.
pub fn run(of: &Of<'_>, specs: &[(Spec, Strategy)], target: &Target<'_>, common: &Common) -> Result<()> {
    if target.legacy {
        bail!("--legacy: found several architectures, expected one with it");
    }
    let since = Instant::now();
    let keeper = open(target, &[])?;
    let mut manifests = Vec::new();
    for (spec, strategy) in specs {
        let scratch = Scratch::create(&std::env::temp_dir())?;
        let built = of.with_layers(spec, strategy.clone(), Some(spec), &scratch, common, |layers, base, memory| {
            let destination = keeper.destination();
            let arrived = oci::put_layers_of(spec, base, layers, destination, target, memory, common)?;
            destination.put_manifest(&arrived.manifest, &arrived.bytes)?;
            let Arrived { manifest, image_id, diff_ids, layers: placed, .. } = arrived;
            let layers_below = base.map_or(0, |base| base.image.layers.len());
            let reference = spec.reference()?.for_image(&image_id).to_string();
            Ok(Built { reference, image_id, diff_ids, manifest: Some(manifest), placed, layers_below })
        })?;
        manifests.extend(built.manifest.map(|manifest| (built.reference, manifest)));
    }
    let (reference, _) = manifests.first().cloned().expect("there are specs");
    let manifests = manifests.into_iter().map(|(_, manifest)| manifest).collect();
    finish(&keeper, manifests, &Reference::unchecked(&reference), common)?;
    keeper.tell(since, common);
    Ok(())
}

/// Opens what can keep an index.
pub fn open(target: &Target<'_>, sources: &[String]) -> Result<Keeper> {
    if !target.place.keeps_oci_images() {
        let place = target.place;
        bail!("several architectures: found {place}, expected oci:DIR, oci-archive:FILE or registry:HOST/NAME:TAG");
    }
    Keeper::open(target.place, target.registry, sources)
}

/// Puts the index of images that are there, and says what it is.
pub fn finish(keeper: &Keeper, manifests: Vec<Descriptor>, name: &Reference, common: &Common) -> Result<()> {
    let mut platforms = BTreeMap::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let Some(platform) = &manifest.platform else { continue };
        if let Some(first) = platforms.insert(platform.to_string(), index) {
            bail!("two images for {platform}: number {} and number {}, expected one", first + 1, index + 1);
        }
    }
    let index = Index::new(manifests, BTreeMap::new());
    let bytes = index.to_bytes();
    let descriptor = Descriptor::of(media_type::INDEX, &bytes);
    keeper.destination().finish(&descriptor, &bytes, Some(name))?;
    if common.quiet {
        return Ok(());
    }
    print(format_args!("{}@{}\n", keeper.called(name), descriptor.digest))?;
    for manifest in &index.manifests {
        let platform = manifest.platform.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        print(format_args!("  {platform} {}\n", manifest.digest))?;
    }
    Ok(())
}
