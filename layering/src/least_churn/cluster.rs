//! A layer while a plan is being looked for: some paths with their rounded size, their closure and its rate.

use crate::churn::Churn;

/// Some paths that share a layer.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// Which paths, by positions in the order that decides ties.
    pub ids: Vec<u32>,
    /// Their sizes in powers of two, together.
    pub size: u64,
    /// How often anything in their closure changes, in millionths.
    pub rate: u64,
    /// Their closure.
    pub closure: Vec<u64>,
}

impl Cluster {
    /// A layer of these paths, of this size and closure.
    pub fn new(churn: &Churn, ids: Vec<u32>, size: u64, closure: Vec<u64>) -> Cluster {
        Cluster { ids, size, rate: churn.rate(&closure), closure }
    }

    /// What the layer costs, in millionths of bytes.
    pub fn cost(&self) -> u128 {
        u128::from(self.size) * u128::from(self.rate)
    }

    /// How much more the two layers cost as one; none if that is not less than `bound`.
    pub fn merged_cost(&self, other: &Cluster, churn: &Churn, bound: u128) -> Option<u128> {
        let more = |rate: u64| {
            u128::from(self.size) * u128::from(rate - self.rate)
                + u128::from(other.size) * u128::from(rate - other.rate)
        };
        // Their common closure has the larger one's rate at least: most pairs need no closer look.
        if more(self.rate.max(other.rate)) >= bound {
            return None;
        }
        Some(more(churn.rate_of_both(&self.closure, &other.closure))).filter(|cost| *cost < bound)
    }

    /// Takes the paths of another layer in.
    pub fn absorb(&mut self, other: Cluster, churn: &Churn) {
        self.ids.extend(other.ids);
        self.size += other.size;
        self.closure.iter_mut().zip(&other.closure).for_each(|(own, other)| *own |= other);
        self.rate = churn.rate(&self.closure);
    }
}
