//! Holds paths that share a layer while a plan is searched for, and computes what it costs to join two layers.

use crate::churn::{Churn, unite};
use crate::layer::Layer;

/// Some paths that share a layer.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// The paths: their numbers, or their positions in some order.
    pub paths: Vec<u32>,
    /// Whether a user asked for these paths to have a layer of their own: nothing else may join it.
    pub pinned: bool,
    /// Their sizes together.
    pub size: u64,
    /// How often anything in their closure changes, in millionths.
    pub rate: u64,
    /// Their closure.
    pub closure: Vec<u64>,
}

impl Cluster {
    /// Paths of this size and closure.
    pub fn new(churn: &Churn, paths: Vec<u32>, size: u64, closure: Vec<u64>) -> Cluster {
        Cluster { paths, pinned: false, size, rate: churn.rate(&closure), closure }
    }

    /// The paths of a layer, by their numbers.
    pub fn of(churn: &Churn, layer: Layer) -> Cluster {
        let (size, closure) = (churn.size(&layer.paths), churn.union(&layer.paths));
        Cluster { pinned: layer.pinned, ..Cluster::new(churn, layer.paths, size, closure) }
    }

    /// What the layer costs, in millionths of bytes.
    pub fn cost(&self) -> u128 {
        u128::from(self.size) * u128::from(self.rate)
    }

    /// How much more the two cost as one layer than as two, in millionths of bytes, if that is less than `below`.
    pub fn extra_cost(&self, other: &Cluster, churn: &Churn, below: u128) -> Option<u128> {
        let extra = |rate: u64| {
            u128::from(self.size) * u128::from(rate - self.rate)
                + u128::from(other.size) * u128::from(rate - other.rate)
        };
        // Their common closure has the larger one's rate at least: most pairs need no closer look.
        if extra(self.rate.max(other.rate)) >= below {
            return None;
        }
        Some(extra(churn.rate_of_both(&self.closure, &other.closure))).filter(|extra| *extra < below)
    }

    /// Takes the paths of another layer in, behind its own.
    pub fn join(&mut self, other: &Cluster, churn: &Churn) {
        self.paths.extend(&other.paths);
        self.size += other.size;
        unite(&mut self.closure, &other.closure);
        self.rate = churn.rate(&self.closure);
    }
}

impl From<Cluster> for Layer {
    fn from(cluster: Cluster) -> Layer {
        Layer { paths: cluster.paths, pinned: cluster.pinned }
    }
}
