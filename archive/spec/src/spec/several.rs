//! Parses an image.json of one image for several architectures into a spec for each.

use super::keys::{ARCHITECTURE, ARCHITECTURES};
use super::{SPEC_FORMAT, Spec};
use crate::Result;
use layerstone_store::{Error, json_without_twins};
use serde_json::Value;
use std::path::Path;

impl Spec {
    /// Reads an image.json that may be one of several images: for each entry of `architectures`, the spec with the
    /// entry's keys over its own.
    pub fn parse_all(bytes: &[u8], name: &str, directory: &Path) -> Result<Vec<Spec>> {
        let parsed = json_without_twins(bytes).ok();
        let object = parsed.and_then(|value| if let Value::Object(object) = value { Some(object) } else { None });
        let Some((mut object, entries)) =
            object.and_then(|mut it| it.remove(ARCHITECTURES.name).map(|list| (it, list)))
        else {
            return Ok(vec![Spec::parse(bytes, name, directory)?]);
        };
        let expected = format!("expected {}", ARCHITECTURES.expected);
        let wrong = |cause: &str| {
            let cause = format!("{}: {cause}", ARCHITECTURES.name);
            Error::Malformed { format: SPEC_FORMAT, name: name.to_owned(), cause }
        };
        let entries = match entries.as_array().filter(|entries| !entries.is_empty()) {
            Some(entries) => entries.clone(),
            None => return Err(wrong(&expected).into()),
        };
        if object.remove(ARCHITECTURE.name).is_some() {
            return Err(wrong("found architecture too, expected one of them").into());
        }
        let specs = entries.into_iter().enumerate().map(|(index, entry)| {
            let mut spec = object.clone();
            match entry {
                Value::Object(keys) if keys.contains_key(ARCHITECTURE.name) => spec.extend(keys),
                Value::String(architecture) => drop(spec.insert(ARCHITECTURE.name.to_owned(), architecture.into())),
                _ => return Err(wrong(&expected).into()),
            }
            let bytes = Value::Object(spec).to_string();
            Spec::parse(bytes.as_bytes(), &format!("{name}: architectures[{index}]"), directory)
        });
        specs.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(spec: Value) -> Result<Vec<Spec>> {
        Spec::parse_all(spec.to_string().as_bytes(), "image.json", Path::new("/specs"))
    }

    #[test]
    fn keys_over_keys() {
        let arm = json!({"architecture": "aarch64-linux", "graph": "arm.json", "config": {"Cmd": ["b"]}});
        let specs = parse(json!({"name": "t", "graph": "x.json", "config": {"Cmd": ["a"]}, "tag": "1",
            "architectures": ["x86_64-linux", arm]}));
        let specs = specs.unwrap();
        let facts: Vec<_> = specs
            .iter()
            .map(|it| (it.architecture.as_deref().unwrap(), it.config["Cmd"][0].as_str().unwrap()))
            .collect();
        assert_eq!(facts, [("amd64", "a"), ("arm64", "b")]);
        assert_ne!(specs[0].references, specs[1].references);
        assert!(specs.iter().all(|spec| spec.tag.as_deref() == Some("1")));
        assert_eq!(parse(json!({"name": "t"})).unwrap(), [Spec::new("t")]);
    }

    #[test]
    fn what_is_wrong() {
        let error = |spec: Value| parse(spec).unwrap_err().to_string();
        for list in [json!([]), json!(null), json!("amd64"), json!([1]), json!([{"variant": "v7"}])] {
            let expected =
                format!("malformed layerstone/image: image.json: architectures: expected {}", ARCHITECTURES.expected);
            assert_eq!(error(json!({"name": "t", "architectures": list})), expected);
        }
        assert_eq!(
            error(json!({"name": "t", "architecture": "arm", "architectures": ["arm"]})),
            "malformed layerstone/image: image.json: architectures: found architecture too, expected one of them"
        );
        let inner = error(json!({"name": "t", "architectures": ["arm", {"architecture": "arm64", "x": 1}]}));
        assert!(
            inner.starts_with("malformed layerstone/image: image.json: architectures[1]: x: unknown key"),
            "{inner}"
        );
    }
}
