//! Progress on stderr: bytes, layers, time left.

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use layerstone_layer::Meter;
use std::io::IsTerminal;
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

/// Time between two looks at the meter.
const TICK: Duration = Duration::from_millis(100);

/// Shows how far a work has come, or does not.
pub struct Progress {
    shown: bool,
}

impl Progress {
    pub fn new(when: When) -> Progress {
        let shown = match when {
            When::Auto => std::io::stderr().is_terminal(),
            When::Always => true,
            When::Never => false,
        };
        Progress { shown }
    }

    /// Runs `work`, which counts up to so many bytes and layers on the meter that it is given.
    pub fn during<T>(&self, what: &'static str, bytes: u64, layers: usize, work: impl FnOnce(&Meter) -> T) -> T {
        let meter = Meter::default();
        if !self.shown {
            return work(&meter);
        }
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {bytes}/{total_bytes} {msg} {eta} left");
        bar.set_style(style.expect("the template is well-formed"));
        bar.set_prefix(what);
        let result = thread::scope(|scope| {
            let (done, until_done) = channel::<()>();
            let (meter, bar) = (&meter, &bar);
            scope.spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = until_done.recv_timeout(TICK) {
                    bar.set_position(meter.bytes());
                    bar.set_message(format!("layer {}/{layers}", meter.layers().min(layers as u64)));
                }
            });
            let result = work(meter);
            drop(done);
            result
        });
        bar.finish_and_clear();
        result
    }
}
