//! Refuses JSON with more values than fit into memory, before it is parsed.

use layerstone_store::{Exceeded, Limit, Limits};

/// Checks that a text has no more values than may be kept in memory; whether it is JSON is not checked.
///
/// # Errors
///
/// It has more than [`Limit::JsonValues`].
pub fn check_json(text: &[u8], limits: &Limits) -> Result<(), Exceeded> {
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
    limits.check(Limit::JsonValues, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_values_as_the_limit_and_no_more() {
        let limits = Limits::default();
        let most = limits.most(Limit::JsonValues) as usize;
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
        assert_eq!(check_json(list(most).as_bytes(), &limits), Ok(()));
        for text in [list(most + 1), "[".repeat(most), "{\"a\":".repeat(most / 2)] {
            let exceeded = check_json(text.as_bytes(), &limits).unwrap_err();
            assert_eq!(exceeded.to_string(), "found 200001 values, expected at most 200000 (limit json-values)");
            assert_eq!(check_json(text.as_bytes(), &limits.with(Limit::JsonValues, most as u64 + 1)), Ok(()));
        }
        let string = format!("\"{}\"", "\\\",:[{".repeat(most));
        assert_eq!(check_json(string.as_bytes(), &limits), Ok(()));
    }
}
