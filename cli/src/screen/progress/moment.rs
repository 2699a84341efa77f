//! How far a task is, in words.

use crate::screen::fit::clean;
use crate::screen::table::{counted, size};
use layerstone_pipeline::Task;
use serde_json::{Value, json};
use std::time::Duration;

/// What there is to be told of a task at a moment.
pub struct Moment<'a> {
    pub task: &'a Task,
    /// Bytes done.
    pub bytes: u64,
    /// Layers done.
    pub layers: u64,
    /// The layer that was begun last.
    pub begun: Option<usize>,
    /// How long it has run.
    pub since: Duration,
    /// How long it will take, if that can be said.
    pub left: Option<Duration>,
    /// The host that it waits for.
    pub waiting: Option<String>,
    /// What the script printed last.
    pub last_line: String,
}

impl Moment<'_> {
    /// What is done, of what, and what is done now: `430 MB of 1.52 GB, 31 of 100 layers, 3 s left: perl-5.36, git-2.39 +3`.
    pub fn text(&self) -> String {
        let Task { bytes: total, layers, is_script, .. } = self.task;
        if *is_script {
            let line = clean(self.last_line.trim());
            let running = format!("script running for {} s", self.since.as_secs());
            return if line.is_empty() { running } else { format!("{running}: {line}") };
        }
        let mut parts = Vec::new();
        match total {
            Some(total) => parts.push(format!("{} of {}", size(self.bytes), size(*total))),
            None if self.bytes > 0 => parts.push(size(self.bytes)),
            None => parts.push(format!("{} s", self.since.as_secs())),
        }
        if self.layers > 0 && !layers.is_empty() {
            parts.push(format!("{} of {}", self.layers, counted(layers.len(), "layer")));
        }
        parts.extend(self.left.map(|left| format!("{} s left", left.as_secs())));
        let now = match (&self.waiting, self.begun.and_then(|begun| layers.get(begun))) {
            (Some(host), _) => format!(", waiting for {host}"),
            (None, Some(layer)) => format!(": {}", clean(layer)),
            (None, None) => String::new(),
        };
        parts.join(", ") + &now
    }

    /// A line of a log, `at` so long after the program began.
    pub fn line(&self, at: Duration, has_ended: bool) -> String {
        let name = clean(&self.task.name);
        let text = match has_ended {
            true => format!("{name}: {}", self.result()),
            false if self.task.is_script => self.text(),
            false => format!("{name}: {}", self.text()),
        };
        format!("[{:5.1} s] {text}", at.as_secs_f64())
    }

    /// The same for programs.
    pub fn json(&self, at: Duration, has_ended: bool) -> Value {
        json!({
            "progress": self.task.name,
            "ended": has_ended,
            "seconds": tenths(at),
            "took": tenths(self.since),
            "bytes": self.bytes,
            "layers": self.layers,
        })
    }

    /// What came of it: `100 layers, 1.52 GB, 1.0 s`.
    fn result(&self) -> String {
        let layers = Some(self.layers).filter(|layers| *layers > 0).map(|layers| counted(layers, "layer"));
        let bytes = Some(self.bytes).filter(|bytes| *bytes > 0).map(size);
        let time = format!("{:.1} s", self.since.as_secs_f64());
        layers.into_iter().chain(bytes).chain([time]).collect::<Vec<_>>().join(", ")
    }
}

fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(bytes: Option<u64>, layers: &[&str], is_script: bool) -> Task {
        let layers = layers.iter().map(|layer| (*layer).to_owned()).collect();
        Task { name: "writing".to_owned(), bytes, layers, is_script }
    }

    fn at(task: &Task, bytes: u64, layers: u64, begun: Option<usize>) -> Moment<'_> {
        let since = Duration::from_millis(12_340);
        Moment { task, bytes, layers, begun, since, left: None, waiting: None, last_line: String::new() }
    }

    #[test]
    fn of_layers() {
        let task = task(Some(1_520_000_000), &["glibc-2.36, gcc-12 +3", "perl-5.36"], false);
        assert_eq!(at(&task, 0, 0, None).text(), "0 B of 1.52 GB");
        assert_eq!(at(&task, 430_000_000, 0, Some(0)).text(), "430 MB of 1.52 GB: glibc-2.36, gcc-12 +3");
        let mut moment = at(&task, 430_000_000, 1, Some(1));
        moment.left = Some(Duration::from_secs(3));
        assert_eq!(moment.text(), "430 MB of 1.52 GB, 1 of 2 layers, 3 s left: perl-5.36");
        moment.waiting = Some("localhost:5000".to_owned());
        let text = "430 MB of 1.52 GB, 1 of 2 layers, 3 s left, waiting for localhost:5000";
        assert_eq!(moment.text(), text);
        assert_eq!(moment.line(Duration::from_secs(13), false), format!("[ 13.0 s] writing: {text}"));
        let ended = at(&task, 1_520_000_000, 2, Some(1));
        assert_eq!(ended.line(Duration::from_secs(113), true), "[113.0 s] writing: 2 layers, 1.52 GB, 12.3 s");
        let expected = json!({"progress": "writing", "ended": true, "seconds": 13.0, "took": 12.3, "bytes": 1_520_000_000, "layers": 2});
        assert_eq!(ended.json(Duration::from_secs(13), true), expected);
    }

    #[test]
    fn of_what_is_not_known_beforehand() {
        let task = task(None, &[], false);
        assert_eq!(at(&task, 0, 0, None).text(), "12 s");
        assert_eq!(at(&task, 901_000, 0, None).text(), "901 kB");
        assert_eq!(at(&task, 0, 0, None).line(Duration::from_secs(1), true), "[  1.0 s] writing: 12.3 s");
    }

    #[test]
    fn of_scripts() {
        let task = task(None, &[], true);
        let mut moment = at(&task, 0, 0, None);
        assert_eq!(moment.text(), "script running for 12 s");
        moment.last_line = "  half \u{1b}[31mdone\t".to_owned();
        assert_eq!(moment.line(Duration::ZERO, false), "[  0.0 s] script running for 12 s: half \\u{1b}[31mdone");
    }
}
