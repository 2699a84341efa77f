//! Computes diff IDs: hashes layers, each by a chain of a reader and a hasher, several layers at once, the biggest first.
//!
//! sha256 goes through a layer front to back, and one layer may hold most of an image's bytes: the biggest layer's time
//! is the time of the whole, unless its reading overlaps its hashing and the others are done beside it.

use crate::{Error, Progress, Result, Source, chain};
use layerstone_store::{Cancel, Digest, Hasher};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::io::Write;
use std::path::Path;

/// Takes a piece of a layer: the layer's index, the piece's offset in the layer, its bytes. The pieces of one layer come
/// in order, those of several layers at the same time.
pub type Sink<'a> = dyn Fn(usize, u64, &[u8]) -> Result<()> + Sync + 'a;

/// Reads and hashes layers, handing every piece to `sink` on the way; the diff IDs in the order of the layers.
///
/// Runs in the current rayon pool, as many layers at once as it has threads. `progress` counts what is done. After an
/// error the rest is cancelled.
pub fn digest_all(sources: &[&Source], sink: &Sink<'_>, progress: &Progress) -> Result<Vec<Digest>> {
    digest_others(sources, &vec![None; sources.len()], sink, progress)
}

/// The same, but a layer that has a digest already is not read.
///
/// # Errors
///
/// A layer cannot be read; the rest is cancelled then.
pub fn digest_others(
    sources: &[&Source],
    seen_to: &[Option<Digest>],
    sink: &Sink<'_>,
    progress: &Progress,
) -> Result<Vec<Digest>> {
    biggest_first(sources, progress, |index, cancel| {
        let found = match seen_to[index] {
            Some(known) => Ok(known),
            None => digest(index, sources[index], sink, progress, cancel),
        };
        progress.add_layer();
        found
    })
}

/// Hashes those of some layers whose diff ID is not known: the diff IDs of all. They are not counted as done, for what is
/// to come; their bytes are.
///
/// # Errors
///
/// A layer cannot be read; the rest is cancelled then.
pub fn digest_unknown(sources: &[&Source], known: &[Option<Digest>], progress: &Progress) -> Result<Vec<Digest>> {
    biggest_first(sources, progress, |index, cancel| match known[index] {
        Some(known) => Ok(known),
        None => digest(index, sources[index], &|_, _, _| Ok(()), progress, cancel),
    })
}

fn digest(index: usize, source: &Source, sink: &Sink<'_>, progress: &Progress, cancel: &Cancel) -> Result<Digest> {
    let tap = |offset, bytes: &[u8]| {
        cancel.check()?;
        progress.count(bytes.len())?;
        sink(index, offset, bytes)
    };
    let mut hasher = Hasher::default();
    chain::run(source, &tap, &mut |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(hasher.finish())
}

/// Does something with each layer, by its index, as many at once as the current rayon pool has threads; the results in the
/// order of the layers, or the error that cancelled the others.
pub(crate) fn biggest_first<T: Send>(
    sources: &[&Source],
    progress: &Progress,
    work: impl Fn(usize, &Cancel) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&index| (Reverse(sources[index].size()), index));
    let cancel = Cancel::default();
    let run = |index: usize| {
        progress.begin_layer(index);
        let result = work(index, &cancel);
        if result.is_err() {
            cancel.cancel();
        }
        (index, result)
    };
    // A bridge hands out the layers in this order, one at a time, to whichever thread is free.
    let mut results: Vec<(usize, Result<T>)> = order.into_iter().par_bridge().map(run).collect();
    results.sort_by_key(|(index, result)| match result {
        Ok(_) | Err(Error::Cancelled(_)) => (1, *index),
        Err(_) => (0, *index),
    });
    results.into_iter().map(|(_, result)| result).collect()
}

/// Writes a layer's bytes and returns its diff ID; `path` names the output in messages, `progress` counts the bytes.
///
/// Reading overlaps with hashing and writing.
pub fn write_layer(source: &Source, out: &mut dyn Write, path: &Path, progress: &Progress) -> Result<Digest> {
    let mut hasher = Hasher::default();
    chain::run(source, &|_, _| Ok(()), &mut |bytes| {
        hasher.update(bytes);
        progress.count(bytes.len())?;
        out.write_all(bytes).map_err(Error::write(path))
    })?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layout, Recipe, store_layout};
    use layerstone_store::{Store, StorePath};
    use layerstone_tar::{Owner, walk_tree};
    use std::fs;
    use std::sync::Mutex;

    /// Layers of very different sizes, and their bytes.
    fn layers() -> (Vec<tempfile::TempDir>, Vec<Source>) {
        let layer = |size: usize| {
            let dir = tempfile::tempdir().unwrap();
            let bytes: Vec<u8> = (0..size).map(|i| (i * i / 7) as u8).collect();
            fs::write(dir.path().join("x"), bytes).unwrap();
            let layout = Layout::gnu_numeric(walk_tree(dir.path(), false).unwrap(), 1, &Owner::numeric_root());
            (dir, Source::from(layout))
        };
        [0, 5_000_000, 100, 3_000_000, 600_000].into_iter().map(layer).unzip()
    }

    fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    #[test]
    fn same_digests_and_pieces_for_any_thread_count() {
        let (_dirs, sources) = layers();
        let references: Vec<&Source> = sources.iter().collect();
        for threads in [1, 2, 8] {
            let pieces = Mutex::new(vec![Vec::new(); sources.len()]);
            let sink = |index: usize, offset: u64, bytes: &[u8]| {
                let layer = &mut pieces.lock().unwrap()[index];
                assert_eq!(offset, layer.len() as u64);
                layer.extend_from_slice(bytes);
                Ok(())
            };
            let progress = Progress::default();
            let digests = in_pool(threads, || digest_all(&references, &sink, &progress)).unwrap();
            for ((digest, piece), source) in digests.iter().zip(pieces.into_inner().unwrap()).zip(&sources) {
                assert_eq!(*digest, Digest::of(&piece));
                assert_eq!(piece.len() as u64, source.size());
                let mut written = Vec::new();
                let again = in_pool(threads, || write_layer(source, &mut written, Path::new("x"), &progress)).unwrap();
                assert_eq!((again, written), (*digest, piece));
            }
            assert_eq!(progress.layers(), 5);
            assert!(progress.last_begun().is_some());
            assert_eq!(progress.bytes(), 2 * sources.iter().map(Source::size).sum::<u64>());
        }
    }

    #[test]
    fn errors_end_the_work() {
        let (dirs, sources) = layers();
        let references: Vec<&Source> = sources.iter().collect();
        let full = |index: usize, _, _: &[u8]| match index {
            1 => Err(Error::write(Path::new("out"))(std::io::ErrorKind::StorageFull.into())),
            _ => Ok(()),
        };
        for threads in [1, 2, 8] {
            let error = in_pool(threads, || digest_all(&references, &full, &Progress::default())).unwrap_err();
            assert!(matches!(error, Error::Tar(layerstone_tar::Error::Write { .. })), "{error}");
        }
        fs::remove_file(dirs[3].path().join("x")).unwrap();
        for threads in [1, 2, 8] {
            let error =
                in_pool(threads, || digest_all(&references, &|_, _, _| Ok(()), &Progress::default())).unwrap_err();
            assert!(matches!(error, Error::Tar(layerstone_tar::Error::Read { .. })), "{error}");
            let result =
                in_pool(threads, || write_layer(&sources[3], &mut Vec::new(), Path::new("x"), &Progress::default()));
            assert!(matches!(result, Err(Error::Tar(layerstone_tar::Error::Read { .. }))));
        }
    }

    /// Layers that are laid out only when they are read, by threads that those of the pool wait for.
    #[test]
    fn layers_laid_out_late_need_no_thread_of_the_pool() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new("/nix/store", dir.path()).unwrap();
        let paths: Vec<StorePath> = (0..8).map(|i| store.entry(&format!("h-{i}")).unwrap()).collect();
        for path in &paths {
            fs::create_dir_all(store.locate(path.as_str())).unwrap();
            fs::write(store.locate(path.as_str()).join("x"), vec![7; 3_000_000]).unwrap();
        }
        let recipe = |paths: &[StorePath]| Recipe {
            store: "/nix/store".to_owned(),
            paths: paths.to_vec(),
            mtime: 1,
            owner: Owner::root(),
            xattrs: false,
        };
        let recipes: Vec<Recipe> = paths.chunks(2).map(recipe).collect();
        let layouts = recipes.iter().map(|recipe| store_layout(&store, recipe).unwrap());
        let (sizes, ready): (Vec<u64>, Vec<Source>) = layouts.map(|it| (it.size(), Source::from(it))).unzip();
        let late = recipes.iter().zip(&sizes).map(|(recipe, size)| Source::lazy(&store, recipe, *size));
        let late: Vec<Source> = late.collect();
        let digests = |sources: &[Source]| {
            let references: Vec<&Source> = sources.iter().collect();
            in_pool(2, || digest_all(&references, &|_, _, _| Ok(()), &Progress::default())).unwrap()
        };
        assert_eq!(digests(&late), digests(&ready));
    }
}
