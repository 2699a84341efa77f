//! Runs many commands on the same outputs, with the same cache and the same registry, at the same time.

use crate::crash::subject::Subject;
use crate::crash::tally::Tally;
use crate::crash::trial::is_clear;
use anyhow::Result;
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// How many, how long and where.
#[derive(clap::Args)]
pub struct Options {
    /// Commands that run at the same time, beside one that prunes the cache
    #[arg(long, default_value_t = 8)]
    processes: usize,
    /// Seconds for all commands together
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    #[command(flatten)]
    subject: Subject,
}

const COLUMNS: [&str; 2] = ["done", "error that says what"];

/// Runs each command with itself and with its older version, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    options.subject.run(|trial, scenarios| {
        let tally = Mutex::new(Tally::default());
        let seconds = Duration::from_secs(options.seconds) / scenarios.len() as u32;
        for scenario in scenarios {
            let (_, new, _) = trial.reference(scenario)?;
            trial.reset()?;
            let end = Instant::now() + seconds;
            let work = |number: usize| -> Result<()> {
                while Instant::now() < end {
                    let line = match number {
                        0 => "cache prune --cache-size 100000".to_owned(),
                        // Half of them make the older outputs.
                        number if number % 2 == 0 => scenario.line.replace("new", "old"),
                        _ => scenario.line.to_owned(),
                    };
                    let output = trial.command(&line).stdout(Stdio::null()).output()?;
                    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                    let mut tally = tally.lock().expect("no thread panics while it counts");
                    match output.status.code() {
                        Some(0) => tally.count(scenario.name, "done"),
                        Some(1) if is_clear(&stderr) => {
                            eprintln!("{line}: {stderr}");
                            tally.count(scenario.name, "error that says what");
                        }
                        _ => tally.wrong(scenario.name, format!("{line}: {}: {stderr}", output.status)),
                    }
                }
                Ok(())
            };
            let results: Vec<Result<()>> = thread::scope(|scope| {
                let running: Vec<_> = (0..=options.processes).map(|number| scope.spawn(move || work(number))).collect();
                running.into_iter().map(|it| it.join().expect("it does not panic")).collect()
            });
            results.into_iter().collect::<Result<()>>()?;
            if let Err(error) = trial.check_next_run(scenario, &new) {
                tally.lock().expect("no thread panics while it counts").wrong(scenario.name, format!("{error:#}"));
            }
        }
        tally.into_inner().expect("no thread panics while it counts").finish(&COLUMNS)
    })
}
