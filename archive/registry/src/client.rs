//! The client of registries: connections, repositories, blobs to download, and pushes.

mod agents;
mod answer;
mod auth;
mod auth_file;
mod certificate;
pub(crate) mod challenge;
mod connection;
mod credential;
mod delete;
mod download;
mod forward;
mod netrc;
mod pages;
mod pipe;
mod probe;
mod proxy;
mod push;
mod referrer_list;
mod referrers;
mod refusal;
mod repository;
mod resolver;
pub(crate) mod retry;
mod socket;
mod tags;
mod transport;
mod upload;

pub use connection::Registry;
pub(crate) use connection::{Body, Reply, Request, refusal};
pub use download::RemoteBlob;
pub use push::Push;
pub use repository::{FetchedManifest, Repository};
