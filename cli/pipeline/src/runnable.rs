//! Tells what keeps an image from running: a command that no layer holds, an interpreter or a library that is missing,
//! programs of another architecture, users that no file names. Only the files that it asks about are read.

mod image_files;

pub use image_files::ImageFiles;

use crate::Result;
use crate::error::Context;
use layerstone_root::{FileView, FoundFile, Missing, interpreter_of_script, needs_of, runs_on};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where commands are looked for in an image whose Env has no PATH (moby, oci/defaults.go, `DefaultPathEnv`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Something that keeps an image from running as its config says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// No file of this name is where it is looked for.
    NoCommand {
        /// The key of the config, or the script, that names it.
        key: String,
        /// The name.
        word: String,
        /// The search path, if the name has no slash.
        path: Option<String>,
    },
    /// It may not be executed.
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// An interpreter or a library that a program needs.
    Missing(Missing),
    /// It is a program for another machine.
    OtherArchitecture {
        /// The file.
        path: PathBuf,
        /// The architecture that it is for.
        found: String,
        /// The image's.
        expected: String,
    },
    /// A user or group by a name that no file of the image has.
    NoSuchName {
        /// The file: /etc/passwd or /etc/group.
        file: &'static str,
        /// The name.
        name: String,
    },
    /// The working directory is something else.
    WorkingDir(PathBuf),
    /// The working directory is a relative path, which runtimes refuse (OCI runtime-spec, config.md, `cwd`).
    RelativeWorkingDir(PathBuf),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::NoCommand { key, word, path: Some(path) } => write!(f, "{key}: found no {word} in PATH, {path}")?,
            Doubt::NoCommand { key, word, path: None } => write!(f, "{key}: found no {word} in the image")?,
            Doubt::NotExecutable { path, mode } => {
                write!(f, "{}: found mode {mode:o}, expected one that lets it be executed", path.display())?;
            }
            Doubt::Missing(Missing { by, what, is_interpreter }) => {
                let kind = if *is_interpreter { "interpreter" } else { "library" };
                write!(f, "{}: found no {} in the image, its {kind}", by.display(), what.display())?;
            }
            Doubt::OtherArchitecture { path, found, expected } => {
                write!(f, "{}: found a program for {found}, expected one for {expected}", path.display())?;
            }
            Doubt::NoSuchName { file, name } => write!(f, "User: found no {name} in {file} of the image")?,
            Doubt::RelativeWorkingDir(path) => {
                write!(f, "WorkingDir: found {}, expected an absolute path", path.display())?;
            }
            Doubt::WorkingDir(path) => write!(f, "WorkingDir: {} is no directory in the image", path.display())?,
        }
        match self {
            Doubt::NoCommand { word, .. } if word.contains(' ') => f.write_str(": one word for each --cmd"),
            _ => Ok(()),
        }
    }
}

/// Whether a config (its `config` key) says anything about files of the image; otherwise nobody need look at them.
pub fn asks_for_files(config: &Value) -> bool {
    let says = |key: &&str| match &config[*key] {
        Value::String(text) => !text.is_empty(),
        Value::Array(words) => !words.is_empty(),
        _ => false,
    };
    ["Entrypoint", "Cmd", "User", "WorkingDir"].iter().any(says)
}

/// What keeps an image of this config (its `config` key) and architecture from running.
///
/// # Errors
///
/// A file of the image cannot be read.
pub fn doubts(config: &Value, architecture: &str, files: &ImageFiles<'_>) -> Result<Vec<Doubt>> {
    let mut checking = Checking { config, architecture, files, doubts: Vec::new() };
    checking.command().and_then(|()| checking.user()).context("cannot check whether the image runs")?;
    checking.working_dir();
    Ok(checking.doubts)
}

/// A config that is being checked.
struct Checking<'a> {
    config: &'a Value,
    architecture: &'a str,
    files: &'a ImageFiles<'a>,
    doubts: Vec<Doubt>,
}

impl Checking<'_> {
    /// The first word of the entry point, or else of the command, and all that it needs.
    fn command(&mut self) -> std::io::Result<()> {
        let first = |key: &'static str| Some((key, self.config[key].as_array()?.first()?.as_str()?.to_owned()));
        let Some((key, word)) = first("Entrypoint").or_else(|| first("Cmd")) else { return Ok(()) };
        let Some(program) = self.find(key, &word)? else { return Ok(()) };
        if let Some(word) = word_behind_env(&program) {
            self.find(&program.path.display().to_string(), &word)?;
        }
        Ok(())
    }

    /// Looks a command up, and notes what it lacks.
    fn find(&mut self, key: &str, word: &str) -> std::io::Result<Option<FoundFile>> {
        let path = if word.contains('/') { None } else { Some(self.env("PATH").unwrap_or(DEFAULT_PATH).to_owned()) };
        let working_dir = Path::new("/").join(self.config["WorkingDir"].as_str().unwrap_or_default());
        let candidates: Vec<PathBuf> = match &path {
            None => vec![working_dir.join(word)],
            Some(path) => path.split(':').map(|directory| working_dir.join(directory).join(word)).collect(),
        };
        let mut found: Option<FoundFile> = None;
        for candidate in candidates {
            let file = self.files.file(&candidate)?;
            // A file that may not be executed is passed over where there is another one, as execvp(3) does.
            match file {
                Some(file) if file.mode & 0o111 != 0 => {
                    found = Some(file);
                    break;
                }
                file => found = found.or(file),
            }
        }
        let Some(program) = found else {
            self.doubts.push(Doubt::NoCommand { key: key.to_owned(), word: word.to_owned(), path });
            return Ok(None);
        };
        if program.mode & 0o111 == 0 {
            self.doubts.push(Doubt::NotExecutable { path: program.path.clone(), mode: program.mode });
        }
        let library_path = self.env("LD_LIBRARY_PATH").unwrap_or_default();
        let library_path: Vec<PathBuf> =
            library_path.split(':').filter(|part| !part.is_empty()).map(PathBuf::from).collect();
        let needs = needs_of(self.files, &program, &library_path)?;
        self.doubts.extend(needs.missing.into_iter().map(Doubt::Missing));
        if let Some(found) = needs.architecture.filter(|found| !runs_on(found, self.architecture)) {
            let (found, expected) = (found.to_owned(), self.architecture.to_owned());
            self.doubts.push(Doubt::OtherArchitecture { path: program.path.clone(), found, expected });
        }
        Ok(Some(program))
    }

    fn env(&self, name: &str) -> Option<&str> {
        let variables = self.config["Env"].as_array()?.iter().rev().filter_map(Value::as_str);
        let mut pairs = variables.filter_map(|text| text.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// User and group by name: engines look them up in the image; numbers need no file (moby, daemon/oci_linux.go).
    fn user(&mut self) -> std::io::Result<()> {
        let user = self.config["User"].as_str().unwrap_or_default();
        let (user, group) = user.split_once(':').unwrap_or((user, ""));
        for (file, name) in [("/etc/passwd", user), ("/etc/group", group)] {
            if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let found = self.files.file(Path::new(file))?;
            let has_name = |file: &FoundFile| {
                file.bytes
                    .split(|&byte| byte == b'\n')
                    .any(|line| line.split(|&byte| byte == b':').next() == Some(name.as_bytes()))
            };
            if !found.as_ref().is_some_and(has_name) {
                self.doubts.push(Doubt::NoSuchName { file, name: name.to_owned() });
            }
        }
        Ok(())
    }

    /// Engines make a working directory that is not there, but not over something else.
    fn working_dir(&mut self) {
        let Some(path) = self.config["WorkingDir"].as_str().filter(|path| !path.is_empty()) else { return };
        if !path.starts_with('/') {
            self.doubts.push(Doubt::RelativeWorkingDir(path.into()));
        } else if self.files.is_no_directory(Path::new(path)) {
            self.doubts.push(Doubt::WorkingDir(path.into()));
        }
    }
}

/// The command that a script has `env` find: `#!/usr/bin/env python3`.
fn word_behind_env(script: &FoundFile) -> Option<String> {
    let interpreter = interpreter_of_script(&script.bytes)?;
    interpreter.file_name().filter(|name| *name == "env")?;
    let line = script.bytes.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).skip(1);
    let word = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'=') && !word.ends_with(b"/env"))?;
    String::from_utf8(word.to_vec()).ok()
}
