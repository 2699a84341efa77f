//! What a build tells its caller while it runs: warnings, notices, progress; and what it asks: whether to go on.

use layerstone_layer::Progress;
use layerstone_store::Cancel;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Work of which progress is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// What is done, such as `hashing`.
    pub name: &'static str,
    /// Bytes that will be counted, if that is known beforehand.
    pub bytes: Option<u64>,
    /// Layers that will be counted; 0 for work on anything else.
    pub layers: usize,
}

/// Receives what a build reports, and may cancel it. All methods may be called from any thread; by default they do
/// nothing.
pub trait Report: Sync {
    /// Something is likely wrong.
    fn warning(&self, _message: &str) {}

    /// Something that is good to know.
    fn notice(&self, _message: &str) {}

    /// Something that was asked for by name.
    fn answer(&self, _message: &str) {}

    /// Where scripts print; by default standard error.
    fn script_output(&self) -> Box<dyn Write + '_> {
        Box::new(io::stderr())
    }

    /// The token that cancels the build. It is looked at between stages, and while layers are read, hashed, compressed,
    /// unpacked or put; a script that runs is waited for.
    fn cancel(&self) -> Cancel {
        Cancel::default()
    }

    /// A stage has ended: how long it took, and how many bytes it went through, as far as they were counted. Stages may be
    /// within each other.
    fn took(&self, _stage: &str, _time: Duration, _bytes: Option<u64>) {}

    /// A task begins, which counts on this meter until what is returned is dropped.
    fn begin(&self, _task: Task, _meter: &Arc<Progress>) -> Box<dyn Send + '_> {
        Box::new(())
    }
}

impl dyn Report + '_ {
    /// Reports a warning.
    pub fn warn(&self, message: impl Display) {
        self.warning(&message.to_string());
    }

    /// Does some work and reports its progress: it counts up to so many bytes and layers on the meter that it is given.
    pub fn during<T>(
        &self,
        name: &'static str,
        bytes: Option<u64>,
        layers: usize,
        work: impl FnOnce(&Progress) -> T,
    ) -> T {
        let meter = Arc::new(Progress::until(self.cancel()));
        let begin = Instant::now();
        let shown = self.begin(Task { name, bytes, layers }, &meter);
        let result = work(&meter);
        drop(shown);
        self.took(name, begin.elapsed(), Some(meter.bytes()).filter(|bytes| *bytes > 0));
        result
    }

    /// Does some work that counts nothing, and reports how long it took.
    pub fn stage<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = work();
        self.took(name, begin.elapsed(), None);
        result
    }
}

/// Reports nothing; what scripts print goes to standard error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Report for Silent {}
