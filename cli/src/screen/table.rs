//! Tables on stdout, and sizes for people.

use crate::screen::fit::{clean, cut_middle};
pub use layerstone_store::counted;
use std::fmt::Display;

/// Columns between columns.
const GAP: usize = 2;
/// Columns that the last one keeps, however narrow the screen is.
const LEAST: usize = 16;

/// Rows of columns, each as wide as its widest cell; numbers to the right.
pub struct Table {
    rows: Vec<Vec<String>>,
    /// Columns whose cells are moved to the right.
    right: &'static [usize],
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str], right: &'static [usize]) -> Table {
        Table { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()], right }
    }

    /// Adds a row, without what a terminal would obey.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }
}

impl Table {
    /// Cuts the cells of the last column so that no line is longer than this.
    pub fn cut_last(&mut self, width: usize) {
        let before: usize = self.widths().iter().rev().skip(1).map(|width| width + GAP).sum();
        for cell in self.rows.iter_mut().filter_map(|row| row.last_mut()) {
            *cell = cut_middle(cell, width.saturating_sub(before).max(LEAST));
        }
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                if self.right.contains(&column) {
                    line.push_str(&format!("{cell:>width$}  "));
                } else {
                    line.push_str(&format!("{cell:<width$}  "));
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number of bytes with three digits and a decimal unit: `1.63 GB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    // 999.5 would be shown as 1000.
    while value >= 999.5 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A share of bytes in percent, with one digit behind the point: `3.8 %`; nothing of nothing is `0.0 %`.
pub fn percent(part: impl Into<u128>, total: impl Into<u128>) -> String {
    let (part, total) = (part.into(), total.into());
    let tenths = part.saturating_mul(1000).saturating_add(total / 2).checked_div(total).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// So many things in words: all by name, or the first `most` and a number, `glibc, openssl and 31 more`. There may be
/// names of the first ones only.
pub fn some_of<'a>(names: impl IntoIterator<Item = &'a str>, count: usize, most: usize) -> String {
    let names: Vec<&str> = names.into_iter().take(most + 1).collect();
    if names.len() == count {
        return names.join(", ");
    }
    let named = &names[..names.len().min(most)];
    format!("{} and {} more", named.join(", "), count - named.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (99_949, "99.9 kB"),
            (999_600, "1.00 MB"),
            (1_628_753_920, "1.63 GB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn shares() {
        let cases =
            [(0, 0, "0.0 %"), (1, 3, "33.3 %"), (2, 3, "66.7 %"), (7, 7, "100.0 %"), (u64::MAX, u64::MAX, "100.0 %")];
        for (part, total, text) in cases {
            assert_eq!(percent(part, total), text);
        }
    }

    #[test]
    fn names_and_a_number() {
        let check = |names: &str, count, expected| assert_eq!(some_of(names.split_whitespace(), count, 2), expected);
        check("", 0, "");
        check("a", 1, "a");
        check("a b c", 3, "a, b, c");
        check("a b c d", 4, "a, b and 2 more");
        check("a b c", 40, "a, b and 38 more");
        check("a", 2, "a and 1 more");
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["name", "size"], &[1]);
        table.row(vec!["a".to_owned(), "10".to_owned()]);
        table.row(vec!["long name".to_owned(), "5".to_owned()]);
        assert_eq!(table.to_string(), "name       size\na            10\nlong name     5\n");
        let mut table = Table::new(&["size", "path"], &[0]);
        table.row(vec!["5".to_owned(), "/nix/store/a-long-name/bin/program".to_owned()]);
        table.cut_last(30);
        assert_eq!(table.to_string(), "size  path\n   5  /nix/store/…/bin/program\n");
    }
}
