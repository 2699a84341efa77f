//! Refuses JSON that is too wide or too deep, before it is parsed.

use crate::{Exceeded, Limit, Limits};

impl Limits {
    /// Checks that a text has no more values than may be kept in memory, and none too deep in others; whether it is JSON is not
    /// checked.
    ///
    /// # Errors
    ///
    /// It has more than [`Limit::JsonValues`], or is deeper than [`Limit::JsonDepth`].
    pub fn check_json(&self, text: &[u8]) -> Result<(), Exceeded> {
        // Every value but the first follows one of these. Keys do too, and are counted as values.
        let mut values = 1;
        let (mut depth, mut deepest) = (0_u64, 0);
        let (mut is_string, mut is_escaped) = (false, false);
        for &byte in text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = is_string,
                b'"' => is_string = !is_string,
                b',' | b':' if !is_string => values += 1,
                b'[' | b'{' if !is_string => {
                    values += 1;
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' if !is_string => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        self.check(Limit::JsonValues, values)?;
        self.check(Limit::JsonDepth, deepest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_values_as_the_limit_and_no_more() {
        let limits = Limits::default().with(Limit::JsonDepth, u64::MAX);
        let most = limits.most(Limit::JsonValues) as usize;
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
        assert_eq!(limits.check_json(list(most).as_bytes()), Ok(()));
        for text in [list(most + 1), "[".repeat(most), "{\"a\":".repeat(most / 2)] {
            let exceeded = limits.check_json(text.as_bytes()).unwrap_err();
            assert_eq!(exceeded.to_string(), "found 200001 values, expected at most 200000 (limit json-values)");
            assert_eq!(limits.with(Limit::JsonValues, most as u64 + 1).check_json(text.as_bytes()), Ok(()));
        }
        let string = format!("\"{}\"", "\\\",:[{".repeat(most));
        assert_eq!(limits.check_json(string.as_bytes()), Ok(()));
    }

    /// As deep as the limit and no deeper; and what is that deep is read.
    #[test]
    fn depth() {
        let limits = Limits::default();
        let most = limits.most(Limit::JsonDepth) as usize;
        let lists = |depth: usize| format!("[0,{}{}]", "[".repeat(depth - 1), "]".repeat(depth - 1));
        let objects = |depth: usize| format!("{}0{}", "{\"[\":".repeat(depth), "}".repeat(depth));
        for text in [lists(most), objects(most), format!("[{}[]]", "[],".repeat(1000))] {
            assert_eq!(limits.check_json(text.as_bytes()), Ok(()));
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
        for text in [lists(most + 1), objects(most + 1)] {
            let exceeded = limits.check_json(text.as_bytes()).unwrap_err().to_string();
            let expected = "found 65 arrays and objects within each other, expected at most 64 (limit json-depth)";
            assert_eq!(exceeded, expected);
        }
    }
}
