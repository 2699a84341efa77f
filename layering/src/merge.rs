//! Which two layers cost least to join, kept up to date while layers are joined.
//!
//! Asking all pairs each time would take the third power of their number: each item remembers the best of the items
//! before it. When that one has changed, what was known is a bound from below, and the item looks again only if no other
//! pair is below it. Which pairs may be joined, and what it costs, is the caller's to say; equal costs are decided by
//! the items' numbers.

use crate::churn::Churn;
use crate::layer::Layer;
use rayon::prelude::*;

/// How many items a thread looks at, at least: less is not worth the way to another thread.
const GRAIN: usize = 512;

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

    /// How much more the two cost as one layer than as two, in millionths of bytes, if that is not above `bound`.
    pub fn extra_cost(&self, other: &Bundle, churn: &Churn, bound: u128) -> Option<u128> {
        let extra = |rate: u64| {
            u128::from(self.size) * u128::from(rate - self.rate)
                + u128::from(other.size) * u128::from(rate - other.rate)
        };
        // Their common closure has the larger one's rate at least: most pairs need no closer look.
        if extra(self.rate.max(other.rate)) > bound {
            return None;
        }
        Some(extra(churn.rate_of_both(&self.closure, &other.closure))).filter(|extra| *extra <= bound)
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
    let cost = |slots: &[Option<Bundle>], a: usize, b: usize, bound: u128| {
        let (one, other) = (slots[a].as_ref()?, slots[b].as_ref()?);
        if one.layer.own || other.layer.own {
            return None;
        }
        let extra = extra((a, one), (b, other))?;
        Some(extra + one.extra_cost(other, churn, bound.checked_sub(extra)?)?)
    };
    let mut pairs = Pairs::new(if left > limit { left } else { 0 }, |a, b, bound| cost(&slots, a, b, bound));
    while left > limit
        && let Some((a, b)) = pairs.least(|a, b, bound| cost(&slots, a, b, bound))
    {
        let (earlier, later) = slots.split_at_mut(b);
        if let (Some(one), Some(other)) = (&mut earlier[a], later[0].take()) {
            one.join(&other, churn);
        }
        left -= 1;
        pairs.update(&[a, b], |a, b, bound| cost(&slots, a, b, bound));
    }
    slots.into_iter().flatten().map(|bundle| bundle.layer).collect()
}

/// The least pair of items, each of which knows the best of those before it.
///
/// What a pair costs is asked with the smaller number first and a bound: there is no answer for a pair that may not be
/// joined or costs more than the bound.
pub(crate) struct Pairs {
    best: Vec<Option<Partner>>,
}

/// Whom of those before it an item is best joined with. Compares by cost, then by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Partner {
    cost: u128,
    item: usize,
    /// Whether that is so, or no other is better than that.
    sure: bool,
}

impl Pairs {
    /// All pairs of so many items.
    pub fn new(count: usize, cost: impl Fn(usize, usize, u128) -> Option<u128> + Sync) -> Pairs {
        Pairs { best: (0..count).into_par_iter().map(|item| Partner::of(item, &cost)).collect() }
    }

    /// The pair that costs least, if any may be joined; the smaller number first.
    pub fn least(&mut self, cost: impl Fn(usize, usize, u128) -> Option<u128>) -> Option<(usize, usize)> {
        loop {
            let pairs = (0..).zip(&self.best).filter_map(|(item, best)| best.map(|best| (best.cost, best.item, item)));
            let (_, partner, item) = pairs.min()?;
            if self.best[item].is_some_and(|best| best.sure) {
                return Some((partner, item));
            }
            self.best[item] = Partner::of(item, &cost);
        }
    }

    /// What pairs cost now, where only those with one of these items cost something else than before; there may be new
    /// items among them.
    pub fn update(&mut self, changed: &[usize], cost: impl Fn(usize, usize, u128) -> Option<u128> + Sync) {
        let count = changed.iter().map(|item| item + 1).max().unwrap_or(0);
        self.best.resize(self.best.len().max(count), None);
        let rows = self.best.par_iter_mut().enumerate().with_min_len(GRAIN);
        rows.filter(|(item, _)| !changed.contains(item)).for_each(|(item, best)| {
            let before = changed.iter().filter(|&&other| other < item);
            *best = before.fold(best.map(|best| best.unless_lost(changed)), |best, &other| {
                let known = best.map_or(u128::MAX, |best| best.cost);
                let found = cost(other, item, known).map(|cost| Partner { cost, item: other, sure: true });
                // Of two that are equal but for one that is sure, that one.
                [best, found].into_iter().flatten().min_by_key(|best| (best.cost, best.item, !best.sure))
            });
        });
        let anew: Vec<_> = changed.par_iter().map(|&item| Partner::of(item, &cost)).collect();
        changed.iter().zip(anew).for_each(|(&item, best)| self.best[item] = best);
    }
}

impl Partner {
    fn of(item: usize, cost: impl Fn(usize, usize, u128) -> Option<u128>) -> Option<Partner> {
        let mut best: Option<Partner> = None;
        for other in 0..item {
            let bound = best.map_or(u128::MAX, |best| best.cost);
            if let Some(cost) = cost(other, item, bound)
                && best.is_none_or(|best| cost < best.cost)
            {
                best = Some(Partner { cost, item: other, sure: true });
            }
        }
        best
    }

    /// The same, but not sure if the partner has changed.
    fn unless_lost(self, changed: &[usize]) -> Partner {
        Partner { sure: self.sure && !changed.contains(&self.item), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, prop_assert_eq, proptest};

    fn any_two() -> impl Strategy<Value = [usize; 2]> {
        [0usize..8, 0usize..8]
    }

    fn row() -> impl Strategy<Value = [Option<u8>; 8]> {
        proptest::array::uniform8(proptest::option::of(0u8..20))
    }

    proptest! {
        /// After any changes the least pair is the one that asking all of them finds.
        #[test]
        fn the_least_of_all_pairs(
            mut costs in proptest::collection::vec(proptest::option::of(0u8..20), 64),
            changes in proptest::collection::vec((any_two(), row(), row()), 0..10)
        ) {
            let cost = |costs: &[Option<u8>], a: usize, b: usize, bound: u128| {
                costs[a * 8 + b].map(u128::from).filter(|cost| *cost <= bound)
            };
            let mut pairs = Pairs::new(8, |a, b, bound| cost(&costs, a, b, bound));
            for (items, row, others) in changes {
                for (other, (new, second)) in row.into_iter().zip(others).enumerate() {
                    let [one, two] = items.map(|item| item.min(other) * 8 + item.max(other));
                    (costs[two], costs[one]) = (second, new);
                }
                pairs.update(&items, |a, b, bound| cost(&costs, a, b, bound));
                let all = (0..8).flat_map(|b| (0..b).map(move |a| (a, b)));
                let least = all.filter_map(|(a, b)| cost(&costs, a, b, u128::MAX).map(|cost| (cost, a, b))).min();
                prop_assert_eq!(pairs.least(|a, b, bound| cost(&costs, a, b, bound)), least.map(|(_, a, b)| (a, b)));
            }
        }
    }
}
