//! Plans by the strategy `least-churn`: searches for the plan of the least expected upload cost (`churn.rs`).
//!
//! To find the best plan is a problem of clustering, and those are hard. So a good one is looked for, in two steps:
//! starting from a layer for each path, the pair of layers that costs least together is merged until the limit is met
//! (`merge.rs`); then paths, groups of paths and whole layers are moved as long as that pays (`improve.rs`).
//!
//! A plan must not only be cheap, it must come out again after an update, when hashes are new and sizes a little
//! different: a layer of another cut is a layer to be sent. Ties are therefore decided by names, by hashes only between
//! paths of one name, and both steps take sizes as powers of two.

mod improve;

use crate::churn::{Churn, rounded};
use crate::cluster::Cluster;
use crate::graph::Graph;
use crate::merge::join_down;
use crate::order::by_name;
use improve::Search;
use std::num::NonZeroUsize;

/// Divides some paths of a graph into at most `limit` layers.
pub(crate) fn layers(graph: &Graph, churn: &Churn, free: &[u32], limit: NonZeroUsize) -> Vec<Vec<u32>> {
    let paths = by_name(graph, free);
    let sizes: Vec<u64> = paths.iter().map(|&path| rounded(churn.sizes[path as usize])).collect();
    let single = |(id, &path)| Cluster::new(churn, vec![id], sizes[id as usize], churn.closure(path).to_vec());
    let merged = join_down(churn, (0..).zip(&paths).map(single).collect(), limit.get(), |_, _| Some(0));
    let clusters = Search::new(churn, &paths, &sizes, merged).improve();
    clusters.into_iter().map(|cluster| cluster.paths.into_iter().map(|id| paths[id as usize]).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rates, Settings, plan};
    use layerstone_closure::{Closure, PathInfo, ReferencesGraph as References};
    use layerstone_store::StorePath;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    const WEB: &[u8] = include_bytes!("../golden/web/graph.json");
    const DS: &[u8] = include_bytes!("../golden/ds/graph.json");

    fn read(bytes: &[u8]) -> Closure {
        References::parse(bytes, "golden").unwrap().closure(&[]).unwrap()
    }

    /// The cost of the plan at a limit, in thousandths of the lower bound, rounded up.
    #[track_caller]
    fn check_cost(closure: &[u8], limit: usize, expected: u128) {
        let closure = read(closure);
        let graph = Graph::new(&closure).unwrap();
        let churn = Churn::new(&graph, &Rates::default(), "test").unwrap();
        let all: Vec<u32> = (0..graph.len() as u32).collect();
        let layers = layers(&graph, &churn, &all, NonZeroUsize::new(limit).unwrap());
        assert_eq!(layers.len(), limit);
        let cost: u128 = layers.iter().map(|layer| churn.cost(layer)).sum();
        assert_eq!((1000 * cost).div_ceil(churn.lower_bound(&all)), expected);
    }

    /// Merging alone gives 1.110 and 1.016 for the first two.
    #[test]
    fn costs_of_package_closures() {
        check_cost(DS, 40, 1083);
        check_cost(DS, 99, 1014);
        check_cost(WEB, 40, 1023);
        check_cost(WEB, 99, 1001);
        check_cost(WEB, 116, 1000);
    }

    /// The closure with other hashes: path P gets the hash part that `turn` and its index give it.
    fn rehashed(closure: &Closure, turn: usize) -> Closure {
        let count = closure.graph.len();
        let rename = |path: &StorePath| {
            let index = closure.graph.binary_search_by(|info| info.path.cmp(path)).unwrap();
            let hash = (index + turn) % count;
            StorePath::parse(&format!("{}/{hash:032}-{}", path.store_dir(), path.name())).unwrap()
        };
        let info = |info: &PathInfo| PathInfo {
            path: rename(&info.path),
            references: info.references.iter().map(rename).collect(),
            ..info.clone()
        };
        Closure { graph: closure.graph.iter().map(info).collect() }
    }

    fn names(closure: &Closure, limit: usize) -> Vec<Vec<String>> {
        let plan = plan(closure, &Settings::new(NonZeroUsize::new(limit).unwrap())).unwrap();
        let names = |layer: &Vec<StorePath>| layer.iter().map(|path| path.name().to_owned()).collect();
        plan.layers.iter().map(names).collect()
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]

        /// After a change of all hashes the same packages lie in the same layers, in the same order.
        #[test]
        fn hashes_decide_nothing(turn in 1usize..300, limit in 1usize..120) {
            let closure = read(DS);
            prop_assert_eq!(names(&rehashed(&closure, turn), limit), names(&closure, limit));
        }

        #[test]
        fn one_thread_and_many_find_the_same_plan(threads in 2usize..9, limit in 1usize..60) {
            let closure = read(WEB);
            let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let alone = pool(1).install(|| names(&closure, limit));
            prop_assert_eq!(pool(threads).install(|| names(&closure, limit)), alone);
        }
    }

    proptest! {
        /// What merging alone gives is never better, in the sizes that both look at.
        #[test]
        fn the_search_never_loses(
            edges in proptest::collection::vec((0usize..24, 0usize..24), 0..70),
            sizes in proptest::collection::vec(any::<u16>(), 24),
            limit in 1usize..24,
        ) {
            let path = |i: usize| crate::sample::path(&format!("p{i}"));
            let info = |i: usize| PathInfo {
                path: path(i),
                nar_hash: None,
                nar_size: Some(sizes[i].into()),
                references: edges.iter().filter(|edge| edge.0 == i && edge.1 > i).map(|edge| path(edge.1)).collect(),
            };
            let closure = Closure { graph: (0..24).map(info).collect() };
            let graph = Graph::new(&closure).unwrap();
            let churn = Churn::new(&graph, &Rates::default(), "test").unwrap();
            let paths: Vec<u32> = (0..24).collect();
            let sizes: Vec<u64> = paths.iter().map(|&path| rounded(churn.sizes[path as usize])).collect();
            let single = |id: u32| Cluster::new(&churn, vec![id], sizes[id as usize], churn.closure(id).to_vec());
            let merged = join_down(&churn, paths.iter().map(|&id| single(id)).collect(), limit, |_, _| Some(0));
            let cost = |clusters: &[Cluster]| clusters.iter().map(Cluster::cost).sum::<u128>();
            let before = cost(&merged);
            let found = Search::new(&churn, &paths, &sizes, merged).improve();
            prop_assert!(cost(&found) <= before);
            // What the search says of its layers is what they are.
            for cluster in &found {
                let size: u64 = cluster.paths.iter().map(|&id| sizes[id as usize]).sum();
                prop_assert_eq!((cluster.size, cluster.rate), (size, churn.rate(&churn.union(&cluster.paths))));
            }
            let mut ids: Vec<u32> = found.into_iter().flat_map(|cluster| cluster.paths).collect();
            ids.sort_unstable();
            prop_assert_eq!(ids, paths);
        }
    }
}
