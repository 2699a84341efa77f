//! The history of a base's layers (OCI image-spec, config.md, "history"), made to fit the layers that there are.
//!
//! Each entry that is not marked `empty_layer` stands for one diff ID, in their order. Tools that build on an image find
//! out by counting which entry tells of which layer, so a history of another length would shift all entries above it.

use layerstone_store::describe;
use serde_json::{Value, json};

/// What a history says of a base's layer of which the base says nothing.
const UNDESCRIBED: &str = "layer of the base image";

/// The entries of a base's history, for a base of so many layers; `created` stands in entries that are made up.
///
/// Entries are kept as they are, but for a history that does not fit: those beyond the layers are marked empty, and for
/// layers beyond the entries some are added at the end (as BuildKit does, `exporter/containerimage/writer.go`).
pub(crate) fn fitted(history: Option<&Value>, layers: usize, created: &str) -> Result<Vec<Value>, String> {
    let mut entries = parse(history)?;
    let mut described = 0;
    for entry in entries.iter_mut().filter(|entry| !is_empty(entry)) {
        if described == layers {
            entry["empty_layer"] = json!(true);
        } else {
            described += 1;
        }
    }
    let made_up = json!({"created": created, "comment": UNDESCRIBED});
    entries.extend(std::iter::repeat_n(made_up, layers - described));
    Ok(entries)
}

fn parse(history: Option<&Value>) -> Result<Vec<Value>, String> {
    let entries = match history {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(other) => return Err(format!("history: found {}, expected a list", describe(other))),
    };
    let entry = |(index, entry): (usize, &Value)| match (entry, &entry["empty_layer"]) {
        (Value::Object(_), Value::Null | Value::Bool(_)) => Ok(entry.clone()),
        (Value::Object(_), other) => {
            Err(format!("history[{index}].empty_layer: found {}, expected true or false", describe(other)))
        }
        (other, _) => Err(format!("history[{index}]: found {}, expected an object", describe(other))),
    };
    entries.iter().enumerate().map(entry).collect()
}

fn is_empty(entry: &Value) -> bool {
    entry["empty_layer"] == true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(history: Value, layers: usize, expected: Value) {
        let fitted = fitted(Some(&history), layers, "now").unwrap();
        assert_eq!(Value::from(fitted).to_string(), expected.to_string());
    }

    #[test]
    fn what_fits_is_kept() {
        let history = json!([{"created_by": "ADD", "x": 1}, {"empty_layer": true, "created_by": "CMD"}, {"empty_layer": false},
            {"empty_layer": null}, {"empty_layer": true}]);
        check(history.clone(), 3, history);
    }

    #[test]
    fn absent_or_short() {
        let made_up = json!({"created": "now", "comment": "layer of the base image"});
        assert_eq!(fitted(None, 1, "now").unwrap(), std::slice::from_ref(&made_up));
        check(json!(null), 2, json!([made_up, made_up]));
        check(json!([]), 0, json!([]));
        check(json!([{}, {"empty_layer": true}]), 2, json!([{}, {"empty_layer": true}, made_up]));
    }

    #[test]
    fn too_long() {
        check(
            json!([{"comment": "a"}, {"comment": "b"}, {"empty_layer": true}]),
            1,
            json!([{"comment": "a"}, {"comment": "b", "empty_layer": true}, {"empty_layer": true}]),
        );
    }

    #[test]
    fn wrong_types() {
        let error = |history: Value| fitted(Some(&history), 1, "now").unwrap_err();
        assert_eq!(error(json!({})), "history: found an object, expected a list");
        assert_eq!(error(json!([{}, 1])), "history[1]: found the number 1, expected an object");
        assert_eq!(
            error(json!([{"empty_layer": "no"}])),
            "history[0].empty_layer: found the string \"no\", expected true or false"
        );
    }

    proptest! {
        /// Whatever the history, one entry stands for each layer, and none that was there is lost or moved.
        #[test]
        fn one_entry_a_layer(empty in prop::collection::vec(any::<Option<bool>>(), 0..8), layers in 0usize..8) {
            let entry = |(index, empty): (usize, &Option<bool>)| json!({"comment": index, "empty_layer": empty});
            let history: Vec<Value> = empty.iter().enumerate().map(entry).collect();
            let fitted = fitted(Some(&history.clone().into()), layers, "now").unwrap();
            prop_assert_eq!(fitted.iter().filter(|entry| !is_empty(entry)).count(), layers);
            for (before, after) in history.iter().zip(&fitted) {
                prop_assert_eq!(&before["comment"], &after["comment"]);
                prop_assert!(!is_empty(before) || is_empty(after));
            }
            prop_assert!(fitted.len() >= history.len());
        }
    }
}
