//! Lists the system calls that are answered, and the positions of their arguments.

/// A call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number on this architecture.
    pub number: libc::c_long,
    /// What it does.
    pub act: Act,
    /// How it says which file it means.
    pub way: Way,
}

/// What a call does; the numbers of arguments count from the first one after the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Gives the file to user 0 and group 1.
    Chown,
    /// Tells what the file is, in the `struct stat` at 0.
    Stat,
    /// Tells what of the file the mask 1 asks for, in the `struct statx` at 2.
    Statx,
    /// Gives the attribute named at 0 the value at 1 of length 2; flags are 3.
    SetAttribute,
    /// Tells the value of the attribute named at 0, at 1 of size 2.
    GetAttribute,
    /// Tells the names of attributes, at 0 of size 1.
    ListAttributes,
    /// Removes the attribute named at 0.
    RemoveAttribute,
    /// Makes a file of mode 0, device 1.
    MakeNode,
}

/// How a call says which file it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A path first; whether a link at its end is followed.
    Path(bool),
    /// A descriptor first.
    Descriptor,
    /// The descriptor of a folder, then a path; flags (`AT_SYMLINK_NOFOLLOW`, `AT_EMPTY_PATH`) are this argument.
    At(usize),
    /// The same without flags; a link at the end is not followed.
    AtPlain,
}

impl Way {
    /// How many arguments it takes.
    pub fn length(self) -> usize {
        match self {
            Way::Path(_) | Way::Descriptor => 1,
            Way::At(_) | Way::AtPlain => 2,
        }
    }
}

const fn call(number: libc::c_long, act: Act, way: Way) -> Call {
    Call { number, act, way }
}

/// What every architecture has.
const COMMON: [Call; 17] = [
    call(libc::SYS_fchown, Act::Chown, Way::Descriptor),
    call(libc::SYS_fchownat, Act::Chown, Way::At(4)),
    call(libc::SYS_fstat, Act::Stat, Way::Descriptor),
    call(libc::SYS_newfstatat, Act::Stat, Way::At(3)),
    call(libc::SYS_statx, Act::Statx, Way::At(2)),
    call(libc::SYS_setxattr, Act::SetAttribute, Way::Path(true)),
    call(libc::SYS_lsetxattr, Act::SetAttribute, Way::Path(false)),
    call(libc::SYS_fsetxattr, Act::SetAttribute, Way::Descriptor),
    call(libc::SYS_getxattr, Act::GetAttribute, Way::Path(true)),
    call(libc::SYS_lgetxattr, Act::GetAttribute, Way::Path(false)),
    call(libc::SYS_fgetxattr, Act::GetAttribute, Way::Descriptor),
    call(libc::SYS_listxattr, Act::ListAttributes, Way::Path(true)),
    call(libc::SYS_llistxattr, Act::ListAttributes, Way::Path(false)),
    call(libc::SYS_flistxattr, Act::ListAttributes, Way::Descriptor),
    call(libc::SYS_removexattr, Act::RemoveAttribute, Way::Path(true)),
    call(libc::SYS_lremovexattr, Act::RemoveAttribute, Way::Path(false)),
    call(libc::SYS_fremovexattr, Act::RemoveAttribute, Way::Descriptor),
];

/// What older architectures have besides.
#[cfg(target_arch = "x86_64")]
const OLD: [Call; 4] = [
    call(libc::SYS_chown, Act::Chown, Way::Path(true)),
    call(libc::SYS_lchown, Act::Chown, Way::Path(false)),
    call(libc::SYS_stat, Act::Stat, Way::Path(true)),
    call(libc::SYS_lstat, Act::Stat, Way::Path(false)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: [Call; 0] = [];

/// Calls that make a file, and which argument is its mode: answered if that is the mode of a device.
#[cfg(target_arch = "x86_64")]
pub const DEVICES: [(Call, u32); 2] = [
    (call(libc::SYS_mknodat, Act::MakeNode, Way::AtPlain), 2),
    (call(libc::SYS_mknod, Act::MakeNode, Way::Path(false)), 1),
];
#[cfg(not(target_arch = "x86_64"))]
pub const DEVICES: [(Call, u32); 1] = [(call(libc::SYS_mknodat, Act::MakeNode, Way::AtPlain), 2)];

/// Calls that are newer ways to the same, not there as far as anybody can see: setxattrat, getxattrat, listxattrat,
/// removexattrat (Linux 6.13), and io_uring_setup, with which calls go past every filter. Whoever uses them has a way
/// around their absence, as older kernels do not have them.
pub const ABSENT: [libc::c_long; 5] = [463, 464, 465, 466, libc::SYS_io_uring_setup];

/// Calls that tell who the caller is, and the one that says what it may do.
pub const WHO: [libc::c_long; 5] =
    [libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_capset];

/// Calls that are answered whatever their arguments.
pub fn always() -> impl Iterator<Item = Call> {
    COMMON.into_iter().chain(OLD)
}

/// The call of a number.
pub fn find(number: libc::c_long) -> Option<Call> {
    always().chain(DEVICES.map(|(call, _)| call)).find(|call| call.number == number)
}
