//! Keeps the last lines of an output that is passed on as it comes.

use std::collections::VecDeque;

/// Lines that are kept.
const LINES: usize = 20;
/// Bytes that are kept of a line.
const LINE_BYTES: usize = 500;

/// The last lines of what was put in.
#[derive(Debug, Default)]
pub struct Tail {
    /// Complete lines and, at the end, the one that goes on.
    lines: VecDeque<Vec<u8>>,
    open: bool,
}

impl Tail {
    /// Takes in more output.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if !self.open {
                self.lines.push_back(Vec::new());
            }
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            self.open = text.len() == piece.len();
            if let Some(line) = self.lines.back_mut() {
                let room = LINE_BYTES.saturating_sub(line.len());
                line.extend_from_slice(&text[..text.len().min(room)]);
            }
            if self.lines.len() > LINES {
                self.lines.pop_front();
            }
        }
    }

    /// The lines, bytes that are not UTF-8 replaced.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pieces: &[&str], expected: &[&str]) {
        let mut tail = Tail::default();
        pieces.iter().for_each(|piece| tail.push(piece.as_bytes()));
        assert_eq!(tail.into_lines(), expected);
    }

    #[test]
    fn lines() {
        check(&[], &[]);
        check(&["a\nb"], &["a", "b"]);
        check(&["a", "b\n", "\n", "c\n"], &["ab", "", "c"]);
        check(&[&"x".repeat(LINE_BYTES), "xx\ny\n"], &[&"x".repeat(LINE_BYTES), "y"]);
        let many: String = (0..30).map(|n| format!("{n}\n")).collect();
        let last: Vec<String> = (10..30).map(|n| n.to_string()).collect();
        check(&[&many], &last.iter().map(String::as_str).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[ab\n]{0,80}", cut in 0usize..80) {
            let cut = cut.min(text.len());
            let (mut whole, mut pieces) = (Tail::default(), Tail::default());
            whole.push(text.as_bytes());
            pieces.push(&text.as_bytes()[..cut]);
            pieces.push(&text.as_bytes()[cut..]);
            let expected: Vec<&str> = text.lines().collect();
            let expected = expected[expected.len().saturating_sub(LINES)..].to_vec();
            prop_assert_eq!(whole.into_lines(), expected.clone());
            prop_assert_eq!(pieces.into_lines(), expected);
        }
    }
}
