//! Encodes and reads the report that comes back through a sandbox's pipe: how the command ended, and which files were
//! reclaimed afterwards.
//!
//! Messages are of fixed length, native, and written in one piece each (pipe(7), PIPE_BUF): a tag and a number, or the tag
//! [`Reclaimed::TAG`] and a [`Reclaimed`].

use crate::Step;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The report of a sandbox, once the command's process has been waited for.
#[derive(Debug)]
pub enum Report {
    /// The command ended so, and these are the files whose owner, mode or capability was another than that of a file of
    /// ours.
    Ended(ExitStatus, Vec<Reclaimed>),
    /// The sandbox could not be made, or its files could not be reclaimed.
    Failed(Step, io::Error),
    /// There were more processes than may be, and all were killed.
    TooMany,
    /// Nothing: the command never ran, or the sandbox was killed from outside.
    Nothing,
}

/// A file as the command left it, before it was given back to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reclaimed {
    /// Device number of its file system.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// User id, as the command saw it.
    pub uid: u32,
    /// Group id, likewise.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Its `security.capability`, in the form of revision 2 (linux/capability.h).
    pub capability: Option<[u8; Reclaimed::CAPABILITY]>,
}

/// Tag of the message that there are too many processes; no [`Step`] has it.
pub const TOO_MANY: u8 = 254;

impl Reclaimed {
    /// Tag of its message; no [`Step`] has it.
    const TAG: u8 = 255;
    /// Bytes of `struct vfs_cap_data`, revision 2.
    pub const CAPABILITY: usize = 20;
    const LENGTH: usize = 8 + 8 + 4 + 4 + 4 + 1 + Reclaimed::CAPABILITY;

    /// Its message.
    pub fn encode(&self) -> [u8; 1 + Reclaimed::LENGTH] {
        let mut message = [0; 1 + Reclaimed::LENGTH];
        message[0] = Reclaimed::TAG;
        message[1..9].copy_from_slice(&self.dev.to_ne_bytes());
        message[9..17].copy_from_slice(&self.ino.to_ne_bytes());
        for (at, number) in [(17, self.uid), (21, self.gid), (25, self.mode)] {
            message[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        if let Some(capability) = &self.capability {
            message[29] = 1;
            message[30..].copy_from_slice(capability);
        }
        message
    }

    fn decode(body: &[u8; Reclaimed::LENGTH]) -> Reclaimed {
        let long = |at: usize| u64::from_ne_bytes(body[at..at + 8].try_into().unwrap_or_default());
        let short = |at: usize| u32::from_ne_bytes(body[at..at + 4].try_into().unwrap_or_default());
        let capability = (body[28] == 1).then(|| body[29..].try_into().unwrap_or_default());
        Reclaimed { dev: long(0), ino: long(8), uid: short(16), gid: short(20), mode: short(24), capability }
    }
}

impl Report {
    /// Reads a sandbox's report to its end, which comes when all of the sandbox's processes have ended and its
    /// [`Command`](std::process::Command) is gone.
    pub fn read(pipe: PipeReader) -> io::Result<Report> {
        let mut pipe = io::BufReader::new(pipe);
        let (mut report, mut reclaimed) = (Report::Nothing, Vec::new());
        let mut tag = [0];
        while pipe.read(&mut tag)? > 0 {
            if tag[0] == Reclaimed::TAG {
                let mut body = [0; Reclaimed::LENGTH];
                pipe.read_exact(&mut body)?;
                reclaimed.push(Reclaimed::decode(&body));
                continue;
            }
            let mut value = [0; 4];
            pipe.read_exact(&mut value)?;
            let value = i32::from_ne_bytes(value);
            report = match Step::of_tag(tag[0]) {
                Some(step) => Report::Failed(step, io::Error::from_raw_os_error(value)),
                None if tag[0] == TOO_MANY => Report::TooMany,
                None => Report::Ended(ExitStatus::from_raw(value), Vec::new()),
            };
        }
        Ok(match report {
            Report::Ended(status, _) => Report::Ended(status, reclaimed),
            report => report,
        })
    }
}

/// Sends a message, a tag and a number. If that fails the parent hears nothing, and says so.
pub fn send(report: impl AsFd, tag: u8, value: i32) {
    let [a, b, c, d] = value.to_ne_bytes();
    let _ = rustix::io::write(report, &[tag, a, b, c, d]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn messages_come_back() {
        let reclaimed = [
            Reclaimed { dev: u64::MAX, ino: 1 << 40, uid: 1, gid: 70_000, mode: 0o4755, capability: Some([7; 20]) },
            Reclaimed { dev: 1, ino: 2, uid: 3, gid: 4, mode: 5, capability: None },
        ];
        let (reader, mut writer) = io::pipe().unwrap();
        send(&writer, 0, 3 << 8);
        reclaimed.iter().for_each(|reclaimed| writer.write_all(&reclaimed.encode()).unwrap());
        drop(writer);
        let Report::Ended(status, found) = Report::read(reader).unwrap() else { panic!() };
        assert_eq!((status.code(), found), (Some(3), reclaimed.to_vec()));
    }

    #[test]
    fn a_failure_counts_whatever_came_before() {
        let (reader, writer) = io::pipe().unwrap();
        send(&writer, 0, 0);
        send(&writer, Step::Reclaim as u8, libc::EACCES);
        drop(writer);
        assert!(matches!(Report::read(reader).unwrap(), Report::Failed(Step::Reclaim, _)));
        let (reader, _) = io::pipe().unwrap();
        assert!(matches!(Report::read(reader).unwrap(), Report::Nothing));
    }

    #[test]
    fn half_a_message_is_an_error() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(&[Reclaimed::TAG, 1, 2]).unwrap();
        drop(writer);
        assert!(Report::read(reader).is_err());
    }
}
