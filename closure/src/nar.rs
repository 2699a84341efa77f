//! Writes NARs, the serialisation by which Nix measures and hashes a store path.
//!
//! ```text
//! nar       = str("nix-archive-1") node
//! node      = str("(") str("type") body str(")")
//! body      = str("regular") [str("executable") str("")] str("contents") str(CONTENTS)
//!           | str("symlink") str("target") str(TARGET)
//!           | str("directory") *( str("entry") str("(") str("name") str(NAME) str("node") node str(")") )
//! str(S)    = length of S, 64 bits, little-endian; S; zeros up to a multiple of 8 bytes
//! ```
//!
//! Entries are in byte order of their names (Dolstra, "The Purely Functional Software Deployment Model", figure 5.2;
//! nix, src/libutil/archive.cc).

use crate::tree::{Node, Step, Walk, read_file};
use crate::{Error, Result};
use layerstone_store::{Hasher, NarHash};
use sha2::{Digest as _, Sha512};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Strings are padded to a multiple of this.
const ALIGN: u64 = 8;
/// How much of the text between contents is gathered before it is passed on.
const GATHER: usize = 16 << 10;

/// The size of a path's NAR in bytes, from metadata alone.
///
/// # Errors
///
/// A file cannot be looked at, or is not a file, directory or link.
pub fn nar_size(path: &Path) -> Result<u64> {
    serialise(path, |_| Ok(()))
}

/// The sha256 and the size in bytes of a path's NAR.
///
/// # Errors
///
/// A file cannot be read, changes its size while it is read, or is not a file, directory or link.
pub fn nar_hash(path: &Path) -> Result<(NarHash, u64)> {
    hash_nar(path, |_| ())
}

/// [`nar_hash`], and the sha512 of the NAR in hexadecimal digits, which some rules for bills of materials want (BSI
/// TR-03183-2); read once for both.
///
/// # Errors
///
/// Those of [`nar_hash`].
pub fn nar_sha512(path: &Path) -> Result<(NarHash, u64, String)> {
    let mut hasher = Sha512::new();
    let (hash, size) = hash_nar(path, |bytes| hasher.update(bytes))?;
    Ok((hash, size, hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// [`nar_hash`], while `sink` gets the NAR in chunks. Memory does not grow with the size of a file.
pub(crate) fn hash_nar(path: &Path, mut sink: impl FnMut(&[u8])) -> Result<(NarHash, u64)> {
    let mut hasher = Hasher::default();
    let mut take = |bytes: &[u8]| {
        hasher.update(bytes);
        sink(bytes);
    };
    let size = serialise(path, |part| match part {
        Part::Text(bytes) => {
            take(bytes);
            Ok(())
        }
        Part::Contents { path, size } => read_file(path, size, &mut take),
    })?;
    Ok((NarHash::new(hasher.finish()), size))
}

/// A piece of a NAR.
pub(crate) enum Part<'a> {
    /// All that is not a file's contents, the length before them and the padding after them included.
    Text(&'a [u8]),
    /// The contents of the file at this path, so many bytes.
    Contents { path: &'a Path, size: u64 },
}

/// Passes a path's NAR on piece by piece, files' contents unread, and gives its size in bytes.
pub(crate) fn serialise(root: &Path, mut emit: impl FnMut(Part) -> Result<()>) -> Result<u64> {
    let mut total = 0;
    let mut emit = |part: Part| {
        total += match part {
            Part::Text(bytes) => bytes.len() as u64,
            Part::Contents { size, .. } => size,
        };
        emit(part)
    };
    let mut text = Vec::new();
    let mut walk = Walk::new(root);
    put(&mut text, &["nix-archive-1"]);
    let mut depth = 0;
    while let Some(step) = walk.next()? {
        if let Step::Enter(_) = step
            && let Some(name) = walk.name()
        {
            put(&mut text, &["entry", "(", "name"]);
            put_bytes(&mut text, name.as_bytes());
            put(&mut text, &["node"]);
        }
        match step {
            Step::Leave => depth -= 1,
            Step::Enter(Node::Directory) => {
                put(&mut text, &["(", "type", "directory"]);
                depth += 1;
                continue;
            }
            Step::Enter(Node::Symlink { target }) => {
                put(&mut text, &["(", "type", "symlink", "target"]);
                put_bytes(&mut text, &target);
            }
            Step::Enter(Node::File { size, executable }) => {
                put(&mut text, &["(", "type", "regular"]);
                put(&mut text, if executable { &["executable", "", "contents"] } else { &["contents"] });
                text.extend_from_slice(&size.to_le_bytes());
                emit(Part::Text(&text))?;
                emit(Part::Contents { path: walk.path(), size })?;
                text.clear();
                pad(&mut text, size);
            }
            Step::Enter(Node::Special { kind }) => return Err(Error::Special { path: walk.path().to_owned(), kind }),
        }
        put(&mut text, if depth > 0 { &[")", ")"] } else { &[")"] });
        if text.len() > GATHER {
            emit(Part::Text(&text))?;
            text.clear();
        }
    }
    emit(Part::Text(&text))?;
    Ok(total)
}

fn put(text: &mut Vec<u8>, strings: &[&str]) {
    strings.iter().for_each(|string| put_bytes(text, string.as_bytes()));
}

fn put_bytes(text: &mut Vec<u8>, bytes: &[u8]) {
    let size = bytes.len() as u64;
    text.extend_from_slice(&size.to_le_bytes());
    text.extend_from_slice(bytes);
    pad(text, size);
}

/// Zeros after a string of this size.
fn pad(text: &mut Vec<u8>, size: u64) {
    let zeros = size.next_multiple_of(ALIGN) - size;
    text.resize(text.len() + zeros as usize, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A tree with every kind of file, sizes on both sides of the padding, and a name with a newline and no UTF-8.
    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &[u8], contents: &str, mode| {
            let path = dir.path().join(OsStr::from_bytes(name));
            std::fs::write(&path, contents).unwrap();
            set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        for directory in ["empty", "a", "a.b"] {
            std::fs::create_dir(dir.path().join(directory)).unwrap();
        }
        file(b"a/one", "x", 0o644);
        file(b"a/eight", "12345678", 0o755);
        file(b"a.b/nothing", "", 0o600);
        file(b"B\n \xff", "", 0o644);
        file(b"z", "123456789", 0o654);
        symlink("../a/one", dir.path().join("a.b/link")).unwrap();
        dir
    }

    /// The expected hash is that of `nix-hash --type sha256 --base32`, the size that of `nix-store --dump | wc -c`.
    #[track_caller]
    fn check(path: &Path, hash: &str, size: u64) {
        let expected = (format!("sha256:{hash}").parse().unwrap(), size);
        assert_eq!(nar_hash(path).unwrap(), expected);
        let (hash, size, sha512) = nar_sha512(path).unwrap();
        assert_eq!(((hash, size), sha512.len()), (expected, 128));
        assert_eq!(nar_size(path).unwrap(), size);
    }

    #[test]
    fn same_as_nix() {
        let dir = tree();
        check(dir.path(), "0ql75858mkr9asa3fhr0k81izjkkq4nbhlb61kaggq3iw4fkca63", 1776);
        check(&dir.path().join("a/eight"), "1qkd1f835gb4fs9cy4k2d7agfn6w506rzxd7pm57g4frvc773dq1", 152);
        check(&dir.path().join("a.b/link"), "0qisa0062ahk5d56qhjys3r6kaffd3fd4wz9mag86zqh4r304mnj", 120);
        check(&dir.path().join("empty"), "0sjjj9z1dhilhpc8pq4154czrb79z9cm044jvn75kxcjv6v5l2m5", 96);
    }

    #[test]
    fn large_files_pass_in_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        std::fs::File::create(&file).unwrap().set_len(1_000_001).unwrap();
        let (mut total, mut largest) = (0, 0);
        let (_, size) = hash_nar(&file, |bytes| {
            total += bytes.len() as u64;
            largest = largest.max(bytes.len());
        })
        .unwrap();
        assert_eq!(size, total);
        assert_eq!(nar_size(&file).unwrap(), total);
        assert!(largest < 500_000, "{largest}");
    }

    #[test]
    fn a_socket_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let expected = format!(
            "cannot be in a store path: {}: found a socket, expected a file, a directory or a link",
            socket.display()
        );
        assert_eq!(nar_hash(dir.path()).unwrap_err().to_string(), expected);
        assert_eq!(nar_size(dir.path()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn an_absent_path_is_an_error() {
        let error = nar_size(Path::new("/nonexistent/x")).unwrap_err().to_string();
        assert_eq!(error, "cannot read: /nonexistent/x: No such file or directory (os error 2)");
    }
}
