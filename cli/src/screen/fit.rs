//! What fits on a screen: its width, texts cut to it, bars, and lines with a label in front.

use crate::screen::color::Paint;
use rustix::termios::tcgetwinsize;
use std::io::{IsTerminal, stdout};

/// Columns where there is no terminal.
const USUAL: usize = 80;
/// Columns of a label.
const LABEL: usize = 6;
/// Parts of a cell of a bar, in eighths.
const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// Columns of the terminal that stdout is, or the usual number.
pub fn width() -> usize {
    let columns = tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { USUAL } else { columns.max(40) }
}

/// Columns that a line may have: those of the terminal; what goes elsewhere, or is asked for whole, is not cut.
pub fn room(is_whole: bool) -> usize {
    if is_whole || !stdout().is_terminal() { usize::MAX } else { width() }
}

/// A line of a screen or a summary: a short word for what it says, and that.
pub fn labelled(label: &str, text: &str, paint: Paint) -> String {
    format!("  {} {text}\n", paint.dim(format_args!("{label:LABEL$}")))
}

/// A text of an image, which may be anything, without what a terminal would obey.
pub fn clean(text: &str) -> String {
    let is_bad = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_bad(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The same of several lines, which may have tabs.
pub fn clean_lines(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|part| {
            let (text, end) = part.split_at(part.trim_end_matches(['\n', '\t']).len());
            clean(text) + end
        })
        .collect()
}

/// A path of an image as text: bytes that are not UTF-8 are escaped.
pub fn clean_path(path: &[u8]) -> String {
    std::str::from_utf8(path).map_or_else(|_| path.escape_ascii().to_string(), clean)
}

/// At most so many columns of a text.
pub fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

/// At most so many columns of a text that ends in what tells most, such as a path: its middle is left out.
pub fn cut_middle(text: &str, columns: usize) -> String {
    let count = text.chars().count();
    if count <= columns {
        return text.to_owned();
    }
    let tail = columns / 2;
    let head = columns.saturating_sub(tail + 1);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(count - tail)).collect()
}

/// A bar of this many cells at most for a part of a whole; what is there at all has some of a cell.
pub fn bar(part: u128, whole: u128, cells: usize) -> String {
    let eighths = part.saturating_mul(cells as u128 * 8).checked_div(whole).unwrap_or(0);
    let eighths = usize::try_from(eighths).unwrap_or(0).min(cells * 8).max(usize::from(part > 0));
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

/// As many names as fit, and how many there are besides: `glibc-2.36, gcc-12 +3`. There may be names of the
/// first ones only.
pub fn some_in(columns: usize, names: &[String], count: usize) -> String {
    let text = |named: usize| match count - named {
        0 => names.join(", "),
        more => format!("{} +{more}", names[..named].join(", ")),
    };
    let most = names.len().min(count);
    let fitting = (1..=most).rev().map(text).find(|text| text.chars().count() <= columns);
    fitting.unwrap_or_else(|| match (names.first(), count) {
        (None, _) => String::new(),
        (Some(name), 1) => cut(name, columns),
        (Some(name), count) => {
            let rest = format!(" +{}", count - 1);
            cut(name, columns.saturating_sub(rest.len())) + &rest
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        let cases =
            [(0, 8, ""), (1, 1000, "▏"), (1, 2, "██"), (5, 8, "██▌"), (8, 8, "████"), (9, 8, "████"), (1, 0, "▏")];
        for (part, whole, expected) in cases {
            assert_eq!(bar(part, whole, 4), expected, "{part} of {whole}");
        }
    }

    #[test]
    fn nothing_to_obey() {
        let text = "error: a\x1b[31m\tb\r\n  c\u{202e}\u{9b}\n";
        assert_eq!(clean_lines(text), "error: a\\u{1b}[31m\tb\\r\n  c\\u{202e}\\u{9b}\n");
    }

    #[test]
    fn middles() {
        for (columns, expected) in [(10, "/usr/bin/a"), (9, "/usr…in/a"), (6, "/u…n/a"), (1, "…")] {
            assert_eq!(cut_middle("/usr/bin/a", columns), expected, "{columns}");
        }
    }

    #[test]
    fn names_that_fit() {
        let names: Vec<String> = ["glibc-2.36", "gcc-12", "zlib"].map(str::to_owned).to_vec();
        let check = |columns, count, expected: &str| assert_eq!(some_in(columns, &names, count), expected);
        check(40, 3, "glibc-2.36, gcc-12, zlib");
        check(24, 3, "glibc-2.36, gcc-12, zlib");
        check(23, 3, "glibc-2.36, gcc-12 +1");
        check(18, 3, "glibc-2.36 +2");
        check(10, 3, "glibc-… +2");
        check(40, 9, "glibc-2.36, gcc-12, zlib +6");
        assert_eq!(some_in(8, &names[..1], 1), "glibc-2…");
        assert_eq!(some_in(8, &[], 0), "");
    }
}
