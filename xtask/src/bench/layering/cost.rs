//! What a plan costs, computed from references and sizes alone: a check on whatever the binary says of its plans.
//!
//! A layer is sent again whenever a path changes that one of its paths needs, since all users of a changed path get a
//! new name. If all paths change equally often, an update sends on average, but for a factor that all plans share, the
//! sum over the layers of bytes of the layer · number of paths that its paths need, themselves included. With a layer
//! for each path nothing is sent in vain, so that is the lower bound.

use crate::bench::layering::closure::Closure;
use anyhow::Result;

/// Sizes of a closure's paths and what each needs.
pub struct Weights {
    sizes: Vec<u64>,
    /// For every path a set: bit i of word w stands for position 64 w + i.
    needs: Vec<Vec<u64>>,
}

impl Weights {
    pub fn new(closure: &Closure) -> Result<Weights> {
        let paths = closure.paths.len();
        let mut needs = vec![Vec::new(); paths];
        for position in closure.needed_first()? {
            let mut set = vec![0; paths.div_ceil(64)];
            set[position / 64] |= 1 << (position % 64);
            closure.paths[position].references.iter().for_each(|&used| add(&mut set, &needs[used]));
            needs[position] = set;
        }
        Ok(Weights { sizes: closure.paths.iter().map(|of| of.size).collect(), needs })
    }

    /// The cost of a plan in units of the lower bound.
    pub fn relative(&self, plan: &[Vec<usize>]) -> f64 {
        let lower_bound: u128 = (0..self.sizes.len()).map(|position| self.layer(&[position])).sum();
        self.cost(plan) as f64 / lower_bound as f64
    }

    fn cost(&self, plan: &[Vec<usize>]) -> u128 {
        plan.iter().map(|layer| self.layer(layer)).sum()
    }

    fn layer(&self, layer: &[usize]) -> u128 {
        let mut set = vec![0; self.sizes.len().div_ceil(64)];
        layer.iter().for_each(|&position| add(&mut set, &self.needs[position]));
        let paths: u128 = set.iter().map(|word| u128::from(word.count_ones())).sum();
        paths * layer.iter().map(|&position| u128::from(self.sizes[position])).sum::<u128>()
    }
}

fn add(set: &mut [u64], other: &[u64]) {
    set.iter_mut().zip(other).for_each(|(word, more)| *word |= more);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::layering::closure::tests::closure;

    #[track_caller]
    fn check(plan: &[&[usize]], expected: u128) {
        // app needs lib and libc, doc nothing.
        let closure = closure("app 10: lib\nlib 20: libc\nlibc 40:\ndoc 5:");
        let plan: Vec<Vec<usize>> = plan.iter().map(|layer| layer.to_vec()).collect();
        let weights = Weights::new(&closure).unwrap();
        assert_eq!(weights.cost(&plan), expected);
        assert_eq!(weights.relative(&plan), expected as f64 / 115.0);
    }

    #[test]
    fn a_layer_is_sent_for_all_that_its_paths_need() {
        check(&[&[0], &[1], &[2], &[3]], 10 * 3 + 20 * 2 + 40 + 5);
        check(&[&[0, 1], &[2], &[3]], 30 * 3 + 40 + 5);
        check(&[&[0], &[1], &[3, 2]], 10 * 3 + 20 * 2 + 45 * 2);
        check(&[&[0, 1, 2, 3]], 75 * 4);
    }

    #[test]
    fn sets_of_more_than_one_word() {
        let chain: Vec<String> =
            (0..200).map(|i| if i == 0 { "p0 1:".to_owned() } else { format!("p{i} 1: p{}", i - 1) }).collect();
        let weights = Weights::new(&closure(&chain.join("\n"))).unwrap();
        assert_eq!(weights.cost(&[(0..200).collect()]), 200 * 200);
        assert_eq!(weights.relative(&[(0..200).collect()]), 40_000.0 / 20_100.0);
    }
}
