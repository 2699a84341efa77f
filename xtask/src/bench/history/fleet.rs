//! A fleet: images of one store that are released together every four weeks, planned each alone, or all together.

use super::table::compressed;
use super::timeline::Timeline;
use crate::bench::layering::closure::{Closure, StorePath};
use crate::bench::layering::plan::Plan;
use crate::bench::measure::{Pipeline, program};
use crate::bench::random::Random;
use crate::updates::Weeks;
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Packages that each image is made of, and all that they need.
const ROOTS: usize = 3;
/// Weeks from one release to the next.
const WEEKS: usize = 4;

/// The images' packages.
pub struct Fleet {
    timeline: Timeline,
    /// For each image the positions of its paths, ascending.
    images: Vec<Vec<usize>>,
}

/// How the images are planned.
struct Way {
    name: &'static str,
    flags: &'static [&'static str],
    keeps_previous: bool,
    together: bool,
}

const WAYS: [Way; 5] = [
    Way { name: "popularity, alone", flags: &["--strategy", "popularity"], keeps_previous: false, together: false },
    Way { name: "size, alone", flags: &["--strategy", "size"], keeps_previous: false, together: false },
    Way { name: "least-churn, alone", flags: &[], keeps_previous: false, together: false },
    Way { name: "--previous, alone", flags: &[], keeps_previous: true, together: false },
    Way { name: "least-churn, together", flags: &[], keeps_previous: false, together: true },
];

/// Layers of a release, by image.
type Release = Vec<Vec<Vec<String>>>;

/// What came of it, in bytes of store paths.
#[derive(Default)]
struct Sums {
    first: u64,
    grown: u64,
    /// By a machine that runs all images.
    by_all: u64,
    /// By machines that run one image each, all together.
    by_each: u64,
    /// Shares of reused bytes, and how many there are.
    reused: f64,
    updates: f64,
}

impl Fleet {
    /// So many images of packages of the desktop.
    pub fn new(count: usize, weeks: &Weeks, replayed: usize) -> Result<Fleet> {
        let timeline = Timeline::new(crate::updates::graph("desktop")?, weeks, replayed)?;
        let closure = timeline.closure(0);
        let mut random = Random::new(50);
        let image = |_| {
            let roots = (0..ROOTS).map(|_| random.below(closure.paths.len() as u64) as usize);
            needed(closure, roots.collect())
        };
        Ok(Fleet { images: (0..count).map(image).collect(), timeline })
    }

    /// The closure of an image in a week.
    fn closure(&self, image: usize, week: usize) -> Closure {
        let paths = &self.timeline.closure(week).paths;
        let number: HashMap<usize, usize> = self.images[image].iter().copied().zip(0..).collect();
        let own = |&position: &usize| {
            let of = &paths[position];
            StorePath { references: of.references.iter().map(|other| number[other]).collect(), ..of.clone() }
        };
        Closure { paths: self.images[image].iter().map(own).collect() }
    }

    fn releases(&self) -> impl Iterator<Item = usize> {
        self.timeline.weeks().step_by(WEEKS)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        for week in self.releases() {
            let folder = folder.join(format!("week-{week}"));
            fs::create_dir_all(&folder).with_context(|| format!("cannot create: {}", folder.display()))?;
            for image in 0..self.images.len() {
                self.closure(image, week).write(&folder.join(format!("{image}.closure.json")))?;
            }
        }
        Ok(())
    }

    /// The plans of a release: each image's by itself, or all in one run.
    fn plan(&self, way: &Way, at: &Where<'_>, week: usize, before: Option<usize>) -> Result<Release> {
        let limit = at.limit.to_string();
        let begin = || {
            let mut arguments = program([at.binary, Path::new("layers")]);
            arguments.extend(program(way.flags.iter().copied().chain(["--max-layers", &limit])));
            arguments
        };
        let (images, output) = (0..self.images.len(), |week: usize| at.own.join(week.to_string()));
        fs::create_dir_all(output(week)).with_context(|| format!("cannot create: {}", output(week).display()))?;
        let plan_file = |week: usize, image: usize| output(week).join(format!("{image}.layers.json"));
        if way.together {
            let mut arguments = begin();
            arguments.extend(images.clone().map(|image| closure_file(at.folder, week, image).into_os_string()));
            arguments.extend(program([Path::new("-o"), &output(week)]));
            Pipeline::named(arguments, &output(week).join("none")).run()?;
        } else {
            for image in images.clone() {
                let (mut arguments, file) = (begin(), plan_file(week, image));
                arguments.push(closure_file(at.folder, week, image).into());
                if let Some(before) = before.filter(|_| way.keeps_previous) {
                    arguments.extend(program([Path::new("--previous"), &plan_file(before, image)]));
                }
                arguments.extend(program([Path::new("-o"), &file]));
                Pipeline::named(arguments, &file).run()?;
            }
        }
        images.map(|image| Ok(Plan::read(&plan_file(week, image))?.into_layers())).collect()
    }

    fn sums(&self, way: &Way, at: &Where<'_>) -> Result<Sums> {
        let (mut sums, mut registry) = (Sums::default(), HashSet::new());
        let mut before: Option<(usize, Release)> = None;
        for week in self.releases() {
            let release = self.plan(way, at, week, before.as_ref().map(|(week, _)| *week))?;
            let sizes = self.timeline.sizes(week);
            let size = |layer: &[String]| layer.iter().map(|path| sizes[path.as_str()]).sum::<u64>();
            let all: BTreeSet<&Vec<String>> = release.iter().flatten().collect();
            let new: u64 = all.iter().filter(|layer| !registry.contains(**layer)).map(|layer| size(layer)).sum();
            match &before {
                None => sums.first = new,
                Some((_, old)) => {
                    sums.grown += new;
                    let had: BTreeSet<&Vec<String>> = old.iter().flatten().collect();
                    sums.by_all +=
                        all.iter().filter(|layer| !had.contains(**layer)).map(|layer| size(layer)).sum::<u64>();
                    for (old, image) in old.iter().zip(&release).filter(|(old, image)| old != image) {
                        let new: u64 = image.iter().filter(|layer| !old.contains(layer)).map(|layer| size(layer)).sum();
                        let whole: u64 = image.iter().map(|layer| size(layer)).sum();
                        sums.by_each += new;
                        sums.reused += 1.0 - new as f64 / whole as f64;
                        sums.updates += 1.0;
                    }
                }
            }
            registry.extend(release.iter().flatten().cloned());
            before = Some((week, release));
        }
        Ok(sums)
    }
}

/// Where a way plans.
struct Where<'a> {
    binary: &'a Path,
    limit: usize,
    folder: &'a Path,
    own: &'a Path,
}

/// The table of all ways.
pub fn table(fleet: &Fleet, limit: usize, binary: &Path, work: &Path) -> Result<String> {
    let folder = work.join("fleet");
    fleet.write(&folder)?;
    let count = fleet.images.len();
    let paths: BTreeSet<usize> = fleet.images.iter().flatten().copied().collect();
    let sizes = fleet.timeline.closure(0);
    let bytes = |paths: &mut dyn Iterator<Item = &usize>| paths.map(|&path| sizes.paths[path].size).sum::<u64>();
    let (alone, shared) = (bytes(&mut fleet.images.iter().flatten()), bytes(&mut paths.iter()));
    let mut text = format!(
        "### {count} images of one store: {} packages, {} MB, of which each image has {} MB; {limit} layers, released every \
         {WEEKS} weeks for {}\n\n\
         | plan | registry at first | grows by | pulled by a machine with all | by one with one image | reuse |\n\
         |---|---:|---:|---:|---:|---:|\n",
        paths.len(),
        shared / 1_000_000,
        alone / count.max(1) as u64 / 1_000_000,
        fleet.timeline.weeks().len() - 1
    );
    let line = |(number, way): (usize, &Way)| {
        let own = folder.join(format!("way-{number}"));
        let sums = fleet.sums(way, &Where { binary, limit, folder: &folder, own: &own })?;
        let bytes = [sums.first, sums.grown, sums.by_all, sums.by_each / count as u64];
        let cells = bytes.map(compressed);
        let reuse = 100.0 * sums.reused / sums.updates;
        Ok(format!("| {} | {} | {reuse:.1} % |", way.name, cells.join(" | ")))
    };
    let lines = WAYS.par_iter().enumerate().map(line).collect::<Result<Vec<String>>>()?;
    lines.iter().for_each(|line| _ = writeln!(text, "{line}"));
    Ok(text)
}

fn closure_file(folder: &Path, week: usize, image: usize) -> PathBuf {
    // The plan is called as the closure.
    folder.join(format!("week-{week}")).join(format!("{image}.closure.json"))
}

/// These positions and all that they need, ascending.
fn needed(closure: &Closure, roots: Vec<usize>) -> Vec<usize> {
    let (mut found, mut open) = (BTreeSet::new(), roots);
    while let Some(position) = open.pop() {
        if found.insert(position) {
            open.extend(&closure.paths[position].references);
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_closures() {
        let weeks = Weeks::read().unwrap();
        let fleet = Fleet::new(5, &weeks, 156).unwrap();
        assert_eq!(fleet.images.len(), 5);
        for image in 0..5 {
            let closure = fleet.closure(image, fleet.timeline.weeks().start);
            assert!(closure.needed_first().unwrap().len() > ROOTS);
            assert!(closure.paths.iter().all(|of| of.references.iter().all(|&other| other < closure.paths.len())));
        }
        assert_eq!(fleet.releases().count(), 156 / WEEKS + 1);
        assert_eq!(Fleet::new(5, &weeks, 156).unwrap().images, fleet.images);
    }
}
