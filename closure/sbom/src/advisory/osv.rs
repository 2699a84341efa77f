//! Reads OSV records (ossf.github.io/osv-schema, 1.6): which versions of which package a vulnerability is in.

use super::range::{Event, Range};
use super::{Advisory, Versions, name_of_url};
use serde::Deserialize;
use serde_json::Value;

/// Ecosystems that are distributions, and what os-release(5) calls these (osv-schema, "Defined Ecosystems").
const DISTRIBUTIONS: [(&str, &str); 18] = [
    ("AlmaLinux", "almalinux"),
    ("Alpaquita", "alpaquita"),
    ("Alpine", "alpine"),
    ("Azure Linux", "azurelinux"),
    ("BellSoft Hardened Containers", "alpaquita"),
    ("Chainguard", "chainguard"),
    ("Debian", "debian"),
    ("Echo", "echo"),
    ("Mageia", "mageia"),
    ("MinimOS", "minimos"),
    ("Photon OS", "photon"),
    ("Red Hat", "rhel"),
    ("Rocky Linux", "rocky"),
    ("SUSE", "sles"),
    ("Ubuntu", "ubuntu"),
    ("Wolfi", "wolfi"),
    ("openEuler", "openEuler"),
    ("openSUSE", "opensuse"),
];

#[derive(Deserialize)]
struct Record {
    id: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    affected: Vec<Affected>,
    /// Set where the record was taken back.
    #[serde(default)]
    withdrawn: Option<String>,
}

#[derive(Deserialize)]
struct Affected {
    #[serde(default)]
    package: Package,
    #[serde(default)]
    ranges: Vec<OsvRange>,
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Package {
    name: String,
    ecosystem: String,
    purl: String,
}

#[derive(Deserialize)]
struct OsvRange {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<OsvEvent>,
}

/// One of these.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OsvEvent {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}

/// A record, a list of them, or a list below `vulns`.
pub(super) fn read(value: Value) -> Result<Vec<Advisory>, String> {
    let records = match value {
        Value::Array(records) => records,
        Value::Object(mut object) => match object.remove("vulns") {
            Some(Value::Array(records)) => records,
            Some(other) => return Err(format!("vulns: found {other}, expected a list of OSV records")),
            None => vec![Value::Object(object)],
        },
        other => return Err(format!("found {other}, expected OSV records or an OpenVEX document")),
    };
    let mut advisories = Vec::new();
    for record in records {
        let record: Record = serde_json::from_value(record).map_err(|e| format!("an OSV record: {e}"))?;
        if record.withdrawn.is_none() {
            advisories.extend(record.affected.iter().filter_map(|affected| affected.advisory(&record)));
        }
    }
    Ok(advisories)
}

impl Affected {
    /// None if it is of commits alone, which say nothing of versions.
    fn advisory(&self, record: &Record) -> Option<Advisory> {
        let of_versions = self.ranges.iter().filter(|range| range.kind != "GIT");
        let ranges: Vec<Range> = of_versions.map(OsvRange::range).filter(Range::begins).collect();
        if self.versions.is_empty() && ranges.is_empty() {
            return None;
        }
        let by_url = name_of_url(&self.package.purl);
        let name = if self.package.name.is_empty() { by_url.as_ref()?.0.clone() } else { self.package.name.clone() };
        let ecosystem = self.package.ecosystem.split(':').next().unwrap_or_default();
        let known = DISTRIBUTIONS.iter().find(|(name, _)| *name == ecosystem).map(|(_, id)| (*id).to_owned());
        let distribution = known.or_else(|| by_url.and_then(|(_, distribution, _)| distribution));
        let versions = Versions::Some { listed: self.versions.clone(), ranges };
        Some(Advisory {
            id: record.id.clone(),
            summary: record.summary.clone(),
            name,
            distribution,
            versions,
            is_affected: true,
        })
    }
}

impl OsvRange {
    fn range(&self) -> Range {
        let mut range = Range::default();
        for OsvEvent { introduced, fixed, last_affected, limit } in &self.events {
            range.events.extend(introduced.clone().map(Event::Introduced));
            range.events.extend(fixed.clone().map(Event::Fixed));
            range.events.extend(last_affected.clone().map(Event::LastAffected));
            range.limits.extend(limit.clone());
        }
        range
    }
}
