//! Says whether a version is in a range of OSV, and which version fixes it (osv-schema, "Evaluation").

use super::order::{Order, compare, is_before};
use std::cmp::Ordering;

/// Events that begin and end intervals of versions, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub events: Vec<Event>,
    /// Nothing is said of versions from the greatest of these on; `*` is greater than any version.
    pub limits: Vec<String>,
}

/// Something that begins or ends an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The first version that is affected; `0` comes before any version.
    Introduced(String),
    /// The first version that is not affected any more.
    Fixed(String),
    /// The last version that is affected.
    LastAffected(String),
}

impl Range {
    /// Whether an interval begins at all.
    pub fn begins(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Introduced(_)))
    }

    /// Whether a version is affected: the last event before it, by version, has begun an interval. Events of the same
    /// version come in the file's order.
    pub fn has(&self, version: &str, order: Order) -> bool {
        let reached = self.events.iter().filter(|event| event.is_reached(version, order));
        let last = reached.max_by(|a, b| a.compare(b, order));
        self.is_below_limits(version, order) && matches!(last, Some(Event::Introduced(_)))
    }

    /// The version that fixes an affected one: that of the event that ends its interval, if it is a fix.
    pub fn fix(&self, version: &str, order: Order) -> Option<&str> {
        let ends = |event: &&Event| !matches!(event, Event::Introduced(_)) && !event.is_reached(version, order);
        match self.events.iter().filter(ends).min_by(|a, b| a.compare(b, order))? {
            Event::Fixed(fixed) => Some(fixed),
            Event::Introduced(_) | Event::LastAffected(_) => None,
        }
    }

    /// All versions that fix something.
    pub fn fixes(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| match event {
            Event::Fixed(fixed) => Some(&**fixed),
            Event::Introduced(_) | Event::LastAffected(_) => None,
        })
    }

    fn is_below_limits(&self, version: &str, order: Order) -> bool {
        let mut limits = self.limits.iter();
        limits.len() == 0 || limits.any(|limit| limit == "*" || is_before(version, limit, order))
    }
}

impl Event {
    /// Whether it has happened by this version.
    fn is_reached(&self, version: &str, order: Order) -> bool {
        match self {
            Event::Introduced(first) => first == "0" || !is_before(version, first, order),
            Event::Fixed(fixed) => !is_before(version, fixed, order),
            Event::LastAffected(last) => is_before(last, version, order),
        }
    }

    fn compare(&self, other: &Event, order: Order) -> Ordering {
        match (self.version(), other.version()) {
            (Some(own), Some(other)) => compare(own, other, order),
            (own, other) => own.is_some().cmp(&other.is_some()),
        }
    }

    /// None for what comes before any version.
    fn version(&self) -> Option<&str> {
        match self {
            Event::Introduced(version) if version == "0" => None,
            Event::Introduced(version) | Event::Fixed(version) | Event::LastAffected(version) => Some(version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of version 2: `-` if it is not affected, else its fix, empty if there is none.
    #[track_caller]
    fn check(events: &[(&str, &str)], expected: &str) {
        let mut range = Range::default();
        for (kind, version) in events {
            let version = (*version).to_owned();
            match *kind {
                "introduced" => range.events.push(Event::Introduced(version)),
                "fixed" => range.events.push(Event::Fixed(version)),
                "last" => range.events.push(Event::LastAffected(version)),
                _ => range.limits.push(version),
            }
        }
        let found = match range.has("2", Order::Nix) {
            true => range.fix("2", Order::Nix).unwrap_or_default(),
            false => "-",
        };
        assert_eq!(found, expected, "{events:?}");
    }

    #[test]
    fn intervals() {
        check(&[("introduced", "0")], "");
        check(&[("introduced", "0"), ("fixed", "2.1")], "2.1");
        check(&[("introduced", "0"), ("fixed", "2")], "-");
        check(&[("introduced", "2.1")], "-");
        check(&[("introduced", "2"), ("last", "2")], "");
        check(&[("introduced", "0"), ("last", "1.9")], "-");
        check(&[("introduced", "0"), ("fixed", "0.5"), ("introduced", "2")], "");
        check(&[("introduced", "0"), ("fixed", "0.5"), ("introduced", "2"), ("fixed", "2.3")], "2.3");
        check(&[("introduced", "0"), ("fixed", "2.1"), ("introduced", "3"), ("fixed", "3.1")], "2.1");
        // The end of an interval that has no fix is none of a later one.
        check(&[("introduced", "0"), ("last", "2"), ("introduced", "3"), ("fixed", "3.1")], "");
        check(&[], "-");
        check(&[("fixed", "3")], "-");
    }

    #[test]
    fn in_any_order() {
        check(&[("fixed", "2"), ("introduced", "0")], "-");
        check(&[("fixed", "2.3"), ("introduced", "2"), ("fixed", "0.5"), ("introduced", "0")], "2.3");
        check(&[("last", "1"), ("introduced", "0")], "-");
        // Of the same version, in the file's order.
        check(&[("introduced", "0"), ("fixed", "2"), ("introduced", "2")], "");
        check(&[("introduced", "2"), ("fixed", "2")], "-");
    }

    #[test]
    fn limits() {
        check(&[("introduced", "0"), ("limit", "1.5")], "-");
        check(&[("introduced", "0"), ("limit", "2")], "-");
        check(&[("introduced", "0"), ("limit", "2.1")], "");
        check(&[("introduced", "0"), ("limit", "*"), ("fixed", "3")], "3");
        check(&[("introduced", "0"), ("limit", "1"), ("limit", "3")], "");
    }
}
