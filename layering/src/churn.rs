//! Computes the expected upload cost of a plan, in bytes per update.
//!
//! In a store that names paths after what they are made of, a path that changes renames everything that depends on it.
//! So a layer must be sent again whenever anything in the closure of its paths changes, and a plan costs
//!
//! ```text
//! Σ over layers L of  size(L) · Σ over P in closure(L) of rate(P)
//! ```
//!
//! where size is that of the NARs in bytes and a rate says how often a path changes by itself. One path a layer costs
//! least: that is the lower bound for any limit. Rates are whole millionths, so costs are exact, in millionths of
//! bytes.

use crate::graph::Graph;
use crate::rates::ONE;
use crate::{Rates, Result};
use std::ops::Range;

/// Bits in a word of a [`Churn::closure`].
const WORD: usize = u64::BITS as usize;

/// Sizes, rates and closures of the paths of a graph, by their numbers.
///
/// A closure is a row of bits, one for each path that may change; memory grows with the square of the number of paths
/// (12 MB for 10,000).
#[derive(Debug)]
pub(crate) struct Churn {
    /// The size of each path's NAR in bytes.
    pub sizes: Vec<u64>,
    /// How many words a row has.
    width: usize,
    /// The rows, one after the other.
    rows: Vec<u64>,
    /// The words in runs whose bits all have one rate, or none in common.
    runs: Vec<Run>,
    /// The rate of each bit of a closure, in millionths.
    pub rates: Vec<u64>,
    /// The path of each bit.
    paths: Vec<u32>,
}

/// Words that stand side by side and are counted in one go.
#[derive(Debug)]
struct Run {
    words: Range<usize>,
    /// The rate of every bit, if it is the same for all.
    rate: Option<u64>,
}

impl Churn {
    /// What `purpose` needs to know of a graph.
    ///
    /// # Errors
    ///
    /// The closure lacks a path's size, or rates are given and all in vain.
    pub fn new(graph: &Graph, rates: &Rates, purpose: &'static str) -> Result<Churn> {
        let sizes = graph.sizes(purpose)?;
        let by_path = rates.of(&graph.paths)?;
        // Bits of equal rates stand side by side, so that most words can be counted instead of added bit by bit.
        let mut paths: Vec<u32> = (0..).take(graph.len()).collect();
        paths.sort_by_key(|&number| by_path[number as usize]);
        let mut bit = vec![0; paths.len()];
        for (position, &number) in paths.iter().enumerate() {
            bit[number as usize] = position;
        }
        let rates: Vec<u64> = paths.iter().map(|&number| by_path[number as usize]).collect();
        let width = rates.len().div_ceil(WORD);
        Ok(Churn { sizes, width, rows: closures(graph, &bit, width), runs: runs(&rates), rates, paths })
    }

    /// The closure of a path: the path itself and all that it depends on.
    pub fn closure(&self, path: u32) -> &[u64] {
        &self.rows[path as usize * self.width..][..self.width]
    }

    /// The closure of several paths.
    pub fn union(&self, paths: &[u32]) -> Vec<u64> {
        let mut union = vec![0; self.width];
        for &path in paths {
            unite(&mut union, self.closure(path));
        }
        union
    }

    /// The paths of a closure, and how often each changes, in millionths.
    pub fn members(&self, closure: &[u64]) -> impl Iterator<Item = (u32, u64)> {
        bits(closure).map(|bit| (self.paths[bit], self.rates[bit]))
    }

    /// How often anything in a closure changes, in millionths.
    pub fn rate(&self, closure: &[u64]) -> u64 {
        self.rate_of_both(closure, closure)
    }

    /// How often anything in one of two closures changes, in millionths.
    pub fn rate_of_both(&self, a: &[u64], b: &[u64]) -> u64 {
        let rate = |run: &Run| {
            let words = a[run.words.clone()].iter().zip(&b[run.words.clone()]).map(|(a, b)| a | b);
            match run.rate {
                Some(rate) => words.map(|word| u64::from(word.count_ones())).sum::<u64>() * rate,
                None => run.words.clone().zip(words).map(|(index, word)| self.rate_bit_by_bit(index, word)).sum(),
            }
        };
        self.runs.iter().map(rate).sum()
    }

    /// How often a path changes on average, in millionths.
    pub fn mean_rate(&self) -> u64 {
        self.rates.iter().sum::<u64>() / self.rates.len().max(1) as u64
    }

    /// What a layer of these paths costs, in millionths of bytes.
    pub fn cost(&self, layer: &[u32]) -> u128 {
        u128::from(self.size(layer)) * u128::from(self.rate(&self.union(layer)))
    }

    /// The sum of the sizes of these paths, in bytes.
    pub fn size(&self, paths: &[u32]) -> u64 {
        paths.iter().map(|&path| self.sizes[path as usize]).sum()
    }

    /// What these paths cost with a layer each, in millionths of bytes: no plan costs less.
    pub fn lower_bound(&self, paths: &[u32]) -> u128 {
        paths.iter().map(|&path| self.cost(&[path])).sum()
    }

    fn rate_bit_by_bit(&self, index: usize, word: u64) -> u64 {
        bits(&[word]).map(|bit| self.rates[index * WORD + bit]).sum()
    }
}

/// The runs of words that have their rate in common; `rates` are sorted.
fn runs(rates: &[u64]) -> Vec<Run> {
    let common = |word: &[u64]| (word[0] == word[word.len() - 1]).then_some(word[0]);
    let words: Vec<Option<u64>> = rates.chunks(WORD).map(common).collect();
    let mut end = 0;
    let run = |words: &[Option<u64>]| {
        let begin = end;
        end += words.len();
        Run { words: begin..end, rate: words[0] }
    };
    words.chunk_by(|a, b| a == b).map(run).collect()
}

/// A cost in millionths of bytes as bytes, rounded to the nearest.
pub(crate) fn bytes(cost: u128) -> u128 {
    let one = u128::from(ONE);
    (cost + one / 2) / one
}

/// The nearest power of two, 1 for nothing: an update seldom brings a path to another one.
pub(crate) fn rounded(size: u64) -> u64 {
    let lower = 1 << size.max(1).ilog2();
    // 181/128 is the square root of two: the middle between two powers, as factors go.
    if u128::from(size) * 128 > u128::from(lower) * 181 { lower << 1 } else { lower }
}

/// The closure of every path, where path P is bit `bit[P]` of a row.
fn closures(graph: &Graph, bit: &[usize], width: usize) -> Vec<u64> {
    let mut rows = vec![0; graph.len() * width];
    // What a path uses has a larger number: from the last to the first, all it needs is there.
    for (path, used) in graph.used.iter().enumerate().rev() {
        let (before, below) = rows.split_at_mut((path + 1) * width);
        let own = &mut before[path * width..];
        own[bit[path] / WORD] |= 1 << (bit[path] % WORD);
        for &other in used {
            unite(&mut own[..width], &below[(other as usize - path - 1) * width..][..width]);
        }
    }
    rows
}

/// Adds another closure to one.
pub(crate) fn unite(closure: &mut [u64], other: &[u64]) {
    closure.iter_mut().zip(other).for_each(|(all, own)| *all |= own);
}

/// The positions of the bits that are set in a closure.
pub(crate) fn bits(closure: &[u64]) -> impl Iterator<Item = usize> {
    closure.iter().enumerate().flat_map(|(index, &word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| index * WORD + rest.trailing_zeros() as usize);
            rest &= rest.wrapping_sub(1);
            bit
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    /// The cost of each layer, in bytes.
    #[track_caller]
    fn check(closure: &str, rates: &str, layers: &[&str], expected: &[u128]) {
        let closure = sample::closure(closure);
        let graph = Graph::new(&closure).unwrap();
        let churn = Churn::new(&graph, &Rates::parse(rates.as_bytes(), "r").unwrap(), "test").unwrap();
        let number = |name: &str| graph.paths.iter().position(|path| path.name() == name).unwrap() as u32;
        let layers: Vec<Vec<u32>> = layers.iter().map(|layer| layer.split(' ').map(number).collect()).collect();
        let costs: Vec<u128> = layers.iter().map(|layer| churn.cost(layer) / 1_000_000).collect();
        assert_eq!(costs, expected);
        assert!(churn.lower_bound(&layers.concat()) <= expected.iter().sum::<u128>() * 1_000_000);
    }

    #[test]
    fn a_layer_is_sent_when_anything_below_changes() {
        let closure = "app 10: lib tool; tool 20: libc; lib 30: libc; libc 100:";
        check(closure, "{}", &["app", "tool", "lib", "libc"], &[40, 40, 60, 100]);
        check(closure, "{}", &["app tool", "lib libc"], &[120, 260]);
        check(closure, "{}", &["app tool lib libc"], &[640]);
        check(closure, r#"{"libc": 0.5, "app": 3}"#, &["app tool", "lib", "libc"], &[165, 45, 50]);
        check(closure, r#"{"*": 0}"#, &["app tool lib libc"], &[0]);
    }

    #[test]
    fn more_paths_than_bits_in_a_word() {
        let names = |range: std::ops::Range<usize>| range.map(|i| format!("p{i}")).collect::<Vec<_>>();
        let mut text = format!("all 1: {}; ", names(0..200).join(" "));
        names(0..200).iter().for_each(|name| text.push_str(&format!("{name} 2: ; ")));
        check(&text, "{}", &["all", &names(0..200).join(" ")], &[201, 400 * 200]);
        check(&text, r#"{"p1?": 2, "p?": 3, "p3": 0.5}"#, &["all", "p3 p12 p0"], &[201 + 10 + 18 - 1, 6 * 5 + 3]);
    }

    #[test]
    fn sizes_in_powers_of_two() {
        for (size, expected) in [(0, 1), (1, 1), (2, 2), (5, 4), (6, 8), (181, 128), (182, 256), (1 << 40, 1 << 40)] {
            assert_eq!(rounded(size), expected, "{size}");
        }
    }

    #[test]
    fn sizes_are_needed() {
        let closure = crate::sample::closure("a: b; b:");
        let error = Churn::new(&Graph::new(&closure).unwrap(), &Rates::default(), "a test").unwrap_err();
        assert_eq!(error.to_string(), "unknown size: /nix/store/h-a: a test needs the narSize of every path");
    }
}
