//! Gives the members of a layer the owners, device nodes and capabilities that a fake root left there.

use crate::tree::below_root;
use crate::{Error, Result};
use layerstone_sandbox::{FileFacts, Ownership};
use layerstone_tar::{Kind, Owner, Placed};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Gives the members of a directory's walk what was recorded about their files. What belongs to root belongs to the
/// owner of the layer.
pub fn apply(members: &mut [Placed], directory: &Path, ownership: &Ownership) -> Result<()> {
    if ownership.is_empty() {
        return Ok(());
    }
    for member in members {
        let path = directory.join(below_root(&member.entry.name));
        let metadata = path.symlink_metadata().map_err(Error::io("read", &path))?;
        if let Some(facts) = ownership.get(metadata.dev(), metadata.ino()) {
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
