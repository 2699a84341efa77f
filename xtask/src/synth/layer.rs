//! The customisation layer of the synthetic store, as nixpkgs' streamLayeredImage makes it of
//! `contents = [ root-env ]` and a script that adds `etc/passwd` and a `tmp` for everybody.
//!
//! The tar is written here byte for byte as GNU tar 1.34 writes it under
//! `tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@315532800 --hard-dereference`.

use super::tree::{Tree, remove, write_file};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// nixpkgs' SOURCE_DATE_EPOCH: 1980-01-01 00:00:00 UTC.
const MTIME: u64 = 315_532_800;
/// Size of a tar block.
const BLOCK: usize = 512;
/// GNU tar pads an archive to records of 20 blocks.
const RECORD: usize = 20 * BLOCK;

/// Writes the directory with `layer.tar` and `checksum` in place of whatever has its name; `contents` is the root-env.
pub fn write(contents: &Tree, folder: &Path) -> Result<()> {
    let tar = archive(&merge(contents));
    let checksum: String = Sha256::digest(&tar).iter().map(|byte| format!("{byte:02x}")).collect();
    remove(folder)
        .and_then(|()| fs::create_dir(folder))
        .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o755)))
        .and_then(|()| write_file(&folder.join("layer.tar"), &tar, 0o644))
        .and_then(|()| write_file(&folder.join("checksum"), format!("{checksum}\n").as_bytes(), 0o644))
        .with_context(|| format!("cannot write: {}", folder.display()))
}

/// A file of the layer.
struct Entry<'a> {
    /// As tar has it: from `./`, a directory's with a slash at the end.
    name: Vec<u8>,
    mode: u32,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Dir,
    File(&'a [u8]),
    Link(&'a [u8]),
}

/// The links of the contents in new directories, and what the script adds, in the order of tar's `--sort=name`.
fn merge(contents: &Tree) -> Vec<Entry<'_>> {
    let mut entries = vec![
        Entry { name: b"./etc/".into(), mode: 0o755, kind: Kind::Dir },
        Entry { name: b"./etc/passwd".into(), mode: 0o644, kind: Kind::File(b"root:x:0:0:root:/root:/bin/bash\n") },
        Entry { name: b"./tmp/".into(), mode: 0o1777, kind: Kind::Dir },
    ];
    collect(contents, b".".into(), &mut entries);
    // The same order as directory by directory, because no name here holds a byte below `/`.
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

fn collect<'a>(tree: &'a Tree, mut name: Vec<u8>, entries: &mut Vec<Entry<'a>>) {
    match tree {
        Tree::Link(target) => entries.push(Entry { name, mode: 0o777, kind: Kind::Link(target) }),
        Tree::Dir(children) => {
            name.push(b'/');
            for (child, tree) in children {
                collect(tree, [name.as_slice(), child].concat(), entries);
            }
            entries.push(Entry { name, mode: 0o755, kind: Kind::Dir });
        }
        // A store path's file comes into the merged tree as a link to it.
        Tree::File(_) | Tree::Exec(_) | Tree::Hard(_) => {}
    }
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        tar.extend(header(entry));
        if let Kind::File(contents) = entry.kind {
            tar.extend(contents);
            tar.resize(tar.len().next_multiple_of(BLOCK), 0);
        }
    }
    // Two blocks of zeros end an archive.
    tar.resize((tar.len() + 2 * BLOCK).next_multiple_of(RECORD), 0);
    tar
}

/// A header of GNU's old dialect (GNU tar manual, "Basic Tar Format"): no owner names, no device numbers.
fn header(entry: &Entry) -> [u8; BLOCK] {
    let (kind, target, size) = match entry.kind {
        Kind::Dir => (b"5", b"".as_slice(), 0),
        Kind::File(contents) => (b"0", b"".as_slice(), contents.len()),
        Kind::Link(target) => (b"2", target, 0),
    };
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &entry.name);
    put(100, format!("{:07o}", entry.mode).as_bytes());
    put(108, b"0000000\x000000000");
    put(124, format!("{size:011o}\0{MTIME:011o}").as_bytes());
    put(148, b"        ");
    put(156, kind);
    put(157, target);
    put(257, b"ustar  ");
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_as_gnu_tar() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let folder = dir.path().join("layer");
        write(&super::super::root_env(), &folder)?;
        write(&super::super::root_env(), &folder)?;
        let checksum = "e34ab6e9173d012f870b896310d36c337c4a71cea86767759f65de72e9f76568\n";
        assert_eq!(fs::read_to_string(folder.join("checksum"))?, checksum);
        assert_eq!(fs::metadata(folder.join("layer.tar"))?.len(), RECORD as u64);
        Ok(())
    }
}
