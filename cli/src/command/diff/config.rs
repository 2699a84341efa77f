//! What differs between the configs of two images, key by key.

use crate::screen::color::Paint;
use crate::screen::fit::{clean, cut};
use layerstone_pipeline::build_graph::quoted;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// Keys beside `config` that say what an image is (OCI image-spec, config.md).
const KEYS: [&str; 5] = ["architecture", "os", "variant", "created", "author"];

/// A key that differs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What it is: `Cmd`, `Env PATH`.
    pub key: String,
    /// What the old image has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// What the new image has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// All keys that differ.
pub fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let (mut old, mut new) = (facts(old), facts(new));
    let keys: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    let mut differences: Vec<Difference> = keys
        .into_iter()
        .map(|key| Difference { old: old.remove(&key), new: new.remove(&key), key })
        .filter(|it| it.old != it.new)
        .collect();
    differences.sort_by(|a, b| a.key.cmp(&b.key));
    differences
}

/// A line for each.
pub fn text(differences: &[Difference], width: usize, paint: Paint) -> String {
    let label = differences.iter().map(|it| it.key.chars().count()).max().unwrap_or(0).min(24);
    let room = width.saturating_sub(label + 6);
    let line = |Difference { key, old, new }: &Difference| {
        let key = format!("{:label$}", cut(&clean(key), label));
        let shown = |value: &String, room: usize| cut(&clean(value), room);
        let value = match (old, new) {
            (Some(old), Some(new)) => {
                let half = room.saturating_sub(3) / 2;
                format!("{} → {}", paint.gone(shown(old, half)), paint.known(shown(new, half)))
            }
            (Some(old), None) => paint.gone(format_args!("- {}", shown(old, room.saturating_sub(2)))),
            (None, new) => {
                let new = new.as_ref().map(|new| shown(new, room.saturating_sub(2))).unwrap_or_default();
                paint.known(format_args!("+ {new}"))
            }
        };
        format!("  {key}  {value}\n")
    };
    differences.iter().map(line).collect()
}

/// What a config says, by keys.
fn facts(image: &Value) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for key in KEYS {
        facts.extend(image[key].as_str().map(|value| (key.to_owned(), value.to_owned())));
    }
    for (key, value) in image["config"].as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Array(words) if key == "Env" => facts.extend(words.iter().filter_map(Value::as_str).map(|word| {
                let (name, value) = word.split_once('=').unwrap_or((word, ""));
                (format!("Env {name}"), value.to_owned())
            })),
            Value::Array(words) => {
                let words = words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), quoted_word));
                facts.insert(key.clone(), words.collect::<Vec<_>>().join(" "));
            }
            Value::Object(entries) => facts.extend(entries.iter().map(|(name, value)| {
                let value = if *value == Value::Object(serde_json::Map::new()) { String::new() } else { plain(value) };
                (format!("{key} {name}"), value)
            })),
            value => {
                facts.insert(key.clone(), plain(value));
            }
        }
    }
    facts
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn quoted_word(word: &str) -> String {
    String::from_utf8_lossy(&quoted(OsStr::new(word))).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_that_differ() {
        let old = json!({"os": "linux", "config": {"Env": ["A=1", "B=2"], "Cmd": ["/x", "a b"], "User": "me"}});
        let new = json!({"os": "linux", "config": {"Env": ["A=1", "B=3"], "Cmd": ["/y"], "ExposedPorts": {"80": {}}}});
        assert_eq!(
            text(&differences(&old, &new), 80, Paint::PLAIN),
            "  Cmd              /x 'a b' → /y\n  Env B            2 → 3\n  ExposedPorts 80  + \n  User             - me\n"
        );
        assert_eq!(differences(&old, &old), []);
    }
}
