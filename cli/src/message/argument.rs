//! Which value of the command line an error speaks of.

use crate::message::command_line::running;
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::sync::OnceLock;

/// What clap found.
static MATCHES: OnceLock<ArgMatches> = OnceLock::new();

/// A value that stands on the command line.
pub struct Argument {
    /// The flag that it belongs to, as `--spec`; none if its place tells.
    pub flag: Option<String>,
    /// What the help calls it: `IMAGE.JSON`.
    pub name: String,
    /// The value as it stands there.
    pub value: String,
}

/// Notes what clap found, for [`all`].
pub fn note(matches: &ArgMatches) {
    // Nobody parses twice.
    let _ = MATCHES.set(matches.clone());
}

/// The values that stand on the command line.
pub fn all() -> Vec<Argument> {
    let Some(mut matches) = MATCHES.get() else { return Vec::new() };
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    let command = running();
    let mut found = Vec::new();
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        let is_there = matches.try_contains_id(id).unwrap_or(false);
        if !is_there || matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let flag = argument.get_long().map(|long| format!("--{long}"));
        let names = argument.get_value_names().unwrap_or_default();
        for (index, value) in matches.get_raw(id).into_iter().flatten().enumerate() {
            let name = names.get(index).or(names.last()).map(ToString::to_string).unwrap_or_default();
            found.push(Argument { flag: flag.clone(), name, value: value.to_string_lossy().into_owned() });
        }
    }
    found
}

/// The value whose path an error names, and the path.
pub fn named(text: &str) -> Option<(Argument, String)> {
    let names = |path: &str| {
        !path.is_empty()
            && (text.contains(&format!(": {path}: "))
                || text.contains(&format!(": {path}/"))
                || text.ends_with(&format!(": {path}"))
                || text.contains(&format!("{path:?}")))
    };
    all().into_iter().find_map(|argument| {
        let path = paths(&argument.value).into_iter().find(|path| names(path)).map(str::to_owned)?;
        Some((argument, path))
    })
}

/// The paths that a value may mean: itself, or what stands behind a kind of place, before a target, behind a name.
fn paths(value: &str) -> Vec<&str> {
    let file = value.split_once('#').map_or(value, |(file, _)| file);
    let behind = |mark| file.split_once(mark).map(|(_, path)| path);
    let before = file.split_once(':').map(|(path, _)| path);
    [Some(value), Some(file), behind(':'), before, behind('=')].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn paths_in_values() {
        for (value, path) in
            [("oci:a/b#x:1", "a/b"), ("app:/bin/app", "app"), ("binSh=/x", "/x"), ("a.tar#x:1", "a.tar"), ("a", "a")]
        {
            assert!(paths(value).contains(&path), "{value}");
        }
    }
}
