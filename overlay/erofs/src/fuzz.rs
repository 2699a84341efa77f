//! What a fuzzer drives of this crate, and what must hold whatever it finds: a file system that is written is read as it was
//! described, by a reader that goes where the kernel does.

use crate::{FileContents, Inode, InodeKind, SmallFiles, Xattr, write};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Bytes of a block.
const BLOCK: usize = 4096;
/// Files at most.
const FILES: usize = 64;

/// A tree of files in words: kind, directory, name, mode, owner, time, attributes, size of each.
pub fn erofs(bytes: &[u8]) {
    let inodes = inodes(&mut Input(bytes));
    let mut image = Vec::new();
    let written = write(&inodes, small_files(bytes), &mut Filled(&inodes), &mut image);
    assert_eq!(written.is_ok(), !has_long_name(&inodes), "{written:?}");
    if written.is_err() {
        return;
    }
    let image = Image(image);
    assert_eq!((image.0.len() % BLOCK, image.number(1024, 4)), (0, 0xE0F5_E1E2));
    assert_eq!(image.number(1024 + 36, 4) as usize * BLOCK, image.0.len());
    let root = image.number(1024 + 14, 2);
    let mut left = vec![(root, root, 0)];
    while let Some((nid, parent, number)) = left.pop() {
        check(&image, nid, &inodes[number], number);
        let InodeKind::Directory(names) = &inodes[number].kind else { continue };
        let mut found = image.entries(nid);
        found.retain(|(name, to)| match &name[..] {
            b"." => *to != nid,
            b".." => *to != parent,
            _ => true,
        });
        let mut expected: Vec<&(Box<[u8]>, usize)> = names.iter().collect();
        expected.sort();
        assert_eq!(found.len(), expected.len());
        for ((name, to), (expected, child)) in found.into_iter().zip(expected) {
            assert_eq!(*name, **expected);
            left.push((to, nid, *child));
        }
    }
}

/// Where small files of this input go.
fn small_files(bytes: &[u8]) -> SmallFiles {
    if bytes.len().is_multiple_of(2) { SmallFiles::BehindInode } else { SmallFiles::InBlocks }
}

/// Whether there is a name that Linux does not take.
fn has_long_name(inodes: &[Inode]) -> bool {
    let names = |inode: &Inode| matches!(&inode.kind, InodeKind::Directory(names) if names.iter().any(|(name, _)| name.len() > 255));
    inodes.iter().any(names)
}

/// Compares a file with what it should be.
fn check(image: &Image, nid: u64, inode: &Inode, number: usize) {
    let at = nid as usize * 32;
    let (mode, size, contents) = image.contents(nid);
    assert_eq!(u32::from(mode) & 0o7777, inode.mode);
    assert_eq!([24, 28, 40].map(|field| image.number(at + field, 4) as u32), [inode.uid, inode.gid, inode.mtime.1]);
    assert_eq!(image.number(at + 32, 8) as i64, inode.mtime.0);
    let expected: BTreeSet<&Xattr> = inode.xattrs.iter().filter(|(_, value)| value.len() < 1 << 16).collect();
    let total: usize = expected.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
    let found = image.xattrs(nid);
    let found: BTreeSet<&Xattr> = found.iter().collect();
    // What goes beyond is left out.
    assert!(found == expected || total > 256 << 10 && found.is_subset(&expected));
    match &inode.kind {
        InodeKind::File(expected) => {
            assert_eq!(size, *expected);
            assert!(contents.iter().all(|byte| *byte == number as u8));
        }
        InodeKind::Symlink(text) => assert_eq!(contents, **text),
        InodeKind::CharDevice(major, minor) | InodeKind::BlockDevice(major, minor) => {
            let (device, high) = (size as u32, size as u32 >> 8 & 0xfff);
            assert_eq!((high, device & 0xff | device >> 12 & 0xf_ff00), (*major, *minor));
        }
        InodeKind::Directory(_) | InodeKind::Fifo => {}
    }
}

/// The files that bytes describe, the root directory first.
fn inodes(input: &mut Input<'_>) -> Vec<Inode> {
    let mut inodes = vec![inode(input, InodeKind::Directory(Vec::new()))];
    while !input.0.is_empty() && inodes.len() < FILES {
        let (parent, count) = (input.number(2) % inodes.len(), input.number(1));
        let length = 1 + input.number(1);
        let name: Box<[u8]> = match count {
            // Several blocks of names.
            255 => format!("{:0>200}", inodes.len()).into_bytes().into(),
            _ => input.take(length).iter().map(|byte| if matches!(byte, 0 | b'/') { b'_' } else { *byte }).collect(),
        };
        let kind = match count % 7 {
            0 | 1 => InodeKind::Directory(Vec::new()),
            2 | 3 => InodeKind::File(input.number(2) as u64),
            4 => InodeKind::Symlink(vec![b'x'; 1 + input.number(2) % 4095].into()),
            5 => InodeKind::CharDevice(input.number(2) as u32 & 0xfff, input.number(3) as u32 & 0xf_ffff),
            _ => InodeKind::Fifo,
        };
        let (number, made) = (inodes.len(), inode(input, kind));
        let InodeKind::Directory(names) = &mut inodes[parent].kind else { continue };
        if !matches!(&*name, b"" | b"." | b"..") && names.iter().all(|(other, _)| *other != name) {
            names.push((name, number));
            inodes.push(made);
        }
    }
    inodes
}

fn inode(input: &mut Input<'_>, kind: InodeKind) -> Inode {
    let (mode, uid, gid) = (input.number(2) as u32 & 0o7777, input.number(4) as u32, input.number(4) as u32);
    let mtime = (input.number(8) as i64, input.number(4) as u32);
    let mut xattrs: Vec<Xattr> = Vec::new();
    for _ in 0..input.number(1) % 8 {
        let prefix = [&b"user."[..], b"trusted.", b"security."][input.number(1) % 3];
        let (length, size) = (1 + input.number(1) % 32, input.number(2) + input.number(1) % 2);
        let name: Box<[u8]> = [prefix, input.take(length)].concat().into();
        if xattrs.iter().all(|(other, _)| *other != name) {
            xattrs.push((name, vec![b'v'; size].into()));
        }
    }
    Inode { kind, mode, uid, gid, mtime, xattrs }
}

/// Bytes that decide what is made.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> usize {
        self.take(bytes).iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    }
}

/// Files that are full of their number.
struct Filled<'a>(&'a [Inode]);

impl FileContents for Filled<'_> {
    fn copy(&mut self, number: usize, out: &mut dyn Write) -> io::Result<()> {
        let InodeKind::File(size) = self.0[number].kind else { return Ok(()) };
        out.write_all(&vec![number as u8; size as usize])
    }
}

/// A file as it is read back: type and permission bits, device or size, contents.
pub(crate) type Read = (u16, u64, Vec<u8>);

/// Reads an image as the kernel does (fs/erofs/inode.c, dir.c, data.c, xattr.c).
pub(crate) struct Image(pub Vec<u8>);

impl Image {
    pub fn number(&self, at: usize, length: usize) -> u64 {
        self.0[at..at + length].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// Bytes of the attributes behind a record.
    fn xattr_size(&self, nid: u64) -> usize {
        let count = self.number(nid as usize * 32 + 2, 2) as usize;
        if count > 0 { 12 + 4 * (count - 1) } else { 0 }
    }

    pub fn contents(&self, nid: u64) -> Read {
        let at = nid as usize * 32;
        let format = self.number(at, 2);
        let (mode, size, union) = (self.number(at + 4, 2) as u16, self.number(at + 8, 8), self.number(at + 16, 4));
        let behind = at + 64 + self.xattr_size(nid);
        let start = if format == 1 { union as usize * BLOCK } else { behind };
        if format != 1 {
            assert_eq!((format, start / BLOCK), (5, (start + size as usize - 1) / BLOCK), "in one block");
        }
        assert_eq!(at / BLOCK, (at + 63) / BLOCK, "a record is in one block");
        match mode & 0o170_000 {
            0o020_000 | 0o060_000 => (mode, union, Vec::new()),
            _ if size == 0 => (mode, size, Vec::new()),
            _ => (mode, size, self.0[start..start + size as usize].to_vec()),
        }
    }

    pub fn xattrs(&self, nid: u64) -> Vec<Xattr> {
        let begin = nid as usize * 32 + 64;
        let (mut at, end) = (begin + 12, begin + self.xattr_size(nid));
        let mut found = Vec::new();
        while at < end {
            let (length, size) = (self.number(at, 1) as usize, self.number(at + 2, 2) as usize);
            let prefix: &[u8] = match self.number(at + 1, 1) {
                1 => b"user.",
                4 => b"trusted.",
                6 => b"security.",
                other => panic!("an attribute of prefix {other}"),
            };
            let name = [prefix, &self.0[at + 4..at + 4 + length]].concat();
            found.push((name.into(), self.0[at + 4 + length..at + 4 + length + size].into()));
            at = (at + 4 + length + size).next_multiple_of(4);
        }
        found
    }

    pub fn entries(&self, nid: u64) -> Vec<(Vec<u8>, u64)> {
        let (_, _, bytes) = self.contents(nid);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        let mut found = Vec::new();
        for block in bytes.chunks(BLOCK) {
            let field = |index: usize| number(&block[index * 12 + 8..][..2]) as usize;
            let count = field(0) / 12;
            for index in 0..count {
                let end = if index + 1 < count { field(index + 1) } else { block.len() };
                let name = block[field(index)..end].split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
                found.push((name, number(&block[index * 12..][..8])));
            }
        }
        assert!(found.is_sorted(), "the kernel looks for names by halves");
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("erofs", super::erofs);
    }

    /// fsck.erofs finds nothing wrong with what is written for the inputs that were kept, and reads all of it.
    #[test]
    fn fsck_takes_what_is_written() {
        let path = std::env::temp_dir().join(format!("layerstone-erofs-{}", std::process::id()));
        for input in xtask::fuzz_inputs("erofs") {
            let bytes = std::fs::read(&input).unwrap();
            let inodes = inodes(&mut Input(&bytes));
            if has_long_name(&inodes) {
                continue;
            }
            let mut image = std::fs::File::create(&path).unwrap();
            write(&inodes, small_files(&bytes), &mut Filled(&inodes), &mut image).unwrap();
            let Ok(output) = Command::new("fsck.erofs").args(["--extract", "-d3"]).arg(&path).output() else {
                std::fs::remove_file(&path).unwrap();
                return println!("SKIP fsck_takes_what_is_written: found no fsck.erofs");
            };
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.success() && said.contains("No errors found"), "{}: {said}", input.display());
        }
        std::fs::remove_file(path).unwrap();
    }
}
