//! Plans several closures at once: what they share lies in layers that they share, which a registry stores once and
//! receives once.
//!
//! All closures are one graph, and every path in it belongs to a set of closures. At first each path is a layer of all
//! plans whose closures hold it. Then two layers are joined, again and again, until every plan is within its limit: the
//! two that cost least more as one layer than as two (`churn.rs` says what a layer costs), for each plan that has too
//! many layers and both of these. Then joints are undone, the dearest first, for which all plans that have the layer
//! turn out to have room. At last the paths of each set of closures are divided anew, as `least-churn` divides a
//! closure, into as many layers as that has left them.
//!
//! Only layers that the same closures hold are joined, so that no plan holds a path that its closure does not, and
//! nothing is stored twice. Where that cannot do, as a closure has more such sets than its plan may have layers, layers
//! of two sets are joined for the plans that have both. The other plans keep them as they are: what was shared is then
//! stored twice, and counts twice in what the plans cost.

mod closure_set;

use crate::churn::Churn;
use crate::cluster::Cluster;
use crate::graph::Graph;
use crate::layer::Layer;
use crate::merge::Pairs;
use crate::min_size::join_small;
use crate::order::{by_name, by_rate};
use crate::{Error, Plan, Result, Settings, Strategy, least_churn, pinned};
use closure_set::ClosureSet;
use layerstone_closure::{Closure, PathInfo};
use layerstone_store::StorePath;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

/// Divides several closures, each into at most so many layers as there may be; a plan for each, in their order. A layer
/// that several plans have is the same list of paths in all. The plans do not depend on the order of the closures, or
/// of the paths in them.
///
/// A layer that is asked for holds what its patterns choose of a closure: closures of which they choose other paths
/// have other layers. Layers of less than the least size are joined only to layers that the same closures hold.
///
/// # Errors
///
/// Those of [`plan()`](crate::plan()), where an excluded path and what a pattern chooses need to be in one closure
/// only; if closures say different things of one path; if the strategy is not `least-churn` or there is a previous
/// plan.
pub fn plans(closures: &[Closure], settings: &Settings) -> Result<Vec<Plan>> {
    if settings.strategy != Strategy::LeastChurn {
        return Err(Error::Together { found: format!("the strategy {}", settings.strategy) });
    }
    if settings.previous.is_some() {
        return Err(Error::Together { found: "a previous plan".to_owned() });
    }
    for closure in closures {
        Graph::new(closure)?;
    }
    let united = unite(closures)?;
    let graph = Graph::new(&united)?;
    let churn = Churn::new(&graph, &settings.rates, "least-churn")?;
    let closures_of = ClosureSet::of_each(&graph, closures);
    let (pinned, free) = pinned::choose(&graph, settings.free(&graph)?, &settings.pinned)?;
    let of_closure = |closure: usize, paths: &[u32]| -> Vec<u32> {
        paths.iter().copied().filter(|&path| closures_of[path as usize].has(closure)).collect()
    };
    let pinned_of = |closure: usize| -> Vec<Layer> {
        let layers = pinned.iter().map(|paths| Layer::pinned(of_closure(closure, paths)));
        layers.filter(|layer| !layer.paths.is_empty()).collect()
    };
    let pinned: Vec<Vec<Layer>> = (0..closures.len()).map(pinned_of).collect();
    let rooms = pinned
        .iter()
        .enumerate()
        .map(|(closure, pinned)| settings.room(of_closure(closure, &free).len(), pinned.len()));
    let rooms: Vec<usize> = rooms.map(|room| room.map(usize::from)).collect::<Result<_>>()?;
    let mut joint = JointPlan::new(&churn, &by_name(&graph, &free), &closures_of, rooms);
    joint.meet_limits();
    joint.use_room();
    let plans = joint.divide_anew(&graph, settings.min_size).into_iter().zip(pinned);
    let layers = |(free, pinned): (Vec<Layer>, Vec<Layer>)| by_rate(&graph, &churn, [free, pinned].concat());
    Ok(plans.map(|plan| graph.plan(layers(plan))).collect())
}

/// All paths of the closures, which must say the same of each.
fn unite(closures: &[Closure]) -> Result<Closure> {
    let mut united: BTreeMap<&StorePath, &PathInfo> = BTreeMap::new();
    for info in closures.iter().flat_map(|closure| &closure.graph) {
        let first = *united.entry(&info.path).or_insert(info);
        let references = |info: &PathInfo| info.references.iter().cloned().collect::<BTreeSet<StorePath>>();
        let differ = |what| Err(Error::Disagreement { path: info.path.clone(), what });
        if first.nar_size != info.nar_size {
            return differ("sizes");
        }
        if references(first) != references(info) {
            return differ("references");
        }
    }
    Ok(Closure { graph: united.into_values().cloned().collect() })
}

/// A layer of all plans whose closures hold it.
struct Item {
    cluster: Cluster,
    closures: ClosureSet,
    /// The two layers of the same plans that were joined to this one, if it is made of such.
    parts: Option<Box<[Item; 2]>>,
}

impl Item {
    fn new(churn: &Churn, paths: Vec<u32>, closures: &ClosureSet) -> Item {
        Item { cluster: Cluster::of(churn, Layer::free(paths)), closures: closures.clone(), parts: None }
    }
}

/// The plans in the making.
struct JointPlan<'a> {
    churn: &'a Churn,
    /// All layers; none where one was joined to another.
    items: Vec<Option<Item>>,
    /// How many layers each plan has.
    counts: Vec<usize>,
    /// How many each may have.
    rooms: Vec<usize>,
    /// The plans for which layers of two sets may be joined.
    crowded: ClosureSet,
}

impl<'a> JointPlan<'a> {
    /// A layer for each path; the plans in which more sets meet than there may be layers are crowded.
    fn new(churn: &'a Churn, paths: &[u32], closures_of: &[ClosureSet], rooms: Vec<usize>) -> JointPlan<'a> {
        let item = |&path: &u32| Some(Item::new(churn, vec![path], &closures_of[path as usize]));
        let mut sets: Vec<&ClosureSet> = paths.iter().map(|&path| &closures_of[path as usize]).collect();
        let count = |sets: &[&ClosureSet], plan: usize| sets.iter().filter(|set| set.has(plan)).count();
        let counts = (0..rooms.len()).map(|plan| count(&sets, plan)).collect();
        sets.sort_unstable();
        sets.dedup();
        let crowded = ClosureSet::of((0..rooms.len()).filter(|&plan| count(&sets, plan) > rooms[plan]), rooms.len());
        JointPlan { churn, items: paths.iter().map(item).collect(), counts, rooms, crowded }
    }

    /// Joins layers until no plan has too many.
    ///
    /// That ends: a joint takes a layer from plans that have too many, and none ever gets one. Where no pair may be
    /// joined, those plans become crowded, and then any two layers of one of them may be.
    fn meet_limits(&mut self) {
        loop {
            let over = self.over();
            if over.is_empty() {
                return;
            }
            let mut pairs = Pairs::new(self.items.len(), |a, b, below| self.cost(&over, a, b, below));
            // What a pair costs depends on which plans have too many, so that all is asked again when that changes.
            while self.over() == over {
                let Some((a, b)) = pairs.least(|a, b, below| self.cost(&over, a, b, below)) else {
                    self.crowded = over;
                    break;
                };
                let changed = self.join(a, b, &mut pairs);
                pairs.update(&changed, |a, b, below| self.cost(&over, a, b, below));
            }
        }
    }

    /// The plans that have too many layers.
    fn over(&self) -> ClosureSet {
        let over = (0..self.rooms.len()).filter(|&plan| self.counts[plan] > self.rooms[plan]);
        ClosureSet::of(over, self.rooms.len())
    }

    /// What it costs to join two layers for all plans that have both, for each of these that has too many: if that is
    /// less than `below`.
    fn cost(&self, over: &ClosureSet, a: usize, b: usize, below: u128) -> Option<u128> {
        let (one, other) = (self.items[a].as_ref()?, self.items[b].as_ref()?);
        let common = |third: &ClosureSet| one.closures.common(&other.closures, third);
        let relieved = u128::from(common(over));
        if relieved == 0 || (one.closures != other.closures && common(&self.crowded) == 0) {
            return None;
        }
        // What plans keep that have only one of the two is paid for twice.
        let kept =
            |item: &Item, other: &Item| if other.closures.has_all(&item.closures) { 0 } else { item.cluster.cost() };
        let kept = kept(one, other) + kept(other, one);
        let below = below.saturating_mul(relieved).checked_sub(kept)?;
        Some((one.cluster.extra_cost(&other.cluster, self.churn, below)? + kept) / relieved)
    }

    /// Joins two layers for all plans that have both; which items are not what they were.
    fn join(&mut self, a: usize, b: usize, pairs: &mut Pairs) -> Vec<usize> {
        let (Some(one), Some(other)) = (self.items[a].take(), self.items[b].take()) else { return Vec::new() };
        let common = one.closures.and(&other.closures);
        common.iter().for_each(|plan| self.counts[plan] -= 1);
        let mut cluster = one.cluster.clone();
        cluster.join(&other.cluster, self.churn);
        if one.closures == other.closures {
            self.items[a] = Some(Item { cluster, closures: common, parts: Some(Box::new([one, other])) });
            pairs.remove(b);
            return vec![a, b];
        }
        for (position, item) in [(a, one), (b, other)] {
            let closures = item.closures.without(&common);
            if closures.is_empty() {
                pairs.remove(position);
            } else {
                self.items[position] = Some(Item { closures, ..item });
            }
        }
        self.items.push(Some(Item { cluster, closures: common, parts: None }));
        vec![a, b, self.items.len() - 1]
    }

    /// Undoes joints as long as all plans that have the layer have room for one more, the dearest first.
    fn use_room(&mut self) {
        let saved = |joint: &JointPlan, item: &Item| {
            let has_room = item.closures.iter().all(|plan| joint.counts[plan] < joint.rooms[plan]);
            let [one, other] = &**item.parts.as_ref().filter(|_| has_room)?;
            Some(item.cluster.cost() - one.cluster.cost() - other.cluster.cost())
        };
        let dearest = |joint: &JointPlan| {
            let items =
                (0..).zip(&joint.items).filter_map(|(position, item)| Some((position, saved(joint, item.as_ref()?)?)));
            items.min_by_key(|&(position, saved)| (Reverse(saved), position)).map(|(position, _)| position)
        };
        while let Some(position) = dearest(self)
            && let Some(Item { closures, parts: Some(parts), .. }) = self.items[position].take()
        {
            closures.iter().for_each(|plan| self.counts[plan] += 1);
            // The parts were made for the same plans, but for those that have since taken them into other layers.
            let [one, other] = parts.map(|part| Some(Item { closures: closures.clone(), ..part }));
            self.items[position] = one;
            self.items.push(other);
        }
    }

    /// Divides the paths of each set of plans into as many layers as they are in, where that costs less, and joins
    /// layers of fewer than `least` bytes to others of the set. Gives the layers of each plan.
    fn divide_anew(self, graph: &Graph, least: u64) -> Vec<Vec<Layer>> {
        let mut sets: BTreeMap<ClosureSet, Vec<Cluster>> = BTreeMap::new();
        for item in self.items.into_iter().flatten() {
            sets.entry(item.closures).or_default().push(item.cluster);
        }
        let mut plans = vec![Vec::new(); self.rooms.len()];
        for (closures, clusters) in sets {
            let paths: Vec<u32> = clusters.iter().flat_map(|cluster| &cluster.paths).copied().collect();
            let count = NonZeroUsize::new(clusters.len()).expect("a set is there as something is in it");
            let layers = least_churn::layers(graph, self.churn, &paths, count).into_iter();
            let anew: Vec<Cluster> = layers.map(|paths| Cluster::of(self.churn, Layer::free(paths))).collect();
            let cost = |clusters: &[Cluster]| clusters.iter().map(Cluster::cost).sum::<u128>();
            let better = if cost(&anew) < cost(&clusters) { anew } else { clusters };
            let layers: Vec<Layer> = join_small(self.churn, better, least).into_iter().map(Layer::from).collect();
            closures.iter().for_each(|plan| plans[plan].extend_from_slice(&layers));
        }
        plans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, path};
    use crate::{Draft, plan};
    use proptest::prelude::{Strategy as _, prop_assert_eq, proptest};

    fn settings(limit: usize) -> Settings {
        Settings::new(NonZeroUsize::new(limit).unwrap())
    }

    fn names(plan: &Plan) -> String {
        let names = |layer: &Vec<StorePath>| layer.iter().map(StorePath::name).collect::<Vec<_>>().join(" ");
        plan.layers.iter().map(names).collect::<Vec<_>>().join(", ")
    }

    #[track_caller]
    fn check(closures: &[&str], settings: &Settings, expected: &[&str]) {
        let closures: Vec<Closure> = closures.iter().map(|text| sample::closure(text)).collect();
        let plans = plans(&closures, settings).unwrap();
        assert_eq!(plans.iter().map(names).collect::<Vec<_>>(), expected);
    }

    const WEB: &str = "web 5: lib tls; tls 20: libc; lib 10: libc; libc 100: ";
    const JOB: &str = "job 5: lib data; data 40: ; lib 10: libc; libc 100: ";

    #[test]
    fn what_is_shared_lies_in_layers_of_its_own() {
        check(&[WEB, JOB], &settings(9), &["libc, tls, lib, web", "libc, data, lib, job"]);
        check(&[WEB, JOB], &settings(3), &["lib libc, tls, web", "lib libc, data, job"]);
        check(&[WEB, JOB], &settings(2), &["lib libc, tls web", "lib libc, data job"]);
        check(&[WEB], &settings(2), &["libc, lib tls web"]);
        check(&[], &settings(2), &[]);
        check(&["", WEB], &settings(1), &["", "lib libc tls web"]);
    }

    /// Three sets meet in each of two closures: where there is no room for them, something is stored twice.
    #[test]
    fn more_sets_than_layers() {
        let closures = ["a 1: x y z; x 90: ; y 3: ; z 50: ", "b 1: x z; x 90: ; z 50: ", "c 1: x; x 90: "];
        check(&closures, &settings(4), &["x, z, y, a", "x, z, b", "x, c"]);
        check(&closures, &settings(3), &["x, z, a y", "x, z, b", "x, c"]);
        check(&closures, &settings(2), &["x z, a y", "x z, b", "x, c"]);
        check(&closures, &settings(1), &["a x y z", "b x z", "c x"]);
    }

    #[test]
    fn layers_asked_for_and_small_ones() {
        let pinned = |patterns: &str| vec![patterns.parse().unwrap()];
        let asked = Settings { pinned: pinned("lib*,data"), ..settings(2) };
        check(&[WEB, JOB], &asked, &["lib libc, tls web", "data lib libc, job"]);
        check(
            &[WEB, JOB],
            &Settings { pinned: pinned("tls"), ..settings(3) },
            &["lib libc, tls, web", "lib libc, data, job"],
        );
        check(&[WEB, JOB], &Settings { min_size: 15, ..settings(9) }, &["lib libc, tls web", "lib libc, data job"]);
        let exclude = BTreeSet::from([path("tls"), path("data")]);
        check(&[WEB, JOB], &Settings { exclude, ..settings(9) }, &["libc, lib, web", "libc, lib, job"]);
    }

    #[track_caller]
    fn check_error(closures: &[&str], settings: &Settings, expected: &str) {
        let closures: Vec<Closure> = closures.iter().map(|text| sample::closure(text)).collect();
        assert_eq!(plans(&closures, settings).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_cannot_be_planned_together() {
        let popularity = Settings { strategy: Strategy::Popularity, ..settings(9) };
        let expected =
            "several closures at once: found the strategy popularity, expected least-churn without a previous plan";
        check_error(&[WEB, JOB], &popularity, expected);
        let previous = Some(crate::Previous::new("old.json", Plan::default()));
        let expected = "several closures at once: found a previous plan, expected least-churn without a previous plan";
        check_error(&[WEB, JOB], &Settings { previous, ..settings(9) }, expected);
        let belong =
            |what: &str| format!("closures that do not belong together: {}: found two different {what}", path("a"));
        check_error(&["a 1: ", "a 2: "], &settings(9), &belong("sizes"));
        check_error(&["a 1: a", "a 1: "], &settings(9), &belong("references"));
        check_error(
            &["a 1: b; b 1:", "a 1: b"],
            &settings(9),
            &format!("not a closure: {}: refers to {}, which is absent", path("a"), path("b")),
        );
        let pinned = vec!["b".parse().unwrap()];
        let few = "too few layers: found a limit of 1, expected 2 or more: 0 lie below, 1 are asked for by pattern";
        check_error(&["a 1: ", "a 1: ; b 1: "], &Settings { pinned, ..settings(1) }, few);
    }

    /// Up to 5 closures of up to 30 paths, each the closure of some of them.
    fn cases() -> impl proptest::strategy::Strategy<Value = Vec<Closure>> {
        let edges = proptest::collection::vec((0usize..30, 0usize..30), 0..60);
        let roots = proptest::collection::vec(proptest::collection::btree_set(0usize..30, 1..5), 1..6);
        (edges, roots).prop_map(|(edges, roots)| {
            let path = |i: usize| path(&format!("p{}-{i}", i % 3));
            let used = |i: usize| edges.iter().filter(move |(a, b)| *a.min(b) == i && a != b).map(|(a, b)| *a.max(b));
            let info = |i: usize| PathInfo {
                path: path(i),
                nar_hash: None,
                nar_size: Some(7 * i as u64 % 50),
                references: used(i).map(path).collect(),
            };
            let closure = |mut paths: BTreeSet<usize>| {
                (0..30).for_each(|i| {
                    if paths.contains(&i) {
                        paths.extend(used(i))
                    }
                });
                Closure { graph: paths.into_iter().map(info).collect() }
            };
            roots.into_iter().map(closure).collect()
        })
    }

    /// The bytes of all layers, those of the same paths once.
    fn stored(plans: &[Plan], closures: &[Closure]) -> u64 {
        let sizes: BTreeMap<&StorePath, u64> = closures
            .iter()
            .flat_map(|closure| &closure.graph)
            .map(|info| (&info.path, info.nar_size.unwrap()))
            .collect();
        let layers: BTreeSet<&Vec<StorePath>> = plans.iter().flat_map(|plan| &plan.layers).collect();
        layers.into_iter().flatten().map(|path| sizes[path]).sum()
    }

    proptest! {
        #[test]
        fn every_path_once_in_each_plan(closures in cases(), limit in 1usize..20, min_size in 0u64..60) {
            let plans = plans(&closures, &Settings { min_size, ..settings(limit) }).unwrap();
            for (plan, closure) in plans.iter().zip(&closures) {
                let limit = NonZeroUsize::new(limit);
                prop_assert_eq!(crate::check(&Draft::from(plan), closure, &BTreeSet::new(), limit), Ok(vec![]));
            }
            let sets = |closure: &Closure| {
                let holders = |info: &PathInfo| closures.iter().map(|c| c.graph.contains(info)).collect::<Vec<_>>();
                closure.graph.iter().map(holders).collect::<BTreeSet<_>>().len()
            };
            if closures.iter().all(|closure| sets(closure) <= limit) {
                prop_assert_eq!(stored(&plans, &closures), unite(&closures).unwrap().graph.iter().map(|i| i.nar_size.unwrap()).sum::<u64>());
            }
        }

        #[test]
        fn the_order_of_closures_does_not_matter(closures in cases(), limit in 1usize..20) {
            let mut reversed = closures.clone();
            reversed.reverse();
            reversed.iter_mut().for_each(|closure| closure.graph.reverse());
            let mut found = plans(&reversed, &settings(limit)).unwrap();
            found.reverse();
            prop_assert_eq!(found, plans(&closures, &settings(limit)).unwrap());
        }
    }

    fn golden(name: &str) -> Closure {
        let file = format!("{}/golden/{name}/graph.json", env!("CARGO_MANIFEST_DIR"));
        Closure::read(file.as_ref()).unwrap()
    }

    /// Two real closures: everything is stored once, for little more churn than each plan by itself has.
    #[test]
    fn shared_bytes_are_stored_once() {
        let closures = ["web", "ds"].map(golden);
        let settings = settings(99);
        let alone = closures.each_ref().map(|closure| plan(closure, &settings).unwrap());
        let together = plans(&closures, &settings).unwrap();
        let all: u64 = unite(&closures).unwrap().graph.iter().map(|info| info.nar_size.unwrap()).sum();
        assert_eq!(stored(&together, &closures), all);
        assert!(stored(&alone, &closures) > all);
        for (closure, plans) in closures.iter().zip(alone.iter().zip(&together)) {
            let graph = Graph::new(closure).unwrap();
            let churn = Churn::new(&graph, &settings.rates, "test").unwrap();
            let number = |path: &StorePath| graph.paths.iter().position(|other| *other == path).unwrap() as u32;
            let cost = |plan: &Plan| -> u128 {
                plan.layers.iter().map(|layer| churn.cost(&layer.iter().map(number).collect::<Vec<_>>())).sum()
            };
            assert!(cost(plans.1) * 100 <= cost(plans.0) * 105);
        }
    }
}
