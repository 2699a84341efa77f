//! What a plan keeps together, as flags say it over what a spec or a state says.

use crate::{PreviousImages, PreviousPlan, Result};
use layerstone_layering::{Patterns, Rates, Settings};

/// What a plan keeps together, besides what its strategy and the spec say.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// The plan of the image before, whose layers are kept.
    pub previous: Option<PreviousPlan>,
    /// Paths that get a layer of their own, for each layer.
    pub pinned: Vec<Patterns>,
    /// Bytes below which layers are joined; none for what the spec says.
    pub min_size: Option<u64>,
    /// How often paths change; none for what is known from a state.
    pub rates: Option<Rates>,
}

impl PlanOptions {
    /// Settings with these options over them.
    ///
    /// # Errors
    ///
    /// The previous plan cannot be read.
    pub fn over(&self, settings: Settings, images: &PreviousImages<'_>) -> Result<Settings> {
        let previous = self.previous.as_ref().map(|previous| previous.read(images)).transpose()?.flatten();
        Ok(Settings {
            previous: previous.or(settings.previous),
            pinned: if self.pinned.is_empty() { settings.pinned } else { self.pinned.clone() },
            min_size: self.min_size.unwrap_or(settings.min_size),
            rates: self.rates.clone().unwrap_or(settings.rates),
            ..settings
        })
    }
}
