//! Members of a tar as Python's tarfile understands them, and their headers as it writes them again.
//!
//! nixpkgs' `stream_layered_image.py` copies a base image's layers with `addfile(getmember(name))`: whatever dialect the
//! base was written in, what comes out is PAX, and all PAX records that the member had are kept. The rules are those of
//! Lib/tarfile.py, of Python 3.13 and of older releases with the fix of CVE-2024-6232: `frombuf` and the `_proc_*` methods
//! for reading, `create_pax_header` for writing.
//!
//! Stricter than Python: a damaged header is an error wherever it stands; sparse members, owners beyond 32 bits, and
//! headers that take more memory than those of real archives (see `limits`) are refused.

mod read;
mod write;

pub(crate) use read::read_members;

use layerstone_tar::Kind;
use std::sync::Arc;

/// A member's header fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TarInfo {
    /// Name; a directory's is without the slash at its end.
    pub name: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Size of the contents in bytes.
    pub size: u64,
    /// Seconds since the epoch, rounded if a PAX record has fractions.
    pub mtime: i64,
    /// The type flag.
    pub flag: u8,
    pub linkname: Vec<u8>,
    pub uname: Vec<u8>,
    pub gname: Vec<u8>,
    /// PAX records, its own and the global ones, in the order in which their keys first came. Members without records of
    /// their own share the global ones.
    pub pax: Arc<Pax>,
}

/// PAX records: keys and values.
pub(crate) type Pax = Vec<(Vec<u8>, Vec<u8>)>;

impl TarInfo {
    /// What it is, as far as that decides what is read of it: contents follow the header of regular files (old, new,
    /// contiguous) and of types that POSIX does not know. Devices are as good as pipes.
    pub(crate) fn kind(&self) -> Kind {
        match self.flag {
            b'1' => Kind::HardLink { target: self.linkname.as_slice().into() },
            b'2' => Kind::Symlink { target: self.linkname.as_slice().into() },
            b'3' | b'4' | b'6' => Kind::Fifo,
            b'5' => Kind::Directory,
            _ => Kind::File { size: self.size },
        }
    }
}
