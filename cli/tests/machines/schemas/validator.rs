//! Validates JSON against as much of JSON Schema as our schemas use; a keyword that it does not know is a panic.

use serde_json::Value;

/// What is wrong with a value, each fault with the place that it is at.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let is_good = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "examples" => true,
            "type" => types(rule).iter().any(|name| is_of(name, value)),
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
            "minProperties" => value.as_object().is_none_or(|it| it.len() as u64 >= rule.as_u64().unwrap()),
            "maxProperties" => value.as_object().is_none_or(|it| it.len() as u64 <= rule.as_u64().unwrap()),
            "propertyNames" => value
                .as_object()
                .is_none_or(|it| it.keys().all(|key| faults(rule, &Value::from(key.as_str())).is_empty())),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
            "required" => value.as_object().is_none_or(|object| {
                rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "oneOf" => rule.as_array().unwrap().iter().filter(|one| faults(one, value).is_empty()).count() == 1,
            "anyOf" => rule.as_array().unwrap().iter().any(|one| faults(one, value).is_empty()),
            "properties" => {
                for (key, inner) in rule.as_object().unwrap() {
                    value.get(key).into_iter().for_each(|one| check(inner, one, &format!("{at}/{key}"), found));
                }
                true
            }
            "additionalProperties" => {
                let known = |key: &str| schema["properties"].get(key).is_some();
                let others = value.as_object().into_iter().flatten().filter(|(key, _)| !known(key));
                match rule {
                    Value::Bool(allowed) => *allowed || others.count() == 0,
                    rule => {
                        others.for_each(|(key, one)| check(rule, one, &format!("{at}/{key}"), found));
                        true
                    }
                }
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items.for_each(|(index, one)| check(rule, one, &format!("{at}/{index}"), found));
                true
            }
            other => panic!("{at}: the keyword {other:?} is not known here"),
        };
        if !is_good {
            found.push(format!("{at}: {keyword} {rule}: found {value}"));
        }
    }
}

fn types(rule: &Value) -> Vec<&str> {
    match rule {
        Value::String(name) => vec![name],
        names => names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect(),
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type: {other:?}"),
    }
}

/// Whether a text fits a pattern, of which only those in our schemas are known.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        "^/" => text.starts_with('/'),
        "^[^/]" => text.chars().next().is_some_and(|first| first != '/'),
        "^sha256:[0-9a-f]{64}$" => text.strip_prefix("sha256:").is_some_and(|digits| {
            digits.len() == 64 && digits.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it))
        }),
        "^([A-Za-z0-9_][A-Za-z0-9._-]*)?$" => {
            let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_';
            text.chars().next().is_none_or(is_word) && text.chars().all(|it| is_word(it) || it == '.' || it == '-')
        }
        "^0*[0-7]{1,4}$" => {
            let digits = text.trim_start_matches('0');
            !text.is_empty() && digits.len() <= 4 && digits.bytes().all(|it| (b'0'..=b'7').contains(&it))
        }
        other => panic!("the pattern {other:?} is not known here"),
    }
}
