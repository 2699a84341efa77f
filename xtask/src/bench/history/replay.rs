//! The images of all weeks, and what is sent of them.

use super::machine::{self, Schedule};
use super::timeline::Timeline;
use anyhow::{Result, ensure};
use std::collections::{HashMap, HashSet};

/// A layer, by its number among all of a replay: equal lists of paths have equal numbers.
type Layer = u32;

/// The images of a replay.
#[derive(Default)]
pub struct Images {
    /// For each week the layers; one that did not change has those of the week before.
    weeks: Vec<Vec<Layer>>,
    /// Bytes of each layer.
    sizes: Vec<u64>,
}

/// What a replay came to, in bytes of store paths.
pub struct Totals {
    /// Layers that the registry did not have, all updates together.
    pub pushed: u64,
    /// For each schedule what a machine pulls that fetches whole layers, all updates together.
    pub pulled: [u64; Schedule::ALL.len()],
    /// For each schedule the bytes of paths that the machine did not have.
    pub renamed: [u64; Schedule::ALL.len()],
    /// Mean share of an updated image's bytes in layers that the image before has.
    pub reused: f64,
    /// Mean bytes of an update's layers that the image before has not.
    pub download: f64,
}

/// The images that `plan` makes of the weeks: it is told the week, and the week of the plan before, if there is one.
pub fn images(
    timeline: &Timeline,
    mut plan: impl FnMut(usize, Option<usize>) -> Result<Vec<Vec<String>>>,
) -> Result<Images> {
    let mut images = Images::default();
    let mut numbers: HashMap<Vec<String>, Layer> = HashMap::new();
    let mut previous = None;
    for week in timeline.weeks() {
        if previous.is_some() && !timeline.is_changed(week) {
            images.weeks.extend(images.weeks.last().cloned());
            continue;
        }
        let sizes = timeline.sizes(week);
        let layers = plan(week, previous)?;
        let paths: HashSet<&str> = layers.iter().flatten().map(String::as_str).collect();
        let is_whole = paths.len() == sizes.len() && layers.iter().map(Vec::len).sum::<usize>() == sizes.len();
        ensure!(is_whole && paths.iter().all(|path| sizes.contains_key(path)), "week {week}: no plan of the closure");
        let mut image = Vec::with_capacity(layers.len());
        for layer in layers {
            let size = layer.iter().map(|path| sizes[path.as_str()]).sum();
            image.push(*numbers.entry(layer).or_insert_with(|| {
                images.sizes.push(size);
                images.sizes.len() as Layer - 1
            }));
        }
        images.weeks.push(image);
        previous = Some(week);
    }
    Ok(images)
}

impl Images {
    /// Bytes of the layers of a week that those of another week, or of several, do not have.
    fn beyond(&self, week: usize, has: &HashSet<Layer>) -> u64 {
        self.weeks[week].iter().filter(|layer| !has.contains(layer)).map(|&layer| self.sizes[layer as usize]).sum()
    }

    fn layers(&self, week: usize) -> HashSet<Layer> {
        self.weeks[week].iter().copied().collect()
    }
}

/// What is sent; weeks are counted from the first image, which is there already.
pub fn totals(timeline: &Timeline, images: &Images) -> Totals {
    let first = timeline.weeks().start;
    let (mut registry, mut pushed) = (images.layers(0), 0);
    let (mut reused, mut download, mut updates) = (0.0, 0.0, 0.0);
    for week in 1..images.weeks.len() {
        pushed += images.beyond(week, &registry);
        registry.extend(&images.weeks[week]);
        if timeline.is_changed(first + week) {
            let new = images.beyond(week, &images.layers(week - 1)) as f64;
            updates += 1.0;
            download += new;
            reused += 1.0 - new / timeline.closure(first + week).bytes() as f64;
        }
    }
    let mut totals =
        Totals { pushed, pulled: [0; _], renamed: [0; _], reused: reused / updates, download: download / updates };
    for (number, schedule) in Schedule::ALL.into_iter().enumerate() {
        for (before, after) in machine::pulls(schedule, images.weeks.len()) {
            totals.pulled[number] += images.beyond(after, &images.layers(before));
            let had = timeline.sizes(first + before);
            let paths = timeline.closure(first + after).paths.iter();
            totals.renamed[number] +=
                paths.filter(|of| !had.contains_key(of.path.as_str())).map(|of| of.size).sum::<u64>();
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::layering::closure::tests::closure;
    use crate::updates::Weeks;

    /// The first path changes in two of three years' weeks, the second in one of them.
    fn timeline() -> Timeline {
        let table = "libc: 100 102\nother: 100\nunknown: 200\n";
        Timeline::new(closure("libc 10:\nother 500:\nrest 1000:"), &Weeks::parse(table).unwrap(), 156).unwrap()
    }

    #[test]
    fn what_is_sent() {
        let timeline = timeline();
        let alone = totals(&timeline, &images(&timeline, |week, _| Ok(timeline.one_path_a_layer(week))).unwrap());
        // With a layer for each path what is pulled is what was renamed, and all that is pushed is pulled each week.
        assert_eq!((alone.pulled, alone.pulled[0]), (alone.renamed, alone.pushed));
        assert!(alone.pushed > 450 && alone.pushed < 560, "{}", alone.pushed);
        let one = |week| Ok(vec![timeline.one_path_a_layer(week).concat()]);
        let whole = totals(&timeline, &images(&timeline, |week, _| one(week)).unwrap());
        assert!(whole.pushed > 2 * 1400 && whole.reused == 0.0, "{}", whole.pushed);
        assert_eq!(whole.renamed, alone.renamed);
        assert!(alone.reused > 0.8 && (alone.download - alone.pushed as f64 / 2.0).abs() < 1.0);
    }

    #[test]
    fn plans_are_asked_for_where_something_changed() {
        let timeline = timeline();
        let mut asked = Vec::new();
        let plan = |week, previous| {
            asked.push((week, previous));
            Ok(timeline.one_path_a_layer(week))
        };
        images(&timeline, plan).unwrap();
        let first = timeline.weeks().start;
        assert_eq!(asked, [(first, None), (101, Some(first)), (103, Some(101))]);
        assert!(images(&timeline, |week, _| Ok(timeline.one_path_a_layer(week)[1..].to_vec())).is_err());
    }
}
