//! The orders of paths and layers where nothing else decides: by name, and by hash only between paths of one name, so
//! that the same packages stand at the same places after an update.

use crate::churn::Churn;
use crate::graph::Graph;
use crate::layer::Layer;
use layerstone_stage::StorePath;

/// The paths by name; those of one name by path.
pub(crate) fn by_name(graph: &Graph, paths: &[u32]) -> Vec<u32> {
    let mut sorted = paths.to_vec();
    sorted.sort_by_key(|&path| key(graph, path));
    sorted
}

/// The layers in the order of `least-churn`: what is sent again least often lies at the bottom, so that a daemon which
/// unpacks layer on layer has least to unpack again. Layers of one rate stand by the names of their first paths, paths
/// of a layer by name.
pub(crate) fn by_rate(graph: &Graph, churn: &Churn, mut layers: Vec<Layer>) -> Vec<Layer> {
    for layer in &mut layers {
        layer.paths = by_name(graph, &layer.paths);
    }
    layers.sort_by_cached_key(|layer| {
        let first = layer.paths.first().map(|&path| key(graph, path));
        (churn.rate(&churn.union(&layer.paths)), first)
    });
    layers
}

fn key<'a>(graph: &Graph<'a>, path: u32) -> (&'a str, &'a StorePath) {
    let path = graph.paths[path as usize];
    (path.name(), path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rates;
    use crate::sample::sized_closure;

    #[track_caller]
    fn check(closure: &str, layers: &[&str], expected: &[&str]) {
        let closure = sized_closure(closure);
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
    fn rarely_sent_layers_lie_below() {
        let closure = "app 1: lib zlib; lib 1: libc; zlib 1: libc; libc 1: ; data 1: ";
        check(closure, &["app", "lib", "libc", "zlib", "data"], &["data", "libc", "lib", "zlib", "app"]);
        check(closure, &["zlib lib", "libc data", "app"], &["data libc", "lib zlib", "app"]);
        check(closure, &["zlib data", "lib", "app libc"], &["lib", "data zlib", "app libc"]);
    }
}
