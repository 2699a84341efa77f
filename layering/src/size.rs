//! Plans by the strategy `size`: each of the largest paths gets a layer, together with what only it needs; what several
//! of them need is in layers between.
//!
//! It is what nixpkgs does since 2025 (`pkgs/build-support/docker/auto-layer.py`), with the same sets of layers. Every
//! path has a label, a set of *primaries*, and paths of one label share a layer. At first all labels are empty, so that
//! there is one layer. Then paths become primaries, the largest first. A new primary's own label is itself alone. In
//! the label of each path below it, it replaces all who need that path through it; but where a primary
//! stands that is below the new one, nothing changes, since it is that one who needs the path. The step that would make
//! more labels than there may be layers is not done, and nothing after it.
//!
//! So a label says who needs a path at first hand. A primary's label stays what it is, hence there are never more
//! primaries than layers.
//!
//! nixpkgs leaves two things open, which are settled here so that equal closures make equal plans. Of paths of one size
//! the last one in path order becomes a primary first: theirs takes the last one of the file, which Nix sorts. Layers
//! whose closures have one size stand in the order of their first paths' names: theirs in the order of Python's hashes.

use crate::Result;
use crate::graph::{Graph, reach};
use crate::order::by_name;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroUsize;

/// Divides some paths of a graph into at most `limit` layers, small closures first, the paths of each by name. The
/// other paths count as if they were in layers too, so that there may be fewer layers than could be.
///
/// # Errors
///
/// The closure lacks the size of a path.
pub(crate) fn layers(graph: &Graph, free: &[u32], limit: NonZeroUsize) -> Result<Vec<Vec<u32>>> {
    let sizes = graph.sizes("size")?;
    let labels = labels(graph, &sizes, limit);
    let mut labelled: HashMap<u32, Vec<u32>> = HashMap::new();
    for (path, &label) in (0..).zip(&labels) {
        labelled.entry(label).or_default().push(path);
    }
    let mut layers: Vec<(u64, Vec<u32>)> = Vec::new();
    let mut layer_of: HashMap<u32, usize> = HashMap::new();
    for path in by_name(graph, free) {
        let label = labels[path as usize];
        let layer = *layer_of.entry(label).or_insert_with(|| {
            layers.push((closure_size(graph, &sizes, &labelled[&label]), Vec::new()));
            layers.len() - 1
        });
        layers[layer].1.push(path);
    }
    // Layers stand in the order of their first paths; a stable sort keeps that between equal sizes.
    layers.sort_by_key(|(size, _)| *size);
    Ok(layers.into_iter().map(|(_, paths)| paths).collect())
}

/// The label of each path, by its number.
fn labels(graph: &Graph, sizes: &[u64], limit: NonZeroUsize) -> Vec<u32> {
    let mut primaries: Vec<u32> = (0..).take(graph.len()).collect();
    if limit.get() >= graph.len() {
        // No step is one too many, so that all paths become primaries.
        return primaries;
    }
    primaries.sort_by_key(|&path| Reverse((sizes[path as usize], graph.paths[path as usize])));
    let mut labels = Labels::new(graph.len());
    for primary in primaries {
        let before = labels.add_primary(primary, graph);
        if labels.distinct > limit.get() {
            labels.assign(&before);
            break;
        }
        labels.forget_unused(&before);
    }
    labels.of
}

/// The sum of the sizes of some paths and of all that they need, in bytes.
fn closure_size(graph: &Graph, sizes: &[u64], paths: &[u32]) -> u64 {
    reach(&graph.used, paths, &mut vec![false; graph.len()]).into_iter().map(|path| sizes[path as usize]).sum()
}

/// Which label each path has; equal labels are stored once, so that comparing them is comparing their numbers.
struct Labels {
    /// The number of each path's label.
    of: Vec<u32>,
    /// The primaries of each label, sorted.
    sets: Vec<Vec<u32>>,
    /// The number of each label.
    numbers: HashMap<Vec<u32>, u32>,
    /// How many paths have each label.
    counts: Vec<u32>,
    /// Numbers of labels that no path has any more.
    unused: Vec<u32>,
    /// How many labels have a path.
    distinct: usize,
}

impl Labels {
    /// Empty labels for so many paths, 1 or more.
    fn new(paths: usize) -> Labels {
        Labels {
            of: vec![0; paths],
            sets: vec![Vec::new()],
            numbers: HashMap::from([(Vec::new(), 0)]),
            counts: vec![paths as u32],
            unused: Vec::new(),
            distinct: 1,
        }
    }

    /// Makes a path a primary; what the labels were that it changed.
    fn add_primary(&mut self, primary: u32, graph: &Graph) -> Vec<(u32, u32)> {
        let [mut above, mut below] = [(); 2].map(|()| vec![false; graph.len()]);
        reach(&graph.users, &[primary], &mut above);
        let dependencies = reach(&graph.used, &[primary], &mut below);
        let mut changes = vec![(primary, self.number(vec![primary]))];
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        for &path in &dependencies[1..] {
            let old = self.of[path as usize];
            let new = *numbers.entry(old).or_insert_with(|| {
                let mut set: Vec<u32> =
                    self.sets[old as usize].iter().copied().filter(|&other| !above[other as usize]).collect();
                if !set.iter().any(|&other| below[other as usize]) {
                    set.insert(set.partition_point(|&other| other < primary), primary);
                }
                self.number(set)
            });
            changes.push((path, new));
        }
        self.assign(&changes)
    }

    /// The number of a label, a new one if no path has it.
    fn number(&mut self, set: Vec<u32>) -> u32 {
        if let Some(&number) = self.numbers.get(&set) {
            return number;
        }
        let number = self.unused.pop().unwrap_or(self.sets.len() as u32);
        if number as usize == self.sets.len() {
            self.sets.push(Vec::new());
            self.counts.push(0);
        }
        self.sets[number as usize].clone_from(&set);
        self.numbers.insert(set, number);
        number
    }

    /// Gives paths labels by their numbers; the ones that they had.
    fn assign(&mut self, changes: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let change = |&(path, new): &(u32, u32)| {
            let old = std::mem::replace(&mut self.of[path as usize], new);
            self.counts[old as usize] -= 1;
            self.distinct -= usize::from(self.counts[old as usize] == 0);
            self.distinct += usize::from(self.counts[new as usize] == 0);
            self.counts[new as usize] += 1;
            (path, old)
        };
        changes.iter().map(change).collect()
    }

    /// Makes room where paths had labels that none has now.
    fn forget_unused(&mut self, before: &[(u32, u32)]) {
        for &(_, number) in before {
            if self.counts[number as usize] == 0 && self.numbers.remove(&self.sets[number as usize]).is_some() {
                self.unused.push(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use layerstone_closure::{Closure, PathInfo};
    use proptest::prelude::{prop_assert_eq, proptest};
    use std::collections::BTreeSet;

    fn names(closure: &Closure, limit: usize, exclude: &str) -> Vec<String> {
        let graph = Graph::new(closure).unwrap();
        let excluded: Vec<&str> = exclude.split_whitespace().collect();
        let name = |path: &u32| graph.paths[*path as usize].name();
        let free: Vec<u32> = (0..).take(graph.len()).filter(|path| !excluded.contains(&name(path))).collect();
        let layers = layers(&graph, &free, NonZeroUsize::new(limit).unwrap()).unwrap();
        layers.iter().map(|layer| layer.iter().map(name).collect::<Vec<_>>().join(" ")).collect()
    }

    #[track_caller]
    fn check(closure: &str, limit: usize, exclude: &str, expected: &[&str]) {
        assert_eq!(names(&sample::closure(closure), limit, exclude), expected, "at most {limit}");
    }

    #[test]
    fn worked_example() {
        let closure = "app 10: lib1 lib2 tool; tool 1: bash; lib1 50: glibc; lib2 60: glibc zlib; bash 30: glibc; \
            zlib 5: glibc; glibc 100:";
        check(closure, 1, "", &["app bash glibc lib1 lib2 tool zlib"]);
        check(closure, 2, "", &["glibc", "app bash lib1 lib2 tool zlib"]);
        check(closure, 3, "", &["glibc", "lib2 zlib", "app bash lib1 tool"]);
        check(closure, 4, "", &["glibc", "lib1", "lib2 zlib", "app bash tool"]);
        check(closure, 5, "", &["glibc", "bash", "lib1", "lib2 zlib", "app tool"]);
        check(closure, 6, "", &["glibc", "zlib", "bash", "lib1", "lib2", "app tool"]);
        check(closure, 7, "", &["glibc", "zlib", "bash", "tool", "lib1", "lib2", "app"]);
        check(closure, 99, "", &["glibc", "zlib", "bash", "tool", "lib1", "lib2", "app"]);
        check("", 1, "", &[]);
    }

    /// The example of FORMAT.md.
    #[test]
    fn example_of_the_format_page() {
        let closure = "app 100: lib-3 tool; libc 1000: libc; lib-3 60: libc; tool 40: lib-3";
        check(closure, 3, "", &["libc", "lib-3", "app tool"]);
    }

    #[test]
    fn what_several_need_lies_between() {
        let closure = "a 90: both own; b 80: both; own 1: ; both 2: deep; deep 3: ; c 70: deep";
        check(closure, 4, "", &["both deep", "c", "b", "a own"]);
        check(closure, 5, "", &["deep", "both", "c", "b", "a own"]);
    }

    /// `b` would make four layers (`a`, `b`, both, the rest), which ends it, though `c` alone would make three.
    #[test]
    fn a_step_too_many_ends_it() {
        let closure = "top 1: a b; a 90: x; b 80: x; c 70: ; x 5:";
        check(closure, 3, "", &["a x", "b c top"]);
        check(closure, 4, "", &["x", "b", "a", "c top"]);
    }

    #[test]
    fn excluded_paths_count() {
        let closure = "a 90: ; b 80: ; c 70: d; d 1:";
        check(closure, 3, "", &["c d", "b", "a"]);
        check(closure, 3, "a", &["c d", "b"]);
        check(closure, 3, "c", &["d", "b", "a"]);
        check(closure, 3, "c d", &["b", "a"]);
    }

    #[test]
    fn ties_are_decided_by_path_and_name() {
        check("b 7: ; a 7: ; c 7:", 2, "", &["c", "a b"]);
        check("b 7: ; a 7: ; c 7:", 3, "", &["a", "b", "c"]);
        check("b 0: ; a 0: ; c 0:", 3, "", &["a", "b", "c"]);
    }

    #[test]
    fn sizes_are_needed() {
        let closure = crate::sample::closure("b: a; a:");
        let error = layers(&Graph::new(&closure).unwrap(), &[0, 1], NonZeroUsize::MIN).unwrap_err().to_string();
        assert_eq!(error, "unknown size: /nix/store/h-a: size needs the narSize of every path");
    }

    /// The layers that nixpkgs' auto-layer.py makes of a synthetic store at 5 and at 8 layers, as sorted sets.
    #[test]
    fn golden_synth() {
        let graph: serde_json::Value = serde_json::from_str(include_str!("../golden/synth/graph.json")).unwrap();
        let closure = Closure { graph: serde_json::from_value(graph["graph"].clone()).unwrap() };
        let graph = Graph::new(&closure).unwrap();
        let all: Vec<u32> = (0..).take(graph.len()).collect();
        for (limit, line) in [5, 8].into_iter().zip(include_str!("../golden/synth/auto-layer-sets.jsonl").lines()) {
            let expected: BTreeSet<BTreeSet<&str>> = serde_json::from_str(line).unwrap();
            let layers = layers(&graph, &all, NonZeroUsize::new(limit).unwrap()).unwrap();
            let name = |path: &u32| graph.paths[*path as usize].as_str();
            assert_eq!(layers.len(), limit);
            assert_eq!(
                layers.iter().map(|l| l.iter().map(name).collect()).collect::<BTreeSet<BTreeSet<&str>>>(),
                expected
            );
        }
    }
    /// All paths below some path, by `edges`.
    fn below(path: usize, edges: &[BTreeSet<usize>]) -> BTreeSet<usize> {
        edges[path].iter().flat_map(|&next| below(next, edges).into_iter().chain([next])).collect()
    }

    /// The definition word for word: sizes and references to sets of layers.
    fn slow_layers(sizes: &[u64], used: &[BTreeSet<usize>], limit: usize) -> BTreeSet<BTreeSet<usize>> {
        let all: Vec<usize> = (0..sizes.len()).collect();
        let users: Vec<BTreeSet<usize>> =
            all.iter().map(|path| all.iter().copied().filter(|&user| used[user].contains(path)).collect()).collect();
        let mut labels = vec![BTreeSet::new(); sizes.len()];
        let mut primaries = all.clone();
        primaries.sort_by_key(|&path| Reverse((sizes[path], path)));
        for primary in primaries {
            let mut new = labels.clone();
            new[primary] = BTreeSet::from([primary]);
            let (dependencies, dependents) = (below(primary, used), below(primary, &users));
            for &path in &dependencies {
                new[path] = new[path].difference(&dependents).copied().collect();
                if new[path].is_disjoint(&dependencies) {
                    new[path].insert(primary);
                }
            }
            if new.iter().collect::<BTreeSet<_>>().len() > limit {
                break;
            }
            labels = new;
        }
        let layer = |label: &BTreeSet<usize>| all.iter().copied().filter(|&path| labels[path] == *label).collect();
        labels.iter().map(layer).collect()
    }

    proptest! {
        #[test]
        fn equal_to_the_definition(
            sizes in proptest::collection::vec(0u64..9, 1..15),
            edges in proptest::collection::vec((0usize..15, 0usize..15), 0..40),
            limit in 1usize..17
        ) {
            let mut used = vec![BTreeSet::new(); sizes.len()];
            for (a, b) in edges.into_iter().filter(|(a, b)| a != b && *a.max(b) < sizes.len()) {
                used[a.min(b)].insert(a.max(b));
            }
            let path = |path: usize| crate::sample::path(&format!("{path:02}"));
            let info = |at: usize| PathInfo {
                path: path(at),
                nar_hash: None,
                nar_size: Some(sizes[at]),
                references: used[at].iter().copied().map(path).collect(),
            };
            let closure = Closure { graph: (0..sizes.len()).map(info).collect() };
            let number = |name: &str| name.parse::<usize>().unwrap();
            let layers = names(&closure, limit, "");
            let sets = layers.iter().map(|layer| layer.split(' ').map(number).collect()).collect::<BTreeSet<_>>();
            prop_assert_eq!(sets, slow_layers(&sizes, &used, limit));
        }
    }
}
