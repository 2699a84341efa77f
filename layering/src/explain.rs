//! Explains the expected upload cost of a plan: layer by layer, and which paths cause it.

use crate::churn::{Churn, bytes};
use crate::compare::Estimate;
use crate::graph::Graph;
use crate::{Error, Plan, Rates, Result};
use layerstone_closure::Closure;
use layerstone_store::StorePath;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How many paths stand for all, where a few are to say what many are.
const TELLING: usize = 3;

/// What a plan costs, in bytes per update: sizes times rates, as the module `churn` says. Bytes are exact if rates are
/// whole numbers, and rounded to the nearest otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The layers, bottom first.
    pub layers: Vec<LayerCost>,
    /// What all layers cost.
    pub bytes_per_update: u128,
    /// About what a client of chunks fetches instead, compressed.
    pub chunks_per_update: u128,
    /// What the paths would cost with a layer each: no plan costs less.
    pub lower_bound: u128,
    /// How often anything in the closure of the plan's paths changes, in millionths: the sum of the rates.
    pub rate: u64,
    /// What one change of each path of that closure sends, in bytes: the layers with paths that are it or depend on it.
    #[serde(skip)]
    pub sent_by_change: BTreeMap<StorePath, u64>,
}

/// What a layer costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerCost {
    /// The paths, in the plan's order.
    pub paths: Vec<StorePath>,
    /// Bytes of their NARs.
    pub size: u64,
    /// The largest of its paths, at most three, of different packages.
    #[serde(skip)]
    pub largest: Vec<StorePath>,
    /// How many paths there are whose change sends the layer again: those of its closure that change at all.
    pub changes: usize,
    /// Those of them that tell most, at most three, of different packages: those that change most often, of these the
    /// ones of other layers before its own, of these the ones on which most of its bytes depend, of these the largest.
    pub most_telling: Vec<StorePath>,
    /// How often any of them changes, in millionths.
    pub rate: u64,
    /// Size times rate.
    pub bytes_per_update: u128,
    /// About what a client of chunks fetches instead, compressed.
    pub chunks_per_update: u128,
}

/// Says what a plan costs.
///
/// # Errors
///
/// If the closure is none, lacks a size, or does not hold a path of the plan; if rates are given and all in
/// vain.
pub fn explain(closure: &Closure, plan: &Plan, rates: &Rates) -> Result<Explanation> {
    let graph = Graph::new(closure)?;
    let churn = Churn::new(&graph, rates, "bytes per update")?;
    let number: HashMap<&StorePath, u32> = graph.paths.iter().copied().zip(0..).collect();
    let numbers = |layer: &Vec<StorePath>| -> Result<Vec<u32>> {
        let number =
            |path: &StorePath| number.get(path).copied().ok_or_else(|| Error::NotInClosure { path: path.clone() });
        layer.iter().map(number).collect()
    };
    let layers: Vec<Vec<u32>> = plan.layers.iter().map(numbers).collect::<Result<_>>()?;
    let all = layers.concat();
    let bytes_per_update = bytes(layers.iter().map(|layer| churn.cost(layer)).sum());
    let lower_bound = bytes(churn.lower_bound(&all));
    Ok(Explanation {
        layers: layers.iter().map(|layer| layer_cost(&graph, &churn, layer)).collect(),
        bytes_per_update,
        chunks_per_update: Estimate::of_chunks(bytes_per_update, lower_bound),
        lower_bound,
        rate: churn.rate(&churn.union(&all)),
        sent_by_change: sent_by_change(&graph, &churn, &layers),
    })
}

fn sent_by_change(graph: &Graph, churn: &Churn, layers: &[Vec<u32>]) -> BTreeMap<StorePath, u64> {
    let mut sent: BTreeMap<u32, u64> = BTreeMap::new();
    for layer in layers {
        let size = churn.size(layer);
        for (path, _) in churn.members(&churn.union(layer)) {
            let sum = sent.entry(path).or_default();
            *sum = sum.saturating_add(size);
        }
    }
    sent.into_iter().map(|(path, bytes)| (graph.paths[path as usize].clone(), bytes)).collect()
}

fn layer_cost(graph: &Graph, churn: &Churn, layer: &[u32]) -> LayerCost {
    let size = |path: u32| churn.sizes[path as usize];
    let mut dependent = vec![0; graph.len()];
    for &path in layer {
        churn.members(churn.closure(path)).for_each(|(used, _)| dependent[used as usize] += size(path));
    }
    let own: HashSet<u32> = layer.iter().copied().collect();
    let closure = churn.union(layer);
    let rates: HashMap<u32, u64> = churn.members(&closure).filter(|(_, rate)| *rate > 0).collect();
    let bytes_per_update = bytes(churn.cost(layer));
    let rank = |path: u32| (rates[&path], !own.contains(&path), dependent[path as usize], size(path));
    LayerCost {
        paths: layer.iter().map(|&path| graph.paths[path as usize].clone()).collect(),
        size: churn.size(layer),
        largest: telling(graph, layer.to_vec(), size),
        changes: rates.len(),
        most_telling: telling(graph, rates.keys().copied().collect(), rank),
        rate: churn.rate(&closure),
        bytes_per_update,
        chunks_per_update: Estimate::of_chunks(bytes_per_update, bytes(churn.lower_bound(layer))),
    }
}

/// The paths of the highest rank, one of each package; by name where ranks are equal.
fn telling<R: Ord>(graph: &Graph, mut paths: Vec<u32>, rank: impl Fn(u32) -> R) -> Vec<StorePath> {
    let path = |number: u32| graph.paths[number as usize];
    paths.sort_by_cached_key(|&number| (Reverse(rank(number)), path(number).name(), path(number)));
    let mut packages = HashSet::new();
    let first_of_package = paths.into_iter().map(path).filter(|path| packages.insert(path.package()));
    first_of_package.take(TELLING).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, path};
    use layerstone_closure::PathInfo;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use std::collections::BTreeSet;

    const CLOSURE: &str = "app 10: lib tool; tool 20: libc; lib 30: libc; libc 100:; libc-2-bin 50: libc";

    fn plan(layers: &[&str]) -> Plan {
        Plan::new(layers.iter().map(|layer| layer.split_whitespace().map(path).collect()).collect())
    }

    /// Each layer as `size, changes: most telling, bytes per update`, then the plan's, the lower bound and the rate.
    #[track_caller]
    fn check(layers: &[&str], rates: &str, expected: &[&str], plan_and_bound: [u128; 2], rate: u64) {
        let rates = Rates::parse(rates.as_bytes(), "r").unwrap();
        let found = explain(&sample::closure(CLOSURE), &plan(layers), &rates).unwrap();
        let names = |paths: &[StorePath]| paths.iter().map(|path| path.name()).collect::<Vec<_>>().join(" ");
        let line = |layer: &LayerCost| {
            format!("{}, {}: {}, {}", layer.size, layer.changes, names(&layer.most_telling), layer.bytes_per_update)
        };
        assert_eq!(found.layers.iter().map(line).collect::<Vec<_>>(), expected);
        assert_eq!([found.bytes_per_update, found.lower_bound], plan_and_bound);
        assert_eq!(found.rate, rate * 1_000_000);
    }

    #[test]
    fn every_change_counts_alike() {
        check(
            &["libc", "lib", "tool app"],
            "{}",
            &["100, 1: libc, 100", "30, 2: libc lib, 60", "30, 4: libc lib tool, 120"],
            [280, 100 + 60 + 40 + 40],
            4,
        );
        check(&["libc-2-bin libc"], "{}", &["150, 2: libc, 300"], [300, 200], 2);
        check(&[], "{}", &[], [0, 0], 0);
    }

    #[test]
    fn what_each_change_sends() {
        let closure = sample::closure(CLOSURE);
        let found = explain(&closure, &plan(&["libc", "lib", "tool app"]), &Rates::default()).unwrap();
        let sent: Vec<_> = found.sent_by_change.iter().map(|(path, bytes)| (path.name(), *bytes)).collect();
        // All three layers depend on libc; nothing of the plan depends on libc-2-bin.
        assert_eq!(sent, [("app", 30), ("lib", 60), ("libc", 160), ("tool", 30)]);
    }

    #[test]
    fn rates_weigh_changes() {
        let rates = r#"{"*": 0.5, "libc": 0, "app": 3}"#;
        let expected = ["150, 0: , 0", "30, 3: app lib tool, 120"];
        check(&["libc libc-2-bin", "tool app"], rates, &expected, [120, 40 + 10], 4);
    }

    #[test]
    fn what_cannot_be_explained() {
        let error = |closure: &str, rates: &str| {
            let closure = sample::closure(closure);
            let rates = Rates::parse(rates.as_bytes(), "r.json").unwrap();
            explain(&closure, &plan(&["a"]), &rates).unwrap_err().to_string()
        };
        assert_eq!(error("b 1:", "{}"), "not a plan of the closure: /nix/store/h-a: the closure does not hold it");
        assert_eq!(error("a:", "{}"), "unknown size: /nix/store/h-a: bytes per update needs the narSize of every path");
        assert!(error("a 1:", r#"{"x": 1}"#).starts_with("no rate is used: r.json: "));
    }

    /// What a change of each path sends: all layers that hold the path or anything that depends on it.
    fn sent_by_changes(closure: &Closure, plan: &Plan) -> u128 {
        let info = |path: &StorePath| closure.graph.iter().find(|info| info.path == *path).unwrap();
        let mut sent = 0;
        for changed in &closure.graph {
            let mut renamed = BTreeSet::from([&changed.path]);
            for _ in &closure.graph {
                let users =
                    closure.graph.iter().filter(|info| info.references.iter().any(|path| renamed.contains(path)));
                renamed.extend(users.map(|info| &info.path).collect::<Vec<_>>());
            }
            let layers = plan.layers.iter().filter(|layer| layer.iter().any(|path| renamed.contains(path)));
            sent += layers.flatten().map(|path| u128::from(info(path).nar_size.unwrap())).sum::<u128>();
        }
        sent
    }

    proptest! {
        /// The cost of a plan is what is sent if every path changes once, one after the other.
        #[test]
        fn bytes_per_update_are_those_that_changes_send(
            edges in proptest::collection::vec((0usize..9, 0usize..9), 0..20),
            layer_of in proptest::collection::vec(0usize..4, 9),
        ) {
            let path = |i: usize| path(&format!("p{i}"));
            let references = |i: usize| {
                let below = edges.iter().filter(|(a, b)| a != b && *a.min(b) == i);
                below.map(|(a, b)| path(*a.max(b))).collect()
            };
            let info = |i: usize| PathInfo {
                path: path(i), nar_hash: None, nar_size: Some(1 << i), references: references(i),
            };
            let closure = Closure { graph: (0..9).map(info).collect() };
            let layer = |number: usize| (0..9).filter(|i| layer_of[*i] == number).map(path).collect();
            let plan = Plan::new((0..4).map(layer).filter(|layer: &Vec<StorePath>| !layer.is_empty()).collect());
            let found = explain(&closure, &plan, &Rates::default()).unwrap();
            prop_assert_eq!(found.bytes_per_update, sent_by_changes(&closure, &plan));
            prop_assert_eq!(found.bytes_per_update, found.layers.iter().map(|layer| layer.bytes_per_update).sum::<u128>());
            prop_assert_eq!(found.bytes_per_update, found.sent_by_change.values().map(|&bytes| u128::from(bytes)).sum::<u128>());
            let singles = Plan::new((0..9).map(|i| vec![path(i)]).collect());
            prop_assert_eq!(found.lower_bound, sent_by_changes(&closure, &singles));
            prop_assert!(found.lower_bound <= found.bytes_per_update);
        }
    }
}
