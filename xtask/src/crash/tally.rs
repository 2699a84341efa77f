//! Counts how trials ended, and keeps what was wrong with them.

use anyhow::{Result, ensure};
use std::collections::BTreeMap;

/// How the trials of a task ended: by row and column of its table.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<String, BTreeMap<&'static str, usize>>,
    wrong: Vec<String>,
}

impl Tally {
    /// One more trial that ended so.
    pub fn count(&mut self, row: &str, outcome: &'static str) {
        self.add(row, outcome, 1);
    }

    /// So many more.
    pub fn add(&mut self, row: &str, outcome: &'static str, number: usize) {
        *self.counts.entry(row.to_owned()).or_default().entry(outcome).or_default() += number;
    }

    /// Something that must not be; it is printed at once.
    pub fn wrong(&mut self, row: &str, cause: String) {
        eprintln!("WRONG: {row}: {cause}");
        self.count(row, "wrong");
        self.wrong.push(format!("{row}: {cause}"));
    }

    /// Prints the table with these columns.
    ///
    /// # Errors
    ///
    /// Something was wrong.
    pub fn finish(&self, columns: &[&'static str]) -> Result<()> {
        println!("| command | {} | wrong |", columns.join(" | "));
        println!("|---|{}", "---:|".repeat(columns.len() + 1));
        for (row, counts) in &self.counts {
            let cells = columns.iter().chain(&["wrong"]).map(|column| counts.get(column).copied().unwrap_or(0));
            let cells: Vec<String> = cells.map(|count| count.to_string()).collect();
            println!("| {row} | {} |", cells.join(" | "));
        }
        ensure!(self.wrong.is_empty(), "{} trials left what must not be:\n{}", self.wrong.len(), self.wrong.join("\n"));
        Ok(())
    }
}
