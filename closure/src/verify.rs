//! Compares the files of a store with what a closure recorded of them.

use crate::nar::hash_nar;
use crate::{Closure, Error, PathInfo, Result};
use layerstone_store::{NarHash, Store, StorePath};
use rayon::prelude::*;
use std::cmp::Reverse;

/// A path whose files are not what was recorded.
#[derive(Debug)]
pub struct Mismatch {
    /// The path.
    pub path: StorePath,
    /// The NAR hash that was recorded.
    pub nar_hash: NarHash,
    /// The NAR size in bytes that was recorded, if one was.
    pub nar_size: Option<u64>,
    /// NAR hash and size of the files that are there, or why they have none.
    pub found: Result<(NarHash, u64)>,
}

/// Reads all paths of a closure and compares their NAR hashes and sizes with those recorded; those that differ, by
/// path.
///
/// Paths are read in parallel, in rayon's current pool, the largest first; `count` receives how many bytes of NARs are
/// done, piece by piece, from any thread.
///
/// # Errors
///
/// A path has no NAR hash recorded. A path that is absent or cannot be read is a mismatch.
pub fn verify(closure: &Closure, store: &Store, count: impl Fn(usize) + Sync) -> Result<Vec<Mismatch>> {
    let recorded = |info: &PathInfo| info.nar_hash.ok_or_else(|| Error::NoHash { path: info.path.clone() });
    let mut recorded: Vec<(NarHash, &PathInfo)> =
        closure.graph.iter().map(|info| Ok((recorded(info)?, info))).collect::<Result<_>>()?;
    recorded.sort_by_key(|(_, info)| Reverse(info.nar_size));
    let compare = |(nar_hash, info): (NarHash, &PathInfo)| {
        let found = hash_nar(&store.locate(info.path.as_str()), |bytes| count(bytes.len()));
        let same_size = |size| info.nar_size.is_none_or(|recorded| recorded == size);
        let same = found.as_ref().is_ok_and(|&(hash, size)| hash == nar_hash && same_size(size));
        (!same).then(|| Mismatch { path: info.path.clone(), nar_hash, nar_size: info.nar_size, found })
    };
    // A bridge hands out the paths in this order, one at a time, to whichever thread is free.
    let mut mismatches: Vec<Mismatch> = recorded.into_iter().par_bridge().filter_map(compare).collect();
    mismatches.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(mismatches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan_store;
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const A: &str = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-a";
    const B: &str = "/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-b";
    const C: &str = "/nix/store/hznwmmjwl1zd5hzbbg2kg6ra1fjbsdqw-c";

    /// A store of three paths, and its closure.
    fn store() -> (tempfile::TempDir, Store, Closure) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new("/nix/store", dir.path()).unwrap();
        fs::create_dir_all(store.locate(A)).unwrap();
        fs::write(store.locate(A).join("x"), vec![b'x'; 300_000]).unwrap();
        fs::write(store.locate(B), "b").unwrap();
        fs::write(store.locate(C), "c").unwrap();
        let roots = [A, B, C].map(|path| StorePath::parse(path).unwrap());
        let closure = scan_store(&store, &roots, true, |_| ()).unwrap();
        (dir, store, closure)
    }

    /// The report of each path: the base name's letter, and what differs.
    #[track_caller]
    fn check(store: &Store, closure: &Closure, expected: &[(&str, &str)]) {
        for threads in [1, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| verify(closure, store, |_| ())).unwrap();
            let text = |mismatch: &Mismatch| match &mismatch.found {
                Err(error) => error.to_string().replace(&store.root().display().to_string(), ""),
                Ok((hash, size)) => format!(
                    "hash {} size {}",
                    if *hash == mismatch.nar_hash { "same" } else { "other" },
                    if mismatch.nar_size == Some(*size) { "same" } else { "other" }
                ),
            };
            let found: Vec<_> = found.iter().map(|mismatch| (mismatch.path.as_str(), text(mismatch))).collect();
            let found: Vec<_> = found.iter().map(|(path, text)| (*path, text.as_str())).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn all_as_recorded() {
        let (_dir, store, mut closure) = store();
        check(&store, &closure, &[]);
        closure.graph.iter_mut().for_each(|info| info.nar_size = None);
        check(&store, &closure, &[]);
    }

    #[test]
    fn differences_are_in_path_order() {
        let (_dir, store, mut closure) = store();
        fs::write(store.locate(A).join("x"), vec![b'y'; 300_000]).unwrap();
        fs::remove_file(store.locate(B)).unwrap();
        closure.graph[2].nar_size = Some(1);
        let absent = format!("cannot read: {B}: No such file or directory (os error 2)");
        check(&store, &closure, &[(A, "hash other size same"), (B, &absent), (C, "hash same size other")]);
        fs::write(store.locate(B), "bb").unwrap();
        fs::remove_file(store.locate(C)).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(store.locate(C)).unwrap();
        let socket = format!("cannot be in a store path: {C}: found a socket, expected a file, a directory or a link");
        check(&store, &closure, &[(A, "hash other size same"), (B, "hash other size same"), (C, &socket)]);
    }

    #[test]
    fn every_path_must_have_a_hash() {
        let (_dir, store, mut closure) = store();
        closure.graph[1].nar_hash = None;
        let error = verify(&closure, &store, |_| ()).unwrap_err().to_string();
        assert_eq!(error, format!("closure without NAR hashes: found none of {B}, expected one of every path"));
    }

    #[test]
    fn every_byte_is_counted() {
        let (_dir, store, closure) = store();
        let counted = AtomicUsize::new(0);
        verify(&closure, &store, |bytes| {
            counted.fetch_add(bytes, Ordering::Relaxed);
        })
        .unwrap();
        assert_eq!(counted.into_inner(), closure.graph.iter().filter_map(|info| info.nar_size).sum::<u64>() as usize);
    }
}
