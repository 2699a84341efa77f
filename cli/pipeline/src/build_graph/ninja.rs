//! The graph as ninja reads it (ninja manual, "Ninja file reference").

use super::word::{check, escaped, joined};
use super::{BuildGraph, GraphInput, Rule, foreign};
use crate::Result;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The text of a build.ninja.
pub fn text(input: &GraphInput<'_>, graph: &BuildGraph) -> Result<Vec<u8>> {
    let mut text = [
        b"# Written by layerstone, and written again when the spec or the plan changes.\n\
          ninja_required_version = 1.10\n\
          # What paths cannot say otherwise.\n\
          bar = |\n\n\
          pool heavy\n  depth = 1\n\n\
          builddir = ",
        &*path_text(input.directory)?,
        b"\nlayerstone = ",
        &escaped(&input.program),
        b"\n\n",
    ]
    .concat();
    if let Some((file, command)) = input.note_of_links() {
        // Each time, and not more than that.
        text.extend(b"build layerstone-always: phony\n\nrule links\n  command = ");
        text.extend(escaped(&command));
        text.extend(b"\n  description = where links lead\n  restat = 1\nbuild ");
        text.extend(path_text(&file)?);
        text.extend(b": links | layerstone-always\n\n");
    }
    let with_depfiles = graph.has_plain_names();
    for rule in &graph.rules {
        text.extend(rule_text(rule, input, false, with_depfiles)?);
    }
    text.extend(rule_text(&graph.again, input, true, false)?);
    if let Some(image) = &graph.image {
        text.extend([b"default ", &*path_text(image)?, b"\n"].concat());
    }
    Ok(text)
}

/// A rule of ninja for each of ours, as each has a command of its own.
fn rule_text(rule: &Rule, input: &GraphInput<'_>, is_generator: bool, with_depfile: bool) -> Result<Vec<u8>> {
    let mut text = format!("rule {}\n  command = ", rule.name).into_bytes();
    text.extend(command(rule, input, with_depfile)?);
    text.extend([b"\n  description = ", &*escaped(rule.title.as_bytes()), b"\n"].concat());
    if rule.is_heavy {
        text.extend(b"  pool = heavy\n");
    }
    if is_generator {
        text.extend(b"  generator = 1\n");
    }
    text.extend(b"  restat = 1\n");
    if with_depfile && rule.program.is_none() {
        text.extend([b"  deps = gcc\n  depfile = ", &*path_text(&depfile(rule))?, b"\n"].concat());
    }
    if let Some(output) = rule.outputs.iter().find(|output| output.as_os_str().as_bytes().contains(&b'\t')) {
        // The log has tabs between its fields (build_log.cc): what has one in its name would be made again each time.
        let name = output.as_os_str().as_bytes().escape_ascii();
        bail!("cannot be noted in the log of ninja: {name}: found a tab, expected none");
    }
    let (outputs, inputs, after) = (paths_text(&rule.outputs)?, paths_text(&rule.inputs)?, paths_text(&rule.after)?);
    let bar: &[u8] = if after.is_empty() { b"" } else { b" ||" };
    text.extend([b"build", &*outputs, b": ", rule.name.as_bytes(), &inputs, bar, &after, b"\n\n"].concat());
    Ok(text)
}

fn command(rule: &Rule, input: &GraphInput<'_>, with_depfile: bool) -> Result<Vec<u8>> {
    rule.words.iter().try_for_each(|word| check(word, "ninja"))?;
    if let Some(program) = &rule.program {
        // A command line of its own, as the user wrote it.
        return foreign::command(rule, program, "$layerstone", "ninja");
    }
    if rule.stage == "again" {
        return Ok([b"$layerstone ", &*escaped(&joined(&rule.words))].concat());
    }
    let depfile = depfile(rule);
    let mut words: Vec<&OsStr> = rule.words.iter().map(OsString::as_os_str).collect();
    words.push("--restat".as_ref());
    if with_depfile {
        words.extend(["--depfile".as_ref(), depfile.as_os_str()]);
    }
    let stage = format!("$layerstone {} ", rule.stage);
    Ok([stage.as_bytes(), &escaped(&joined(words)), &foreign::is_here(rule, input)].concat())
}

/// Where ninja finds what a command read, before it notes that and removes the file.
fn depfile(rule: &Rule) -> PathBuf {
    let mut name = rule.outputs[0].clone().into_os_string();
    name.push(".d");
    name.into()
}

/// Paths in a build line, a blank before each.
fn paths_text(paths: &[PathBuf]) -> Result<Vec<u8>> {
    let paths = paths.iter().map(|path| Ok([b" ", &*path_text(path)?].concat()));
    Ok(paths.collect::<Result<Vec<_>>>()?.concat())
}

/// A path in a build line ("Lexical syntax").
pub(crate) fn path_text(path: &Path) -> Result<Vec<u8>> {
    check(path.as_os_str(), "ninja")?;
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'$' | b' ' | b':' => text.extend([b'$', byte]),
            // No escape is known for it, but a variable's value is not looked into.
            b'|' => text.extend(b"${bar}"),
            byte => text.push(byte),
        }
    }
    Ok(text)
}
