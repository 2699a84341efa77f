//! Takes the keys of a JSON object that people and other tools write, one by one: an error names the file, the key, what
//! was found and what was expected. A key that stands there twice is an error, as one of the two would be lost.

use crate::{Error, Result};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt::Display;

/// An object whose keys are being taken.
pub struct Fields<'a> {
    format: &'static str,
    name: &'a str,
    /// Where the object is in the file, as messages begin: empty for the whole file.
    path: String,
    map: Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Parses an object; `format` and the file's `name` stand in messages.
    pub fn parse(bytes: &[u8], format: &'static str, name: &'a str) -> Result<Fields<'a>> {
        let json = |source| Error::Json { name: name.to_owned(), source };
        Fields { format, name, path: String::new(), map: Map::new() }.with(json_without_twins(bytes).map_err(json)?)
    }

    /// The fields of an object in this one; `key` stands in messages.
    pub fn nested(&self, key: &str, value: Value) -> Result<Fields<'a>> {
        Fields { path: format!("{}{key}: ", self.path), map: Map::new(), ..*self }.with(value)
    }

    fn with(self, value: Value) -> Result<Fields<'a>> {
        match value {
            Value::Object(map) => Ok(Fields { map, ..self }),
            other => Err(self.invalid(format_args!("found {}, expected an object", describe(&other)))),
        }
    }

    /// A value that may be absent or null, read by `read`, which gives none for what is not `expected`.
    pub fn optional<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let or_null = |value: &Value| if value.is_null() { Some(None) } else { read(value).map(Some) };
        Ok(self.take(key, expected, or_null)?.flatten())
    }

    /// A value that must be there.
    pub fn required<T>(&mut self, key: &str, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<T> {
        self.take(key, expected, read)?.ok_or_else(|| self.error(key, format!("missing, expected {expected}")))
    }

    /// A value that has a default, which null does not stand for.
    pub fn defaulted<T>(
        &mut self,
        key: &str,
        default: T,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T> {
        Ok(self.take(key, expected, read)?.unwrap_or(default))
    }

    /// Whether a key is there and nobody took it.
    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// The keys that nobody took.
    pub fn left_over(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// An error about a key.
    pub fn error(&self, key: &str, cause: impl Display) -> Error {
        self.invalid(format_args!("{key}: {cause}"))
    }

    /// An error about the object.
    pub fn invalid(&self, cause: impl Display) -> Error {
        Error::Malformed { format: self.format, name: self.name.to_owned(), cause: format!("{}{cause}", self.path) }
    }

    /// A value that may be absent.
    fn take<T>(&mut self, key: &str, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.map.shift_remove(key) else { return Ok(None) };
        let found = || self.error(key, format!("found {}, expected {expected}", describe(&value)));
        read(&value).ok_or_else(found).map(Some)
    }
}

/// Parses JSON in which no object has a key twice.
///
/// # Errors
///
/// It is no JSON, or some object has.
pub fn json_without_twins(bytes: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(bytes).map(|Unique(value)| value)
}

/// A value whose objects have each key once.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Unique;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Unique, E> {
                Ok(Unique(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Unique, E> {
                Ok(Unique(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Unique, E> {
                Ok(Unique(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Unique, E> {
                Ok(Unique(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Unique, E> {
                Ok(Unique(Number::from_f64(value).map_or(Value::Null, Value::Number)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Unique, E> {
                Ok(Unique(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
                let mut list = Vec::new();
                while let Some(Unique(item)) = items.next_element()? {
                    list.push(item);
                }
                Ok(Unique(list.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
                let mut map = Map::new();
                while let Some((key, Unique(value))) = entries.next_entry::<String, Unique>()? {
                    if map.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("found the key {key:?} twice")));
                    }
                    map.insert(key, value);
                }
                Ok(Unique(map.into()))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

/// For [`Fields`]: a string.
pub fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// What a value is, for a message: `the number 5`, `a list`.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
