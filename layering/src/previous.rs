//! Plans a closure after a previous plan: paths that shared a layer still do, so that a registry which has the old
//! image receives only the layers in which something changed.
//!
//! A path takes the position that it had; else that of the path which it replaces: one of its name, or its package in
//! another version. What has no position joins the layer where it costs least, or has a layer of its own as long as there
//! is room; layers that were there are joined only if there are more of them than the limit. Nothing is moved from one
//! layer to another, so that a plan which was kept for long costs more than a new one.

use crate::churn::Churn;
use crate::cluster::Cluster;
use crate::graph::Graph;
use crate::layer::Layer;
use crate::merge::join_down;
use crate::order::by_name;
use crate::{Error, Plan, Result};
use layerstone_closure::{Item, difference};
use layerstone_store::{Result as StageResult, StorePath};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// The plan of an image that was made before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Where it came from, for messages.
    name: String,
    plan: Plan,
    /// Whether it may be the plan of something else.
    is_optional: bool,
}

impl Previous {
    /// A plan in memory; `name` stands in messages.
    pub fn new(name: &str, plan: Plan) -> Previous {
        Previous { name: name.to_owned(), plan, is_optional: false }
    }

    /// The plan of what was in the place of an image, which may be something else: nothing of it is kept then.
    pub fn replaced(name: &str, plan: Plan) -> Previous {
        Previous { is_optional: true, ..Previous::new(name, plan) }
    }

    /// Reads a plan file, ours or another tool's; `-` is standard input.
    pub fn read(path: &Path) -> StageResult<Previous> {
        Ok(Previous::new(&path.display().to_string(), Plan::read(path)?))
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether nothing of it is kept: it is the plan of an empty closure, or of something else, which it may be.
    pub(crate) fn is_of_nothing(&self, graph: &Graph) -> bool {
        self.plan.layers.is_empty() || self.is_optional && !self.has_in_common(graph)
    }

    /// Whether a path of it is one of today's, or was replaced by one.
    fn has_in_common(&self, graph: &Graph) -> bool {
        let old = self.plan.items();
        let today: BTreeSet<&StorePath> = graph.paths.iter().copied().collect();
        if self.check_store(today.first().copied()).is_err() {
            return false;
        }
        let new: Vec<Item> = today.iter().copied().map(Item::of).collect();
        old.iter().any(|item| today.contains(&item.path)) || !difference(&old, &new).changed.is_empty()
    }

    /// The old layers with the paths of today: at each position its path or what replaced it, if there is something.
    fn layers(&self, graph: &Graph, paths: &[u32]) -> Result<Vec<Vec<u32>>> {
        let today: BTreeMap<&StorePath, u32> = paths.iter().map(|&path| (graph.paths[path as usize], path)).collect();
        self.check_store(today.keys().next().copied())?;
        let new: Vec<Item> = today.keys().copied().map(Item::of).collect();
        let changes = difference(&self.plan.items(), &new).changed;
        let successors: HashMap<&StorePath, &StorePath> = changes.iter().map(|c| (&c.old.path, &c.new.path)).collect();
        let successor = |path: &StorePath| today.get(path).or_else(|| today.get(*successors.get(path)?)).copied();
        let layers: Vec<Vec<u32>> =
            self.plan.layers.iter().map(|layer| layer.iter().filter_map(successor).collect()).collect();
        match !paths.is_empty() && layers.iter().all(Vec::is_empty) {
            true => Err(Error::Unrelated { name: self.name.clone() }),
            false => Ok(layers),
        }
    }

    /// A layer before anything new joined it.
    fn before(&self, graph: &Graph, layer: &Layer) -> Before {
        let paths = || layer.paths.iter().map(|&path| graph.paths[path as usize]);
        Before { len: layer.paths.len(), same: self.plan.layers.iter().any(|old| old.iter().eq(paths())) }
    }

    fn check_store(&self, path: Option<&StorePath>) -> Result<()> {
        match (self.plan.store_dir(), path.map(StorePath::store_dir)) {
            (Some(found), Some(expected)) if found != expected => Err(Error::OtherStore {
                name: self.name.clone(),
                found: found.to_owned(),
                expected: expected.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Divides paths into the layers of a previous plan, and at most `limit` with those that a user asked for: bottom
/// first, in the old order, what is new on top.
///
/// # Errors
///
/// The previous plan is of another store directory, or has nothing in common with the paths.
pub(crate) fn layers(
    graph: &Graph,
    churn: &Churn,
    free: &[u32],
    pinned: &[Vec<u32>],
    limit: usize,
    previous: &Previous,
) -> Result<Vec<Layer>> {
    let all: Vec<u32> = free.iter().chain(pinned.iter().flatten()).copied().collect();
    let old = previous.layers(graph, &all)?;
    let positioned: Vec<u32> = sorted(old.iter().flatten().copied());
    let mut layers = with_pinned(old, pinned);
    let before: Vec<Before> = layers.iter().map(|layer| previous.before(graph, layer)).collect();
    let new: Vec<u32> = free.iter().copied().filter(|path| positioned.binary_search(path).is_err()).collect();
    layers.extend(by_name(graph, &new).into_iter().map(|path| Layer::free(vec![path])));
    // What an old layer costs by being sent now, if nothing was changed in it until now; none for one that was asked
    // for, which nothing may join.
    let sent = |(index, cluster): (usize, &Cluster)| match before.get(index) {
        _ if cluster.pinned => None,
        Some(old) if old.same && old.len == cluster.paths.len() => {
            Some(u128::from(cluster.size) * u128::from(churn.mean_rate()))
        }
        _ => Some(0),
    };
    let clusters = layers.into_iter().map(|layer| Cluster::of(churn, layer)).collect();
    // Of a pair the later one goes, which is new here: the old ones keep their positions in the list.
    let mut clusters =
        join_down(churn, clusters, limit, |a, b| Some(sent(a)? + sent(b)?).filter(|_| b.0 >= before.len()));
    for (index, cluster) in clusters.iter_mut().enumerate() {
        let joined = cluster.paths.split_off(before.get(index).map_or(0, |old| old.len));
        cluster.paths.extend(by_name(graph, &joined));
    }
    let clusters = join_down(churn, clusters, limit, |a, b| Some(sent(a)? + sent(b)?));
    Ok(clusters.into_iter().map(Layer::from).collect())
}

/// A layer before anything new joined it.
struct Before {
    /// How many paths it had.
    len: usize,
    /// Whether it was a layer of the previous plan.
    same: bool,
}

/// The old layers that still hold something, and those that a user asks for: instead of the first old layer that holds
/// nothing else, or on top.
fn with_pinned(old: Vec<Vec<u32>>, pinned: &[Vec<u32>]) -> Vec<Layer> {
    let owner: HashMap<u32, usize> =
        pinned.iter().enumerate().flat_map(|(index, paths)| paths.iter().map(move |&path| (path, index))).collect();
    let mut homeless: BTreeMap<usize, &Vec<u32>> = pinned.iter().enumerate().collect();
    let mut layers = Vec::new();
    for mut paths in old {
        let whose = paths.first().and_then(|path| owner.get(path));
        let only = whose.filter(|_| paths.iter().all(|path| owner.get(path) == whose));
        if let Some(wanted) = only.and_then(|index| homeless.remove(index)) {
            let kept = sorted(paths.iter().copied());
            paths.extend(wanted.iter().filter(|path| kept.binary_search(path).is_err()));
            layers.push(Layer::pinned(paths));
            continue;
        }
        paths.retain(|path| !owner.contains_key(path));
        if !paths.is_empty() {
            layers.push(Layer::free(paths));
        }
    }
    layers.extend(homeless.into_values().map(|paths| Layer::pinned(paths.clone())));
    layers
}

fn sorted(paths: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut sorted: Vec<u32> = paths.collect();
    sorted.sort_unstable();
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, path};
    use crate::{Settings, plan};
    use layerstone_closure::{Closure, PathInfo};
    use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};
    use std::num::NonZeroUsize;

    /// A plan of names, `/nix/store/h-NAME`; `~` before those of another hash.
    fn previous(layers: &str) -> Previous {
        let path = |name: &str| match name.strip_prefix('~') {
            Some(name) => StorePath::parse(&format!("/nix/store/o-{name}")).unwrap(),
            None => path(name),
        };
        let layer = |layer: &str| layer.split(' ').map(path).collect();
        Previous::new("old.json", Plan::new(layers.split(", ").map(layer).collect()))
    }

    fn names(plan: &Plan) -> String {
        let names = |layer: &Vec<StorePath>| layer.iter().map(StorePath::name).collect::<Vec<_>>().join(" ");
        plan.layers.iter().map(names).collect::<Vec<_>>().join(", ")
    }

    fn follow(closure: &str, old: &str, limit: usize, pinned: &[&str]) -> Result<Plan> {
        let pinned = pinned.iter().map(|patterns| patterns.parse().unwrap()).collect();
        let limit = NonZeroUsize::new(limit).unwrap();
        plan(&sample::closure(closure), &Settings { pinned, previous: Some(previous(old)), ..Settings::new(limit) })
    }

    #[track_caller]
    fn check(closure: &str, old: &str, limit: usize, pinned: &[&str], expected: &str) {
        assert_eq!(names(&follow(closure, old, limit, pinned).unwrap()), expected);
    }

    #[test]
    fn each_path_keeps_its_position() {
        check("a 1: ; b 1: ; c 1: ; d 1:", "c a, d b", 2, &[], "c a, d b");
        check("a 1: ; b 1: ; c 1: ; d 1:", "c ~a, ~d b", 2, &[], "c a, d b");
        check(
            "ssl-3.0.13 1: ; ssl-3.0.13-bin 1:",
            "~ssl-3.0.11-bin, x ~ssl-3.0.11",
            9,
            &[],
            "ssl-3.0.13-bin, ssl-3.0.13",
        );
        // The very path before the name, the name before the package.
        check("a-1 1: ; a-2 1: ; a-3 1:", "~a-2, a-2 ~a-1, a-0", 9, &[], "a-3, a-2 a-1");
    }

    #[test]
    fn what_is_gone_leaves_its_position() {
        check("a 1: ; c 1:", "a b, b2, c", 3, &[], "a, c");
    }

    #[test]
    fn new_paths_go_where_they_cost_least() {
        let closure = "app 9: lib new; new 3: libc; lib 2: libc; libc 100:";
        check(closure, "libc, lib, app", 9, &[], "libc, lib, app, new");
        check(closure, "libc, lib, app", 3, &[], "libc, lib new, app");
        check("app 3: new; new 1: libc; lib 20: libc; libc 100:", "libc, lib, app", 3, &[], "libc, lib, app new");
        check("app 1: ; new2 1: ; new1 1: ; new3 50: ", "app", 3, &[], "app, new1 new2, new3");
        check("app 1: ; new2 1: ; new1 1: ; new3 50: ", "~app", 3, &[], "app new1, new2, new3");
        check("app 1: ; new2 1: ; new1 1: ; new3 50: ", "app", 2, &[], "app new1 new2, new3");
        check("app 1: ; new2 1: ; new1 1: ; new3 50: ", "app", 1, &[], "app new1 new2 new3");
    }

    #[test]
    fn old_layers_are_joined_only_for_the_limit() {
        let closure = "app 9: lib; lib 2: libc; libc 100: ; data 50: ; new 1: ";
        check(closure, "libc, app, data, lib", 4, &[], "libc, app, data, lib new");
        check(closure, "libc, app, data, lib", 3, &[], "libc, app lib new, data");
        check(closure, "libc, app, data, lib", 1, &[], "libc app lib new data");
    }

    #[test]
    fn layers_asked_for_keep_their_position_too() {
        let closure = "a 1: ; b 1: ; c 1: ; d 1: ";
        check(closure, "c, b a, d", 9, &["a,b"], "c, b a, d");
        check(closure, "c, b, d, a", 9, &["a,b"], "c, b a, d");
        check(closure, "c a, b d", 9, &["a,b"], "c, d, a b");
        check(closure, "a b, c", 4, &["a"], "b, c, a, d");
        check(closure, "a b, c", 3, &["a"], "b d, c, a");
        check(closure, "a b, c", 3, &["a", "d"], "b c, a, d");
    }

    #[test]
    fn an_empty_plan_keeps_nothing() {
        let closure = sample::closure("app 9: lib; lib 2: libc; libc 100:");
        let settings = Settings::new(NonZeroUsize::new(2).unwrap());
        let previous = Some(Previous::new("old.json", Plan::default()));
        assert_eq!(plan(&closure, &Settings { previous, ..settings.clone() }), plan(&closure, &settings));
    }

    #[test]
    fn what_cannot_be_followed() {
        let error = follow("a 1:", "b, c", 1, &[]).unwrap_err().to_string();
        let expected =
            "previous plan of something else: old.json: neither a path nor a name in it is one of the closure's";
        assert_eq!(error, expected);
        let guix = Plan::new(vec![vec![StorePath::parse("/gnu/store/h-a").unwrap()]]);
        let settings = Settings { previous: Some(Previous::new("old.json", guix)), ..Settings::new(NonZeroUsize::MIN) };
        let error = plan(&sample::closure("a 1:"), &settings).unwrap_err().to_string();
        let expected = "previous plan of another store: old.json: found paths in /gnu/store, expected /nix/store";
        assert_eq!(error, expected);
        assert_eq!(plan(&sample::closure(""), &settings), Ok(Plan::default()));
    }

    /// A closure of so many paths, whose names have the versions and hash parts of a time.
    fn closure_at(paths: &[(u8, u8, Vec<usize>)]) -> Closure {
        let path = |index: usize| {
            let (version, hash, _) = paths[index];
            StorePath::parse(&format!("/nix/store/{hash}-p{index}-{version}")).unwrap()
        };
        let info = |(index, (_, _, references)): (usize, &(u8, u8, Vec<usize>))| PathInfo {
            path: path(index),
            nar_hash: None,
            nar_size: Some(index as u64 * 7 % 50),
            references: references
                .iter()
                .filter(|&&other| other > index && other < paths.len())
                .map(|&i| path(i))
                .collect(),
        };
        Closure { graph: paths.iter().enumerate().map(info).collect() }
    }

    fn closures() -> impl Strategy<Value = Closure> {
        let path = (0u8..2, 0u8..2, proptest::collection::vec(0usize..40, 0..4));
        proptest::collection::vec(path, 1..40).prop_map(|paths| closure_at(&paths))
    }

    proptest! {
        #[test]
        fn the_same_closure_the_same_plan(closure in closures(), limit in 1usize..50) {
            let settings = Settings::new(NonZeroUsize::new(limit).unwrap());
            let first = plan(&closure, &settings).unwrap();
            let previous = Some(Previous::new("old", first.clone()));
            prop_assert_eq!(plan(&closure, &Settings { previous, ..settings }), Ok(first));
        }

        /// Every path once, the limit kept, and what was together is together; where there was room for all, layers of
        /// unchanged paths are the same.
        #[test]
        fn what_was_together_stays_together(
            old in closures(), new in closures(), limits in (1usize..30, 1usize..30), min_size in 0u64..90
        ) {
            let settings = |limit| Settings { min_size, ..Settings::new(NonZeroUsize::new(limit).unwrap()) };
            let first = plan(&old, &settings(limits.0)).unwrap();
            let previous = Some(Previous::new("old", first.clone()));
            let second = plan(&new, &Settings { previous, min_size: 0, ..settings(limits.1) }).unwrap();
            prop_assert_eq!(crate::Draft::from(&second).findings(None), []);
            prop_assert!(second.layers.len() <= limits.1);
            let mut paths: Vec<&StorePath> = second.layers.iter().flatten().collect();
            paths.sort();
            let mut expected: Vec<&StorePath> = new.graph.iter().map(|info| &info.path).collect();
            expected.sort();
            prop_assert_eq!(&paths, &expected);
            let layer_of = |path: &StorePath| second.layers.iter().position(|layer| layer.contains(path));
            for layer in &first.layers {
                let same: Vec<&StorePath> = layer.iter().filter(|path| expected.binary_search(path).is_ok()).collect();
                prop_assert!(same.windows(2).all(|pair| layer_of(pair[0]) == layer_of(pair[1])));
                let room = first.layers.len() + new.graph.len() <= limits.1;
                prop_assert!(!room || same.len() < layer.len() || second.layers.contains(layer));
            }
        }
    }
}
