//! Refuses JSON with more values than fit into memory, before it is parsed.

/// Values in a manifest, index or config at most: in memory, each takes up to some hundred bytes, however short its text is.
/// A config of 127 layers has about a thousand.
const MAX_JSON_VALUES: usize = 200_000;

/// Checks that a text has no more values than may be kept in memory; whether it is JSON is not checked.
///
/// # Errors
///
/// It has more; the text says what was found and what was expected.
pub fn check_json(text: &[u8]) -> Result<(), String> {
    // Every value but the first follows one of these. Keys do too, and are counted as values.
    let mut values = 1;
    let (mut is_string, mut is_escaped) = (false, false);
    for &byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_string,
            b'"' => is_string = !is_string,
            b',' | b':' | b'[' | b'{' if !is_string => values += 1,
            _ => {}
        }
    }
    match values > MAX_JSON_VALUES {
        true => Err(format!("found JSON of more than {MAX_JSON_VALUES} values")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_strings() {
        let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
        assert_eq!(check_json(list(MAX_JSON_VALUES).as_bytes()), Ok(()));
        let error = Err("found JSON of more than 200000 values".to_owned());
        for text in [list(MAX_JSON_VALUES + 1), "[".repeat(MAX_JSON_VALUES), "{\"a\":".repeat(MAX_JSON_VALUES / 2)] {
            assert_eq!(check_json(text.as_bytes()), error);
        }
        let string = format!("\"{}\"", "\\\",:[{".repeat(MAX_JSON_VALUES));
        assert_eq!(check_json(string.as_bytes()), Ok(()));
    }
}
