//! Makes the plan of a closure: chooses the paths that need a layer, takes out pinned layers, divides the rest by a
//! strategy or a previous plan, joins layers that are too small, and orders them.

use crate::cap::cap;
use crate::churn::Churn;
use crate::cluster::Cluster;
use crate::graph::Graph;
use crate::layer::Layer;
use crate::min_size::join_small;
use crate::order::by_rate;
use crate::popularity::order_by_popularity;
use crate::{Error, Patterns, Plan, Previous, Rates, Result, Strategy, least_churn, pinned, previous, size};
use layerstone_closure::Closure;
use layerstone_store::StorePath;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// What a plan is to be like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to decide which paths share a layer.
    pub strategy: Strategy,
    /// How many layers there may be, those of the base included.
    pub limit: NonZeroUsize,
    /// What the image is built on.
    pub base: PlanBase,
    /// Paths that count as users of others and are in no layer.
    pub exclude: BTreeSet<StorePath>,
    /// Paths that are to have layers of their own: what each of these chooses, and nothing else.
    pub pinned: Vec<Patterns>,
    /// How many bytes of NARs a layer holds at least, unless it was asked for or is the only one.
    pub min_size: u64,
    /// The plan whose layers are kept; the strategy has no say then.
    pub previous: Option<Previous>,
    /// How often paths change.
    pub rates: Rates,
}

/// What lies below the layers of a plan: the image that others are built on, and layers that are made already.
#[derive(Clone, Debug, Default)]
pub struct PlanBase {
    /// How many layers there are.
    pub layers: usize,
    /// Store paths that they hold; a closure may have any of them or none.
    pub paths: BTreeSet<StorePath>,
}

impl Settings {
    /// At most `limit` layers, everything else at its default.
    pub fn new(limit: NonZeroUsize) -> Settings {
        Settings {
            strategy: Strategy::default(),
            limit,
            base: PlanBase::default(),
            exclude: BTreeSet::new(),
            pinned: Vec::new(),
            min_size: 0,
            previous: None,
            rates: Rates::default(),
        }
    }

    /// The previous plan, if there is one and anything in it.
    fn followed(&self, graph: &Graph) -> Option<&Previous> {
        self.previous.as_ref().filter(|previous| !previous.is_of_nothing(graph))
    }

    /// The paths that need a layer: all but the excluded ones and those of the base.
    pub(crate) fn free(&self, graph: &Graph) -> Result<Vec<u32>> {
        let present: BTreeSet<&StorePath> = graph.paths.iter().copied().collect();
        if let Some(path) = self.exclude.iter().find(|path| !present.contains(path)) {
            return Err(Error::AbsentExclusion { path: path.clone() });
        }
        let is_free = |path: &StorePath| !self.exclude.contains(path) && !self.base.paths.contains(path);
        Ok((0..).zip(&graph.paths).filter(|(_, path)| is_free(path)).map(|(number, _)| number).collect())
    }

    /// How many layers are left for so many paths, beside the base's and so many that were asked for.
    pub(crate) fn room(&self, paths: usize, pinned: usize) -> Result<NonZeroUsize> {
        let limit = self.limit.get();
        let taken = self.base.layers.saturating_add(pinned);
        match NonZeroUsize::new(limit.saturating_sub(taken)) {
            Some(room) => Ok(room),
            // Nobody needs the layer that is not there.
            None if paths == 0 && (pinned == 0 || taken == limit) => Ok(NonZeroUsize::MIN),
            None => Err(Error::Limit { limit, needed: taken + usize::from(paths > 0), base: self.base.layers, pinned }),
        }
    }
}

/// Divides a closure into at most so many layers as there may be. Every path is in exactly one of them, but for the
/// excluded ones and those of the base: they count as users of others (not in a pipeline) and are in none. A pipeline
/// may remove more paths. The plan does not depend on the order of the closure's paths.
///
/// # Errors
///
/// If the closure is none (a path twice, an absent reference, a cycle), or an excluded path is not in it: who excludes
/// a path knows it to be there, so that an absent one is a typing error or belongs to another closure, and the image
/// would silently hold what was meant to be left out. If costs are needed and the closure lacks sizes, or rates
/// are given and all in vain. If a pattern chooses nothing, an operation of a pipeline cannot do its work, or no layer
/// is left for the paths that need one. If the previous plan is of another store directory, or has nothing in common
/// with the closure.
pub fn plan(closure: &Closure, settings: &Settings) -> Result<Plan> {
    let graph = Graph::new(closure)?;
    let costs = Costs { graph: &graph, rates: &settings.rates, churn: OnceCell::new() };
    let (pinned, free) = pinned::choose(&graph, settings.free(&graph)?, &settings.pinned)?;
    let room = settings.room(free.len(), pinned.len())?;
    let followed = settings.followed(&graph);
    let mut layers = match followed {
        Some(previous) => {
            let churn = costs.get("keeping a previous plan")?;
            previous::layers(&graph, churn, &free, &pinned, room.get() + pinned.len(), previous)?
        }
        None => {
            let layers = divide(&costs, &free, room, &settings.strategy)?;
            layers.into_iter().map(Layer::free).chain(pinned.into_iter().map(Layer::pinned)).collect()
        }
    };
    if settings.min_size > 0 {
        let churn = costs.get("a least size of layers")?;
        let clusters = layers.into_iter().map(|layer| Cluster::of(churn, layer)).collect();
        layers = join_small(churn, clusters, settings.min_size).into_iter().map(Layer::from).collect();
    }
    if followed.is_none() && settings.strategy == Strategy::LeastChurn {
        layers = by_rate(&graph, costs.get("least-churn")?, layers);
    }
    Ok(graph.plan(layers))
}

/// Divides some paths into at most `limit` layers.
fn divide(costs: &Costs, free: &[u32], limit: NonZeroUsize, strategy: &Strategy) -> Result<Vec<Vec<u32>>> {
    let graph = costs.graph;
    Ok(match strategy {
        Strategy::LeastChurn => least_churn::layers(graph, costs.get("least-churn")?, free, limit),
        Strategy::Popularity => {
            let mut order = order_by_popularity(&graph.paths, &graph.users);
            order.retain(|number| free.binary_search(number).is_ok());
            cap(&order, limit)
        }
        Strategy::Size => size::layers(graph, free, limit)?,
        Strategy::Pipeline(pipeline) => pipeline.layers(graph, free, limit)?,
    })
}

/// Costs of layers, computed only if a step asks for them: they take sizes, which a closure need not have.
struct Costs<'a> {
    graph: &'a Graph<'a>,
    rates: &'a Rates,
    churn: OnceCell<Churn>,
}

impl Costs<'_> {
    fn get(&self, purpose: &'static str) -> Result<&Churn> {
        match self.churn.get() {
            Some(churn) => Ok(churn),
            None => {
                let churn = Churn::new(self.graph, self.rates, purpose)?;
                Ok(self.churn.get_or_init(|| churn))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draft;
    use crate::sample::{closure, path};
    use layerstone_closure::PathInfo;
    use proptest::prelude::{Just, prop_assert, prop_assert_eq, proptest};
    use proptest::sample::select;
    use proptest::strategy::Strategy as _;

    fn popularity(layers: usize, exclude: BTreeSet<StorePath>) -> Settings {
        let limit = NonZeroUsize::new(layers).unwrap();
        Settings { strategy: Strategy::Popularity, exclude, ..Settings::new(limit) }
    }

    #[track_caller]
    fn check(edges: &str, layers: usize, exclude: &str, expected: &str) {
        let exclude = exclude.split_whitespace().map(path).collect();
        let plan = plan(&closure(edges), &popularity(layers, exclude)).unwrap();
        let layers: Vec<Vec<&str>> = plan.layers.iter().map(|l| l.iter().map(StorePath::name).collect()).collect();
        assert_eq!(layers.iter().map(|layer| layer.join(" ")).collect::<Vec<_>>().join(", "), expected);
    }

    #[test]
    fn worked_example() {
        let edges = "A: B G; B: C E; C: D E; D: F; E: F; F:; G:";
        check(edges, 1, "", "F E D C B G A");
        check(edges, 3, "", "F, E, D C B G A");
        check(edges, 7, "", "F, E, D, C, B, G, A");
        check(edges, 100, "", "F, E, D, C, B, G, A");
    }

    #[test]
    fn excluded_paths_count_as_users() {
        check("a: x y; b: y; x:; y:", 100, "", "y, x, a, b");
        check("a: x y; b: y; x:; y:", 100, "b y", "x, a");
        check("a: y; b: y x; c: x z; d: x; x:; y:; z:", 2, "c d", "x, y z a b");
        check("a:", 5, "a", "");
    }

    #[test]
    fn absent_exclusions_are_errors() {
        let error = plan(&closure("a:"), &popularity(1, BTreeSet::from([path("b")])));
        assert_eq!(error.unwrap_err().to_string(), format!("cannot exclude: {}: not in the closure", path("b")));
    }

    #[track_caller]
    fn check_base(layers: usize, paths: &str, pinned: &str, limit: usize, expected: Result<&str, &str>) {
        let base = PlanBase { layers, paths: paths.split_whitespace().map(path).collect() };
        let pinned = pinned.split_whitespace().map(|patterns| patterns.parse().unwrap()).collect();
        let settings = Settings { base, pinned, ..popularity(limit, BTreeSet::new()) };
        let plan = plan(&closure("a: x; b: x; x:"), &settings).map_err(|e| e.to_string());
        let layer = |layer: &Vec<StorePath>| layer.iter().map(StorePath::name).collect::<Vec<_>>().join(" ");
        let text = plan.map(|plan| plan.layers.iter().map(layer).collect::<Vec<_>>().join(", "));
        assert_eq!(text, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn a_base_takes_layers_and_paths_away() {
        check_base(2, "x other", "", 9, Ok("a, b"));
        check_base(2, "x other", "", 3, Ok("a b"));
        check_base(9, "a b x", "", 3, Ok(""));
        check_base(2, "x", "b", 4, Ok("a, b"));
        check_base(2, "x", "a b", 4, Ok("a, b"));
        check_base(2, "x", "a,b", 3, Ok("a b"));
        let error = "too few layers: found a limit of 2, expected 3 or more: 2 lie below, 0 are asked for by pattern";
        check_base(2, "x", "", 2, Err(error));
        let error = "too few layers: found a limit of 3, expected 4 or more: 2 lie below, 1 are asked for by pattern";
        check_base(2, "x", "b", 3, Err(error));
        let error = "too few layers: found a limit of 1, expected 2 or more: 0 lie below, 2 are asked for by pattern";
        check_base(0, "x", "a b", 1, Err(error));
    }

    #[test]
    fn layers_asked_for_lie_on_top_or_by_rate() {
        let plan = |strategy| {
            let pinned = vec!["lib".parse().unwrap()];
            let settings = Settings { pinned, strategy, ..Settings::new(NonZeroUsize::MAX) };
            plan(&closure("app 1: lib; lib 1: libc; libc 1:"), &settings).unwrap()
        };
        let [libc, lib, app] = ["libc", "lib", "app"].map(|name| vec![path(name)]);
        assert_eq!(plan(Strategy::LeastChurn).layers, [libc.clone(), lib.clone(), app.clone()]);
        assert_eq!(plan(Strategy::Popularity).layers, [libc, app, lib]);
    }

    #[test]
    fn sizes_are_asked_for_where_they_matter() {
        let error = |settings| plan(&closure("a:"), &settings).unwrap_err().to_string();
        let text = |purpose| format!("unknown size: {}: {purpose} needs the narSize of every path", path("a"));
        assert_eq!(error(Settings::new(NonZeroUsize::MIN)), text("least-churn"));
        let small = Settings { min_size: 1, ..popularity(1, BTreeSet::new()) };
        assert_eq!(error(small), text("a least size of layers"));
        let old = Plan::new(vec![vec![path("a")]]);
        let kept = Settings { previous: Some(Previous::new("old", old)), ..popularity(1, BTreeSet::new()) };
        assert_eq!(error(kept), text("keeping a previous plan"));
    }

    /// Closures of up to 40 paths without cycles, and some paths of each to leave out.
    fn cases() -> impl proptest::strategy::Strategy<Value = (Closure, BTreeSet<StorePath>)> {
        let edges = proptest::collection::vec((0usize..40, 0usize..40), 0..120);
        (0usize..40, edges, proptest::collection::vec(0usize..40, 0..6)).prop_map(|(count, edges, exclude)| {
            let path = |i: usize| path(&format!("p{}-{i}", i % 3));
            let info = |i: usize| PathInfo {
                path: path(i),
                nar_hash: None,
                nar_size: Some(7 * i as u64 % 50),
                references: Vec::new(),
            };
            let mut graph: Vec<PathInfo> = (0..count).map(info).collect();
            for (a, b) in edges.into_iter().filter(|&(a, b)| a.max(b) < count) {
                graph[a.min(b)].references.push(path(a.max(b)));
            }
            (Closure { graph }, exclude.into_iter().filter(|&i| i < count).map(path).collect())
        })
    }

    proptest! {
        #[test]
        fn every_path_once_in_at_most_so_many_layers(
            (closure, exclude) in cases(), layers in 1usize..50, strategy in select(Strategy::ALL.to_vec())
        ) {
            let settings = Settings { strategy, ..popularity(layers, exclude.clone()) };
            let plan = plan(&closure, &settings).unwrap();
            prop_assert_eq!(crate::check(&Draft::from(&plan), &closure, &exclude, NonZeroUsize::new(layers)), Ok(vec![]));
            let expected = layers.min(closure.graph.len() - exclude.len());
            match settings.strategy {
                // It stops before a step that makes too many layers, and excluded paths may have one of their own.
                Strategy::Size => prop_assert!(plan.layers.len() <= expected),
                _ => prop_assert_eq!(plan.layers.len(), expected),
            }
        }

        #[test]
        fn shuffled_input_same_plan(
            ((closure, exclude), shuffled) in cases().prop_flat_map(|case| {
                let shuffled = Just(case.0.graph.clone()).prop_shuffle();
                (Just(case), shuffled)
            }),
            strategy in select(Strategy::ALL.to_vec())
        ) {
            let mut shuffled = Closure { graph: shuffled };
            shuffled.graph.iter_mut().for_each(|info| info.references.reverse());
            let settings = Settings { strategy, ..popularity(7, exclude) };
            prop_assert_eq!(plan(&shuffled, &settings), plan(&closure, &settings));
        }

        #[test]
        fn any_graph_is_planned_or_refused(
            edges in proptest::collection::vec((0usize..6, 0usize..7), 0..12), strategy in select(Strategy::ALL.to_vec())
        ) {
            let path = |i: usize| path(&i.to_string());
            let info = |i: usize| PathInfo { path: path(i), nar_hash: None, nar_size: Some(7 * i as u64 % 50), references: Vec::new() };
            let mut graph: Vec<PathInfo> = (0..6).map(info).collect();
            edges.into_iter().for_each(|(a, b)| graph[a].references.push(path(b)));
            match plan(&Closure { graph }, &Settings { strategy, ..popularity(9, BTreeSet::new()) }) {
                Ok(plan) => prop_assert_eq!(plan.layers.len(), 6),
                Err(e) => prop_assert!(e.to_string().starts_with("not a closure: /nix/store/h-"), "{}", e),
            }
        }
    }
}
