//! Finds references in bytes: any run of 32 base 32 digits that is the hash part of a candidate, as Nix does.
//!
//! A window of 32 bytes is read from its end backwards. A byte that is no digit rules out every window that holds it,
//! so the window moves beyond it at once: mostly one look in 32 bytes (nix, src/libstore/references.cc). What was found
//! to be digits is not looked at again, so that a long run of digits costs one look a byte and not 32.

use crate::Result;
use crate::candidates::{BuildFold, Candidates, HashPart, is_digit};
use crate::tree::{Node, Step, Walk, read_file, read_part};
use layerstone_store::{HASH_LEN, StorePath};
use rayon::prelude::*;
use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How many bytes at the end of a chunk can be the beginning of a hash part that the next one ends.
const TAIL: usize = HASH_LEN - 1;

/// Receives how many more bytes are done.
pub(crate) type Count<'a> = &'a (dyn Fn(usize) + Sync);

/// Large files are scanned in parts of so many bytes: enough that opening the file again costs nothing beside reading
/// it.
const PART: u64 = 8 << 20;

/// A search for all candidates at once in a stream of bytes.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    candidates: &'a Candidates,
    found: HashSet<&'a HashPart, BuildFold>,
    /// The last bytes that were fed, at most [`TAIL`].
    tail: Vec<u8>,
}

impl<'a> Scanner<'a> {
    /// A search for these candidates.
    pub fn new(candidates: &'a Candidates) -> Scanner<'a> {
        Scanner { candidates, found: HashSet::default(), tail: Vec::with_capacity(2 * TAIL) }
    }

    /// Looks at more bytes, which follow those of the last call.
    pub fn feed(&mut self, chunk: &[u8]) {
        let seen = self.tail.len();
        self.tail.extend_from_slice(&chunk[..chunk.len().min(TAIL)]);
        if seen > 0 {
            let joint = std::mem::take(&mut self.tail);
            self.search(&joint);
            self.tail = joint;
        }
        self.search(chunk);
        if chunk.len() > TAIL {
            self.tail.clear();
            self.tail.extend_from_slice(&chunk[chunk.len() - TAIL..]);
        } else {
            self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        }
    }

    /// Ends the stream: bytes that come now begin another one.
    pub fn cut(&mut self) {
        self.tail.clear();
    }

    /// Takes in what another search for the same candidates found.
    pub(crate) fn join(&mut self, other: Scanner<'a>) {
        self.found.extend(other.found);
    }

    /// The candidates that were found, sorted.
    pub fn finish(self) -> Vec<StorePath> {
        let paths = self.found.into_iter().filter_map(|hash| self.candidates.get(hash));
        let mut paths: Vec<StorePath> = paths.flat_map(|(_, paths)| paths.iter().cloned()).collect();
        paths.sort_unstable();
        paths
    }

    fn search(&mut self, bytes: &[u8]) {
        // The window begins at `start`; the bytes from there to `checked` are digits.
        let (mut start, mut checked) = (0, 0);
        while let Some(window) = bytes[start..].first_chunk::<HASH_LEN>() {
            match window[checked - start..].iter().rposition(|&byte| !is_digit(byte)) {
                Some(position) => {
                    start = checked + position + 1;
                    checked = start;
                }
                None => {
                    if let Some((hash, _)) = self.candidates.get(window) {
                        self.found.insert(hash);
                    }
                    checked = start + HASH_LEN;
                    start += 1;
                }
            }
        }
    }
}

/// Looks for references in a file that should have so many bytes: a large one in parts, in parallel, in rayon's current
/// pool. `count` receives how many bytes are done, piece by piece, from any thread.
pub(crate) fn scan_file(path: &Path, size: u64, scanner: &mut Scanner, count: Count) -> Result<()> {
    scanner.cut();
    if size < 2 * PART {
        read_file(path, size, |bytes| {
            scanner.feed(bytes);
            count(bytes.len());
        })?;
        scanner.cut();
        return Ok(());
    }
    let candidates = scanner.candidates;
    let scan = |start: u64| {
        let mut scanner = Scanner::new(candidates);
        // What the part before has the beginning of, this one finds.
        let part = start.saturating_sub(TAIL as u64)..size.min(start + PART);
        read_part(path, size, part, |bytes| {
            scanner.feed(bytes);
            count(bytes.len());
        })?;
        Ok(scanner)
    };
    let starts: Vec<u64> = (0..size).step_by(PART as usize).collect();
    let parts: Vec<Result<Scanner>> = starts.into_par_iter().map(scan).collect();
    parts.into_iter().try_for_each(|part| part.map(|part| scanner.join(part)))
}

/// Looks for references in a tree of files: contents, names below the root, and link targets. Sockets, pipes and
/// devices have none.
///
/// # Errors
///
/// A file cannot be read, or changes its size while it is read.
pub fn scan_tree(root: &Path, scanner: &mut Scanner) -> Result<()> {
    let mut walk = Walk::new(root);
    while let Some(step) = walk.next()? {
        let Step::Enter(node) = step else { continue };
        if let Some(name) = walk.name() {
            scanner.cut();
            scanner.feed(name.as_bytes());
        }
        scanner.cut();
        match node {
            Node::File { size, .. } => scan_file(walk.path(), size, scanner, &|_| ())?,
            Node::Symlink { target } => scanner.feed(&target),
            Node::Directory | Node::Special { .. } => {}
        }
    }
    scanner.cut();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    const A: &str = "516z65g5d2g7yfc9yv6n2g1q21jqv0m1";
    const B: &str = "5wqnl34l8k8y01bqi4livgq7x9r214kc";

    fn candidates(hashes: &[&str]) -> Candidates {
        let paths = hashes.iter().map(|hash| StorePath::parse(&format!("/nix/store/{hash}-x")).unwrap());
        Candidates::new("test", paths)
    }

    fn scan(candidates: &Candidates, chunks: &[&[u8]]) -> Vec<String> {
        let mut scanner = Scanner::new(candidates);
        chunks.iter().for_each(|chunk| scanner.feed(chunk));
        scanner.finish().iter().map(|path| path.hash_part().unwrap().to_owned()).collect()
    }

    #[test]
    fn wherever_it_stands_and_however_it_is_cut() {
        let candidates = candidates(&[A, B]);
        let text = format!("0000{A}{B}0");
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let (a, b, c) = (&text[..first], &text[first..second], &text[second..]);
                assert_eq!(scan(&candidates, &[a.as_bytes(), b.as_bytes(), c.as_bytes()]), [A, B], "{first} {second}");
            }
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(scan(&candidates, &bytes), [A, B]);
    }

    #[test]
    fn streams_do_not_run_together() {
        let candidates = candidates(&[A]);
        let mut scanner = Scanner::new(&candidates);
        scanner.feed(&A.as_bytes()[..20]);
        scanner.cut();
        scanner.feed(&A.as_bytes()[20..]);
        assert!(scanner.finish().is_empty());
    }

    #[test]
    fn contents_names_and_targets() {
        let dir = tempfile::tempdir().unwrap();
        let other = "17ql70zj7ri5a0i87244d6dq5ih8q0fr";
        let candidates = candidates(&[A, B, other]);
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        std::fs::write(dir.path().join("folder/file"), format!("\0\0{A}\0")).unwrap();
        std::fs::write(dir.path().join(format!("x{B}x")), "").unwrap();
        symlink(format!("/nix/store/{other}-x/bin"), dir.path().join("link")).unwrap();
        std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let mut scanner = Scanner::new(&candidates);
        scan_tree(dir.path(), &mut scanner).unwrap();
        assert_eq!(scanner.finish().len(), 3);
    }

    #[test]
    fn large_files_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        let candidates = candidates(&[A, B]);
        // One hash part at each place where a part begins or ends, and at both ends of the file.
        let size = 3 * PART + 100;
        for at in (0..4)
            .flat_map(|n| [n * PART, n * PART + 1, (n * PART).saturating_sub(31), n * PART + 20])
            .chain([size - 32])
        {
            let mut bytes = vec![0; size as usize];
            bytes[at as usize..][..32].copy_from_slice(A.as_bytes());
            std::fs::write(&file, bytes).unwrap();
            let mut scanner = Scanner::new(&candidates);
            scan_file(&file, size, &mut scanner, &|_| ()).unwrap();
            assert_eq!(scanner.finish().len(), 1, "{at}");
        }
        let error = scan_file(&file, size + 1, &mut Scanner::new(&candidates), &|_| ()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("changed while it was read: {}: found {size} bytes, expected {}", file.display(), size + 1)
        );
    }

    proptest! {
        #[test]
        fn same_as_looking_everywhere(text in "[0ae]{0,300}", from in 0usize..200, cuts in proptest::collection::vec(1usize..70, 1..9)) {
            let mut hashes = vec!["0".repeat(32), "a".repeat(32), format!("{}a", "0".repeat(31))];
            hashes.extend(text.get(from..from + 32).map(str::to_owned));
            let candidates = candidates(&hashes.iter().map(String::as_str).collect::<Vec<_>>());
            let mut expected: Vec<_> =
                hashes.into_iter().filter(|hash| !hash.contains('e') && text.contains(hash.as_str())).collect();
            expected.sort();
            expected.dedup();
            let (mut rest, mut chunks) = (text.as_bytes(), Vec::new());
            for cut in cuts.into_iter().cycle().take(300) {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            let found = scan(&candidates, &chunks);
            prop_assert_eq!(found, expected);
        }
    }
}
