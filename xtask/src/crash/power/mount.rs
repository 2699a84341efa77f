//! Serves a [`Disk`] through FUSE, until its power is cut: every request is an error (EIO) then.

use crate::crash::power::disk::{Content, Disk, Inode, Number};
use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How long the kernel remembers what it was told: not at all, as the disk may be cut off.
const TTL: Duration = Duration::ZERO;

/// A disk that several threads look at.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    pub fn new(disk: Disk) -> Shared {
        Shared(Arc::new(Mutex::new(disk)))
    }

    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mounts it on a directory, until what is returned is dropped.
    pub fn mount(&self, directory: &Path) -> Result<BackgroundSession> {
        let session = fuser::spawn_mount(self.clone(), directory, &Config::default());
        session.with_context(|| format!("cannot mount: {}", directory.display()))
    }

    /// The disk, if it is still on, for a request that changes nothing.
    fn read(&self) -> Result<MutexGuard<'_, Disk>, Errno> {
        let disk = self.lock();
        if disk.is_on() { Ok(disk) } else { Err(Errno::EIO) }
    }

    /// The disk, if it is still on, for a request that changes or syncs something.
    fn write(&self) -> Result<MutexGuard<'_, Disk>, Errno> {
        let mut disk = self.lock();
        if disk.change() { Ok(disk) } else { Err(Errno::EIO) }
    }

    fn make(&self, parent: INodeNo, name: &OsStr, mode: u32, content: Content) -> Result<FileAttr, Errno> {
        let mut disk = self.write()?;
        if disk.find(parent.0, name).is_some() {
            return Err(Errno::EEXIST);
        }
        let number = disk.add(mode as u16 & 0o7777, content);
        disk.set(vec![(parent.0, name.to_owned(), Some(number))]);
        attributes(&disk, number)
    }

    fn remove(&self, parent: INodeNo, name: &OsStr, is_directory: bool) -> Result<(), Errno> {
        let mut disk = self.write()?;
        let number = disk.find(parent.0, name).ok_or(Errno::ENOENT)?;
        match disk.entries(number) {
            Some(_) if !is_directory => return Err(Errno::EISDIR),
            None if is_directory => return Err(Errno::ENOTDIR),
            Some(entries) if !entries.is_empty() => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        disk.set(vec![(parent.0, name.to_owned(), None)]);
        unlinked(&mut disk, number);
        Ok(())
    }

    fn move_to(&self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr), flags: RenameFlags) -> Result<(), Errno> {
        let mut disk = self.write()?;
        let number = disk.find(from.0.0, from.1).ok_or(Errno::ENOENT)?;
        let replaced = disk.find(to.0.0, to.1);
        match replaced {
            Some(_) if flags.contains(RenameFlags::RENAME_NOREPLACE) => return Err(Errno::EEXIST),
            Some(replaced) if replaced == number => return Ok(()),
            Some(replaced) if disk.entries(replaced).is_some_and(|it| !it.is_empty()) => return Err(Errno::ENOTEMPTY),
            _ if flags.contains(RenameFlags::RENAME_EXCHANGE) => return Err(Errno::EINVAL),
            _ => {}
        }
        disk.set(vec![(from.0.0, from.1.to_owned(), None), (to.0.0, to.1.to_owned(), Some(number))]);
        if let Some(replaced) = replaced {
            unlinked(&mut disk, replaced);
        }
        Ok(())
    }

    fn change(&self, number: INodeNo, change: impl FnOnce(&mut Inode)) -> Result<FileAttr, Errno> {
        let mut disk = self.write()?;
        change(disk.get_mut(number.0).ok_or(Errno::ENOENT)?);
        attributes(&disk, number.0)
    }

    fn sync(&self, number: INodeNo, reply: ReplyEmpty) {
        match self.write() {
            Ok(mut disk) => {
                disk.sync(number.0);
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }
}

impl Filesystem for Shared {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.read().and_then(|disk| attributes(&disk, disk.find(parent.0, name).ok_or(Errno::ENOENT)?));
        entry(found, reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer(self.read().and_then(|disk| attributes(&disk, number.0)), reply);
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = |inode: &mut Inode| {
            inode.mode = mode.map_or(inode.mode, |mode| mode as u16 & 0o7777);
            inode.modified = match modified {
                Some(TimeOrNow::SpecificTime(time)) => time,
                Some(TimeOrNow::Now) => SystemTime::now(),
                None => inode.modified,
            };
            if let (Some(size), Content::File { now, .. }) = (size, &mut inode.content) {
                Arc::make_mut(now).resize(size as usize, 0);
            }
        };
        answer(self.change(number, change), reply);
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.read().map(|disk| disk.get(number.0).map(|inode| inode.content.clone())) {
            Ok(Some(Content::Link(target))) => reply.data(target.as_os_str().as_encoded_bytes()),
            Ok(_) => reply.error(Errno::EINVAL),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        entry(self.make(parent, name, mode & !umask, Content::directory()), reply);
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        entry(self.make(parent, name, 0o777, Content::Link(target.to_owned())), reply);
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _: i32, reply: ReplyCreate) {
        let made = self.make(parent, name, mode & !umask, Content::file(&[]));
        match made {
            Ok(made) => reply.created(&TTL, &made, Generation(0), FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.remove(parent, name, false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.remove(parent, name, true), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        done(self.move_to((parent, name), (to, new), flags), reply);
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let is_cut = flags.0 & libc::O_TRUNC != 0;
        let opened = if is_cut {
            self.change(number, |inode| {
                if let Content::File { now, .. } = &mut inode.content {
                    *now = Arc::default();
                }
            })
        } else {
            self.read().and_then(|disk| attributes(&disk, number.0))
        };
        match opened {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let disk = match self.read() {
            Ok(disk) => disk,
            Err(error) => return reply.error(error),
        };
        match disk.get(number.0).map(|inode| &inode.content) {
            Some(Content::File { now, .. }) => {
                let begin = now.len().min(offset as usize);
                reply.data(&now[begin..now.len().min(begin + size as usize)]);
            }
            _ => reply.error(Errno::EISDIR),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.change(number, |inode| {
            inode.modified = SystemTime::now();
            if let Content::File { now, .. } = &mut inode.content {
                let (now, begin) = (Arc::make_mut(now), offset as usize);
                now.resize(now.len().max(begin + data.len()), 0);
                now[begin..begin + data.len()].copy_from_slice(data);
            }
        });
        match written {
            Ok(_) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(number, reply);
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(number, reply);
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let disk = match self.read() {
            Ok(disk) => disk,
            Err(error) => return reply.error(error),
        };
        let entries = disk.entries(number.0).into_iter().flatten().zip(1..);
        for ((name, inner), next) in entries.skip(offset as usize) {
            let kind = disk.get(*inner).map_or(FileType::RegularFile, |inode| kind(&inode.content));
            if reply.add(INodeNo(*inner), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

/// A name less for a file or a directory.
fn unlinked(disk: &mut Disk, number: Number) {
    if let Some(inode) = disk.get_mut(number) {
        inode.links = inode.links.saturating_sub(1);
    }
}

fn attributes(disk: &Disk, number: Number) -> Result<FileAttr, Errno> {
    let inode = disk.get(number).ok_or(Errno::ENOENT)?;
    let size = match &inode.content {
        Content::File { now, .. } => now.len() as u64,
        Content::Link(target) => target.as_os_str().len() as u64,
        Content::Directory { .. } => 0,
    };
    let (time, owner) = (inode.modified, (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: kind(&inode.content),
        perm: inode.mode,
        nlink: inode.links,
        uid: owner.0,
        gid: owner.1,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    })
}

fn kind(content: &Content) -> FileType {
    match content {
        Content::File { .. } => FileType::RegularFile,
        Content::Directory { .. } => FileType::Directory,
        Content::Link(_) => FileType::Symlink,
    }
}

fn entry(found: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match found {
        Ok(found) => reply.entry(&TTL, &found, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn answer(found: Result<FileAttr, Errno>, reply: ReplyAttr) {
    match found {
        Ok(found) => reply.attr(&TTL, &found),
        Err(error) => reply.error(error),
    }
}

fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
