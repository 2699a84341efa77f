//! Updates of a closure, made up from random numbers: what changes gets a new hash part and a size of up to 5 % more or
//! less, and so do all that use it, directly or not.

use crate::bench::layering::closure::{Closure, HASH_DIGITS, StorePath};
use crate::bench::random::Random;
use std::collections::BTreeSet;

/// A closure after an update.
pub struct Update {
    pub closure: Closure,
    /// Bytes of the paths that the closure did not hold before.
    pub changed: u64,
}

/// A random path changes.
pub fn change(old: &Closure, random: &mut Random) -> Update {
    let mut closure = old.clone();
    let start = position(&closure, random);
    let changed = touch(&mut closure, &[start], random);
    Update { closure, changed }
}

/// A random path begins to use a new one, or, every other time, a random one that others use is no more.
pub fn add_or_remove(old: &Closure, random: &mut Random) -> Update {
    let used: Vec<usize> =
        (0..).zip(old.users()).filter(|(_, users)| !users.is_empty()).map(|(used, _)| used).collect();
    match random.below(2) == 1 && !used.is_empty() {
        true => remove(old, used[random.below(used.len() as u64) as usize], random),
        false => add(old, random),
    }
}

/// The new path has the size of a random one and some of its user's references.
fn add(old: &Closure, random: &mut Random) -> Update {
    let mut closure = old.clone();
    let (user, model) = (position(old, random), position(old, random));
    let references: Vec<usize> = old.paths[user].references.iter().copied().filter(|_| random.below(2) == 0).collect();
    let path = format!("{}{}-added-{}", store(&old.paths[user].path), random.hash_part(), random.below(1_000_000));
    let added = StorePath { path, size: old.paths[model].size, references };
    let mut changed = added.size;
    closure.paths[user].references.push(old.paths.len());
    closure.paths.push(added);
    changed += touch(&mut closure, &[user], random);
    Update { closure, changed }
}

/// What only the removed path used goes with it.
fn remove(old: &Closure, removed: usize, random: &mut Random) -> Update {
    let mut closure = old.clone();
    let users = old.users();
    for &user in &users[removed] {
        closure.paths[user].references.retain(|&used| used != removed);
    }
    let changed = touch(&mut closure, &users[removed], random);
    let roots = (0..users.len()).filter(|&position| users[position].is_empty());
    let kept = reached(roots, |position| &closure.paths[position].references);
    Update { closure: keep(closure, &kept), changed }
}

/// Gives the paths and all their users a new hash part and size; bytes of these.
fn touch(closure: &mut Closure, start: &[usize], random: &mut Random) -> u64 {
    let users = closure.users();
    let mut changed = 0;
    for position in reached(start.iter().copied(), |position| &users[position]) {
        changed += renew(&mut closure.paths[position], true, random);
    }
    changed
}

/// Gives the paths a new hash part and size, and all their users a new hash part: they are built of the same as before.
pub fn rebuild(closure: &mut Closure, changed: &[usize], random: &mut Random) {
    let users = closure.users();
    for position in reached(changed.iter().copied(), |position| &users[position]) {
        renew(&mut closure.paths[position], changed.contains(&position), random);
    }
}

/// A new hash part, and a new size if it is said so; its bytes.
fn renew(of: &mut StorePath, resizes: bool, random: &mut Random) -> u64 {
    let begin = store(&of.path).len();
    of.path.replace_range(begin..begin + HASH_DIGITS, &random.hash_part());
    if resizes {
        of.size = of.size * (950 + random.below(101)) / 1000;
    }
    of.size
}

/// The store directory of a store path, with the slash.
fn store(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

fn position(closure: &Closure, random: &mut Random) -> usize {
    random.below(closure.paths.len() as u64) as usize
}

/// The positions and all that can be reached from them.
fn reached<'a>(from: impl Iterator<Item = usize>, next: impl Fn(usize) -> &'a Vec<usize>) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), from.collect::<Vec<_>>());
    while let Some(position) = open.pop() {
        if found.insert(position) {
            open.extend(next(position));
        }
    }
    found
}

/// The closure of these paths alone, which refer to no others.
fn keep(closure: Closure, kept: &BTreeSet<usize>) -> Closure {
    let mut positions = vec![0; closure.paths.len()];
    kept.iter().enumerate().for_each(|(new, &old)| positions[old] = new);
    let renumber = |mut of: StorePath| {
        of.references.iter_mut().for_each(|reference| *reference = positions[*reference]);
        of
    };
    let paths = (0..).zip(closure.paths).filter(|(old, _)| kept.contains(old)).map(|(_, of)| renumber(of)).collect();
    Closure { paths }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::layering::closure::tests::{closure, store_path};

    /// app and tool use lib, lib uses libc; tool alone uses extra, doc is alone.
    const SAMPLE: &str =
        "app 1000: lib\ntool 2000: extra lib\nlib 4000: libc\nlibc 8000:\nextra 16000: libc\ndoc 32000:";

    /// The names of the closure's paths, with a mark for those that the old one does not hold.
    fn names(closure: &Closure, old: &Closure) -> String {
        let old = old.positions();
        let name = |of: &StorePath| {
            let mark = if old.contains_key(of.path.as_str()) { "" } else { "*" };
            format!("{mark}{}", of.path.split_once('-').unwrap().1)
        };
        closure.paths.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check_touched(start: &str, expected: &str) {
        let old = closure(SAMPLE);
        let mut new = old.clone();
        let bytes = touch(&mut new, &[old.positions()[store_path(start).as_str()]], &mut Random::new(1));
        assert_eq!(names(&new, &old), expected);
        let changed = new.paths.iter().zip(&old.paths).filter(|(new, old)| new.path != old.path);
        assert_eq!(bytes, changed.map(|(new, _)| new.size).sum::<u64>());
        for (new, old) in new.paths.iter().zip(&old.paths) {
            assert_eq!(new.references, old.references);
            let wobble = if new.path == old.path { 0 } else { old.size / 20 };
            assert!(new.size.abs_diff(old.size) <= wobble, "{new:?} {old:?}");
        }
    }

    #[test]
    fn users_follow_and_others_do_not() {
        check_touched("libc", "*app *tool *lib *libc *extra doc");
        check_touched("extra", "app *tool lib libc *extra doc");
        check_touched("doc", "app tool lib libc extra *doc");
        check_touched("app", "*app tool lib libc extra doc");
    }

    #[track_caller]
    fn check_removed(removed: &str, expected: &str) {
        let old = closure(SAMPLE);
        let update = remove(&old, old.positions()[store_path(removed).as_str()], &mut Random::new(1));
        assert_eq!(names(&update.closure, &old), expected);
        assert_consistent(&update, &old);
    }

    /// What is new has the bytes that are told, and the closure is still one.
    #[track_caller]
    fn assert_consistent(update: &Update, old: &Closure) {
        let positions = old.positions();
        let new = update.closure.paths.iter().filter(|of| !positions.contains_key(of.path.as_str()));
        assert_eq!(update.changed, new.map(|of| of.size).sum::<u64>());
        let file = tempfile::NamedTempFile::new().unwrap();
        update.closure.write(file.path()).unwrap();
        let read = Closure::read(file.path()).unwrap();
        assert_eq!(read, update.closure);
        read.needed_first().unwrap();
    }

    #[test]
    fn what_only_a_removed_path_used_goes_too() {
        check_removed("extra", "app *tool lib libc doc");
        check_removed("lib", "*app *tool libc extra doc");
        check_removed("libc", "*app *tool *lib *extra doc");
    }

    #[test]
    fn an_added_path_has_a_user() {
        let old = closure(SAMPLE);
        for seed in 0..100 {
            let update = add(&old, &mut Random::new(seed));
            assert_eq!(update.closure.paths.len(), 7);
            let users = &update.closure.users()[6];
            assert_eq!(users.len(), 1);
            assert!(!old.positions().contains_key(update.closure.paths[users[0]].path.as_str()));
            assert_consistent(&update, &old);
        }
    }

    #[test]
    fn updates_depend_on_the_seed_alone() {
        let old = closure(SAMPLE);
        let all = |seed| [change(&old, &mut Random::new(seed)), add_or_remove(&old, &mut Random::new(seed))];
        let paths = |seed| all(seed).map(|update| update.closure.paths);
        assert_eq!(paths(3), paths(3));
        assert_ne!(paths(3), paths(4));
        let sizes: BTreeSet<usize> = (0..50).map(|seed| all(seed)[1].closure.paths.len()).collect();
        assert_eq!(sizes, BTreeSet::from([5, 7]), "some were added, some removed");
    }

    #[test]
    fn a_closure_of_one_path() {
        let old = closure("a 1000:");
        assert_eq!(change(&old, &mut Random::new(1)).closure.paths.len(), 1);
        for seed in 0..10 {
            assert_eq!(add_or_remove(&old, &mut Random::new(seed)).closure.paths.len(), 2);
        }
    }
}
