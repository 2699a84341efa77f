//! A graph through the weeks: which paths change in which, and the closures that come of it.

use crate::bench::layering::closure::Closure;
use crate::bench::layering::update;
use crate::bench::measure::{Pipeline, program};
use crate::bench::random::Random;
use crate::updates::Weeks;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// The closure of every week.
pub struct Timeline {
    /// The first week of the replay is at [`Timeline::start`].
    closures: Vec<Closure>,
    /// Whether anything changed since the week before.
    changed: Vec<bool>,
    start: usize,
    /// Paths that changed by themselves in the weeks that are replayed.
    pub own_changes: usize,
}

impl Timeline {
    /// The weeks of a graph until the last one of the table, of which so many are replayed; those before them are there to
    /// count rates in.
    pub fn new(first: Closure, weeks: &Weeks, replayed: usize) -> Result<Timeline> {
        let end = weeks.end() as usize + 1;
        let start = end.checked_sub(replayed).context("the table of weeks is too short")?;
        let mut by_week: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (position, of) in first.paths.iter().enumerate() {
            for &week in weeks.of(of.name()).map_or(&[][..], |(_, weeks)| weeks) {
                by_week.entry(week as usize).or_default().push(position);
            }
        }
        let (mut closures, mut changed, mut random) = (vec![first], vec![false], Random::new(0));
        for week in 0..end {
            let own = by_week.get(&week).map_or(&[][..], Vec::as_slice);
            let mut closure = closures[week].clone();
            update::rebuild(&mut closure, own, &mut random);
            closures.push(closure);
            changed.push(!own.is_empty());
        }
        let own_changes = by_week.range(start..).map(|(_, own)| own.len()).sum();
        Ok(Timeline { closures, changed, start: start + 1, own_changes })
    }

    /// The weeks whose images are there to be updated: that before the replay, and those of it.
    pub fn weeks(&self) -> std::ops::Range<usize> {
        self.start - 1..self.closures.len()
    }

    /// The closure of a week.
    pub fn closure(&self, week: usize) -> &Closure {
        &self.closures[week]
    }

    /// Whether its image is another than that of the week before.
    pub fn is_changed(&self, week: usize) -> bool {
        self.changed[week]
    }

    /// How many weeks of the replay change something.
    pub fn updates(&self) -> usize {
        self.weeks().skip(1).filter(|&week| self.changed[week]).count()
    }

    /// A layer for each path.
    pub fn one_path_a_layer(&self, week: usize) -> Vec<Vec<String>> {
        self.closures[week].paths.iter().map(|of| vec![of.path.clone()]).collect()
    }

    /// Writes the closures that are planned, and the rates that are counted over the weeks before the replay.
    pub fn write(&self, binary: &Path, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create: {}", folder.display()))?;
        for week in 0..self.closures.len() {
            if week < self.start || self.changed[week] {
                self.closures[week].write(&closure_file(folder, week))?;
            }
        }
        let output = rates_file(folder);
        let mut arguments = program([binary, Path::new("rates"), Path::new("-q"), Path::new("--from")]);
        let before = (0..self.start).filter(|&week| week == 0 || self.changed[week]);
        arguments.extend(before.map(|week| closure_file(folder, week).into_os_string()));
        ensure!(arguments.len() > 5, "nothing changed before the replay");
        arguments.extend(program([Path::new("-o"), &output]));
        Pipeline::named(arguments, &output).run().map(drop)
    }

    /// Bytes of each path of a week.
    pub fn sizes(&self, week: usize) -> HashMap<&str, u64> {
        self.closures[week].paths.iter().map(|of| (of.path.as_str(), of.size)).collect()
    }
}

/// Where the closure of a week is.
pub fn closure_file(folder: &Path, week: usize) -> PathBuf {
    folder.join(format!("{week}.json"))
}

/// Where the rates are that were counted.
pub fn rates_file(folder: &Path) -> PathBuf {
    folder.join("rates.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::layering::closure::tests::closure;

    #[test]
    fn what_is_updated_and_its_users_change() {
        let table = "openssl libssl: 0 30 156\nother: 31\n";
        let first = closure("libc 10:\nlibssl 100: libc\napp 7: libssl");
        let timeline = Timeline::new(first, &Weeks::parse(table).unwrap(), 156).unwrap();
        // Week 0 lies before the replay.
        assert_eq!((timeline.weeks().len(), timeline.updates(), timeline.own_changes), (157, 2, 2));
        let at = |week: usize, path: usize| &timeline.closure(week).paths[path];
        assert!(timeline.is_changed(31) && !timeline.is_changed(32));
        assert_eq!(at(31, 0), at(30, 0));
        assert!(at(31, 1).path != at(30, 1).path && at(31, 2).path != at(30, 2).path);
        // What is built again for the sake of others has the size that it had.
        assert_eq!(at(31, 2).size, 7);
        assert_eq!(timeline.closure(32), timeline.closure(31));
    }
}
