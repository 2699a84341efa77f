//! Says which users the commands of a fake root see, and which of them the kernel knows.

use crate::ids::{IdMap, Ids};

/// Who owns files of users that a namespace does not have (/proc/sys/kernel/overflowuid).
const NOBODY: u32 = 65534;

/// The users of a fake root's commands.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The users that they see.
    pub ids: Ids,
    /// Whether the kernel gives files to those, so that only others need the table.
    pub gives: bool,
    /// Whether they are no root to the kernel, and are answered that they are.
    pub pretends: bool,
}

impl Identity {
    /// What an owner outside is inside.
    pub(super) fn seen(&self, uid: u32, gid: u32) -> (u32, u32) {
        let inside = |map: &IdMap, id| map.inside(id).unwrap_or(NOBODY);
        (inside(&self.ids.users, uid), inside(&self.ids.groups, gid))
    }
}
