//! Replaces rpm's database in builds without SQLite.

use crate::{Error, Result};
use layerstone_sbom::OsPackage;
use std::path::Path;

/// No packages.
///
/// # Errors
///
/// Always.
pub fn read_rpm_database(_copy: &Path, name: &str) -> Result<Vec<OsPackage>> {
    Err(Error::Invalid(format!("cannot read: {name}: this build has no SQLite (feature nix-db)")))
}
