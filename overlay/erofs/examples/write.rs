//! Writes a file system with one file in its root directory, and prints its size.

use layerstone_erofs::{FileContents, Inode, InodeKind, SmallFiles, write};
use std::io::{self, Write};

struct Hello;

impl FileContents for Hello {
    fn copy(&mut self, _: usize, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"hello")
    }
}

fn main() -> io::Result<()> {
    let inode = |kind, mode| Inode { kind, mode, uid: 0, gid: 0, mtime: (0, 0), xattrs: Vec::new() };
    let root = InodeKind::Directory(vec![(b"greeting"[..].into(), 1)]);
    let file = InodeKind::File(5);
    let mut image = Vec::new();
    write(&[inode(root, 0o755), inode(file, 0o644)], SmallFiles::BehindInode, &mut Hello, &mut image)?;
    println!("{} bytes", image.len());
    Ok(())
}
