//! Names the steps of making a sandbox and of taking it down, for errors.

/// A step of making the sandbox, or of taking it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// unshare(2).
    Unshare = 1,
    /// Writing the maps of user and group ids, user_namespaces(7).
    MapUser,
    /// Making all mounts private, so that nothing shows outside.
    Private,
    /// Mounting the writable directories on themselves, to give them mount flags of their own.
    Bind,
    /// Mounting the store, /dev and /proc into the directory that becomes the root.
    Inner,
    /// Making everything read-only and the two directories writable again, mount_setattr(2), Linux 5.12.
    ReadOnly,
    /// Entering the directory's new mount.
    Enter,
    /// Giving up capabilities, prctl(2).
    Drop,
    /// Making the processes.
    Fork,
    /// Having system calls answered, seccomp(2), Linux 5.5.
    Listen,
    /// Giving the files back to the caller.
    Reclaim,
}

/// All steps, and what is done in each, as a verb phrase.
const STEPS: [(Step, &str); 11] = [
    (Step::Unshare, "make namespaces"),
    (Step::MapUser, "map users into its namespace"),
    (Step::Private, "make mounts private"),
    (Step::Bind, "mount the work folders"),
    (Step::Inner, "mount the store, /dev and /proc in the layer"),
    (Step::ReadOnly, "make the rest read-only"),
    (Step::Enter, "enter the work folder"),
    (Step::Drop, "give up capabilities"),
    (Step::Fork, "make its first process"),
    (Step::Listen, "have its system calls answered"),
    (Step::Reclaim, "take its files back"),
];

impl Step {
    /// What is done, as a verb phrase.
    pub fn describe(self) -> &'static str {
        STEPS.iter().find(|(step, _)| *step == self).map_or("", |(_, phrase)| phrase)
    }

    /// The step that a message is about.
    pub(crate) fn of_tag(tag: u8) -> Option<Step> {
        STEPS.iter().map(|(step, _)| *step).find(|step| *step as u8 == tag)
    }
}
