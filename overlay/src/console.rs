//! Keeps the last lines of a script or of a virtual machine's console, and the reason that the kernel gives for an end.

use layerstone_sandbox::Tail;

/// How the kernel begins to say why it ended, or why it ended the script.
const REASONS: [&str; 2] = ["Kernel panic", "Out of memory: Killed process"];

/// An output that comes in pieces.
#[derive(Debug, Default)]
pub struct Console {
    tail: Tail,
    reason: Option<String>,
}

impl Console {
    /// Takes more of the output.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.tail.push(piece);
            if self.reason.is_none() && piece.ends_with(b"\n") {
                let line = self.tail.lines().next_back().map(|line| printable(&line)).unwrap_or_default();
                let at = REASONS.iter().find_map(|reason| line.find(reason));
                self.reason = at.map(|at| line[at..].to_owned());
            }
        }
    }

    /// Why the kernel ended, or ended the script, if a line says so.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The last lines, without those that are empty.
    pub fn lines(&self) -> Vec<String> {
        self.tail.lines().map(|line| printable(&line)).filter(|line| !line.is_empty()).collect()
    }
}

/// A line without the control characters that a terminal obeys.
fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines() {
        let mut console = Console::default();
        console.push(b"[    1.0] Kernel panic - not syncing: x\r\n");
        (0..30).for_each(|n| console.push(format!("{n}\n").as_bytes()));
        console.push(b"\x1b[31mend");
        assert_eq!(console.lines().len(), 20);
        assert_eq!(console.lines()[0], "11");
        assert_eq!(console.lines()[19], "[31mend");
        assert_eq!(console.reason(), Some("Kernel panic - not syncing: x"));
    }
}
