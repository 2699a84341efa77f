//! Checks that a references graph is a closure, and keeps what its roots reach.
//!
//! Everything is done on positions in the sorted entries, with stacks of our own instead of recursion: a chain of
//! references may be as long as the graph.

use crate::{Closure, Error, PathInfo, ReferencesGraph, Result};
use layerstone_store::StorePath;
use std::collections::{BTreeSet, HashMap};

impl ReferencesGraph {
    /// The closure of some roots, or of everything if there are none.
    ///
    /// # Errors
    ///
    /// A root is absent; or anywhere in the graph, within reach or not, a reference is absent or paths form a cycle.
    pub fn closure(self, roots: &[StorePath]) -> Result<Closure> {
        let ReferencesGraph { name, mut entries } = self;
        let positions: HashMap<&StorePath, usize> =
            entries.iter().enumerate().map(|(n, entry)| (&entry.path, n)).collect();
        let references = references(&name, &entries, &positions)?;
        if let Some(cycle) = cycle(&references) {
            let chain = cycle.into_iter().map(|n| entries[n].path.clone()).collect();
            return Err(Error::Cycle { name, chain });
        }
        if !roots.is_empty() {
            let absent =
                |root: &StorePath| Error::Path { what: "root absent from", name: name.clone(), path: root.clone() };
            let start = |root| positions.get(root).copied().ok_or_else(|| absent(root));
            let starts = roots.iter().map(start).collect::<Result<_>>()?;
            let mut reached = reached(&references, starts).into_iter();
            entries.retain(|_| reached.next().expect("one answer an entry"));
        }
        Ok(Closure { graph: entries })
    }
}

impl Closure {
    /// The closure without some paths and without what only they bring in: the paths are cut out with all references to
    /// them, and what the roots still reach is left. Without roots, they are those of [`Closure::roots`] before the
    /// cut. A root that is cut out is none any more.
    ///
    /// # Errors
    ///
    /// An excluded path is not in the closure.
    pub fn without(mut self, excluded: &BTreeSet<StorePath>, roots: &[StorePath]) -> Result<Closure> {
        if let Some(path) = excluded.iter().find(|path| self.position(path).is_none()) {
            return Err(Error::NotExcluded { path: path.clone() });
        }
        let mut roots = if roots.is_empty() { self.roots() } else { roots.to_vec() };
        roots.retain(|path| !excluded.contains(path));
        self.graph.retain(|info| !excluded.contains(&info.path));
        for info in &mut self.graph {
            info.references.retain(|path| !excluded.contains(path));
        }
        if roots.is_empty() {
            return Ok(Closure::default());
        }
        ReferencesGraph { name: "the closure".to_owned(), entries: self.graph }.closure(&roots)
    }
}

/// For each entry the positions of what it refers to, itself left out.
fn references(name: &str, entries: &[PathInfo], positions: &HashMap<&StorePath, usize>) -> Result<Vec<Vec<usize>>> {
    let absent = |entry: &PathInfo, reference: &StorePath| Error::Absent {
        name: name.to_owned(),
        referrer: entry.path.clone(),
        reference: reference.clone(),
    };
    let targets = |entry: &PathInfo| {
        let others = entry.references.iter().filter(|reference| **reference != entry.path);
        others.map(|reference| positions.get(reference).copied().ok_or_else(|| absent(entry, reference))).collect()
    };
    entries.iter().map(targets).collect()
}

/// How far the search for cycles is with an entry.
#[derive(Clone, Copy, PartialEq)]
enum Visit {
    /// Not seen yet.
    New,
    /// In the chain that is being followed.
    Open,
    /// In no cycle.
    Done,
}

/// A cycle, if there is one, its smallest position first and again at its end.
fn cycle(references: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut visits = vec![Visit::New; references.len()];
    let mut chain = Vec::new();
    for start in 0..references.len() {
        if visits[start] == Visit::New {
            visits[start] = Visit::Open;
            chain.push((start, references[start].iter()));
        }
        while let Some((node, rest)) = chain.last_mut() {
            match rest.next() {
                None => {
                    visits[*node] = Visit::Done;
                    chain.pop();
                }
                Some(&next) if visits[next] == Visit::New => {
                    visits[next] = Visit::Open;
                    chain.push((next, references[next].iter()));
                }
                Some(&next) if visits[next] == Visit::Open => {
                    return Some(ring(chain.iter().map(|(node, _)| *node).skip_while(|node| *node != next).collect()));
                }
                Some(_) => {}
            }
        }
    }
    None
}

/// The nodes of a cycle, turned so that the smallest stands first, and closed.
fn ring(mut nodes: Vec<usize>) -> Vec<usize> {
    let smallest = nodes.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(n, _)| n);
    nodes.rotate_left(smallest);
    nodes.extend(nodes.first().copied());
    nodes
}

/// For each entry whether one of the starts leads to it.
fn reached(references: &[Vec<usize>], mut waiting: Vec<usize>) -> Vec<bool> {
    let mut reached = vec![false; references.len()];
    while let Some(node) = waiting.pop() {
        if !std::mem::replace(&mut reached[node], true) {
            waiting.extend(&references[node]);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReferencesGraph;
    use proptest::prelude::*;

    fn path(n: usize) -> StorePath {
        StorePath::parse(&format!("/s/{n:06}")).unwrap()
    }

    /// Entry n refers to the paths of `references[n]`.
    fn entries(references: &[Vec<usize>]) -> Vec<PathInfo> {
        let info = |(n, references): (usize, &Vec<usize>)| PathInfo {
            path: path(n),
            nar_hash: None,
            nar_size: None,
            references: references.iter().copied().map(path).collect(),
        };
        references.iter().enumerate().map(info).collect()
    }

    fn reach(references: &[Vec<usize>], roots: &[usize]) -> Result<Vec<StorePath>> {
        let roots: Vec<StorePath> = roots.iter().copied().map(path).collect();
        let closure = ReferencesGraph::new("g", entries(references))?.closure(&roots)?;
        Ok(closure.graph.into_iter().map(|info| info.path).collect())
    }

    #[track_caller]
    fn check_error(references: &[Vec<usize>], roots: &[usize], expected: &str) {
        assert_eq!(reach(references, roots).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_roots_reach() {
        // 0 -> 1, 2; 1 -> 3; 2 -> 2; 4 -> 3
        let graph = [vec![1, 2], vec![3], vec![2], vec![], vec![3]];
        assert_eq!(reach(&graph, &[0]).unwrap(), [0, 1, 2, 3].map(path));
        assert_eq!(reach(&graph, &[4, 1, 4]).unwrap(), [1, 3, 4].map(path));
        assert_eq!(reach(&graph, &[]).unwrap().len(), 5);
        assert_eq!(reach(&[], &[]).unwrap(), []);
    }

    #[test]
    fn what_is_no_closure() {
        check_error(
            &[vec![], vec![7]],
            &[],
            "reference absent from the references graph: g: /s/000001 refers to /s/000007",
        );
        check_error(&[vec![]], &[3], "root absent from the references graph: g: /s/000003");
        check_error(&[vec![2], vec![2], vec![1]], &[], "cycle of references: g: /s/000001 -> /s/000002 -> /s/000001");
        // 0 leads into the ring in its middle; and the ring is out of the root's reach.
        check_error(
            &[vec![3], vec![2], vec![3], vec![4, 3], vec![1], vec![]],
            &[5],
            "cycle of references: g: /s/000001 -> /s/000002 -> /s/000003 -> /s/000004 -> /s/000001",
        );
    }

    #[test]
    fn long_chains_and_rings() {
        const LENGTH: usize = 100_000;
        let mut chain: Vec<Vec<usize>> = (1..=LENGTH).map(|n| vec![n]).collect();
        chain.push(vec![]);
        assert_eq!(reach(&chain, &[0]).unwrap().len(), LENGTH + 1);
        chain[LENGTH].push(0);
        match reach(&chain, &[0]).unwrap_err() {
            Error::Cycle { chain, .. } => assert_eq!(chain.len(), LENGTH + 2),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn many_references() {
        let references: Vec<Vec<usize>> = (0..100_000).map(|n| (1..=10).map(|k| n / (k + 1)).collect()).collect();
        assert_eq!(reach(&references, &[]).unwrap().len(), 100_000);
    }

    /// A graph without cycles but self references, in some order, with repetitions.
    fn graphs() -> impl Strategy<Value = (Vec<PathInfo>, Vec<PathInfo>)> {
        let row = proptest::collection::vec(any::<proptest::sample::Index>(), 0..5);
        proptest::collection::vec(row, 1..40).prop_flat_map(|rows| {
            let references: Vec<Vec<usize>> =
                rows.iter().enumerate().map(|(n, row)| row.iter().map(|index| index.index(n + 1)).collect()).collect();
            let entries = entries(&references);
            let mut reversed = entries.clone();
            reversed.iter_mut().for_each(|info| info.references.reverse());
            (Just(entries), Just(reversed).prop_shuffle())
        })
    }

    proptest! {
        #[test]
        fn input_order_does_not_matter((ordered, shuffled) in graphs(), root: proptest::sample::Index) {
            let roots = [path(root.index(ordered.len()))];
            for roots in [&roots[..], &[]] {
                let one = ReferencesGraph::new("g", ordered.clone()).unwrap().closure(roots).unwrap();
                let other = ReferencesGraph::new("g", shuffled.clone()).unwrap().closure(roots).unwrap();
                prop_assert_eq!(&one, &other);
                let paths: Vec<_> = one.graph.iter().map(|info| &info.path).collect();
                prop_assert!(paths.is_sorted());
                prop_assert!(one.graph.iter().flat_map(|info| &info.references).all(|path| paths.contains(&path)));
            }
        }
    }
}
