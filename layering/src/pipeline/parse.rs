//! Parses the pipeline file: JSON to operations. An error names the operation and its position.

use super::{Choice, Operation, Part, Step};
use layerstone_store::{Error, Result as StageResult};
use serde_json::Value;
use std::num::NonZeroUsize;

/// The operations by name, and what their arguments are.
const OPERATIONS: [(&str, &[&str]); 13] = [
    ("flatten", &[]),
    ("limit_layers", &[COUNT]),
    ("map", &[OPERATION]),
    ("over", &[PART, OPERATION]),
    ("pipe", &[LIST]),
    ("popularity_contest", &[]),
    ("remove_paths", &[PATH_OR_PATHS]),
    ("reorder", &[PARTS]),
    ("reverse", &[]),
    ("split_every", &[COUNT]),
    ("split_paths", &[CHOICES]),
    ("subcomponent_in", &[PATHS]),
    ("subcomponent_out", &[PATHS]),
];
const CHOICES: &str = "a list of paths and of objects such as {\"children_of\": PATH}";
const COUNT: &str = "a whole number above 0";
const LIST: &str = "a list of operations";
const OPERATION: &str = "an operation such as [\"reverse\"]";
const PART: &str = "one of \"main\", \"common\", \"rest\"";
const PARTS: &str = "a list of \"main\", \"common\", \"rest\", each at most once";
const PATHS: &str = "a list of paths";
const PATH_OR_PATHS: &str = "a path or a list of paths";

/// Longer values are not shown in messages, in bytes.
const MAX_SHOWN: usize = 80;

/// What is wrong, with its position.
type Result<T> = std::result::Result<T, String>;

/// The operations of a file.
pub(super) fn parse(bytes: &[u8], name: &str) -> StageResult<Vec<Step>> {
    let value = serde_json::from_slice(bytes).map_err(|source| Error::Json { name: name.to_owned(), source })?;
    let steps = match &value {
        Value::Array(list) if list.is_empty() => Err("found no operation, expected one or more".to_owned()),
        Value::Array(list) => steps(list, ""),
        other => Err(mismatch(other, LIST)),
    };
    steps.map_err(|cause| Error::Malformed { format: "layering pipeline", name: name.to_owned(), cause })
}

/// Operations of a list, numbered; `outer` is the position of the list, empty for the file.
fn steps(list: &[Value], outer: &str) -> Result<Vec<Step>> {
    let separator = if outer.is_empty() { "" } else { " > " };
    let position = |number: usize| format!("{outer}{separator}operation {number}");
    let mut steps = Vec::with_capacity(list.len());
    for (value, number) in list.iter().zip(1..) {
        let (name, arguments) = call(value).map_err(|cause| format!("{}: {cause}", position(number)))?;
        steps.push(step(name, arguments, format!("{} ({})", position(number), label(name, arguments)))?);
    }
    Ok(steps)
}

/// The operation inside one at `outer`. The operations of a pipe are numbered in `outer`, as if it were the list.
fn inner(value: &Value, outer: &str) -> Result<Box<Step>> {
    let step = match call(value).map_err(|cause| format!("{outer}: {cause}"))? {
        (name @ "pipe", arguments) => step(name, arguments, outer.to_owned()),
        (name, arguments) => step(name, arguments, format!("{outer} > {}", label(name, arguments))),
    };
    step.map(Box::new)
}

/// An operation's name and arguments.
fn call(value: &Value) -> Result<(&str, &[Value])> {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(name), arguments @ ..]) => Ok((name, arguments)),
        _ => Err(mismatch(value, OPERATION)),
    }
}

/// What an operation is called in a position.
fn label(name: &str, arguments: &[Value]) -> String {
    match (name, arguments) {
        ("over", [Value::String(part), ..]) => format!("over {part:?}"),
        _ if OPERATIONS.iter().any(|(operation, _)| *operation == name) => name.to_owned(),
        _ => format!("{name:?}"),
    }
}

fn step(name: &str, arguments: &[Value], position: String) -> Result<Step> {
    let at = |cause: String| format!("{position}: {cause}");
    let operation = match (name, arguments) {
        ("flatten", []) => Operation::Flatten,
        ("limit_layers", [number]) => Operation::LimitLayers(count(number).map_err(at)?),
        ("map", [operation]) => Operation::Map(inner(operation, &position)?),
        ("over", [key, operation]) => Operation::Over(part(key, PART).map_err(at)?, inner(operation, &position)?),
        ("pipe", [Value::Array(list)]) => Operation::Pipe(steps(list, &position)?),
        ("pipe", [other]) => return Err(at(mismatch(other, LIST))),
        ("popularity_contest", []) => Operation::PopularityContest,
        ("remove_paths", [one_or_more]) => Operation::RemovePaths(paths(one_or_more, PATH_OR_PATHS).map_err(at)?),
        ("reorder", [list]) => Operation::Reorder(parts(list).map_err(at)?),
        ("reverse", []) => Operation::Reverse,
        ("split_every", [number]) => Operation::SplitEvery(count(number).map_err(at)?),
        ("split_paths", [list]) => Operation::SplitPaths(choices(list).map_err(at)?),
        ("subcomponent_in", [list @ Value::Array(_)]) => Operation::SubcomponentIn(paths(list, PATHS).map_err(at)?),
        ("subcomponent_out", [list @ Value::Array(_)]) => Operation::SubcomponentOut(paths(list, PATHS).map_err(at)?),
        ("subcomponent_in" | "subcomponent_out", [other]) => return Err(at(mismatch(other, PATHS))),
        _ => return Err(at(wrong_call(name, arguments))),
    };
    Ok(Step { operation, position })
}

/// What is wrong with a call that is none of the operations.
fn wrong_call(name: &str, arguments: &[Value]) -> String {
    let found = match arguments.len() {
        1 => "1 argument".to_owned(),
        count => format!("{count} arguments"),
    };
    match OPERATIONS.iter().find(|(operation, _)| *operation == name) {
        None => format!("unknown operation, expected one of {}", OPERATIONS.map(|(name, _)| name).join(", ")),
        Some((_, [])) => format!("found {found}, expected none"),
        Some((_, wanted)) => format!("found {found}, expected {}: {}", wanted.len(), wanted.join(" and ")),
    }
}

fn count(value: &Value) -> Result<NonZeroUsize> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok()).and_then(NonZeroUsize::new);
    number.ok_or_else(|| mismatch(value, COUNT))
}

fn part(value: &Value, expected: &str) -> Result<Part> {
    let found = Part::ALL.into_iter().find(|part| value.as_str() == Some(part.name()));
    found.ok_or_else(|| mismatch(value, expected))
}

fn parts(value: &Value) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for item in value.as_array().ok_or_else(|| mismatch(value, PARTS))? {
        let part = part(item, PARTS)?;
        if parts.contains(&part) {
            return Err(format!("found {item} twice, expected {PARTS}"));
        }
        parts.push(part);
    }
    Ok(parts)
}

/// A path, or those of a list.
fn paths(value: &Value, expected: &str) -> Result<Vec<String>> {
    let path = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| mismatch(value, expected));
    match value {
        Value::Array(list) => list.iter().map(path).collect(),
        one => Ok(vec![path(one)?]),
    }
}

fn choices(value: &Value) -> Result<Vec<Choice>> {
    let choice = |value: &Value| match value {
        Value::String(path) => Ok(Choice::Path(path.clone())),
        Value::Object(map) if map.len() == 1 && map.contains_key("children_of") => {
            paths(&map["children_of"], PATH_OR_PATHS).map(Choice::ChildrenOf)
        }
        other => Err(mismatch(other, CHOICES)),
    };
    value.as_array().ok_or_else(|| mismatch(value, CHOICES))?.iter().map(choice).collect()
}

fn mismatch(value: &Value, expected: &str) -> String {
    format!("found {}, expected {expected}", shown(value))
}

/// A value for a message: itself, or what it is if it is long, such as a closure instead of a pipeline.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match value {
        _ if text.len() <= MAX_SHOWN => text,
        Value::Array(items) => format!("a list of {} items", items.len()),
        Value::Object(_) => "an object".to_owned(),
        _ => format!("a text of {} bytes", text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The table that messages are made of and the operations that are read are the same.
    #[test]
    fn the_table_names_all_operations() {
        for (name, wanted) in OPERATIONS {
            let argument = |wanted: &&str| match *wanted {
                COUNT => json!(1),
                OPERATION => json!(["reverse"]),
                PART => json!("main"),
                LIST => json!([["reverse"]]),
                CHOICES | PARTS | PATHS | PATH_OR_PATHS => json!([]),
                other => panic!("no argument for {other}"),
            };
            let arguments: Vec<Value> = wanted.iter().map(argument).collect();
            let found = step(name, &arguments, name.to_owned());
            assert_eq!(found.map(|step| step.operation.name()), Ok(name));
        }
    }
}
