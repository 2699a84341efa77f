//! Sorts paths by popularity: those to which most references lead come first.
//!
//! It is the order of nixpkgs' `pkgs/build-support/references-by-popularity/closure-graph.py`, for every closure and
//! however large the counts grow; `count.rs` says what is counted. Paths of equal count stand in the order of their
//! names.

use crate::count::popularity;
use layerstone_store::StorePath;
use std::cmp::Reverse;

/// The indices of paths, most popular first, given each path's distinct users, who must stand before the path.
pub(crate) fn order_by_popularity(paths: &[&StorePath], users: &[Vec<u32>]) -> Vec<u32> {
    let mut ranked: Vec<_> = (0..)
        .zip(paths)
        .zip(popularity(users))
        .map(|((number, path), count)| (Reverse(count), tie_key(path), number))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, _, number)| number).collect()
}

/// What orders paths of equal popularity: the name first, so that the order survives a change of the hashes, then the
/// text before it.
///
/// It is one text and not a pair because nixpkgs compares it so: what decides between the names `lib` and `lib+` is
/// the dash that follows the first. The store directory may hold a dash; the first one that counts is in the base name.
fn tie_key(path: &StorePath) -> String {
    let base_name = path.base_name();
    match base_name.split_once('-') {
        Some((hash, name)) => format!("{name}-{}/{hash}", path.store_dir()),
        None => path.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::sample::{closure, path};
    use layerstone_closure::{Closure, PathInfo};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn order(closure: &Closure) -> Vec<&StorePath> {
        let graph = Graph::new(closure).unwrap();
        order_by_popularity(&graph.paths, &graph.users).into_iter().map(|number| graph.paths[number as usize]).collect()
    }

    #[track_caller]
    fn check(edges: &str, expected: &str) {
        let closure = closure(edges);
        let order = order(&closure);
        assert_eq!(order.iter().map(|path| path.name()).collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn more_references_come_first() {
        // Counts: F 9, E 5, D 4, C 3, B and G 2, A 1.
        check("A: B G; B: C E; C: D E; D: F; E: F; F:; G:", "F E D C B G A");
        check("a: a b b; b: b; c: c", "b a c");
        check("", "");
    }

    #[track_caller]
    fn check_ties(sorted: &[&str]) {
        let paths: Vec<StorePath> = sorted.iter().map(|path| StorePath::parse(path).unwrap()).collect();
        assert!(paths.is_sorted_by_key(tie_key), "{sorted:?}");
    }

    #[test]
    fn names_order_ties() {
        check_ties(&["/nix/store/z-a", "/nix/store/b-b", "/nix/store/a-c"]);
        check_ties(&["/nix/store/a-x", "/nix/store/b-x"]);
        check_ties(&["/nix/store/z-lib++", "/nix/store/z-lib+", "/nix/store/z-lib", "/nix/store/a-lib-2"]);
        check_ties(&["/nix/store/a", "/nix/store/b", "/nix/store/a-0"]);
        check_ties(&["/my-store/b-a", "/my-store/a-b"]);
    }

    #[track_caller]
    fn check_golden(graph: &str, expected: &str) {
        let value: serde_json::Value = serde_json::from_str(graph).unwrap();
        let graph = value.get("graph").unwrap_or(&value).clone();
        let closure = Closure { graph: serde_json::from_value(graph).unwrap() };
        let order = order(&closure);
        assert_eq!(order.iter().map(|path| format!("{path}\n")).collect::<String>(), expected);
    }

    /// What nixpkgs' closure-graph.py prints for a synthetic store.
    #[test]
    fn golden_synth() {
        check_golden(include_str!("../golden/synth/graph.json"), include_str!("../golden/synth/popularity.txt"));
    }

    /// Two closures made from Debian's package index; the orders come from closure-graph.py's recursion as written
    /// down in `contest` below, done in Python with its unbounded integers.
    #[test]
    fn golden_package_closures() {
        check_golden(include_str!("../golden/web/graph.json"), include_str!("../golden/web/popularity.txt"));
        check_golden(include_str!("../golden/ds/graph.json"), include_str!("../golden/ds/popularity.txt"));
    }

    /// closure-graph.py's definition, word for word: in a tree (a list of branches, a path and what is below it), a
    /// path counts once for each branch that it is, and for each branch that it is below of once more than there.
    fn contest<'a>(below: &BTreeMap<&'a str, Vec<&'a str>>, branches: &[&'a str]) -> BTreeMap<&'a str, u64> {
        let mut counts = BTreeMap::new();
        for branch in branches {
            *counts.entry(*branch).or_default() += 1;
            for (path, count) in contest(below, &below[branch]) {
                *counts.entry(path).or_default() += count + 1;
            }
        }
        counts
    }

    fn slow_order(closure: &Closure) -> Vec<&StorePath> {
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for info in &closure.graph {
            let mut used: Vec<&str> = info.references.iter().map(StorePath::as_str).collect();
            used.sort_unstable();
            used.dedup();
            used.retain(|used| *used != info.path.as_str());
            below.insert(info.path.as_str(), used);
        }
        let roots: Vec<&str> =
            below.keys().copied().filter(|path| !below.values().any(|used| used.contains(path))).collect();
        let counts = contest(&below, &roots);
        let mut order: Vec<&StorePath> = closure.graph.iter().map(|info| &info.path).collect();
        order.sort_by_cached_key(|path| {
            let (before, name) = path.as_str().split_once('-').unwrap();
            (Reverse(counts[path.as_str()]), format!("{name}-{before}"))
        });
        order
    }

    /// Closures of up to ten paths with names that tie, self references and repeated references, in any order.
    fn closures() -> impl Strategy<Value = Closure> {
        let edges = proptest::collection::vec((0usize..10, 0usize..10), 0..30);
        let names = proptest::sample::subsequence(
            ["lib", "lib+", "lib-2", "a", "b", "c-1", "c-1.0", "d", "_", "="].to_vec(),
            1..=10,
        );
        (names, edges, any::<prop::sample::Index>()).prop_map(|(names, edges, turn)| {
            let paths: Vec<StorePath> = names.iter().map(|name| path(name)).collect();
            let mut graph: Vec<PathInfo> = paths
                .iter()
                .map(|path| PathInfo { path: path.clone(), nar_hash: None, nar_size: None, references: Vec::new() })
                .collect();
            for (a, b) in edges.into_iter().filter(|&(a, b)| a.max(b) < paths.len()) {
                graph[a.min(b)].references.push(paths[a.max(b)].clone());
            }
            let turn = turn.index(graph.len());
            graph.rotate_left(turn);
            Closure { graph }
        })
    }

    proptest! {
        #[test]
        fn equal_to_the_recursion(closure in closures()) {
            prop_assert_eq!(order(&closure), slow_order(&closure));
        }
    }
}
