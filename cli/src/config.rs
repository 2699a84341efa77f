//! `layerstone.toml`: settings that decide no bytes of outputs, for all commands of a user or of a project.
//!
//! A setting becomes the default of the flag that it stands for, so that flags win, and no command knows of the file. A
//! variable of the environment that says the same wins over the file too.
//!
//! The file of a project comes with its sources, and whoever wrote those is not the user. It may set what changes how fast
//! and how talkative the program is, and nothing that decides whom it trusts, where it writes, or what it lets pass.

mod file;
mod find;
mod key;

pub use file::{Fault, Setting};
pub use key::{KEYS, Key, Kind};

use anyhow::Result;
use clap::Command;
use find::find;
use std::env::{args_os, var_os};
use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;

/// The variable that names the file to read instead of the others; empty for none.
pub const VARIABLE: &str = "LAYERSTONE_CONFIG";
/// The flag that reads no file.
const NO_CONFIG: &str = "--no-config";

/// A file of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose settings a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The user's, who may set all.
    User,
    /// A project's, which may come from anyone.
    Project,
}

impl Owner {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Owner::User => "user",
            Owner::Project => "project",
        }
    }
}

/// The settings of all files.
#[derive(Debug, Default)]
pub struct Config {
    /// The files that were read, what counts more first.
    pub sources: Vec<Source>,
    /// What they set; each key once, or each entry of a table of keys.
    pub settings: Vec<Setting>,
}

/// Files that cannot be used, with all that is wrong in them.
#[derive(Debug)]
pub struct Malformed(Vec<(PathBuf, Vec<Fault>)>);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, faults)) in self.0.iter().enumerate() {
            let joint = if index == 0 { "" } else { "\n" };
            write!(f, "{joint}malformed configuration: {}:", path.display())?;
            match &faults[..] {
                [fault] => write!(f, " {fault}")?,
                faults => {
                    write!(f, " {} faults:", faults.len())?;
                    faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for Malformed {}

impl Malformed {
    /// What to write in place of the first fault of each file.
    pub fn hint(&self) -> String {
        let first = self.0.iter().filter_map(|(path, faults)| Some((path, faults.first()?)));
        let line = |(path, fault): (&PathBuf, &Fault)| format!("{}:{}: {}", path.display(), fault.line, fault.hint);
        let lines: Vec<String> = first.map(line).collect();
        format!("{}; --no-config does without it", lines.join("; "))
    }
}

impl Config {
    /// Reads the files that hold here, unless the command line says that none does.
    pub fn load() -> Result<Config> {
        if args_os().take_while(|word| word != "--").any(|word| word == NO_CONFIG) {
            return Ok(Config::default());
        }
        let mut config = Config::default();
        let mut malformed = Vec::new();
        for source in find()? {
            match file::read(&source)? {
                Ok(settings) => {
                    // What was read before counts more.
                    let known = |setting: &Setting| config.settings.iter().any(|it| it.name == setting.name);
                    let new: Vec<Setting> = settings.into_iter().filter(|setting| !known(setting)).collect();
                    config.settings.extend(new);
                }
                Err(faults) => malformed.push((source.path.clone(), faults)),
            }
            config.sources.push(source);
        }
        if malformed.is_empty() { Ok(config) } else { Err(Malformed(malformed).into()) }
    }

    /// Makes the settings the defaults of the flags that they stand for, in all commands.
    pub fn apply(&self, command: Command) -> Command {
        let values = |id: &str| -> Vec<String> {
            let of_id = self.settings.iter().filter(|setting| setting.key.flag == id && !setting.key.is_overruled());
            of_id.flat_map(|setting| setting.values.clone()).collect()
        };
        set_defaults(command, &values)
    }
}

fn set_defaults(command: Command, values: &dyn Fn(&str) -> Vec<String>) -> Command {
    let command = command.mut_args(|arg| match values(arg.get_id().as_str()) {
        values if values.is_empty() => arg,
        values => arg.default_values(values),
    });
    command.mut_subcommands(|command| set_defaults(command, values))
}

impl Key {
    /// The variable of the environment that says the same here, if one does.
    pub fn variable(&self) -> Option<&'static str> {
        self.variables.iter().copied().find(|name| var_os(name).is_some_and(|value| self.takes_empty(&value)))
    }

    /// An empty variable counts where it says that there is none.
    fn takes_empty(&self, value: &OsStr) -> bool {
        self.flag == "cache" || !value.is_empty()
    }

    fn is_overruled(&self) -> bool {
        self.variable().is_some()
    }
}
