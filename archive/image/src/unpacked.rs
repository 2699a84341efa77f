//! Unpacking what is compressed into anonymous temporary files, up to a limit: a few bytes may stand for many.

use crate::decompression::{Trailing, decompress};
use crate::{Compression, Error, Result};
use layerstone_store::{Error as StageError, Limits};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, Write};
use std::path::Path;
use std::rc::Rc;

/// Bytes written at a time.
const CHUNK: usize = 1 << 17;

/// A file; if it is compressed, what it unpacks to. `path` is what messages call it.
///
/// # Errors
///
/// It cannot be read or unpacked, or has more bytes than it may.
pub fn plain(file: File, path: &Path, limits: Limits) -> Result<File> {
    let reading = || StageError::io("read", path);
    let plain = match Compression::peek(&file).map_err(reading())? {
        Compression::None => file,
        _ => {
            let size = file.metadata().map_err(reading())?.len();
            (&file).rewind().map_err(reading())?;
            unpack(file, path, limits.unpacked(Some(size)))?.file
        }
    };
    (&plain).rewind().map_err(reading())?;
    Ok(plain)
}

/// What something was unpacked to.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub file: File,
    /// How it was compressed.
    pub compression: Compression,
    /// Whether bytes behind it were passed over that are more than padding.
    pub has_garbage: bool,
}

/// Unpacks into a temporary file; `path` is what messages call the input.
pub(crate) fn unpack(mut input: impl Read, path: &Path, limit: u64) -> Result<Unpacked> {
    let unpacking = || StageError::io("unpack", path);
    let mut magic = Vec::new();
    input.by_ref().take(Compression::MAGIC_LEN as u64).read_to_end(&mut magic).map_err(unpacking())?;
    let compression = Compression::of(&magic);
    let input = BufReader::with_capacity(1 << 16, Cursor::new(magic).chain(input));
    let mut file = tempfile::tempfile().map_err(unpacking())?;
    let garbage = Rc::new(Cell::new(false));
    let mut reader = decompress(compression, input, Trailing::Ignored(Rc::clone(&garbage))).map_err(unpacking())?;
    copy(&mut reader, path, limit, |bytes| Ok(file.write_all(bytes).map_err(unpacking())?))?;
    drop(reader);
    Ok(Unpacked { file, compression, has_garbage: garbage.get() })
}

/// Copies all that a reader gives, which must not be more than the limit.
pub(crate) fn copy(
    reader: &mut dyn Read,
    path: &Path,
    limit: u64,
    mut write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(StageError::io("unpack", path)(e).into()),
        };
        total += read as u64;
        if total > limit {
            return Err(Error::TooLarge { path: path.to_owned(), limit });
        }
        write(&buffer[..read])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn limits() {}

    #[test]
    fn no_byte_more_than_the_limit() {
        let compressed = zstd::encode_all(&[7; 100_000][..], 1).unwrap();
        let Unpacked { file, compression, .. } = unpack(&compressed[..], Path::new("x.zst"), 100_000).unwrap();
        assert_eq!((file.metadata().unwrap().len(), compression), (100_000, Compression::Zstd));
        let mut last = [0];
        file.read_exact_at(&mut last, 99_999).unwrap();
        assert_eq!(last, [7]);
        let error = unpack(&compressed[..], Path::new("x.zst"), 99_999).unwrap_err().to_string();
        assert_eq!(error, "unpacks to more than 99999 bytes: x.zst");
        let error = unpack(&compressed[..20], Path::new("x.zst"), 100_000).unwrap_err().to_string();
        assert!(error.starts_with("cannot unpack: x.zst: "), "{error}");
    }
}
