//! The keys of a JSON object that people and other tools write, taken one by one: what does not fit is told with the
//! file, the key, what was found and what was expected.

use crate::{Error, Result};
use serde_json::{Map, Value};

/// An object whose keys are being taken.
pub struct Fields<'a> {
    format: &'static str,
    name: &'a str,
    map: Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Parses an object; `format` and the file's `name` stand in messages.
    pub fn parse(bytes: &[u8], format: &'static str, name: &'a str) -> Result<Fields<'a>> {
        let json = |source| Error::Json { name: name.to_owned(), source };
        match serde_json::from_slice(bytes).map_err(json)? {
            Value::Object(map) => Ok(Fields { format, name, map }),
            other => Err(malformed(format, name, format!("found {}, expected an object", describe(&other)))),
        }
    }

    /// A value that may be absent or null, read by `read`, which gives none for what is not `expected`.
    pub fn optional<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.map.shift_remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.read(key, value, expected, read).map(Some),
        }
    }

    /// A value that must be there.
    pub fn required<T>(&mut self, key: &str, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<T> {
        match self.map.shift_remove(key) {
            None => Err(self.error(key, format!("missing, expected {expected}"))),
            Some(value) => self.read(key, value, expected, read),
        }
    }

    /// A value that has a default, which null does not stand for.
    pub fn defaulted<T>(
        &mut self,
        key: &str,
        default: T,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T> {
        match self.map.shift_remove(key) {
            None => Ok(default),
            Some(value) => self.read(key, value, expected, read),
        }
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
    pub fn error(&self, key: &str, cause: impl std::fmt::Display) -> Error {
        malformed(self.format, self.name, format!("{key}: {cause}"))
    }

    fn read<T>(&self, key: &str, value: Value, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<T> {
        read(&value).ok_or_else(|| self.error(key, format!("found {}, expected {expected}", describe(&value))))
    }
}

fn malformed(format: &'static str, name: &str, cause: String) -> Error {
    Error::Malformed { format, name: name.to_owned(), cause }
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
