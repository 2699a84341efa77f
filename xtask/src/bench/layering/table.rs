//! The table of a closure in Markdown: a line for each strategy at each limit.

use crate::bench::layering::{Line, Subject};
use std::fmt::Write;

/// What stands above a closure's lines, and the lines.
pub fn of_subject(subject: &Subject, lines: &[Line]) -> String {
    let paths = &subject.closure.paths;
    let references: usize = paths.iter().map(|of| of.references.len()).sum();
    let megabytes = subject.closure.bytes().div_ceil(1_000_000);
    let mut text = format!("### {}: {} paths, {references} references, {megabytes} MB\n\n", subject.name, paths.len());
    let head: &[&str] = match lines.iter().any(|line| !line.outcomes.is_empty()) {
        true => &["change", "each", "add or remove", "each", "chain", "each", "cost after"],
        false => &[],
    };
    let columns = ["limit", "strategy", "layers", "cost", "by chunks", "wall s", "CPU s"].iter().chain(head);
    let _ = writeln!(text, "| {} |", columns.copied().collect::<Vec<_>>().join(" | "));
    let _ = writeln!(text, "|---:|---|{}", "---:|".repeat(5 + head.len()));
    lines.iter().for_each(|line| write_line(line, &mut text));
    text
}

fn write_line(line: &Line, text: &mut String) {
    let [wall, cpu] = [line.usage.wall, line.usage.cpu].map(|time| time.as_secs_f64());
    let Line { limit, strategy, layers, cost, .. } = line;
    let chunks = by_chunks(*cost);
    let _ = write!(text, "| {limit} | {strategy} | {layers} | {cost:.3} | {chunks:.3} | {wall:.2} | {cpu:.2} |");
    for outcome in &line.outcomes {
        let _ = write!(text, " {:.2} | {:.2} |", outcome.sent, outcome.each);
    }
    if let Some(last) = line.outcomes.last() {
        let _ = write!(text, " {:.3} |", last.cost);
    }
    text.push('\n');
}

/// What a client of chunks fetches of a plan of this cost, in units of what it fetches of a layer for each path: the same
/// new chunks, and the tables of the layers (docs/updates.md has the shares).
fn by_chunks(cost: f64) -> f64 {
    let [chunks, tables] = [0.0575, 0.0079];
    (chunks + tables * cost) / (chunks + tables)
}

/// What the columns mean.
pub fn legend(updates: u64) -> String {
    let mut text = concat!(
        "Cost: the sum over the layers of bytes · number of paths that the layer's paths need, in units of the lower ",
        "bound, a layer for each path.\n",
        "By chunks: what a client of zstd:chunked fetches, new chunks and the tables of layers, by the shares of ",
        "docs/updates.md, in units of the same bound.\n",
        "Seconds are those of this plan, the first one, which follows no other; reading and writing are in them.\n",
    )
    .to_owned();
    if updates > 0 {
        let _ = write!(
            text,
            "Change: {updates} times a random path of the closure changes, and with it all that use it; what changes \
             differs in size by up to 5 %, and the strategy runs again.\n\
             Told are bytes in layers that the old image does not have over bytes that changed, both summed over the \
             updates; then the mean of what each update has as ratio.\n\
             Add or remove: the same where a random path begins to use a new one, or a random one vanishes.\n\
             Chain: changes, each of the closure and image that the one before left; then the cost of the last plan.\n"
        );
    }
    text
}
