//! Sorts paths and layers by name, and by hash only between paths of one name: the same packages stand at the same
//! places after an update.

use crate::churn::{Churn, rounded, unite};
use crate::cluster::Cluster;
use crate::graph::Graph;
use crate::layer::Layer;
use layerstone_store::StorePath;

/// The paths by name; those of one name by path.
pub(crate) fn by_name(graph: &Graph, paths: &[u32]) -> Vec<u32> {
    let mut sorted = paths.to_vec();
    sorted.sort_by_key(|&path| key(graph, path));
    sorted
}

/// The most layers that are ordered by what they cost on top of each other, which takes the square of their number;
/// docker stacks 125.
const MOST_STACKED: usize = 512;

/// The layers in the order of `least-churn`, paths of a layer by name: so that a daemon which unpacks layer on layer
/// has least to unpack again, all that lies on a changed layer being new to it.
///
/// An order costs, for each path that may change, its rate times the bytes from the lowest layer that needs it to the
/// top. From the bottom up, the next layer is the one that brings fewest changes that no layer below it has, for its
/// bytes (Smith's rule for jobs of weight and length, with weights that shrink as others go first), and then neighbours
/// are exchanged as long as that costs less: big layers that seldom change lie low, small ones that often do lie high,
/// and nothing lies below what it depends on without a reason. Sizes are rounded to powers of two and ties decided by
/// the name of the first path, so that an update moves nothing.
pub(crate) fn by_rate(graph: &Graph, churn: &Churn, mut layers: Vec<Layer>) -> Vec<Layer> {
    for layer in &mut layers {
        layer.paths = by_name(graph, &layer.paths);
    }
    let mut stack: Vec<Cluster> = layers.into_iter().map(|layer| Cluster::of(churn, layer)).collect();
    stack.sort_by_cached_key(|layer| (layer.rate, layer.paths.first().map(|&path| key(graph, path))));
    if stack.len() <= MOST_STACKED {
        stack.iter_mut().for_each(|layer| layer.size = rounded(layer.size));
        stack = stacked(churn, stack);
        // Each pass that changes something makes the order cheaper, so that there is a last one.
        while improve(churn, &mut stack) {}
    }
    stack.into_iter().map(Layer::from).collect()
}

/// The layers by Smith's rule.
fn stacked(churn: &Churn, mut left: Vec<Cluster>) -> Vec<Cluster> {
    let (mut below, mut sorted) = (churn.union(&[]), Vec::new());
    while !left.is_empty() {
        let rates: Vec<u64> = left.iter().map(|layer| new_rate(churn, &below, &layer.closure)).collect();
        let next = (1..left.len()).fold(0, |best, at| {
            let (this, other) = (u128::from(rates[at]), u128::from(rates[best]));
            if this * u128::from(left[best].size) < other * u128::from(left[at].size) { at } else { best }
        });
        let next = left.remove(next);
        unite(&mut below, &next.closure);
        sorted.push(next);
    }
    sorted
}

/// Exchanges neighbours where that costs less; whether there were any.
fn improve(churn: &Churn, stack: &mut [Cluster]) -> bool {
    let mut below = churn.union(&[]);
    let mut above: u128 = stack.iter().map(|layer| u128::from(layer.size)).sum();
    let mut is_better = false;
    for at in 0..stack.len() {
        if at + 1 < stack.len() {
            let cost = |first: &Cluster, second: &Cluster| {
                let mut both = below.clone();
                unite(&mut both, &first.closure);
                let rates = [new_rate(churn, &below, &first.closure), new_rate(churn, &both, &second.closure)];
                u128::from(rates[0]) * above + u128::from(rates[1]) * (above - u128::from(first.size))
            };
            if cost(&stack[at + 1], &stack[at]) < cost(&stack[at], &stack[at + 1]) {
                stack.swap(at, at + 1);
                is_better = true;
            }
        }
        unite(&mut below, &stack[at].closure);
        above -= u128::from(stack[at].size);
    }
    is_better
}

/// How often something of a closure changes that is in none below, in millionths.
fn new_rate(churn: &Churn, below: &[u64], closure: &[u64]) -> u64 {
    churn.rate_of_both(below, closure) - churn.rate(below)
}

fn key<'a>(graph: &Graph<'a>, path: u32) -> (&'a str, &'a StorePath) {
    let path = graph.paths[path as usize];
    (path.name(), path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rates;
    use crate::sample;

    #[track_caller]
    fn check(closure: &str, layers: &[&str], expected: &[&str]) {
        let closure = sample::closure(closure);
        let graph = Graph::new(&closure).unwrap();
        let churn = Churn::new(&graph, &Rates::default(), "test").unwrap();
        let number = |name: &str| graph.paths.iter().position(|path| path.name() == name).unwrap() as u32;
        let layers = layers.iter().map(|layer| Layer::free(layer.split(' ').map(number).collect()));
        let sorted = by_rate(&graph, &churn, layers.collect());
        let text = |layer: &Layer| {
            layer.paths.iter().map(|&path| graph.paths[path as usize].name()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(sorted.iter().map(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn big_layers_lie_below_small_ones() {
        let closure = "root 1: big small often; big 64: ; small 1: ; often 64: x y z; x 1: ; y 1: ; z 1: ";
        let layers = ["root", "big", "small", "often", "x", "y", "z"];
        // What others depend on lies below them, as one that changes brings a change to them anyway.
        check(closure, &layers, &["big", "x", "y", "z", "often", "small", "root"]);
    }

    #[test]
    fn rarely_sent_layers_lie_below() {
        let closure = "app 1: lib zlib; lib 1: libc; zlib 1: libc; libc 1: ; data 1: ";
        check(closure, &["app", "lib", "libc", "zlib", "data"], &["data", "libc", "lib", "zlib", "app"]);
        check(closure, &["zlib lib", "libc data", "app"], &["data libc", "lib zlib", "app"]);
        check(closure, &["zlib data", "lib", "app libc"], &["data zlib", "lib", "app libc"]);
    }
}
