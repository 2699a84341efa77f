//! What a build tells its caller while it runs: warnings, notices, progress; and what it asks: whether to go on.

use layerstone_layer::{Layer, Progress};
use layerstone_store::{Cancel, StorePath};
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Work of which progress is reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// What is done, such as `hashing`.
    pub name: String,
    /// Bytes that will be counted, if that is known beforehand.
    pub bytes: Option<u64>,
    /// What the layers are called that will be counted; none for work on anything else.
    pub layers: Vec<String>,
    /// Whether it is a script, which counts nothing, but prints.
    pub is_script: bool,
}

/// Names of a layer that progress shows.
const NAMES: usize = 2;

/// What a layer of store paths is called for people: `perl-5.36, git-2.39 +3`.
pub fn title_of_paths(paths: &[StorePath]) -> String {
    let names: Vec<&str> = paths.iter().take(NAMES).map(StorePath::name).collect();
    let more = paths.len().saturating_sub(NAMES);
    if more == 0 { names.join(", ") } else { format!("{} +{more}", names.join(", ")) }
}

/// What layers are called for people.
pub(crate) fn titles(layers: &[Layer]) -> Vec<String> {
    let title = |layer: &Layer| match &layer.store_paths[..] {
        [] => layer.label.display().to_string(),
        paths => title_of_paths(paths),
    };
    layers.iter().map(title).collect()
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

    /// Where a script prints that is about to run; by default standard error.
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
        name: &str,
        bytes: Option<u64>,
        layers: Vec<String>,
        work: impl FnOnce(&Progress) -> T,
    ) -> T {
        let meter = Arc::new(Progress::until(self.cancel()));
        let begin = Instant::now();
        let shown = self.begin(Task { name: name.to_owned(), bytes, layers, is_script: false }, &meter);
        let result = work(&meter);
        drop(shown);
        self.took(name, begin.elapsed(), Some(meter.bytes()).filter(|bytes| *bytes > 0));
        result
    }

    /// Does some work that counts nothing, and reports how long it took.
    pub fn stage<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let shown = self.begin(Task { name: name.to_owned(), ..Task::default() }, &Arc::default());
        let result = work();
        drop(shown);
        self.took(name, begin.elapsed(), None);
        result
    }

    /// A script begins, and runs until what is returned is dropped.
    pub fn begin_script(&self, name: &str) -> Box<dyn Send + '_> {
        self.begin(Task { name: name.to_owned(), is_script: true, ..Task::default() }, &Arc::default())
    }
}

/// Reports nothing; what scripts print goes to standard error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Report for Silent {}
