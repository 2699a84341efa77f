//! What a build reports, on stderr.

use crate::args::{Common, Form};
use crate::screen::color::Prefix;
use crate::screen::fit::clean_lines;
use crate::screen::log::TOLD;
use crate::screen::out::tell;
use crate::screen::progress::{ScriptOutput, print_line, show};
use layerstone_layer::Progress;
use layerstone_pipeline::{Report, Task};
use serde_json::json;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

impl Report for Common {
    fn warning(&self, message: &str) {
        tracing::warn!(target: TOLD, "{message}");
        match self.errors {
            _ if self.quiet => {}
            Form::Text => print_line(&format!("{} {}", Prefix::Warning, clean_lines(message))),
            Form::Json => print_line(&json!({"warning": message}).to_string()),
        }
    }

    fn notice(&self, message: &str) {
        tracing::info!(target: TOLD, "{message}");
        match self.errors {
            _ if self.quiet => {}
            Form::Text => print_line(&clean_lines(message)),
            Form::Json => print_line(&json!({"notice": message}).to_string()),
        }
    }

    fn answer(&self, message: &str) {
        tracing::info!(target: TOLD, "{message}");
        match self.errors {
            Form::Text => tell(clean_lines(message)),
            Form::Json => tell(json!({"answer": message})),
        }
    }

    fn script_output(&self) -> Box<dyn Write + '_> {
        Box::new(ScriptOutput::new(&self.board))
    }

    fn took(&self, stage: &str, time: Duration, bytes: Option<u64>) {
        tracing::info!(target: "layerstone::stage", ms = time.as_millis() as u64, bytes, "{stage}");
        self.taken.add(stage, time, bytes);
    }

    fn begin(&self, task: Task, meter: &Arc<Progress>) -> Box<dyn Send + '_> {
        show(self, task, meter)
    }
}
