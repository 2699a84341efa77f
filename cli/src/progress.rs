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

/// Progress of a task on stderr, until it is dropped.
struct Shown {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Shows the progress of a task, if it is to be shown, until what is returned is dropped.
pub fn show(when: When, task: Task, meter: &Arc<Progress>) -> Box<dyn Send> {
    if !when.is_now() {
        return Box::new(());
    }
    let display = Display::new(task.name, task.bytes, task.layers);
    let (done, until_done) = channel::<()>();
    let meter = Arc::clone(meter);
    let thread = thread::spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = until_done.recv_timeout(display.tick()) {
            display.show(&meter);
        }
        display.finish(&meter);
    });
    Box::new(Shown { done: Some(done), thread: Some(thread) })
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            // Progress is no reason to fail.
            let _ = thread.join();
        }
    }
}

/// Where and how progress is shown.
enum Display {
    /// A bar on a terminal, gone at the end.
    Bar(ProgressBar, usize),
    /// Lines in a log.
    Lines(&'static str, Option<u64>, usize),
}

impl Display {
    fn new(what: &'static str, bytes: Option<u64>, layers: usize) -> Display {
        if !std::io::stderr().is_terminal() {
            return Display::Lines(what, bytes, layers);
        }
        let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(match bytes {
            Some(_) => "{prefix} {wide_bar} {bytes}/{total_bytes} {msg} {eta} left",
            None => "{prefix} {bytes}",
        });
        bar.set_style(style.expect("the template is well-formed"));
        bar.set_prefix(what);
        Display::Bar(bar, layers)
    }

    /// Time between two looks at the counters.
    fn tick(&self) -> Duration {
        Duration::from_millis(if matches!(self, Display::Bar(..)) { 100 } else { 5000 })
    }

    fn show(&self, progress: &Progress) {
        match self {
            Display::Bar(bar, layers) => {
                bar.set_position(progress.bytes());
                if *layers > 0 {
                    bar.set_message(format!("layer {}/{layers}", progress.layers().min(*layers as u64)));
                }
            }
            Display::Lines(what, bytes, layers) => {
                let mut line = format!("{what}: {}", size(progress.bytes()));
                if let Some(bytes) = bytes {
                    line.push_str(&format!(" of {}", size(*bytes)));
                }
                if *layers > 0 {
                    line.push_str(&format!(", layer {}/{layers}", progress.layers().min(*layers as u64)));
                }
                // Progress is no reason to fail.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }

    fn finish(&self, progress: &Progress) {
        match self {
            Display::Bar(bar, _) => bar.finish_and_clear(),
            Display::Lines(..) => self.show(progress),
        }
    }
}
