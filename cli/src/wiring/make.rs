//! The graph as GNU make reads it (GNU make manual, "Writing Rules").
//!
//! make goes by times alone: a file that is older than what it is made of is made again, each time. So a stage whose
//! outputs may stay as they were has a stamp, which is new whenever the stage has run, and the outputs have rules that
//! run nothing. A stamp is made again too if one of its outputs is not there.

use super::word::{check, joined};
use super::{Edge, Graph, Wiring};
use anyhow::Result;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Characters that mean something to make in a name and cannot be escaped there, by the variables that stand for them: the
/// value of a variable is not looked into for these.
const NAMED: [(u8, &str); 4] = [(b'=', "EQUALS"), (b';', "SEMICOLON"), (b'|', "BAR"), (b'&', "AND")];

/// The text of an image.mk.
pub fn text(wiring: &Wiring<'_>, graph: &Graph) -> Result<Vec<u8>> {
    let mut text = b"# Written by layerstone, and written again when the spec or the plan changes.\n\
        .SUFFIXES:\nMAKEFLAGS += --no-builtin-rules\n"
        .to_vec();
    text.extend(b"LAYERSTONE ?= ");
    text.extend(escaped(&wiring.program));
    text.extend(b"\n# What names cannot say otherwise.\n");
    for (byte, name) in NAMED {
        text.extend(format!("LAYERSTONE_{name} := {}\n", byte as char).bytes());
    }
    text.extend(b"\n.PHONY: layerstone-image layerstone-missing\nlayerstone-image:");
    if let Some(image) = &graph.image {
        text.push(b' ');
        text.extend(name_text(image)?);
    }
    text.extend(b"\n.DEFAULT_GOAL := layerstone-image\n\n");
    text.extend(folders(wiring)?);
    for edge in &graph.edges {
        text.extend(edge_text(edge, wiring)?);
    }
    text.extend(again_text(&graph.again)?);
    Ok(text)
}

/// The folders that outputs are in.
fn folders(wiring: &Wiring<'_>) -> Result<Vec<u8>> {
    let layers = wiring.folder.join("layers");
    let mut text = name_text(&layers)?;
    text.extend(b":\n\t@mkdir -p ");
    text.extend(escaped(&joined([layers.as_os_str()])));
    text.extend(b"\n\n");
    Ok(text)
}

fn edge_text(edge: &Edge, wiring: &Wiring<'_>) -> Result<Vec<u8>> {
    let depfile = wiring.folder.join(format!("{}.d", edge.name));
    let target = if edge.is_steady { stamp(edge, wiring) } else { edge.outputs[0].clone() };
    let mut text = Vec::new();
    text.extend(name_text(&target)?);
    text.push(b':');
    append_names(&mut text, &edge.inputs)?;
    if edge.is_steady {
        text.extend(missing(&edge.outputs)?);
    }
    text.extend(b" |");
    append_names(&mut text, &[wiring.folder.join("layers")])?;
    append_names(&mut text, &edge.after)?;
    text.extend(b"\n\t");
    text.extend(command(edge, &target, &depfile)?);
    text.push(b'\n');
    if edge.is_steady {
        text.extend(b"\t@touch ");
        text.extend(escaped(&joined([target.as_os_str()])));
        text.push(b'\n');
        for output in &edge.outputs {
            text.extend(name_text(output)?);
            text.extend(b": ");
            text.extend(name_text(&target)?);
            text.extend(b"\n\t@:\n");
        }
    }
    if edge.program.is_none() {
        text.extend(b"-include ");
        text.extend(name_text(&depfile)?);
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
        text.extend(name_text(output)?);
        text.extend(b"),,layerstone-missing)");
    }
    Ok(text)
}

/// This file is newer than what it is made of whenever it was written, even if it says the same.
fn again_text(edge: &Edge) -> Result<Vec<u8>> {
    let mut text = name_text(&edge.outputs[0])?;
    text.push(b':');
    append_names(&mut text, &edge.inputs)?;
    text.extend(b"\n\t$(LAYERSTONE) ");
    text.extend(escaped(&joined(edge.words.iter().map(OsString::as_os_str))));
    text.push(b'\n');
    Ok(text)
}

fn command(edge: &Edge, target: &Path, depfile: &Path) -> Result<Vec<u8>> {
    edge.words.iter().try_for_each(|word| check(word, "make"))?;
    let words = edge.words.iter().map(OsString::as_os_str);
    Ok(match &edge.program {
        Some(program) => escaped(&[program.as_bytes(), b" ", &joined(words)].concat()),
        None => {
            let restat = edge.is_steady.then_some(OsStr::new("--restat"));
            let told = ["--depfile".as_ref(), depfile.as_os_str(), "--depfile-target".as_ref(), target.as_os_str()];
            let words = joined(words.chain(restat).chain(told));
            [format!("$(LAYERSTONE) {} ", edge.stage).as_bytes(), &escaped(&words)].concat()
        }
    })
}

fn stamp(edge: &Edge, wiring: &Wiring<'_>) -> PathBuf {
    wiring.folder.join(format!("{}.stamp", edge.name))
}

fn append_names(text: &mut Vec<u8>, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        text.push(b' ');
        text.extend(name_text(path)?);
    }
    Ok(())
}

/// A name in a rule ("Rule Syntax", "Wildcards").
fn name_text(path: &Path) -> Result<Vec<u8>> {
    check(path.as_os_str(), "make")?;
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        match (byte, NAMED.iter().find(|(named, _)| *named == byte)) {
            (_, Some((_, name))) => text.extend(format!("$(LAYERSTONE_{name})").bytes()),
            (b'$', _) => text.extend(b"$$"),
            (b' ' | b'\t' | b'#' | b':' | b'%' | b'*' | b'?' | b'[' | b'\\', _) => text.extend([b'\\', byte]),
            _ => text.push(byte),
        }
    }
    Ok(text)
}

/// A recipe: only `$` means something in it.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| if byte == b'$' { vec![b'$', b'$'] } else { vec![byte] }).collect()
}
