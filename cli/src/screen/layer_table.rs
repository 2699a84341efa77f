//! Layers one below the other, whatever they are layers of: an image, a plan, a build that is only planned. Each has its
//! size, a bar, and the names of what it holds.

use crate::screen::color::Paint;
use crate::screen::fit::{bar, clean, cut, some_in};
use crate::screen::table::{percent, size};
use layerstone_store::StorePath;

/// Columns between columns.
const GAP: usize = 2;
/// Columns of a share: `100.0 %`.
const SHARE: usize = 7;
/// Columns of a bar at most.
const BAR: usize = 24;
/// Columns that a text needs to tell anything.
const TEXT: usize = 24;

/// Layers, bottom first.
#[derive(Default)]
pub struct LayerTable {
    /// The layers.
    pub rows: Vec<LayerRow>,
    /// Headings of numbers that each row has besides its size.
    pub numbers: Vec<&'static str>,
    /// Heading of the text behind the names, if there is one.
    pub why: Option<&'static str>,
    /// Layers to leave out.
    pub hides: Option<LayerState>,
}

/// A layer.
#[derive(Default)]
pub struct LayerRow {
    /// Its bytes, if they are known.
    pub size: Option<u64>,
    /// What its bar and its share show, if not its bytes.
    pub weight: Option<u128>,
    /// Whether whoever has another image has it.
    pub state: Option<LayerState>,
    /// Further numbers.
    pub numbers: Vec<String>,
    /// What it holds.
    pub holds: Names,
    /// What else there is to be said.
    pub why: Names,
}

/// Whether whoever has an old image has a layer of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerState {
    /// It has it.
    There,
    /// It must be sent.
    Sent,
}

/// Names, the most telling first, of which as many are shown as fit.
#[derive(Default)]
pub struct Names {
    names: Vec<String>,
    /// How many there are, which may be more than are known by name.
    count: usize,
}

impl Names {
    /// All of them.
    pub fn all(names: impl IntoIterator<Item = impl Into<String>>) -> Names {
        let names: Vec<String> = names.into_iter().map(|name| clean(&name.into())).collect();
        Names { count: names.len(), names }
    }

    /// The first of so many.
    pub fn first(names: impl IntoIterator<Item = impl Into<String>>, count: usize) -> Names {
        Names { count, ..Names::all(names) }
    }

    /// The names of store paths, without hashes.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a StorePath>) -> Names {
        Names::all(paths.into_iter().map(StorePath::name))
    }

    fn fitted(&self, columns: usize) -> String {
        some_in(columns, &self.names, self.count)
    }
}

impl LayerRow {
    fn weight(&self) -> u128 {
        self.weight.unwrap_or_else(|| self.size.unwrap_or(0).into())
    }
}

impl LayerState {
    /// What it is called.
    pub fn word(self) -> &'static str {
        match self {
            LayerState::There => "there",
            LayerState::Sent => "sent",
        }
    }
}

impl LayerTable {
    /// The table in so many columns.
    pub fn text(&self, width: usize, paint: Paint) -> String {
        let has_sizes = self.rows.iter().any(|row| row.size.is_some());
        let has_states = self.rows.iter().any(|row| row.state.is_some());
        let has_weights = self.rows.iter().any(|row| row.weight.is_some());
        let all = self.rows.iter().map(LayerRow::weight).fold(0, u128::saturating_add);
        let largest = self.rows.iter().map(LayerRow::weight).max().unwrap_or(0);
        let numbers: Vec<usize> = self.numbers.iter().enumerate().map(|it| self.number_width(it)).collect();
        let mut fixed = "layer".len() + numbers.iter().map(|width| width + GAP).sum::<usize>();
        fixed += if has_sizes { "999 MB ".len() + GAP } else { 0 };
        fixed += if has_states { "there".len() + GAP } else { 0 };
        // Shares give way to texts.
        let has_shares = has_sizes && (self.why.is_none() || width > fixed + SHARE + 4 * GAP + 2 * TEXT);
        fixed += if has_shares { SHARE + GAP } else { 0 };
        // What is left for bars and texts.
        let left = width.saturating_sub(fixed + GAP);
        let texts = if self.why.is_some() { 2 * TEXT + GAP } else { TEXT };
        let cells = if has_sizes { (left.saturating_sub(texts + GAP)).min(width / 5).min(BAR) } else { 0 };
        let cells = if cells < 6 { 0 } else { cells };
        let left = left.saturating_sub(if cells > 0 { cells + GAP } else { 0 });
        let holds = if self.why.is_some() { left.saturating_sub(GAP) / 2 } else { left };
        let held: Vec<String> = self.rows.iter().map(|row| row.holds.fitted(holds)).collect();
        let longest = held.iter().map(|text| text.chars().count()).max().unwrap_or(0).max("holds".len());
        let holds = holds.min(longest);
        let why = left.saturating_sub(holds + GAP);
        let line = |cells_of: [String; 4], given: &[String], bar: String, texts: [String; 2]| {
            let [layer, size, share, state] = cells_of;
            let mut line = format!("{layer:>5}");
            if has_sizes {
                line += &format!("  {size:>7}");
            }
            if has_shares && !has_weights {
                line += &format!("  {share:>SHARE$}");
            }
            for (number, width) in given.iter().zip(&numbers) {
                line += &format!("  {number:>width$}");
            }
            if has_shares && has_weights {
                line += &format!("  {share:>SHARE$}");
            }
            if has_states {
                line += &format!("  {state}");
            }
            if cells > 0 {
                line += &format!("  {bar}");
            }
            let [first, second] = texts;
            line += &format!("  {first}");
            if self.why.is_some() {
                line += &format!("{:1$}{second}", "", (holds + GAP).saturating_sub(first.chars().count()));
            }
            format!("{}\n", line.trim_end())
        };
        let headings: Vec<String> = self.numbers.iter().map(|&heading| heading.to_owned()).collect();
        let texts = ["holds".to_owned(), self.why.unwrap_or_default().to_owned()];
        let state = format!("{:5}", "");
        let words = ["layer".to_owned(), "size".to_owned(), String::new(), state];
        let head = line(words, &headings, " ".repeat(cells), texts);
        let mut text = format!("{}\n", paint.dim(head.trim_end()));
        for (index, row) in self.rows.iter().enumerate() {
            if row.state.is_some() && row.state == self.hides {
                continue;
            }
            let share = row.size.map(|_| percent(row.weight(), all)).unwrap_or_default();
            let word = format!("{:5}", row.state.map_or("", LayerState::word));
            let drawn = bar(row.weight(), largest, cells);
            let padding = " ".repeat(cells.saturating_sub(drawn.chars().count()));
            let (word, drawn) = match row.state {
                Some(LayerState::Sent) => (paint.sent(word), paint.sent(drawn)),
                Some(LayerState::There) => (paint.known(word), paint.known(drawn)),
                None => (word, paint.plain_bar(drawn)),
            };
            let words = [index.to_string(), row.size.map(size).unwrap_or_default(), share, word];
            let texts = [held[index].clone(), cut(&row.why.fitted(why), why)];
            text += &line(words, &row.numbers, drawn + &padding, texts);
        }
        text
    }

    /// Columns of a number of all rows.
    fn number_width(&self, (column, heading): (usize, &&'static str)) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.numbers.get(column));
        cells.map(|cell| cell.chars().count()).chain([heading.len()]).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> LayerTable {
        let row = |size, state, names: &str| LayerRow {
            size: Some(size),
            state,
            holds: Names::all(names.split(' ')),
            ..LayerRow::default()
        };
        LayerTable {
            rows: vec![
                row(400_000, Some(LayerState::There), "glibc-2.36"),
                row(100_000, Some(LayerState::Sent), "a-long-name-of-a-package-1.0 another-one-2.0 a-third-3.0"),
            ],
            ..LayerTable::default()
        }
    }

    #[test]
    fn fits_its_width() {
        for width in [40, 60, 80, 120] {
            let text = table().text(width, Paint::PLAIN);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        }
        assert_eq!(
            table().text(80, Paint::PLAIN),
            "\
layer     size                                    holds
    0   400 kB   80.0 %  there  ████████████████  glibc-2.36
    1   100 kB   20.0 %  sent   ████              a-long-name-of-a-package-1… +2
"
        );
    }

    #[test]
    fn what_is_hidden() {
        let table = LayerTable { hides: Some(LayerState::There), ..table() };
        let text = table.text(80, Paint::PLAIN);
        assert!(text.lines().count() == 2 && text.contains("\n    1   100 kB   20.0 %  sent "), "{text}");
    }
}
