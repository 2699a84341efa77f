//! Holds the store paths that a scan looks for, by the hash part that gives them away.

use crate::Result;
use layerstone_store::{Error, HASH_LEN, Store, StorePath};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A hash part.
pub(crate) type HashPart = [u8; HASH_LEN];
/// Hashing for keys that are hashes already.
pub(crate) type BuildFold = BuildHasherDefault<Fold>;

/// Store paths by hash part. Paths without one (32 digits of Nix's base 32, then a dash or the end) cannot be found in
/// bytes and are left out.
#[derive(Clone, Debug)]
pub struct Candidates {
    name: String,
    by_hash: HashMap<HashPart, Vec<StorePath>, BuildFold>,
}

impl Candidates {
    /// Candidates from paths in any order; `name` says in messages where they came from.
    pub fn new(name: &str, paths: impl IntoIterator<Item = StorePath>) -> Candidates {
        let mut by_hash: HashMap<HashPart, Vec<StorePath>, BuildFold> = HashMap::default();
        for path in paths {
            if let Some(hash) = path.hash_part().and_then(|hash| hash_part(hash.as_bytes())) {
                by_hash.entry(*hash).or_default().push(path);
            }
        }
        Candidates { name: name.to_owned(), by_hash }
    }

    /// The entries of a store directory that are store paths: named `HASH-NAME`, not ending in `.lock` (Nix's locks,
    /// nix, src/libstore/pathlocks.cc).
    ///
    /// # Errors
    ///
    /// The store directory cannot be read.
    pub fn in_store(store: &Store) -> Result<Candidates> {
        let directory = store.locate(store.dir());
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(Error::io("read the store directory", &directory))? {
            let name = entry.map_err(Error::io("read the store directory", &directory))?.file_name();
            // Nix's names are ASCII; what is not even UTF-8 is no store path.
            let Some(base) = name.to_str() else { continue };
            if is_entry(base) {
                paths.push(store.entry(base)?);
            }
        }
        Ok(Candidates::new(store.dir(), paths))
    }

    /// The entries of a store directory that a text names in full, found without listing the directory; none if the text
    /// has a run of 32 digits that is not the beginning of an entry's whole name there.
    pub fn named_in(store: &Store, text: &[u8]) -> Result<Option<Candidates>> {
        let mut found: HashMap<&HashPart, StorePath, BuildFold> = HashMap::default();
        let mut run = 0;
        for (end, byte) in text.iter().enumerate() {
            run = if is_digit(*byte) { run + 1 } else { 0 };
            let Some(hash) = text[..=end].last_chunk().filter(|_| run >= HASH_LEN) else { continue };
            let rest = text[end + 1..].iter().take_while(|byte| is_name_byte(**byte));
            let base: String = hash.iter().chain(rest).map(|byte| char::from(*byte)).collect();
            if found.get(hash).is_some_and(|path| path.base_name() == base) {
                continue;
            }
            let path = if is_entry(&base) { store.entry(&base)? } else { return Ok(None) };
            if found.contains_key(hash) || store.locate(path.as_str()).symlink_metadata().is_err() {
                return Ok(None);
            }
            found.insert(hash, path);
        }
        Ok(Some(Candidates::new(store.dir(), found.into_values())))
    }

    /// Where the candidates came from, as messages say it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The paths with this hash part: usually one, none if it is not among the candidates.
    pub(crate) fn get(&self, hash: &HashPart) -> Option<(&HashPart, &[StorePath])> {
        self.by_hash.get_key_value(hash).map(|(hash, paths)| (hash, paths.as_slice()))
    }
}

/// Whether a name in a store directory, which begins with a hash part if any of its paths does, can be a store path's.
fn is_entry(base: &str) -> bool {
    base.as_bytes().get(HASH_LEN) == Some(&b'-') && !base.ends_with(".lock")
}

/// What Nix allows in a base name (nix, src/libstore/path.cc).
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte)
}

/// The hash part at the beginning of these bytes, if the first 32 are digits.
pub(crate) fn hash_part(bytes: &[u8]) -> Option<&HashPart> {
    bytes.first_chunk().filter(|hash| hash.iter().all(|&byte| is_digit(byte)))
}

/// Whether this is a digit of Nix's base 32: no e, o, t, u (nix, src/libutil/hash.cc).
pub(crate) fn is_digit(byte: u8) -> bool {
    const DIGITS: [bool; 256] = {
        let (mut digits, mut n) = ([false; 256], 0);
        while n < 256 {
            let byte = n as u8;
            digits[n] = matches!(byte, b'0'..=b'9' | b'a'..=b'z') && !matches!(byte, b'e' | b'o' | b't' | b'u');
            n += 1;
        }
        digits
    };
    DIGITS[usize::from(byte)]
}

/// Hashes a hash part in a few instructions, because a long run of digits needs a look-up for every byte. The keys are
/// digests of what they name, so they are spread well, and whoever makes a store with colliding ones only slows down
/// their own scan.
#[derive(Default)]
pub(crate) struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks().0 {
            self.0 = self.0.rotate_left(5) ^ u64::from_le_bytes(*word);
        }
    }

    /// The length, which all keys share.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        /// 2^64 divided by the golden ratio, odd: the product's upper bits depend on all bits of the key.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let product = self.0.wrapping_mul(SPREAD);
        product ^ product >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "516z65g5d2g7yfc9yv6n2g1q21jqv0m1";

    #[test]
    fn what_is_a_candidate_in_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join("nix/store").join(name);
        std::fs::create_dir_all(at(".links")).unwrap();
        let e = HASH.replace('5', "e");
        for name in ["a", "x.lock", "x", ".drv"] {
            std::fs::write(at(&format!("{HASH}-{name}")), "").unwrap();
        }
        for name in [HASH, "short-name", &format!("{e}-x"), &format!(".{HASH}"), &format!("{HASH}.lock")] {
            std::fs::write(at(name), "").unwrap();
        }
        let candidates = Candidates::in_store(&Store::new("/nix/store", dir.path()).unwrap()).unwrap();
        let (_, paths) = candidates.get(hash_part(HASH.as_bytes()).unwrap()).unwrap();
        let mut names: Vec<_> = paths.iter().map(StorePath::name).collect();
        names.sort_unstable();
        assert_eq!(names, [".drv", "a", "x"]);
        assert_eq!(candidates.by_hash.len(), 1);
    }

    /// The same as of the whole directory, or none where a name is cut off, goes on, or is no entry's.
    #[test]
    fn named_in_a_text() {
        let dir = tempfile::tempdir().unwrap();
        let other = HASH.replace('5', "6");
        for name in [format!("{HASH}-a"), format!("{other}-b.drv")] {
            std::fs::create_dir_all(dir.path().join("nix/store").join(name)).unwrap();
        }
        let store = Store::new("/nix/store", dir.path()).unwrap();
        let named = |text: &str| {
            let found = Candidates::named_in(&store, text.as_bytes()).unwrap()?;
            let mut names: Vec<_> = found.by_hash.into_values().flatten().map(|path| path.name().to_owned()).collect();
            names.sort_unstable();
            Some(names.join(" "))
        };
        assert_eq!(named("").as_deref(), Some(""));
        assert_eq!(named(&HASH[1..]).as_deref(), Some(""));
        assert_eq!(named(&format!("/nix/store/{HASH}-a/bin\0{HASH}-a\0{other}-b.drv")).as_deref(), Some("a b.drv"));
        for text in [HASH.to_owned(), format!("{HASH}-"), format!("{HASH}-a.b"), format!("0{HASH}-a")] {
            assert_eq!(named(&text), None, "{text}");
        }
    }

    #[test]
    fn digits() {
        let digits: String = (0..=255u8).filter(|&byte| is_digit(byte)).map(char::from).collect();
        assert_eq!(digits, "0123456789abcdfghijklmnpqrsvwxyz");
    }

    #[test]
    fn a_missing_store_is_an_error() {
        let store = Store::new("/nix/store", "/nonexistent").unwrap();
        let error = Candidates::in_store(&store).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot read the store directory: /nonexistent/nix/store: No such file or directory (os error 2)"
        );
    }
}
