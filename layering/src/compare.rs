//! Compares two plans: which layers of the new one a registry that has the old one must receive, and why.
//!
//! Layers of equal lists of paths have equal bytes. A store path that changes has another name, so every other layer is
//! sent: because it holds paths that the old plan has not, or because it groups or orders paths in another way.

use crate::{Error, Plan, Result};
use layerstone_closure::{Closure, difference};
use layerstone_store::StorePath;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The layers of a new plan that a holder of the old one must receive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The layers of the new plan, bottom first.
    pub layers: Vec<ComparedLayer>,
    /// The paths of the old plan that are in no layer of the new one and that no path replaces, by name.
    pub removed: Vec<StorePath>,
    /// What is there already.
    pub there: Sum,
    /// What is sent.
    pub sent: Sum,
    /// About how many bytes that are, if a closure is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

/// What is sent, in compressed bytes: a plan has none, so that these are shares of the sizes of NARs.
///
/// The shares were measured on the closure of 608 paths that docs/updates.md is about, of two releases of Debian. What is said of
/// other closures is as good as they are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Of whole layers.
    pub compressed: u64,
    /// Of the chunks of zstd:chunked that are new, and the tables of the layers.
    pub chunks: u64,
}

impl Estimate {
    /// Compressed bytes of ten thousand.
    const COMPRESSED: u128 = 3520;
    /// Bytes of new chunks of ten thousand of a path that replaces another.
    const RENAMED: u128 = 575;
    /// Bytes of the table of ten thousand of a layer.
    const TABLE: u128 = 79;

    /// Of so many bytes of layers, in which so many are of paths that replace others and so many of new ones.
    fn of(layers: u64, renamed: u64, added: u64) -> Estimate {
        let [compressed, added] = [layers, added].map(|bytes| narrow(share(bytes.into(), Estimate::COMPRESSED)));
        let renamed = narrow(Estimate::of_chunks(layers.into(), renamed.into()));
        Estimate { compressed, chunks: renamed.saturating_add(added) }
    }

    /// What a client of chunks fetches of so many bytes of layers, in which so many are of paths that replace others.
    pub(crate) fn of_chunks(layers: u128, renamed: u128) -> u128 {
        share(renamed, Estimate::RENAMED).saturating_add(share(layers, Estimate::TABLE))
    }
}

/// So many bytes of ten thousand.
fn share(bytes: u128, of_ten_thousand: u128) -> u128 {
    bytes.saturating_mul(of_ten_thousand) / 10_000
}

fn narrow(bytes: u128) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// A layer of the new plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComparedLayer {
    /// Its paths, in the plan's order.
    pub paths: Vec<StorePath>,
    /// Bytes of their NARs, if a closure is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Whether it is sent, and why.
    #[serde(flatten)]
    pub state: LayerState,
}

/// Whether a layer is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum LayerState {
    /// The old plan has a layer of the same list of paths.
    There,
    /// The old plan has a layer of the same paths in another order.
    Reordered,
    /// The old plan has these paths in other layers or beside other paths.
    Regrouped,
    /// It holds paths that the old plan has not.
    Updated {
        /// Paths that replace others, by name.
        changed: Vec<Renamed>,
        /// Paths that replace nothing, by name.
        added: Vec<StorePath>,
    },
}

/// A path that replaces another of the same name, or of the same package in another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// What the old plan has.
    pub old: StorePath,
    /// What the new plan has.
    pub new: StorePath,
}

/// Several layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many there are.
    pub layers: usize,
    /// How many paths they hold.
    pub paths: usize,
    /// Bytes of the paths' NARs, if a closure is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Compares two plans; sizes are those of the closure of the new one, if it is given.
///
/// # Errors
///
/// The plans are about two stores, the closure does not hold a path of the new plan or lacks its size, or the
/// sizes add up to more than can be.
pub fn compare(old: &Plan, new: &Plan, closure: Option<&Closure>) -> Result<Comparison> {
    check_stores(old, new)?;
    let sizes: Option<HashMap<&StorePath, Option<u64>>> =
        closure.map(|closure| closure.graph.iter().map(|info| (&info.path, info.nar_size)).collect());
    let size = |layer: &[StorePath]| sizes.as_ref().map(|sizes| size_of(layer, sizes)).transpose();
    let paths = difference(&old.items(), &new.items());
    let renamed: HashMap<&StorePath, &StorePath> =
        paths.changed.iter().map(|change| (&change.new.path, &change.old.path)).collect();
    let old_paths: HashSet<&StorePath> = old.layers.iter().flatten().collect();
    let lists: HashSet<&[StorePath]> = old.layers.iter().map(Vec::as_slice).collect();
    let sets: HashSet<BTreeSet<&StorePath>> = old.layers.iter().map(|layer| layer.iter().collect()).collect();
    let state = |layer: &[StorePath]| {
        if lists.contains(layer) {
            LayerState::There
        } else if sets.contains(&layer.iter().collect()) {
            LayerState::Reordered
        } else {
            updated(layer.iter().filter(|path| !old_paths.contains(path)).collect(), &renamed)
        }
    };
    let compared =
        |paths: &Vec<StorePath>| Ok(ComparedLayer { paths: paths.clone(), size: size(paths)?, state: state(paths) });
    let layers: Vec<ComparedLayer> = new.layers.iter().map(compared).collect::<Result<_>>()?;
    let (there, sent) = layers.iter().partition(|layer| layer.state == LayerState::There);
    let sum = |layers: Vec<&ComparedLayer>| -> Result<Sum> {
        Ok(Sum {
            layers: layers.len(),
            paths: layers.iter().map(|layer| layer.paths.len()).sum(),
            size: closure.map(|_| total(layers.iter().filter_map(|layer| layer.size).map(Ok))).transpose()?,
        })
    };
    let (there, sent) = (sum(there)?, sum(sent)?);
    let (mut replacing, mut added) = (Vec::new(), Vec::new());
    for path in new.layers.iter().flatten().filter(|path| !old_paths.contains(path)) {
        if renamed.contains_key(path) { &mut replacing } else { &mut added }.push(path.clone());
    }
    let estimate = sent.size.zip(size(&replacing)?).zip(size(&added)?);
    let estimate = estimate.map(|((layers, renamed), added)| Estimate::of(layers, renamed, added));
    let removed = paths.removed.into_iter().map(|item| item.path).collect();
    Ok(Comparison { removed, there, sent, estimate, layers })
}

fn check_stores(old: &Plan, new: &Plan) -> Result<()> {
    match (old.store_dir(), new.store_dir()) {
        (Some(old), Some(new)) if old != new => Err(Error::TwoStores { old: old.to_owned(), new: new.to_owned() }),
        _ => Ok(()),
    }
}

fn size_of(layer: &[StorePath], sizes: &HashMap<&StorePath, Option<u64>>) -> Result<u64> {
    let size = |path: &StorePath| {
        let size = sizes.get(path).ok_or_else(|| Error::NotInClosure { path: path.clone() })?;
        size.ok_or_else(|| Error::NoSize { path: path.clone(), purpose: "comparing plans" })
    };
    total(layer.iter().map(size))
}

/// A sum of sizes of others, which may overflow.
fn total(mut sizes: impl Iterator<Item = Result<u64>>) -> Result<u64> {
    sizes.try_fold(0_u64, |sum, size| sum.checked_add(size?).ok_or(Error::TooLarge))
}

/// The state of a layer that holds these paths which the old plan has not.
fn updated(mut unknown: Vec<&StorePath>, renamed: &HashMap<&StorePath, &StorePath>) -> LayerState {
    if unknown.is_empty() {
        return LayerState::Regrouped;
    }
    unknown.sort_by_key(|path| (path.name(), *path));
    let (mut changed, mut added) = (Vec::new(), Vec::new());
    for path in unknown {
        match renamed.get(path) {
            Some(&old) => changed.push(Renamed { old: old.clone(), new: path.clone() }),
            None => added.push(path.clone()),
        }
    }
    LayerState::Updated { changed, added }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, closure};

    /// The store path of `HASH:NAME`.
    fn path(text: &str) -> StorePath {
        let (hash, name) = text.split_once(':').unwrap();
        StorePath::parse(&format!("/nix/store/{}-{name}", hash.repeat(32))).unwrap()
    }

    fn plan(layers: &[&str]) -> Plan {
        Plan::new(layers.iter().map(|layer| layer.split(' ').map(path).collect()).collect())
    }

    fn names(paths: &[StorePath]) -> String {
        paths.iter().map(|path| path.name()).collect::<Vec<_>>().join(" ")
    }

    fn text(layer: &ComparedLayer) -> String {
        match &layer.state {
            LayerState::There => "there".to_owned(),
            LayerState::Reordered => "reordered".to_owned(),
            LayerState::Regrouped => "regrouped".to_owned(),
            LayerState::Updated { changed, added } => {
                let change = |change: &Renamed| format!("{}>{}", change.old.name(), change.new.name());
                format!("changed {} added {}", changed.iter().map(change).collect::<Vec<_>>().join(" "), names(added))
            }
        }
    }

    #[track_caller]
    fn check(old: &[&str], new: &[&str], expected: &[&str], removed: &str) {
        let found = compare(&plan(old), &plan(new), None).unwrap();
        assert_eq!(found.layers.iter().map(text).collect::<Vec<_>>(), expected);
        assert_eq!(names(&found.removed), removed);
        let there = expected.iter().filter(|state| **state == "there").count();
        assert_eq!([found.there.layers, found.sent.layers], [there, new.len() - there]);
        assert_eq!(
            found.there.paths + found.sent.paths,
            new.iter().map(|layer| layer.split(' ').count()).sum::<usize>()
        );
    }

    #[test]
    fn what_chunks_are_estimated_at() {
        assert_eq!(Estimate::of(0, 0, 0), Estimate::default());
        // Paths that moved to another layer cost its table alone.
        assert_eq!(Estimate::of(100_000, 0, 0), Estimate { compressed: 35_200, chunks: 790 });
        assert_eq!(Estimate::of(100_000, 100_000, 0), Estimate { compressed: 35_200, chunks: 6_540 });
        assert_eq!(Estimate::of(100_000, 60_000, 40_000), Estimate { compressed: 35_200, chunks: 18_320 });
        assert_eq!(
            Estimate::of(u64::MAX, u64::MAX, u64::MAX).compressed,
            u64::MAX / 10_000 * 3520 + 1615 * 3520 / 10_000
        );
    }

    #[test]
    fn why_a_layer_is_sent() {
        check(&["a:libc", "b:lib c:app"], &["b:lib c:app", "a:libc"], &["there", "there"], "");
        check(&["a:libc", "b:lib c:app"], &["a:libc", "c:app b:lib"], &["there", "reordered"], "");
        check(&["a:libc", "b:lib c:app"], &["a:libc b:lib", "c:app"], &["regrouped", "regrouped"], "");
        check(
            &["a:libc", "b:lib c:app d:doc"],
            &["a:libc", "b:lib f:app"],
            &["there", "changed app>app added "],
            "doc",
        );
        check(
            &["a:libc-2.36 b:zlib-1.3"],
            &["f:libc-2.38 b:zlib-1.3", "0:zstd-1.5 1:curl-8"],
            &["changed libc-2.36>libc-2.38 added ", "changed  added curl-8 zstd-1.5"],
            "",
        );
        check(&[], &["a:libc"], &["changed  added libc"], "");
        check(&["a:libc"], &[], &[], "libc");
    }

    #[test]
    fn sizes_are_those_of_the_new_closure() {
        let of_sample = |layers: &[&str]| {
            Plan::new(layers.iter().map(|layer| layer.split(' ').map(crate::sample::path).collect()).collect())
        };
        let (old, new) = (of_sample(&["libc", "lib old"]), of_sample(&["libc", "app lib"]));
        let found = compare(&old, &new, Some(&sample::closure("app 7: lib; lib 20: libc; libc 100:"))).unwrap();
        assert_eq!(found.layers.iter().map(|layer| layer.size).collect::<Vec<_>>(), [Some(100), Some(27)]);
        assert_eq!(found.there, Sum { layers: 1, paths: 1, size: Some(100) });
        assert_eq!(found.sent, Sum { layers: 1, paths: 2, size: Some(27) });
        let error = |text: &str| compare(&old, &new, Some(&sample::closure(text))).unwrap_err().to_string();
        let absent = "not a plan of the closure: /nix/store/h-app: the closure does not hold it";
        assert_eq!(error("lib 20: libc; libc 100:"), absent);
        // Of one layer, and of several.
        let (most, plan) = (u64::MAX, of_sample(&["app lib", "libc"]));
        let expected = format!("sizes too large: found more than {most} bytes in all, expected less");
        for sizes in [[most, 1, 0], [most, 0, most]] {
            let [app, lib, libc] = sizes;
            let text = format!("app {app}: lib; lib {lib}: libc; libc {libc}:");
            let nothing = Plan::new(Vec::new());
            let found = compare(&nothing, &plan, Some(&sample::closure(&text)));
            assert_eq!(found.unwrap_err().to_string(), expected);
        }
        let error = compare(&old, &new, Some(&closure("app: lib; lib: libc; libc:"))).unwrap_err().to_string();
        assert_eq!(error, "unknown size: /nix/store/h-libc: comparing plans needs the narSize of every path");
    }

    #[test]
    fn plans_of_two_stores() {
        let guix = Plan::new(vec![vec![StorePath::parse("/gnu/store/h-libc").unwrap()]]);
        let error = compare(&plan(&["a:libc"]), &guix, None).unwrap_err().to_string();
        assert_eq!(error, "plans of two stores: found /nix/store in the old one, /gnu/store in the new one");
        assert!(compare(&Plan::default(), &guix, None).is_ok());
    }
}
