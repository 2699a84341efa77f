//! Reads a `layerstone.toml`, and tells all that is wrong with it at once.

use super::find::absolute;
use super::{KEYS, Key, Kind, Owner, Source};
use crate::args::registry::{Mirror, insecure_host};
use anyhow::{Context, Result};
use layerstone_store::{LIMITS, Limit, parse_bytes};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// What a file sets.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// Its name, with that of the entry where the key is a table.
    pub name: String,
    /// The values, as the flag takes them.
    pub values: Vec<String>,
    /// The value, for people.
    pub shown: String,
    /// The file.
    pub path: PathBuf,
    /// The line, from 1 on.
    pub line: usize,
    /// Whose file it is.
    pub owner: Owner,
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1 on.
    pub line: usize,
    message: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// What to do about what is no TOML.
const SYNTAX: &str = "a line is KEY = VALUE, and texts stand in quotes, as in color = \"never\"";
/// What to do about a key that a project may not set.
const OF_USER: &str = "it belongs into ~/.config/layerstone/layerstone.toml, or is a flag";

/// Reads a file: its settings, or all that is wrong with it.
pub fn read(source: &Source) -> Result<Result<Vec<Setting>, Vec<Fault>>> {
    let text = fs::read_to_string(&source.path).with_context(|| format!("cannot read: {}", source.path.display()))?;
    Ok(parse(&text, source, absolute("HOME").as_deref()))
}

fn parse(text: &str, source: &Source, home: Option<&Path>) -> Result<Vec<Setting>, Vec<Fault>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, source, home, settings: Vec::new(), faults: Vec::new() };
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.fault(at, format!("not TOML: {}", error.message()), SYNTAX);
    }
    if reader.faults.is_empty() {
        reader.table("", table.get_ref());
    }
    reader.faults.sort_by_key(|fault| fault.line);
    if reader.faults.is_empty() { Ok(reader.settings) } else { Err(reader.faults) }
}

struct Reader<'a> {
    text: &'a str,
    source: &'a Source,
    home: Option<&'a Path>,
    settings: Vec<Setting>,
    faults: Vec<Fault>,
}

type Entry<'a, 't> = (&'a Spanned<DeString<'t>>, &'a Spanned<DeValue<'t>>);

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    fn fault(&mut self, at: usize, message: String, hint: impl Into<String>) {
        let line = self.line(at);
        self.faults.push(Fault { line, message, hint: hint.into() });
    }

    /// The entries of a table, whose name stands before theirs.
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            match (KEYS.iter().find(|known| known.name == name), value.get_ref()) {
                (Some(known), _) if !known.for_projects && self.source.owner == Owner::Project => {
                    let message = "only the user's own file may set it, and this is a project's";
                    self.fault(key.span().start, format!("{name}: {message}"), OF_USER);
                }
                (Some(known), _) => self.key(known, (key, value)),
                (None, DeValue::Table(inner)) if is_table(&name) => self.table(&format!("{name}."), inner),
                (None, _) if is_table(&name) => {
                    let message = format!("{name}: found {}, expected a table", kind_of(value));
                    self.fault(key.span().start, message, format!("[{name}] begins one, its keys follow a line each"));
                }
                (None, _) => {
                    let hint = match nearest(&name) {
                        Some(key) => key.example(),
                        None => "`layerstone config` lists the keys".to_owned(),
                    };
                    self.fault(key.span().start, format!("{name}: unknown key{}", meant(&name)), hint);
                }
            }
        }
    }

    fn key(&mut self, key: &'static Key, (name, value): Entry<'_, '_>) {
        if let Kind::Mirrors | Kind::Limits = key.kind {
            let DeValue::Table(table) = value.get_ref() else {
                let message = format!("{}: found {}, expected a table", key.name, kind_of(value));
                return self.fault(value.span().start, message, key.example());
            };
            for (inner, value) in table {
                let text = inner.get_ref();
                let read = if key.kind == Kind::Limits { limit(text, value) } else { mirrors(text, value) };
                self.set(key, format!("{}.{text}", key.name), read, (inner, value));
            }
            return;
        }
        let read = match key.kind {
            Kind::Word(words) => word(words, value),
            Kind::Bytes => bytes(value).map(|number| vec![number.to_string()]),
            Kind::Number(least, most) => number(least, most, value),
            Kind::Bool => match value.get_ref() {
                DeValue::Boolean(is_set) => Ok(vec![is_set.to_string()]),
                _ => Err(format!("found {}, expected true or false", kind_of(value))),
            },
            Kind::Path => self.path(value),
            Kind::Hosts => hosts(value),
            Kind::Mirrors | Kind::Limits => Ok(Vec::new()),
        };
        self.set(key, key.name.to_owned(), read, (name, value));
    }

    fn set(&mut self, key: &'static Key, name: String, read: Result<Vec<String>, String>, (at, value): Entry<'_, '_>) {
        match read {
            Err(message) => self.fault(value.span().start, format!("{name}: {message}"), key.example()),
            Ok(values) => {
                let shown = value.get_ref().as_str().unwrap_or(&self.text[value.span()]).to_owned();
                let (path, line, owner) = (self.source.path.clone(), self.line(at.span().start), self.source.owner);
                self.settings.push(Setting { key, name, values, shown, path, line, owner });
            }
        }
    }

    fn path(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
        let text = string(value, "a path")?;
        let path = match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) => return Err("found ~/, and HOME is not set".to_owned()),
            // No directory at all, as with LAYERSTONE_CACHE.
            (None, _) if text.is_empty() => return Err("found no path".to_owned()),
            (None, _) => self.source.path.parent().unwrap_or(Path::new("")).join(text),
        };
        path.to_str().map(|path| vec![path.to_owned()]).ok_or_else(|| "found a path that is no text".to_owned())
    }
}

/// Whether keys are within a table of this name.
fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The known key that was meant, as far as one can tell.
fn nearest(name: &str) -> Option<&'static Key> {
    // The last word says more than the table it was put in.
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().replace('_', "-");
    let distance = |key: &&Key| {
        let whole = strsim::damerau_levenshtein(name, key.name);
        whole.min(strsim::damerau_levenshtein(&last(name), &last(key.name)))
    };
    KEYS.iter().min_by_key(distance).filter(|key| distance(key) <= 3)
}

fn meant(name: &str) -> String {
    match nearest(name) {
        Some(key) => format!(", the nearest known one is {}", key.name),
        None => format!(", expected one of {}", KEYS.map(|key| key.name).join(", ")),
    }
}

fn kind_of(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(text) => format!("{:?}", &**text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(is_set) => is_set.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn string<'v>(value: &'v Spanned<DeValue<'_>>, expected: &str) -> Result<&'v str, String> {
    value.get_ref().as_str().ok_or_else(|| format!("found {}, expected {expected}", kind_of(value)))
}

fn integer(value: &Spanned<DeValue<'_>>) -> Option<u64> {
    let number = value.get_ref().as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn word(words: &[&str], value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let expected = words.join(", ");
    match string(value, &expected)? {
        text if words.contains(&text) => Ok(vec![text.to_owned()]),
        text => Err(format!("found {text:?}, expected one of {expected}")),
    }
}

fn bytes(value: &Spanned<DeValue<'_>>) -> Result<u64, String> {
    let wrong = || format!("found {}, expected a number of bytes, such as 5000000 or \"5Gi\"", kind_of(value));
    match value.get_ref() {
        DeValue::String(text) => parse_bytes(text).map_err(|_| wrong()),
        _ => integer(value).ok_or_else(wrong),
    }
}

fn number(least: u64, most: u64, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let number = integer(value).filter(|number| (least..=most).contains(number));
    let wrong = || format!("found {}, expected a whole number from {least} to {most}", kind_of(value));
    number.map(|number| vec![number.to_string()]).ok_or_else(wrong)
}

/// An array of texts, or one of them.
fn texts<'v>(value: &'v Spanned<DeValue<'_>>, expected: &str) -> Result<Vec<&'v str>, String> {
    match value.get_ref() {
        DeValue::Array(array) => array.iter().map(|item| string(item, expected)).collect(),
        _ => Ok(vec![string(value, expected)?]),
    }
}

fn hosts(value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let texts = texts(value, "HOST[:PORT]")?;
    texts.into_iter().map(|text| insecure_host(text).map(|_| text.to_owned())).collect()
}

fn mirrors(host: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let flags = texts(value, "HOST[:PORT][/PREFIX]")?.into_iter().map(|mirror| format!("{host}={mirror}"));
    flags.map(|flag| flag.parse::<Mirror>().map(|_| flag)).collect()
}

fn limit(name: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    if Limit::of_name(name).is_none() {
        return Err(format!("unknown limit, expected one of {}", LIMITS.map(|row| row.name).join(", ")));
    }
    Ok(vec![format!("{name}={}", bytes(value)?)])
}
