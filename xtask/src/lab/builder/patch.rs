//! Programs, libraries and scripts made to find their interpreters and libraries in the store.

use super::unpack::{File, Unpacked};
use super::{Prefixes, is_there, make_writable};
use crate::elf::{self, Dynamic};
use crate::lab::layout::{LINKER, TRIPLET, canonical, join};
use anyhow::{Context, Result};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Object files and the like have no search path.
const NOT_LINKED: [&str; 4] = ["o", "debug", "a", "ko"];
/// A kernel reads no more of a script's first line.
const HEAD: u64 = 256;

/// Patches what needs it and says how many files that were.
pub fn patch(unpacked: &Unpacked, prefixes: &Prefixes) -> Result<usize> {
    let libraries = Libraries::new(unpacked, prefixes);
    let mut seen = HashSet::new();
    let mut patched = 0;
    for file in &unpacked.files {
        let place = join(&prefixes.out, &file.path);
        let failed = || format!("cannot patch: {}", place.display());
        let meta = place.symlink_metadata().with_context(failed)?;
        // All names of a file are patched with the first one.
        if meta.nlink() > 1 && !seen.insert(meta.ino()) {
            continue;
        }
        let head = read_head(&place).with_context(failed)?;
        let done = if head.starts_with(b"\x7fELF") {
            patch_elf(file, &place, &libraries).with_context(failed)?
        } else if head.starts_with(b"#!") && meta.mode() & 0o111 != 0 {
            patch_script(&place, &head, prefixes).with_context(failed)?
        } else {
            false
        };
        patched += usize::from(done);
    }
    Ok(patched)
}

fn read_head(place: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    fs::File::open(place)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// Where libraries are.
struct Libraries<'a> {
    prefixes: &'a Prefixes,
    /// The dynamic linker.
    linker: Option<PathBuf>,
    /// Directories of the component's own libraries, wherever they are, by name.
    own: HashMap<&'a OsStr, &'a Path>,
}

impl<'a> Libraries<'a> {
    fn new(unpacked: &'a Unpacked, prefixes: &'a Prefixes) -> Libraries<'a> {
        let linker = prefixes.all().map(|prefix| prefix.join(LINKER)).find(|linker| linker.exists());
        let mut own = HashMap::new();
        let paths = unpacked.files.iter().map(|file| &file.path).chain(unpacked.links.iter().map(|link| &link.path));
        for path in paths {
            if let (Some(folder), Some(name)) = (path.parent(), path.file_name())
                && name.as_bytes().windows(3).any(|window| window == b".so")
            {
                own.entry(name).or_insert(folder);
            }
        }
        Libraries { prefixes, linker, own }
    }

    /// The directory with a library: one where linkers look, the needing file's own, or any of the component's.
    fn folder(&self, library: &OsStr, near: &Path) -> Option<PathBuf> {
        let usual = ["lib/", "lib", "lib64"].map(|folder| match folder {
            "lib/" => Path::new("lib").join(TRIPLET),
            folder => PathBuf::from(folder),
        });
        let places = self.prefixes.all().flat_map(|prefix| usual.iter().map(|folder| prefix.join(folder)));
        let out = &self.prefixes.out;
        places
            .chain([join(out, near)])
            .find(|folder| is_there(&folder.join(library)))
            .or_else(|| self.own.get(library).map(|folder| join(out, folder)))
    }

    /// Where a file's libraries are, and the search path that it had, as far as it exists in the store.
    fn search_path(&self, dynamic: &Dynamic, near: &Path) -> Vec<PathBuf> {
        let needed = dynamic.needed.iter().filter_map(|library| self.folder(library, near));
        let had = dynamic.search.iter().filter_map(|folder| {
            if !folder.is_absolute() {
                return Some(folder.clone()); // $ORIGIN
            }
            let folder = canonical(folder);
            self.prefixes.find(&folder).map(|prefix| join(prefix, &folder))
        });
        let mut path: Vec<PathBuf> = Vec::new();
        for folder in needed.chain(had) {
            if !path.contains(&folder) {
                path.push(folder);
            }
        }
        path
    }
}

/// Sets interpreter and search path. What patchelf cannot patch stays as it was: Debian has a few such files, none of
/// which a lab's programs need.
fn patch_elf(file: &File, place: &Path, libraries: &Libraries) -> Result<bool> {
    let in_libc = file.of_libc && !file.path.starts_with("bin") && !file.path.starts_with("sbin");
    let not_linked = file.path.extension().is_some_and(|extension| NOT_LINKED.iter().any(|e| extension == *e));
    if in_libc || not_linked {
        return Ok(false);
    }
    let Some(elf) = elf::read(place)? else { return Ok(false) };
    let Some(dynamic) = elf.dynamic else { return Ok(false) };
    let mut command = Command::new("patchelf");
    if let (Some(_), Some(linker)) = (&elf.interpreter, &libraries.linker) {
        command.arg("--set-interpreter").arg(linker);
    }
    let path = libraries.search_path(&dynamic, file.path.parent().unwrap_or(Path::new("")));
    if !path.is_empty() {
        command.arg("--set-rpath").arg(std::env::join_paths(path)?);
    }
    if command.get_args().len() == 0 {
        return Ok(false);
    }
    make_writable(place)?;
    let output = command.arg(place).output().context("cannot run: patchelf")?;
    if !output.status.success() {
        eprintln!("patchelf: {}: {}", place.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.status.success())
}

/// Puts the store's interpreter into a script's first line, if it is known.
fn patch_script(place: &Path, head: &[u8], prefixes: &Prefixes) -> Result<bool> {
    let Some(line) = head.split_inclusive(|byte| *byte == b'\n').next().and_then(|line| line.strip_suffix(b"\n"))
    else {
        return Ok(false);
    };
    let Some(new) = first_line(line, prefixes) else { return Ok(false) };
    let old = fs::read(place)?;
    make_writable(place)?;
    fs::write(place, [new.as_bytes(), &old[line.len()..]].concat())?;
    Ok(true)
}

fn first_line(line: &[u8], prefixes: &Prefixes) -> Option<OsString> {
    let line = std::str::from_utf8(line.strip_prefix(b"#!")?).ok()?;
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let mut program = PathBuf::from(words.first()?);
    if ["/usr/bin/env", "/bin/env"].contains(&words[0]) && words.get(1).is_some_and(|word| !word.starts_with('-')) {
        words.remove(0);
        program = Path::new("/usr/bin").join(words[0]);
    }
    let program = canonical(&program);
    let mut new = OsString::from("#!");
    new.push(join(prefixes.find(&program)?, &program));
    for word in &words[1..] {
        new.push(" ");
        new.push(word);
    }
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let out = dir.path().join("out");
        fs::create_dir_all(out.join("bin"))?;
        fs::write(out.join("bin/perl"), "")?;
        let prefixes = Prefixes::new(&out, &[], [].into())?;
        let perl = format!("#!{}/bin/perl", out.display());
        let cases = [
            ("#!/usr/bin/perl", Some(perl.clone())),
            ("#! /usr/bin/env perl  -w", Some(format!("{perl} -w"))),
            ("#!/usr/bin/env -S perl", None),
            ("#!/bin/sh", None),
            ("#!", None),
        ];
        for (line, expected) in cases {
            assert_eq!(first_line(line.as_bytes(), &prefixes), expected.map(OsString::from), "{line}");
        }
        Ok(())
    }
}
