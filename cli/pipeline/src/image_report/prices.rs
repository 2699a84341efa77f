//! Prices an image's layers, and those that strategies would make of its store paths, with layerstone-layering's model.

use super::{Prices, References, StrategyPrice};
use crate::Report;
use layerstone_closure::{Closure, PathInfo, ReferencesGraph};
use layerstone_image::PathSizes;
use layerstone_layering::{Explanation, Plan, Rates, Settings, Strategy, explain, plan};
use layerstone_store::StorePath;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;

/// Rates count in millionths.
const ONE: u64 = 1_000_000;

/// What updates cost.
pub struct Priced {
    pub prices: Prices,
    /// For each layer with store paths: how many changes send it, and what that costs.
    pub layers: Vec<Option<(usize, u128)>>,
    /// What one change of each store path sends.
    pub sent_by_change: BTreeMap<StorePath, u64>,
}

/// Prices the store paths of each layer, bottom first; none if there are none. What makes no graph has no price, and a
/// warning says why.
pub fn price(
    layers: &[PathSizes],
    references: &References,
    graph: Option<&ReferencesGraph>,
    report: &dyn Report,
) -> Option<Priced> {
    let held: Vec<Vec<StorePath>> = layers.iter().map(|paths| paths.keys().cloned().collect()).collect();
    let plan = Plan::new(held.into_iter().filter(|paths| !paths.is_empty()).collect());
    let limit = NonZeroUsize::new(plan.layers.len())?;
    let closure = closure(layers, references, graph);
    let priced = explain(&closure, &plan, &Rates::default()).and_then(|found| {
        let price = |strategy| of_strategy(&closure, strategy, limit);
        let strategies = Strategy::ALL.into_iter().map(price).collect::<Result<_, _>>()?;
        Ok(of_plan(layers, found, strategies))
    });
    match priced {
        Ok(priced) => Some(priced),
        Err(error) => {
            report.warn(format_args!("no prices: {error}"));
            None
        }
    }
}

fn of_plan(layers: &[PathSizes], found: Explanation, strategies: Vec<StrategyPrice>) -> Priced {
    let prices = Prices {
        bytes_per_update: found.bytes_per_update,
        lower_bound: found.lower_bound,
        changes: found.rate / ONE,
        size: found.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add),
        layers: found.layers.len(),
        strategies,
    };
    let mut costs = found.layers.iter().map(|layer| (layer.changes, layer.bytes_per_update));
    let layers = layers.iter().map(|paths| if paths.is_empty() { None } else { costs.next() }).collect();
    Priced { prices, layers, sent_by_change: found.sent_by_change }
}

fn of_strategy(
    closure: &Closure,
    strategy: Strategy,
    limit: NonZeroUsize,
) -> layerstone_layering::Result<StrategyPrice> {
    let name = strategy.name();
    let plan = plan(closure, &Settings { strategy, ..Settings::new(limit) })?;
    let bytes_per_update = explain(closure, &plan, &Rates::default())?.bytes_per_update;
    Ok(StrategyPrice { strategy: name, layers: plan.layers.len(), bytes_per_update })
}

/// The store paths of an image as a closure. Sizes are those of NARs as far as a graph tells them, or else of contents.
fn closure(layers: &[PathSizes], references: &References, graph: Option<&ReferencesGraph>) -> Closure {
    let known: HashMap<&StorePath, u64> =
        graph.into_iter().flat_map(ReferencesGraph::entries).filter_map(|it| Some((&it.path, it.nar_size?))).collect();
    let mut sizes = PathSizes::new();
    for (path, &size) in layers.iter().flatten() {
        let largest = sizes.entry(path.clone()).or_default();
        *largest = size.max(*largest);
    }
    let info = |(path, size): (StorePath, u64)| PathInfo {
        nar_hash: None,
        nar_size: Some(known.get(&path).copied().unwrap_or(size)),
        references: references.get(&path).into_iter().flatten().cloned().collect(),
        path,
    };
    Closure { graph: sizes.into_iter().map(info).collect() }
}
