//! JSON and lists as Python writes them: `json.dumps(value, indent=4)` and `repr` of a list of strings.
//!
//! An image ID is the hash of such a text, so every byte counts: four spaces, keys in the order given, ASCII only with
//! `\uXXXX` in lower case (two of them beyond the basic plane, and DEL escaped too), no newline at the end, floats as
//! `repr` has them (Python's manual: json, "Basic Usage"; the float format is that of PEP 3101's `r`).
//!
//! Integers beyond 64 bits, which Python would keep, are read as floats.

use crate::JsonStyle;
use serde_json::Value;

/// The text that Python's `json.dumps(value, indent=4)` gives.
pub fn to_python_json(value: &Value) -> Vec<u8> {
    JsonStyle { indent: 4, append_char, float: python_float }.text(value).into_bytes()
}

fn append_char(c: char, text: &mut String) {
    match c {
        ' '..='~' => text.push(c),
        c => text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
    }
}

/// The text that Python's `repr` gives for a list of strings: `['a', "it's"]`.
pub fn python_list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<String> = items.iter().map(|item| python_string(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// `repr` of a string: single quotes unless it holds some and no double ones (Python's manual: "String and Bytes
/// literals" for the escapes, `str.isprintable` for what needs one).
fn python_string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push(quote);
    out
}

/// Whether Python calls a character printable: neither a control nor unassigned nor a separator other than space.
///
/// Rust's `escape_debug` escapes the same categories; it also escapes a combining character at the start of a string,
/// hence the letter before it.
fn is_printable(c: char) -> bool {
    let mut text = String::from("a");
    text.push(c);
    !text.escape_debug().skip(1).collect::<String>().starts_with("\\u") && !matches!(c, '\0'..='\x1f')
}

/// `repr` of a finite float: the shortest digits that read back the same, with an exponent below 1e-4 and from 1e16 on.
fn python_float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("the e format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the e format writes a decimal exponent");
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(String::from_utf8(to_python_json(&value)).unwrap(), expected);
    }

    /// The right-hand sides are what Python 3.11's `json.dumps(json.loads(left), indent=4)` printed.
    #[test]
    fn texts_of_python() {
        check("{}", "{}");
        check(r#"{"b":[],"a":{}}"#, "{\n    \"b\": [],\n    \"a\": {}\n}");
        check(r#"[1,[true,null]]"#, "[\n    1,\n    [\n        true,\n        null\n    ]\n]");
        check(r#""é\u007f/\u0001\n\b\f\"\\😀""#, r#""\u00e9\u007f/\u0001\n\b\f\"\\\ud83d\ude00""#);
        check("18446744073709551615", "18446744073709551615");
        check("-9223372036854775808", "-9223372036854775808");
    }

    #[test]
    fn floats_of_python() {
        for (json, expected) in [
            ("1.0", "1.0"),
            ("-0.0", "-0.0"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("1.5e300", "1.5e+300"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("123456789.123456789", "123456789.12345679"),
            ("5e-324", "5e-324"),
            ("9007199254740993.0", "9007199254740992.0"),
        ] {
            check(json, expected);
        }
    }

    /// The right-hand sides are what Python 3.11's `repr` printed.
    #[test]
    fn lists_of_python() {
        assert_eq!(python_list::<&str>(&[]), "[]");
        assert_eq!(python_list(&["/nix/store/a", "b"]), "['/nix/store/a', 'b']");
        assert_eq!(python_list(&["it's", "\"", "'\""]), r#"["it's", '"', '\'"']"#);
        assert_eq!(python_list(&["\n\t\r\\\0\x7f", "é\u{a0}\u{ad}"]), r#"['\n\t\r\\\x00\x7f', 'é\xa0\xad']"#);
        assert_eq!(python_list(&["\u{301}\u{2028}😀\u{e0001}"]), "['\u{301}\\u2028😀\\U000e0001']");
    }
}
