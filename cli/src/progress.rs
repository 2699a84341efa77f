//! Progress on stderr: bytes, layers, time left.

use crate::table::size;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use layerstone_layer::Progress;
use layerstone_pipeline::Task;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// When progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// If stderr is a terminal.
    Auto,
    Always,
    Never,
}

impl When {
    fn is_now(self) -> bool {
        match self {
            When::Auto => std::io::stderr().is_terminal(),
            When::Always => true,
            When::Never => false,
        }
    }
}

/// Progress of a task on stderr, until it is dropped: what ends the thread that shows it, and the thread.
struct Shown(Option<(Sender<()>, JoinHandle<()>)>);

/// Shows the progress of a task, if it is to be shown, until what is returned is dropped.
pub fn show(when: When, task: Task, meter: &Arc<Progress>) -> Box<dyn Send> {
    if !when.is_now() {
        return Box::new(());
    }
    let display = Display::new(task);
    let (done, until_done) = channel::<()>();
    let meter = Arc::clone(meter);
    let thread = thread::Builder::new().spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = until_done.recv_timeout(display.tick()) {
            display.show(&meter);
        }
        display.finish(&meter);
    });
    // Progress is no reason to fail.
    Box::new(Shown(thread.ok().map(|thread| (done, thread))))
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.0.take() {
            drop(done);
            // Progress is no reason to fail.
            let _ = thread.join();
        }
    }
}

/// Where and how progress is shown.
struct Display {
    task: Task,
    /// A bar on a terminal, gone at the end; without it there are lines in a log.
    bar: Option<ProgressBar>,
}

impl Display {
    fn new(task: Task) -> Display {
        if !std::io::stderr().is_terminal() {
            return Display { task, bar: None };
        }
        let bar = ProgressBar::with_draw_target(task.bytes, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(match task.bytes {
            Some(_) => "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {msg} {eta} left",
            None => "{prefix} {decimal_bytes}",
        });
        bar.set_style(style.expect("the template is well-formed"));
        bar.set_prefix(task.name);
        Display { task, bar: Some(bar) }
    }

    /// Time between two looks at the counters.
    fn tick(&self) -> Duration {
        Duration::from_millis(if self.bar.is_some() { 100 } else { 5000 })
    }

    fn show(&self, progress: &Progress) {
        let Task { name, bytes, layers } = self.task;
        let layer = (layers > 0).then(|| format!("layer {}/{layers}", progress.layers().min(layers as u64)));
        if let Some(bar) = &self.bar {
            bar.set_position(progress.bytes());
            layer.into_iter().for_each(|layer| bar.set_message(layer));
            return;
        }
        let total = bytes.map(|bytes| format!(" of {}", size(bytes))).unwrap_or_default();
        let layer = layer.map(|layer| format!(", {layer}")).unwrap_or_default();
        // Progress is no reason to fail.
        let _ = writeln!(std::io::stderr(), "{name}: {}{total}{layer}", size(progress.bytes()));
    }

    fn finish(&self, progress: &Progress) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None => self.show(progress),
        }
    }
}
