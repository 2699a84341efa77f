//! What scripts print: on stderr, above the bar if there is one, and noted for it.

use super::{BARS, Board, lock};
use std::io::{self, IsTerminal, Write};

/// Bytes of a line that are kept until it ends.
const MOST: usize = 1 << 16;

/// Takes what a script prints.
pub struct ScriptOutput {
    board: Board,
    /// Whether there may be a bar, which stays out of lines that have not ended.
    has_bar: bool,
    /// The line that has not ended.
    line: Vec<u8>,
}

impl ScriptOutput {
    /// Notes its lines on this board.
    pub fn new(board: &Board) -> ScriptOutput {
        ScriptOutput { board: board.clone(), has_bar: io::stderr().is_terminal(), line: Vec::new() }
    }

    fn note(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        if let Some(line) = text.lines().rev().find(|line| !line.trim().is_empty()) {
            line.clone_into(&mut lock(&self.board.0.last_line));
        }
    }
}

impl Write for ScriptOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        let whole = self.line.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let whole = if self.line.len() > MOST { self.line.len() } else { whole };
        let lines: Vec<u8> = self.line.drain(..whole).collect();
        self.note(&lines);
        if self.has_bar {
            BARS.suspend(|| io::stderr().write_all(&lines))?;
        } else {
            io::stderr().write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl Drop for ScriptOutput {
    fn drop(&mut self) {
        if self.has_bar && !self.line.is_empty() {
            // Where it cannot be written, nobody is left to tell.
            let _ = BARS.suspend(|| io::stderr().write_all(&self.line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line() {
        let board = Board::default();
        let mut output = ScriptOutput::new(&board);
        output.has_bar = false;
        for (text, expected) in
            [("", ""), ("on", ""), ("e\n", "one"), ("\n", "one"), ("two\nthree\nfo", "three"), ("ur\n \n", "four")]
        {
            output.write_all(text.as_bytes()).unwrap();
            assert_eq!(*lock(&board.0.last_line), expected, "{text:?}");
        }
    }
}
