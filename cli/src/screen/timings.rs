//! `--timings`: how long each stage took, how many bytes it went through, and how fast.

use crate::args::Form;
use crate::screen::out::tell;
use crate::screen::table::size;
use serde_json::json;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The stages that have ended. All clones are one.
#[derive(Clone, Debug)]
pub struct Timings {
    begin: Instant,
    stages: Arc<Mutex<Vec<Stage>>>,
}

#[derive(Debug)]
struct Stage {
    name: String,
    time: Duration,
    bytes: Option<u64>,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings { begin: Instant::now(), stages: Arc::default() }
    }
}

impl Timings {
    /// How long the program has run.
    pub fn since_begin(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Notes a stage.
    pub fn add(&self, name: &str, time: Duration, bytes: Option<u64>) {
        let stage = Stage { name: name.to_owned(), time, bytes };
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).push(stage);
    }

    /// Tells all stages on stderr, in the order in which they ended, and all of the program.
    pub fn tell(&self, form: Form) {
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, memory) = (self.begin.elapsed(), peak_memory());
        if form == Form::Json {
            let stage =
                |Stage { name, time, bytes }: &Stage| json!({"stage": name, "seconds": seconds(*time), "bytes": bytes});
            let stages: Vec<_> = stages.iter().map(stage).collect();
            return tell(json!({"timings": stages, "seconds": seconds(all), "memory": memory}));
        }
        let width = stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0);
        for Stage { name, time, bytes } in &*stages {
            let rate = bytes.map(|bytes| format!("  {:>7}  {:>7}/s", size(bytes), size(rate(bytes, *time))));
            let line = format!("{:7.3} s  {name:width$}{}", time.as_secs_f64(), rate.unwrap_or_default());
            tell(line.trim_end());
        }
        tell(format_args!("{:7.3} s  all, with {} MB of memory", all.as_secs_f64(), memory / 1_000_000));
    }
}

fn rate(bytes: u64, time: Duration) -> u64 {
    (bytes as f64 / time.as_secs_f64().max(1e-6)) as u64
}

/// To the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The peak of resident memory, in bytes (proc_pid_status(5), which tells kB).
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    peak.unwrap_or(0) * 1024
}
