//! What refers to each manifest of a layout, by its own subject.

use layerstone_oci::{Descriptor, Referrer};
use layerstone_store::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// Referrers by what they refer to.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    referrers: BTreeMap<Digest, Vec<Descriptor>>,
    /// Subjects and referrers that are in it.
    seen: BTreeSet<(Digest, Digest)>,
}

impl Subjects {
    /// Adds what has a subject.
    pub(crate) fn extend(&mut self, referrer: Option<Referrer>) {
        referrer.into_iter().for_each(|it| self.add(it));
    }

    /// Adds a referrer, unless it is there.
    pub(crate) fn add(&mut self, referrer: Referrer) {
        if self.seen.insert((referrer.subject, referrer.entry.digest)) {
            self.referrers.entry(referrer.subject).or_default().push(referrer.entry);
        }
    }

    /// What refers to a manifest, each once, in the order of the index.
    pub(crate) fn referrers(&self, subject: &Digest) -> &[Descriptor] {
        self.referrers.get(subject).map_or(&[], Vec::as_slice)
    }
}
