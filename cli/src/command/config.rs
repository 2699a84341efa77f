//! `layerstone config`: which settings hold here, and where each comes from.

use crate::args::cache::default_directory;
use crate::config::{Config, KEYS, Key, Setting};
use crate::manual::environment::VARIABLES;
use crate::screen::answer::{AnswerArgs, print_answer};
use crate::screen::out::print;
use crate::screen::table::Table;
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use std::env::var_os;

/// Show which settings hold here, and where each comes from
///
/// Settings come from the environment, layerstone.toml of the project, layerstone.toml in the user's directory of settings,
/// or are the defaults. Flags, which go before all of them, are not among them.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    answer: AnswerArgs,
}

/// A setting as it holds.
struct Held {
    name: String,
    value: String,
    origin: Origin,
}

/// Where a setting comes from.
enum Origin {
    Variable(&'static str),
    File(Setting),
    Default,
}

pub fn run(options: &Options, config: &Config) -> Result<()> {
    let held: Vec<Held> = KEYS.iter().flat_map(|key| held(key, config)).collect();
    if options.answer.is_json() {
        let files = config.sources.iter();
        let files: Vec<Value> =
            files.map(|file| json!({"path": file.path.to_string_lossy(), "owner": file.owner.name()})).collect();
        let settings: Vec<Value> = held.iter().map(to_json).collect();
        let variables: Vec<Value> =
            VARIABLES.iter().map(|(name, about)| json!({"variable": name, "about": about})).collect();
        return print_answer(
            "config",
            &json!({"files": files, "settings": settings,
            "variables": variables}),
        );
    }
    let mut table = Table::new(&["setting", "value", "from"], &[]);
    for Held { name, value, origin } in held {
        table.row(vec![name, value, origin_text(&origin)]);
    }
    print(table)
}

fn held(key: &'static Key, config: &Config) -> Vec<Held> {
    if let Some(variable) = key.variable() {
        let value = var_os(variable).unwrap_or_default().to_string_lossy().into_owned();
        return vec![Held { name: key.name.to_owned(), value, origin: Origin::Variable(variable) }];
    }
    let set = config.settings.iter().filter(|setting| setting.key == key);
    let set: Vec<Held> = set
        .map(|it| Held { name: it.name.clone(), value: it.shown.clone(), origin: Origin::File(it.clone()) })
        .collect();
    if !set.is_empty() {
        return set;
    }
    let directory = default_directory().filter(|_| key.flag == "cache");
    let value = directory.map_or_else(|| key.default.to_owned(), |path| path.display().to_string());
    vec![Held { name: key.name.to_owned(), value, origin: Origin::Default }]
}

fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Variable(name) => format!("${name}"),
        Origin::File(Setting { path, line, .. }) => format!("{}:{line}", path.display()),
        Origin::Default => "default".to_owned(),
    }
}

fn to_json(Held { name, value, origin }: &Held) -> Value {
    let mut object = json!({"key": name, "value": value});
    match origin {
        Origin::Variable(variable) => {
            object["from"] = "environment".into();
            object["variable"] = (*variable).into();
        }
        Origin::File(Setting { path, line, owner, .. }) => {
            object["from"] = owner.name().into();
            object["file"] = path.to_string_lossy().into();
            object["line"] = (*line).into();
        }
        Origin::Default => object["from"] = "default".into(),
    }
    object
}
