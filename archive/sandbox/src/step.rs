//! The steps of making a sandbox and of taking it down, as errors name them.

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
    /// Mounting the writable folders on themselves, to give them mount flags of their own.
    Bind,
    /// Mounting the store, /dev and /proc into the folder that becomes the root.
    Inner,
    /// Making everything read-only and the two folders writable again, mount_setattr(2), Linux 5.12.
    ReadOnly,
    /// Entering the folder's new mount.
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

impl Step {
    const ALL: [Step; 11] = [
        Step::Unshare,
        Step::MapUser,
        Step::Private,
        Step::Bind,
        Step::Inner,
        Step::ReadOnly,
        Step::Enter,
        Step::Drop,
        Step::Fork,
        Step::Listen,
        Step::Reclaim,
    ];

    /// What is done, as a verb phrase.
    pub fn describe(self) -> &'static str {
        match self {
            Step::Unshare => "make namespaces",
            Step::MapUser => "map users into its namespace",
            Step::Private => "make mounts private",
            Step::Bind => "mount the work folders",
            Step::Inner => "mount the store, /dev and /proc in the layer",
            Step::ReadOnly => "make the rest read-only",
            Step::Enter => "enter the work folder",
            Step::Drop => "give up capabilities",
            Step::Fork => "make its first process",
            Step::Listen => "have its system calls answered",
            Step::Reclaim => "take its files back",
        }
    }

    /// The step that a message is about.
    pub(crate) fn of_tag(tag: u8) -> Option<Step> {
        Step::ALL.into_iter().find(|step| *step as u8 == tag)
    }
}
