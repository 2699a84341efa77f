//! Parses the databases of packages that base images have, dpkg's, apk's and rpm's, and the name of the system.

mod rpm;

pub use rpm::parse_rpm_header;

use std::collections::BTreeMap;

/// A package of a distribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OsPackage {
    /// Its name.
    pub name: String,
    /// Its version, with its epoch and its revision.
    pub version: String,
    /// What it runs on, as the distribution calls it.
    pub architecture: String,
    /// The source package that it was made from, if it is called otherwise.
    pub source: Option<String>,
    /// Whose database lists it.
    pub from: PackageSource,
}

/// Whose database lists a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageSource {
    /// Debian's and Ubuntu's.
    Dpkg,
    /// Alpine's and Wolfi's.
    Apk,
    /// Fedora's, Red Hat's and SUSE's.
    Rpm,
}

impl PackageSource {
    /// The system that is meant where an image does not say which it is.
    pub(crate) fn usual_system(self) -> &'static str {
        match self {
            PackageSource::Dpkg => "debian",
            PackageSource::Apk => "alpine",
            PackageSource::Rpm => "fedora",
        }
    }
}

/// What `/etc/os-release` says (os-release(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`: `debian`.
    pub id: String,
    /// `VERSION_ID`: `12`; empty if there is none.
    pub version: String,
    /// `PRETTY_NAME`; empty if there is none.
    pub name: String,
}

impl OsRelease {
    /// Reads it; none if it has no `ID`.
    pub fn parse(text: &[u8]) -> Option<OsRelease> {
        let text = String::from_utf8_lossy(text);
        let lines = text.lines().filter_map(|line| line.trim().split_once('='));
        let values: BTreeMap<&str, &str> = lines.map(|(key, value)| (key, value.trim_matches(['"', '\'']))).collect();
        let value = |key: &str| values.get(key).copied().unwrap_or_default().to_owned();
        Some(OsRelease { id: value("ID"), version: value("VERSION_ID"), name: value("PRETTY_NAME") })
            .filter(|os| !os.id.is_empty())
    }
}

/// The packages that `/var/lib/dpkg/status`, or a file of `/var/lib/dpkg/status.d`, says are installed, sorted
/// (dpkg-query(1); deb-control(5)). Paragraphs without a name or a version are left out.
pub fn parse_dpkg(text: &[u8]) -> Vec<OsPackage> {
    let text = String::from_utf8_lossy(text);
    let package = |paragraph: &str| {
        let field = |name: &str| {
            let mut lines = paragraph.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        // Those of `status.d`, which images without dpkg have, say nothing of it.
        let is_installed = field("Status").is_none_or(|status| status.ends_with(" installed"));
        Some(OsPackage {
            name: field("Package")?,
            version: field("Version")?,
            architecture: field("Architecture").unwrap_or_default(),
            source: field("Source").map(|source| source.split(' ').next().unwrap_or_default().to_owned()),
            from: PackageSource::Dpkg,
        })
        .filter(|_| is_installed)
    };
    sorted(text.split("\n\n").filter_map(package))
}

/// The packages that `/lib/apk/db/installed` lists, sorted (Alpine's wiki, "Apk spec").
pub fn parse_apk(text: &[u8]) -> Vec<OsPackage> {
    let text = String::from_utf8_lossy(text);
    let package = |paragraph: &str| {
        let field =
            |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::to_owned);
        let name = field("P")?;
        Some(OsPackage {
            version: field("V")?,
            architecture: field("A").unwrap_or_default(),
            source: field("o").filter(|source| *source != name),
            name,
            from: PackageSource::Apk,
        })
    };
    sorted(text.split("\n\n").filter_map(package))
}

fn sorted(packages: impl Iterator<Item = OsPackage>) -> Vec<OsPackage> {
    let mut packages: Vec<OsPackage> = packages.collect();
    packages.sort();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(packages: &[OsPackage]) -> Vec<String> {
        let word = |package: &OsPackage| {
            let source = package.source.as_deref().unwrap_or("-");
            format!("{} {} {} {source}", package.name, package.version, package.architecture)
        };
        packages.iter().map(word).collect()
    }

    #[test]
    fn of_dpkg() {
        let status = "Package: libc6\nStatus: install ok installed\nSource: glibc\nVersion: 2.36-9\nArchitecture: amd64\n\
            Description: C library\n Package: not this one\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
            package: adduser\nstatus: hold ok installed\nsource: adduser (3.1)\nversion: 3.134\narchitecture: all\n\n\
            Package: nothing\n\n";
        assert_eq!(words(&parse_dpkg(status.as_bytes())), ["adduser 3.134 all adduser", "libc6 2.36-9 amd64 glibc"]);
        // Of an image that has no dpkg.
        assert_eq!(words(&parse_dpkg(b"Package: tzdata\nVersion: 2024a\n")), ["tzdata 2024a  -"]);
        assert!(parse_dpkg(b"").is_empty() && parse_dpkg(b"\xff\0\n\n:").is_empty());
    }

    #[test]
    fn of_apk() {
        let installed =
            "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nR:ld.so\n\nP:libssl3\nV:3.3.2-r0\no:openssl\n\nP:x\n";
        assert_eq!(words(&parse_apk(installed.as_bytes())), ["libssl3 3.3.2-r0  openssl", "musl 1.2.5-r0 x86_64 -"]);
    }

    #[test]
    fn of_systems() {
        let os = OsRelease::parse(b"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\nID=debian\n# x\n");
        let os = os.unwrap();
        assert_eq!((&*os.id, &*os.version, &*os.name), ("debian", "12", "Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(OsRelease::parse(b"NAME=x\n"), None);
    }
}
