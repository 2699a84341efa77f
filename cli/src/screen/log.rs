//! What `-v`, `-vv` and `--log FILE` tell: the events of the libraries, as lines on stderr and in a file.
//!
//! Nobody else subscribes to events. Without these flags nobody does, and an event costs a comparison.

use crate::args::{Common, Form};
use crate::cli::Cli;
use crate::screen::progress::print_line;
use anyhow::{Result, bail};
use clap::CommandFactory;
use layerstone_store::Error;
use serde_json::{Map, Value, json};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The target of what is told on stderr anyway, and which the file has too.
pub const TOLD: &str = "layerstone::told";
/// How the targets of our libraries begin. Crates of others may put into theirs what nobody should read.
const OURS: &str = "layerstone::";
/// How a log begins, in either form. A file that does not is no log, and left alone.
const BEGINNINGS: [&str; 2] = ["layerstone log", "{\"log\":\"layerstone\""];

/// Tells events from here on, if flags ask for it.
pub fn begin(common: &Common) -> Result<()> {
    let stderr = match common.verbose {
        _ if common.quiet => LevelFilter::OFF,
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let file = common.log.as_deref().map(|path| open(path, common.errors)).transpose()?;
    if stderr == LevelFilter::OFF && file.is_none() {
        return Ok(());
    }
    let log = Log { begin: Instant::now(), form: common.errors, stderr, file };
    Ok(tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log))?)
}

/// Opens a file to append to: a new one, or a log.
fn open(path: &Path, form: Form) -> Result<File> {
    if path == Path::new("-") {
        bail!("--log: found -, expected a file (-vv tells the same on stderr)");
    }
    let failed = |source| Error::io("write", path)(source);
    if path.is_file() {
        let mut first = Vec::new();
        File::open(path).and_then(|file| file.take(64).read_to_end(&mut first)).map_err(failed)?;
        let is_log = first.is_empty() || BEGINNINGS.iter().any(|beginning| first.starts_with(beginning.as_bytes()));
        if !is_log {
            bail!("not a log: {}: found another file, expected none, or a log to append to", path.display());
        }
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir());
    if let Some(parent) = parent {
        return Err(Error::NoParent { path: path.to_owned(), parent: parent.to_owned() }.into());
    }
    let mut file = File::options().append(true).create(true).open(path).map_err(failed)?;
    let command = command();
    let version = env!("CARGO_PKG_VERSION");
    let line = match form {
        Form::Text => format!("{} of layerstone {version} {command}\n", BEGINNINGS[0]),
        Form::Json => format!("{}\n", json!({"log": "layerstone", "version": version, "command": command})),
    };
    file.write_all(line.as_bytes()).map_err(failed)?;
    Ok(file)
}

/// The subcommand that runs. Its arguments may be secrets, such as a variable of the image.
fn command() -> String {
    let words = std::env::args().skip(1);
    let known = Cli::command();
    words.into_iter().find(|word| known.find_subcommand(word).is_some()).unwrap_or_default()
}

/// Where events are told.
struct Log {
    begin: Instant,
    form: Form,
    stderr: LevelFilter,
    file: Option<File>,
}

impl Log {
    fn most(&self) -> LevelFilter {
        if self.file.is_some() { LevelFilter::DEBUG } else { self.stderr }
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with(OURS) && *metadata.level() <= self.most()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut said = Said::default();
        event.record(&mut said);
        let area = metadata.target().strip_prefix(OURS).unwrap_or_default();
        let seconds = self.begin.elapsed().as_secs_f64();
        let line = match self.form {
            Form::Text => said.text(area),
            Form::Json => said.json(area, metadata.level().as_str(), seconds),
        };
        if *metadata.level() <= self.stderr && metadata.target() != TOLD {
            print_line(&line);
        }
        if let Some(mut file) = self.file.as_ref() {
            let line = match self.form {
                Form::Text => format!("{seconds:9.3} {line}\n"),
                Form::Json => format!("{line}\n"),
            };
            // In one piece, as others may append too. A log that cannot be written is no reason to fail.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// The message of an event and its fields.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    /// `area: message (key value, key value)`, control characters escaped.
    fn text(&self, area: &str) -> String {
        let mut text = format!("{area}: {}", self.message);
        for (index, (key, value)) in self.fields.iter().enumerate() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let joint = if index == 0 { " (" } else { ", " };
            let _ = write!(text, "{joint}{key} {value}");
        }
        if !self.fields.is_empty() {
            text.push(')');
        }
        let escaped = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
        text.chars().map(escaped).collect()
    }

    fn json(self, area: &str, level: &str, seconds: f64) -> String {
        let mut object = Map::new();
        object.insert("event".to_owned(), self.message.into());
        object.insert("area".to_owned(), area.into());
        object.insert("level".to_owned(), level.to_lowercase().into());
        object.insert("seconds".to_owned(), ((seconds * 1000.0).round() / 1000.0).into());
        object.extend(self.fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        Value::Object(object).to_string()
    }

    fn add(&mut self, field: &Field, value: Value) {
        self.fields.push((field.name(), value));
    }
}

impl Visit for Said {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, without_secrets(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = without_secrets(&format!("{value:?}"));
        } else {
            self.add(field, format!("{value:?}").into());
        }
    }
}

/// A text without what words of it may hold that somebody typed, and that messages repeat: the password of
/// `user:password@host`, and the query of an address.
fn without_secrets(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || c.is_control() || "\"'`".contains(c);
    let pieces = text.split_inclusive(is_end).map(|piece| {
        let word = piece.trim_end_matches(is_end);
        without_secret(word) + &piece[word.len()..]
    });
    pieces.collect()
}

fn without_secret(word: &str) -> String {
    let (scheme, rest) = match word.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, word),
    };
    // A digest follows a name, and no password.
    let at = rest.rfind('@').filter(|at| !rest[at + 1..].starts_with("sha"));
    let password = at.and_then(|at| Some((rest[..at].find(':')?, at)));
    let rest = password.map_or_else(|| rest.to_owned(), |(colon, at)| format!("{}:…{}", &rest[..colon], &rest[at..]));
    match scheme {
        None => rest,
        Some(scheme) => {
            let (path, query) = rest.find('?').map_or((&*rest, ""), |at| (&rest[..at], "?…"));
            format!("{scheme}://{path}{query}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets() {
        for (text, expected) in [
            ("x:1@sha256:00 h:5000/x", "x:1@sha256:00 h:5000/x"),
            ("no \"user:p:w@h/x:1\": y", "no \"user:…@h/x:1\": y"),
            ("registry:u:p@h/x", "registry:…@h/x"),
            ("of https://u:p/w@h/x?a=b z", "of https://u:…@h/x?… z"),
            ("GET https://h/x", "GET https://h/x"),
        ] {
            assert_eq!(without_secrets(text), expected);
        }
    }
}
