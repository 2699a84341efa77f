//! Joins a bill of materials with advisories of vulnerabilities that somebody has as a file: OSV records, or an OpenVEX
//! document. Asks nobody.
//!
//! A package of a store path is meant by its name, or by a package URL of any type with that name; its versions are ordered
//! as Nix orders them. Packages of a base are meant in the ecosystem of their distribution alone, by the name of the source
//! package too, and ordered as dpkg orders them.

mod open_vex;
mod order;
mod osv;
mod range;

use crate::{Bill, Error, PackageSource, Result};
use layerstone_store::StorePath;
use order::Order;
use range::Range;
use serde_json::Value;

/// What a file says of vulnerabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advisories(Vec<Advisory>);

/// What is said of one vulnerability and one package.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Advisory {
    id: String,
    summary: String,
    /// Of the package.
    name: String,
    /// The distribution whose package it is, as os-release(5) calls it; none for upstream's and that of a language.
    distribution: Option<String>,
    versions: Versions,
    is_affected: bool,
}

/// The versions that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Versions {
    All,
    /// These alone, and those in the ranges.
    Some {
        listed: Vec<String>,
        ranges: Vec<Range>,
    },
}

/// A package of a bill that has a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The vulnerability: `CVE-2024-1`, `GHSA-…`.
    pub id: String,
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The store path; none for a package of the base.
    pub path: Option<StorePath>,
    /// The version that ends each range of affected versions that this one is in, as far as the file tells it; where the
    /// version is not known, those of all ranges.
    pub fixed: Vec<String>,
    /// What it is, in a sentence; empty if the file does not say it.
    pub summary: String,
}

impl Advisories {
    /// Reads a file, which messages call so: an OSV record, a list of them, `{"vulns": […]}` as OSV's server answers, or an
    /// OpenVEX document.
    ///
    /// # Errors
    ///
    /// It is no JSON, or none of these.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Advisories> {
        let wrong = |cause: String| Error::Malformed { what: "advisories", name: name.to_owned(), cause };
        let value: Value = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        let is_vex = value.get("@context").and_then(Value::as_str).is_some_and(|it| it.contains("openvex.dev"));
        let read = if is_vex { open_vex::read(value) } else { osv::read(value) };
        read.map(Advisories).map_err(wrong)
    }

    /// Both: what one says is not affected is left out of what the other says.
    pub fn merge(&mut self, other: Advisories) {
        self.0.extend(other.0);
    }

    /// What of a bill has a vulnerability, sorted; what the file says is not affected, or fixed, is left out.
    pub fn find(&self, bill: &Bill) -> Vec<Finding> {
        let of_base = bill.base.iter().flat_map(|base| &base.packages);
        let os = bill.base.as_ref().and_then(|base| base.os.as_ref());
        let paths = bill.components.iter().map(|component| Subject {
            names: vec![component.name()],
            version: component.version(),
            distribution: None,
            path: Some(component.path()),
        });
        let packages = of_base.map(|package| Subject {
            names: [Some(&*package.name), package.source.as_deref()].into_iter().flatten().collect(),
            version: &package.version,
            distribution: Some(os.map_or(package.from.usual_system(), |os| &os.id)),
            path: None,
        });
        let mut found: Vec<Finding> = paths.chain(packages).flat_map(|subject| self.of(&subject)).collect();
        found.sort();
        found.dedup();
        found
    }

    fn of(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let about: Vec<&Advisory> = self.0.iter().filter(|it| it.is_about(subject)).collect();
        let is_denied = |id: &str| about.iter().any(|it| !it.is_affected && it.id == id);
        let affected = about.iter().filter(|it| it.is_affected && !is_denied(&it.id));
        affected.map(|advisory| advisory.finding(subject)).collect()
    }
}

/// A package that advisories may be about.
struct Subject<'a> {
    names: Vec<&'a str>,
    version: &'a str,
    /// Of the base; none for a store path.
    distribution: Option<&'a str>,
    path: Option<&'a StorePath>,
}

impl Subject<'_> {
    fn order(&self) -> Order {
        if self.distribution.is_some() { Order::Dpkg } else { Order::Nix }
    }
}

impl Advisory {
    fn is_about(&self, subject: &Subject<'_>) -> bool {
        let is_named = subject.names.iter().any(|name| name.eq_ignore_ascii_case(&self.name));
        let is_place = match (&self.distribution, subject.distribution) {
            // opensuse-leap is an openSUSE.
            (Some(found), Some(own)) => own.split('-').next() == Some(found) || own == found,
            (None, None) => true,
            _ => false,
        };
        is_named && is_place && self.versions.have(subject.version, subject.order())
    }

    fn finding(&self, subject: &Subject<'_>) -> Finding {
        let fixed = match &self.versions {
            Versions::All => Vec::new(),
            Versions::Some { ranges, .. } => fixes(ranges, subject),
        };
        Finding {
            id: self.id.clone(),
            name: subject.names[0].to_owned(),
            version: subject.version.to_owned(),
            path: subject.path.cloned(),
            fixed,
            summary: self.summary.clone(),
        }
    }
}

impl Versions {
    /// Whether a version is meant. One that is not known is, if any may be: silence would be taken for an answer.
    fn have(&self, version: &str, order: Order) -> bool {
        match self {
            Versions::All => true,
            Versions::Some { .. } if version.is_empty() => true,
            Versions::Some { listed, ranges } => {
                listed.iter().any(|listed| listed == version) || ranges.iter().any(|range| range.has(version, order))
            }
        }
    }
}

/// The versions that fix what a package has, each once.
fn fixes(ranges: &[Range], subject: &Subject<'_>) -> Vec<String> {
    let (version, order) = (subject.version, subject.order());
    let of = |range: &Range| -> Vec<String> {
        match version {
            "" => range.fixes().map(str::to_owned).collect(),
            version if range.has(version, order) => range.fix(version, order).map(str::to_owned).into_iter().collect(),
            _ => Vec::new(),
        }
    };
    let mut found: Vec<String> = Vec::new();
    for fix in ranges.iter().flat_map(of) {
        if !found.contains(&fix) {
            found.push(fix);
        }
    }
    found
}

/// The name that a package URL has, the distribution that it is of, and its version.
fn name_of_url(url: &str) -> Option<(String, Option<String>, Option<String>)> {
    let rest = url.strip_prefix("pkg:")?.split(['?', '#']).next()?;
    let (rest, version) = match rest.rsplit_once('@') {
        Some((rest, version)) => (rest, Some(unescape(version))),
        None => (rest, None),
    };
    let (kind, rest) = rest.split_once('/')?;
    let (namespace, name) = rest.rsplit_once('/').unwrap_or(("", rest));
    let usual = match kind {
        "deb" => Some(PackageSource::Dpkg),
        "apk" => Some(PackageSource::Apk),
        "rpm" => Some(PackageSource::Rpm),
        _ => None,
    };
    let distribution = usual.map(|usual| match namespace {
        "" => usual.usual_system().to_owned(),
        "redhat" => "rhel".to_owned(),
        namespace => namespace.to_owned(),
    });
    Some((unescape(name), distribution, version))
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Base, OsPackage, Subject as BillSubject};
    use layerstone_closure::{Closure, PathInfo};

    fn bill(paths: &[&str]) -> Bill {
        let info = |name: &&str| PathInfo {
            path: format!("/nix/store/{}-{name}", "0".repeat(32)).parse().unwrap(),
            nar_hash: None,
            nar_size: None,
            references: Vec::new(),
        };
        let package = OsPackage {
            name: "libssl3".to_owned(),
            version: "3.0.11-1~deb12u2".to_owned(),
            architecture: "amd64".to_owned(),
            source: Some("openssl".to_owned()),
            from: PackageSource::Dpkg,
        };
        let closure = Closure { graph: paths.iter().map(info).collect() };
        let base = Base { packages: vec![package], ..Base::default() };
        Bill { base: Some(base), ..Bill::of(BillSubject::closure("x"), &closure, "") }
    }

    #[track_caller]
    fn check(advisories: &str, expected: &[&str]) {
        let advisories = Advisories::parse(advisories.as_bytes(), "a.json").unwrap();
        let found = advisories.find(&bill(&["openssl-3.0.11", "openssl-3.0.14-dev", "zlib-1.3", "app"]));
        let lines: Vec<String> = found
            .iter()
            .map(|it| {
                let place = if it.path.is_some() { "store" } else { "base" };
                format!("{} {} {} {place} {}", it.id, it.name, it.version, it.fixed.join(","))
            })
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn of_osv() {
        let record = |package: &str, rest: &str| {
            format!(r#"{{"id": "CVE-1", "summary": "s", "affected": [{{"package": {package}, {rest}}}]}}"#)
        };
        let range = r#""ranges": [{"type": "SEMVER", "events": [{"introduced": "3.0.0"}, {"fixed": "3.0.13"}]}]"#;
        let upstream = record(r#"{"name": "openssl", "ecosystem": "OSS-Fuzz"}"#, range);
        check(&upstream, &["CVE-1 openssl 3.0.11 store 3.0.13"]);
        check(&format!("[{upstream}]"), &["CVE-1 openssl 3.0.11 store 3.0.13"]);
        check(&format!(r#"{{"vulns": [{upstream}]}}"#), &["CVE-1 openssl 3.0.11 store 3.0.13"]);
        // Two ranges in one list of events; the last one that is affected.
        let range = r#""ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.5"}, {"introduced": "3.0.14"},
            {"last_affected": "3.0.14"}]}]"#;
        check(&record(r#"{"name": "OpenSSL"}"#, range), &["CVE-1 openssl 3.0.14 store "]);
        // The fix is that of the interval, wherever its events stand; from the limit on nothing is said.
        let range = r#""ranges": [{"type": "SEMVER", "events": [{"fixed": "3.0.16"}, {"introduced": "3.0.14"}, {"fixed": "3.0.5"},
            {"introduced": "0"}]}]"#;
        check(&record(r#"{"name": "openssl"}"#, range), &["CVE-1 openssl 3.0.14 store 3.0.16"]);
        let range = r#""ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"limit": "3.0.12"}]}]"#;
        check(&record(r#"{"name": "openssl"}"#, range), &["CVE-1 openssl 3.0.11 store "]);
        check(&record(r#"{"name": "zlib"}"#, r#""versions": ["1.2", "1.3"]"#), &["CVE-1 zlib 1.3 store "]);
        check(&record(r#"{"purl": "pkg:generic/zlib"}"#, r#""versions": ["1.2"]"#), &[]);
        // What has no version may be affected.
        check(&record(r#"{"name": "app"}"#, r#""versions": ["9"]"#), &["CVE-1 app  store "]);
        // Debian's are of Debian's packages, by the name of the source, and in Debian's order.
        let debian = r#""ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.11-1"}]}]"#;
        check(
            &record(r#"{"name": "openssl", "ecosystem": "Debian:12"}"#, debian),
            &["CVE-1 libssl3 3.0.11-1~deb12u2 base 3.0.11-1"],
        );
        // What Ubuntu says is neither of Debian's packages nor of upstream's.
        check(&record(r#"{"name": "openssl", "ecosystem": "Ubuntu:22.04:LTS"}"#, debian), &[]);
        check(&record(r#"{"purl": "pkg:deb/ubuntu/openssl"}"#, debian), &[]);
        // Of commits nothing can be said.
        check(&record(r#"{"name": "zlib"}"#, r#""ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]"#), &[]);
    }

    #[test]
    fn of_open_vex() {
        let vex = |status: &str, product: &str| {
            format!(
                r#"{{"@context": "https://openvex.dev/ns/v0.2.0", "statements": [{{"vulnerability": {{"name": "CVE-2"}},
                "products": [{{"@id": "{product}"}}], "status": "{status}"}}]}}"#
            )
        };
        let both = ["CVE-2 openssl 3.0.11 store ", "CVE-2 openssl 3.0.14 store "];
        check(&vex("affected", "pkg:nix/openssl"), &both);
        check(&vex("under_investigation", "pkg:nix/openssl@3.0.14"), &both[1..]);
        check(&vex("not_affected", "pkg:nix/openssl"), &[]);
        check(&vex("affected", "pkg:deb/debian/openssl"), &["CVE-2 libssl3 3.0.11-1~deb12u2 base "]);
    }

    #[test]
    fn what_is_none() {
        for bad in ["", "[", "1", "{}", r#"[{"id": 1}]"#, r#"{"@context": "https://openvex.dev/ns"}"#] {
            let error = Advisories::parse(bad.as_bytes(), "a.json").unwrap_err().to_string();
            assert!(error.starts_with("malformed advisories: a.json: "), "{error}");
        }
    }
}
