//! What stage files and references graphs are, as text.

use super::image::View;
use crate::screen::fit::{clean, room};
use crate::screen::layer_table::{LayerRow, LayerTable, Names};
use crate::screen::out::json;
use crate::screen::table::{Table, counted, size};
use anyhow::{Context, Result};
use layerstone_closure::{Closure, ReferencesGraph};
use layerstone_layer::{LayerFile, Recipe};
use layerstone_layering::Plan;
use layerstone_spec::{ImageKind, References, Spec};
use layerstone_store::StorePath;
use layerstone_tar::Owner;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What a JSON file is, which holds this value and is called so.
pub fn text(path: &Path, shown: &Path, value: &Value, as_json: bool, view: &View) -> Result<String> {
    match value.get("format").and_then(Value::as_str) {
        Some(layerstone_layering::PLAN_FORMAT) => plan(&Plan::read(path)?, as_json, view),
        Some(layerstone_layer::LAYER_FORMAT) => layer(&LayerFile::read(path)?, as_json),
        Some(layerstone_spec::SPEC_FORMAT) => spec(path, shown, value, as_json),
        None if is_plan(value) => plan(&Plan::read(path)?, as_json, view),
        None if value.get("name").is_some() => spec(path, shown, value, as_json),
        _ => closure(&Closure::read(path)?, as_json, view),
    }
}

/// Whether a value is a plan, or what tells references; none if it is something else.
pub fn is_plan_or_closure(value: &Value) -> Option<bool> {
    match value.get("format").and_then(Value::as_str) {
        Some(layerstone_layering::PLAN_FORMAT) => Some(true),
        Some(layerstone_layer::LAYER_FORMAT | layerstone_spec::SPEC_FORMAT) => None,
        None if value.get("name").is_some() => None,
        _ => Some(is_plan(value)),
    }
}

/// What the registration text of closureInfo is.
pub fn registration(path: &Path, as_json: bool, view: &View) -> Result<String> {
    closure(&ReferencesGraph::read(path)?.closure(&[])?, as_json, view)
}

/// A bare list of lists.
fn is_plan(value: &Value) -> bool {
    value.get(0).is_some_and(Value::is_array)
}

fn closure(closure: &Closure, as_json: bool, view: &View) -> Result<String> {
    if as_json {
        return json(closure);
    }
    let mut table = Table::new(&["NAR size", "refers to", "path"], &[0, 1]);
    for info in &closure.graph {
        let nar_size = info.nar_size.map(size).unwrap_or_default();
        let path = if view.wide { info.path.as_str() } else { info.path.name() };
        table.row(vec![nar_size, info.references.len().to_string(), path.to_owned()]);
    }
    table.cut_last(room(view.wide));
    let total = closure.graph.iter().filter_map(|info| info.nar_size).fold(0, u64::saturating_add);
    let title = view.paint.bold(format_args!("closure of {}", counted(closure.graph.len(), "path")));
    Ok(format!("{title}, {} of NARs\n\n{table}", size(total)))
}

fn plan(plan: &Plan, as_json: bool, view: &View) -> Result<String> {
    if as_json {
        return json(plan);
    }
    let names = |paths: &Vec<StorePath>| match view.wide {
        true => Names::all(paths.iter().map(StorePath::as_str)),
        false => Names::of(paths),
    };
    let row = |paths: &Vec<StorePath>| LayerRow {
        numbers: vec![paths.len().to_string()],
        holds: names(paths),
        ..LayerRow::default()
    };
    let rows = plan.layers.iter().map(row).collect();
    let table = LayerTable { rows, numbers: vec!["paths"], ..LayerTable::default() };
    let paths: usize = plan.layers.iter().map(Vec::len).sum();
    let title = view.paint.bold(format_args!("plan of {}", counted(plan.layers.len(), "layer")));
    let width = if view.wide { usize::MAX / 2 } else { view.width };
    Ok(format!("{title} with {}\n\n{}", counted(paths, "path"), table.text(width, view.paint)))
}

fn layer(layer: &LayerFile, as_json: bool) -> Result<String> {
    if as_json {
        return json(layer);
    }
    let mut rows = vec![("diff ID", layer.diff_id.to_string())];
    rows.extend(layer.tarsum.as_ref().map(|tarsum| ("tarsum", tarsum.to_string())));
    rows.extend(match (&layer.blob, &layer.recipe) {
        (Some(blob), _) => Some(("blob", blob.to_string())),
        (None, recipe) => recipe.as_ref().map(|recipe| ("recipe", recipe_text(recipe))),
    });
    let mut text = format!("layer of {} ({} bytes)\n\n{}", size(layer.size), layer.size, lines(&rows, 9));
    for (title, paths) in [("holds", &layer.store_paths), ("refers to", &layer.references)] {
        if !paths.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            text.extend(paths.iter().map(|path| format!("  {}\n", clean(path.as_str()))));
        }
    }
    Ok(text)
}

fn recipe_text(recipe: &Recipe) -> String {
    let Recipe { paths, store, mtime, owner, .. } = recipe;
    let Owner { uid, gid, uname, gname } = owner;
    format!("{} of {store}, mtime {mtime}, owner {uid}:{gid} {uname}:{gname}", paths.len())
}

fn spec(path: &Path, shown: &Path, value: &Value, as_json: bool) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read: {}", shown.display()))?;
    // Files that it names are beside it.
    let spec = Spec::parse(&bytes, &shown.display().to_string(), shown.parent().unwrap_or(Path::new("")))?;
    if as_json {
        return json(value);
    }
    let of_path = |key, path: &PathBuf| (key, path.display().to_string());
    let mut rows = Vec::new();
    rows.extend(spec.architecture.as_ref().map(|name| ("architecture", name.clone())));
    rows.push(match spec.kind {
        ImageKind::Layered => ("maxLayers", spec.max_layers.to_string()),
        ImageKind::Single => ("kind", "single".to_owned()),
    });
    rows.extend(spec.from_image.as_ref().map(|base| ("fromImage", base.to_string())));
    rows.extend(spec.contents.iter().map(|path| of_path("contents", path)));
    match &spec.references {
        Some(References::Graphs(paths)) => rows.extend(paths.iter().map(|path| of_path("graph", path))),
        Some(References::Database(path)) => rows.push(of_path("db", path)),
        Some(References::Scan) | None => {}
    }
    let (name, rows) = (spec.reference()?.name().to_owned(), lines(&rows, 14));
    Ok(format!("image spec of {name}\n\n{rows}\nconfig {}", json(&spec.config)?))
}

/// A line for each key and its value, the values one below the other behind so many characters.
fn lines(rows: &[(&str, String)], width: usize) -> String {
    rows.iter().map(|(key, value)| format!("{key:width$}{}\n", clean(value))).collect()
}
