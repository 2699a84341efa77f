//! `layerstone man`: man pages of all commands, for `cargo xtask man` and packagers.

use crate::manual::environment::{FILES, Row, STATUSES, VARIABLES};
use anyhow::{Context, Result};
use clap::builder::Resettable;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Write man pages
#[derive(Args)]
#[command(hide = true)]
pub struct Options {
    /// Directory to write them to
    #[arg(id = "folder", value_name = "FOLDER")]
    directory: PathBuf,
}

pub fn run(options: &Options, cli: Command) -> Result<()> {
    let context = || format!("cannot write man pages: {}", options.directory.display());
    let mut cli = cli.disable_help_subcommand(true);
    cli.build();
    write(&cli, true, &options.directory).with_context(context)
}

/// Writes the page of a command and those of its own commands; `is_top` for the page of the program.
fn write(command: &Command, is_top: bool, directory: &Path) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write(inner, false, directory)?;
    }
    let examples = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    // A page leaves out what the short help does, too, and says nothing of it.
    let whole = command.clone().mut_args(|arg| arg.hide_short_help(false));
    let man = Man::new(whole.after_help(Resettable::Reset).after_long_help(Resettable::Reset));
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut sections = Roff::default();
    if let Some(examples) = examples {
        verbatim(&mut sections, &examples);
    }
    section(&mut sections, "EXIT STATUS", &STATUSES);
    if is_top {
        section(&mut sections, "ENVIRONMENT", &VARIABLES);
        section(&mut sections, "FILES", &FILES);
    }
    sections.control("SH", ["SEE ALSO"]);
    if !is_top {
        sections.text([bold("layerstone"), roman("(1), for variables of the environment and files of settings,")]);
    }
    sections.text([bold("layerstone-image.json"), roman("(5), "), bold("layerstone-stages"), roman("(7)")]);
    sections.to_writer(&mut page)?;
    fs::write(directory.join(man.get_filename()), page)
}

/// The examples, line by line as the help has them.
fn verbatim(roff: &mut Roff, examples: &str) {
    roff.control("SH", ["EXAMPLES"]);
    roff.control("nf", []);
    for line in examples.lines().filter(|line| *line != "Examples:") {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

fn section(roff: &mut Roff, heading: &str, rows: &[Row]) {
    roff.control("SH", [heading]);
    for (name, about) in rows {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*about)]);
    }
}
