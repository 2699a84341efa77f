//! Replaces the client in builds without it: no registry can be connected to.

use crate::{Error, Options, PushStats, Result};
use layerstone_layer::CompressedBlob;
use layerstone_oci::{BlobStore, BlobWriter, Content, Descriptor, PutOutcome, Reference};
use layerstone_store::Digest;
use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;

/// A connection to a registry, of which there is none.
#[derive(Debug)]
pub struct Registry(Infallible);

/// A repository of a registry.
#[derive(Clone, Debug)]
pub struct Repository(Infallible);

/// A blob of a repository.
#[derive(Clone, Debug)]
pub struct RemoteBlob(Infallible);

/// A repository as a store of blobs.
#[derive(Debug)]
pub struct Push(Infallible);

/// A manifest or an index.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// What it is.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Registry {
    /// Connects to nothing.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn connect(host: &str, _options: &Options) -> Result<Arc<Registry>> {
        Err(Error::NoClient { host: host.to_owned() })
    }

    /// A repository of it.
    pub fn repository(self: &Arc<Registry>, _name: &str) -> Repository {
        match self.0 {}
    }
}

impl Repository {
    /// Checks the credentials.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn check_push(&self) -> Result<()> {
        match self.0 {}
    }

    /// The manifest or index of a tag or digest.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn manifest(&self, _target: &str) -> Result<FetchedManifest> {
        match self.0 {}
    }

    /// The tags.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn tags(&self) -> Result<Vec<String>> {
        match self.0 {}
    }

    /// Deletes a manifest.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn delete(&self, _digest: &Digest) -> Result<()> {
        match self.0 {}
    }

    /// What a blob is.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn find_blob(&self, _digest: &Digest) -> Result<Descriptor> {
        match self.0 {}
    }

    /// What refers to a manifest.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn referrers(&self, _subject: &Digest, _artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        match self.0 {}
    }

    /// Deletes referrers.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn delete_referrers(&self, _subject: &Digest, _referrers: &[Digest]) -> Result<Vec<bool>> {
        match self.0 {}
    }

    /// The bytes of a small blob.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn small_blob(&self, _descriptor: &Descriptor) -> Result<Vec<u8>> {
        match self.0 {}
    }

    /// A blob.
    pub fn blob(&self, _descriptor: &Descriptor) -> RemoteBlob {
        match self.0 {}
    }
}

impl Content for RemoteBlob {
    fn write_to(&self, _from: u64, _out: &mut (dyn Write + Send)) -> layerstone_layer::Result<()> {
        match self.0 {}
    }
}

impl Push {
    /// Pushes images into a repository.
    pub fn new(repository: &Repository, _tag: Option<&str>, _mounts: &[String]) -> Push {
        match repository.0 {}
    }

    /// What would become of a blob.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn would_put(&self, _descriptor: &Descriptor) -> Result<PutOutcome> {
        match self.0 {}
    }

    /// Whether a manifest would be sent.
    ///
    /// # Errors
    ///
    /// None, as there is no repository.
    pub fn would_send(&self, _: &Descriptor, _: &[u8], _: &str) -> Result<bool> {
        match self.0 {}
    }

    /// What a manifest is stored under.
    pub fn target(&self, _: &Descriptor, _: Option<&Reference>) -> String {
        match self.0 {}
    }

    /// Statistics so far.
    pub fn sent(&self) -> PushStats {
        match self.0 {}
    }
}

impl BlobStore for Push {
    fn put(&self, _descriptor: &Descriptor, _content: &Arc<dyn Content>) -> layerstone_oci::Result<PutOutcome> {
        match self.0 {}
    }

    fn put_streaming(&self, _write: &mut BlobWriter<'_>) -> layerstone_oci::Result<(CompressedBlob, PutOutcome)> {
        match self.0 {}
    }

    fn finish(&self, _: &Descriptor, _: &[u8], _: Option<&Reference>) -> layerstone_oci::Result<()> {
        match self.0 {}
    }
}
