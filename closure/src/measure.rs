//! Adds the NAR sizes and hashes that a closure lacks, measured in the store: registration text may be without them, a
//! plan needs the sizes, and a database both.

use crate::{Closure, PathInfo, Result, nar_hash, nar_size};
use layerstone_store::Store;
use rayon::prelude::*;

/// Measures every path whose size the closure lacks, from the metadata of its files.
///
/// # Errors
///
/// A path cannot be looked at; of several, the first one in the closure's order is named.
pub fn measure(closure: &mut Closure, store: &Store) -> Result<()> {
    complete(closure, |info| {
        if info.nar_size.is_none() {
            info.nar_size = Some(nar_size(&store.locate(info.path.as_str()))?);
        }
        Ok(())
    })
}

/// Reads every path whose NAR hash the closure lacks, for hash and size; then [`measure`]s the others.
///
/// # Errors
///
/// A path cannot be read; of several, the first one in the closure's order is named.
pub fn measure_nars(closure: &mut Closure, store: &Store) -> Result<()> {
    complete(closure, |info| {
        if info.nar_hash.is_none() {
            let (hash, size) = nar_hash(&store.locate(info.path.as_str()))?;
            (info.nar_hash, info.nar_size) = (Some(hash), Some(size));
        }
        Ok(())
    })?;
    measure(closure, store)
}

/// Measures all paths in parallel; the first error in the closure's order counts.
fn complete(closure: &mut Closure, measure: impl Fn(&mut PathInfo) -> Result<()> + Sync + Send) -> Result<()> {
    let results: Vec<Result<()>> = closure.graph.par_iter_mut().map(measure).collect();
    results.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathInfo;
    use layerstone_store::StorePath;

    fn closure(sizes: &[(&str, Option<u64>)]) -> Closure {
        let info = |&(name, nar_size): &(&str, Option<u64>)| PathInfo {
            path: StorePath::parse(&format!("/nix/store/{name}")).unwrap(),
            nar_hash: None,
            nar_size,
            references: Vec::new(),
        };
        Closure { graph: sizes.iter().map(info).collect() }
    }

    #[test]
    fn missing_hashes_are_measured() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new("/nix/store", root.path()).unwrap();
        std::fs::create_dir_all(root.path().join("nix/store")).unwrap();
        std::fs::write(root.path().join("nix/store/b"), "12345678").unwrap();
        let (hash, size) = crate::nar_hash(&root.path().join("nix/store/b")).unwrap();
        let mut found = closure(&[("a", Some(7)), ("b", None)]);
        found.graph[0].nar_hash = Some(hash);
        measure_nars(&mut found, &store).unwrap();
        assert_eq!(found.graph.iter().map(|info| info.nar_size).collect::<Vec<_>>(), [Some(7), Some(size)]);
        assert_eq!(found.graph[1].nar_hash, Some(hash));
        assert!(measure_nars(&mut closure(&[("a", Some(7))]), &store).is_err());
    }

    #[test]
    fn only_missing_sizes_are_measured() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new("/nix/store", root.path()).unwrap();
        std::fs::create_dir_all(root.path().join("nix/store")).unwrap();
        std::fs::write(root.path().join("nix/store/b"), "12345678").unwrap();
        let mut found = closure(&[("a", Some(7)), ("b", None)]);
        measure(&mut found, &store).unwrap();
        assert_eq!(found, closure(&[("a", Some(7)), ("b", Some(120))]));

        let error = measure(&mut closure(&[("d", None), ("c", None)]), &store).unwrap_err().to_string();
        let path = root.path().join("nix/store/d");
        assert_eq!(error, format!("cannot read: {}: No such file or directory (os error 2)", path.display()));
    }
}
