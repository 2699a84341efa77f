//! Answers calls about a file's capabilities; other attributes are the kernel's.

use super::answer::{Answers, Asked, is_read_only};
use super::find::stat;
use super::listener::Answer;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// The attribute that holds a file's capabilities (capabilities(7)).
const CAPABILITY: &[u8] = b"security.capability";
/// Lengths of its value of revision 2, and of revision 3, which ends in the root user of a namespace.
const CAPABILITY_LENGTHS: [usize; 2] = [20, 24];
/// The capability that setting the attribute needs (linux/capability.h).
const CAP_SETFCAP: u32 = 31;

impl Answers {
    pub(super) fn set_attribute(&mut self, asked: &Asked<'_>) -> Result<Answer, Errno> {
        if !means_capability(asked)? {
            return Ok(Answer::Continue);
        }
        if !self.identity.pretends && !asked.process.has_capability(CAP_SETFCAP) {
            return Ok(Answer::Error(Errno::PERM));
        }
        let target = asked.target(&self.broker)?;
        let found = stat(&target)?;
        if is_read_only(&target)? {
            return Ok(Answer::Error(Errno::ROFS));
        }
        let length = usize::try_from(asked.address(2)).unwrap_or(usize::MAX);
        if !CAPABILITY_LENGTHS.contains(&length) || FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Ok(Answer::Error(Errno::INVAL));
        }
        let has = self.table.get(found.st_dev, found.st_ino).is_some_and(|record| record.capability.is_some());
        match asked.number(3) as i32 {
            libc::XATTR_CREATE if has => return Ok(Answer::Error(Errno::EXIST)),
            libc::XATTR_REPLACE if !has => return Ok(Answer::Error(Errno::NODATA)),
            _ => {}
        }
        let value = asked.process.read(asked.address(1), length)?;
        let Some(value) = revision_2(&value) else { return Ok(Answer::Error(Errno::INVAL)) };
        self.table.change(target, |record| record.capability = Some(value))?;
        Ok(Answer::Value(0))
    }

    pub(super) fn get_attribute(&self, asked: &Asked<'_>) -> Result<Answer, Errno> {
        if !means_capability(asked)? {
            return Ok(Answer::Continue);
        }
        match self.capability(&asked.target(&self.broker)?)? {
            Some(value) => give(asked, asked.address(1), asked.address(2), value),
            None => Ok(Answer::Continue),
        }
    }

    pub(super) fn list_attributes(&self, asked: &Asked<'_>) -> Result<Answer, Errno> {
        let target = asked.target(&self.broker)?;
        if self.capability(&target)?.is_none() {
            return Ok(Answer::Continue);
        }
        let mut names = names_of_attributes(&target)?;
        names.extend_from_slice(CAPABILITY);
        names.push(0);
        give(asked, asked.address(0), asked.address(1), &names)
    }

    pub(super) fn remove_attribute(&mut self, asked: &Asked<'_>) -> Result<Answer, Errno> {
        let target = asked.target(&self.broker)?;
        if !means_capability(asked)? || self.capability(&target)?.is_none() {
            return Ok(Answer::Continue);
        }
        self.table.change(target, |record| record.capability = None)?;
        Ok(Answer::Value(0))
    }

    fn capability(&self, file: &OwnedFd) -> Result<Option<&Vec<u8>>, Errno> {
        let found = stat(file)?;
        Ok(self.table.get(found.st_dev, found.st_ino).and_then(|record| record.capability.as_ref()))
    }
}

/// Whether the attribute that a call names is the one that holds capabilities.
fn means_capability(asked: &Asked<'_>) -> Result<bool, Errno> {
    Ok(asked.process.text(asked.address(0))? == CAPABILITY)
}

/// The value of the attribute without the root user of a namespace: who that is depends on who runs this.
fn revision_2(value: &[u8]) -> Option<Vec<u8>> {
    const REVISION_2: u32 = 0x0200_0000;
    const REVISION_3: u32 = 0x0300_0000;
    let (magic, rest) = value.split_first_chunk().map(|(magic, rest)| (u32::from_le_bytes(*magic), rest))?;
    let (revision, flags) = (magic & 0xff00_0000, magic & 0x00ff_ffff);
    let length = match revision {
        REVISION_2 => CAPABILITY_LENGTHS[0],
        REVISION_3 => CAPABILITY_LENGTHS[1],
        _ => return None,
    };
    (value.len() == length).then(|| [&(REVISION_2 | flags).to_le_bytes(), &rest[..CAPABILITY_LENGTHS[0] - 4]].concat())
}

/// Gives a value of an attribute, or its length if there is no room for it.
fn give(asked: &Asked<'_>, address: u64, room: u64, value: &[u8]) -> Result<Answer, Errno> {
    if room > 0 && room < value.len() as u64 {
        return Ok(Answer::Error(Errno::RANGE));
    }
    if room > 0 {
        asked.process.write(address, value)?;
    }
    // A value of an attribute has at most 64 KiB.
    Ok(Answer::Value(value.len() as i64))
}

fn names_of_attributes(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::listxattr(path, &mut names) {
        Err(Errno::NOTSUP) => 0,
        result => result?,
    };
    names.truncate(length);
    Ok(names)
}
