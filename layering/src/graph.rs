//! Numbers the paths of a closure, users before what they use: one pass from front to back sees every user of a path
//! before the path itself.
//!
//! Self references are dropped and repeated references count once.
//! What the numbers are depends on nothing but the set of paths and their references.

use crate::layer::Layer;
use crate::{Error, Plan, Result};
use layerstone_closure::{Closure, PathInfo};
use layerstone_store::StorePath;
use std::collections::HashMap;
use std::mem;

/// The paths of a closure in an order in which users come before what they use.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    /// The paths.
    pub paths: Vec<&'a StorePath>,
    /// For each path the distinct other paths that refer to it; their numbers are smaller than its own.
    pub users: Vec<Vec<u32>>,
    /// For each path the distinct other paths that it refers to; their numbers are larger than its own.
    pub used: Vec<Vec<u32>>,
    /// For each path the size of its NAR in bytes, where the closure has it.
    sizes: Vec<Option<u64>>,
}

impl<'a> Graph<'a> {
    /// Checks that the closure is one, and numbers its paths.
    pub fn new(closure: &'a Closure) -> Result<Graph<'a>> {
        let mut infos: Vec<&PathInfo> = closure.graph.iter().collect();
        infos.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(pair) = infos.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(not_closure(pair[0], "found twice".to_owned()));
        }
        let used = used_by_each(&infos)?;
        let order = users_first(&used).map_err(|at| cycle(&infos, &used, &at))?;
        let mut number = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            number[old as usize] = new as u32;
        }
        let renumbered = |&old: &u32| {
            let mut targets: Vec<u32> = used[old as usize].iter().map(|&target| number[target as usize]).collect();
            targets.sort_unstable();
            targets
        };
        let used: Vec<Vec<u32>> = order.iter().map(renumbered).collect();
        let mut users = vec![Vec::new(); order.len()];
        for (new, targets) in used.iter().enumerate() {
            for &target in targets {
                users[target as usize].push(new as u32);
            }
        }
        let in_order = || order.iter().map(|&old| infos[old as usize]);
        Ok(Graph {
            paths: in_order().map(|info| &info.path).collect(),
            users,
            used,
            sizes: in_order().map(|info| info.nar_size).collect(),
        })
    }

    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// The plan of these layers.
    pub fn plan(&self, layers: Vec<Layer>) -> Plan {
        let path = |number: u32| self.paths[number as usize].clone();
        Plan::new(layers.into_iter().map(|layer| layer.paths.into_iter().map(path).collect()).collect())
    }

    /// The size of each path's NAR in bytes, for `purpose`.
    ///
    /// # Errors
    ///
    /// The closure lacks the size of a path; the first in path order is named. Or they add up to more than 64
    /// bits hold, so that no sum of some of them could be trusted.
    pub fn sizes(&self, purpose: &'static str) -> Result<Vec<u64>> {
        let missing = self.paths.iter().zip(&self.sizes).filter(|(_, size)| size.is_none()).map(|(path, _)| *path);
        match missing.min() {
            Some(path) => Err(Error::NoSize { path: path.clone(), purpose }),
            None => {
                let sizes: Vec<u64> = self.sizes.iter().flatten().copied().collect();
                let total = sizes.iter().try_fold(0u64, |sum, &size| sum.checked_add(size));
                total.map(|_| sizes).ok_or(Error::TooLarge)
            }
        }
    }
}

/// Some paths, then everything that they lead to; `seen` marks all of them.
pub(crate) fn reach(edges: &[Vec<u32>], from: &[u32], seen: &mut [bool]) -> Vec<u32> {
    from.iter().for_each(|&path| seen[path as usize] = true);
    let mut order = from.to_vec();
    let mut done = 0;
    while let Some(&path) = order.get(done) {
        done += 1;
        order.extend(edges[path as usize].iter().filter(|&&next| !mem::replace(&mut seen[next as usize], true)));
    }
    order
}

/// For each path the distinct other paths that it refers to, as indices, sorted.
fn used_by_each(infos: &[&PathInfo]) -> Result<Vec<Vec<u32>>> {
    let index: HashMap<&StorePath, u32> = infos.iter().map(|info| &info.path).zip(0..).collect();
    let mut all = Vec::with_capacity(infos.len());
    for (info, own) in infos.iter().zip(0..) {
        let mut used = Vec::with_capacity(info.references.len());
        for reference in &info.references {
            match index.get(reference) {
                Some(&target) => used.push(target),
                None => return Err(not_closure(info, format!("refers to {reference}, which is absent"))),
            }
        }
        used.sort_unstable();
        used.dedup();
        used.retain(|&target| target != own);
        all.push(used);
    }
    Ok(all)
}

/// The indices, users before what they use; if circles make that impossible, which indices could not be placed.
fn users_first(used: &[Vec<u32>]) -> Result<Vec<u32>, Vec<bool>> {
    let mut waiting = vec![0u32; used.len()];
    for &target in used.iter().flatten() {
        waiting[target as usize] += 1;
    }
    let mut order: Vec<u32> = (0..).zip(&waiting).filter(|&(_, &users)| users == 0).map(|(i, _)| i).collect();
    let mut done = 0;
    while let Some(&at) = order.get(done) {
        done += 1;
        for &target in &used[at as usize] {
            waiting[target as usize] -= 1;
            if waiting[target as usize] == 0 {
                order.push(target);
            }
        }
    }
    if order.len() == used.len() { Ok(order) } else { Err(waiting.iter().map(|&users| users > 0).collect()) }
}

/// The error for a closure with a circle. Whoever could not be placed has a user who could not be either, so that
/// going from user to user ends on a circle.
fn cycle(infos: &[&PathInfo], used: &[Vec<u32>], unplaced: &[bool]) -> Error {
    let mut user = vec![None; used.len()];
    for (at, targets) in used.iter().enumerate().filter(|&(at, _)| unplaced[at]) {
        for &target in targets {
            user[target as usize].get_or_insert(at);
        }
    }
    let user = |at: usize| user[at].expect("who is not placed has a user who is not placed");
    let mut at = unplaced.iter().position(|&yes| yes).expect("called only when some are not placed");
    for _ in 0..used.len() {
        at = user(at);
    }
    let (start, mut first) = (at, at);
    while user(at) != start {
        at = user(at);
        first = first.min(at);
    }
    not_closure(infos[first], format!("refers to itself by way of {}", infos[user(first)].path))
}

fn not_closure(info: &PathInfo, cause: String) -> Error {
    Error::NotClosure { path: info.path.clone(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{closure, path};

    #[track_caller]
    fn check(edges: &str, expected: Result<&[&str], Error>) {
        let closure = closure(edges);
        let names = Graph::new(&closure).map(|g| g.paths.iter().map(|p| p.name().to_owned()).collect::<Vec<_>>());
        assert_eq!(names, expected.map(|names| names.iter().map(|name| name.to_string()).collect()));
    }

    #[test]
    fn users_come_first() {
        check("", Ok(&[]));
        check("c: d c; a: b a; b: b c c; d:", Ok(&["a", "b", "c", "d"]));
        check("z: a; b: a; a:", Ok(&["b", "z", "a"]));
    }

    #[test]
    fn users_are_distinct_others() {
        let closure = closure("a: b b a; c: b; b: b");
        assert_eq!(Graph::new(&closure).unwrap().users, [vec![], vec![], vec![0, 1]]);
    }

    #[test]
    fn what_is_no_closure() {
        let wrong = |name, cause: String| Err(Error::NotClosure { path: path(name), cause });
        let cycle = |name, via| wrong(name, format!("refers to itself by way of {}", path(via)));
        check("a: b; a: b; b:", wrong("a", "found twice".to_owned()));
        check("a: b; b: x", wrong("b", format!("refers to {}, which is absent", path("x"))));
        check("a: b; b: a", cycle("a", "b"));
        check("a: e; e: d; d: f; f: e g; g:", cycle("d", "e"));
        check("a: b; b: c; c: b; d: e; e: d", cycle("b", "c"));
    }

    #[test]
    fn cycles_are_named() {
        let closure = closure("a: b; b: a");
        assert_eq!(
            Graph::new(&closure).unwrap_err().to_string(),
            format!("not a closure: {}: refers to itself by way of {}", path("a"), path("b"))
        );
    }
}
