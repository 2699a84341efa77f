//! Lists the system calls that are answered, and the positions of their arguments.

/// A call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number on this architecture.
    pub number: libc::c_long,
    /// What it does.
    pub act: Act,
    /// How it says which file it means.
    pub naming: Naming,
}

/// What a call does; the numbers of arguments count from the first one after the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Gives the file to user 0 and group 1.
    Chown,
    /// Writes what the file is to the `struct stat` at 0.
    Stat,
    /// Writes what of the file the mask 1 asks for to the `struct statx` at 2.
    Statx,
    /// Gives the attribute named at 0 the value at 1 of length 2; flags are 3.
    SetAttribute,
    /// Writes the value of the attribute named at 0, at 1 of size 2.
    GetAttribute,
    /// Writes the names of attributes, at 0 of size 1.
    ListAttributes,
    /// Removes the attribute named at 0.
    RemoveAttribute,
    /// Makes a file of mode 0, device 1.
    MakeNode,
}

/// How a call says which file it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// A path first; whether a link at its end is followed.
    Path(bool),
    /// A descriptor first.
    Descriptor,
    /// The descriptor of a directory, then a path; flags (`AT_SYMLINK_NOFOLLOW`, `AT_EMPTY_PATH`) are this argument.
    At(usize),
    /// The same without flags; a link at the end is not followed.
    AtPlain,
}

impl Naming {
    /// How many arguments it takes.
    pub fn length(self) -> usize {
        match self {
            Naming::Path(_) | Naming::Descriptor => 1,
            Naming::At(_) | Naming::AtPlain => 2,
        }
    }
}

const fn call(number: libc::c_long, act: Act, naming: Naming) -> Call {
    Call { number, act, naming }
}

/// What every architecture has.
const COMMON: [Call; 17] = [
    call(libc::SYS_fchown, Act::Chown, Naming::Descriptor),
    call(libc::SYS_fchownat, Act::Chown, Naming::At(4)),
    call(libc::SYS_fstat, Act::Stat, Naming::Descriptor),
    call(libc::SYS_newfstatat, Act::Stat, Naming::At(3)),
    call(libc::SYS_statx, Act::Statx, Naming::At(2)),
    call(libc::SYS_setxattr, Act::SetAttribute, Naming::Path(true)),
    call(libc::SYS_lsetxattr, Act::SetAttribute, Naming::Path(false)),
    call(libc::SYS_fsetxattr, Act::SetAttribute, Naming::Descriptor),
    call(libc::SYS_getxattr, Act::GetAttribute, Naming::Path(true)),
    call(libc::SYS_lgetxattr, Act::GetAttribute, Naming::Path(false)),
    call(libc::SYS_fgetxattr, Act::GetAttribute, Naming::Descriptor),
    call(libc::SYS_listxattr, Act::ListAttributes, Naming::Path(true)),
    call(libc::SYS_llistxattr, Act::ListAttributes, Naming::Path(false)),
    call(libc::SYS_flistxattr, Act::ListAttributes, Naming::Descriptor),
    call(libc::SYS_removexattr, Act::RemoveAttribute, Naming::Path(true)),
    call(libc::SYS_lremovexattr, Act::RemoveAttribute, Naming::Path(false)),
    call(libc::SYS_fremovexattr, Act::RemoveAttribute, Naming::Descriptor),
];

/// What older architectures have besides.
#[cfg(target_arch = "x86_64")]
const OLD: [Call; 4] = [
    call(libc::SYS_chown, Act::Chown, Naming::Path(true)),
    call(libc::SYS_lchown, Act::Chown, Naming::Path(false)),
    call(libc::SYS_stat, Act::Stat, Naming::Path(true)),
    call(libc::SYS_lstat, Act::Stat, Naming::Path(false)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: [Call; 0] = [];

/// Calls that make a file, and which argument is its mode: answered if that is the mode of a device.
#[cfg(target_arch = "x86_64")]
pub const DEVICES: [(Call, u32); 2] = [
    (call(libc::SYS_mknodat, Act::MakeNode, Naming::AtPlain), 2),
    (call(libc::SYS_mknod, Act::MakeNode, Naming::Path(false)), 1),
];
#[cfg(not(target_arch = "x86_64"))]
pub const DEVICES: [(Call, u32); 1] = [(call(libc::SYS_mknodat, Act::MakeNode, Naming::AtPlain), 2)];

/// Newer calls for the same, which the filter answers with ENOSYS: setxattrat, getxattrat, listxattrat, removexattrat (Linux
/// 6.13), and io_uring_setup, with which calls go past every filter. Programs do without them, as older kernels do not have
/// them.
pub const ABSENT: [libc::c_long; 5] = [463, 464, 465, 466, libc::SYS_io_uring_setup];

/// Calls that return who the caller is, and the one that sets its capabilities.
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
