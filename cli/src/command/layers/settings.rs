//! What the flags of `layers` say of a plan, over what an image spec says.

use super::limit::Limit;
use super::{NAME, Options};
use crate::args::Common;
use crate::args::path_word::PathWord;
use crate::message::usage_error::usage_error;
use anyhow::{Context, Result, bail};
use clap::error::ErrorKind;
use layerstone_closure::Closure;
use layerstone_layering::{PlanBase, Settings};
use layerstone_pipeline::{PreviousImages, PreviousPlan, settings, wanted_for};
use layerstone_spec::Spec;
use layerstone_store::{Store, StorePath};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

impl Options {
    /// What flags and spec say of a plan that is to be made.
    pub fn settings_of_plan(&self, spec: Option<&Spec>, closure: &Closure, common: &Common) -> Result<Settings> {
        let (Some(spec), Some(path)) = (spec, &self.spec) else {
            return self.settings(closure, self.limit_of_plan()?, common);
        };
        let base = self.base.open(Some(spec), common)?;
        let strategy = self.strategy.over(spec, path)?;
        let store = Store::new(store_dir(closure), "/")?;
        let below = self.below.read(Some(spec), common)?;
        let settings = settings(spec, strategy, base.as_ref(), &below, &store)?;
        let limit = self.limit()?.map(|limit| limit.over(settings.base.layers));
        let settings = Settings { limit: limit.unwrap_or(settings.limit), ..settings };
        self.over(settings, std::slice::from_ref(closure), Some(spec), common)
    }

    /// What the flags say, for a closure.
    pub fn settings(&self, closure: &Closure, limit: Limit, common: &Common) -> Result<Settings> {
        self.settings_of_all(std::slice::from_ref(closure), closure, limit, common)
    }

    /// The same for several; `first` tells the store.
    pub fn settings_of_all(
        &self,
        closures: &[Closure],
        first: &Closure,
        limit: Limit,
        common: &Common,
    ) -> Result<Settings> {
        let strategy = self.strategy.strategy()?.unwrap_or_default();
        let base = self.base(first, common)?;
        let limit = limit.over(base.layers);
        let settings = Settings { strategy, base, ..Settings::new(limit) };
        self.over(settings, closures, None, common)
    }

    /// What the flags say that have no key in a spec, over the rest.
    fn over(&self, settings: Settings, closures: &[Closure], spec: Option<&Spec>, common: &Common) -> Result<Settings> {
        let options = self.plan.options()?;
        if options.previous == Some(PreviousPlan::Replaced) {
            bail!("--previous auto: found a plan as output, expected the image before, as in --previous registry:REF");
        }
        let registries = self.base.registries(common);
        let images = PreviousImages {
            replaced: None,
            store_dir: store_dir(closures.first().context("no closure")?),
            wanted: wanted_for(spec),
            opener: self.base.opener(&registries, common),
        };
        Ok(options.over(Settings { exclude: self.exclude(closures)?, ..settings }, &images)?)
    }

    /// How many layers a plan may have.
    pub fn limit_of_plan(&self) -> Result<Limit> {
        match self.limit()? {
            None if self.strategy.is_pipeline() || self.question.plan.is_some() => Ok(Limit::All(NonZeroUsize::MAX)),
            limit => limit.ok_or_else(|| missing("--max-layers <N>")),
        }
    }

    pub fn limit(&self) -> Result<Option<Limit>> {
        self.limit.limit()
    }

    /// The paths of closures to leave out.
    pub fn exclude(&self, closures: &[Closure]) -> Result<BTreeSet<StorePath>> {
        PathWord::paths_of(&self.exclude, closures)
    }

    /// Layers and store paths of the base image, in the store that the closure is in, and of layers over it.
    pub fn base(&self, closure: &Closure, common: &Common) -> Result<PlanBase> {
        let base = match self.base.open(None, common)? {
            None => PlanBase::default(),
            Some(base) => {
                let contents = base.store_contents(store_dir(closure))?;
                PlanBase { layers: contents.layers.len(), paths: contents.paths.into_keys().collect() }
            }
        };
        Ok(self.below.read(None, common)?.over(base))
    }
}

/// The store that a closure is in.
fn store_dir(closure: &Closure) -> &str {
    closure.graph.first().map_or("/nix/store", |info| info.path.store_dir())
}

/// The error for an argument that is needed, in clap's words.
pub fn missing(argument: &str) -> anyhow::Error {
    let message = format!("the following required arguments were not provided:\n  {argument}");
    usage_error(NAME, ErrorKind::MissingRequiredArgument, message)
}
