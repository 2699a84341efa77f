//! Which two layers cost least to join, kept up to date while layers are joined.
//!
//! Asking all pairs each time would take the third power of their number: each item remembers the best of the items
//! before it, and looks again only if that one has changed. Which pairs may be joined, and what it costs, is the
//! caller's to say; equal costs are decided by the items' numbers.

use crate::churn::Churn;
use crate::layer::Layer;
use rayon::prelude::*;

/// A layer, and what it takes to tell the cost of its joining another.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    /// The layer.
    pub layer: Layer,
    /// Sum of their NARs' sizes in bytes.
    pub size: u64,
    /// How often anything in the closure changes, in millionths.
    rate: u64,
    /// The closure of the paths.
    closure: Vec<u64>,
}

impl Bundle {
    /// What is known of a layer.
    pub fn new(churn: &Churn, layer: Layer) -> Bundle {
        let closure = churn.union(&layer.paths);
        let size = layer.paths.iter().map(|&path| churn.sizes[path as usize]).sum();
        Bundle { size, rate: churn.rate(&closure), closure, layer }
    }

    /// What the layer costs, in millionths of bytes.
    pub fn cost(&self) -> u128 {
        u128::from(self.size) * u128::from(self.rate)
    }

    /// What the two cost as one layer, in millionths of bytes; at least as much as they cost apart.
    pub fn joined_cost(&self, other: &Bundle, churn: &Churn) -> u128 {
        let size = u128::from(self.size) + u128::from(other.size);
        size * u128::from(churn.rate_of_both(&self.closure, &other.closure))
    }

    /// How much more the two cost as one layer than as two, in millionths of bytes.
    pub fn extra_cost(&self, other: &Bundle, churn: &Churn) -> u128 {
        self.joined_cost(other, churn) - self.cost() - other.cost()
    }

    /// Both in one; the paths of `other` follow its own.
    pub fn join(&mut self, other: &Bundle, churn: &Churn) {
        self.layer.paths.extend(&other.layer.paths);
        self.size += other.size;
        self.closure.iter_mut().zip(&other.closure).for_each(|(own, other)| *own |= other);
        self.rate = churn.rate(&self.closure);
    }
}

/// Joins the pair of layers that costs least, the later one to the earlier one, as long as there are more than `limit`
/// and a pair that may be joined. `extra` is asked for two positions in the list and what stands there, the earlier one
/// first: it tells what joining them costs besides, in millionths of bytes, or none if they may not be joined. Layers
/// that a user asked for never are.
pub(crate) fn join_down(
    churn: &Churn,
    layers: Vec<Layer>,
    limit: usize,
    extra: impl Fn((usize, &Bundle), (usize, &Bundle)) -> Option<u128> + Sync,
) -> Vec<Layer> {
    let mut left = layers.len();
    let mut slots: Vec<Option<Bundle>> = layers.into_iter().map(|layer| Some(Bundle::new(churn, layer))).collect();
    let cost = |slots: &[Option<Bundle>], a: usize, b: usize| {
        let (one, other) = (slots[a].as_ref()?, slots[b].as_ref()?);
        if one.layer.own || other.layer.own {
            return None;
        }
        let extra = extra((a, one), (b, other))?;
        Some(one.extra_cost(other, churn) + extra)
    };
    let mut pairs = Pairs::new(slots.len(), |a, b| cost(&slots, a, b));
    while left > limit
        && let Some((a, b)) = pairs.least()
    {
        let (earlier, later) = slots.split_at_mut(b);
        if let (Some(one), Some(other)) = (&mut earlier[a], later[0].take()) {
            one.join(&other, churn);
        }
        left -= 1;
        pairs.update(&[a, b], |a, b| cost(&slots, a, b));
    }
    slots.into_iter().flatten().map(|bundle| bundle.layer).collect()
}

/// The least pair of items, each of which knows the best of those before it.
pub(crate) struct Pairs<C> {
    best: Vec<Option<(C, usize)>>,
}

impl<C: Ord + Copy + Send + Sync> Pairs<C> {
    /// All pairs of so many items. `cost` is called with the smaller number first and gives none for a pair that may
    /// not be joined.
    pub fn new(count: usize, cost: impl Fn(usize, usize) -> Option<C> + Sync) -> Pairs<C> {
        Pairs { best: (0..count).into_par_iter().map(|item| best_before(item, &cost)).collect() }
    }

    /// The pair that costs least, if any may be joined; the smaller number first.
    pub fn least(&self) -> Option<(usize, usize)> {
        let pairs = self.best.iter().enumerate().filter_map(|(b, best)| best.map(|(cost, a)| (cost, a, b)));
        pairs.min().map(|(_, a, b)| (a, b))
    }

    /// What `cost` says now, where only pairs with one of these items say something else than before; there may be new
    /// items among them.
    pub fn update(&mut self, changed: &[usize], cost: impl Fn(usize, usize) -> Option<C> + Sync) {
        let count = changed.iter().map(|item| item + 1).max().unwrap_or(0);
        self.best.resize(self.best.len().max(count), None);
        self.best.par_iter_mut().enumerate().for_each(|(item, best)| {
            if changed.contains(&item) || best.is_some_and(|(_, partner)| changed.contains(&partner)) {
                *best = best_before(item, &cost);
                return;
            }
            let others = changed.iter().filter(|&&other| other < item);
            let found = others.filter_map(|&other| cost(other, item).map(|cost| (cost, other)));
            *best = best.iter().copied().chain(found).min();
        });
    }
}

fn best_before<C: Ord>(item: usize, cost: impl Fn(usize, usize) -> Option<C>) -> Option<(C, usize)> {
    (0..item).filter_map(|other| cost(other, item).map(|cost| (cost, other))).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    proptest! {
        /// After any changes the least pair is the one that asking all of them finds.
        #[test]
        fn the_least_of_all_pairs(
            mut costs in proptest::collection::vec(proptest::option::of(0u8..20), 64),
            changes in proptest::collection::vec((0usize..8, any::<[Option<u8>; 8]>()), 0..10)
        ) {
            let cost = |costs: &[Option<u8>], a: usize, b: usize| costs[a * 8 + b];
            let mut pairs = Pairs::new(8, |a, b| cost(&costs, a, b));
            for (item, row) in changes {
                for (other, new) in row.into_iter().enumerate() {
                    costs[item.min(other) * 8 + item.max(other)] = new;
                }
                pairs.update(&[item], |a, b| cost(&costs, a, b));
                let all = (0..8).flat_map(|b| (0..b).map(move |a| (a, b)));
                let least = all.filter_map(|(a, b)| cost(&costs, a, b).map(|cost| (cost, a, b))).min();
                prop_assert_eq!(pairs.least(), least.map(|(_, a, b)| (a, b)));
            }
        }
    }
}
