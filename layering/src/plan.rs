//! From closure to plan: a strategy orders or groups the paths, and a limit says how many layers there may be.
//!
//! What all strategies share, the check of the closure, of the exclusions and of the result, is here.

use crate::graph::Graph;
use crate::popularity::popularity_order;
use crate::split::split;
use crate::{Error, Plan, Rates, Result, Strategy, least_churn, size};
use layerstone_closure::Closure;
use layerstone_stage::StorePath;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// What a plan is to be like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to decide which paths share a layer.
    pub strategy: Strategy,
    /// How many layers there may be.
    pub limit: NonZeroUsize,
    /// Paths that count as users of others and are in no layer.
    pub exclude: BTreeSet<StorePath>,
    /// How often paths change.
    pub rates: Rates,
}

impl Settings {
    /// At most `limit` layers, everything else at its default.
    pub fn new(limit: NonZeroUsize) -> Settings {
        Settings { strategy: Strategy::default(), limit, exclude: BTreeSet::new(), rates: Rates::default() }
    }
}

/// Divides a closure into at most `limit` layers. Every path is in exactly one of them, but for the excluded ones: they
/// count as users of others (not in a pipeline) and are in none. A pipeline may remove more paths. The plan does not
/// depend on the order of the closure's paths.
///
/// # Errors
///
/// If the closure is none (a path twice, an absent reference, a cycle), or an excluded path is not in it: who excludes
/// a path knows it to be there, so that an absent one is a typing error or belongs to another closure, and the image
/// would silently hold what was meant to be left out. If the strategy needs sizes and the closure does not tell them,
/// rates are given and all in vain, or an operation of a pipeline cannot do its work.
pub fn plan(closure: &Closure, settings: &Settings) -> Result<Plan> {
    let graph = Graph::new(closure)?;
    let present: BTreeSet<&StorePath> = graph.paths.iter().copied().collect();
    if let Some(path) = settings.exclude.iter().find(|path| !present.contains(path)) {
        return Err(Error::AbsentExclusion { path: path.clone() });
    }
    let free: Vec<u32> = (0..)
        .zip(&graph.paths)
        .filter(|(_, path)| !settings.exclude.contains(*path))
        .map(|(number, _)| number)
        .collect();
    let layers = match &settings.strategy {
        Strategy::LeastChurn => least_churn::layers(&graph, &free, settings.limit, &settings.rates)?,
        Strategy::Popularity => {
            let mut order = popularity_order(&graph);
            order.retain(|number| free.binary_search(number).is_ok());
            split(&order, settings.limit)
        }
        Strategy::Size => size::layers(&graph, &free, settings.limit)?,
        Strategy::Pipeline(pipeline) => pipeline.layers(&graph, &free, settings.limit)?,
    };
    let path = |number: u32| graph.paths[number as usize].clone();
    Ok(Plan { layers: layers.into_iter().map(|layer| layer.into_iter().map(path).collect()).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{closure, path};
    use crate::Draft;
    use layerstone_closure::PathInfo;
    use proptest::prelude::{Just, prop_assert, prop_assert_eq, proptest};
    use proptest::sample::select;
    use proptest::strategy::Strategy as _;

    fn popularity(layers: usize, exclude: BTreeSet<StorePath>) -> Settings {
        let limit = NonZeroUsize::new(layers).unwrap();
        Settings { strategy: Strategy::Popularity, exclude, ..Settings::new(limit) }
    }

    #[track_caller]
    fn check(edges: &str, layers: usize, exclude: &str, expected: &str) {
        let exclude = exclude.split_whitespace().map(path).collect();
        let plan = plan(&closure(edges), &popularity(layers, exclude)).unwrap();
        let layers: Vec<Vec<&str>> = plan.layers.iter().map(|l| l.iter().map(StorePath::name).collect()).collect();
        assert_eq!(layers.iter().map(|layer| layer.join(" ")).collect::<Vec<_>>().join(", "), expected);
    }

    #[test]
    fn worked_example() {
        let edges = "A: B G; B: C E; C: D E; D: F; E: F; F:; G:";
        check(edges, 1, "", "F E D C B G A");
        check(edges, 3, "", "F, E, D C B G A");
        check(edges, 7, "", "F, E, D, C, B, G, A");
        check(edges, 100, "", "F, E, D, C, B, G, A");
    }

    #[test]
    fn excluded_paths_count_as_users() {
        check("a: x y; b: y; x:; y:", 100, "", "y, x, a, b");
        check("a: x y; b: y; x:; y:", 100, "b y", "x, a");
        check("a: y; b: y x; c: x z; d: x; x:; y:; z:", 2, "c d", "x, y z a b");
        check("a:", 5, "a", "");
    }

    #[test]
    fn absent_exclusions_are_errors() {
        let error = plan(&closure("a:"), &popularity(1, BTreeSet::from([path("b")])));
        assert_eq!(error.unwrap_err().to_string(), format!("cannot exclude: {}: not in the closure", path("b")));
    }

    /// Closures of up to 40 paths without cycles, and some paths of each to leave out.
    fn cases() -> impl proptest::strategy::Strategy<Value = (Closure, BTreeSet<StorePath>)> {
        let edges = proptest::collection::vec((0usize..40, 0usize..40), 0..120);
        (0usize..40, edges, proptest::collection::vec(0usize..40, 0..6)).prop_map(|(count, edges, exclude)| {
            let path = |i: usize| path(&format!("p{}-{i}", i % 3));
            let info = |i: usize| PathInfo {
                path: path(i),
                nar_hash: None,
                nar_size: Some(7 * i as u64 % 50),
                references: Vec::new(),
            };
            let mut graph: Vec<PathInfo> = (0..count).map(info).collect();
            for (a, b) in edges.into_iter().filter(|&(a, b)| a.max(b) < count) {
                graph[a.min(b)].references.push(path(a.max(b)));
            }
            (Closure { graph }, exclude.into_iter().filter(|&i| i < count).map(path).collect())
        })
    }

    proptest! {
        #[test]
        fn every_path_once_in_at_most_so_many_layers(
            (closure, exclude) in cases(), layers in 1usize..50, strategy in select(Strategy::ALL.to_vec())
        ) {
            let settings = Settings { strategy, ..popularity(layers, exclude.clone()) };
            let plan = plan(&closure, &settings).unwrap();
            prop_assert_eq!(crate::check(&Draft::from(&plan), &closure, &exclude, NonZeroUsize::new(layers)), Ok(vec![]));
            let expected = layers.min(closure.graph.len() - exclude.len());
            match settings.strategy {
                // It stops before a step that makes too many layers, and excluded paths may have one of their own.
                Strategy::Size => prop_assert!(plan.layers.len() <= expected),
                _ => prop_assert_eq!(plan.layers.len(), expected),
            }
        }

        #[test]
        fn shuffled_input_same_plan(
            ((closure, exclude), shuffled) in cases().prop_flat_map(|case| {
                let shuffled = Just(case.0.graph.clone()).prop_shuffle();
                (Just(case), shuffled)
            }),
            strategy in select(Strategy::ALL.to_vec())
        ) {
            let mut shuffled = Closure { graph: shuffled };
            shuffled.graph.iter_mut().for_each(|info| info.references.reverse());
            let settings = Settings { strategy, ..popularity(7, exclude) };
            prop_assert_eq!(plan(&shuffled, &settings), plan(&closure, &settings));
        }

        #[test]
        fn any_graph_is_planned_or_refused(
            edges in proptest::collection::vec((0usize..6, 0usize..7), 0..12), strategy in select(Strategy::ALL.to_vec())
        ) {
            let path = |i: usize| path(&i.to_string());
            let info = |i: usize| PathInfo { path: path(i), nar_hash: None, nar_size: Some(7 * i as u64 % 50), references: Vec::new() };
            let mut graph: Vec<PathInfo> = (0..6).map(info).collect();
            edges.into_iter().for_each(|(a, b)| graph[a].references.push(path(b)));
            match plan(&Closure { graph }, &Settings { strategy, ..popularity(9, BTreeSet::new()) }) {
                Ok(plan) => prop_assert_eq!(plan.layers.len(), 6),
                Err(e) => prop_assert!(e.to_string().starts_with("not a closure: /nix/store/h-"), "{}", e),
            }
        }
    }
}
