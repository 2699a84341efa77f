//! Pairs the paths of two sets by name: when something changes, all that depends on it gets new paths of old names.
//!
//! Paths that only one side has are paired in three rounds: first those of one name and one size, then those of one
//! name, then those of one package and output in different versions. What is left was added or removed. Where a round
//! finds several paths on a side, the larger ones and the later versions are paired first.

mod version;

use crate::Package;
use layerstone_store::{NarHash, StorePath};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::mem::take;
use version::Version;
pub use version::compare_versions;

/// A store path with the size and the hash of its contents, as far as they are given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The path.
    pub path: StorePath,
    /// Its size in bytes, measured alike on both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its NAR hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nar_hash: Option<NarHash>,
}

impl Item {
    /// A path without size and hash.
    pub fn of(path: &StorePath) -> Item {
        Item { path: path.clone(), size: None, nar_hash: None }
    }
}

/// What two sets of paths differ in. Lists are sorted by name, then by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PathDiff {
    /// Paths that only the new side has.
    pub added: Vec<Item>,
    /// Paths that only the old side has.
    pub removed: Vec<Item>,
    /// Paths that replace others, and paths whose contents are not what they were.
    pub changed: Vec<Change>,
    /// Paths that are the same on both sides.
    pub unchanged: Total,
    /// All of the old side.
    pub old: Total,
    /// All of the new side.
    pub new: Total,
}

/// A path that replaces another, or whose size or NAR hash is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// What was there.
    pub old: Item,
    /// What is there.
    pub new: Item,
}

/// How many paths there are, and how large they are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Number of paths.
    pub paths: usize,
    /// Sum of their sizes in bytes; those that are unknown count nothing.
    pub size: u64,
}

/// What differs between two sets of paths; a path that stands several times in one counts once, as it stands last.
///
/// A version begins where Nix sees one ([`StorePath::package`]); at its end an output's name, such as `-dev` or `-lib`,
/// is no part of it (nix, src/nix/diff-closures.cc).
pub fn difference(old: &[Item], new: &[Item]) -> PathDiff {
    let (old, new) = (by_path(old), by_path(new));
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for (path, &before) in &old {
        match new.get(path) {
            Some(after) if differ(before.size, after.size) || differ(before.nar_hash, after.nar_hash) => {
                changed.push(Change { old: before.clone(), new: (*after).clone() })
            }
            Some(after) => unchanged.push(*after),
            None => {}
        }
    }
    let mut sides = Sides { removed: only(&old, &new), added: only(&new, &old), changed };
    sides.pair(|item| (item.path.name(), item.size), |_| ());
    sides.pair(|item| item.path.name(), |item| item.size);
    sides.pair(|item| name_and_output(&item.path), |item| Version::parse(Package::of(&item.path).version));
    PathDiff {
        added: by_name(sides.added.into_iter().cloned().collect(), |item| item),
        removed: by_name(sides.removed.into_iter().cloned().collect(), |item| item),
        changed: by_name(sides.changed, |change| &change.old),
        unchanged: Total::of(unchanged),
        old: Total::of(old.into_values()),
        new: Total::of(new.into_values()),
    }
}

fn name_and_output(path: &StorePath) -> (&str, &str) {
    let package = Package::of(path);
    (package.name, package.output)
}

impl Total {
    fn of<'a>(items: impl IntoIterator<Item = &'a Item>) -> Total {
        let add = |sum: Total, item: &Item| Total {
            paths: sum.paths + 1,
            size: sum.size.saturating_add(item.size.unwrap_or(0)),
        };
        items.into_iter().fold(Total::default(), add)
    }
}

/// Items under their paths.
type Paths<'a> = BTreeMap<&'a StorePath, &'a Item>;

fn by_path(items: &[Item]) -> Paths<'_> {
    items.iter().map(|item| (&item.path, item)).collect()
}

/// The items whose paths the others have not.
fn only<'a>(these: &Paths<'a>, others: &Paths) -> Vec<&'a Item> {
    these.iter().filter(|(path, _)| !others.contains_key(*path)).map(|(_, item)| *item).collect()
}

/// Whether both sides have a value and the values differ.
pub(crate) fn differ<T: PartialEq>(old: Option<T>, new: Option<T>) -> bool {
    old.zip(new).is_some_and(|(old, new)| old != new)
}

fn by_name<T: Ord>(mut list: Vec<T>, item: impl Fn(&T) -> &Item) -> Vec<T> {
    list.sort_unstable_by(|a, b| item(a).path.name().cmp(item(b).path.name()).then_with(|| a.cmp(b)));
    list
}

/// Paths that wait for their like on the other side.
struct Sides<'a> {
    removed: Vec<&'a Item>,
    added: Vec<&'a Item>,
    changed: Vec<Change>,
}

impl<'a> Sides<'a> {
    /// Pairs what has the same key on both sides: by falling rank, at the same rank by path. What finds no partner goes
    /// on waiting.
    fn pair<K: Ord, R: Ord>(&mut self, key: impl Fn(&'a Item) -> K, rank: impl Fn(&'a Item) -> R) {
        let mut groups: BTreeMap<K, [Vec<&Item>; 2]> = BTreeMap::new();
        for (side, items) in [take(&mut self.removed), take(&mut self.added)].into_iter().enumerate() {
            for item in items {
                groups.entry(key(item)).or_default()[side].push(item);
            }
        }
        for mut group in groups.into_values() {
            group.iter_mut().for_each(|side| side.sort_unstable_by_key(|item| (Reverse(rank(item)), &item.path)));
            let [mut removed, mut added] = group;
            let pairs = removed.len().min(added.len());
            let pairs = removed.drain(..pairs).zip(added.drain(..pairs));
            self.changed.extend(pairs.map(|(old, new)| Change { old: old.clone(), new: new.clone() }));
            self.removed.append(&mut removed);
            self.added.append(&mut added);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::Digest;
    use proptest::prelude::*;

    /// A path of a hash part of one digit repeated, a name and a size: `a openssl-3.0 7`; no size for `-`.
    fn item(text: &str) -> Item {
        let words: Vec<&str> = text.split(' ').collect();
        let path = StorePath::parse(&format!("/nix/store/{}-{}", words[0].repeat(32), words[1])).unwrap();
        Item { path, size: words[2].parse().ok(), nar_hash: None }
    }

    fn items(texts: &[&str]) -> Vec<Item> {
        texts.iter().map(|text| item(text)).collect()
    }

    fn text(item: &Item) -> String {
        let size = item.size.map_or("-".to_owned(), |size| size.to_string());
        format!("{} {} {size}", &item.path.base_name()[..1], item.path.name())
    }

    /// Lines of `+ added`, `- removed` and `old > new`.
    #[track_caller]
    fn check(old: &[&str], new: &[&str], expected: &[&str]) {
        let found = difference(&items(old), &items(new));
        let lines: Vec<String> = found
            .added
            .iter()
            .map(|item| format!("+ {}", text(item)))
            .chain(found.removed.iter().map(|item| format!("- {}", text(item))))
            .chain(found.changed.iter().map(|change| format!("{} > {}", text(&change.old), text(&change.new))))
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn added_removed_changed() {
        check(
            &["a curl-8.0 5", "b zlib-1.3 3", "c bash-5.2 9"],
            &["c bash-5.2 9", "d zstd-1.5 4", "0 curl-8.0 6"],
            &["+ d zstd-1.5 4", "- b zlib-1.3 3", "a curl-8.0 5 > 0 curl-8.0 6"],
        );
        check(&[], &["a x 1"], &["+ a x 1"]);
        check(&["a x 1"], &[], &["- a x 1"]);
        check(&[], &[], &[]);
    }

    #[test]
    fn versions_are_paired_output_by_output() {
        check(
            &["a openssl-3.0.11 5", "b openssl-3.0.11-dev 3", "c openssl-3.0.11-bin 2"],
            &["d openssl-3.0.13-dev 3", "f openssl-3.0.13 5", "g openssl-doc 5"],
            &[
                "+ g openssl-doc 5",
                "- c openssl-3.0.11-bin 2",
                "a openssl-3.0.11 5 > f openssl-3.0.13 5",
                "b openssl-3.0.11-dev 3 > d openssl-3.0.13-dev 3",
            ],
        );
        check(&["a x 1"], &["b x-2 1"], &["a x 1 > b x-2 1"]);
    }

    #[test]
    fn the_same_version_comes_before_another() {
        check(
            &["a python3-3.9.1 1", "b python3-3.10.1 1"],
            &["c python3-3.10.1 1", "d python3-3.11.0 1"],
            &["b python3-3.10.1 1 > c python3-3.10.1 1", "a python3-3.9.1 1 > d python3-3.11.0 1"],
        );
        // The latest of two versions goes on as the new one.
        check(&["a x-1.9 1", "b x-1.10 1"], &["c x-1.11 1"], &["- a x-1.9 1", "b x-1.10 1 > c x-1.11 1"]);
    }

    #[test]
    fn of_one_name_the_same_sizes_then_the_larger_ones() {
        check(
            &["a source 10", "b source 500"],
            &["c source 500", "d source 600"],
            &["a source 10 > d source 600", "b source 500 > c source 500"],
        );
        check(
            &["a source 10", "b source 500"],
            &["c source 700", "d source 9", "f source 4"],
            &["+ f source 4", "a source 10 > d source 9", "b source 500 > c source 700"],
        );
        check(&["a source -", "b source 5"], &["d source -"], &["- b source 5", "a source - > d source -"]);
    }

    #[test]
    fn other_contents_under_the_same_path() {
        check(&["a x 1", "b y 1"], &["a x 2", "b y -"], &["a x 1 > a x 2"]);
        let hashed = |text: &[u8]| Item { nar_hash: Some(NarHash::new(Digest::of(text))), ..item("a x 1") };
        assert_eq!(difference(&[hashed(b"1")], &[hashed(b"2")]).changed.len(), 1);
        assert_eq!(difference(&[hashed(b"1")], &items(&["a x 1"])).unchanged, Total { paths: 1, size: 1 });
    }

    #[test]
    fn totals() {
        let found = difference(
            &items(&["a x 1", "b y 2", "b y 2", "c z 18446744073709551615"]),
            &items(&["a x 1", "d y -", "f w 5"]),
        );
        assert_eq!(found.unchanged, Total { paths: 1, size: 1 });
        assert_eq!(found.old, Total { paths: 3, size: u64::MAX });
        assert_eq!(found.new, Total { paths: 3, size: 6 });
    }

    fn sides() -> impl Strategy<Value = (Vec<Item>, Vec<Item>)> {
        let item = ("[abc]", "[xy](-[12])?(-dev)?", 0u64..3);
        let item = item.prop_map(|(hash, name, size)| self::item(&format!("{hash} {name} {size}")));
        let side = proptest::collection::vec(item, 0..12);
        (side.clone(), side)
    }

    proptest! {
        /// Every path stands exactly once, turned around it is the same difference, and the order of the input is none.
        #[test]
        fn whole_and_even((old, new) in sides()) {
            // One size for one path, or which of them counts would depend on the order.
            let one_size = |side: Vec<Item>| by_path(&side).into_values().cloned().collect::<Vec<_>>();
            let (mut old, mut new) = (one_size(old), one_size(new));
            let found = difference(&old, &new);
            let paths = |items: &[Item]| items.iter().map(|item| item.path.clone()).collect::<Vec<_>>();
            let changes = |side: fn(&Change) -> &Item| found.changed.iter().map(side).cloned().collect::<Vec<_>>();
            let mut gone = paths(&[found.removed.clone(), changes(|change| &change.old)].concat());
            let mut come = paths(&[found.added.clone(), changes(|change| &change.new)].concat());
            prop_assert_eq!(gone.len() + found.unchanged.paths, old.len());
            prop_assert_eq!(come.len() + found.unchanged.paths, new.len());
            for list in [&mut gone, &mut come] {
                let length = list.len();
                list.sort();
                list.dedup();
                prop_assert_eq!(list.len(), length);
            }
            old.reverse();
            new.reverse();
            prop_assert_eq!(&difference(&old, &new), &found);
            let back = difference(&new, &old);
            prop_assert_eq!(&back.added, &found.removed);
            prop_assert_eq!(&back.removed, &found.added);
            prop_assert_eq!(back.changed.len(), found.changed.len());
        }
    }
}
