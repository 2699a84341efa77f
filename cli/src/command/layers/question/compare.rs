//! `layers --compare`: which layers of one plan must still be sent where those of another are.

use crate::args::Common;
use crate::screen::answer::print_answer;
use crate::screen::color::Paint;
use crate::screen::fit::width;
use crate::screen::layer_table::{LayerRow, LayerState, LayerTable, Names};
use crate::screen::out::print;
use crate::screen::table::{Table, percent, size, some_of};
use anyhow::Result;
use layerstone_closure::Closure;
use layerstone_layering::{ComparedLayer, Comparison, Estimate, LayerState as Compared, Plan, Renamed, compare};
use layerstone_store::StorePath;
use std::path::Path;

/// Paths named where there are many.
const NAMES: usize = 4;

/// How it is shown.
#[derive(Clone, Copy)]
pub struct Shown {
    /// As JSON.
    pub json: bool,
    /// Without the layers that are there.
    pub hides: bool,
}

/// Compares two plans.
pub fn run(old: &Path, new: &Path, closure: Option<&Path>, shown: Shown, common: &Common) -> Result<()> {
    let closure = closure.map(Closure::read).transpose()?;
    let found = compare(&Plan::read(old)?, &Plan::read(new)?, closure.as_ref())?;
    if shown.json {
        return print_answer("plan-diff", &found);
    }
    print(text(&found, shown.hides, common.color.of_stdout()))
}

fn text(found: &Comparison, hides: bool, paint: Paint) -> String {
    let row = |layer: &ComparedLayer| LayerRow {
        size: layer.size,
        state: Some(if layer.state == Compared::There { LayerState::There } else { LayerState::Sent }),
        numbers: vec![layer.paths.len().to_string()],
        holds: Names::of(&layer.paths),
        why: Names::all(Some(reason(layer)).filter(|reason| !reason.is_empty())),
        ..LayerRow::default()
    };
    let rows = found.layers.iter().map(row).collect();
    let table =
        LayerTable { rows, numbers: vec!["paths"], why: Some("why"), hides: hides.then_some(LayerState::There) };
    let table = table.text(width(), paint);
    let mut sums = Table::new(&["", "layers", "paths", "size", ""], &[1, 2, 3, 4]);
    let all = found.there.size.zip(found.sent.size).map(|(kept, sent)| kept.saturating_add(sent));
    for (what, sum) in [("there", &found.there), ("sent", &found.sent)] {
        let share = sum.size.zip(all).map(|(size, all)| percent(size, all)).unwrap_or_default();
        let bytes = sum.size.map(size).unwrap_or_default();
        sums.row(vec![what.to_owned(), sum.layers.to_string(), sum.paths.to_string(), bytes, share]);
    }
    let mut text = format!("{table}\n{sums}");
    if let Some(Estimate { compressed, chunks }) = found.estimate.filter(|_| found.sent.layers > 0) {
        let [compressed, chunks] = [compressed, chunks].map(size);
        text.push_str(&format!(
            "\nAbout {compressed} when it is compressed, {chunks} for a client of chunks (zstd:chunked): estimates by Debian's \
             updates.\n"
        ));
    }
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
        Compared::There => String::new(),
        Compared::Reordered => "the same paths in another order".to_owned(),
        Compared::Regrouped => "paths of other layers".to_owned(),
        Compared::Updated { changed, added } => {
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
