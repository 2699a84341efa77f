//! What a build reports, on stderr.

use crate::args::{Common, Form};
use crate::color::Prefix;
use crate::log::TOLD;
use crate::out::tell;
use crate::progress::{When, show};
use crate::table::size;
use layerstone_layer::Progress;
use layerstone_pipeline::{Report, Task};
use layerstone_registry::PushStats;
use serde_json::json;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

impl Report for Common {
    fn warning(&self, message: &str) {
        tracing::warn!(target: TOLD, "{message}");
        match self.errors {
            _ if self.quiet => {}
            Form::Text => print_line(&format!("{} {message}", Prefix::Warning)),
            Form::Json => print_line(&json!({"warning": message}).to_string()),
        }
    }

    fn notice(&self, message: &str) {
        tracing::info!(target: TOLD, "{message}");
        if !self.quiet {
            print_line(message);
        }
    }

    fn answer(&self, message: &str) {
        tracing::info!(target: TOLD, "{message}");
        tell(format_args!("{message}"));
    }

    fn sent(&self, sent: &PushStats, within: Duration) {
        self.notice(&sent_text(sent, within));
    }

    fn begin(&self, task: Task, meter: &Arc<Progress>) -> Box<dyn Send + '_> {
        show(if self.quiet { When::Never } else { self.progress }, task, meter)
    }
}

/// Prints a line. On a terminal it takes the place of a progress bar, which is drawn again below it.
pub fn print_line(text: &str) {
    let clear = if std::io::stderr().is_terminal() { "\r\x1b[2K" } else { "" };
    tell(format_args!("{clear}{text}"));
}

fn sent_text(sent: &PushStats, within: Duration) -> String {
    let blobs = |(count, bytes): (u64, u64)| match count {
        0 => "0 blobs".to_owned(),
        1 => format!("1 blob of {}", size(bytes)),
        count => format!("{count} blobs of {}", size(bytes)),
    };
    let some = |before: &str, some: (u64, u64), after: &str| match some {
        (0, _) => String::new(),
        some => format!("{before}{}{after}", blobs(some)),
    };
    let manifest = if sent.manifests == 0 { "" } else { " and a manifest" };
    let mounted = some(", took over ", sent.mounted, " of another repository");
    let present = some(", skipped ", sent.existing, " that were there");
    let seconds = within.as_secs_f64();
    format!("sent {}{manifest}{mounted}{present}, in {seconds:.1} s", blobs(sent.sent))
}
