//! Divides a tree into shares, each for a layer of its own, so that a package which changes makes one small layer anew.
//!
//! What is at one depth of the tree is cut into units: a directory with all in it, or a file. Units that belong to one
//! package, by their names without versions (`numpy`, `numpy.libs`, `numpy-1.26.4.dist-info`), are one unit. The division
//! knows no earlier one and needs none, since it goes by names:
//!
//! - Units of about one size make a class. Whatever changes in a layer has all of it sent again, so that small units do not
//!   lie beside big ones: a class of `n` units with `s` bytes in `k` layers costs `s · n / k`, and the classes are those of
//!   the least cost together.
//! - Within a class, each unit prefers the layers in an order that a hash of its name decides, and gets the first that is
//!   not full (rendezvous hashing with bounded loads). A unit that comes or goes moves few others, and one that changes
//!   moves none.

use crate::tree::{FileTree, Node, is_root};
use layerstone_store::Digest;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A share of a tree: one of so many, counted from 0, cut at so many components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The components that the name of a unit has.
    pub depth: usize,
    /// How many shares there are.
    pub shares: usize,
    /// Which one it is.
    pub index: usize,
}

/// The files of a share, and the directories above them; the first share has what is left of the directories.
pub fn share(tree: FileTree, cut: Cut) -> FileTree {
    let mut sizes: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for (path, entry) in &tree.0 {
        if let Some(unit) = unit_of(path, entry.is_directory(), cut.depth) {
            let size = if let Node::File(file) = &entry.node { file.size } else { 0 };
            *sizes.entry(unit).or_default() += size;
        }
    }
    let shares = divide(&sizes, cut.shares);
    let is_kept = |path: &PathBuf, is_directory: bool| match unit_of(path, is_directory, cut.depth) {
        Some(unit) => shares[&unit] == cut.index,
        None => true,
    };
    let mut kept: BTreeMap<_, _> =
        tree.0.into_iter().filter(|(path, entry)| is_kept(path, entry.is_directory())).collect();
    if cut.index > 0 {
        drop_bare(&mut kept, cut.depth);
    }
    FileTree(kept)
}

/// Leaves out directories above units that have none of them.
fn drop_bare(tree: &mut BTreeMap<PathBuf, crate::tree::Entry>, depth: usize) {
    let above: Vec<PathBuf> =
        tree.keys().filter(|path| !is_root(path) && path.components().count() < depth).cloned().collect();
    for path in above.into_iter().rev() {
        let has_more = tree.range(path.clone()..).nth(1).is_some_and(|(next, _)| next.starts_with(&path));
        if tree[&path].is_directory() && !has_more {
            tree.remove(&path);
        }
    }
}

/// The unit that an entry belongs to; none for a directory above units.
fn unit_of(path: &Path, is_directory: bool, depth: usize) -> Option<Vec<u8>> {
    let count = path.components().count();
    if is_root(path) || is_directory && count < depth {
        return None;
    }
    let unit: PathBuf = path.components().take(depth).collect();
    let above = unit.parent().map(|above| above.as_os_str().as_bytes()).unwrap_or_default();
    let name = unit.file_name().unwrap_or_default().as_bytes();
    Some([above, b"/", &identity(name)].concat())
}

/// What a package is called whatever its version: up to a dash that no letter follows, and up to a dot, in lower case.
fn identity(name: &[u8]) -> Vec<u8> {
    let begins_version =
        |at: &usize| name[*at] == b'-' && name.get(at + 1).is_some_and(|next| !next.is_ascii_alphabetic());
    let end = (1..name.len()).find(|at| name[*at] == b'.' || begins_version(at)).unwrap_or(name.len());
    name[..end].iter().map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect()
}

/// The share of each unit.
fn divide(sizes: &BTreeMap<Vec<u8>, u64>, shares: usize) -> BTreeMap<Vec<u8>, usize> {
    let mut divided = BTreeMap::new();
    let mut first = 0;
    for (units, count) in classes(sizes, shares) {
        for (unit, share) in assign(&units, count) {
            divided.insert(unit.to_vec(), first + share);
        }
        first += count;
    }
    divided
}

/// Units of about one size.
#[derive(Default)]
struct Class<'a> {
    units: Vec<&'a [u8]>,
    bytes: u128,
}

/// Classes of units, the biggest first, and how many layers each has: of all ways to cut the units, sorted by size, at
/// powers of two, the one that costs least. Sizes count as powers of two, so that an update seldom cuts them otherwise.
fn classes(sizes: &BTreeMap<Vec<u8>, u64>, shares: usize) -> Vec<(Vec<&[u8]>, usize)> {
    let mut by_size: BTreeMap<u32, Class<'_>> = BTreeMap::new();
    for (unit, size) in sizes {
        let power = (size | 1).ilog2();
        let class = by_size.entry(power).or_default();
        class.units.push(unit);
        class.bytes += 1 << power;
    }
    let fine: Vec<Class<'_>> = by_size.into_values().rev().collect();
    let mut classes = Vec::new();
    let mut fine = fine.into_iter();
    for Segment { classes: count, layers } in cheapest(&fine.as_slice().iter().map(weight).collect::<Vec<_>>(), shares)
    {
        classes.push((fine.by_ref().take(count).flat_map(|class| class.units).collect(), layers));
    }
    classes
}

/// The number of units of a class, and their bytes.
fn weight(class: &Class<'_>) -> (u128, u128) {
    (class.units.len() as u128, class.bytes)
}

/// Classes in a row that share layers.
#[derive(Clone, Copy, Debug)]
struct Segment {
    classes: usize,
    layers: usize,
}

/// The segments of the least cost for so many layers together, by dynamic programming over the classes.
fn cheapest(weights: &[(u128, u128)], layers: usize) -> Vec<Segment> {
    // For the classes before each one and each number of layers: the cost, and the last segment.
    let mut best: Vec<Vec<Option<(u128, Segment)>>> = vec![vec![None; layers + 1]; weights.len() + 1];
    best[0][0] = Some((0, Segment { classes: 0, layers: 0 }));
    for end in 1..=weights.len() {
        let (mut units, mut bytes) = (0, 0);
        for begin in (0..end).rev() {
            units += weights[begin].0;
            bytes += weights[begin].1;
            for own in 1..=layers.min(usize::try_from(units).unwrap_or(layers)) {
                let cost = bytes * units / own as u128;
                for before in 0..=layers - own {
                    let Some((sum, _)) = best[begin][before] else { continue };
                    let slot = &mut best[end][before + own];
                    if slot.is_none_or(|(least, _)| sum + cost < least) {
                        *slot = Some((sum + cost, Segment { classes: end - begin, layers: own }));
                    }
                }
            }
        }
    }
    let mut end = weights.len();
    let least = (0..=layers).filter_map(|used| Some((best[end][used]?.0, used))).min();
    let mut used = least.map_or(0, |(_, used)| used);
    let mut segments = Vec::new();
    while let Some((_, segment)) = best[end][used].filter(|(_, segment)| segment.classes > 0) {
        segments.push(segment);
        (end, used) = (end - segment.classes, used - segment.layers);
    }
    segments.reverse();
    segments
}

/// The layer of each unit of a class, of so many.
fn assign<'a>(units: &[&'a [u8]], layers: usize) -> Vec<(&'a [u8], usize)> {
    let even = units.len().div_ceil(layers);
    let most = even + units.len() / layers / 4;
    let rank = |unit: &[u8], layer: usize| Digest::of(&[unit, b"\0", layer.to_string().as_bytes()].concat()).hex();
    let mut ranks: Vec<(String, &[u8], usize)> = Vec::new();
    for unit in units {
        ranks.extend((0..layers).map(|layer| (rank(unit, layer), *unit, layer)));
    }
    ranks.sort();
    let mut loads = vec![0; layers];
    let mut assigned: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (_, unit, layer) in ranks {
        if loads[layer] < most && !assigned.contains_key(unit) {
            loads[layer] += 1;
            assigned.insert(unit, layer);
        }
    }
    assigned.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Entry, File, lines};

    #[test]
    fn identities() {
        for (name, expected) in [
            ("numpy", "numpy"),
            ("numpy-1.26.4.dist-info", "numpy"),
            ("numpy.libs", "numpy"),
            ("typing_extensions.py", "typing-extensions"),
            ("PyYAML-6.0.egg-info", "pyyaml"),
            ("socket.io-client", "socket"),
            ("left-pad", "left-pad"),
            (".bin", ".bin"),
            ("@scope", "@scope"),
            ("-", "-"),
        ] {
            assert_eq!(identity(name.as_bytes()), expected.as_bytes(), "{name}");
        }
    }

    fn tree(files: &[(&str, u64)]) -> FileTree {
        let mut tree = FileTree::new(Path::new("/s"));
        for (path, size) in files {
            let path = Path::new(path);
            tree.make_directories(path.parent().unwrap(), Path::new("/s")).unwrap();
            let file = File { real: path.into(), size: *size, mode: 0o644, modified: (0, 0) };
            tree.0.insert(path.to_owned(), Entry::new(path, Node::File(file)));
        }
        tree
    }

    fn shares(files: &[(&str, u64)], depth: usize, shares: usize) -> Vec<Vec<String>> {
        (0..shares).map(|index| lines(&share(tree(files), Cut { depth, shares, index }))).collect()
    }

    #[test]
    fn packages_stay_together() {
        let files = [("a/x", 5), ("a-1.0.dist-info/y", 5), ("b/z", 9000), ("c.py", 6)];
        let divided = shares(&files, 1, 3);
        let a = divided.iter().position(|share| share.contains(&"a/".to_owned())).unwrap();
        assert!(divided[a].contains(&"a-1.0.dist-info/y = a-1.0.dist-info/y".to_owned()), "{divided:?}");
        // Each has a layer of its own, and all is there once.
        assert!(divided.iter().all(|share| !share.is_empty()), "{divided:?}");
        let mut all: Vec<String> = divided.concat();
        all.sort();
        let mut expected = lines(&tree(&files));
        expected.sort();
        assert_eq!(all, expected);
    }

    /// Directories above units are where they are needed; an empty one is in the first share.
    #[test]
    fn deeper() {
        let files = [("one/a/x", 1), ("one/b/y", 1), ("two/c/z", 1), ("two/loose", 1)];
        let divided = shares(&files, 2, 4);
        for share in &divided[1..] {
            let units = share.iter().filter(|line| line.contains(" = ")).count();
            assert_eq!(units, 1, "{divided:?}");
            assert!(share.len() <= 3, "{divided:?}");
        }
        let mut tree = tree(&files);
        tree.make_directories(Path::new("three"), Path::new("/s")).unwrap();
        let of = |index| lines(&super::share(tree.clone(), Cut { depth: 2, shares: 4, index }));
        assert_eq!((0..4).filter(|index| of(*index).contains(&"three/".to_owned())).collect::<Vec<_>>(), [0]);
    }

    /// Packages of a few sizes, each a name and bytes.
    fn packages(count: u64) -> BTreeMap<Vec<u8>, u64> {
        let size = |number: u64| 1000 << (number * 7 % 13);
        (0..count).map(|number| (format!("/package-{number}").into_bytes(), size(number))).collect()
    }

    fn layers(sizes: &BTreeMap<Vec<u8>, u64>, shares: usize) -> BTreeMap<Vec<u8>, usize> {
        divide(sizes, shares)
    }

    /// What is sent if a package changes, over all packages on average.
    fn cost(sizes: &BTreeMap<Vec<u8>, u64>, shares: usize) -> u64 {
        let divided = layers(sizes, shares);
        let mut bytes = vec![0; shares];
        sizes.iter().for_each(|(unit, size)| bytes[divided[unit]] += size);
        sizes.keys().map(|unit| bytes[divided[unit]]).sum::<u64>() / sizes.len() as u64
    }

    #[test]
    fn an_update_sends_little() {
        let sizes = packages(200);
        let all: u64 = sizes.values().sum();
        assert!(cost(&sizes, 8) * 16 < all, "{} of {all}", cost(&sizes, 8));
        assert!(cost(&sizes, 20) * 40 < all, "{} of {all}", cost(&sizes, 20));
    }

    /// One more package changes the layers of few others.
    #[test]
    fn others_stay() {
        let before = packages(200);
        let old = layers(&before, 8);
        let mut moved = 0;
        for number in 0..20u64 {
            let mut after = before.clone();
            after.insert(format!("/new-{number}").into_bytes(), 1000 << (number % 13));
            let new = layers(&after, 8);
            moved += before.keys().filter(|unit| new[*unit] != old[*unit]).count();
        }
        assert!(moved < 20 * 4, "{moved} of {}", 20 * 200);
    }

    #[test]
    fn few_units_and_many_shares() {
        assert!(layers(&BTreeMap::new(), 8).is_empty());
        for (units, shares) in [(1, 8), (8, 8), (9, 8), (3, 1), (200, 100)] {
            let sizes = packages(units);
            let divided = layers(&sizes, shares);
            assert_eq!(divided.len(), sizes.len());
            assert!(divided.values().all(|share| *share < shares));
            let used: std::collections::BTreeSet<_> = divided.values().collect();
            assert!(used.len() >= (units as usize).min(shares) * 3 / 4, "{units} {shares}: {}", used.len());
        }
    }
}
