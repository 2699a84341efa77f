//! What two sets of paths differ in, as a table.

use crate::screen::color::Paint;
use crate::screen::table::{Table, counted, size};
use layerstone_closure::{Change, Item, PathDiff};
use std::cmp::Ordering;

/// A line for each path that was added, removed or changed, and the totals.
pub fn text(difference: &PathDiff, paint: Paint) -> String {
    let PathDiff { added, removed, changed, unchanged, old, new } = difference;
    let mut table = Table::new(&["change", "name", "old size", "new size", "difference"], &[2, 3, 4]);
    let mut row = |what: &str, name: String, old: Option<u64>, new: Option<u64>, grown: String| {
        let cell = |bytes: Option<u64>| bytes.map(size).unwrap_or_default();
        table.row(vec![what.to_owned(), name, cell(old), cell(new), grown]);
    };
    for Item { path, size, .. } in added {
        row("added", path.name().to_owned(), None, *size, size.map(|size| growth(0, size)).unwrap_or_default());
    }
    for Item { path, size, .. } in removed {
        row("removed", path.name().to_owned(), *size, None, size.map(|size| growth(size, 0)).unwrap_or_default());
    }
    for change in changed {
        let sizes = change.old.size.zip(change.new.size);
        let grown = sizes.map(|(old, new)| growth(old, new)).unwrap_or_default();
        row("changed", title(change), change.old.size, change.new.size, grown);
    }
    let is_empty = added.len() + removed.len() + changed.len() == 0;
    let table = if is_empty { String::new() } else { coloured(&table.to_string(), paint) + "\n" };
    format!(
        "{table}{} added, {} removed, {} changed, {} unchanged\n{}, {} before; {}, {} now: {}\n",
        added.len(),
        removed.len(),
        changed.len(),
        unchanged.paths,
        counted(old.paths, "path"),
        size(old.size),
        counted(new.paths, "path"),
        size(new.size),
        growth(old.size, new.size)
    )
}

/// The lines of the table, each in the colour of what it tells.
fn coloured(table: &str, paint: Paint) -> String {
    let line = |line: &str| match line.split(' ').next() {
        Some("added") => paint.known(line),
        Some("removed") => paint.gone(line),
        Some("changed") => paint.sent(line),
        _ => paint.dim(line),
    };
    table.lines().map(|text| line(text) + "\n").collect()
}

/// The name of both, `openssl-3.0.11 → 3.0.13` if only the version is another, `curl-8.0, same path` if not even the
/// hash is.
fn title(change: &Change) -> String {
    let (old, new) = (&change.old.path, &change.new.path);
    if old == new {
        return format!("{}, same path", old.name());
    }
    if old.name() == new.name() {
        return old.name().to_owned();
    }
    let version = new.name().strip_prefix(old.package()).and_then(|rest| rest.strip_prefix('-'));
    format!("{} → {}", old.name(), version.unwrap_or(new.name()))
}

/// By how much something has grown: `+1.20 MB`, `-3 B`, nothing at all as `0 B`.
fn growth(old: u64, new: u64) -> String {
    let sign = match new.cmp(&old) {
        Ordering::Greater => "+",
        Ordering::Equal => "",
        Ordering::Less => "-",
    };
    format!("{sign}{}", size(old.abs_diff(new)))
}
