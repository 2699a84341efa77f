//! Merging layers two by two, always the pair that costs least together, until there are few enough.
//!
//! Each layer knows its best partner. A merge spoils that knowledge only for those whose partner it took; what they knew
//! is then a bound from below, and they look around again when that bound is the least of all (Müllner, "Modern
//! hierarchical, agglomerative clustering algorithms", 2011, the generic algorithm).

use super::cluster::Cluster;
use crate::churn::Churn;
use rayon::prelude::*;

/// How many layers a thread looks at, at least: less is not worth the way to another thread.
const GRAIN: usize = 512;

/// Merges layers until there are at most `limit`, which is 1 or more. Ties go to the layers that stand first.
pub(crate) fn merge_down(churn: &Churn, layers: Vec<Cluster>, limit: usize) -> Vec<Cluster> {
    let mut count = layers.len();
    if count <= limit {
        return layers;
    }
    let mut layers: Vec<Option<Cluster>> = layers.into_iter().map(Some).collect();
    let mut partners: Vec<Partner> =
        (0..layers.len()).into_par_iter().map(|at| Partner::of(churn, &layers, at)).collect();
    while count > limit {
        let living = (0..layers.len()).filter(|&at| layers[at].is_some());
        let at = living.min_by_key(|&at| (partners[at].cost, at)).expect("more than one layer is left");
        if !partners[at].sure {
            partners[at] = Partner::of(churn, &layers, at);
            continue;
        }
        let (kept, gone) = (at.min(partners[at].layer), at.max(partners[at].layer));
        let other = layers[gone].take().expect("a partner is alive");
        layers[kept].as_mut().expect("so is whose partner it is").absorb(other, churn);
        count -= 1;
        let look = |(at, partner): (usize, &mut Partner)| partner.look_at_merged(churn, &layers, at, kept, gone);
        partners.par_iter_mut().enumerate().with_min_len(GRAIN).for_each(look);
        partners[kept] = Partner::of(churn, &layers, kept);
    }
    layers.into_iter().flatten().collect()
}

/// Whom a layer is best merged with.
#[derive(Clone, Copy)]
struct Partner {
    /// What the merge costs; if it is not sure, what it costs at least.
    cost: u128,
    layer: usize,
    /// Whether this partner is still there as it was.
    sure: bool,
}

impl Partner {
    /// The best partner among all other layers; the first of equals.
    fn of(churn: &Churn, layers: &[Option<Cluster>], at: usize) -> Partner {
        let mut best = Partner { cost: u128::MAX, layer: at, sure: true };
        let Some(own) = &layers[at] else { return best };
        for (layer, other) in layers.iter().enumerate() {
            if layer != at
                && let Some(other) = other
                && let Some(cost) = own.merged_cost(other, churn, best.cost)
            {
                best = Partner { cost, layer, sure: true };
            }
        }
        best
    }

    /// Takes notice that `gone` was merged into `kept`.
    fn look_at_merged(&mut self, churn: &Churn, layers: &[Option<Cluster>], at: usize, kept: usize, gone: usize) {
        let (Some(own), Some(merged)) = (&layers[at], &layers[kept]) else { return };
        if at == kept {
            return;
        }
        let lost = self.layer == kept || self.layer == gone;
        // Whoever lost a partner of this cost has no better one elsewhere, so as good as before is good enough.
        match own.merged_cost(merged, churn, self.cost.saturating_add(u128::from(lost))) {
            Some(cost) => *self = Partner { cost, layer: kept, sure: true },
            None if lost => self.sure = false,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rates;
    use crate::graph::Graph;
    use crate::sample::sized_closure;

    /// The layers that are left, by name, and what they cost more than the ones before.
    #[track_caller]
    fn check(closure: &str, limit: usize, expected: &str) {
        let closure = sized_closure(closure);
        let graph = Graph::new(&closure).unwrap();
        let churn = Churn::new(&graph, &Rates::default(), "test").unwrap();
        let paths = crate::order::by_name(&graph, &(0..graph.len() as u32).collect::<Vec<_>>());
        let single = |(id, &path): (u32, &u32)| {
            Cluster::new(&churn, vec![id], churn.sizes[path as usize], churn.closure(path).to_vec())
        };
        let merged = merge_down(&churn, (0..).zip(&paths).map(single).collect(), limit);
        let name = |&id: &u32| graph.paths[paths[id as usize] as usize].name();
        let text = |cluster: &Cluster| cluster.ids.iter().map(name).collect::<Vec<_>>().join(" ");
        assert_eq!(merged.iter().map(text).collect::<Vec<_>>().join(", "), expected);
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
