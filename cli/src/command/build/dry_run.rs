//! `layerstone build --dry-run`: the plan and its sizes, without making anything.

use crate::args::Common;
use crate::screen::answer::print_answer;
use crate::screen::fit::width;
use crate::screen::layer_table::{LayerRow, LayerTable, Names};
use crate::screen::out::print;
use crate::screen::table::{counted, size};
use anyhow::Result;
use layerstone_layer::Source as LayerSource;
use layerstone_pipeline::{BuildCache, Builder, Mentions, layouts};
use layerstone_spec::{Helper, ImageKind, RootMode, Spec};
use layerstone_store::{Store, StorePath};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

/// Plans an image and shows the sizes of its layers.
pub fn run(spec: &Spec, builder: &Builder<'_>, store: &Store, as_json: bool, common: &Common) -> Result<()> {
    let packages = spec.helpers.iter().filter_map(Helper::package);
    let packages = packages.map(|path| store.resolve(path)).collect::<Result<Vec<_>, _>>()?;
    let mentions = Mentions::default().with(packages, Path::new("the ready contents"));
    let closure = builder.measured_closure(mentions)?;
    let plan = builder.plan(&closure)?;
    let sources = layouts(&builder.recipes(&plan)?, &BuildCache::default(), store)?;
    let total: u64 = sources.iter().map(LayerSource::size).sum();
    if as_json {
        let layer = |(source, paths): (&LayerSource, &Vec<StorePath>)| json!({"paths": paths, "size": source.size()});
        let layers: Vec<Value> = sources.iter().zip(&plan.layers).map(layer).collect();
        return print_answer("dry-run", &json!({"layers": layers, "size": total}));
    }
    let sizes: HashMap<&StorePath, u64> =
        closure.graph.iter().map(|info| (&info.path, info.nar_size.unwrap_or(0))).collect();
    let by_size = |paths: &Vec<StorePath>| {
        let mut paths = paths.clone();
        paths.sort_by_key(|path| Reverse(sizes.get(path).copied()));
        paths
    };
    let row = |(source, paths): (&LayerSource, &Vec<StorePath>)| LayerRow {
        size: Some(source.size()),
        numbers: vec![paths.len().to_string()],
        holds: Names::of(&by_size(paths)),
        ..LayerRow::default()
    };
    let rows = sources.iter().zip(&plan.layers).map(row).collect();
    let table = LayerTable { rows, numbers: vec!["paths"], ..LayerTable::default() };
    let paths: usize = plan.layers.iter().map(Vec::len).sum();
    let paint = common.color.of_stdout();
    let title = paint.bold(format_args!("plan of {}", counted(plan.layers.len(), "layer")));
    let table = format!("{title} with {}, {}\n\n{}\n", counted(paths, "path"), size(total), table.text(width(), paint));
    let scripts = [&spec.script, &spec.fake_root_commands, &spec.run_as_root];
    let script = match scripts.into_iter().flatten().count() {
        0 => "no script",
        1 => "a script run; what else it refers to would join the paths",
        2 => "two scripts run; what else they refer to would join the paths",
        _ => "three scripts run; what else they refer to would join the paths",
    };
    let below = match (spec.kind, &spec.run_as_root) {
        (ImageKind::Layered, Some(_)) => "the layer of the root script, ",
        _ => "",
    };
    let rest = match (spec.kind, spec.include_nix_db) {
        (ImageKind::Layered, false) => "the customisation layer",
        (ImageKind::Layered, true) => "the customisation layer, and the layer of the Nix database on top",
        (ImageKind::Single, false) => "in front of them the root",
        (ImageKind::Single, true) => "in front of them the root, and behind them the Nix database",
    };
    let contents = match spec.root_mode {
        RootMode::Links => "contents merged",
        RootMode::Copy | RootMode::CopyKeepingDirlinks => "contents copied, and what they refer to joins the paths",
    };
    print(format_args!("{table}and {below}{rest}, not made in a dry run: {contents}, {script}\n"))
}
