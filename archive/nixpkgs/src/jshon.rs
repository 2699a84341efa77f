//! JSON as `jshon` prints it, in which the legacy metadata of docker archives is written.
//!
//! An ID in that metadata is the hash of such a text, so every byte counts: one space of indentation, keys in the order
//! given, `\/` for a slash, control characters as `\u001F`, all else as it is, a newline at the end (jansson's manual,
//! `JSON_INDENT`, `JSON_PRESERVE_ORDER`, `JSON_ESCAPE_SLASH`; jshon(1)).
//!
//! jshon takes neither numbers beyond 64 bits with a sign nor NUL in keys; here both are written like the rest.

use layerstone_image::JsonStyle;
use serde_json::Value;

/// Digits of a float that jansson 2.14 and older print at most (`%.17g`).
const FLOAT_DIGITS: i32 = 17;

/// The text that `jshon` prints for a value.
pub(crate) fn to_jshon(value: &Value) -> Vec<u8> {
    let text = JsonStyle { indent: 1, append_char, float }.text(value);
    format!("{text}\n").into_bytes()
}

fn append_char(c: char, text: &mut String) {
    match c {
        '/' => text.push_str("\\/"),
        '\0'..='\x1f' => text.push_str(&format!("\\u{:04X}", c as u32)),
        c => text.push(c),
    }
}

/// A float by C's `%.17g`, with a `.0` where it would look like an integer, and no `+` or leading zero in the exponent
/// (jansson's `strconv.c`).
fn float(value: f64) -> String {
    let scientific = format!("{value:.*e}", FLOAT_DIGITS as usize - 1);
    let (digits, exponent) = scientific.split_once('e').expect("the e format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the e format writes a decimal exponent");
    if !(-4..FLOAT_DIGITS).contains(&exponent) {
        return format!("{}e{exponent}", without_zeros(digits));
    }
    let decimals = usize::try_from(FLOAT_DIGITS - 1 - exponent).expect("the exponent is less than the digits");
    let plain = format!("{value:.decimals$}");
    let plain = without_zeros(&plain);
    if plain.contains('.') { plain.to_owned() } else { format!("{plain}.0") }
}

/// A number without the zeros that end its fraction.
fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Map;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(String::from_utf8(to_jshon(&value)).unwrap(), expected);
    }

    /// Texts, and what jshon 20131010 with jansson 2.14 printed for them.
    const TEXTS: [(&str, &str); 8] = [
        ("{}", "{}\n"),
        ("[]", "[]\n"),
        (r#"{"b":[],"a":{}}"#, "{\n \"b\": [],\n \"a\": {}\n}\n"),
        (r#"[1,[true,null],false]"#, "[\n 1,\n [\n  true,\n  null\n ],\n false\n]\n"),
        (r#"{"a":{"b":{"c":-3}}}"#, "{\n \"a\": {\n  \"b\": {\n   \"c\": -3\n  }\n }\n}\n"),
        ("[9223372036854775807,-9223372036854775808]", "[\n 9223372036854775807,\n -9223372036854775808\n]\n"),
        (
            r#"["a/b é \u0001\u001f\u007f\n\t\r\b\f\"\\ \u2028😀"]"#,
            "[\n \"a\\/b é \\u0001\\u001F\u{7f}\\n\\t\\r\\b\\f\\\"\\\\ \u{2028}😀\"\n]\n",
        ),
        (r#"{"reg:5000/ü\n":""}"#, "{\n \"reg:5000\\/ü\\n\": \"\"\n}\n"),
    ];

    const FLOATS: [(&str, &str); 14] = [
        ("1.0", "1.0"),
        ("0.1", "0.10000000000000001"),
        ("1E2", "100.0"),
        ("1e16", "10000000000000000.0"),
        ("1e17", "1e17"),
        ("123456789012345678.0", "1.2345678901234568e17"),
        ("1e-4", "0.0001"),
        ("1e-5", "1.0000000000000001e-5"),
        ("-0.0", "-0.0"),
        ("-1.5e-10", "-1.5e-10"),
        ("12345.678", "12345.678"),
        ("5e-324", "4.9406564584124654e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e308"),
        ("2.5e-7", "2.4999999999999999e-7"),
    ];

    #[test]
    fn texts_of_jshon() {
        TEXTS.iter().for_each(|(json, expected)| check(json, expected));
        for (json, expected) in FLOATS {
            check(&format!("[{json}]"), &format!("[\n {expected}\n]\n"));
        }
    }

    /// What the real jshon prints; none if it is not here, which the test's output then tells.
    #[track_caller]
    fn real(test: &str, json: &str) -> Option<String> {
        let spawned = Command::new("jshon").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut jshon = match spawned {
            Ok(jshon) => jshon,
            Err(error) => {
                assert!(std::env::var_os("LAYERSTONE_REQUIRE_ALL").is_none_or(|value| value != "1"), "jshon: {error}");
                println!("SKIP {test}: jshon: {error}");
                return None;
            }
        };
        jshon.stdin.take().unwrap().write_all(json.as_bytes()).unwrap();
        let output = jshon.wait_with_output().unwrap();
        assert!(output.status.success(), "{json}");
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn the_table_is_what_jshon_prints() {
        for (json, expected) in TEXTS {
            let Some(printed) = real("the_table_is_what_jshon_prints", json) else { return };
            assert_eq!(printed, expected);
        }
    }

    /// JSON of all kinds that an image config has.
    fn values() -> impl Strategy<Value = Value> {
        let text = || prop_oneof![".{0,8}", "[\\x01-\\x7f/]{0,8}"].prop_map(|text: String| text.replace('\0', ""));
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            let entries = prop::collection::vec((text(), inner.clone()), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(Value::from),
                entries.prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_value_is_what_jshon_prints(items in prop::collection::vec(values(), 0..8)) {
            let value = Value::Array(items);
            let text = String::from_utf8(to_jshon(&value)).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
            if let Some(printed) = real("any_value_is_what_jshon_prints", &value.to_string()) {
                prop_assert_eq!(text, printed);
            }
        }
    }
}
