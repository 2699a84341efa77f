//! Joins layers two by two, always the pair that costs least, until there are few enough. Does not know which layers
//! may be joined: the caller says so, and what a pair costs besides.
//!
//! Asking all pairs each time would take the third power of their number: each item remembers the best of the
//! others. When that one has changed, the old cost is a lower bound, and the item looks again only if no other
//! pair is below it (Müllner, "Modern hierarchical, agglomerative clustering algorithms", 2011, the generic algorithm).
//! Equal costs are decided by the items' numbers.

use crate::churn::Churn;
use crate::cluster::Cluster;
use rayon::prelude::*;

/// How many items a thread looks at, at least: less is not worth another thread.
const GRAIN: usize = 512;

/// Joins the pair of layers that costs least, the later one to the earlier one, as long as there are more than `limit`
/// and a pair that may be joined. `extra` is asked for two positions in the list and what stands there, the earlier one
/// first: it gives what joining them costs besides, in millionths of bytes, or none if they may not be joined.
pub(crate) fn join_down(
    churn: &Churn,
    clusters: Vec<Cluster>,
    limit: usize,
    extra: impl Fn((usize, &Cluster), (usize, &Cluster)) -> Option<u128> + Sync,
) -> Vec<Cluster> {
    let mut left = clusters.len();
    if left <= limit {
        return clusters;
    }
    let mut slots: Vec<Option<Cluster>> = clusters.into_iter().map(Some).collect();
    let cost = |slots: &[Option<Cluster>], a: usize, b: usize, below: u128| {
        let (one, other) = (slots[a].as_ref()?, slots[b].as_ref()?);
        let extra = extra((a, one), (b, other))?;
        Some(extra + one.extra_cost(other, churn, below.checked_sub(extra)?)?)
    };
    let mut pairs = Pairs::new(left, |a, b, below| cost(&slots, a, b, below));
    while left > limit
        && let Some((a, b)) = pairs.least(|a, b, below| cost(&slots, a, b, below))
    {
        let (earlier, later) = slots.split_at_mut(b);
        if let (Some(one), Some(other)) = (&mut earlier[a], later[0].take()) {
            one.join(&other, churn);
        }
        left -= 1;
        pairs.remove(b);
        pairs.update(&[a, b], |a, b, below| cost(&slots, a, b, below));
    }
    slots.into_iter().flatten().collect()
}

/// The least pair of items, each of which knows the best of the others.
///
/// What a pair costs is asked with the smaller number first and a bound: there is no answer for a pair that may not be
/// joined or does not cost less than the bound.
pub(crate) struct Pairs {
    best: Vec<Partner>,
}

/// Whom an item is best joined with.
#[derive(Clone, Copy)]
struct Partner {
    /// The largest number if there is nobody.
    cost: u128,
    item: usize,
    /// Whether that is so, or no other is better than that.
    sure: bool,
    /// Whether the item itself was removed.
    is_gone: bool,
}

impl Pairs {
    /// All pairs of so many items.
    pub fn new(count: usize, cost: impl Fn(usize, usize, u128) -> Option<u128> + Sync) -> Pairs {
        Pairs { best: (0..count).into_par_iter().map(|item| Partner::of(item, count, &cost)).collect() }
    }

    /// The pair that costs least, if any may be joined; the smaller number first.
    pub fn least(&mut self, cost: impl Fn(usize, usize, u128) -> Option<u128>) -> Option<(usize, usize)> {
        loop {
            // The first item of all least pairs: its partner, the first of equals, stands behind it. A plain loop,
            // since most of the time goes here.
            let (mut least, mut item) = (Partner::NOBODY, 0);
            for (at, best) in self.best.iter().enumerate() {
                if best.cost < least.cost {
                    (least, item) = (*best, at);
                }
            }
            if least.sure {
                return least.is_somebody().then_some((item, least.item));
            }
            self.best[item] = Partner::of(item, self.best.len(), &cost);
        }
    }

    /// Notes that an item was removed, before [`update`](Pairs::update).
    pub fn remove(&mut self, item: usize) {
        self.best[item] = Partner { is_gone: true, ..Partner::NOBODY };
    }

    /// What pairs cost now, where only those with one of these items cost something else than before; there may be new
    /// items among them.
    pub fn update(&mut self, changed: &[usize], cost: impl Fn(usize, usize, u128) -> Option<u128> + Sync) {
        let count = changed.iter().map(|item| item + 1).max().unwrap_or(0).max(self.best.len());
        self.best.resize(count, Partner::NOBODY);
        for &item in changed {
            if !self.best[item].is_gone {
                self.best[item] = Partner::of(item, count, &cost);
            }
        }
        // What has no partner is nobody's.
        let partners: Vec<usize> = changed.iter().copied().filter(|&item| self.best[item].is_somebody()).collect();
        let rows = self.best.par_iter_mut().enumerate().with_min_len(GRAIN);
        rows.filter(|(item, best)| !best.is_gone && !changed.contains(item)).for_each(|(item, best)| {
            best.sure &= !changed.contains(&best.item);
            for &other in &partners {
                // One that costs as much is better if it stands first, or is sure.
                let below = best.cost.saturating_add(u128::from(other <= best.item));
                if let Some(cost) = cost(item.min(other), item.max(other), below) {
                    *best = Partner::new(cost, other);
                }
            }
        });
    }
}

impl Partner {
    const NOBODY: Partner = Partner::new(u128::MAX, usize::MAX);

    const fn new(cost: u128, item: usize) -> Partner {
        Partner { cost, item, sure: true, is_gone: false }
    }

    /// The best of so many items for one of them; the first of equals.
    fn of(item: usize, count: usize, cost: &impl Fn(usize, usize, u128) -> Option<u128>) -> Partner {
        let mut best = Partner::NOBODY;
        for other in 0..item {
            if let Some(cost) = cost(other, item, best.cost) {
                best = Partner::new(cost, other);
            }
        }
        for other in item + 1..count {
            if let Some(cost) = cost(item, other, best.cost) {
                best = Partner::new(cost, other);
            }
        }
        best
    }

    fn is_somebody(&self) -> bool {
        self.cost != u128::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rates;
    use crate::graph::Graph;
    use crate::layer::Layer;
    use crate::sample;
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
            let cost = |costs: &[Option<u8>], a: usize, b: usize, below: u128| {
                costs[a * 8 + b].map(u128::from).filter(|cost| *cost < below)
            };
            let mut pairs = Pairs::new(8, |a, b, below| cost(&costs, a, b, below));
            for (items, row, others) in changes {
                for (other, (new, second)) in row.into_iter().zip(others).enumerate() {
                    let [one, two] = items.map(|item| item.min(other) * 8 + item.max(other));
                    (costs[two], costs[one]) = (second, new);
                }
                pairs.update(&items, |a, b, below| cost(&costs, a, b, below));
                let all = (0..8).flat_map(|b| (0..b).map(move |a| (a, b)));
                let least = all.filter_map(|(a, b)| cost(&costs, a, b, u128::MAX).map(|cost| (cost, a, b))).min();
                prop_assert_eq!(pairs.least(|a, b, below| cost(&costs, a, b, below)), least.map(|(_, a, b)| (a, b)));
            }
        }
    }

    /// The layers that are left, by name.
    #[track_caller]
    fn check(closure: &str, limit: usize, expected: &str) {
        let closure = sample::closure(closure);
        let graph = Graph::new(&closure).unwrap();
        let churn = Churn::new(&graph, &Rates::default(), "test").unwrap();
        let paths = crate::order::by_name(&graph, &(0..graph.len() as u32).collect::<Vec<_>>());
        let single = |path| Cluster::of(&churn, Layer::free(vec![path]));
        let joined = join_down(&churn, paths.into_iter().map(single).collect(), limit, |_, _| Some(0));
        let name = |&path: &u32| graph.paths[path as usize].name();
        let text = |cluster: &Cluster| cluster.paths.iter().map(name).collect::<Vec<_>>().join(" ");
        assert_eq!(joined.iter().map(text).collect::<Vec<_>>().join(", "), expected);
    }

    #[test]
    fn the_cheapest_pair_first() {
        // libc changes alone most often; a megabyte more with it costs less than a large lib.
        let closure = "app 10: lib tool; tool 20: libc; lib 300: libc; libc 1000:";
        check(closure, 4, "app, lib, libc, tool");
        check(closure, 3, "app tool, lib, libc");
        check(closure, 2, "app tool lib, libc");
        check(closure, 1, "app tool lib libc");
    }

    #[test]
    fn equals_go_by_name() {
        check("b 1:; a 1:; d 1:; c 1:", 3, "a b, c, d");
        check("b 1:; a 1:; d 1:; c 1:", 2, "a b, c d");
        check("", 1, "");
    }
}
