//! Lists what a stack of two layers shows, of which the upper one hides a file of the lower one.

use layerstone_tar::{Common, Dialect, Entry, LayerTree, Owner, Tree};
use std::io::Cursor;

fn layer(entries: &[Entry]) -> std::io::Result<LayerTree> {
    let common = Common { dialect: Dialect::Pax, mtime: 1, owner: Owner::root() };
    let mut tar = Vec::new();
    entries.iter().for_each(|entry| common.append_header(entry, &mut tar));
    LayerTree::read(Cursor::new(tar))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut tree = Tree::default();
    tree.put(layer(&[Entry::file(b"motd", 0o644, 0), Entry::symlink(b"bin", b"usr/bin")])?)?;
    tree.put(layer(&[Entry::file(b".wh.motd", 0o644, 0), Entry::directory(b"usr", 0o755)])?)?;
    for (name, node) in tree.root().children() {
        println!("{} {:o} {}", name.escape_ascii(), node.mode, node.kind.target().escape_ascii());
    }
    Ok(())
}
