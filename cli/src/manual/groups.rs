//! The list of commands in the program's help, in groups, and the flags that a short help leaves to the long one.

use crate::screen::fit::width;
use clap::{Arg, Command};

/// A group's heading and its commands.
const GROUPS: [(&str, &[&str]); 7] = [
    ("Make images", &["init", "build", "demo", "check"]),
    ("Look into them", &["inspect", "diff", "why", "explain", "report", "sbom"]),
    (
        "Move them",
        &["push", "pull", "copy", "index", "merge", "serve", "ls", "digest", "manifest", "blob", "delete", "prefetch"],
    ),
    ("What is attached to them", &["attach", "sign", "verify", "discover", "detach"]),
    (
        "Stages of a build",
        &["root", "closure", "rates", "layers", "layer", "nix-db", "image", "overlay", "helper", "merge-trees"],
    ),
    ("Build tools and this program", &["ninja", "make", "cache", "config", "schema", "script", "completions", "help"]),
    ("Nix", &["stream", "derivation", "tarsum"]),
];
/// What `build -h` shows; `--help` shows the rest, too.
const OF_BUILD: [&str; 16] = [
    "output",
    "name",
    "tag",
    "repo_tag",
    "contents",
    "copy",
    "base",
    "cmd",
    "env",
    "arch",
    "max_layers",
    "strategy",
    "extra_commands",
    "dry_run",
    "quiet",
    "help",
];
/// What `build -h` says in a line where `--help` says more, so that it is one screen of 80 columns.
const IN_A_LINE: [(&str, &str); 8] = [
    ("output", "FILE.tar, oci:DIR, registry:HOST/NAME:TAG, docker: …"),
    ("contents", "Store paths to merge into the root"),
    ("copy", "Files of this machine to copy"),
    ("base", "Image to build on"),
    ("max_layers", "How many layers at most"),
    ("strategy", "least-churn, popularity or size"),
    ("extra_commands", "Script to run in the contents"),
    ("dry_run", "Show the plan instead of building"),
];
/// Flags of every command that every short help shows.
const OF_ALL: [&str; 3] = ["quiet", "verbose", "help"];
/// What every short help says of them in a line.
const OF_ALL_IN_A_LINE: [(&str, &str); 2] = [
    ("quiet", "Print nothing but the digest of what was made"),
    ("verbose", "Tell what is done; -vv tells more of it"),
];
/// Columns of the commands' names.
const NAMES: usize = 15;

/// The program with its commands in groups.
pub fn grouped(command: Command) -> Command {
    let list = list(&command);
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}\nOptions:\n{{options}}{{after-help}}");
    let command = command.mut_args(|arg| {
        let is_shown = OF_ALL.contains(&arg.get_id().as_str());
        in_a_line(arg, &OF_ALL_IN_A_LINE).hide_short_help(!is_shown)
    });
    command.help_template(template).mut_subcommand("build", |build| {
        let about = "Further flags: `layerstone build --help`";
        let after = build.get_after_help().map(|text| format!("{text}\n\n{about}"));
        let long = build.get_after_help().cloned();
        let build = build.mut_args(|arg| {
            let is_shown = OF_BUILD.contains(&arg.get_id().as_str());
            in_a_line(arg, &IN_A_LINE).hide_short_help(!is_shown)
        });
        match (after, long) {
            (Some(after), Some(long)) => build.after_help(after).after_long_help(long),
            _ => build,
        }
    })
}

/// A flag whose short help is the line for it, if there is one; its long help stays what it is.
fn in_a_line(arg: Arg, lines: &[(&str, &'static str)]) -> Arg {
    let short = lines.iter().find(|(id, _)| arg.get_id() == id).map(|(_, text)| *text);
    let long = arg.get_long_help().or(arg.get_help()).cloned();
    match (short, long) {
        (Some(short), Some(long)) => arg.help(short).long_help(long),
        _ => arg,
    }
}

fn list(command: &Command) -> String {
    let columns = width().min(120);
    let mut text = "Commands:\n".to_owned();
    let mut left: Vec<&str> = command.get_subcommands().filter(|it| !it.is_hide_set()).map(Command::get_name).collect();
    for (heading, names) in GROUPS {
        text += &format!(" {heading}\n");
        for name in names {
            left.retain(|it| it != name);
            let about = command.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
            let about = about.unwrap_or_else(|| "Print the help of a command".to_owned());
            text += &entry(name, &about, columns);
        }
    }
    // One that no group names is shown all the same.
    for name in left {
        let about = command.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
        text += &entry(name, &about.unwrap_or_default(), columns);
    }
    text
}

/// A command's line, or lines.
fn entry(name: &str, about: &str, columns: usize) -> String {
    let mut text = format!("  {name:<0$}", NAMES - 2);
    let mut at = NAMES;
    for (number, word) in about.split(' ').enumerate() {
        if at + 1 + word.chars().count() > columns && number > 0 {
            text += &format!("\n{:NAMES$}", "");
            at = NAMES;
        } else if number > 0 {
            text.push(' ');
            at += 1;
        }
        text += word;
        at += word.chars().count();
    }
    text + "\n"
}
