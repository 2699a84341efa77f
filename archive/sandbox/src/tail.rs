//! Keeps the last lines of an output that comes in pieces, and says for messages how a process ended.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Lines that are kept.
const LINES: usize = 20;
/// Bytes that are kept of a line.
const LINE_BYTES: usize = 4096;

/// The last lines of an output.
#[derive(Debug, Default)]
pub struct Tail {
    /// Complete lines and, at the end, the one that goes on.
    lines: VecDeque<Vec<u8>>,
    /// Whether the last line goes on.
    is_open: bool,
}

impl Tail {
    /// Takes in more output.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if !self.is_open {
                self.lines.push_back(Vec::new());
            }
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            self.is_open = text.len() == piece.len();
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
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = Cow<'_, str>> {
        self.lines.iter().map(|line| String::from_utf8_lossy(line))
    }
}

/// Lines below a message.
pub fn quote(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  | {line}")).collect()
}

/// How a process ended: `exit status 3` or `killed by signal 9`.
pub fn describe_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
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
        assert_eq!(tail.lines().collect::<Vec<_>>(), expected);
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
            let (mut at_once, mut pieces) = (Tail::default(), Tail::default());
            at_once.push(text.as_bytes());
            pieces.push(&text.as_bytes()[..cut]);
            pieces.push(&text.as_bytes()[cut..]);
            let expected: Vec<&str> = text.lines().collect();
            let expected = expected[expected.len().saturating_sub(LINES)..].to_vec();
            prop_assert_eq!(at_once.lines().collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(pieces.lines().collect::<Vec<_>>(), expected);
        }
    }
}
