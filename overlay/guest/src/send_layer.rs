//! Sends the layer's tar to the host while its files are read.

use crate::upperdir::Changed;
use crate::{Channel, Error, Frame, Result};
use layerstone_store::{Digest, Hasher};
use layerstone_tar::{BLOCK, Common, Dialect, Kind, Owner, RECORD};
use std::fs::File;
use std::io::{self, Read};

/// Bytes of a frame.
const FRAME: usize = 64 << 10;

/// Whether files with holes make the layer many times larger than what the disk holds.
pub fn check_holes(members: &[Changed], disk: u64, most: u64) -> Result<()> {
    let size = |member: &Changed| if let Kind::File { size } = member.entry.kind { size } else { 0 };
    let all: u64 = members.iter().map(size).fold(0, u64::saturating_add);
    match members.iter().max_by_key(|member| size(member)) {
        Some(largest) if all > most => Err(Error::Found(format!(
            "cannot pack {}: found files with holes of {} MiB together in a layer on a disk of {} MiB, this one of {} MiB: a \
             layer would hold all of their zeros (limit script-layer)",
            largest.entry.name.escape_ascii(),
            all >> 20,
            disk >> 20,
            size(largest) >> 20,
        ))),
        _ => Ok(()),
    }
}

/// Sends the members as GNU tar writes them, owners in numbers, no time later than `mtime`; size and sha256 of that tar.
pub fn send_layer(members: &[Changed], mtime: i64, channel: &mut Channel) -> Result<(u64, Digest)> {
    let mut out = Sender { channel, frame: Vec::with_capacity(FRAME), hasher: Hasher::default(), size: 0 };
    for member in members {
        let common =
            Common { dialect: Dialect::GnuNumeric, mtime: member.mtime.min(mtime), owner: Owner::numeric_root() };
        let mut header = Vec::new();
        common.append_header(&member.entry, &mut header);
        out.send(&header)?;
        if let Kind::File { size: size @ 1.. } = member.entry.kind {
            out.send_file(member, size)?;
        }
    }
    out.send(&[0; 2 * BLOCK])?;
    out.pad_to(RECORD)?;
    out.flush()?;
    Ok((out.size, out.hasher.finish()))
}

struct Sender<'a> {
    channel: &'a mut Channel,
    frame: Vec<u8>,
    hasher: Hasher,
    size: u64,
}

impl Sender<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        for piece in bytes.chunks(FRAME) {
            if self.frame.len() + piece.len() > FRAME {
                self.flush()?;
            }
            self.frame.extend_from_slice(piece);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.channel.send(&Frame::Tar(std::mem::replace(&mut self.frame, Vec::with_capacity(FRAME))))
    }

    fn send_file(&mut self, member: &Changed, size: u64) -> Result<()> {
        let read = || Error::io("read", &member.file);
        let mut file = File::open(&member.file).map_err(read())?.take(size);
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(FRAME).min(FRAME)];
        let mut left = size;
        while left > 0 {
            let length = file.read(&mut buffer).map_err(read())?;
            if length == 0 {
                return Err(read()(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            self.send(&buffer[..length])?;
            left -= length as u64;
        }
        self.pad_to(BLOCK as u64)
    }

    fn pad_to(&mut self, unit: u64) -> Result<()> {
        let missing = self.size.next_multiple_of(unit) - self.size;
        self.send(&vec![0; usize::try_from(missing).unwrap_or_default()])
    }
}
