//! Joins layers that are too small to be worth a request each to others, where that costs least.

use crate::churn::Churn;
use crate::cluster::Cluster;
use crate::merge::join_down;

/// Joins layers of fewer than `least` bytes of NARs to others until there are none, or nothing to join them to. The
/// later of the two joins the earlier one.
pub(crate) fn join_small(churn: &Churn, layers: Vec<Cluster>, least: u64) -> Vec<Cluster> {
    join_down(churn, layers, 1, |(_, a), (_, b)| (!a.pinned && !b.pinned && a.size.min(b.size) < least).then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rates;
    use crate::graph::Graph;
    use crate::layer::Layer;
    use crate::sample;

    /// Layers of names, `!` before those that were asked for.
    #[track_caller]
    fn check(least: u64, layers: &str, expected: &str) {
        let closure = sample::closure("app 10: lib tool; tool 20: libc; lib 30: libc; libc 100: ; data 5: ");
        let graph = Graph::new(&closure).unwrap();
        let churn = Churn::new(&graph, &Rates::default(), "test").unwrap();
        let number = |name: &str| graph.paths.iter().position(|path| path.name() == name).unwrap() as u32;
        let layer = |text: &str| {
            let paths = text.trim_start_matches('!').split(' ').map(number).collect();
            Cluster::of(&churn, Layer { pinned: text.starts_with('!'), paths })
        };
        let joined = join_small(&churn, layers.split(", ").map(layer).collect(), least);
        let text = |layer: &Cluster| {
            let names: Vec<&str> = layer.paths.iter().map(|&path| graph.paths[path as usize].name()).collect();
            format!("{}{}", if layer.pinned { "!" } else { "" }, names.join(" "))
        };
        assert_eq!(joined.iter().map(text).collect::<Vec<_>>().join(", "), expected);
    }

    #[test]
    fn around_the_least_size() {
        check(5, "app, tool, lib, libc, data", "app, tool, lib, libc, data");
        check(6, "app, tool, lib, libc, data", "app data, tool, lib, libc");
        check(10, "data, tool, lib, libc, app", "data tool, lib, libc, app");
        check(30, "app, tool, lib, libc, data", "app data tool lib, libc");
        check(1_000, "app, tool, lib, libc, data", "app data tool lib libc");
        check(1_000, "app", "app");
    }

    #[test]
    fn layers_asked_for_stay_alone() {
        check(30, "!app, tool, lib, libc, !data", "!app, tool lib, libc, !data");
        check(1_000, "!app, tool, !data", "!app, tool, !data");
    }
}
