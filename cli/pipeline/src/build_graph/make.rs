//! The graph as GNU make reads it (GNU make manual, "Writing Rules").
//!
//! make goes by times alone: a file that is older than what it is made of is made again, each time. So a stage whose
//! outputs may stay as they were has a stamp, which is new whenever the stage has run, and the outputs have rules that
//! run nothing. A stamp is made again too if one of its outputs is missing. A stage that another program replaces has
//! one as well: what that leaves when it fails does not count as made.

use super::word::{check, escaped, joined, push_backslashes};
use super::{BuildGraph, GraphInput, Rule, foreign};
use crate::Result;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Characters that mean something to make in a name, by variables that stand for them: what is in a variable is not looked
/// into for these.
const NAMED: [(u8, &str, &str); 6] = [
    (b'=', "EQUALS", "="),
    (b';', "SEMICOLON", "\\;"),
    (b'&', "AND", "&"),
    (b'(', "OPEN", "("),
    (b')', "CLOSE", ")"),
    (b'\t', "TAB", "\\\t"),
];

/// Where in a rule a name stands: make reads each position differently.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Target,
    Prerequisite,
    /// Behind the bar of those that only must exist.
    OrderOnly,
    /// The argument of `$(wildcard …)`.
    Wildcard,
}

/// The text of an image.mk.
pub fn text(input: &GraphInput<'_>, graph: &BuildGraph) -> Result<Vec<u8>> {
    let mut text = b"# Written by layerstone, and written again when the spec or the plan changes.\n\
        .SUFFIXES:\nMAKEFLAGS += --no-builtin-rules\nLAYERSTONE ?= "
        .to_vec();
    text.extend(value(&input.program));
    text.extend(b"\n# What names cannot say otherwise.\n");
    text.extend(variables());
    text.extend(b"\n.PHONY: layerstone-image layerstone-missing\nlayerstone-image:");
    text.extend(names_text(&graph.image, At::Prerequisite)?);
    text.extend(b"\n.DEFAULT_GOAL := layerstone-image\n\n");
    let layers = input.directory.join("layers");
    let mkdir = escaped(&joined([&layers]));
    text.extend([&*name_text(&layers, At::Target)?, b":\n\t@mkdir -p ", &mkdir, b"\n\n"].concat());
    if let Some((file, command)) = input.note_of_links() {
        // Each time, and not more than that.
        let (file, layers) = (name_text(&file, At::Target)?, name_text(&layers, At::OrderOnly)?);
        text.extend([&*file, b": layerstone-missing | ", &layers, b"\n\t@", &escaped(&command), b"\n\n"].concat());
    }
    for rule in &graph.rules {
        text.extend(rule_text(rule, input, graph.has_plain_names())?);
    }
    text.extend(again_text(&graph.again)?);
    Ok(text)
}

/// What stands for characters in names.
pub(crate) fn variables() -> Vec<u8> {
    NAMED.iter().flat_map(|(_, name, value)| format!("LAYERSTONE_{name} := {value}\n").into_bytes()).collect()
}

/// The value of a variable: `#` begins a comment there, also in quotes.
fn value(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, &byte) in bytes.iter().enumerate() {
        if byte == b'#' {
            push_backslashes(&mut text, bytes, index);
        }
        text.push(byte);
    }
    escaped(&text)
}

fn rule_text(rule: &Rule, input: &GraphInput<'_>, with_depfile: bool) -> Result<Vec<u8>> {
    let file = |ending: &str| input.directory.join(format!("{}.{ending}", rule.name));
    let depfile = (with_depfile && rule.program.is_none()).then(|| file("d"));
    let is_stamped = rule.is_steady || rule.program.is_some();
    let target = if is_stamped { file("stamp") } else { rule.outputs[0].clone() };
    let missing = if is_stamped { missing(&rule.outputs)? } else { Vec::new() };
    let mut text = [
        &*name_text(&target, At::Target)?,
        b":",
        &names_text(&rule.inputs, At::Prerequisite)?,
        &missing,
        b" |",
        &names_text([&input.directory.join("layers")].into_iter().chain(&rule.after), At::OrderOnly)?,
        b"\n\t",
        &command(rule, input, &target, depfile.as_deref())?,
        b"\n",
    ]
    .concat();
    if is_stamped {
        text.extend([b"\t@touch ", &*escaped(&joined([&target])), b"\n"].concat());
        for output in &rule.outputs {
            let (output, stamp) = (name_text(output, At::Target)?, name_text(&target, At::Prerequisite)?);
            text.extend([&*output, b": ", &stamp, b"\n\t@:\n"].concat());
        }
    }
    if let Some(depfile) = &depfile {
        text.extend([b"-include ", &*name_text(depfile, At::Prerequisite)?, b"\n"].concat());
    }
    text.push(b'\n');
    Ok(text)
}

/// A prerequisite that never exists, if one of these files does not.
fn missing(outputs: &[PathBuf]) -> Result<Vec<u8>> {
    let missing = |output: &PathBuf| {
        Ok([b" $(if $(wildcard ", &*name_text(output, At::Wildcard)?, b"),,layerstone-missing)"].concat())
    };
    Ok(outputs.iter().map(missing).collect::<Result<Vec<_>>>()?.concat())
}

/// This file is newer than what it is made of whenever it was written, even if it says the same.
fn again_text(rule: &Rule) -> Result<Vec<u8>> {
    let (target, inputs) = (name_text(&rule.outputs[0], At::Target)?, names_text(&rule.inputs, At::Prerequisite)?);
    Ok([&*target, b":", &inputs, b"\n\t$(LAYERSTONE) ", &escaped(&joined(&rule.words)), b"\n"].concat())
}

fn command(rule: &Rule, input: &GraphInput<'_>, target: &Path, depfile: Option<&Path>) -> Result<Vec<u8>> {
    rule.words.iter().try_for_each(|word| check(word, "make"))?;
    if let Some(program) = &rule.program {
        return foreign::command(rule, program, "$(LAYERSTONE)", "make");
    }
    let mut words: Vec<&OsStr> = rule.words.iter().map(OsString::as_os_str).collect();
    words.extend(rule.is_steady.then_some(OsStr::new("--restat")));
    if let Some(file) = depfile {
        words.extend(["--depfile".as_ref(), file.as_os_str(), "--depfile-target".as_ref(), target.as_os_str()]);
    }
    let stage = format!("$(LAYERSTONE) {} ", rule.stage);
    Ok([stage.as_bytes(), &escaped(&joined(words)), &foreign::is_here(rule, input)].concat())
}

/// Names in a rule, a blank before each.
fn names_text<'a>(paths: impl IntoIterator<Item = &'a PathBuf>, at: At) -> Result<Vec<u8>> {
    let names = paths.into_iter().map(|path| Ok([b" ", &*name_text(path, at)?].concat()));
    Ok(names.collect::<Result<Vec<_>>>()?.concat())
}

/// A name in a rule ("Rule Syntax", "Wildcards"; what the manual does not say was found out with GNU make 4.3).
pub(crate) fn name_text(path: &Path, at: At) -> Result<Vec<u8>> {
    let bytes = path.as_os_str().as_bytes();
    check(path.as_os_str(), "make")?;
    if let Some(what) = refused(bytes) {
        bail!("cannot be written in a file of make: {}: found {what}", path.display());
    }
    let mut text = Vec::new();
    for (index, &byte) in bytes.iter().enumerate() {
        let is_escaped = match byte {
            b' ' | b'#' | b':' | b'*' | b'?' | b'[' => true,
            b'%' => at == At::Target,
            b'|' => at == At::Prerequisite,
            b'\\' => at == At::Wildcard,
            _ => false,
        };
        // A name in a wildcard is read twice, first as one of several, then as a pattern, in which each backslash is
        // escaped by itself.
        let before = bytes[..index].iter().rev().take_while(|byte| **byte == b'\\').count();
        let before = match at {
            At::Wildcard if matches!(byte, b' ' | b'\t') => 2 * before,
            At::Wildcard => 0,
            _ => before,
        };
        let backslashes = std::iter::repeat_n(b'\\', before);
        match NAMED.iter().find(|(named, ..)| *named == byte) {
            Some((_, name, value)) => {
                // Its value may begin with a backslash.
                if value.starts_with('\\') {
                    text.extend(backslashes);
                }
                text.extend(format!("$(LAYERSTONE_{name})").bytes());
            }
            None if byte == b'$' => text.extend(b"$$"),
            None => {
                if is_escaped {
                    text.extend(backslashes);
                    text.push(b'\\');
                }
                text.push(byte);
            }
        }
    }
    Ok(text)
}

/// What a name has that make reads otherwise, however it is written.
fn refused(name: &[u8]) -> Option<&'static str> {
    // It leaves out what stands for this directory before it looks for a home.
    let mut inner = name;
    while let Some(rest) = inner.strip_prefix(b"./") {
        inner = &rest[rest.iter().take_while(|byte| **byte == b'/').count()..];
    }
    let has = |bytes: &[u8]| name.iter().any(|byte| bytes.contains(byte));
    match (inner.first(), name.last()) {
        (_, Some(b')')) if has(b"(") => Some("a parenthesis at its end"),
        (_, Some(b'\\')) => Some("a backslash at its end"),
        (_, Some(b' ' | b'\t')) => Some("a blank at its end"),
        (Some(b'~'), _) => Some("a tilde in front"),
        (Some(b'\x0b' | b'\x0c'), _) | (_, Some(b'\x0b' | b'\x0c')) => Some("a form feed or a vertical tab at an end"),
        // Before a wildcard make looks for more backslashes, anywhere else for fewer.
        _ if has(b"\\") && has(b"*?[") => Some("a backslash and a wildcard"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Backslashes before a semicolon are halved by make, also where a variable has it.
    #[test]
    fn backslashes_before_a_semicolon() {
        let text = |name: &str, at| String::from_utf8(name_text(Path::new(name), at).unwrap()).unwrap();
        for (name, expected) in [
            ("a;b", "a$(LAYERSTONE_SEMICOLON)b"),
            (r"a\;b", r"a\\$(LAYERSTONE_SEMICOLON)b"),
            (r"a\=b", r"a\$(LAYERSTONE_EQUALS)b"),
        ] {
            assert_eq!([text(name, At::Target), text(name, At::Prerequisite)], [expected, expected], "{name}");
        }
        assert_eq!(text(r"a\;b", At::Wildcard), r"a\\$(LAYERSTONE_SEMICOLON)b");
    }
}
