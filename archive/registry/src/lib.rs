//! Registries: the protocol of OCI's distribution-spec 1.1, as a client and as a server that only gives.
//!
//! A [`Registry`] is a host that answers, a [`Repository`] one of its names. [`Push`] is a repository as a place that
//! images are put into, [`Remote`] a blob that is read from one. [`Server`] answers `docker pull` on this machine.
//!
//! This crate does not know what is in an image, nor where blobs come from.

mod agents;
mod auth;
mod challenge;
mod client;
mod credential;
mod download;
mod encoding;
mod error;
mod forward;
mod http;
mod pipe;
mod proxy;
mod push;
mod reference;
mod repository;
mod retry;
mod server;
mod shelf;
mod socket;
mod transport;
mod trust;
mod upload;
mod url;

pub use client::{Options, Registry};
pub use credential::default_files;
pub use download::Remote;
pub use error::{Error, Result};
pub use push::{Push, Sent};
pub use reference::Reference;
pub use repository::{Fetched, Repository};
pub use retry::Stop;
pub use server::Server;
pub use shelf::{Shelf, ShelfPlace, Stored};
pub use trust::InsecureHost;
