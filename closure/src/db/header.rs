//! Parses the first bytes of an SQLite database (<https://sqlite.org/fileformat.html>, section 1.3).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How every database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What the header says before SQLite opens the database.
pub(super) struct Header {
    /// Whether changes go to a write-ahead log, and not into the database with a journal to roll them back.
    pub has_log: bool,
    /// How many bytes the database has, as far as the header knows: pages that are only in the log are not counted.
    pub bytes: u64,
}

impl Header {
    /// The header of a file; none if it is no database.
    pub fn read(file: &File) -> io::Result<Option<Header>> {
        let mut bytes = [0; 32];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let Some(fields) = bytes.strip_prefix(MAGIC) else { return Ok(None) };
        // The page size in bytes, 1 for 65536 that two bytes cannot hold; later the number of pages.
        let page = match u16::from_be_bytes([fields[0], fields[1]]) {
            1 => 65_536,
            size => u64::from(size),
        };
        let pages = u32::from_be_bytes([fields[12], fields[13], fields[14], fields[15]]);
        Ok(Some(Header { has_log: fields[3] == 2, bytes: page * u64::from(pages) }))
    }
}
