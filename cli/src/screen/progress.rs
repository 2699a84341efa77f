//! Progress on stderr: what is done now, what of it is done, and how long it takes; as a bar, or as lines of a log.

mod moment;
mod script_output;

pub use script_output::ScriptOutput;

use crate::args::{Common, Form};
use crate::screen::out::tell;
use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use layerstone_layer::Progress;
use layerstone_pipeline::Task;
use layerstone_registry::Waiting;
use moment::Moment;
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a host may keep us waiting before that is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// All bars. There is one at a time, and lines are printed above it.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// As a bar, if stderr is a terminal.
    Auto,
    /// As lines: one when a stage ends, and one each ten seconds.
    Plain,
    /// As a bar on a terminal, as lines elsewhere.
    Always,
    /// Not at all.
    Never,
}

/// What a task looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Bar,
    Lines,
}

impl Look {
    fn of(when: When) -> Option<Look> {
        match (when, std::io::stderr().is_terminal()) {
            (When::Auto | When::Always, true) => Some(Look::Bar),
            (When::Plain, _) | (When::Always, false) => Some(Look::Lines),
            (When::Auto, false) | (When::Never, _) => None,
        }
    }

    /// Time between two looks at the counters.
    fn tick(self) -> Duration {
        match self {
            Look::Bar => Duration::from_millis(100),
            Look::Lines => Duration::from_secs(10),
        }
    }
}

/// What all that show progress know of. All clones are one.
#[derive(Clone, Default)]
pub struct Board(Arc<Notes>);

#[derive(Default)]
struct Notes {
    /// Tasks that run, by number: those within others behind them. The last one is shown.
    running: Mutex<Vec<u64>>,
    /// What the script that runs printed last.
    last_line: Mutex<String>,
    /// Hosts that are waited for.
    waiting: Waiting,
}

impl Board {
    /// Where requests note which hosts they wait for.
    pub fn waiting(&self) -> Waiting {
        self.0.waiting.clone()
    }

    fn begin(&self) -> u64 {
        let mut running = lock(&self.0.running);
        let number = running.iter().max().map_or(0, |last| last + 1);
        running.push(number);
        number
    }

    fn end(&self, number: u64) {
        lock(&self.0.running).retain(|it| *it != number);
    }

    fn is_shown(&self, number: u64) -> bool {
        lock(&self.0.running).last() == Some(&number)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints a line on stderr, above the bar if there is one.
pub fn print_line(text: &str) {
    BARS.suspend(|| tell(text));
}

/// Progress of a task on stderr, until it is dropped: what ends the thread that shows it, and the thread.
struct Shown {
    board: Board,
    number: u64,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Shows the progress of a task, if it is to be shown, until what is returned is dropped.
pub fn show(common: &Common, task: Task, meter: &Arc<Progress>) -> Box<dyn Send> {
    let Some(look) = Look::of(common.progress).filter(|_| !common.quiet) else { return Box::new(()) };
    let board = common.board.clone();
    let number = board.begin();
    if task.is_script {
        lock(&board.0.last_line).clear();
    }
    let (begin, meter, common) = (Instant::now(), Arc::clone(meter), common.clone());
    let mut display = Display { look, task, meter, common, number, begin, bar: None };
    let (done, until_done) = channel::<()>();
    let thread = thread::Builder::new().spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = until_done.recv_timeout(look.tick()) {
            display.show();
        }
        display.finish();
    });
    // Progress is no reason to fail.
    Box::new(Shown { board, number, thread: thread.ok().map(|thread| (done, thread)) })
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.thread.take() {
            drop(done);
            // Progress is no reason to fail.
            let _ = thread.join();
        }
        self.board.end(self.number);
    }
}

/// Where and how the progress of a task is shown.
struct Display {
    look: Look,
    task: Task,
    meter: Arc<Progress>,
    common: Common,
    number: u64,
    begin: Instant,
    /// On a terminal, while it is this task that is shown; gone at the end.
    bar: Option<ProgressBar>,
}

impl Display {
    fn show(&mut self) {
        if !self.common.board.is_shown(self.number) {
            self.clear();
            return;
        }
        if self.look == Look::Bar {
            let task = &self.task;
            self.bar.get_or_insert_with(|| new_bar(task)).set_position(self.meter.bytes());
        }
        let waiting = self.common.board.0.waiting.longest().filter(|(_, time)| *time >= PATIENCE);
        let mut moment = self.moment();
        moment.waiting = waiting.map(|(host, _)| host);
        moment.last_line = lock(&self.common.board.0.last_line).clone();
        match &self.bar {
            None => self.print(&moment, false),
            Some(bar) => {
                let is_known = self.task.bytes.is_some() && moment.bytes > 0;
                moment.left = Some(bar.eta()).filter(|left| is_known && left.as_secs() > 0);
                bar.set_message(moment.text());
            }
        }
    }

    fn finish(&mut self) {
        self.clear();
        if self.look == Look::Lines {
            self.print(&self.moment(), true);
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            BARS.remove(&bar);
        }
    }

    fn moment(&self) -> Moment<'_> {
        Moment {
            task: &self.task,
            bytes: self.meter.bytes(),
            layers: self.meter.layers(),
            begun: self.meter.last_begun(),
            since: self.begin.elapsed(),
            left: None,
            waiting: None,
            last_line: String::new(),
        }
    }

    /// Prints how far it is, or that it has ended.
    fn print(&self, moment: &Moment<'_>, has_ended: bool) {
        let at = self.common.taken.since_begin();
        print_line(&match self.common.errors {
            Form::Json => moment.json(at, has_ended).to_string(),
            Form::Text => moment.line(at, has_ended),
        });
    }
}

fn new_bar(task: &Task) -> ProgressBar {
    let bar = BARS.add(ProgressBar::with_draw_target(task.bytes, indicatif::ProgressDrawTarget::stderr()));
    let template = match task {
        Task { is_script: true, .. } => "{wide_msg}",
        Task { bytes: Some(_), .. } => "{prefix} {bar:10} {wide_msg}",
        _ => "{prefix}: {wide_msg}",
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
    bar.set_prefix(task.name.clone());
    bar
}
