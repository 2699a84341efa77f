//! The graph as GNU make reads it (GNU make manual, "Writing Rules").
//!
//! make goes by times alone: a file that is older than what it is made of is made again, each time. So a stage whose
//! outputs may stay as they were has a stamp, which is new whenever the stage has run, and the outputs have rules that
//! run nothing. A stamp is made again too if one of its outputs is not there. A stage that another program takes the place
//! of has one as well: what that leaves when it fails does not count as made.

use super::word::{check, escaped, joined};
use super::{BuildGraph, GraphInput, Rule, foreign};
use crate::Result;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Characters that mean something to make in a name, by variables that stand for them: what is in a variable is not looked
/// into for these.
const NAMED: [(u8, &str, &str); 5] =
    [(b'=', "EQUALS", "="), (b';', "SEMICOLON", "\\;"), (b'&', "AND", "&"), (b'(', "OPEN", "("), (b')', "CLOSE", ")")];

/// Where in a rule a name stands: make reads each place in its own way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Target,
    Prerequisite,
    /// Behind the bar of those that only must be there.
    OrderOnly,
    /// The argument of `$(wildcard …)`.
    Wildcard,
}

/// The text of an image.mk.
pub fn text(input: &GraphInput<'_>, graph: &BuildGraph) -> Result<Vec<u8>> {
    let mut text = b"# Written by layerstone, and written again when the spec or the plan changes.\n\
        .SUFFIXES:\nMAKEFLAGS += --no-builtin-rules\n"
        .to_vec();
    text.extend(b"LAYERSTONE ?= ");
    text.extend(value(&input.program));
    text.extend(b"\n# What names cannot say otherwise.\n");
    for (_, name, value) in NAMED {
        text.extend(format!("LAYERSTONE_{name} := {value}\n").bytes());
    }
    text.extend(b"\n.PHONY: layerstone-image layerstone-missing\nlayerstone-image:");
    if let Some(image) = &graph.image {
        text.push(b' ');
        text.extend(name_text(image, At::Prerequisite)?);
    }
    text.extend(b"\n.DEFAULT_GOAL := layerstone-image\n\n");
    text.extend(folders(input)?);
    if let Some((file, command)) = input.note_of_links() {
        // Each time, and not more than that.
        text.extend(name_text(&file, At::Target)?);
        text.extend(b": layerstone-missing |");
        append_names(&mut text, &[input.folder.join("layers")], At::OrderOnly)?;
        text.extend(b"\n\t@");
        text.extend(escaped(&command));
        text.extend(b"\n\n");
    }
    for edge in &graph.edges {
        text.extend(edge_text(edge, input, graph.has_plain_names())?);
    }
    text.extend(again_text(&graph.again)?);
    Ok(text)
}

/// The value of a variable: `#` begins a comment there, also in quotes.
fn value(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, &byte) in bytes.iter().enumerate() {
        if byte == b'#' {
            let before = bytes[..index].iter().rev().take_while(|byte| **byte == b'\\').count();
            text.extend(std::iter::repeat_n(b'\\', before + 1));
        }
        text.push(byte);
    }
    escaped(&text)
}

/// The folders that outputs are in.
fn folders(input: &GraphInput<'_>) -> Result<Vec<u8>> {
    let layers = input.folder.join("layers");
    let mut text = name_text(&layers, At::Target)?;
    text.extend(b":\n\t@mkdir -p ");
    text.extend(escaped(&joined([layers.as_os_str()])));
    text.extend(b"\n\n");
    Ok(text)
}

fn edge_text(edge: &Rule, input: &GraphInput<'_>, with_depfile: bool) -> Result<Vec<u8>> {
    let with_depfile = with_depfile && edge.program.is_none();
    let depfile = input.folder.join(format!("{}.d", edge.name));
    let is_stamped = edge.is_steady || edge.program.is_some();
    let target = if is_stamped { stamp(edge, input) } else { edge.outputs[0].clone() };
    let mut text = Vec::new();
    text.extend(name_text(&target, At::Target)?);
    text.push(b':');
    append_names(&mut text, &edge.inputs, At::Prerequisite)?;
    if is_stamped {
        text.extend(missing(&edge.outputs)?);
    }
    text.extend(b" |");
    append_names(&mut text, &[input.folder.join("layers")], At::OrderOnly)?;
    append_names(&mut text, &edge.after, At::OrderOnly)?;
    text.extend(b"\n\t");
    text.extend(command(edge, input, &target, with_depfile.then_some(&*depfile))?);
    text.push(b'\n');
    if is_stamped {
        text.extend(b"\t@touch ");
        text.extend(escaped(&joined([target.as_os_str()])));
        text.push(b'\n');
        for output in &edge.outputs {
            text.extend(name_text(output, At::Target)?);
            text.extend(b": ");
            text.extend(name_text(&target, At::Prerequisite)?);
            text.extend(b"\n\t@:\n");
        }
    }
    if with_depfile {
        text.extend(b"-include ");
        text.extend(name_text(&depfile, At::Prerequisite)?);
        text.push(b'\n');
    }
    text.push(b'\n');
    Ok(text)
}

/// A prerequisite that is never there, if one of these files is not.
fn missing(outputs: &[PathBuf]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for output in outputs {
        text.extend(b" $(if $(wildcard ");
        text.extend(name_text(output, At::Wildcard)?);
        text.extend(b"),,layerstone-missing)");
    }
    Ok(text)
}

/// This file is newer than what it is made of whenever it was written, even if it says the same.
fn again_text(edge: &Rule) -> Result<Vec<u8>> {
    let mut text = name_text(&edge.outputs[0], At::Target)?;
    text.push(b':');
    append_names(&mut text, &edge.inputs, At::Prerequisite)?;
    text.extend(b"\n\t$(LAYERSTONE) ");
    text.extend(escaped(&joined(edge.words.iter().map(OsString::as_os_str))));
    text.push(b'\n');
    Ok(text)
}

fn command(edge: &Rule, input: &GraphInput<'_>, target: &Path, depfile: Option<&Path>) -> Result<Vec<u8>> {
    edge.words.iter().try_for_each(|word| check(word, "make"))?;
    let words = edge.words.iter().map(OsString::as_os_str);
    Ok(match &edge.program {
        Some(program) => foreign::command(edge, program, "$(LAYERSTONE)", "make")?,
        None => {
            let restat = edge.is_steady.then_some(OsStr::new("--restat"));
            let target = target.as_os_str();
            let told =
                depfile.map(|file| ["--depfile".as_ref(), file.as_os_str(), "--depfile-target".as_ref(), target]);
            let words = joined(words.chain(restat).chain(told.into_iter().flatten()));
            let stage = format!("$(LAYERSTONE) {} ", edge.stage);
            [stage.as_bytes(), &escaped(&words), &foreign::is_here(edge, input)].concat()
        }
    })
}

fn stamp(edge: &Rule, input: &GraphInput<'_>) -> PathBuf {
    input.folder.join(format!("{}.stamp", edge.name))
}

fn append_names(text: &mut Vec<u8>, paths: &[PathBuf], at: At) -> Result<()> {
    for path in paths {
        text.push(b' ');
        text.extend(name_text(path, at)?);
    }
    Ok(())
}

/// A name in a rule ("Rule Syntax", "Wildcards"; what is not there was found out with GNU make 4.3).
fn name_text(path: &Path, at: At) -> Result<Vec<u8>> {
    let bytes = path.as_os_str().as_bytes();
    check(path.as_os_str(), "make")?;
    if bytes.ends_with(b"\\") || (bytes.ends_with(b")") && bytes.contains(&b'(')) {
        let what = if bytes.ends_with(b")") { "parenthesis" } else { "backslash" };
        bail!("cannot be written in a file of make: {}: found a {what} at its end", path.display());
    }
    let mut text = Vec::new();
    for (index, &byte) in bytes.iter().enumerate() {
        let is_escaped = match byte {
            b' ' | b'\t' | b'#' | b':' | b'*' | b'?' | b'[' => true,
            b'%' => at == At::Target,
            b'|' => at == At::Prerequisite,
            b'\\' => at == At::Wildcard,
            _ => false,
        };
        match NAMED.iter().find(|(named, ..)| *named == byte) {
            Some((_, name, _)) => text.extend(format!("$(LAYERSTONE_{name})").bytes()),
            None if byte == b'$' => text.extend(b"$$"),
            None if is_escaped => {
                // Backslashes before what is escaped are doubled, where they are not each by themselves.
                let before = bytes[..index].iter().rev().take_while(|byte| **byte == b'\\').count();
                let before = if at == At::Wildcard { 0 } else { before };
                text.extend(std::iter::repeat_n(b'\\', before + 1));
                text.push(byte);
            }
            None => text.push(byte),
        }
    }
    Ok(text)
}
