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
    /// Setting limits, setrlimit(2).
    Limit,
    /// Making the processes.
    Fork,
    /// Having system calls answered, seccomp(2), Linux 5.5.
    Listen,
    /// Giving the files back to the caller.
    Reclaim,
    /// A network of its own.
    Network,
    /// Interprocess communication of its own: shared memory, semaphores and message queues (ipc_namespaces(7)).
    Ipc,
    /// A name of the host of its own.
    HostName,
    /// A /proc that shows its own processes alone.
    Proc,
    /// Refusing calls about keyrings, seccomp(2).
    Keyrings,
}

/// All steps, and what is done in each, as a verb phrase.
const STEPS: [(Step, &str); 17] = [
    (Step::Unshare, "make namespaces"),
    (Step::MapUser, "map users into its namespace"),
    (Step::Private, "make mounts private"),
    (Step::Bind, "mount the work directories"),
    (Step::Inner, "mount the store, /dev and /proc in the layer"),
    (Step::ReadOnly, "make the rest read-only"),
    (Step::Enter, "enter the work directory"),
    (Step::Drop, "give up capabilities"),
    (Step::Limit, "set its limits"),
    (Step::Fork, "make its first process"),
    (Step::Listen, "have its system calls answered"),
    (Step::Reclaim, "take its files back"),
    (Step::Network, "make a network namespace"),
    (Step::Ipc, "make an IPC namespace"),
    (Step::HostName, "make a namespace of the host's name"),
    (Step::Proc, "mount a /proc of its own"),
    (Step::Keyrings, "refuse calls about keyrings"),
];

impl Step {
    /// What is done, as a verb phrase.
    pub fn describe(self) -> &'static str {
        STEPS.iter().find(|(step, _)| *step == self).map_or("", |(_, phrase)| phrase)
    }

    /// What is in reach of the command without this step, for one that a sandbox may lack; none for one that it may not.
    pub fn in_reach(self) -> Option<&'static str> {
        Some(match self {
            Step::Network => "the machine's network is in reach",
            Step::Ipc => "shared memory and semaphores of other processes are in reach",
            Step::HostName => "the machine's name shows",
            Step::Proc => "other processes show",
            Step::Keyrings => "keyrings are in reach",
            _ => return None,
        })
    }

    /// The step that a message is about.
    pub(crate) fn of_tag(tag: u8) -> Option<Step> {
        STEPS.iter().map(|(step, _)| *step).find(|step| *step as u8 == tag)
    }
}
