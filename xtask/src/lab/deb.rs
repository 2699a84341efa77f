//! What a .deb says of itself and what is in it, as far as components depend on it.

use super::layout::canonical;
use crate::process;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

/// Facts about one package. Names are text here: of paths only those of programs are kept, to be compared.
#[derive(Default, Serialize, Deserialize)]
pub struct Facts {
    /// Depends and Pre-Depends: every clause with its alternatives.
    pub depends: Vec<Vec<String>>,
    /// Names that it stands for besides its own.
    pub provides: Vec<String>,
    /// sha256 of the .deb, hexadecimal.
    pub sha256: String,
    /// Interpreters of its scripts, as canonical paths.
    pub interpreters: BTreeSet<String>,
    /// Its files in bin and sbin, as canonical paths.
    pub programs: BTreeSet<String>,
}

/// The facts about a .deb, kept beside it in `FILE.facts.json` because unpacking a large closure takes a minute.
pub fn facts(deb: &Path) -> Result<Facts> {
    let mut kept = deb.as_os_str().to_owned();
    kept.push(".facts.json");
    if let Ok(text) = fs::read(&kept)
        && let Ok(facts) = serde_json::from_slice(&text)
    {
        return Ok(facts);
    }
    let facts = read(deb).with_context(|| format!("cannot read package: {}", deb.display()))?;
    fs::write(&kept, serde_json::to_vec(&facts)?).with_context(|| format!("cannot write: {}", kept.display()))?;
    Ok(facts)
}

fn read(deb: &Path) -> Result<Facts> {
    let fields = ["Package", "Depends", "Pre-Depends", "Provides"];
    let control = process::output(Command::new("dpkg-deb").arg("-f").arg(deb).args(fields))?;
    let mut facts = parse_control(&control);
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(deb)?, &mut HashWriter(&mut hasher))?;
    facts.sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut child = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped()).spawn()?;
    let scanned = scan(child.stdout.take().context("its output was asked for")?, &mut facts);
    ensure!(child.wait()?.success(), "dpkg-deb --fsys-tarfile failed");
    scanned?;
    Ok(facts)
}

/// The dependencies in the fields of a control file (Debian Policy, 5.1 and 7.1).
pub fn parse_control(text: &str) -> Facts {
    let mut facts = Facts::default();
    for (field, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        let clauses = value.split(',').map(|clause| clause.split('|').map(package_name).collect::<Vec<_>>());
        match field {
            "Depends" | "Pre-Depends" => facts.depends.extend(clauses),
            "Provides" => facts.provides.extend(clauses.flatten()),
            _ => {}
        }
    }
    facts
}

/// The name in `name:arch (>= version)`.
fn package_name(text: &str) -> String {
    text.split(['(', ':']).next().unwrap_or("").trim().to_owned()
}

fn scan(tar: ChildStdout, facts: &mut Facts) -> Result<()> {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = canonical(&entry.path()?);
        if path.starts_with("bin") || path.starts_with("sbin") {
            facts.programs.insert(path.to_string_lossy().into_owned());
        }
        if entry.header().entry_type().is_file() && entry.header().mode()? & 0o111 != 0 {
            let mut head = Vec::new();
            entry.by_ref().take(256).read_to_end(&mut head)?;
            facts.interpreters.extend(interpreter(&head));
        }
    }
    // What follows the end of the archive, so that dpkg-deb does not die of a closed pipe.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

/// The interpreter that a script's first line names, `env` looked through.
fn interpreter(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let program = match words.next() {
        Some(second) if first.ends_with("/env") => format!("/usr/bin/{second}"),
        _ => first.to_owned(),
    };
    Some(canonical(Path::new(&program)).to_string_lossy().into_owned())
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_fields() {
        let facts = parse_control(
            "Package: x\nPre-Depends: libc6 (>= 2.34)\nDepends: perl:any, awk | mawk (= 1)\nProvides: y (= 2), z\n",
        );
        assert_eq!(facts.depends, [vec!["libc6"], vec!["perl"], vec!["awk", "mawk"]]);
        assert_eq!(facts.provides, ["y", "z"]);
    }

    #[test]
    fn interpreters() {
        let cases = [
            ("#!/bin/sh -e\nx", Some("bin/sh")),
            ("#! /usr/bin/env perl\n", Some("bin/perl")),
            ("#!/usr/bin/env\n", Some("bin/env")),
            ("#!\n", None),
            ("\x7fELF", None),
        ];
        for (head, expected) in cases {
            assert_eq!(interpreter(head.as_bytes()).as_deref(), expected, "{head}");
        }
    }
}
