//! Finds the store paths that the members of a layer refer to.

use crate::{Error, Result};
use layerstone_closure::{Candidates, Scanner, scan_tree};
use layerstone_store::{Store, StorePath};
use layerstone_tar::{Kind, Placed};

/// Bytes of files that are read to learn what they name, before the store's directory is listed; more only costs time.
const MAX_TEXT: u64 = 1 << 20;

/// The store paths that members refer to, sorted: those of the store's entries whose hash part stands in them. Without a
/// store directory there are none.
///
/// A store has a hundred thousand entries, and a layer of symlinks names its few in full: the directory is listed only if
/// some hash part stands in the layer without the full name behind it, or if the layer holds large files.
pub fn references(store: &Store, members: &[Placed]) -> Result<Vec<StorePath>> {
    if !store.locate(store.dir()).is_dir() {
        return Ok(Vec::new());
    }
    let text = text_of(members)?;
    let named = text.as_deref().map(|text| Candidates::named_in(store, text)).transpose()?.flatten();
    let candidates = named.map_or_else(|| Candidates::in_store(store), Ok)?;
    let mut scanner = Scanner::new(&candidates);
    members.iter().try_for_each(|member| scan_member(member, &mut scanner))?;
    Ok(scanner.finish())
}

/// What is scanned of members, with zeros between; none if that is too much to keep.
fn text_of(members: &[Placed]) -> Result<Option<Vec<u8>>> {
    let size = |member: &Placed| if let Kind::File { size } = member.entry.kind { size } else { 0 };
    if members.iter().map(size).try_fold(0u64, |sum, size| sum.checked_add(size)).is_none_or(|sum| sum > MAX_TEXT) {
        return Ok(None);
    }
    let mut text = Vec::new();
    for member in members {
        text.extend_from_slice(base_name(member));
        text.push(0);
        if let Kind::Symlink { target } = &member.entry.kind {
            text.extend_from_slice(target);
        }
        if let Some(file) = &member.file {
            text.extend(std::fs::read(file).map_err(Error::io("read", file))?);
        }
        text.push(0);
    }
    Ok(Some(text))
}

/// Scans what [`scan_tree`] scans in a tree of files: the last part of the name, the text of a symlink and the contents
/// of a file.
fn scan_member(member: &Placed, scanner: &mut Scanner<'_>) -> Result<()> {
    scanner.cut();
    scanner.feed(base_name(member));
    scanner.cut();
    if let Kind::Symlink { target } = &member.entry.kind {
        scanner.feed(target);
    }
    if let Some(file) = &member.file {
        scan_tree(file, scanner)?;
    }
    Ok(())
}

fn base_name(member: &Placed) -> &[u8] {
    member.entry.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}
