//! Makes a tree of files that bytes describe, and reads its NAR back by the grammar alone.

use super::{Folder, Input};
use crate::nar::hash_nar;
use crate::nar_size;
use layerstone_store::Digest;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Files at most.
const FILES: usize = 32;

/// A file, as far as a NAR has it.
#[derive(Debug, PartialEq, Eq)]
enum File {
    Regular { is_executable: bool, contents: Vec<u8> },
    Symlink(Vec<u8>),
    Directory(BTreeMap<Vec<u8>, File>),
}

impl File {
    fn files(&mut self) -> Option<&mut BTreeMap<Vec<u8>, File>> {
        if let File::Directory(files) = self { Some(files) } else { None }
    }
}

/// A tree of files in words: kind, directory, name, contents of each.
pub fn nar(bytes: &[u8]) {
    let tree = tree(bytes);
    let folder = Folder::new();
    let path = folder.path().join("x");
    make(&tree, &path);
    let mut nar = Vec::new();
    let (hash, size) = hash_nar(&path, |chunk| nar.extend_from_slice(chunk)).expect("its files are there");
    assert_eq!((size, nar_size(&path).expect("its files are there")), (nar.len() as u64, nar.len() as u64));
    assert_eq!(hash.digest(), Digest::of(&nar));
    let mut rest = Strings(&nar);
    assert_eq!(rest.next(), b"nix-archive-1");
    assert_eq!(rest.node(), tree);
    assert_eq!(rest.0, b"");
}

fn tree(bytes: &[u8]) -> File {
    let mut input = Input(bytes);
    let mut root = file(&mut input);
    if let File::Directory(files) = &mut root {
        for _ in 1..FILES {
            if input.0.is_empty() {
                break;
            }
            let depth = input.number(1) % 5;
            add(files, depth, &mut input);
        }
    }
    root
}

/// Adds a file to a directory, or to one so deep in it if there is one.
fn add(files: &mut BTreeMap<Vec<u8>, File>, depth: usize, input: &mut Input<'_>) {
    let count = files.values().filter(|file| matches!(file, File::Directory(_))).count();
    if depth > 0 && count > 0 {
        let chosen = input.number(1) % count;
        let inner = files.values_mut().filter_map(File::files).nth(chosen).expect("they were counted");
        return add(inner, depth - 1, input);
    }
    let length = input.number(1);
    let name: Vec<u8> =
        input.take(length).iter().map(|byte| if matches!(byte, 0 | b'/') { b'_' } else { *byte }).collect();
    let made = file(input);
    if !matches!(&*name, b"" | b"." | b"..") {
        files.entry(name).or_insert(made);
    }
}

fn file(input: &mut Input<'_>) -> File {
    match input.number(1) % 8 {
        kind @ 0..3 => {
            let size = input.number(1);
            File::Regular { is_executable: kind == 1, contents: input.take(size).to_vec() }
        }
        // More than one chunk of text, or of contents.
        3 => File::Regular { is_executable: false, contents: vec![b'x'; input.number(3) % (300 << 10)] },
        4 => {
            let size = 1 + input.number(1);
            let target: Vec<u8> = input.take(size).iter().copied().filter(|byte| *byte != 0).collect();
            File::Symlink(if target.is_empty() { b"/".to_vec() } else { target })
        }
        _ => File::Directory(BTreeMap::new()),
    }
}

fn make(file: &File, path: &Path) {
    let made = match file {
        File::Regular { is_executable, contents } => fs::write(path, contents).and_then(|()| {
            fs::set_permissions(path, Permissions::from_mode(if *is_executable { 0o755 } else { 0o644 }))
        }),
        File::Symlink(target) => symlink(OsStr::from_bytes(target), path),
        File::Directory(_) => fs::create_dir(path),
    };
    made.expect("memory takes it");
    if let File::Directory(files) = file {
        files.iter().for_each(|(name, file)| make(file, &path.join(OsStr::from_bytes(name))));
    }
}

/// The strings of a NAR.
struct Strings<'a>(&'a [u8]);

impl<'a> Strings<'a> {
    fn next(&mut self) -> &'a [u8] {
        let (length, rest) = self.0.split_first_chunk().expect("a length");
        let length = usize::try_from(u64::from_le_bytes(*length)).expect("it is in memory");
        let (string, rest) = rest.split_at(length);
        let (padding, rest) = rest.split_at(length.next_multiple_of(8) - length);
        assert!(padding.iter().all(|byte| *byte == 0));
        self.0 = rest;
        string
    }

    #[track_caller]
    fn expect(&mut self, expected: &[&[u8]]) {
        expected.iter().for_each(|expected| assert_eq!(self.next(), *expected));
    }

    fn node(&mut self) -> File {
        self.expect(&[b"(", b"type"]);
        match self.next() {
            b"regular" => {
                let is_executable = self.next() == b"executable";
                if is_executable {
                    self.expect(&[b"", b"contents"]);
                }
                let contents = self.next().to_vec();
                self.expect(&[b")"]);
                File::Regular { is_executable, contents }
            }
            b"symlink" => {
                self.expect(&[b"target"]);
                let target = self.next().to_vec();
                self.expect(&[b")"]);
                File::Symlink(target)
            }
            b"directory" => File::Directory(self.entries()),
            other => panic!("a file of type {}", other.escape_ascii()),
        }
    }

    fn entries(&mut self) -> BTreeMap<Vec<u8>, File> {
        let mut files = BTreeMap::new();
        loop {
            match self.next() {
                b")" => return files,
                b"entry" => {
                    self.expect(&[b"(", b"name"]);
                    let name = self.next().to_vec();
                    assert!(files.last_key_value().is_none_or(|(last, _)| *last < name), "in order");
                    self.expect(&[b"node"]);
                    files.insert(name, self.node());
                    self.expect(&[b")"]);
                }
                other => panic!("{} in a directory", other.escape_ascii()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("nar", super::nar);
    }

    /// Hashes are those of Nix, for all trees that were kept.
    #[test]
    fn nix_hashes_the_same() {
        let folder = Folder::new();
        let make = |(number, input): (usize, std::path::PathBuf)| {
            let path = folder.path().join(number.to_string());
            make(&tree(&fs::read(input).unwrap()), &path);
            path
        };
        let paths: Vec<_> = xtask::fuzz_inputs("nar").into_iter().enumerate().map(make).collect();
        let Ok(output) = Command::new("nix-hash").args(["--type", "sha256", "--base32"]).args(&paths).output() else {
            return println!("SKIP nix_hashes_the_same: found no nix-hash");
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs = String::from_utf8(output.stdout).unwrap();
        let ours = paths.iter().map(|path| crate::nar_hash(path).unwrap().0.to_string() + "\n");
        let ours: String = ours.map(|hash| hash.replace("sha256:", "")).collect();
        assert_eq!(ours, theirs);
    }
}
