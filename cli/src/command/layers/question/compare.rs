//! `layers --compare`: which layers of one plan must still be sent where those of another are.

use crate::out::{print, print_json};
use crate::table::{Table, percent, size, some_of};
use anyhow::Result;
use layerstone_closure::Closure;
use layerstone_layering::{ComparedLayer, Comparison, LayerState, Plan, Renamed, compare};
use layerstone_store::StorePath;
use std::path::Path;

/// Paths named where there are many.
const NAMES: usize = 4;

pub fn run(old: &Path, new: &Path, closure: Option<&Path>, as_json: bool) -> Result<()> {
    let closure = closure.map(Closure::read).transpose()?;
    let found = compare(&Plan::read(old)?, &Plan::read(new)?, closure.as_ref())?;
    if as_json {
        return print_json(&found);
    }
    print(text(&found))
}

fn text(found: &Comparison) -> String {
    let mut table = Table::new(&["layer", "size", "paths", "", "why"], &[0, 1, 2]);
    for (index, layer) in found.layers.iter().enumerate() {
        let size = layer.size.map(size).unwrap_or_default();
        let state = if layer.state == LayerState::There { "there" } else { "sent" };
        table.row(vec![index.to_string(), size, layer.paths.len().to_string(), state.to_owned(), reason(layer)]);
    }
    let mut sums = Table::new(&["", "layers", "paths", "size", ""], &[1, 2, 3, 4]);
    let all = found.there.size.zip(found.sent.size).map(|(kept, sent)| kept.saturating_add(sent));
    for (what, sum) in [("there", &found.there), ("sent", &found.sent)] {
        let share = sum.size.zip(all).map(|(size, all)| percent(size, all)).unwrap_or_default();
        let bytes = sum.size.map(size).unwrap_or_default();
        sums.row(vec![what.to_owned(), sum.layers.to_string(), sum.paths.to_string(), bytes, share]);
    }
    let mut text = format!("{table}\n{sums}");
    if all.is_none() {
        text.push_str("\nSizes are those of the closure of the new plan, if it is given as a third file.\n");
    }
    if !found.removed.is_empty() {
        text.push_str(&format!("\ngone: {}\n", names(&found.removed)));
    }
    text
}

fn reason(layer: &ComparedLayer) -> String {
    match &layer.state {
        LayerState::There => String::new(),
        LayerState::Reordered => "the same paths in another order".to_owned(),
        LayerState::Regrouped => "paths of other layers".to_owned(),
        LayerState::Updated { changed, added } => {
            let changed: Vec<StorePath> = changed.iter().map(|Renamed { new, .. }| new.clone()).collect();
            let parts = [("changed", names(&changed)), ("new", names(added))];
            let parts = parts.iter().filter(|(_, names)| !names.is_empty());
            parts.map(|(what, names)| format!("{what}: {names}")).collect::<Vec<_>>().join("; ")
        }
    }
}

fn names(paths: &[StorePath]) -> String {
    some_of(paths.iter().map(StorePath::name), paths.len(), NAMES)
}
