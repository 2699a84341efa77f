//! The tables in Markdown.

use super::machine::Schedule;
use super::timeline::Timeline;
use super::{Line, replay::Totals};
use std::fmt::Write;

/// What one byte of a layer's store paths is when it is compressed: 1,170 MB of new layers were 412 MB (zstd, level 3,
/// Debian 12 as released and with its updates of 41 months, 608 paths).
const COMPRESSED: f64 = 412.0 / 1170.0;
/// What a client that fetches chunks fetches for one byte of paths that it does not have: 66 MB of chunks for 1,148 MB
/// (zstd:chunked, chunks of about 64 KiB, the same pair).
const CHUNKS: f64 = 66.0 / 1148.0;
/// What it fetches for one byte of a layer that it does not have: the layer's tables, 9.2 MB for 1,170 MB.
const TABLES: f64 = 9.2 / 1170.0;

/// What stands above the lines of a graph.
pub fn head(name: &str, timeline: &Timeline) -> String {
    let closure = timeline.closure(timeline.weeks().start);
    format!(
        "### {name}: {} packages, {} MB; {} of {} weeks update something, {} packages in all\n",
        closure.paths.len(),
        closure.bytes() / 1_000_000,
        timeline.updates(),
        timeline.weeks().len() - 1,
        timeline.own_changes
    )
}

/// A line for each way at each limit.
pub fn of_lines(lines: &[Line]) -> String {
    let pulled = |form: &str| Schedule::ALL.map(|schedule| format!("{form}, {}", schedule.name())).join(" | ");
    let mut text = format!(
        "| layers | plan | pushed | {} | {} | reuse | mean download |\n|---:|---|{}\n",
        pulled("pulled"),
        pulled("chunks"),
        "---:|".repeat(3 + 2 * Schedule::ALL.len())
    );
    for Line { way, limit, totals } in lines {
        let limit = limit.map(|limit| limit.to_string()).unwrap_or_default();
        let _ = writeln!(text, "| {limit} | {way} | {} |", cells(totals).join(" | "));
    }
    text
}

fn cells(totals: &Totals) -> Vec<String> {
    let compressed = |bytes: u64| gigabytes(bytes as f64 * COMPRESSED);
    let mut cells = vec![compressed(totals.pushed)];
    cells.extend(totals.pulled.map(compressed));
    let chunks = |(&pulled, &renamed): (&u64, &u64)| gigabytes(renamed as f64 * CHUNKS + pulled as f64 * TABLES);
    cells.extend(totals.pulled.iter().zip(&totals.renamed).map(chunks));
    cells.push(format!("{:.1} %", 100.0 * totals.reused));
    cells.push(format!("{:.0} MiB", totals.download / f64::from(1 << 20)));
    cells
}

/// Gigabytes of so many bytes.
pub fn gigabytes(bytes: f64) -> String {
    format!("{:.2}", bytes / 1e9)
}

/// The same of compressed layers.
pub fn compressed(bytes: u64) -> String {
    gigabytes(bytes as f64 * COMPRESSED)
}

/// What the columns mean.
pub fn legend(weeks: usize) -> String {
    format!(
        "Gigabytes of compressed layers in {weeks} weeks. Pushed is what the registry did not have yet, so that it grows by that; \
         pulled is what a machine fetches that pulls every week, every four weeks, or after one to sixteen weeks, in whole layers; \
         chunks is the same for a client of zstd:chunked.\n\
         A byte of a layer is {COMPRESSED:.3} bytes compressed; a byte of a path that the client does not have is {CHUNKS:.4} bytes of \
         chunks, and one of a layer that it does not have {TABLES:.4} bytes of tables, as measured on a real pair.\n\
         Reuse and mean download are of weekly updates: the share of an image's bytes in layers that the one before had, and the bytes of \
         the others, not compressed.\n\
         Rates counted are those of the weeks before the replay, builtin ones those of the replay itself, which nobody knows beforehand.\n"
    )
}
