//! The graph as ninja reads it (ninja manual, "Ninja file reference").

use super::word::{check, escaped, joined};
use super::{BuildGraph, GraphInput, Rule, foreign};
use crate::Result;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The text of a build.ninja.
pub fn text(input: &GraphInput<'_>, graph: &BuildGraph) -> Result<Vec<u8>> {
    let mut text = b"# Written by layerstone, and written again when the spec or the plan changes.\n\
        ninja_required_version = 1.10\n\
        # What paths cannot say otherwise.\n\
        bar = |\n\n\
        pool heavy\n  depth = 1\n\n"
        .to_vec();
    text.extend(b"builddir = ");
    text.extend(path_text(input.folder)?);
    text.extend(b"\nlayerstone = ");
    text.extend(escaped(&input.program));
    text.extend(b"\n\n");
    if let Some((file, command)) = input.note_of_links() {
        // Each time, and not more than that.
        text.extend(b"build layerstone-always: phony\n\nrule links\n  command = ");
        text.extend(escaped(&command));
        text.extend(b"\n  description = links\n  restat = 1\nbuild ");
        text.extend(path_text(&file)?);
        text.extend(b": links | layerstone-always\n\n");
    }
    let with_depfiles = graph.has_plain_names();
    for edge in &graph.edges {
        text.extend(edge_text(edge, input, false, with_depfiles)?);
    }
    text.extend(edge_text(&graph.again, input, true, false)?);
    if let Some(image) = &graph.image {
        text.extend(b"default ");
        text.extend(path_text(image)?);
        text.push(b'\n');
    }
    Ok(text)
}

/// A rule of its own for each edge, as each has a command of its own.
fn edge_text(edge: &Rule, input: &GraphInput<'_>, is_generator: bool, with_depfile: bool) -> Result<Vec<u8>> {
    let mut text = format!("rule {}\n  command = ", edge.name).into_bytes();
    text.extend(command(edge, input, with_depfile)?);
    text.extend(format!("\n  description = {}\n", description(edge)).bytes());
    if edge.is_heavy {
        text.extend(b"  pool = heavy\n");
    }
    if is_generator {
        text.extend(b"  generator = 1\n  restat = 1\n");
    } else {
        text.extend(b"  restat = 1\n");
    }
    if with_depfile && edge.program.is_none() {
        text.extend(b"  deps = gcc\n  depfile = ");
        text.extend(path_text(&depfile(edge))?);
        text.push(b'\n');
    }
    text.extend(b"build");
    append_paths(&mut text, &edge.outputs)?;
    text.extend(format!(": {}", edge.name).bytes());
    append_paths(&mut text, &edge.inputs)?;
    if !edge.after.is_empty() {
        text.extend(b" ||");
        append_paths(&mut text, &edge.after)?;
    }
    text.extend(b"\n\n");
    Ok(text)
}

fn command(edge: &Rule, input: &GraphInput<'_>, with_depfile: bool) -> Result<Vec<u8>> {
    edge.words.iter().try_for_each(|word| check(word, "ninja"))?;
    let words = edge.words.iter().map(OsString::as_os_str);
    Ok(match &edge.program {
        // A command line of its own, as the user wrote it.
        Some(program) => foreign::command(edge, program, "$layerstone", "ninja")?,
        None if edge.stage == "again" => [b"$layerstone ", &*escaped(&joined(words))].concat(),
        None => {
            let depfile = depfile(edge);
            let told = ["--depfile".as_ref(), depfile.as_os_str()];
            let told = told.into_iter().filter(|_| with_depfile);
            let words = words.chain([OsStr::new("--restat")]).chain(told);
            let stage = format!("$layerstone {} ", edge.stage);
            [stage.as_bytes(), &escaped(&joined(words)), &foreign::is_here(edge, input)].concat()
        }
    })
}

fn description(edge: &Rule) -> String {
    if edge.stage == "again" { "layerstone ninja".to_owned() } else { format!("layerstone {}", edge.name) }
}

/// Where ninja finds what a command read, before it notes that and removes the file.
fn depfile(edge: &Rule) -> PathBuf {
    let mut name = edge.outputs[0].clone().into_os_string();
    name.push(".d");
    name.into()
}

fn append_paths(text: &mut Vec<u8>, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        text.push(b' ');
        text.extend(path_text(path)?);
    }
    Ok(())
}

/// A path in a build line ("Lexical syntax").
fn path_text(path: &Path) -> Result<Vec<u8>> {
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
