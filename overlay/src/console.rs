//! Keeps the last lines of a script or of a virtual machine's console.

use std::collections::VecDeque;

/// Lines that are kept.
const LINES: usize = 20;
/// Bytes of a line that are kept.
const LONGEST: usize = 4096;

/// The last lines of a text that comes in pieces.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<Vec<u8>>,
    line: Vec<u8>,
    /// A line that tells why a machine ended, wherever it stood.
    reason: Option<String>,
}

impl Tail {
    /// Takes more of the text.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                byte if self.line.len() < LONGEST => self.line.push(byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if self.reason.is_none() {
            let text = printable(&line);
            self.reason = ["Kernel panic", "Out of memory: Killed process"]
                .iter()
                .find_map(|known| text.find(known))
                .map(|at| text[at..].to_owned());
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// What the kernel said of its end, or of having ended the script.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The last lines, without those that are empty.
    pub fn lines(&self) -> Vec<String> {
        let last = (!self.line.is_empty()).then_some(&self.line);
        self.lines.iter().chain(last).map(|line| printable(line)).filter(|line| !line.is_empty()).collect()
    }
}

/// A line without what a terminal would obey.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().filter(|c| !c.is_control() || *c == '\t').collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines() {
        let mut tail = Tail::default();
        tail.push(b"[    1.0] Kernel panic - not syncing: x\r\n");
        (0..30).for_each(|n| tail.push(format!("{n}\n").as_bytes()));
        tail.push(b"\x1b[31mend");
        assert_eq!(tail.lines().len(), 21);
        assert_eq!(tail.lines()[0], "10");
        assert_eq!(tail.lines()[20], "[31mend");
        assert_eq!(tail.reason(), Some("Kernel panic - not syncing: x"));
    }
}
