//! `layerstone completions`: completions for a shell.

use crate::screen::out::print;
use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Args, Command};
use clap_complete::{Shell, generate};

/// Flags whose values are words of a list and more, such as a file behind the word, and these words.
const WORDS: [(&str, &[&str]); 5] = [
    ("strategy", &["least-churn", "popularity", "size", "pipeline"]),
    ("helper", &["fakeNss", "tmp", "shadowSetup", "usrBinEnv=", "binSh=", "caCertificates="]),
    (
        "platform",
        &["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64", "linux/ppc64le", "linux/s390x", "linux/386"],
    ),
    ("arch", &["amd64", "arm64", "arm", "riscv64", "ppc64le", "s390x", "386"]),
    ("stage", &["root=", "closure=", "layers=", "layer=", "nix-db=", "overlay run=", "image="]),
];

/// Print completions for a shell
#[derive(Args)]
pub struct Options {
    /// The shell
    shell: Shell,
}

pub fn run(options: &Options, cli: Command) -> Result<()> {
    let mut cli = with_words(cli);
    let mut text = Vec::new();
    generate(options.shell, &mut cli, "layerstone", &mut text);
    print(String::from_utf8(text)?)
}

/// The command with the words that complete a value; nobody reads a command line with it.
fn with_words(command: Command) -> Command {
    let command = command.mut_args(|arg| match WORDS.iter().find(|(flag, _)| arg.get_long() == Some(flag)) {
        Some((_, words)) => arg.value_parser(PossibleValuesParser::new(*words)),
        None => arg,
    });
    command.mut_subcommands(with_words)
}
