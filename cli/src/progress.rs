//! Progress on stderr: bytes, layers, time left.

use crate::table::size;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use layerstone_layer::Progress;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// When progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// If stderr is a terminal.
    Auto,
    Always,
    Never,
}

/// Shows how far a work has come, or does not.
pub struct ProgressDisplay {
    shown: bool,
}

impl ProgressDisplay {
    pub fn new(when: When) -> ProgressDisplay {
        let shown = match when {
            When::Auto => std::io::stderr().is_terminal(),
            When::Always => true,
            When::Never => false,
        };
        ProgressDisplay { shown }
    }

    /// Runs `work`, which counts up to so many bytes and layers on the counters that it is given: how many bytes may be
    /// unknown, and work on anything but layers has none of them.
    pub fn during<T>(
        &self,
        what: &'static str,
        bytes: Option<u64>,
        layers: usize,
        work: impl FnOnce(&Progress) -> T,
    ) -> T {
        let progress = Progress::default();
        if !self.shown {
            return work(&progress);
        }
        let display = Display::new(what, bytes, layers);
        let result = thread::scope(|scope| {
            let (done, until_done) = channel::<()>();
            let (progress, display) = (&progress, &display);
            scope.spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = until_done.recv_timeout(display.tick()) {
                    display.show(progress);
                }
            });
            let result = work(progress);
            drop(done);
            result
        });
        display.finish(&progress);
        result
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
