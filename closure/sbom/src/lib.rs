//! Writes bills of materials of closures and images: CycloneDX 1.6, SPDX 2.3 and SPDX 3.0.1, all of them JSON.
//!
//! A [`Bill`] lists store paths, what they refer to and the layers that hold them, and the packages of a base image. Each
//! [`Format`] writes it; the same bill is the same text, on any machine and at any time.
//!
//! ```
//! use layerstone_closure::ReferencesGraph;
//! use layerstone_sbom::{Bill, Format, Subject};
//!
//! let json = br#"[{"path": "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc-2.36", "references": []}]"#;
//! let graph = ReferencesGraph::parse(json, "web.json")?;
//! let root = graph.entries()[0].path.clone();
//! let closure = graph.closure(&[root])?;
//! let bill = Bill::of(Subject::closure("web"), &closure, "1970-01-01T00:00:01Z");
//! let text = bill.write(Format::CycloneDx);
//! assert!(text.contains(r#""purl": "pkg:nix/libc@2.36?outputhash=516z65g5d2g7yfc9yv6n2g1q21jqv0m1""#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate does not know where images come from, and reads no files.

#![forbid(unsafe_code)]

mod advisory;
mod bill;
mod cyclonedx;
mod difference;
mod error;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod license;
mod meta;
mod os_package;
mod package_url;
mod spdx2;
mod spdx3;

pub use advisory::{Advisories, Finding};
pub use bill::{Base, Bill, Component, LayerOf, Subject};
pub use difference::{BillDiff, PackageVersions, VersionChange, bill_difference};
pub use error::{Error, Result};
pub use format::Format;
pub use license::License;
pub use meta::{META_FORMAT, META_VERSION, Meta, MetaFile};
pub use os_package::{OsPackage, OsRelease, PackageSource, parse_apk, parse_dpkg, parse_rpm_header};
