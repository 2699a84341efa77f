//! A plan as JSON, whoever made it: whether it divides a closure, and what of it an older image lacks.

use crate::bench::layering::closure::Closure;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Layers of store paths.
#[derive(Deserialize)]
pub struct Plan {
    layers: Vec<Vec<String>>,
}

impl Plan {
    pub fn read(file: &Path) -> Result<Plan> {
        let text = fs::read(file).with_context(|| format!("cannot read: {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("no plan: {}", file.display()))
    }

    /// Its layers.
    pub fn into_layers(self) -> Vec<Vec<String>> {
        self.layers
    }

    /// Its layers as positions in the closure; an error unless they hold every path once, none is empty, and there are
    /// no more than the limit allows.
    pub fn divide(&self, closure: &Closure, limit: usize) -> Result<Vec<Vec<usize>>> {
        ensure!(self.layers.len() <= limit, "the plan has {} layers, expected at most {limit}", self.layers.len());
        ensure!(self.layers.iter().all(|layer| !layer.is_empty()), "the plan has an empty layer");
        let mut positions = closure.positions();
        let mut take = |path: &String| {
            positions
                .remove(path.as_str())
                .with_context(|| format!("the plan has a path twice, or a strange one: {path}"))
        };
        let divided: Result<_> = self.layers.iter().map(|layer| layer.iter().map(&mut take).collect()).collect();
        ensure!(divided.is_err() || positions.is_empty(), "the plan lacks {} paths", positions.len());
        divided
    }

    /// Bytes of this plan's layers that an image of the old plan does not have. A layer is the same if it is the same
    /// list: its tar holds the paths in this order.
    pub fn bytes_beyond(&self, old: &Plan, closure: &Closure) -> u64 {
        let old: HashSet<&Vec<String>> = old.layers.iter().collect();
        let positions = closure.positions();
        let new = self.layers.iter().filter(|layer| !old.contains(layer)).flatten();
        new.map(|path| closure.paths[positions[path.as_str()]].size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::layering::closure::tests::{closure, store_path};

    /// A plan from `name name | name`.
    fn plan(text: &str) -> Plan {
        let layer = |layer: &str| layer.split_whitespace().map(store_path).collect();
        Plan { layers: text.split('|').map(layer).collect() }
    }

    #[track_caller]
    fn check(text: &str, limit: usize, expected: Result<Vec<Vec<usize>>, &str>) {
        let found = plan(text).divide(&closure("a 1:\nb 2: a\nc 4: b"), limit);
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn a_plan_divides_its_closure() {
        check("b | c a", 2, Ok(vec![vec![1], vec![2, 0]]));
        check("b | c a", 1, Err("the plan has 2 layers, expected at most 1"));
        check("b | | c a", 3, Err("the plan has an empty layer"));
        check("b | c", 3, Err("the plan lacks 1 paths"));
        let again = format!("the plan has a path twice, or a strange one: {}", store_path("b"));
        check("b | c a b", 3, Err(&again));
        let strange = format!("the plan has a path twice, or a strange one: {}", store_path("d"));
        check("b | c a d", 3, Err(&strange));
    }

    #[track_caller]
    fn check_beyond(old: &str, new: &str, expected: u64) {
        assert_eq!(plan(new).bytes_beyond(&plan(old), &closure("a 1:\nb 2: a\nc 4: b")), expected);
    }

    #[test]
    fn a_layer_is_the_same_if_its_list_is() {
        check_beyond("a | b c", "b c | a", 0);
        check_beyond("a | b c", "a | c b", 6);
        check_beyond("a | b x", "a | b c", 6);
        check_beyond("a b | c", "a | b | c", 3);
        check_beyond("x", "a b c", 7);
    }
}
