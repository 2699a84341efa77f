//! Tables in Markdown, ratios first.

use crate::bench::Measured;
use crate::bench::measure::Usage;
use crate::bench::subject::Subject;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::time::Duration;

/// Peak memory of ours should stay under this on every closure, in megabytes.
const PEAK_TARGET: u64 = 150;

/// What the numbers were made on.
pub fn machine(rounds: usize) -> Result<String> {
    Ok(format!("{} Warm cache; medians of {rounds} rounds.\n", processor()?))
}

/// The processor, as a sentence.
pub fn processor() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo").context("cannot read: /proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    Ok(format!("Processor {model}, {cores} threads."))
}

/// How much larger than the other's our gzip file may be.
const GZIP_SIZE_TARGET: &str = " (target: at most 1.03)";

/// The rows of a closure.
pub fn of_subject(subject: &Subject, rows: &[Measured]) -> String {
    let mut text = format!(
        "### {}: {} paths, {} entries, {} MB in files, {} MB in layers\n\n",
        subject.name,
        subject.paths,
        subject.entries,
        megabytes(subject.file_bytes),
        megabytes(subject.layer_bytes),
    );
    text.push_str("| row | wall ratio | target | CPU ratio | wall s | CPU s | peak MB | MB/s | other: wall s | CPU s | peak MB |\n");
    text.push_str("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    rows.iter().for_each(|measured| line(measured, &mut text));
    text.push('\n');
    for measured in rows {
        if let Some(files) = &measured.files {
            let same = if files.same_alone { "the same bytes" } else { "OTHER BYTES" };
            let ratio = files.ours as f64 / files.theirs as f64;
            let target = if measured.row.name == "gzip" { GZIP_SIZE_TARGET } else { "" };
            let _ = writeln!(
                text,
                "- {}: {} bytes, {ratio:.3} times the other's {}{target}; {same} with -j1.",
                measured.row.name, files.ours, files.theirs
            );
        }
    }
    let peak = rows.iter().flat_map(|measured| &measured.ours).map(|usage| usage.peak).max().unwrap_or(0);
    let _ = writeln!(text, "- Highest peak of layerstone: {} MB (target: under {PEAK_TARGET}).", megabytes(peak));
    text
}

/// Rows whose targets are times.
pub fn of_times(title: &str, rows: &[Measured]) -> String {
    let mut text = format!("### {title}\n\n");
    text.push_str("| row | wall s | target | CPU s | peak MB | other: wall s |\n|---|---:|---:|---:|---:|---:|\n");
    for measured in rows {
        let (wall, cpu, peak) = columns(&measured.ours);
        let target = measured.row.target.map(|target| format!("{target:.2}")).unwrap_or_default();
        let other = columns(&measured.theirs).0;
        let other = if other.is_nan() { String::new() } else { format!("{other:.3}") };
        let _ = writeln!(text, "| {} | {wall:.3} | {target} | {cpu:.3} | {peak} | {other} |", measured.row.name);
    }
    text
}

/// What each row compares; PATHS stands for a list of the closure's paths.
pub fn legend() -> &'static str {
    "A ratio is ours over the other's, the median of the rounds; under 1 is quicker.\n\
     Targets are set for the lab's large closure on two cores.\n\
     MB are millions of bytes, MB/s ours, of the bytes in layers (for scan: in files).\n\n\
     | row | ours | the other |\n\
     |---|---|---|\n\
     | layer | `layer PLAN --all`, no blobs | `tar cf - PATHS \\| cat >/dev/null`, which hashes nothing |\n\
     | layer-j1 | the same with `-j1` | the same |\n\
     | hash | `layer PLAN --all`, no blobs | `openssl dgst -sha256` of the layers' tars, one core |\n\
     | tar | `build --graph … -o image.tar` | `tar cf FILE PATHS` |\n\
     | gzip | `build --graph … -o image.tar.gz` | `tar cf - PATHS \\| pigz -nT >FILE` |\n\
     | zstd | `build --graph … -o image.tar.zst` | `tar cf - PATHS \\| zstd -3 -T0 >FILE` |\n\
     | base | `build --graph … --base BASE -o image.tar`, a base of 170 MB in one layer | `openssl dgst -sha256` of that layer, then `cat BASE >FILE`, then `layer PLAN --all` |\n\
     | scan | `closure --scan ROOT` | `cat` of all files, into `cat >/dev/null` |\n\
     | db | `closure --db FILE ROOT` | `nix-store -qR ROOT` with the same database |\n"
}

fn line(measured: &Measured, text: &mut String) {
    let (wall, cpu, peak) = columns(&measured.ours);
    let rate = measured.row.bytes as f64 / 1e6 / wall;
    let target = measured.row.target.map(|target| format!("{target:.2}")).unwrap_or_default();
    let wall_ratio = ratio(measured, |usage| usage.wall);
    let cpu_ratio = ratio(measured, |usage| usage.cpu);
    let (their_wall, their_cpu, their_peak) = columns(&measured.theirs);
    let _ = writeln!(
        text,
        "| {} | {wall_ratio:.2} | {target} | {cpu_ratio:.2} | {wall:.2} | {cpu:.2} | {peak} | {rate:.0} | {their_wall:.2} | {their_cpu:.2} | {their_peak} |",
        measured.row.name
    );
}

/// Medians: wall seconds, processor seconds; the highest peak in megabytes.
fn columns(usages: &[Usage]) -> (f64, f64, u64) {
    let seconds = |of: fn(&Usage) -> Duration| median(usages.iter().map(|usage| of(usage).as_secs_f64()).collect());
    let peak = usages.iter().map(|usage| usage.peak).max().unwrap_or(0);
    (seconds(|usage| usage.wall), seconds(|usage| usage.cpu), megabytes(peak))
}

fn ratio(measured: &Measured, of: fn(&Usage) -> Duration) -> f64 {
    let pairs = measured.ours.iter().zip(&measured.theirs);
    median(pairs.map(|(ours, theirs)| of(ours).as_secs_f64() / of(theirs).as_secs_f64()).collect())
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }
}
