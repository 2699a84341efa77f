//! Finds why a path is in a closure: the chains of references that lead to it, shortest first.
//!
//! There may be exponentially many chains, so they are counted first and then made one by one. For each length a walk
//! from the roots takes only those references from which the target can be reached in as many steps as are left;
//! where it fails all the same, that is remembered.

use crate::{Closure, Error, PathInfo, Result};
use layerstone_store::StorePath;
use std::collections::{HashMap, HashSet};

/// The chains of references from some roots to a path: an iterator over them, by length, then by the names and hashes
/// on the route. Each begins with a root and ends with the path, which may be the same.
#[derive(Clone, Debug)]
pub struct Chains<'a> {
    /// The closure's paths by name, then by path: their positions here stand for them below.
    paths: Vec<&'a StorePath>,
    /// For each path what it refers to on the route to the target. Behind the last path, a start that refers to the
    /// roots.
    next: Vec<Vec<usize>>,
    /// How many steps away the target is; none where no reference leads to it.
    routes: Vec<Option<Routes>>,
    /// Steps from the start to the target in the chains that are being made.
    length: usize,
    /// Where the walk is: from the start on.
    walk: Vec<Step>,
    /// Positions from which the target is not to be reached in just so many steps.
    dead: HashSet<(usize, usize)>,
}

/// The routes from a path to the target.
#[derive(Clone, Copy, Debug)]
struct Routes {
    shortest: usize,
    longest: usize,
    /// Number of routes, at most [`u64::MAX`].
    count: u64,
}

impl Routes {
    /// From the target itself.
    const HERE: Routes = Routes { shortest: 0, longest: 0, count: 1 };

    fn one_step_more(self) -> Routes {
        Routes { shortest: self.shortest + 1, longest: self.longest + 1, ..self }
    }

    fn or(self, other: Routes) -> Routes {
        Routes {
            shortest: self.shortest.min(other.shortest),
            longest: self.longest.max(other.longest),
            count: self.count.saturating_add(other.count),
        }
    }
}

/// A path on the walk.
#[derive(Clone, Debug)]
struct Step {
    position: usize,
    /// How many of its references have been tried.
    tried: usize,
    /// Whether one of them led to the target.
    found: bool,
}

/// The chains from the roots to a path; without roots, from the paths that no other path refers to.
///
/// # Errors
///
/// The path, or a root, is not in the closure.
pub fn chains<'a>(closure: &'a Closure, roots: &[StorePath], path: &StorePath) -> Result<Chains<'a>> {
    let mut infos: Vec<&PathInfo> = closure.graph.iter().collect();
    infos.sort_unstable_by(|a, b| a.path.name().cmp(b.path.name()).then_with(|| a.path.cmp(&b.path)));
    let positions: HashMap<&StorePath, usize> = infos.iter().enumerate().map(|(n, info)| (&info.path, n)).collect();
    let find = |path: &StorePath| positions.get(path).copied().ok_or_else(|| Error::NotThere { path: path.clone() });
    let target = find(path)?;
    let roots: Vec<usize> = roots.iter().map(find).collect::<Result<_>>()?;
    let others = |info: &PathInfo| {
        let others = info.references.iter().filter(|path| **path != info.path);
        in_order(others.filter_map(|path| positions.get(path).copied()).collect())
    };
    let mut next: Vec<Vec<usize>> = infos.iter().map(|info| others(info)).collect();
    next.push(if roots.is_empty() { unused(&next) } else { in_order(roots) });
    let routes = routes(&next, target);
    next.iter_mut().for_each(|next| next.retain(|&position| routes[position].is_some()));
    // The walk begins with the next length.
    let length = routes[infos.len()].map_or(0, |routes| routes.shortest - 1);
    let paths = infos.into_iter().map(|info| &info.path).collect();
    Ok(Chains { paths, next, routes, length, walk: Vec::new(), dead: HashSet::new() })
}

impl Chains<'_> {
    /// How many chains there are; [`u64::MAX`] stands for so many or more.
    pub fn total(&self) -> u64 {
        self.routes[self.start()].map_or(0, |routes| routes.count)
    }

    fn start(&self) -> usize {
        self.paths.len()
    }

    /// Goes on to the next end of a chain of the present length.
    fn advance(&mut self) -> bool {
        while let Some(last) = self.walk.len().checked_sub(1) {
            // The steps that are left; none at the target, from which no reference leads back to it.
            let left = self.length - last;
            let step = &mut self.walk[last];
            let Some(&position) = self.next[step.position].get(step.tried) else {
                self.step_back(left);
                continue;
            };
            step.tried += 1;
            if self.leads(position, left - 1) {
                self.walk.push(Step { position, tried: 0, found: left == 1 });
                if left == 1 {
                    return true;
                }
            }
        }
        false
    }

    /// Whether the target may be so many steps away.
    fn leads(&self, position: usize, left: usize) -> bool {
        let possible = |routes: Routes| (routes.shortest..=routes.longest).contains(&left);
        self.routes[position].is_some_and(possible) && !self.dead.contains(&(position, left))
    }

    /// Leaves a path when all of its references have been tried.
    fn step_back(&mut self, left: usize) {
        let Some(step) = self.walk.pop() else { return };
        if !step.found {
            self.dead.insert((step.position, left));
        } else if let Some(before) = self.walk.last_mut() {
            before.found = true;
        }
    }
}

impl<'a> Iterator for Chains<'a> {
    type Item = Vec<&'a StorePath>;

    fn next(&mut self) -> Option<Vec<&'a StorePath>> {
        let longest = self.routes[self.start()]?.longest;
        while !self.advance() {
            self.length += 1;
            if self.length > longest {
                return None;
            }
            self.walk.push(Step { position: self.start(), tried: 0, found: false });
        }
        Some(self.walk[1..].iter().map(|step| self.paths[step.position]).collect())
    }
}

fn in_order(mut positions: Vec<usize>) -> Vec<usize> {
    positions.sort_unstable();
    positions.dedup();
    positions
}

/// What nothing refers to.
fn unused(next: &[Vec<usize>]) -> Vec<usize> {
    let mut used = vec![false; next.len()];
    next.iter().flatten().for_each(|&position| used[position] = true);
    (0..next.len()).filter(|&position| !used[position]).collect()
}

/// The routes to the target from all that the last position leads to, found on a walk that leaves a position after all that it
/// leads to itself.
fn routes(next: &[Vec<usize>], target: usize) -> Vec<Option<Routes>> {
    let mut routes = vec![None; next.len()];
    let mut seen = vec![false; next.len()];
    let mut walk = vec![(next.len() - 1, 0)];
    while let Some((position, tried)) = walk.last_mut() {
        let position = *position;
        match next[position].get(*tried) {
            Some(&other) => {
                *tried += 1;
                if !std::mem::replace(&mut seen[other], true) {
                    walk.push((other, 0));
                }
            }
            None => {
                let onwards = next[position].iter().filter_map(|&other| routes[other]).map(Routes::one_step_more);
                routes[position] = if position == target { Some(Routes::HERE) } else { onwards.reduce(Routes::or) };
                walk.pop();
            }
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A path with a name; the digit that its hash part repeats decides the order of paths.
    fn path(digit: char, name: &str) -> StorePath {
        StorePath::parse(&format!("/s/{}-{name}", digit.to_string().repeat(32))).unwrap()
    }

    /// A closure of entries such as `a: b c`, where each name has one path.
    fn closure(lines: &[&str]) -> Closure {
        let digits = "9876543210zyxwvsrqpnmlkjihgfdcba";
        let names: Vec<&str> = lines.iter().map(|line| line.split(':').next().unwrap()).collect();
        let named = |name: &str| {
            let digit = names.iter().position(|other| *other == name).and_then(|n| digits.chars().nth(n));
            path(digit.unwrap(), name)
        };
        let info = |line: &&str| PathInfo {
            path: named(line.split(':').next().unwrap()),
            nar_hash: None,
            nar_size: None,
            references: line.split(':').nth(1).unwrap().split_whitespace().map(named).collect(),
        };
        crate::ReferencesGraph::new("test", lines.iter().map(info).collect()).unwrap().closure(&[]).unwrap()
    }

    fn named<'a>(closure: &'a Closure, name: &str) -> &'a StorePath {
        &closure.graph.iter().find(|info| info.path.name() == name).unwrap().path
    }

    /// The chains as words of names.
    #[track_caller]
    fn check(closure: &Closure, roots: &[&str], target: &str, expected: &[&str]) {
        let roots: Vec<StorePath> = roots.iter().map(|root| named(closure, root).clone()).collect();
        let found = chains(closure, &roots, named(closure, target)).unwrap();
        assert_eq!(found.total(), expected.len() as u64);
        let words = |chain: Vec<&StorePath>| chain.iter().map(|path| path.name()).collect::<Vec<_>>().join(" ");
        assert_eq!(found.map(words).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn shortest_first_then_by_name() {
        let graph = closure(&[
            "web: ssl curl libc",
            "tool: zlib",
            "curl: ssl zlib libc",
            "ssl: libc ssl",
            "zlib: libc",
            "libc:",
        ]);
        check(
            &graph,
            &[],
            "libc",
            &["web libc", "tool zlib libc", "web curl libc", "web ssl libc", "web curl ssl libc", "web curl zlib libc"],
        );
        check(&graph, &[], "zlib", &["tool zlib", "web curl zlib"]);
        check(&graph, &["tool"], "libc", &["tool zlib libc"]);
        check(&graph, &["ssl", "curl", "ssl"], "ssl", &["ssl", "curl ssl"]);
        check(&graph, &[], "tool", &["tool"]);
        check(&graph, &["tool"], "curl", &[]);
        check(&graph, &["libc"], "web", &[]);
    }

    /// From `b` the target is 1 or 3 steps away, so that with 2 steps left from there the walk fails.
    #[test]
    fn lengths_with_gaps() {
        let graph = closure(&["a: b c", "b: x t", "x: y", "y: t", "c: d", "d: e", "e: t", "t:"]);
        check(&graph, &[], "t", &["a b t", "a b x y t", "a c d e t"]);
        let graph = closure(&["a: b", "b: x t", "x: y", "y: t", "t:"]);
        check(&graph, &[], "t", &["a b t", "a b x y t"]);
    }

    #[test]
    fn paths_that_are_not_there() {
        let graph = closure(&["a: b", "b:"]);
        let other = path('0', "c");
        for error in [
            chains(&graph, &[], &other).unwrap_err(),
            chains(&graph, std::slice::from_ref(&other), named(&graph, "b")).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), format!("not in the closure: {other}"));
        }
    }

    /// Layers of two paths, each of which refers to both of the next.
    fn ladder(layers: usize) -> Closure {
        let at = |layer: usize, side: usize| StorePath::parse(&format!("/s/{layer:06}-{side}")).unwrap();
        let info = |n: usize| PathInfo {
            path: at(n / 2, n % 2),
            nar_hash: None,
            nar_size: None,
            references: if n / 2 + 1 < layers { vec![at(n / 2 + 1, 0), at(n / 2 + 1, 1)] } else { vec![] },
        };
        Closure { graph: (0..2 * layers).map(info).collect() }
    }

    #[test]
    fn exponentially_many() {
        for (layers, total) in [(11, 1 << 10), (64, 1 << 63), (65, u64::MAX), (500, u64::MAX)] {
            let graph = ladder(layers);
            let target = &graph.graph.last().unwrap().path;
            let mut chains = chains(&graph, &[], target).unwrap();
            assert_eq!(chains.total(), total, "{layers}");
            assert_eq!(chains.next().unwrap().len(), layers);
            assert_eq!(chains.take(99).count(), 99);
        }
    }

    #[test]
    fn long_chains() {
        const LENGTH: usize = 100_000;
        let at = |n: usize| StorePath::parse(&format!("/s/{n:06}")).unwrap();
        let info = |n: usize| PathInfo {
            path: at(n),
            nar_hash: None,
            nar_size: None,
            references: if n + 1 < LENGTH { vec![at(n + 1)] } else { vec![] },
        };
        let graph = Closure { graph: (0..LENGTH).map(info).collect() };
        let found: Vec<_> = chains(&graph, &[], &at(LENGTH - 1)).unwrap().map(|chain| chain.len()).collect();
        assert_eq!(found, [LENGTH]);
    }

    /// All chains, found by trying everything.
    fn all<'a>(closure: &'a Closure, chain: &[&'a StorePath], target: &StorePath, found: &mut Vec<Vec<&'a StorePath>>) {
        let last = chain[chain.len() - 1];
        if last == target {
            found.push(chain.to_vec());
            return;
        }
        for path in closure.graph.iter().filter(|info| info.path == *last).flat_map(|info| &info.references) {
            if path != last {
                all(closure, &[chain, &[path]].concat(), target, found);
            }
        }
    }

    proptest! {
        #[test]
        fn same_as_trying_everything(
            rows in proptest::collection::vec(proptest::collection::vec(any::<proptest::sample::Index>(), 0..4), 1..12),
            target: proptest::sample::Index,
        ) {
            let at = |n: usize| path("0123456789ab".chars().nth(n).unwrap(), &format!("{}", n % 3));
            let info = |(n, row): (usize, &Vec<proptest::sample::Index>)| PathInfo {
                path: at(n), nar_hash: None, nar_size: None, references: row.iter().map(|index| at(index.index(n + 1))).collect(),
            };
            let graph = crate::ReferencesGraph::new("g", rows.iter().enumerate().map(info).collect()).unwrap().closure(&[]).unwrap();
            let target = at(target.index(rows.len()));
            let mut expected = Vec::new();
            let roots = graph.roots();
            roots.iter().for_each(|root| all(&graph, &[root], &target, &mut expected));
            expected.sort_by_key(|chain| (chain.len(), chain.iter().map(|path| (path.name(), *path)).collect::<Vec<_>>()));
            let chains = chains(&graph, &[], &target).unwrap();
            prop_assert_eq!(chains.total(), expected.len() as u64);
            prop_assert_eq!(chains.collect::<Vec<_>>(), expected);
        }
    }
}
