//! Takes the keys of a JSON object that people and other tools write, one by one: an error names the file, the key, what
//! was found and what was expected.

use crate::{Error, Result};
use serde_json::{Map, Value};
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
        Fields { format, name, path: String::new(), map: Map::new() }.with(serde_json::from_slice(bytes).map_err(json)?)
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

    /// The next key that nobody took.
    pub fn left_over(&self) -> Option<&str> {
        self.map.keys().next().map(String::as_str)
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
