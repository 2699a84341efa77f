//! `layerstone build --dry-run`: the plan and its sizes, without making anything.

use crate::out::print;
use crate::table::{Table, size};
use anyhow::Result;
use layerstone_layer::Source as LayerSource;
use layerstone_pipeline::{BuildCache, Builder, Mentions, layouts};
use layerstone_spec::{Helper, ImageKind, RootMode, Spec};
use layerstone_store::{Store, StorePath};
use std::path::Path;

/// Plans an image and shows the sizes of its layers.
pub fn run(spec: &Spec, builder: &Builder<'_>, store: &Store) -> Result<()> {
    let packages = spec.helpers.iter().filter_map(Helper::package);
    let packages = packages.map(|path| store.resolve(path)).collect::<Result<Vec<_>, _>>()?;
    let mentions = Mentions::default().with(packages, Path::new("the ready contents"));
    let plan = builder.plan(&builder.measured_closure(mentions)?)?;
    let sources = layouts(&builder.recipes(&plan)?, &BuildCache::default(), store)?;
    let mut table = Table::new(&["layer", "size", "paths", "first path"], &[0, 1, 2]);
    for (index, (source, paths)) in sources.iter().zip(&plan.layers).enumerate() {
        let first = paths.first().map(StorePath::base_name).unwrap_or_default();
        table.row(vec![index.to_string(), size(source.size()), paths.len().to_string(), first.to_owned()]);
    }
    let total: u64 = sources.iter().map(LayerSource::size).sum();
    let paths: usize = plan.layers.iter().map(Vec::len).sum();
    table.row(vec!["all".to_owned(), size(total), paths.to_string()]);
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
