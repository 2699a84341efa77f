//! Writes JSON over several lines, to the byte as other programs do. Does not know which programs.

use serde_json::Value;

/// How a program writes JSON: what differs from one to another.
pub struct JsonStyle {
    /// Spaces of indentation for each level.
    pub indent: usize,
    /// Appends a character of a string that is no quote, no backslash and none of `\b`, `\f`, `\n`, `\r` and `\t`.
    pub append_char: fn(char, &mut String),
    /// The text of a float.
    pub float: fn(f64) -> String,
}

impl JsonStyle {
    /// The text of a value, without a newline at its end.
    pub fn text(&self, value: &Value) -> String {
        let mut text = String::new();
        self.append(value, 0, &mut text);
        text
    }

    fn append(&self, value: &Value, depth: usize, text: &mut String) {
        match value {
            Value::Null | Value::Bool(_) => text.push_str(&value.to_string()),
            Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
                Some(float) => text.push_str(&(self.float)(float)),
                None => text.push_str(&number.to_string()),
            },
            Value::String(string) => self.append_string(string, text),
            Value::Array(items) => {
                self.append_list(items, ['[', ']'], depth, text, |item, text| self.append(item, depth + 1, text));
            }
            Value::Object(entries) => self.append_list(entries, ['{', '}'], depth, text, |(key, value), text| {
                self.append_string(key, text);
                text.push_str(": ");
                self.append(value, depth + 1, text);
            }),
        }
    }

    /// Brackets and, on lines of their own, what is between them.
    fn append_list<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        [open, close]: [char; 2],
        depth: usize,
        text: &mut String,
        append: impl Fn(T, &mut String),
    ) {
        let begin_line = |depth: usize, text: &mut String| {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', depth * self.indent));
        };
        text.push(open);
        let mut separator = "";
        for item in items {
            text.push_str(separator);
            begin_line(depth + 1, text);
            append(item, text);
            separator = ",";
        }
        if separator == "," {
            begin_line(depth, text);
        }
        text.push(close);
    }

    fn append_string(&self, string: &str, text: &mut String) {
        text.push('"');
        for c in string.chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                c => (self.append_char)(c, text),
            }
        }
        text.push('"');
    }
}
