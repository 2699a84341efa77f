//! The protocol of registries (OCI distribution-spec 1.1), as a client and as a read-only server.
//!
//! A [`Registry`] is a connection to a host, a [`Repository`] one repository on it. [`Push`] is a repository as a
//! destination of images, [`RemoteBlob`] a blob to download. A [`Server`] serves a [`MemoryRegistry`] to `docker pull`.
//!
//! This crate does not know what is in an image, nor where blobs come from.

#![forbid(unsafe_code)]
// Addresses and exemptions of hosts, which the client alone needs all of.
#![cfg_attr(not(feature = "client"), allow(dead_code))]

#[cfg(feature = "client")]
mod client;
#[cfg(not(feature = "client"))]
#[path = "no_client.rs"]
mod client;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod http;
mod memory_registry;
mod options;
mod pause;
mod push_stats;
mod ranges;
mod server;
mod trust;
mod url;

pub use client::{FetchedManifest, Push, Registry, RemoteBlob, Repository};
pub use error::{Error, Obstacle, Result};
pub use memory_registry::{MemoryRegistry, RepositoryHandle, StoredContent};
pub use options::{Notify, Options, Waiting};
pub use pause::pause;
pub use push_stats::PushStats;
pub use server::{Asked, Outcome, Server};
pub use trust::InsecureHost;
