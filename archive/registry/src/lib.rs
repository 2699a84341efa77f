//! The protocol of registries (OCI distribution-spec 1.1), as a client and as a read-only server.
//!
//! A [`Registry`] is a connection to a host, a [`Repository`] one repository on it. [`Push`] is a repository as a
//! destination of images, [`RemoteBlob`] a blob to download. A [`Server`] serves a [`MemoryRegistry`] to `docker pull`.
//!
//! This crate does not know what is in an image, nor where blobs come from.

mod agents;
mod answer;
mod auth;
mod challenge;
mod client;
mod credential;
mod download;
mod error;
mod forward;
mod http;
mod memory_registry;
mod options;
mod pipe;
mod proxy;
mod push;
mod refusal;
mod repository;
mod retry;
mod server;
mod socket;
mod transport;
mod trust;
mod upload;
mod url;

pub use client::Registry;
pub use credential::default_files;
pub use download::RemoteBlob;
pub use error::{Error, Result};
pub use memory_registry::{MemoryRegistry, RepositoryHandle, StoredContent};
pub use options::Options;
pub use push::{Push, PushStats};
pub use repository::{FetchedManifest, Repository};
pub use server::Server;
pub use trust::InsecureHost;
