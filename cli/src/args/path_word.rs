//! A store path on the command line: the path itself, or a pattern of names.

use crate::message::hint::USELESS_PATTERN;
use anyhow::Result;
use layerstone_closure::Closure;
use layerstone_layering::Pattern;
use layerstone_pipeline::Error;
use layerstone_store::StorePath;
use std::collections::BTreeSet;

/// What stands for one store path or for several.
#[derive(Clone, Debug)]
pub enum PathWord {
    /// The path.
    Path(StorePath),
    /// All paths of a closure that it matches.
    Pattern(Pattern),
}

impl PathWord {
    /// Reads a word: what begins with a slash and has no asterisk is a path.
    pub fn parse(text: &str) -> Result<PathWord, String> {
        if text.starts_with('/') && !text.contains('*') {
            return StorePath::parse(text).map(PathWord::Path).map_err(|error| error.to_string());
        }
        text.parse().map(PathWord::Pattern).map_err(|error: layerstone_layering::Error| error.to_string())
    }

    /// All paths that words stand for in closures. A pattern that matches none is an error.
    pub fn paths_of(words: &[PathWord], closures: &[Closure]) -> Result<BTreeSet<StorePath>> {
        let mut paths = BTreeSet::new();
        for word in words {
            let pattern = match word {
                PathWord::Path(path) => {
                    paths.insert(path.clone());
                    continue;
                }
                PathWord::Pattern(pattern) => pattern,
            };
            let all = closures.iter().flat_map(|closure| &closure.graph).map(|info| &info.path);
            let matched: Vec<&StorePath> = all.filter(|path| pattern.matches(path)).collect();
            if matched.is_empty() {
                let message = format!("useless pattern: {pattern}: it matches no path of the closure");
                return Err(Error::advised(message, USELESS_PATTERN).into());
            }
            paths.extend(matched.into_iter().cloned());
        }
        Ok(paths)
    }
}
