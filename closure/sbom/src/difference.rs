//! Compares bills of materials by the names and versions of packages, whatever their paths are.

use crate::Bill;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What two bills differ in, each list sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BillDiff {
    /// Packages whose names only the new one has.
    pub added: Vec<PackageVersions>,
    /// Packages whose names only the old one has.
    pub removed: Vec<PackageVersions>,
    /// Packages that both have in other versions.
    pub changed: Vec<VersionChange>,
}

/// A package, and the versions that a bill has of it, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageVersions {
    /// Its name.
    pub name: String,
    /// Its versions; an empty one where a path's name has none.
    pub versions: BTreeSet<String>,
}

/// A package with the versions that two bills have of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionChange {
    /// Its name.
    pub name: String,
    /// The versions of the old bill.
    pub old: BTreeSet<String>,
    /// The versions of the new bill.
    pub new: BTreeSet<String>,
}

/// What differs between an old and a new bill.
pub fn bill_difference(old: &Bill, new: &Bill) -> BillDiff {
    let (old, mut new) = (versions(old), versions(new));
    let mut diff = BillDiff::default();
    for (name, versions) in old {
        match new.remove(&name) {
            None => diff.removed.push(PackageVersions { name, versions }),
            Some(others) if others == versions => {}
            Some(others) => diff.changed.push(VersionChange { name, old: versions, new: others }),
        }
    }
    diff.added = new.into_iter().map(|(name, versions)| PackageVersions { name, versions }).collect();
    diff
}

fn versions(bill: &Bill) -> BTreeMap<String, BTreeSet<String>> {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version) in bill.packages() {
        versions.entry(name.to_owned()).or_default().insert(version.to_owned());
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Base, OsPackage, PackageSource, Subject};
    use layerstone_closure::{Closure, PathInfo};

    fn bill(names: &[&str], packages: &[(&str, &str)]) -> Bill {
        let info = |name: &&str| PathInfo {
            path: format!("/nix/store/{}-{name}", "0".repeat(32)).parse().unwrap(),
            nar_hash: None,
            nar_size: None,
            references: Vec::new(),
        };
        let package = |(name, version): &(&str, &str)| OsPackage {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            architecture: String::new(),
            source: None,
            from: PackageSource::Dpkg,
        };
        let closure = Closure { graph: names.iter().map(info).collect() };
        let base = Base { packages: packages.iter().map(package).collect(), ..Base::default() };
        Bill { base: Some(base), ..Bill::of(Subject::closure("x"), &closure, "") }
    }

    #[test]
    fn by_name_and_version() {
        let old = bill(&["curl-8.0", "curl-8.0-dev", "zlib-1.3", "bash-5.2"], &[("libc6", "2.36"), ("gone", "1")]);
        let new = bill(&["curl-8.1", "zlib-1.3", "zlib-1.2", "new"], &[("libc6", "2.36")]);
        let diff = bill_difference(&old, &new);
        let names = |list: &[PackageVersions]| list.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&diff.added), ["new"]);
        assert_eq!(names(&diff.removed), ["bash", "gone"]);
        let changed: Vec<String> =
            diff.changed.iter().map(|it| format!("{} {:?} {:?}", it.name, it.old, it.new)).collect();
        assert_eq!(changed, [r#"curl {"8.0"} {"8.1"}"#, r#"zlib {"1.3"} {"1.2", "1.3"}"#]);
        assert_eq!(bill_difference(&old, &old), BillDiff::default());
    }
}
