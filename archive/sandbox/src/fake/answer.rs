//! Answers each call from the owner table.
//!
//! An error on our side, such as a path that leads nowhere, is left to the kernel, which finds it too and returns the right
//! error number.

use super::calls::{Act, Call, Way, find};
use super::find::{file, folder, parent, stat};
use super::identity::Identity;
use super::listener::{Answer, Notification};
use super::owner_table::{Device, OwnerTable};
use crate::fd_broker::FdBroker;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatVfsMountFlags, StatxFlags, fchmod, fstatvfs, statx};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// What whoever makes devices must be allowed (linux/capability.h).
const CAP_MKNOD: u32 = 27;
/// An id that means none, in chown(2).
const NO_ID: u32 = u32::MAX;
/// Answers calls, and records the owners and devices that they set.
#[derive(Debug)]
pub struct Answers {
    pub(super) identity: Identity,
    pub(super) table: OwnerTable,
    pub(super) broker: FdBroker,
}

/// The arguments behind those that name the file.
pub(super) struct Arguments<'a>(&'a [u64]);

impl Arguments<'_> {
    pub(super) fn number(&self, index: usize) -> u32 {
        // Numbers are passed in the low half.
        self.0.get(index).copied().unwrap_or(0) as u32
    }

    pub(super) fn address(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }
}

impl Answers {
    /// With an empty table.
    pub fn new(identity: Identity, broker: FdBroker) -> Answers {
        Answers { identity, table: OwnerTable::default(), broker }
    }

    /// The table of what was set.
    pub fn into_table(self) -> OwnerTable {
        self.table
    }

    /// Answers a call.
    pub fn answer(&mut self, notification: &Notification<'_>) -> Answer {
        let Some(call) = find(notification.number) else { return Answer::Continue };
        let arguments = Arguments(&notification.arguments[call.way.length()..]);
        let result = match call.act {
            Act::Stat | Act::Statx if self.table.is_empty() && !self.identity.pretends => Ok(Answer::Continue),
            Act::Stat => self.stat(notification, call, &arguments),
            Act::Statx => self.statx(notification, call, &arguments),
            Act::Chown => self.chown(notification, call, &arguments),
            Act::MakeNode => self.make_node(notification, call, &arguments),
            Act::SetAttribute => self.set_attribute(notification, call, &arguments),
            Act::GetAttribute => self.get_attribute(notification, call, &arguments),
            Act::ListAttributes => self.list_attributes(notification, call, &arguments),
            Act::RemoveAttribute => self.remove_attribute(notification, call, &arguments),
        };
        result.unwrap_or(Answer::Continue)
    }

    fn chown(
        &mut self,
        notification: &Notification<'_>,
        call: Call,
        arguments: &Arguments<'_>,
    ) -> Result<Answer, Errno> {
        let (uid, gid) = (arguments.number(0), arguments.number(1));
        let target = target(notification, call, &self.broker)?;
        let is_known = |map: &crate::ids::IdMap, id| id == NO_ID || map.has(id);
        let ids = &self.identity.ids;
        if self.identity.gives && is_known(&ids.users, uid) && is_known(&ids.groups, gid) {
            let found = stat(&target)?;
            if self.table.get(found.st_dev, found.st_ino).is_some() {
                self.table.change(target, |record| (record.owner, record.capability) = (None, None))?;
            }
            return Ok(Answer::Continue);
        }
        if is_read_only(&target)? {
            return Ok(Answer::Error(Errno::ROFS));
        }
        let found = stat(&target)?;
        let old = self.owner(&found);
        let keep = |new: u32, old: u32| if new == NO_ID { old } else { new };
        let owner = (keep(uid, old.0), keep(gid, old.1));
        drop_set_id(&target, found.st_mode)?;
        let is_root = self.identity.seen(found.st_uid, found.st_gid) == (0, 0);
        self.table.change(target, |record| {
            // What is not root's without being said so need not be said.
            record.owner = (owner != (0, 0) || !is_root).then_some(owner);
            record.capability = None;
        })?;
        Ok(Answer::Value(0))
    }

    fn make_node(
        &mut self,
        notification: &Notification<'_>,
        call: Call,
        arguments: &Arguments<'_>,
    ) -> Result<Answer, Errno> {
        if !self.identity.pretends && !notification.process.has_capability(CAP_MKNOD) {
            return Ok(Answer::Error(Errno::PERM));
        }
        let (mode, number) = (arguments.number(0), arguments.number(1));
        let (start, path) = path(notification, call)?;
        let (folder, name) = parent(notification.process, &self.broker, start, &path)?;
        if !notification.is_alive() {
            return Ok(Answer::Continue);
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let made = match self.broker.open(&folder, &name, flags, Mode::from_raw_mode(0o600)) {
            Ok(made) => made,
            Err(errno) => return Ok(Answer::Error(errno)),
        };
        fchmod(&made, Mode::from_raw_mode(mode & 0o7777 & !notification.process.umask()))?;
        // linux/kdev_t.h, new_decode_dev.
        let device = Device {
            is_block: FileType::from_raw_mode(mode) == FileType::BlockDevice,
            major: number >> 8 & 0xfff,
            minor: number & 0xff | number >> 12 & 0xfff00,
        };
        self.table.change(made, |record| record.device = Some(device))?;
        Ok(Answer::Value(0))
    }

    fn stat(&self, notification: &Notification<'_>, call: Call, arguments: &Arguments<'_>) -> Result<Answer, Errno> {
        let mut found = stat(&target(notification, call, &self.broker)?)?;
        let record = self.table.get(found.st_dev, found.st_ino);
        if record.is_none() && !self.identity.pretends {
            return Ok(Answer::Continue);
        }
        (found.st_uid, found.st_gid) = self.owner(&found);
        if let Some(device) = record.and_then(|record| record.device) {
            found.st_mode = device.mode(found.st_mode);
            found.st_rdev = rustix::fs::makedev(device.major, device.minor);
        }
        notification.process.write(arguments.address(0), bytes_of(&found))?;
        Ok(Answer::Value(0))
    }

    fn statx(&self, notification: &Notification<'_>, call: Call, arguments: &Arguments<'_>) -> Result<Answer, Errno> {
        let target = target(notification, call, &self.broker)?;
        let plain = stat(&target)?;
        let record = self.table.get(plain.st_dev, plain.st_ino);
        if record.is_none() && !self.identity.pretends {
            return Ok(Answer::Continue);
        }
        let mut found = statx(&target, c"", AtFlags::EMPTY_PATH, StatxFlags::from_bits_retain(arguments.number(1)))?;
        (found.stx_uid, found.stx_gid) = self.owner(&plain);
        if let Some(device) = record.and_then(|record| record.device) {
            // The upper half of a mode of 32 bits is empty.
            found.stx_mode = device.mode(found.stx_mode.into()) as u16;
            (found.stx_rdev_major, found.stx_rdev_minor) = (device.major, device.minor);
        }
        notification.process.write(arguments.address(2), bytes_of(&found))?;
        Ok(Answer::Value(0))
    }

    /// Who owns a file, as the processes are to see it.
    fn owner(&self, found: &rustix::fs::Stat) -> (u32, u32) {
        let said = self.table.get(found.st_dev, found.st_ino).and_then(|record| record.owner);
        said.unwrap_or_else(|| self.identity.seen(found.st_uid, found.st_gid))
    }
}

impl Device {
    /// A mode with the kind of this device.
    fn mode(self, mode: u32) -> u32 {
        mode & !libc::S_IFMT | if self.is_block { libc::S_IFBLK } else { libc::S_IFCHR }
    }
}

/// The file that a call means.
pub(super) fn target(notification: &Notification<'_>, call: Call, broker: &FdBroker) -> Result<OwnedFd, Errno> {
    let (start, path) = path(notification, call)?;
    let found = match call.way {
        Way::Descriptor => folder(notification.process, start),
        Way::Path(follow) => file(notification.process, broker, start, &path, follow),
        Way::AtPlain => file(notification.process, broker, start, &path, false),
        Way::At(flags) => {
            let flags = notification.arguments[flags] as i32;
            match path.is_empty() {
                true if flags & libc::AT_EMPTY_PATH != 0 => folder(notification.process, start),
                true => Err(Errno::NOENT),
                false => file(notification.process, broker, start, &path, flags & libc::AT_SYMLINK_NOFOLLOW == 0),
            }
        }
    }?;
    // Only now is it known that all of this was read of the right process.
    if notification.is_alive() { Ok(found) } else { Err(Errno::SRCH) }
}

/// The descriptor and the path that a call names a file by.
fn path(notification: &Notification<'_>, call: Call) -> Result<(i32, Vec<u8>), Errno> {
    let text = |index: usize| match notification.arguments[index] {
        0 => Ok(Vec::new()),
        address => notification.process.text(address),
    };
    // Descriptors are passed in the low half.
    let descriptor = notification.arguments[0] as i32;
    match call.way {
        Way::Descriptor => Ok((descriptor, Vec::new())),
        Way::Path(_) => Ok((libc::AT_FDCWD, text(0)?)),
        Way::At(_) | Way::AtPlain => Ok((descriptor, text(1)?)),
    }
}

pub(super) fn is_read_only(file: &OwnedFd) -> Result<bool, Errno> {
    Ok(fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Takes away what chown(2) takes away from all but folders: set-user-ID, and set-group-ID where the group may execute.
fn drop_set_id(file: &OwnedFd, mode: u32) -> Result<(), Errno> {
    let is_group = mode & (libc::S_ISGID | libc::S_IXGRP) == libc::S_ISGID | libc::S_IXGRP;
    let dropped = mode & libc::S_ISUID | if is_group { libc::S_ISGID } else { 0 };
    if FileType::from_raw_mode(mode) != FileType::RegularFile || dropped == 0 {
        return Ok(());
    }
    let mode = Mode::from_raw_mode(mode & 0o7777 & !dropped);
    rustix::fs::chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)
}

/// The bytes of a structure that the kernel has filled.
fn bytes_of<T>(value: &T) -> &[u8] {
    // SAFETY: both structures are made of integers alone, the gaps between them named fields; the kernel wrote all of it.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}
