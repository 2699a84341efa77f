//! Divides a subgraph of a closure: the value that the operations of a pipeline divide.

use crate::graph::{self, Graph};
use crate::popularity::order_by_popularity;

/// Paths, and references between them.
///
/// A vertex is called by its position here; what a path is called in the [`Graph`] is its number.
#[derive(Clone, Debug, Default)]
pub(super) struct Subgraph {
    /// The numbers of the paths, in the order in which a layer has them.
    pub paths: Vec<u32>,
    /// The positions of the vertices that each vertex refers to.
    used: Vec<Vec<u32>>,
}

impl Subgraph {
    /// Some paths of a graph with all references between them, small paths first; equal sizes stand in path order, the
    /// order in which Nix writes a graph.
    pub fn new(graph: &Graph, paths: &[u32], sizes: &[u64]) -> Subgraph {
        let mut paths = paths.to_vec();
        paths.sort_by_key(|&path| (sizes[path as usize], graph.paths[path as usize]));
        let mut position = vec![None; graph.len()];
        for (&path, at) in paths.iter().zip(0u32..) {
            position[path as usize] = Some(at);
        }
        let used = |&path: &u32| graph.used[path as usize].iter().filter_map(|&used| position[used as usize]).collect();
        Subgraph { used: paths.iter().map(used).collect(), paths }
    }

    /// How many vertices there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Which vertices some vertices refer to.
    pub fn children(&self, of: &[bool]) -> Vec<bool> {
        let mut children = vec![false; self.len()];
        for &child in positions(of).flat_map(|vertex| &self.used[vertex]) {
            children[child as usize] = true;
        }
        children
    }

    /// Which vertices no other one refers to.
    pub fn roots(&self) -> Vec<bool> {
        self.children(&vec![true; self.len()]).into_iter().map(|is_used| !is_used).collect()
    }

    /// Which vertices are some vertices, or are needed by them.
    pub fn needed_by(&self, vertices: &[bool]) -> Vec<bool> {
        reach(&self.used, vertices)
    }

    /// Which vertices are some vertices, or need them.
    pub fn that_need(&self, vertices: &[bool]) -> Vec<bool> {
        let mut users = vec![Vec::new(); self.len()];
        for (used, user) in self.used.iter().zip(0..) {
            used.iter().for_each(|&vertex| users[vertex as usize].push(user));
        }
        reach(&users, vertices)
    }

    /// The same without references to these vertices.
    pub fn without_references_to(mut self, vertices: &[bool]) -> Subgraph {
        self.used.iter_mut().for_each(|used| used.retain(|&vertex| !vertices[vertex as usize]));
        self
    }

    /// Some vertices and the references between them.
    pub fn part(&self, vertices: &[bool]) -> Subgraph {
        let mut position = vec![None; self.len()];
        for (vertex, at) in positions(vertices).zip(0u32..) {
            position[vertex] = Some(at);
        }
        let used = |vertex: usize| self.used[vertex].iter().filter_map(|&used| position[used as usize]).collect();
        Subgraph {
            paths: positions(vertices).map(|vertex| self.paths[vertex]).collect(),
            used: positions(vertices).map(used).collect(),
        }
    }

    /// Subgraphs of so many vertices each, the last one of fewer.
    pub fn chunks(&self, size: usize) -> Vec<Subgraph> {
        let chunk = |start: usize| {
            let range = start..start.saturating_add(size).min(self.len());
            let position = |&used: &u32| range.contains(&(used as usize)).then(|| used - start as u32);
            Subgraph {
                paths: self.paths[range.clone()].to_vec(),
                used: self.used[range.clone()].iter().map(|used| used.iter().filter_map(position).collect()).collect(),
            }
        };
        (0..self.len()).step_by(size).map(chunk).collect()
    }

    /// The vertices one by one, most popular first; whatever refers to them from outside does not count.
    pub fn by_popularity(&self, graph: &Graph) -> Vec<Subgraph> {
        // In the order of their numbers, users come first.
        let mut order: Vec<u32> = (0..).take(self.len()).collect();
        order.sort_by_key(|&vertex| self.paths[vertex as usize]);
        let mut position = vec![0; self.len()];
        for (&vertex, at) in order.iter().zip(0u32..) {
            position[vertex as usize] = at;
        }
        let mut users = vec![Vec::new(); self.len()];
        for (&vertex, user) in order.iter().zip(0..) {
            for &used in &self.used[vertex as usize] {
                users[position[used as usize] as usize].push(user);
            }
        }
        let number = |at: u32| self.paths[order[at as usize] as usize];
        let paths: Vec<_> = (0..).take(self.len()).map(|at| graph.paths[number(at) as usize]).collect();
        let single = |at: u32| Subgraph { paths: vec![number(at)], used: vec![Vec::new()] };
        order_by_popularity(&paths, &users).into_iter().map(single).collect()
    }

    /// Subgraphs side by side, without references between them.
    pub fn side_by_side(graphs: impl IntoIterator<Item = Subgraph>) -> Subgraph {
        let mut all = Subgraph::default();
        for graph in graphs {
            let shift = all.len() as u32;
            all.paths.extend(graph.paths);
            all.used.extend(graph.used.into_iter().map(|used| used.into_iter().map(|at| at + shift).collect()));
        }
        all
    }
}

/// The positions that are marked.
fn positions(marks: &[bool]) -> impl Iterator<Item = usize> {
    marks.iter().enumerate().filter(|(_, is_marked)| **is_marked).map(|(position, _)| position)
}

/// Everything that is marked or that edges lead to from there.
fn reach(edges: &[Vec<u32>], from: &[bool]) -> Vec<bool> {
    let mut reached = vec![false; from.len()];
    graph::reach(edges, &positions(from).map(|vertex| vertex as u32).collect::<Vec<_>>(), &mut reached);
    reached
}
