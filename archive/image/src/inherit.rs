//! The execution parameters of an image on a base (OCI image-spec, config.md, "config"): what comes from the base, what
//! from the image itself.
//!
//! By default the environment alone comes from the base, as in dockerTools. An image may instead inherit everything, as
//! one of `docker build` does: each parameter is then what the instruction of that name would make of it (Dockerfile
//! reference; moby, `builder/dockerfile/dispatchers.go`; BuildKit, `frontend/dockerfile/dockerfile2llb/convert.go`).

use layerstone_store::describe;
use serde_json::{Map, Value};

/// Parameters of a container that docker's first builder and `docker commit` left in images (moby,
/// `api/types/container/config.go`); BuildKit knows none of them, and neither does the image-spec.
const OF_CONTAINERS: [&str; 9] =
    ["Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "Image"];

/// Instructions for the build of an image on the base, which `docker build` follows and then forgets.
pub(crate) const ON_BUILD: &str = "OnBuild";

/// The parameters that this crate looks into: what they are expected to be, and whether a value is that.
const KNOWN: [(&str, &str, Fits); 12] = [
    ("Env", STRINGS, is_strings),
    ("Entrypoint", STRINGS, is_strings),
    ("Cmd", STRINGS, is_strings),
    ("Shell", STRINGS, is_strings),
    (ON_BUILD, STRINGS, is_strings),
    ("User", "a string", Value::is_string),
    ("WorkingDir", "a string", Value::is_string),
    ("StopSignal", "a string", Value::is_string),
    ("Healthcheck", "an object", Value::is_object),
    ("ExposedPorts", "an object", Value::is_object),
    ("Volumes", "an object", Value::is_object),
    ("Labels", "an object of strings", is_object_of_strings),
];
type Fits = fn(&Value) -> bool;
const STRINGS: &str = "a list of strings";

/// An `Env` of an image's config that is no list of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Env: expected a list of strings")]
#[non_exhaustive]
pub struct NotAnEnv;

/// Says which parameter is not what it must be, null aside: of all, or `only` one.
pub(crate) fn check(parameters: &Map<String, Value>, only: Option<&str>) -> Result<(), String> {
    for (key, expected, fits) in KNOWN.into_iter().filter(|(key, ..)| only.is_none_or(|only| only == *key)) {
        match parameters.get(key) {
            Some(value) if !value.is_null() && !fits(value) => {
                return Err(format!("config.{key}: found {}, expected {expected}", describe(value)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts the environment of a base under that of `child` and takes nothing else over, as dockerTools does.
///
/// # Errors
///
/// If an `Env` is neither null nor a list of strings; a `child` that is no object counts as an empty one.
pub fn merge_env(base: &Value, child: Value) -> Result<Value, NotAnEnv> {
    let merged = merged_env(env(base)?, env(&child)?);
    if merged.is_empty() {
        return Ok(child);
    }
    let mut child = match child {
        Value::Object(child) => child,
        _ => Map::new(),
    };
    child.insert("Env".to_owned(), merged.into());
    Ok(Value::Object(child))
}

/// Puts all that a base says under what `child` says. Both were [checked](check).
///
/// What `child` sets stands; null and an empty string set nothing, an empty list does. The exceptions:
///
/// - `Env` is joined by name, as everywhere; `Labels`, `Volumes` and `ExposedPorts` are united.
/// - An `Entrypoint` drops the base's `Cmd`, which was meant for another program.
/// - A relative `WorkingDir` is one below the base's.
/// - The base's `OnBuild` and what concerns one container are dropped, and so is what is null.
///
/// The base's keys come first, in its order.
pub(crate) fn inherit(base: &Map<String, Value>, child: &Map<String, Value>) -> Map<String, Value> {
    let mut merged: Map<String, Value> =
        base.iter().filter(|(key, value)| is_inherited(key, value)).map(|(k, v)| (k.clone(), v.clone())).collect();
    let sets = |value: &Value| !value.is_null() && *value != "";
    if child.get("Entrypoint").is_some_and(sets) {
        merged.shift_remove("Cmd");
    }
    for (key, value) in child.iter().filter(|(_, value)| sets(value)) {
        let value = match (key.as_str(), merged.get(key)) {
            ("Env", Some(below)) => joined_env(below, value),
            ("Labels" | "Volumes" | "ExposedPorts", Some(below)) => united(below, value),
            ("WorkingDir", below) => working_dir(below.unwrap_or(&Value::Null), value),
            _ => value.clone(),
        };
        merged.insert(key.clone(), value);
    }
    merged
}

fn is_inherited(key: &str, value: &Value) -> bool {
    !value.is_null() && key != ON_BUILD && !OF_CONTAINERS.contains(&key)
}

fn joined_env(below: &Value, above: &Value) -> Value {
    merged_env(strings(below).unwrap_or_default(), strings(above).unwrap_or_default()).into()
}

/// Of the entries with one name (the text before the first `=`) the last stands, where the first was.
fn merged_env(base: Vec<String>, child: Vec<String>) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    for entry in base.into_iter().chain(child) {
        let same_name = |other: &&mut String| other.split('=').next() == entry.split('=').next();
        match merged.iter_mut().find(same_name) {
            Some(existing) => *existing = entry,
            None => merged.push(entry),
        }
    }
    merged
}

fn united(below: &Value, above: &Value) -> Value {
    let mut entries = below.as_object().cloned().unwrap_or_default();
    entries.extend(above.as_object().cloned().unwrap_or_default());
    Value::Object(entries)
}

/// What `WORKDIR` makes of a path: a relative one is taken below the working directory of the base, `.` and `..`
/// resolved; an absolute one is left alone.
fn working_dir(below: &Value, path: &Value) -> Value {
    let (below, path) = (below.as_str().unwrap_or_default(), path.as_str().unwrap_or_default());
    if path.starts_with('/') {
        return path.into();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in below.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/")).into()
}

fn env(config: &Value) -> Result<Vec<String>, NotAnEnv> {
    match config.get("Env") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => strings(list).ok_or(NotAnEnv),
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn is_strings(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

fn is_object_of_strings(value: &Value) -> bool {
    value.as_object().is_some_and(|entries| entries.values().all(Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check_env(base: Value, config: Value, expected: Value) {
        assert_eq!(merge_env(&base, config).unwrap().to_string(), expected.to_string());
    }

    #[test]
    fn environment_by_name() {
        let base = json!({"Env": ["A=1", "B=2", "A=3"], "Cmd": ["x"]});
        check_env(
            base.clone(),
            json!({"Env": ["B=9", "C"], "User": "u"}),
            json!({"Env": ["A=3", "B=9", "C"], "User": "u"}),
        );
        check_env(base, json!({"User": "u"}), json!({"User": "u", "Env": ["A=3", "B=2"]}));
        check_env(json!({"Env": null}), json!({"Env": ["A=1"]}), json!({"Env": ["A=1"]}));
        check_env(json!(null), json!({"Env": []}), json!({"Env": []}));
        check_env(json!({"Env": ["A=b=c"]}), json!(null), json!({"Env": ["A=b=c"]}));
        check_env(json!({}), json!(null), json!(null));
        assert!(merge_env(&json!({"Env": [1]}), json!({})).is_err());
        assert!(merge_env(&json!({}), json!({"Env": "A=1"})).is_err());
    }

    #[track_caller]
    fn check_inherited(base: Value, child: Value, expected: Value) {
        let [base, child] = [base, child].map(|value| value.as_object().unwrap().clone());
        check(&base, None).and(check(&child, None)).unwrap();
        assert_eq!(Value::Object(inherit(&base, &child)).to_string(), expected.to_string());
    }

    #[test]
    fn what_the_child_sets_stands() {
        let base = json!({"User": "b", "StopSignal": "9", "Shell": ["/bin/bash"], "X-Unknown": 1,
            "Healthcheck": {"Test": ["NONE"], "Retries": 2}});
        check_inherited(base.clone(), json!({}), base.clone());
        check_inherited(
            base.clone(),
            json!({"User": null, "StopSignal": "", "Shell": null, "X-Unknown": null}),
            base.clone(),
        );
        let child = json!({"User": "c", "StopSignal": "15", "Shell": [], "X-Unknown": {}, "Healthcheck": {"Test": ["CMD", "x"]}});
        check_inherited(
            base,
            child.clone(),
            json!({"User": "c", "StopSignal": "15", "Shell": [], "X-Unknown": {},
            "Healthcheck": {"Test": ["CMD", "x"]}}),
        );
        check_inherited(json!({}), child.clone(), child);
    }

    #[test]
    fn an_entrypoint_drops_the_command() {
        let base = json!({"Entrypoint": ["/e"], "Cmd": ["c"]});
        check_inherited(base.clone(), json!({"Entrypoint": ["/f"]}), json!({"Entrypoint": ["/f"]}));
        check_inherited(base.clone(), json!({"Entrypoint": []}), json!({"Entrypoint": []}));
        check_inherited(base.clone(), json!({"Entrypoint": null}), base.clone());
        check_inherited(base.clone(), json!({"Cmd": ["d"]}), json!({"Entrypoint": ["/e"], "Cmd": ["d"]}));
        check_inherited(base, json!({"Cmd": ["d"], "Entrypoint": ["/f"]}), json!({"Entrypoint": ["/f"], "Cmd": ["d"]}));
    }

    #[test]
    fn maps_are_united() {
        check_inherited(
            json!({"Env": ["A=1", "B=1"], "Labels": {"a": "1", "b": "1"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": null}),
            json!({"Volumes": {"/v": {}}, "ExposedPorts": {"81/tcp": {}}, "Labels": {"c": "2", "a": "2"}, "Env": ["A=2"]}),
            json!({"Env": ["A=2", "B=1"], "Labels": {"a": "2", "b": "1", "c": "2"},
                "ExposedPorts": {"80/tcp": {}, "81/tcp": {}}, "Volumes": {"/v": {}}}),
        );
    }

    #[test]
    fn a_relative_working_directory_is_below_the_bases() {
        for (base, child, expected) in [
            ("/srv", "app", "/srv/app"),
            ("/srv", "./a/../../b", "/b"),
            ("", "app", "/app"),
            ("/srv", "/opt/./x", "/opt/./x"),
            ("/srv", "../../..", "/"),
        ] {
            check_inherited(json!({"WorkingDir": base}), json!({"WorkingDir": child}), json!({"WorkingDir": expected}));
        }
        check_inherited(json!({"WorkingDir": "/srv"}), json!({"WorkingDir": ""}), json!({"WorkingDir": "/srv"}));
    }

    #[test]
    fn what_concerns_a_container_or_a_build_is_dropped() {
        let base = json!({"Hostname": "4f1c", "Domainname": "", "AttachStdin": false, "Tty": false, "Image": "sha256:1",
            "OnBuild": ["RUN x"], "Volumes": null, "Cmd": ["c"]});
        check_inherited(base, json!({"OnBuild": ["RUN y"]}), json!({"Cmd": ["c"], "OnBuild": ["RUN y"]}));
    }

    #[test]
    fn wrong_types() {
        for (parameters, expected) in [
            (json!({"Env": {}}), "config.Env: found an object, expected a list of strings"),
            (json!({"Cmd": ["x", 1]}), "config.Cmd: found a list, expected a list of strings"),
            (json!({"User": 0}), "config.User: found the number 0, expected a string"),
            (json!({"Volumes": ["/v"]}), "config.Volumes: found a list, expected an object"),
            (json!({"Labels": {"a": null}}), "config.Labels: found an object, expected an object of strings"),
        ] {
            assert_eq!(check(parameters.as_object().unwrap(), None).unwrap_err(), expected);
        }
        check(json!({"Env": null, "Labels": null, "X": 1}).as_object().unwrap(), None).unwrap();
        check(json!({"User": 0}).as_object().unwrap(), Some("Env")).unwrap();
    }

    proptest! {
        /// No name stands twice, every name that was there is, and its value is the last one given.
        #[test]
        fn environments(base in prop::collection::vec("[A-C]=[0-9]", 0..6), child in prop::collection::vec("[A-C]=[0-9]", 0..6)) {
            let merged = merged_env(base.clone(), child.clone());
            let names: Vec<&str> = merged.iter().map(|entry| &entry[..1]).collect();
            let mut expected: Vec<&str> = Vec::new();
            for entry in base.iter().chain(&child) {
                if !expected.contains(&&entry[..1]) {
                    expected.push(&entry[..1]);
                }
            }
            prop_assert_eq!(&names, &expected);
            for entry in &merged {
                let last = base.iter().chain(&child).rfind(|given| given[..1] == entry[..1]);
                prop_assert_eq!(last, Some(entry));
            }
        }
    }
}
