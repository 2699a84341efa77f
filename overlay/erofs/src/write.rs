//! Writes the file system front to back.

use crate::directory::{self, Entry};
use crate::layout::{Extent, Layout};
use crate::{BLOCK, Inode, InodeKind, SmallFiles};
use std::io::{self, Write};

/// Where the superblock is in its block, in bytes (`EROFS_SUPER_OFFSET`).
const SUPER: usize = 1024;
/// `EROFS_SUPER_MAGIC_V1`.
const MAGIC: u32 = 0xE0F5_E1E2;
/// Bytes of a name at most (`EROFS_NAME_LEN`).
const NAME: usize = 255;
/// The exponent of a block's size.
const BLOCK_BITS: u8 = 12;

/// What gives the contents of files.
pub trait FileContents {
    /// Writes the contents of the file of this number in the list of inodes, exactly as many bytes as it has.
    ///
    /// # Errors
    ///
    /// They cannot be read, or are not as many.
    fn copy(&mut self, number: usize, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes the file system of these files, of which the first is the root directory. The same files give the same bytes.
///
/// # Errors
///
/// Contents cannot be read; writing fails; `FileTooLarge`: there are more than 16 TiB; `InvalidFilename`: a name has more
/// than 255 bytes.
pub fn write(
    inodes: &[Inode],
    small_files: SmallFiles,
    contents: &mut dyn FileContents,
    out: &mut dyn Write,
) -> io::Result<()> {
    inodes.iter().try_for_each(check_names)?;
    let layout = Layout::new(inodes, small_files).ok_or(io::ErrorKind::FileTooLarge)?;
    let mut out = Counted { out, count: 0 };
    out.write_all(&superblock(&layout, inodes.len()))?;
    for (number, (inode, extent)) in inodes.iter().zip(&layout.extents).enumerate() {
        out.pad_to(extent.record)?;
        out.write_all(&inode.record(number, *extent))?;
        out.write_all(&inode.xattr_bytes())?;
        if extent.block.is_none() {
            write_contents(number, inodes, &layout, contents, &mut out)?;
        }
    }
    for (number, extent) in layout.extents.iter().enumerate() {
        if let (Some(block), 1..) = (extent.block, extent.size) {
            out.pad_to(u64::from(block) * BLOCK)?;
            write_contents(number, inodes, &layout, contents, &mut out)?;
        }
    }
    out.pad_to(layout.blocks * BLOCK)
}

/// Linux takes no directory with a longer name (fs/erofs/dir.c), and knows no such name anywhere.
fn check_names(inode: &Inode) -> io::Result<()> {
    let InodeKind::Directory(names) = &inode.kind else { return Ok(()) };
    let Some((name, _)) = names.iter().find(|(name, _)| name.len() > NAME) else { return Ok(()) };
    let cause = format!("found a name of {} bytes, expected at most {NAME}: {}", name.len(), name.escape_ascii());
    Err(io::Error::new(io::ErrorKind::InvalidFilename, cause))
}

fn write_contents(
    number: usize,
    inodes: &[Inode],
    layout: &Layout,
    contents: &mut dyn FileContents,
    out: &mut Counted<'_>,
) -> io::Result<()> {
    let Extent { size, parent, .. } = layout.extents[number];
    let end = out.count + size;
    match &inodes[number].kind {
        InodeKind::File(_) => contents.copy(number, out)?,
        InodeKind::Symlink(text) => out.write_all(text)?,
        InodeKind::Directory(entries) => {
            let named = entries.iter().map(|(name, number)| (&**name, *number));
            let mut all: Vec<(&[u8], usize)> = named.chain([(&b"."[..], number), (b"..", parent)]).collect();
            all.sort_unstable();
            let entry =
                |(name, number): &(_, usize)| (*name, layout.extents[*number].nid(), inodes[*number].entry_type());
            let entries: Vec<Entry> = all.iter().map(entry).collect();
            out.write_all(&directory::bytes(&entries))?;
        }
        InodeKind::Fifo | InodeKind::CharDevice(..) | InodeKind::BlockDevice(..) => {}
    }
    match out.count == end {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "contents are not of the size that was told")),
    }
}

/// The first block (`struct erofs_super_block`). Without a checksum, which is optional, times and names.
fn superblock(layout: &Layout, inodes: usize) -> Vec<u8> {
    let mut block = vec![0; BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| block[SUPER + at..][..bytes.len()].copy_from_slice(bytes);
    put(0, &MAGIC.to_le_bytes());
    put(12, &[BLOCK_BITS]);
    // The root's record is the first one.
    put(14, &(layout.extents[0].nid() as u16).to_le_bytes());
    put(16, &(inodes as u64).to_le_bytes());
    put(36, &(layout.blocks as u32).to_le_bytes());
    block
}

/// Counts what is written.
struct Counted<'a> {
    out: &'a mut dyn Write,
    count: u64,
}

impl Counted<'_> {
    fn pad_to(&mut self, position: u64) -> io::Result<()> {
        const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
        while self.count < position {
            let length = (position - self.count).min(BLOCK) as usize;
            self.write_all(&ZEROS[..length])?;
        }
        Ok(())
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Xattr;
    use crate::fuzz::Image;
    use std::collections::BTreeMap;

    /// Contents by number: as many bytes as asked for, all the number.
    struct Keys(Vec<u64>);

    impl FileContents for Keys {
        fn copy(&mut self, key: usize, out: &mut dyn Write) -> io::Result<()> {
            out.write_all(&vec![key as u8; self.0[key] as usize])
        }
    }

    fn inode(kind: InodeKind, mode: u32) -> Inode {
        Inode { kind, mode, uid: 70_000, gid: 5, mtime: (-3, 7), xattrs: Vec::new() }
    }

    #[test]
    fn what_is_written_is_read() {
        let sizes: Vec<u64> = vec![0, 0, 1, 2048, 2049, 4095, 4096, 4097, 70_000, 0, 1900, 1900, 1900];
        let mut inodes = vec![inode(InodeKind::Fifo, 0)];
        let mut names: Vec<(Box<[u8]>, usize)> = Vec::new();
        for (key, size) in sizes.iter().enumerate().skip(1) {
            names.push((format!("file-{key}").into_bytes().into(), inodes.len()));
            let xattrs = vec![(b"user.x"[..].into(), vec![1; key * 30].into()), (b"odd.y"[..].into(), b""[..].into())];
            inodes.push(Inode { xattrs, ..inode(InodeKind::File(*size), 0o4755) });
        }
        for (name, kind) in [
            (&b"-link"[..], InodeKind::Symlink(b"a/b"[..].into())),
            (b"!long", InodeKind::Symlink(vec![b'x'; 4095].into())),
            (b"pipe", InodeKind::Fifo),
            (b"char", InodeKind::CharDevice(259, 1_048_575)),
            (b"block", InodeKind::BlockDevice(8, 1)),
        ] {
            names.push((name.into(), inodes.len()));
            inodes.push(inode(kind, 0o777));
        }
        // A second name, and a directory of several blocks.
        names.push((b"same".to_vec().into(), 1));
        let directory = inodes.len();
        let many = (0..1000).map(|n| (format!("{n:0>200}").into_bytes().into(), 2)).collect();
        inodes.push(inode(InodeKind::Directory(many), 0o1777));
        names.push((b"many".to_vec().into(), directory));
        inodes[0] = inode(InodeKind::Directory(names.clone()), 0o755);

        let mut bytes = Vec::new();
        write(&inodes, SmallFiles::BehindInode, &mut Keys(sizes.clone()), &mut bytes).unwrap();
        let image = Image(bytes);
        assert_eq!((image.0.len() % 4096, image.number(1024, 4)), (0, u64::from(MAGIC)));
        assert_eq!(image.number(1024 + 36, 4) * 4096, image.0.len() as u64);
        let root = image.number(1024 + 14, 2);
        let entries: BTreeMap<Vec<u8>, u64> = image.entries(root).into_iter().collect();
        assert_eq!((entries[&b"."[..]], entries[&b".."[..]], entries.len()), (root, root, names.len() + 2));
        for (key, size) in sizes.iter().enumerate().skip(1) {
            let found = image.contents(entries[format!("file-{key}").as_bytes()]);
            assert_eq!(found, (0o104_755, *size, vec![key as u8; *size as usize]), "{key}");
        }
        assert_eq!(image.contents(entries[&b"-link"[..]]), (0o120_777, 3, b"a/b".to_vec()));
        assert_eq!(image.contents(entries[&b"!long"[..]]).1, 4095);
        assert_eq!(image.contents(entries[&b"char"[..]]).1, 0xff | 259 << 8 | 0xf_ff00 << 12 & 0xffff_ffff);
        assert_eq!(image.contents(entries[&b"block"[..]]), (0o060_777, 8 << 8 | 1, Vec::new()));
        assert_eq!(entries[&b"same"[..]], entries[&b"file-1"[..]]);
        let many = image.entries(entries[&b"many"[..]]);
        assert_eq!((many.len(), many.iter().filter(|entry| entry.1 == entries[&b"file-2"[..]]).count()), (1002, 1000));
        // Record: owner, time, links; then the attribute whose prefix has a number, alone.
        let at = entries[&b"file-3"[..]] as usize * 32;
        assert_eq!((image.number(at + 24, 4), image.number(at + 28, 4), image.number(at + 44, 4)), (70_000, 5, 1));
        assert_eq!((image.number(at + 32, 8) as i64, image.number(at + 40, 4)), (-3, 7));
        assert_eq!(image.0[at + 76..][..5], [1, 1, 90, 0, b'x']);
    }

    /// A record counts the words of all attributes in two bytes: more would be taken for contents.
    #[test]
    fn attributes_beyond_256_kib_are_left_out() {
        let xattr = |n: u8, size: usize| -> Xattr { ([&b"user.x"[..], &[n]].concat().into(), vec![n; size].into()) };
        let xattrs = vec![
            xattr(1, 65_000),
            xattr(2, 65_536),
            xattr(3, 65_000),
            xattr(4, 65_000),
            xattr(5, 65_000),
            xattr(6, 65_000),
            xattr(7, 9),
        ];
        let root = Inode { xattrs, ..inode(InodeKind::Directory(vec![(b"x"[..].into(), 1)]), 0o755) };
        let mut bytes = Vec::new();
        write(&[root, inode(InodeKind::File(3), 0o644)], SmallFiles::BehindInode, &mut Keys(vec![0, 3]), &mut bytes)
            .unwrap();
        let image = Image(bytes);
        let root = image.number(1024 + 14, 2);
        let found: Vec<u8> = image.xattrs(root).iter().map(|(name, _)| *name.last().unwrap()).collect();
        assert_eq!(found, [1, 3, 4, 5, 7]);
        assert_eq!(image.contents(image.entries(root)[2].1), (0o100_644, 3, vec![1; 3]));
    }

    /// What fits behind an inode goes there, or into a block of its own; links and directories always go there.
    #[test]
    fn small_files_in_blocks() {
        let names = vec![(b"file"[..].into(), 1), (b"link"[..].into(), 2), (b"empty"[..].into(), 3)];
        let inodes = [
            inode(InodeKind::Directory(names), 0o755),
            inode(InodeKind::File(5), 0o644),
            inode(InodeKind::Symlink(b"file"[..].into()), 0o777),
            inode(InodeKind::File(0), 0o644),
        ];
        for (small_files, blocks, format) in [(SmallFiles::BehindInode, 2, 5), (SmallFiles::InBlocks, 3, 1)] {
            let mut bytes = Vec::new();
            write(&inodes, small_files, &mut Keys(vec![0, 5, 0, 0]), &mut bytes).unwrap();
            let image = Image(bytes);
            let entries: BTreeMap<Vec<u8>, u64> = image.entries(image.number(1024 + 14, 2)).into_iter().collect();
            let format_of = |name: &[u8]| image.number(entries[name] as usize * 32, 2);
            assert_eq!((image.0.len(), format_of(b"file"), format_of(b"link")), (blocks * 4096, format, 5));
            assert_eq!(image.contents(entries[&b"file"[..]]), (0o100_644, 5, vec![1; 5]));
            assert_eq!(image.contents(entries[&b"empty"[..]]), (0o100_644, 0, vec![]));
        }
    }

    #[test]
    fn contents_of_another_size_are_an_error() {
        let root = inode(InodeKind::Directory(vec![(b"x"[..].into(), 1)]), 0o755);
        let file = inode(InodeKind::File(3), 0o644);
        let error = write(&[root, file], SmallFiles::InBlocks, &mut Keys(vec![0, 4]), &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
