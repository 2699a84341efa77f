//! When a machine pulls.

use crate::bench::random::Random;

/// How often a machine pulls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    Weekly,
    /// Every four weeks.
    Monthly,
    /// After one to sixteen weeks, each as likely as another.
    Random,
}

impl Schedule {
    pub const ALL: [Schedule; 3] = [Schedule::Weekly, Schedule::Monthly, Schedule::Random];

    pub fn name(self) -> &'static str {
        match self {
            Schedule::Weekly => "weekly",
            Schedule::Monthly => "monthly",
            Schedule::Random => "at random",
        }
    }
}

/// The weeks before and after each pull, of so many weeks; the machine has the first one's image.
pub fn pulls(schedule: Schedule, weeks: usize) -> Vec<(usize, usize)> {
    let mut random = Random::new(schedule as u64);
    let (mut pulls, mut before) = (Vec::new(), 0);
    loop {
        let after = before
            + match schedule {
                Schedule::Weekly => 1,
                Schedule::Monthly => 4,
                Schedule::Random => 1 + random.below(16) as usize,
            };
        if after >= weeks {
            return pulls;
        }
        pulls.push((before, after));
        before = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pull_begins_where_the_last_one_ended() {
        assert_eq!(pulls(Schedule::Weekly, 4), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(pulls(Schedule::Monthly, 10), [(0, 4), (4, 8)]);
        let random = pulls(Schedule::Random, 157);
        assert!(random.len() > 10 && random.len() < 40, "{random:?}");
        assert!(random.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[1].0 < pair[1].1));
    }
}
