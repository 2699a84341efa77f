//! Gives the members of a layer the owners, device nodes and capabilities that a fake root left there.

use crate::{Error, Result};
use layerstone_sandbox::{FileFacts, Ownership};
use layerstone_tar::{Kind, Owner, Placed};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is known of the files of a folder.
#[derive(Clone, Copy, Debug)]
pub struct Owned<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// What is known.
    pub ownership: &'a Ownership,
}

/// Gives the members of the folder's walk what is known of their files. What belongs to root belongs to whoever owns the
/// layer.
pub fn apply(members: &mut [Placed], owned: &Owned<'_>) -> Result<()> {
    if owned.ownership.is_empty() {
        return Ok(());
    }
    for member in members {
        let name = member.entry.name.strip_prefix(b"./").unwrap_or_default();
        let path = owned.folder.join(OsStr::from_bytes(name));
        let metadata = path.symlink_metadata().map_err(Error::io("read", &path))?;
        if let Some(facts) = owned.ownership.get(metadata.dev(), metadata.ino()) {
            change(member, facts);
        }
    }
    Ok(())
}

fn change(member: &mut Placed, facts: &FileFacts) {
    let entry = &mut member.entry;
    if (facts.uid, facts.gid) != (0, 0) {
        entry.owner = Some(Box::new(Owner::numbered(facts.uid, facts.gid)));
    }
    if let Some(mode) = facts.mode.filter(|_| !matches!(entry.kind, Kind::Symlink { .. })) {
        entry.mode = mode;
    }
    if let Some(capability) = &facts.capability {
        let xattrs = entry.xattrs.get_or_insert_default();
        xattrs.insert((*b"security.capability").into(), capability.as_slice().into());
    }
    if let Some(device) = facts.device {
        let (major, minor) = (device.major, device.minor);
        entry.kind =
            if device.is_block { Kind::BlockDevice { major, minor } } else { Kind::CharDevice { major, minor } };
        member.file = None;
    }
}
