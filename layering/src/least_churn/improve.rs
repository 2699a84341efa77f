//! Makes a plan cheaper by local search, until no change gains enough.
//!
//! Three kinds of change are tried in turns. A path moves to another layer. A layer is cut at one of its dependencies,
//! those paths that need it on one side and the rest on the other, and one side moves to another layer: it is only when
//! the last path that needs something leaves that a layer gets cheaper. And two layers become one while a third is cut
//! in two. Every change makes the plan cheaper, in whole numbers, so the search ends.

use crate::churn::{Churn, bits, unite};
use crate::cluster::Cluster;
use rayon::prelude::*;

/// How many words of closures are looked at to find the cuts of one layer, at most; a layer of thousands of paths has
/// thousands of cuts, and the first ones will do.
const CUT_WORK: usize = 1 << 26;

/// A round that gains less than this part of the cost is the last one. A lower bound costs time and gains little.
/// Stopping early also makes plans stabler: a move that is not made cannot flip in an update.
const WORTHWHILE: u128 = 5_000;

/// A plan that is being made cheaper. An empty layer costs nothing and is room for one more.
pub(crate) struct Search<'a> {
    churn: &'a Churn,
    /// The closure of each path.
    closures: Vec<&'a [u64]>,
    sizes: &'a [u64],
    layers: Vec<Cluster>,
    /// For each path the layer that holds it.
    home: Vec<usize>,
    /// For each layer and each bit of a closure how many of the layer's paths need it.
    needs: Vec<Vec<u32>>,
    /// For each layer its best cut; none if that was not searched for since the layer changed.
    best_cuts: Vec<Option<Cut>>,
}

/// A layer cut in two.
#[derive(Clone, Default)]
struct Cut {
    /// How much less the two sides cost than the layer, in millionths of bytes; 0 for a layer that stays uncut.
    gain: u128,
    /// The one side.
    ids: Vec<u32>,
}

impl<'a> Search<'a> {
    /// A search that begins with these layers. `paths` are the numbers of the paths, `sizes` their sizes in bytes.
    pub fn new(churn: &'a Churn, paths: &[u32], sizes: &'a [u64], layers: Vec<Cluster>) -> Search<'a> {
        let closures: Vec<&[u64]> = paths.iter().map(|&path| churn.closure(path)).collect();
        let mut home = vec![0; paths.len()];
        let mut needs = vec![vec![0; churn.rates.len()]; layers.len()];
        for (at, layer) in layers.iter().enumerate() {
            for &id in &layer.paths {
                home[id as usize] = at;
                bits(closures[id as usize]).for_each(|bit| needs[at][bit] += 1);
            }
        }
        let best_cuts = vec![None; layers.len()];
        Search { churn, closures, sizes, layers, home, needs, best_cuts }
    }

    /// The layers when a round of all changes gains too little to go on.
    pub fn improve(mut self) -> Vec<Cluster> {
        loop {
            let before = self.cost();
            self.move_paths();
            self.move_sides();
            self.merge_and_cut();
            if before - self.cost() <= before / WORTHWHILE {
                break;
            }
        }
        self.layers.retain(|layer| !layer.paths.is_empty());
        self.layers
    }

    fn cost(&self) -> u128 {
        self.layers.iter().map(Cluster::cost).sum()
    }

    /// Moves single paths, large ones first, to where each costs least.
    fn move_paths(&mut self) {
        let mut order: Vec<u32> = (0..self.home.len() as u32).collect();
        order.sort_by_key(|&id| std::cmp::Reverse(self.sizes[id as usize]));
        for id in order {
            let own = self.home[id as usize];
            let alone =
                Cluster::new(self.churn, vec![id], self.sizes[id as usize], self.closures[id as usize].to_vec());
            let left = u128::from(self.layers[own].size - alone.size) * u128::from(self.rate_without(id));
            if let Some(to) = self.best_home(own, &alone, self.layers[own].cost() - left) {
                self.relocate(&[id], to);
            }
        }
    }

    /// Moves one side of a cut, for all cuts of all layers.
    fn move_sides(&mut self) {
        for own in 0..self.layers.len() {
            while let Some((ids, to)) = self.side_to_move(own) {
                self.relocate(&ids, to);
            }
        }
    }

    /// The first side of a cut of a layer that is cheaper elsewhere, and where.
    fn side_to_move(&self, own: usize) -> Option<(Vec<u32>, usize)> {
        let cost = self.layers[own].cost();
        self.cuts(own).into_par_iter().find_map_first(|ids| {
            let (one, rest) = self.sides(own, ids);
            let to = self.best_home(own, &one, cost - rest.cost());
            if let Some(to) = to {
                return Some((one.paths, to));
            }
            self.best_home(own, &rest, cost - one.cost()).map(|to| (rest.paths, to))
        })
    }

    /// Makes one layer of two and two of a third, as long as that pays.
    fn merge_and_cut(&mut self) {
        while let Some((kept, gone, torn)) = self.merge_for_a_cut() {
            let Some(cut) = self.best_cuts[torn].clone() else { break };
            self.relocate(&self.layers[gone].paths.clone(), kept);
            self.relocate(&cut.ids, gone);
        }
    }

    /// Two layers to merge and a third to cut, so that the plan gets cheaper by most.
    fn merge_for_a_cut(&mut self) -> Option<(usize, usize, usize)> {
        let gains: Vec<u128> = (0..self.layers.len()).map(|at| self.cut_gain(at)).collect();
        let mut torn: Vec<usize> = (0..gains.len()).collect();
        torn.sort_by_key(|&at| (std::cmp::Reverse(gains[at]), at));
        let mut best = (0, None);
        for gone in 0..self.layers.len() {
            for kept in 0..gone {
                let Some(&third) = torn.iter().find(|&&at| at != kept && at != gone) else { continue };
                let Some(bound) = gains[third].checked_sub(best.0) else { continue };
                if let Some(cost) = self.layers[kept].extra_cost(&self.layers[gone], self.churn, bound) {
                    best = (gains[third] - cost, Some((kept, gone, third)));
                }
            }
        }
        best.1
    }

    /// What the best cut of a layer gains, looked for if need be.
    fn cut_gain(&mut self, at: usize) -> u128 {
        let cut = self.best_cuts[at].take().unwrap_or_else(|| self.best_cut(at));
        self.best_cuts[at].insert(cut).gain
    }

    fn best_cut(&self, at: usize) -> Cut {
        let cut = |ids| {
            let (one, rest) = self.sides(at, ids);
            Cut { gain: self.layers[at].cost() - one.cost() - rest.cost(), ids: one.paths }
        };
        let cuts: Vec<Cut> = self.cuts(at).into_par_iter().map(cut).filter(|cut| cut.gain > 0).collect();
        // The first of equals.
        cuts.into_iter().rev().max_by_key(|cut| cut.gain).unwrap_or_default()
    }

    /// The cuts of a layer at a dependency: the paths that need it, where some do and some do not. Sorted.
    fn cuts(&self, at: usize) -> Vec<Vec<u32>> {
        let layer = &self.layers[at];
        let mut ids = layer.paths.clone();
        ids.sort_unstable();
        let some = |&bit: &usize| (self.needs[at][bit] as usize) < ids.len();
        let need = |bit: usize| -> Vec<u32> {
            ids.iter().copied().filter(|&id| has(self.closures[id as usize], bit)).collect()
        };
        let mut cuts: Vec<Vec<u32>> = bits(&layer.closure).filter(some).map(need).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts.truncate(CUT_WORK / (ids.len() * layer.closure.len()).max(1));
        cuts
    }

    /// The two sides of a cut: these paths, and the layer's other ones.
    fn sides(&self, at: usize, ids: Vec<u32>) -> (Cluster, Cluster) {
        let rest = self.layers[at].paths.iter().copied().filter(|id| ids.binary_search(id).is_err()).collect();
        (self.layer(ids), self.layer(rest))
    }

    fn layer(&self, ids: Vec<u32>) -> Cluster {
        let mut closure = vec![0; self.layers[0].closure.len()];
        for &id in &ids {
            unite(&mut closure, self.closures[id as usize]);
        }
        let size = ids.iter().map(|&id| self.sizes[id as usize]).sum();
        Cluster::new(self.churn, ids, size, closure)
    }

    /// The layer that takes some paths in for least, if that is less than what their own layer gains.
    fn best_home(&self, own: usize, paths: &Cluster, gain: u128) -> Option<usize> {
        let mut best = (gain, None);
        for (to, layer) in self.layers.iter().enumerate().filter(|&(to, _)| to != own) {
            // What a layer costs more with the paths is what both cost more together, and what they cost alone.
            let Some(bound) = best.0.checked_sub(paths.cost()) else { break };
            if let Some(more) = layer.extra_cost(paths, self.churn, bound) {
                best = (more + paths.cost(), Some(to));
            }
        }
        best.1
    }

    /// How often anything in the closure of a path's layer would change without the path.
    fn rate_without(&self, id: u32) -> u64 {
        let own = self.home[id as usize];
        let only = bits(self.closures[id as usize]).filter(|&bit| self.needs[own][bit] == 1);
        self.layers[own].rate - only.map(|bit| self.churn.rates[bit]).sum::<u64>()
    }

    /// Moves paths of one layer to another.
    fn relocate(&mut self, ids: &[u32], to: usize) {
        let Some(&first) = ids.first() else { return };
        let from = self.home[first as usize];
        for &id in ids {
            self.home[id as usize] = to;
            for bit in bits(self.closures[id as usize]) {
                self.needs[from][bit] -= 1;
                self.needs[to][bit] += 1;
            }
        }
        let (stay, go) =
            std::mem::take(&mut self.layers[from].paths).into_iter().partition(|id| self.home[*id as usize] == from);
        self.layers[from] = self.layer(stay);
        let moved = self.layer(go);
        self.layers[to].join(&moved, self.churn);
        self.best_cuts[from] = None;
        self.best_cuts[to] = None;
    }
}

/// Whether a bit is set.
fn has(closure: &[u64], bit: usize) -> bool {
    closure[bit / 64] >> (bit % 64) & 1 == 1
}
