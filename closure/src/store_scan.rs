//! Makes a closure without a database: scans every path for the paths that it refers to, from the roots on.

use crate::nar::{Part, hash_nar, serialise};
use crate::scan::{Count, scan_file};
use crate::{Candidates, Closure, PathInfo, ReferencesGraph, Result, Scanner};
use layerstone_store::{Store, StorePath};
use rayon::Scope;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// The closure of some roots, found by scanning the store's files for the hash parts of the store's entries, with NAR
/// sizes, and NAR hashes if they are asked for. Paths are scanned in parallel, in rayon's current pool; `count` receives
/// how many bytes of NARs are done, piece by piece, from any thread.
///
/// Nix looks only for what a build could see; here every entry of the store is looked for, so a path that holds
/// another's hash by intent (a database, a list of paths) refers to it.
///
/// # Errors
///
/// A root is outside the store or absent; a path cannot be read, changes while it is read, or holds a socket, pipe or
/// device; paths refer to each other in a cycle. Of several errors it is that of the smallest path.
pub fn scan_store(
    store: &Store,
    roots: &[StorePath],
    nar_hashes: bool,
    count: impl Fn(usize) + Sync,
) -> Result<Closure> {
    roots.iter().try_for_each(|root| store.parse(root.as_str()).map(drop))?;
    let candidates = Candidates::in_store(store)?;
    let scan = Scan { store, candidates: &candidates, nar_hashes, count: &count, seen: Mutex::default() };
    rayon::scope(|scope| scan.discover(scope, roots));
    let seen = scan.seen.into_inner().expect("no thread panics while it holds the lock");
    let entries = seen.into_values().flatten().collect::<Result<Vec<_>>>()?;
    ReferencesGraph::new(store.dir(), entries)?.closure(&[])
}

/// A scan in progress.
struct Scan<'a> {
    store: &'a Store,
    candidates: &'a Candidates,
    nar_hashes: bool,
    count: Count<'a>,
    /// Every path discovered so far, with what its scan gave when it has ended.
    seen: Mutex<BTreeMap<StorePath, Option<Result<PathInfo>>>>,
}

impl Scan<'_> {
    /// Starts a scan of those paths that nobody has discovered before.
    fn discover<'s>(&'s self, scope: &Scope<'s>, paths: &[StorePath]) {
        for path in paths {
            match self.seen().entry(path.clone()) {
                Entry::Occupied(_) => continue,
                Entry::Vacant(slot) => slot.insert(None),
            };
            let path = path.clone();
            scope.spawn(move |scope| {
                let result = self.path_info(&path);
                // An error does not stop the others: which one is reported must not depend on who came first.
                if let Ok(info) = &result {
                    self.discover(scope, &info.references);
                }
                self.seen().insert(path, Some(result));
            });
        }
    }

    fn path_info(&self, path: &StorePath) -> Result<PathInfo> {
        let real = self.store.locate(path.as_str());
        let mut scanner = Scanner::new(self.candidates);
        let (nar_size, nar_hash) = if self.nar_hashes {
            let (hash, size) = hash_nar(&real, |bytes| {
                scanner.feed(bytes);
                (self.count)(bytes.len());
            })?;
            (size, Some(hash))
        } else {
            (scan_nar(&real, &mut scanner, self.count)?, None)
        };
        Ok(PathInfo { path: path.clone(), nar_hash, nar_size: Some(nar_size), references: scanner.finish() })
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<StorePath, Option<Result<PathInfo>>>> {
        self.seen.lock().expect("no thread panics while it holds the lock")
    }
}

/// Looks for references in a path's NAR and gives its size in bytes. Unlike its hash, they need no order: large files
/// are scanned in parts.
fn scan_nar(path: &Path, scanner: &mut Scanner, count: Count) -> Result<u64> {
    serialise(path, |part| match part {
        Part::Text(bytes) => {
            scanner.feed(bytes);
            count(bytes.len());
            Ok(())
        }
        Part::Contents { path, size } => scan_file(path, size, scanner, count),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nar_hash;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const APP: &str = "516z65g5d2g7yfc9yv6n2g1q21jqv0m1-app";
    const LIB: &str = "5wqnl34l8k8y01bqi4livgq7x9r214kc-lib";
    const DATA: &str = "17ql70zj7ri5a0i87244d6dq5ih8q0fr-data";
    const OTHER: &str = "hznwmmjwl1zd5hzbbg2kg6ra1fjbsdqw-other";

    /// A store below a root: the app holds its own path and the lib's, the lib links to the data, the data has the
    /// other's hash in a name; a lock and a file of Nix's are there too.
    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join("nix/store").join(name);
        for directory in [&format!("{APP}/bin"), LIB, DATA, ".links"] {
            std::fs::create_dir_all(at(directory)).unwrap();
        }
        std::fs::write(at(&format!("{APP}/bin/app")), format!("\x7fELF\0/nix/store/{APP}\0/nix/store/{LIB}\0"))
            .unwrap();
        symlink(format!("/nix/store/{DATA}/share"), at(&format!("{LIB}/share"))).unwrap();
        std::fs::write(at(&format!("{DATA}/{}", &OTHER[..32])), "").unwrap();
        std::fs::write(at(OTHER), "").unwrap();
        std::fs::write(at(&format!("{OTHER}.lock")), "").unwrap();
        let store = Store::new("/nix/store", dir.path()).unwrap();
        (dir, store)
    }

    fn paths(closure: &Closure) -> Vec<&str> {
        closure.graph.iter().map(|info| info.path.base_name()).collect()
    }

    #[test]
    fn references_of_all_kinds() {
        let (_dir, store) = store();
        let closure = scan_store(&store, &[store.entry(APP).unwrap()], true, |_| ()).unwrap();
        assert_eq!(paths(&closure), [DATA, APP, LIB, OTHER]);
        let entry = |base: &str| store.entry(base).unwrap();
        assert_eq!(closure.graph[0].references, [entry(OTHER)]);
        assert_eq!(closure.graph[1].references, [entry(APP), entry(LIB)]);
        assert_eq!(closure.graph[2].references, [entry(DATA)]);
        assert_eq!(closure.graph[3].references, []);
        for info in &closure.graph {
            let (hash, size) = nar_hash(&store.locate(info.path.as_str())).unwrap();
            assert_eq!((info.nar_hash, info.nar_size), (Some(hash), Some(size)));
        }
    }

    #[test]
    fn every_byte_is_counted() {
        let (_dir, store) = store();
        std::fs::write(store.locate(format!("/nix/store/{OTHER}")), vec![0; 20 << 20]).unwrap();
        for nar_hashes in [false, true] {
            let counted = AtomicUsize::new(0);
            let count = |bytes| {
                counted.fetch_add(bytes, Ordering::Relaxed);
            };
            let closure = scan_store(&store, &[store.entry(APP).unwrap()], nar_hashes, count).unwrap();
            let size = closure.graph.iter().filter_map(|info| info.nar_size).sum::<u64>();
            // The parts of a large file overlap by a few bytes.
            assert_eq!(counted.into_inner() as u64 - size, if nar_hashes { 0 } else { 2 * 31 });
        }
    }

    #[test]
    fn same_for_any_thread_count_and_root_order() {
        let (_dir, store) = store();
        let mut roots = [store.entry(APP).unwrap(), store.entry(OTHER).unwrap(), store.entry(DATA).unwrap()];
        let scan = |threads, roots: &[StorePath]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| scan_store(&store, roots, false, |_| ())).unwrap()
        };
        let one = scan(1, &roots);
        assert!(one.graph.iter().all(|info| info.nar_hash.is_none() && info.nar_size.is_some()));
        roots.reverse();
        assert_eq!(scan(8, &roots), one);
    }

    #[track_caller]
    fn check_error(store: &Store, root: &str, expected: &str) {
        let root = StorePath::parse(root).unwrap();
        assert_eq!(scan_store(store, &[root], false, |_| ()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn roots_must_be_in_the_store() {
        let (dir, store) = store();
        let absent = dir.path().join("nix/store/x");
        check_error(
            &store,
            "/nix/store/x",
            &format!("cannot read: {}: No such file or directory (os error 2)", absent.display()),
        );
        check_error(&store, "/gnu/store/x", "not a store path: \"/gnu/store/x\": it is outside the store /nix/store");
    }

    #[test]
    fn a_cycle_is_an_error() {
        let (dir, store) = store();
        std::fs::write(dir.path().join("nix/store").join(OTHER), APP).unwrap();
        check_error(
            &store,
            &format!("/nix/store/{LIB}"),
            &format!(
                "cycle of references: /nix/store: {}",
                [DATA, OTHER, APP, LIB, DATA].map(|base| format!("/nix/store/{base}")).join(" -> ")
            ),
        );
    }

    #[test]
    fn the_smallest_path_with_an_error_is_reported() {
        let (dir, store) = store();
        let bind = |base: &str| {
            let socket = dir.path().join("nix/store").join(base).join("s");
            (std::os::unix::net::UnixListener::bind(&socket).unwrap(), socket)
        };
        let _app = bind(&format!("{APP}/bin"));
        let (_data, socket) = bind(DATA);
        let expected = |socket: &Path| {
            format!(
                "cannot be in a store path: {}: found a socket, expected a file, a directory or a link",
                socket.display()
            )
        };
        let roots = [store.entry(APP).unwrap(), store.entry(DATA).unwrap()];
        for _ in 0..20 {
            assert_eq!(scan_store(&store, &roots, false, |_| ()).unwrap_err().to_string(), expected(&socket));
        }
    }
}
