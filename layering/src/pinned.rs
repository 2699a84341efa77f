//! Chooses the paths of pinned layers: those that a user's patterns match, and nothing else.

use crate::graph::Graph;
use crate::order::by_name;
use crate::{Error, Pattern, Patterns, Result};

/// The layers asked for, each in the order of names, and the paths that are left for others. A path that several choose
/// goes to the first of them.
///
/// # Errors
///
/// A pattern chooses none of the paths, or all that a layer's patterns choose lies in layers before it: an empty layer
/// would silently hold nothing of what was asked for.
pub(crate) fn choose(graph: &Graph, free: Vec<u32>, wanted: &[Patterns]) -> Result<(Vec<Vec<u32>>, Vec<u32>)> {
    let is_useless = |pattern: &&Pattern| !free.iter().any(|&path| pattern.matches(graph.paths[path as usize]));
    if let Some(pattern) = wanted.iter().flat_map(Patterns::iter).find(is_useless) {
        return Err(Error::UselessPattern { pattern: pattern.to_string() });
    }
    let mut left = free;
    let mut layers = Vec::with_capacity(wanted.len());
    for patterns in wanted {
        let chosen = |path: &u32| patterns.matches(graph.paths[*path as usize]);
        let (layer, others): (Vec<u32>, Vec<u32>) = left.into_iter().partition(chosen);
        if layer.is_empty() {
            return Err(Error::EmptyLayer { patterns: patterns.to_string() });
        }
        layers.push(by_name(graph, &layer));
        left = others;
    }
    Ok((layers, left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::closure;

    fn layers(wanted: &[&str]) -> Result<(Vec<Vec<u32>>, Vec<u32>), String> {
        let closure = closure("app-1: lib-2 zlib; app-data:; lib-2:; zlib:");
        let graph = Graph::new(&closure).unwrap();
        let wanted: Vec<Patterns> = wanted.iter().map(|text| text.parse().unwrap()).collect();
        choose(&graph, vec![0, 1, 2, 3], &wanted).map_err(|e| e.to_string())
    }

    #[test]
    fn the_first_that_chooses_a_path_has_it() {
        assert_eq!(layers(&[]), Ok((vec![], vec![0, 1, 2, 3])));
        assert_eq!(layers(&["zlib,app"]), Ok((vec![vec![0, 3]], vec![1, 2])));
        assert_eq!(layers(&["lib", "*"]), Ok((vec![vec![2], vec![0, 1, 3]], vec![])));
    }

    #[test]
    fn what_chooses_nothing() {
        let error = layers(&["zlib,libz"]).unwrap_err();
        assert_eq!(error, "useless pattern: libz: it matches no path that needs a layer");
        let error = layers(&["*", "zlib,lib"]).unwrap_err();
        assert_eq!(error, "empty layer: zlib,lib: all that it matches is in layers asked for before");
    }
}
