//! Finds all faults of a plan that another program made, not only the first.
//!
//! A [`Draft`] is a plan as it is written. What is wrong with it by itself is wrong in any plan file; what is wrong
//! with it for a closure shows in [`check()`].

use crate::draft::Draft;
use crate::{Error, Result};
use layerstone_closure::Closure;
use layerstone_store::{StorePath, counted};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::num::NonZeroUsize;

/// One thing that is wrong with a plan. Layers are counted from 0, the bottom one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Finding {
    /// What stands in a layer is no store path.
    NoStorePath {
        /// The layer.
        layer: usize,
        /// What is wrong with it.
        cause: String,
    },
    /// Paths of another store directory than that of the closure, or of the plan's first path.
    OtherStore {
        /// The first layer that holds one.
        layer: usize,
        /// How many there are.
        paths: usize,
        /// Their store directory.
        found: String,
        /// The store directory that all should have.
        expected: String,
    },
    /// A layer holds nothing.
    Empty {
        /// The layer.
        layer: usize,
    },
    /// A path stands more than once.
    Again {
        /// The path.
        path: String,
        /// Where it stands first.
        first: usize,
        /// Where it stands again.
        layer: usize,
    },
    /// The closure does not hold a path.
    NotInClosure {
        /// The path.
        path: String,
        /// Where it stands.
        layer: usize,
    },
    /// A path that should be left out is not.
    Excluded {
        /// The path.
        path: String,
        /// Where it stands.
        layer: usize,
    },
    /// A path of the closure is in no layer.
    Missing {
        /// The path.
        path: StorePath,
    },
    /// There are more layers than there may be.
    TooMany {
        /// How many there are.
        layers: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::NoStorePath { layer, cause } => write!(f, "layer {layer}: {cause}"),
            Finding::OtherStore { layer, paths, found, expected } => {
                let noun = if *paths == 1 { "path" } else { "paths" };
                write!(f, "found {paths} {noun} of the store {found} from layer {layer} on, expected {expected}")
            }
            Finding::Empty { layer } => write!(f, "layer {layer} is empty"),
            Finding::Again { path, first, layer } => {
                write!(f, "{path} stands in layer {first} and again in layer {layer}")
            }
            Finding::NotInClosure { path, layer } => write!(f, "{path} in layer {layer} is not in the closure"),
            Finding::Excluded { path, layer } => write!(f, "{path} in layer {layer} is excluded"),
            Finding::Missing { path } => write!(f, "{path} is in no layer"),
            Finding::TooMany { layers, limit } => {
                write!(f, "found {}, expected at most {limit}", counted(*layers, "layer"))
            }
        }
    }
}

impl Draft {
    /// What is wrong with it in itself, whatever the closure is; `store` is the store directory, that of the first path
    /// unless given. By kind, then by layer.
    pub fn findings(&self, store: Option<&str>) -> Vec<Finding> {
        let mut seen = HashMap::new();
        let (mut findings, mut again) = (Vec::new(), Vec::new());
        let mut stores: Vec<(String, usize, usize)> = Vec::new();
        for (layer, text) in self.texts() {
            match StorePath::parse(text) {
                Ok(path) => match stores.iter_mut().find(|(store, ..)| store == path.store_dir()) {
                    Some((_, _, paths)) => *paths += 1,
                    None => stores.push((path.store_dir().to_owned(), layer, 1)),
                },
                Err(e) => findings.push(Finding::NoStorePath { layer, cause: e.to_string() }),
            }
            match seen.get(text) {
                Some(&first) => again.push(Finding::Again { path: text.to_owned(), first, layer }),
                None => drop(seen.insert(text, layer)),
            }
        }
        let expected = store.or(stores.first().map(|(store, ..)| &**store)).unwrap_or_default().to_owned();
        let others = stores.into_iter().filter(|(found, ..)| *found != expected);
        findings.extend(others.map(|(found, layer, paths)| {
            let expected = expected.clone();
            Finding::OtherStore { layer, paths, found, expected }
        }));
        let empty = (0..).zip(&self.layers).filter(|(_, layer)| layer.is_empty());
        findings.extend(empty.map(|(layer, _)| Finding::Empty { layer }));
        findings.extend(again);
        findings
    }

    /// All that stands in layers, with the number of the layer.
    fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        (0..).zip(&self.layers).flat_map(|(layer, texts)| texts.iter().map(move |text| (layer, &**text)))
    }
}

/// What is wrong with a plan for a closure; nothing if it may replace one of ours: every path that is not
/// excluded in exactly one layer, no other path, no empty layer, and no more layers than `limit`. By kind: what is
/// wrong with the plan in itself, what it holds and should not, what it does not hold, too many layers.
///
/// # Errors
///
/// An excluded path is not in the closure.
pub fn check(
    draft: &Draft,
    closure: &Closure,
    exclude: &BTreeSet<StorePath>,
    limit: Option<NonZeroUsize>,
) -> Result<Vec<Finding>> {
    let wanted: BTreeMap<&str, &StorePath> =
        closure.graph.iter().map(|info| (info.path.as_str(), &info.path)).collect();
    if let Some(path) = exclude.iter().find(|path| !wanted.contains_key(path.as_str())) {
        return Err(Error::AbsentExclusion { path: path.clone() });
    }
    let store = closure.graph.first().map(|info| info.path.store_dir());
    let mut findings = draft.findings(store);
    let is_of_store = |text: &str| StorePath::parse(text).is_ok_and(|path| Some(path.store_dir()) == store);
    let mut seen = HashSet::new();
    for (layer, text) in draft.texts().filter(|(_, text)| seen.insert(*text)) {
        let path = text.to_owned();
        match wanted.get(text) {
            Some(planned) if exclude.contains(*planned) => findings.push(Finding::Excluded { path, layer }),
            None if store.is_none() || is_of_store(text) => findings.push(Finding::NotInClosure { path, layer }),
            _ => {}
        }
    }
    let missing = wanted.values().filter(|path| !exclude.contains(**path) && !seen.contains(path.as_str()));
    findings.extend(missing.map(|path| Finding::Missing { path: (*path).clone() }));
    if let Some(limit) = limit.map(NonZeroUsize::get)
        && draft.layers.len() > limit
    {
        findings.push(Finding::TooMany { layers: draft.layers.len(), limit });
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{closure, path};

    const CLOSURE: &str = "app: lib tool; tool: lib; lib:";

    /// What is wrong with a plan for `app: lib tool; tool: lib; lib:`; a word without slash is the name of a path.
    #[track_caller]
    fn check(layers: &[&str], exclude: &str, limit: usize, expected: &[&str]) {
        let text = |word: &str| if word.contains('/') { word.to_owned() } else { path(word).to_string() };
        let layers = layers.iter().map(|layer| layer.split_whitespace().map(text).collect()).collect();
        let exclude = exclude.split_whitespace().map(path).collect();
        let findings = super::check(
            &Draft { layers, nar_hashes: BTreeMap::new() },
            &closure(CLOSURE),
            &exclude,
            NonZeroUsize::new(limit),
        )
        .unwrap();
        let expected: Vec<String> = expected.iter().map(|text| text.replace("h-", "/nix/store/h-")).collect();
        assert_eq!(findings.iter().map(Finding::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn good_plans() {
        check(&["lib", "tool app"], "", 2, &[]);
        check(&["tool lib app"], "", 0, &[]);
        check(&["lib", "tool"], "app", 9, &[]);
        check(&[], "app tool lib", 1, &[]);
    }

    #[test]
    fn one_thing_is_wrong() {
        check(&["lib", "app"], "", 0, &["h-tool is in no layer"]);
        check(&["lib", "tool", "app lib"], "", 0, &["h-lib stands in layer 0 and again in layer 2"]);
        check(&["lib", "tool x", "app"], "", 0, &["h-x in layer 1 is not in the closure"]);
        check(&["lib", "", "tool app"], "", 0, &["layer 1 is empty"]);
        check(&["lib", "tool", "app"], "", 2, &["found 3 layers, expected at most 2"]);
        check(&["lib", "tool", "app"], "app", 3, &["h-app in layer 2 is excluded"]);
    }

    #[test]
    fn everything_is_wrong() {
        check(
            &["a/b lib", "", "lib x /s/x", "/t/y /t/z x lib"],
            "app",
            3,
            &[
                "layer 0: not a store path: \"a/b\": expected an absolute path below a store directory, such as \
                 /nix/store/HASH-NAME",
                "found 1 path of the store /s from layer 2 on, expected /nix/store",
                "found 2 paths of the store /t from layer 3 on, expected /nix/store",
                "layer 1 is empty",
                "h-lib stands in layer 0 and again in layer 2",
                "h-x stands in layer 2 and again in layer 3",
                "h-lib stands in layer 0 and again in layer 3",
                "h-x in layer 2 is not in the closure",
                "h-tool is in no layer",
                "found 4 layers, expected at most 3",
            ],
        );
    }

    /// Without a closure to compare with, the first path tells the store.
    #[test]
    fn a_plan_by_itself() {
        let draft = |text: &str| Draft::parse(text.as_bytes(), "x.json").unwrap();
        assert_eq!(draft(r#"[["/s/a"],["/s/b","/s/c"]]"#).findings(None), []);
        let other = Finding::OtherStore { layer: 1, paths: 1, found: "/t".to_owned(), expected: "/s".to_owned() };
        assert_eq!(draft(r#"[["/s/a"],["/s/b","/t/a"]]"#).findings(None), [other]);
        let empty = super::check(&draft(r#"[["/s/a"]]"#), &closure(""), &BTreeSet::new(), None).unwrap();
        assert_eq!(empty, [Finding::NotInClosure { path: "/s/a".to_owned(), layer: 0 }]);
    }

    #[test]
    fn absent_exclusions_are_errors() {
        let error = super::check(&Draft::default(), &closure("a:"), &BTreeSet::from([path("b")]), None).unwrap_err();
        assert_eq!(error, Error::AbsentExclusion { path: path("b") });
    }
}
