//! The flags that several subcommands share.

use crate::progress::When;
use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use layerstone_oci::Time;
use layerstone_pipeline::Report;
use layerstone_spec::Spec;
use layerstone_store::Store;
use layerstone_tar::Owner;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Flags of every command, shown behind its own.
#[derive(Args, Clone)]
pub struct Common {
    /// Print nothing but errors
    #[arg(short, long, global = true, display_order = 900)]
    pub quiet: bool,
    /// When to show progress on stderr; auto: if it is a terminal
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false,
        display_order = 901
    )]
    pub progress: When,
    /// How to print errors and warnings on stderr: as text, or as one JSON object a line
    #[arg(long, global = true, value_name = "FORM", default_value = "text", display_order = 903)]
    pub errors: Form,
    /// When to sync outputs to the disk before they get their names; auto: on file systems that are not local
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false,
        display_order = 904
    )]
    pub sync: SyncWhen,
    /// Threads to use [default: one a core]
    #[arg(short, long, global = true, value_name = "N", display_order = 902)]
    pub jobs: Option<NonZeroUsize>,
}

/// How errors and warnings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Text,
    Json,
}

/// When outputs are synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SyncWhen {
    /// Where the file system may report only then that something could not be written.
    Auto,
    /// Always: outputs survive a power loss.
    Always,
    Never,
}

impl Common {
    /// Where a build reports to.
    pub fn report(&self) -> &dyn Report {
        self
    }

    /// Tells the user something that is no error.
    pub fn warn(&self, message: impl Display) {
        self.report().warn(message);
    }
}

/// A command line that clap takes and the command does not; exit status 2.
#[derive(Debug)]
pub struct UsageError {
    /// The subcommand; empty for none.
    pub command: String,
    pub kind: ErrorKind,
    pub message: String,
}

impl Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UsageError {}

/// The error for a command line that clap takes and the command does not.
pub fn usage_error(command: &str, kind: ErrorKind, message: impl Display) -> anyhow::Error {
    UsageError { command: command.to_owned(), kind, message: message.to_string() }.into()
}

/// Where the store is.
#[derive(Args, Clone)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// Folder below which the store is read; no output names it
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The store directory, as it is called in the image
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store: String,
}

impl StoreArgs {
    pub fn store(&self) -> Result<Store> {
        Ok(Store::new(&self.store, &self.root)?)
    }

    /// The flags again, where they say anything.
    pub fn words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        if self.root != Path::new("/") {
            words.push(joined("--root=", self.root.as_os_str()));
        }
        if self.store != "/nix/store" {
            words.push(joined("--store=", OsStr::new(&self.store)));
        }
        words
    }
}

/// A flag and its value in one word.
fn joined(flag: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(flag);
    word.push(value);
    word
}

/// Time and owner of a layer's entries.
#[derive(Args, Clone)]
#[command(next_help_heading = "Time and owner of the files")]
pub struct StampArgs {
    /// Image spec to take them from
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: Option<PathBuf>,
    /// Modification time: a date with a time and a zone or without, @SECONDS, or now [default: 1970-01-01T00:00:01Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    mtime: Option<Time>,
    #[command(flatten)]
    pub owner: OwnerArgs,
}

/// Owner of a store layer's entries.
#[derive(Args, Clone)]
pub struct OwnerArgs {
    /// User id [default: 0]
    #[arg(long, value_name = "N")]
    uid: Option<u32>,
    /// Group id [default: 0]
    #[arg(long, value_name = "N")]
    gid: Option<u32>,
    /// User name [default: root]
    #[arg(long, value_name = "NAME")]
    uname: Option<String>,
    /// Group name [default: root]
    #[arg(long, value_name = "NAME")]
    gname: Option<String>,
}

impl StampArgs {
    /// Modification time and owner: flags first, then the spec, then the defaults.
    pub fn resolve(&self, spec: Option<&Spec>) -> Result<(i64, Owner)> {
        let mtime = self.mtime.or(spec.map(|spec| spec.mtime)).unwrap_or(Time::one_second()).seconds()?;
        Ok((mtime, self.owner.over(spec.map_or_else(Owner::root, |spec| spec.owner.clone()))))
    }

    /// The spec's file.
    pub fn spec(&self) -> Option<&Path> {
        self.spec.as_deref()
    }

    /// The spec, if one is given.
    pub fn read_spec(&self) -> Result<Option<Spec>> {
        Ok(self.spec.as_deref().map(Spec::read).transpose()?)
    }
}

impl OwnerArgs {
    /// Whether a name is given, not a number alone.
    pub fn has_names(&self) -> bool {
        self.uname.is_some() || self.gname.is_some()
    }

    /// What the flags say, the rest from `default`.
    pub fn over(&self, default: Owner) -> Owner {
        Owner {
            uid: self.uid.unwrap_or(default.uid),
            gid: self.gid.unwrap_or(default.gid),
            uname: self.uname.clone().unwrap_or(default.uname),
            gname: self.gname.clone().unwrap_or(default.gname),
        }
    }
}

/// A time on the command line: what image.json takes, and plain seconds, where it is no date such as 20240501.
pub fn parse_time(text: &str) -> Result<Time, String> {
    let is_date = matches!(text.len(), 8 | 14) && text.bytes().all(|byte| byte.is_ascii_digit());
    let time = match text.parse::<i64>() {
        Ok(seconds) if !is_date => Time::from_seconds(seconds),
        _ => text.parse(),
    };
    time.map_err(|error| error.to_string())
}
