//! `--legacy`: what docker archives said before there was a manifest.json, for an image on its way out.

use crate::error::Context;
use crate::image_layer::ImageLayer;
use crate::{BaseImage, Report, Result};
use layerstone_image::{ImageFacts, Trailer};
use layerstone_nixpkgs::{
    LegacyFacts, LegacyInput, LegacyLayer, LegacyOrigin, REPOSITORIES_NAME, legacy_layers, repositories,
};
use layerstone_spec::Spec;
use layerstone_tar::tarsum;
use rayon::prelude::*;

/// The metadata of an image's layers, bottom first.
pub struct Legacy(Vec<LegacyLayer>);

impl Legacy {
    /// Reads all layers for their tarsums, those of the base first.
    pub fn new(
        spec: &Spec,
        facts: &ImageFacts,
        base: Option<&BaseImage>,
        layers: &[ImageLayer],
        report: &dyn Report,
    ) -> Result<Legacy> {
        let sum = |layer: &ImageLayer| -> Result<String> {
            let context = || layer.label.display().to_string();
            tarsum(layer.source.reader().with_context(context)?).with_context(context)
        };
        let sums = report.during("summing", None, 0, |_| layers.par_iter().map(sum).collect::<Result<Vec<_>>>())?;
        let of_base = base.iter().flat_map(|base| &base.image.layers).map(LegacyOrigin::base);
        let origins = of_base.chain(std::iter::repeat(LegacyOrigin::Own));
        let inputs = layers.iter().zip(&sums).zip(origins);
        let inputs: Vec<LegacyInput<'_>> =
            inputs.map(|((layer, tarsum), origin)| LegacyInput { tarsum, size: layer.source.size(), origin }).collect();
        // What is said of the image by itself, as in dockerTools: the base's environment is not in it.
        let config = spec.config.clone().into();
        let facts = LegacyFacts { config: &config, ..LegacyFacts::from(facts) };
        Ok(Legacy(legacy_layers(&facts, &inputs)))
    }

    /// Name of a layer's member.
    pub fn layer_name(&self, index: usize) -> String {
        self.0[index].layer_name()
    }

    /// The members beside the layers and the one that names them; `reference` is `NAME:TAG`.
    pub fn trailer(&self, reference: &str) -> Trailer {
        let mut members: Trailer = self.0.iter().flat_map(LegacyLayer::members).collect();
        if let (Some((name, tag)), Some(top)) = (reference.rsplit_once(':'), self.0.last()) {
            members.push((REPOSITORIES_NAME.to_owned(), repositories(name, tag, &top.id)));
        }
        members
    }
}
