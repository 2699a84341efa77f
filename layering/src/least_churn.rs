//! The strategy `least-churn`: the plan that costs least to send again; `churn.rs` tells what a plan costs.
//!
//! It starts from a layer for each path and merges the pair of layers that costs least until the limit is met.

use crate::churn::Churn;
use crate::graph::Graph;
use crate::order::by_name;
use std::num::NonZeroUsize;

/// Divides some paths of a graph into at most `limit` layers, in an order that depends on names.
pub(crate) fn layers(graph: &Graph, churn: &Churn, free: &[u32], limit: NonZeroUsize) -> Vec<Vec<u32>> {
    let mut layers = Layer::singles(churn, &by_name(graph, free));
    while layers.len() > limit.get() {
        let pairs = (0..layers.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let (a, b) = pairs
            .min_by_key(|&(a, b)| (layers[a].merged_cost(&layers[b], churn), a, b))
            .expect("more layers than the limit, which is 1 at least");
        let merged = layers.remove(b);
        layers[a].absorb(merged, churn);
    }
    layers.into_iter().map(|layer| layer.paths).collect()
}

struct Layer {
    paths: Vec<u32>,
    size: u64,
    rate: u64,
    closure: Vec<u64>,
}

impl Layer {
    fn singles(churn: &Churn, paths: &[u32]) -> Vec<Layer> {
        let single = |&path: &u32| Layer {
            paths: vec![path],
            size: churn.sizes[path as usize],
            rate: churn.rate(churn.closure(path)),
            closure: churn.closure(path).to_vec(),
        };
        paths.iter().map(single).collect()
    }

    fn merged_cost(&self, other: &Layer, churn: &Churn) -> u128 {
        let rate = churn.rate_of_both(&self.closure, &other.closure);
        u128::from(self.size) * u128::from(rate - self.rate) + u128::from(other.size) * u128::from(rate - other.rate)
    }

    fn absorb(&mut self, other: Layer, churn: &Churn) {
        self.paths.extend(other.paths);
        self.size += other.size;
        self.closure.iter_mut().zip(&other.closure).for_each(|(own, other)| *own |= other);
        self.rate = churn.rate(&self.closure);
    }
}
