//! `--legacy`: what docker archives said before there was a manifest.json, for an image on its way out.

use super::config::facts;
use crate::error::Context;
use crate::{BaseImage, Report, Result};
use layerstone_image::{ImageFacts, LegacyMetadata, Trailer};
use layerstone_layer::Layer;
use layerstone_nixpkgs::{LegacyInput, LegacyLayer, LegacyOrigin, REPOSITORIES_NAME, legacy_layers, repositories};
use layerstone_spec::Spec;
use layerstone_tar::tarsum;
use rayon::prelude::*;

/// The metadata of an image's layers, bottom first.
pub struct Legacy(Vec<LegacyLayer>);

impl Legacy {
    /// Reads all layers for their tarsums, those of the base first.
    pub fn new(spec: &Spec, base: Option<&BaseImage>, layers: &[Layer], report: &dyn Report) -> Result<Legacy> {
        let sum = |layer: &Layer| -> Result<String> {
            let context = || layer.label.display().to_string();
            tarsum(layer.tar()?.reader().with_context(context)?).with_context(context)
        };
        let sums =
            report.during("summing", None, Vec::new(), |_| layers.par_iter().map(sum).collect::<Result<Vec<_>>>())?;
        let base_image = base.map(BaseImage::image).transpose()?;
        let of_base = base_image.iter().flat_map(|image| &image.layers).map(LegacyOrigin::base);
        let origins = of_base.chain(std::iter::repeat(LegacyOrigin::Own));
        let sizes = layers.iter().map(|layer| Ok(layer.tar()?.size())).collect::<Result<Vec<_>>>()?;
        let inputs = sizes.into_iter().zip(&sums).zip(origins);
        let inputs: Vec<LegacyInput<'_>> =
            inputs.map(|((size, tarsum), origin)| LegacyInput { tarsum, size, origin }).collect();
        // What is said of the image by itself, as in dockerTools: the base's environment is not in it.
        let config = spec.config.clone().into();
        let (facts, _) = facts(spec, base)?;
        Ok(Legacy(legacy_layers(&ImageFacts { config, ..facts }, &inputs)))
    }
}

impl LegacyMetadata for Legacy {
    fn layer_name(&self, index: usize) -> String {
        self.0[index].layer_name()
    }

    fn members(&self, reference: &str) -> Trailer {
        let mut members: Trailer = self.0.iter().flat_map(LegacyLayer::members).collect();
        if let (Some((name, tag)), Some(top)) = (reference.rsplit_once(':'), self.0.last()) {
            members.push((REPOSITORIES_NAME.to_owned(), repositories(name, tag, &top.id)));
        }
        members
    }
}
