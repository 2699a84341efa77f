//! Encodes and decodes the messages of a guest to its host: frames of a kind, a length of four bytes, little-endian, and
//! so many bytes.
//!
//! A run is good if it ends in [`Frame::Done`], whose length and sha256 are those of all [`Frame::Tar`] together; that a
//! virtual machine ends proves nothing, as it does so after a panic too.

use crate::Phase;
use layerstone_store::{Digest, Limit, Limits};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::{self, Write};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The stage runs, on a kernel of this release.
    Hello(String),
    /// It waits for users to be mapped into its namespace.
    Users,
    /// It has come so far.
    Phase(Phase),
    /// A script printed this.
    Log(Vec<u8>),
    /// It is alive.
    Beat,
    /// More of the layer's tar.
    Tar(Vec<u8>),
    /// It is done, and this is the layer.
    Done(Done),
    /// It cannot go on.
    Failed(Failed),
}

/// How a run ended that got to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Bytes of the layer's tar that was sent.
    pub size: u64,
    /// sha256 of them.
    pub digest: Digest,
    /// Names of sockets, which a layer cannot hold.
    pub sockets: Vec<Vec<u8>>,
}

/// How a run ended that did not get to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// How far it had come.
    pub phase: Phase,
    /// What happened.
    pub failure: Failure,
    /// The disk as it was then.
    pub space: Option<DiskUsage>,
}

/// What happened to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A script ended with this status (wait(2)).
    Script(i32),
    /// The stage could not do what it must.
    Stage(String),
}

/// How full the disk of a run is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUsage {
    /// What there is.
    pub total: u64,
    /// What is left.
    pub free: u64,
}

impl Frame {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Of our own types, with string keys: never an error.
        let json = |value: serde_json::Result<Vec<u8>>| Cow::Owned(value.unwrap_or_default());
        let (kind, body) = match self {
            Frame::Hello(release) => (b'H', Cow::from(release.as_bytes())),
            Frame::Users => (b'U', Cow::default()),
            Frame::Phase(phase) => (b'P', json(serde_json::to_vec(phase))),
            Frame::Log(bytes) => (b'L', bytes.into()),
            Frame::Beat => (b'B', Cow::default()),
            Frame::Tar(bytes) => (b'T', bytes.into()),
            Frame::Done(done) => (b'E', json(serde_json::to_vec(done))),
            Frame::Failed(failed) => (b'F', json(serde_json::to_vec(failed))),
        };
        // Longer ones are not made.
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        [&[kind][..], &length.to_le_bytes(), &body].concat()
    }

    /// The frame at the begin of some bytes, and how many of them it takes; none if there is more to come.
    ///
    /// # Errors
    ///
    /// `InvalidData`: this is no frame, or one of more bytes than [`Limit::ScriptFrame`].
    pub fn decode(bytes: &[u8], limits: &Limits) -> io::Result<Option<(Frame, usize)>> {
        let Some((&[kind, a, b, c, d], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]);
        let invalid = |cause: String| io::Error::new(io::ErrorKind::InvalidData, cause);
        limits.check(Limit::ScriptFrame, length.into())?;
        let Some(body) = rest.get(..length as usize) else { return Ok(None) };
        let text = || String::from_utf8_lossy(body).into_owned();
        let json =
            |e: serde_json::Error| invalid(format!("found a frame {} that cannot be read: {e}", char::from(kind)));
        let frame = match kind {
            b'H' => Frame::Hello(text()),
            b'U' => Frame::Users,
            b'P' => Frame::Phase(serde_json::from_slice(body).map_err(json)?),
            b'L' => Frame::Log(body.to_owned()),
            b'B' => Frame::Beat,
            b'T' => Frame::Tar(body.to_owned()),
            b'E' => Frame::Done(serde_json::from_slice(body).map_err(json)?),
            b'F' => Frame::Failed(serde_json::from_slice(body).map_err(json)?),
            kind => return Err(invalid(format!("found a frame of kind {}", kind.escape_ascii()))),
        };
        Ok(Some((frame, 5 + length as usize)))
    }
}

/// The guest's end of the channel to the host.
#[derive(Debug)]
pub struct Channel {
    out: std::fs::File,
    /// The phase that was sent last.
    pub phase: Phase,
}

impl Channel {
    /// A channel to a file that takes frames.
    pub fn new(out: std::fs::File) -> Channel {
        Channel { out, phase: Phase::Boot }
    }

    /// Says hello.
    pub fn greet(&mut self) -> crate::Result<()> {
        self.send(&Frame::Hello(rustix::system::uname().release().to_string_lossy().into_owned()))
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) -> crate::Result<()> {
        if let Frame::Phase(phase) = frame {
            self.phase = *phase;
        }
        self.out.write_all(&frame.encode()).map_err(crate::Error::Channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> io::Result<Option<(Frame, usize)>> {
        Frame::decode(bytes, &Limits::default())
    }

    fn frames() -> Vec<Frame> {
        vec![
            Frame::Hello("6.1.0".to_owned()),
            Frame::Users,
            Frame::Phase(Phase::Script),
            Frame::Log(b"\xff\n".to_vec()),
            Frame::Beat,
            Frame::Tar(vec![0; 1000]),
            Frame::Done(Done { size: 7, digest: Digest::of(b"x"), sockets: vec![b"s".to_vec()] }),
            Frame::Failed(Failed {
                phase: Phase::Pack,
                failure: Failure::Script(256),
                space: Some(DiskUsage { total: 2, free: 1 }),
            }),
            Frame::Failed(Failed { phase: Phase::Boot, failure: Failure::Stage("no".to_owned()), space: None }),
        ]
    }

    #[test]
    fn frames_come_back_and_wait_for_their_end() {
        for frame in frames() {
            let bytes = frame.encode();
            for length in 0..bytes.len() {
                assert_eq!(decode(&bytes[..length]).unwrap(), None, "{frame:?}");
            }
            let more = [&bytes[..], b"H"].concat();
            assert_eq!(decode(&more).unwrap(), Some((frame, bytes.len())));
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for (bytes, expected) in [
            (&b"Z\0\0\0\0"[..], "found a frame of kind Z"),
            (b"L\xff\xff\xff\xff", "found 4294967295 bytes of a frame, expected at most 1048576 (limit script-frame)"),
            (b"P\x01\0\0\0x", "found a frame P that cannot be read: expected value at line 1 column 1"),
        ] {
            assert_eq!(decode(bytes).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn as_many_bytes_as_the_limit_and_no_more() {
        let bytes = Frame::Log(vec![b'x'; 9]).encode();
        let read = |most| Frame::decode(&bytes, &Limits::default().with(Limit::ScriptFrame, most));
        assert!(read(9).unwrap().is_some());
        let expected = "found 9 bytes of a frame, expected at most 8 (limit script-frame)";
        assert_eq!(read(8).unwrap_err().to_string(), expected);
    }
}
