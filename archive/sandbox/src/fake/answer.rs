//! Answers each call from the owner table.
//!
//! An error on our side, such as a path that leads nowhere, is left to the kernel, which finds it too and returns the right
//! error number.

use super::calls::{Act, Naming, find};
use super::find::{directory, file, parent, stat};
use super::identity::Identity;
use super::listener::{Answer, Notification};
use super::owner_table::{Device, OwnerTable};
use super::process::Process;
use crate::fd_broker::FdBroker;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatVfsMountFlags, StatxFlags, fchmod, fstatvfs, statx};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// The capability that making devices needs (linux/capability.h).
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

impl Answers {
    /// Answers a call.
    pub fn answer(&mut self, notification: &Notification<'_>) -> Answer {
        let Some(call) = find(notification.number) else { return Answer::Continue };
        let asked = Asked { notification, naming: call.naming, process: notification.process };
        let result = match call.act {
            Act::Stat | Act::Statx if self.table.is_empty() && !self.identity.pretends => Ok(Answer::Continue),
            Act::GetAttribute | Act::ListAttributes | Act::RemoveAttribute if self.table.is_empty() => {
                Ok(Answer::Continue)
            }
            Act::Stat => self.stat(&asked),
            Act::Statx => self.statx(&asked),
            Act::Chown => self.chown(&asked),
            Act::MakeNode => self.make_node(&asked),
            Act::SetAttribute => self.set_attribute(&asked),
            Act::GetAttribute => self.get_attribute(&asked),
            Act::ListAttributes => self.list_attributes(&asked),
            Act::RemoveAttribute => self.remove_attribute(&asked),
        };
        result.unwrap_or(Answer::Continue)
    }

    fn chown(&mut self, asked: &Asked<'_>) -> Result<Answer, Errno> {
        let (uid, gid) = (asked.number(0), asked.number(1));
        let target = asked.target(&self.broker)?;
        let has = |map: &crate::ids::IdMap, id| id == NO_ID || map.has(id);
        let ids = &self.identity.ids;
        if self.identity.gives && has(&ids.users, uid) && has(&ids.groups, gid) {
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

    fn make_node(&mut self, asked: &Asked<'_>) -> Result<Answer, Errno> {
        if !self.identity.pretends && !asked.process.has_capability(CAP_MKNOD) {
            return Ok(Answer::Error(Errno::PERM));
        }
        let (mode, number) = (asked.number(0), asked.number(1));
        let (start, path) = asked.path()?;
        let (directory, name) = parent(asked.process, &self.broker, start, &path)?;
        if !asked.notification.is_alive() {
            return Ok(Answer::Continue);
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let made = match self.broker.open(&directory, &name, flags, Mode::from_raw_mode(0o600)) {
            Ok(made) => made,
            Err(errno) => return Ok(Answer::Error(errno)),
        };
        fchmod(&made, Mode::from_raw_mode(mode & 0o7777 & !asked.process.umask()))?;
        // linux/kdev_t.h, new_decode_dev.
        let device = Device {
            is_block: FileType::from_raw_mode(mode) == FileType::BlockDevice,
            major: number >> 8 & 0xfff,
            minor: number & 0xff | number >> 12 & 0xfff00,
        };
        self.table.change(made, |record| record.device = Some(device))?;
        Ok(Answer::Value(0))
    }

    fn stat(&self, asked: &Asked<'_>) -> Result<Answer, Errno> {
        let mut found = stat(&asked.target(&self.broker)?)?;
        let record = self.table.get(found.st_dev, found.st_ino);
        if record.is_none() && !self.identity.pretends {
            return Ok(Answer::Continue);
        }
        (found.st_uid, found.st_gid) = self.owner(&found);
        if let Some(device) = record.and_then(|record| record.device) {
            found.st_mode = device.mode(found.st_mode);
            found.st_rdev = rustix::fs::makedev(device.major, device.minor);
        }
        asked.process.write(asked.address(0), bytes_of(&found))?;
        Ok(Answer::Value(0))
    }

    fn statx(&self, asked: &Asked<'_>) -> Result<Answer, Errno> {
        let target = asked.target(&self.broker)?;
        let plain = stat(&target)?;
        let record = self.table.get(plain.st_dev, plain.st_ino);
        if record.is_none() && !self.identity.pretends {
            return Ok(Answer::Continue);
        }
        let mut found = statx(&target, c"", AtFlags::EMPTY_PATH, StatxFlags::from_bits_retain(asked.number(1)))?;
        (found.stx_uid, found.stx_gid) = self.owner(&plain);
        if let Some(device) = record.and_then(|record| record.device) {
            // The upper half of a mode of 32 bits is empty.
            found.stx_mode = device.mode(found.stx_mode.into()) as u16;
            (found.stx_rdev_major, found.stx_rdev_minor) = (device.major, device.minor);
        }
        asked.process.write(asked.address(2), bytes_of(&found))?;
        Ok(Answer::Value(0))
    }

    /// Who owns a file, as the processes are to see it.
    fn owner(&self, found: &rustix::fs::Stat) -> (u32, u32) {
        let recorded = self.table.get(found.st_dev, found.st_ino).and_then(|record| record.owner);
        recorded.unwrap_or_else(|| self.identity.seen(found.st_uid, found.st_gid))
    }
}

impl Device {
    /// A mode with the kind of this device.
    fn mode(self, mode: u32) -> u32 {
        mode & !libc::S_IFMT | if self.is_block { libc::S_IFBLK } else { libc::S_IFCHR }
    }
}

/// A call that is to be answered.
pub(super) struct Asked<'a> {
    notification: &'a Notification<'a>,
    naming: Naming,
    pub(super) process: Process,
}

impl Asked<'_> {
    /// An argument behind those that name the file.
    pub(super) fn address(&self, index: usize) -> u64 {
        self.notification.arguments.get(self.naming.length() + index).copied().unwrap_or(0)
    }

    /// An argument that is a number: these are passed in the low half.
    pub(super) fn number(&self, index: usize) -> u32 {
        self.address(index) as u32
    }

    /// The file that the call means.
    pub(super) fn target(&self, broker: &FdBroker) -> Result<OwnedFd, Errno> {
        let (start, path) = self.path()?;
        let found = match self.naming {
            Naming::Descriptor => directory(self.process, start),
            Naming::Path(follow) => file(self.process, broker, start, &path, follow),
            Naming::AtPlain => file(self.process, broker, start, &path, false),
            Naming::At(flags) => {
                let flags = self.notification.arguments[flags] as i32;
                match path.is_empty() {
                    true if flags & libc::AT_EMPTY_PATH != 0 => directory(self.process, start),
                    true => Err(Errno::NOENT),
                    false => file(self.process, broker, start, &path, flags & libc::AT_SYMLINK_NOFOLLOW == 0),
                }
            }
        }?;
        // Only now is it certain that all of this was read of the right process.
        if self.notification.is_alive() { Ok(found) } else { Err(Errno::SRCH) }
    }

    /// The descriptor and the path that the call names the file by.
    fn path(&self) -> Result<(i32, Vec<u8>), Errno> {
        let text = |index: usize| match self.notification.arguments[index] {
            0 => Ok(Vec::new()),
            address => self.process.text(address),
        };
        // Descriptors are passed in the low half.
        let descriptor = self.notification.arguments[0] as i32;
        match self.naming {
            Naming::Descriptor => Ok((descriptor, Vec::new())),
            Naming::Path(_) => Ok((libc::AT_FDCWD, text(0)?)),
            Naming::At(_) | Naming::AtPlain => Ok((descriptor, text(1)?)),
        }
    }
}

pub(super) fn is_read_only(file: &OwnedFd) -> Result<bool, Errno> {
    Ok(fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Takes away what chown(2) takes away from all but directories: set-user-ID, and set-group-ID where the group may execute.
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
