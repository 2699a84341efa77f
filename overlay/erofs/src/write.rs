//! Writing the file system front to back.

use crate::directory::{self, Entry};
use crate::layout::Layout;
use crate::{BLOCK, Inode, Kind};
use std::io::{self, Write};

/// Where the superblock is in its block, in bytes (`EROFS_SUPER_OFFSET`).
const SUPER: usize = 1024;
/// `EROFS_SUPER_MAGIC_V1`.
const MAGIC: u32 = 0xE0F5_E1E2;
/// The exponent of a block's size.
const BLOCK_BITS: u8 = 12;

/// What gives the contents of files.
pub trait Contents {
    /// Writes the contents of the file of this key ([`Content::key`](crate::Content)), exactly as many bytes as were told.
    ///
    /// # Errors
    ///
    /// They cannot be read, or are not as many.
    fn copy(&mut self, key: usize, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes the file system of these files, of which the first is the root folder. The same files give the same bytes.
///
/// # Errors
///
/// Contents cannot be read; writing fails; `FileTooLarge`: there are more than 16 TiB.
pub fn write(inodes: &[Inode], contents: &mut dyn Contents, out: &mut dyn Write) -> io::Result<()> {
    let layout = Layout::new(inodes).ok_or(io::ErrorKind::FileTooLarge)?;
    let mut out = Counted { out, count: 0 };
    out.write_all(&superblock(&layout, inodes.len()))?;
    for (number, (inode, place)) in inodes.iter().zip(&layout.places).enumerate() {
        out.pad_to(place.record)?;
        out.write_all(&inode.record(number, place.size, place.block))?;
        out.write_all(&inode.xattr_bytes())?;
        if place.block.is_none() {
            write_contents(number, inodes, &layout, contents, &mut out)?;
        }
    }
    for (number, place) in layout.places.iter().enumerate() {
        if let (Some(block), 1..) = (place.block, place.size) {
            out.pad_to(u64::from(block) * BLOCK)?;
            write_contents(number, inodes, &layout, contents, &mut out)?;
        }
    }
    out.pad_to(layout.blocks * BLOCK)
}

fn write_contents(
    number: usize,
    inodes: &[Inode],
    layout: &Layout,
    contents: &mut dyn Contents,
    out: &mut Counted<'_>,
) -> io::Result<()> {
    let end = out.count + layout.places[number].size;
    match &inodes[number].kind {
        Kind::File(content) => contents.copy(content.key, out)?,
        Kind::Symlink(text) => out.write_all(text)?,
        Kind::Directory { parent, entries } => {
            let named = entries.iter().map(|(name, number)| (&**name, *number));
            let mut all: Vec<(&[u8], usize)> = named.chain([(&b"."[..], number), (b"..", *parent)]).collect();
            all.sort_unstable();
            let entry =
                |(name, number): &(_, usize)| (*name, layout.places[*number].nid(), inodes[*number].entry_type());
            let entries: Vec<Entry> = all.iter().map(entry).collect();
            out.write_all(&directory::bytes(&entries))?;
        }
        Kind::Fifo | Kind::CharDevice(..) | Kind::BlockDevice(..) => {}
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
    put(14, &(layout.places[0].nid() as u16).to_le_bytes());
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
