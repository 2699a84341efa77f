//! `layers --explain`: what each layer is sent again for, and what that costs.

use crate::args::Common;
use crate::command::layers::Options;
use crate::screen::answer::print_answer;
use crate::screen::color::Paint;
use crate::screen::fit::width;
use crate::screen::layer_table::{LayerRow, LayerTable, Names};
use crate::screen::out::print;
use crate::screen::table::{Table, size};
use anyhow::Result;
use layerstone_closure::Closure;
use layerstone_layering::{Explanation, LayerCost, Plan, Settings, Strategy, explain, plan};
use layerstone_store::StorePath;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::Path;

/// What a plan costs, beside others of the same closure.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The strategy's name, or the plan's file.
    #[serde(skip)]
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<&'static str>,
    #[serde(flatten)]
    explanation: Explanation,
    others: Vec<Other>,
}

/// What another strategy would cost.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Other {
    strategy: &'static str,
    layers: usize,
    bytes_per_update: u128,
    chunks_per_update: u128,
}

/// Explains a plan of a file, or the one that the flags ask for.
pub fn run(file: Option<&Path>, options: &Options, as_json: bool, common: &Common) -> Result<()> {
    let (closure, limit) = (options.closure()?, options.limit_of_plan()?);
    let given = file.map(Plan::read).transpose()?;
    let closure = Closure::read(&closure)?;
    let settings = options.settings(&closure, limit, common)?;
    let strategy = (given.is_none() && settings.previous.is_none()).then(|| settings.strategy.name());
    let title = match (file, strategy) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(strategy)) => strategy.to_owned(),
        (None, None) => "as before".to_owned(),
    };
    let chosen = given.map_or_else(|| plan(&closure, &settings), Ok)?;
    // The other strategies may make as many layers as the chosen one, unless a limit is given.
    let as_many = NonZeroUsize::new(chosen.layers.len() + settings.base.layers);
    let limit = options.limit()?.map(|limit| limit.over(settings.base.layers)).or(as_many).unwrap_or(NonZeroUsize::MIN);
    let subject = Subject { title, strategy, chosen };
    show(&answer(subject, &closure, Settings { previous: None, limit, ..settings })?, as_json, common)
}

/// A plan that is to be explained.
pub struct Subject {
    /// The strategy's name, or the plan's file.
    pub title: String,
    /// The strategy that made it, if one did.
    pub strategy: Option<&'static str>,
    /// The plan.
    pub chosen: Plan,
}

/// What a plan of a closure costs, and what those of the other strategies would cost with these settings.
pub fn answer(subject: Subject, closure: &Closure, settings: Settings) -> Result<Answer> {
    let Subject { title, strategy, chosen } = subject;
    let explanation = explain(closure, &chosen, &settings.rates)?;
    let others = Strategy::ALL.into_iter().filter(|other| Some(other.name()) != strategy);
    let others = others.map(|other| cost(closure, Settings { strategy: other, ..settings.clone() }));
    Ok(Answer { title, strategy, explanation, others: others.collect::<Result<_>>()? })
}

/// Shows it.
pub fn show(answer: &Answer, as_json: bool, common: &Common) -> Result<()> {
    if as_json {
        return print_answer("explanation", answer);
    }
    print(text(answer, width(), common.color.of_stdout()))
}

fn cost(closure: &Closure, settings: Settings) -> Result<Other> {
    let plan = plan(closure, &settings)?;
    let Explanation { bytes_per_update, chunks_per_update, .. } = explain(closure, &plan, &settings.rates)?;
    Ok(Other { strategy: settings.strategy.name(), layers: plan.layers.len(), bytes_per_update, chunks_per_update })
}

fn text(answer: &Answer, width: usize, paint: Paint) -> String {
    let found = &answer.explanation;
    let layers = LayerTable {
        rows: found.layers.iter().map(row).collect(),
        numbers: vec!["changes", "an update"],
        why: Some("sent again for"),
        ..LayerTable::default()
    };
    let layers = layers.text(width, paint);
    let mut plans = Table::new(&["plan", "layers", "an update", "ratio", "by chunks"], &[1, 2, 3, 4]);
    let mut row = |title: &str, layers: usize, bytes: u128, chunks: Option<u128>| {
        let chunks = chunks.map(large).unwrap_or_default();
        plans.row(vec![title.to_owned(), layers.to_string(), large(bytes), ratio(bytes, found.lower_bound), chunks]);
    };
    row(&answer.title, found.layers.len(), found.bytes_per_update, Some(found.chunks_per_update));
    for other in &answer.others {
        row(other.strategy, other.layers, other.bytes_per_update, Some(other.chunks_per_update));
    }
    row("lower bound", found.layers.iter().map(|layer| layer.paths.len()).sum(), found.lower_bound, None);
    format!("{layers}\n{plans}\n{}", legend(found))
}

fn row(layer: &LayerCost) -> LayerRow {
    let packages = |paths: &[StorePath], count| Names::first(paths.iter().map(StorePath::package), count);
    LayerRow {
        size: Some(layer.size),
        weight: Some(layer.bytes_per_update),
        numbers: vec![layer.changes.to_string(), large(layer.bytes_per_update)],
        holds: packages(&layer.largest, layer.paths.len()),
        why: packages(&layer.most_telling, layer.changes),
        ..LayerRow::default()
    }
}

fn large(bytes: u128) -> String {
    size(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// How often the bound goes into a cost, with two digits behind the point.
fn ratio(cost: u128, bound: u128) -> String {
    let Some(hundredths) = (cost.saturating_mul(100) + bound / 2).checked_div(bound) else { return String::new() };
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// What the numbers mean.
const LEGEND: &str = "\
A layer is sent again when anything changes that its paths are or depend on, so
many paths as `changes` says. An update costs its size times these, each counted
as often as --rates says, once if it says nothing. By chunks, as podman fetches
zstd:chunked layers, is estimated, and compressed.
";

fn legend(found: &Explanation) -> String {
    let mut text = LEGEND.to_owned();
    let average = found.bytes_per_update.saturating_mul(1_000_000).checked_div(u128::from(found.rate));
    if let Some(average) = average {
        let all: u64 = found.layers.iter().map(|layer| layer.size).sum();
        text.push_str(&format!("One change sends {} of {} again on average.\n", large(average), size(all)));
    }
    text
}
