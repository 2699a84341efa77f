//! Holds a set of closures, by their numbers, as bits.

use crate::graph::Graph;
use layerstone_closure::Closure;
use layerstone_store::StorePath;
use std::collections::HashMap;

/// A set of closures by their numbers. Only sets among equally many closures can be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClosureSet(Vec<u64>);

impl ClosureSet {
    /// These of so many closures.
    pub(super) fn of(closures: impl Iterator<Item = usize>, count: usize) -> ClosureSet {
        let mut words = vec![0; count.div_ceil(64)];
        closures.for_each(|closure| words[closure / 64] |= 1 << (closure % 64));
        ClosureSet(words)
    }

    /// The closures that hold each path of a graph.
    pub(super) fn of_each(graph: &Graph, closures: &[Closure]) -> Vec<ClosureSet> {
        let number: HashMap<&StorePath, usize> = graph.paths.iter().copied().zip(0..).collect();
        let mut indices = vec![Vec::new(); graph.len()];
        for (index, closure) in closures.iter().enumerate() {
            closure.graph.iter().filter_map(|info| number.get(&info.path)).for_each(|&path| indices[path].push(index));
        }
        indices.into_iter().map(|indices| ClosureSet::of(indices.into_iter(), closures.len())).collect()
    }

    /// Whether a closure is in it.
    pub(super) fn has(&self, closure: usize) -> bool {
        self.0[closure / 64] >> (closure % 64) & 1 == 1
    }

    /// The closures in both.
    pub(super) fn and(&self, other: &ClosureSet) -> ClosureSet {
        ClosureSet(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    /// The closures that are not in the other.
    pub(super) fn without(&self, other: &ClosureSet) -> ClosureSet {
        ClosureSet(self.0.iter().zip(&other.0).map(|(a, b)| a & !b).collect())
    }

    /// How many closures are in all three. Makes no set: all pairs of layers are asked.
    pub(super) fn common(&self, other: &ClosureSet, third: &ClosureSet) -> u32 {
        self.0.iter().zip(&other.0).zip(&third.0).map(|((a, b), c)| (a & b & c).count_ones()).sum()
    }

    /// Whether all closures of another set are in it.
    pub(super) fn has_all(&self, other: &ClosureSet) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| b & !a == 0)
    }

    /// Whether it is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The closures in it, by their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len() * 64).filter(|&closure| self.has(closure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_many_closures() {
        let (a, b) = (ClosureSet::of([0, 63, 64, 99].into_iter(), 100), ClosureSet::of([63, 99, 7].into_iter(), 100));
        assert_eq!(a.and(&b).iter().collect::<Vec<_>>(), [63, 99]);
        assert_eq!(a.without(&b).iter().collect::<Vec<_>>(), [0, 64]);
        assert_eq!((a.has(64), a.has(65), a.is_empty()), (true, false, false));
        assert_eq!((a.common(&b, &a), a.common(&b, &a.without(&b)), a.common(&a, &a)), (2, 0, 4));
        assert_eq!((a.has_all(&a.and(&b)), a.has_all(&b), b.has_all(&a)), (true, false, false));
        assert!(a.without(&a).is_empty());
    }
}
