//! Finds what an image has besides store paths: the system, and the packages that its databases list.

use crate::Result;
use crate::error::Context;
use crate::rpm_database::read_rpm_database;
use layerstone_sbom::{Base, OsPackage, OsRelease, parse_apk, parse_dpkg};
use layerstone_store::{Limit, Limits, Scratch};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// Parses a database of packages.
type ParsePackages = fn(&[u8]) -> Vec<OsPackage>;

/// Databases of packages, and who reads them.
const DATABASES: [(&str, ParsePackages); 3] =
    [("var/lib/dpkg/status", parse_dpkg), ("lib/apk/db/installed", parse_apk), ("usr/lib/apk/db/installed", parse_apk)];
/// Files like dpkg's database, one for each package, in images without dpkg.
const DPKG_PARTS: &str = "var/lib/dpkg/status.d";
/// rpm's database, where Red Hat and Fedora have it, and where SUSE and newer Fedoras do (rpm 4.16 on).
const RPM: [&str; 2] = ["var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite"];
/// Names of the system, the first that is there.
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// Annotations that name the image below (OCI image-spec, annotations.md).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// The files of an image, by their names without the slash in front.
pub(crate) trait PackageFiles {
    /// What messages call the image.
    fn image(&self) -> String;

    /// The bytes of a regular file that a name leads to; none if it leads to none.
    fn size(&self, name: &str) -> Option<u64>;

    /// Writes the contents of such a file.
    fn write(&self, name: &str, out: &mut dyn Write) -> Result<()>;

    /// The names in a directory; none without one.
    fn names_in(&self, directory: &str) -> Vec<String>;

    /// How much of it may be read.
    fn limits(&self) -> Limits;
}

/// The system and its packages, with what annotations say of an image below; none without either.
///
/// # Errors
///
/// A file cannot be read, or is too large.
pub(crate) fn base_of(
    files: &dyn PackageFiles,
    annotations: Option<&BTreeMap<String, String>>,
) -> Result<Option<Base>> {
    let annotation = |key: &str| annotations.and_then(|annotations| annotations.get(key)).cloned();
    let mut base = Base {
        name: annotation(BASE_NAME),
        digest: annotation(BASE_DIGEST).and_then(|digest| digest.parse().ok()),
        ..Base::default()
    };
    for name in OS_RELEASE {
        if base.os.is_none()
            && let Some(text) = text(files, name)?
        {
            base.os = OsRelease::parse(&text);
        }
    }
    for (name, parse) in DATABASES {
        base.packages.extend(text(files, name)?.map(|text| parse(&text)).unwrap_or_default());
    }
    for part in files.names_in(DPKG_PARTS) {
        let part = format!("{DPKG_PARTS}/{part}");
        base.packages.extend(text(files, &part)?.map(|text| parse_dpkg(&text)).unwrap_or_default());
    }
    for name in RPM {
        if let Some((_scratch, path)) = copied(files, name)? {
            base.packages.extend(read_rpm_database(&path, &format!("{}: {name}", files.image()))?);
        }
    }
    base.packages.sort();
    base.packages.dedup();
    // The name of a system without packages may be that of a store path, as base-files of Debian is.
    Ok(Some(base).filter(|base| base.name.is_some() || base.digest.is_some() || !base.packages.is_empty()))
}

/// A copy of a regular file, and the directory that it lies in, which lives as long as this.
pub(crate) fn copied(files: &dyn PackageFiles, name: &str) -> Result<Option<(Scratch, PathBuf)>> {
    if files.size(name).is_none() {
        return Ok(None);
    }
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let path = scratch.path().join("db.sqlite");
    let mut file = File::create(&path).with_context(|| format!("cannot write: {}", path.display()))?;
    files.write(name, &mut file)?;
    Ok(Some((scratch, path)))
}

/// The contents of a regular file, by its name and whatever links lead to it.
fn text(files: &dyn PackageFiles, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(size) = files.size(name) else { return Ok(None) };
    let checked = files.limits().check(Limit::Descriptions, size);
    checked.map_err(|exceeded| invalid!("{}: {name}: {exceeded}", files.image()))?;
    let mut text = Vec::new();
    files.write(name, &mut text)?;
    Ok(Some(text))
}
