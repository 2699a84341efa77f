//! The flags of every command.

pub mod base;
pub mod below;
pub mod bill;
pub mod cache;
pub mod check;
pub mod companion;
pub mod compression;
pub mod erofs;
pub mod history;
pub mod key;
pub mod known;
pub mod layer_output;
pub mod legacy;
pub mod limit;
pub mod look;
pub mod path_word;
pub mod plan;
pub mod platform;
pub mod rates;
pub mod read;
pub mod registry;
pub mod result;
pub mod root;
pub mod sandbox;
pub mod script;
pub mod source;
pub mod stamp;
pub mod step;
pub mod store;
pub mod strategy;
pub mod time;
pub mod transfer;

use crate::screen::color::ColorWhen;
use crate::screen::progress::{Board, When};
use crate::screen::timings::Timings;
use clap::{ArgAction, Args, ValueEnum};
use layerstone_pipeline::Report;
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Flags of every command, shown behind its own.
#[derive(Args, Clone)]
pub struct Common {
    /// Print the digest of what was made and errors, and nothing else
    #[arg(short, long, global = true, display_order = 900)]
    pub quiet: bool,
    /// Log on stderr what is done, such as requests and cache misses; -vv logs more
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 905)]
    pub verbose: u8,
    /// Append the output of -vv and all messages to a file
    #[arg(long, global = true, value_name = "FILE", display_order = 906)]
    pub log: Option<PathBuf>,
    /// Print on stderr how long each stage took, and how many bytes it processed
    #[arg(long, global = true, display_order = 908)]
    pub timings: bool,
    /// The stages that have ended
    #[arg(skip)]
    pub taken: Timings,
    /// What runs
    #[arg(skip)]
    pub board: Board,
    /// Read no layerstone.toml
    #[arg(long, global = true, display_order = 907)]
    pub no_config: bool,
    /// How to show progress on stderr; auto: as a bar, if it is a terminal; plain: a line when a stage ends, and each ten
    /// seconds; always: as a bar or, elsewhere than on a terminal, plain
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false,
        display_order = 901
    )]
    pub progress: When,
    /// When to use colours; auto: on a terminal, and as NO_COLOR and CLICOLOR_FORCE say
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false,
        display_order = 901
    )]
    pub color: ColorWhen,
    /// How to print errors and warnings on stderr: as text, or as one JSON object a line
    #[arg(long, global = true, value_name = "FORM", default_value = "text", display_order = 903)]
    pub errors: Form,
    /// When to sync outputs to the disk; auto: before they get their names; always: their directories afterwards, too
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
    /// Before they get their names: outputs are whole after a power loss.
    Auto,
    /// Their directories afterwards, too: outputs survive a power loss.
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
