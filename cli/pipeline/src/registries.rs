//! Connections to registries, one a host, made when they are first needed.

use crate::Result;
use layerstone_oci::{Descriptor, Reference};
use layerstone_registry::{Error, FetchedManifest, Options, Registry, Repository};
use layerstone_store::Digest;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How registries are talked to, and those that are connected to.
pub struct Registries {
    /// How.
    pub options: Options,
    /// Repositories that blobs may be mounted from, in the registry that they go to.
    pub mount_from: Vec<String>,
    /// Blobs that are sent at a time.
    pub uploads: usize,
    /// Registries that are asked first for what others have.
    mirrors: Vec<Mirror>,
    connected: Mutex<BTreeMap<String, Slot>>,
}

/// A registry that has what another one has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The host of the other one.
    pub of: String,
    /// Its own host.
    pub host: String,
    /// What stands before names in it; empty for nothing.
    pub prefix: String,
}

/// A registry once it is connected to. Whoever needs it meanwhile waits for this one alone.
type Slot = Arc<Mutex<Option<Arc<Registry>>>>;

impl Registries {
    /// No connection yet.
    pub fn new(options: Options, mount_from: Vec<String>, uploads: usize) -> Registries {
        Registries { options, mount_from, uploads, mirrors: Vec::new(), connected: Mutex::default() }
    }

    /// With these mirrors, in the order in which they are asked.
    pub fn with_mirrors(self, mirrors: Vec<Mirror>) -> Registries {
        Registries { mirrors, ..self }
    }

    /// Whether something else is asked before a registry is.
    pub fn has_mirror(&self, reference: &Reference) -> bool {
        self.mirrors_of(reference).next().is_some()
    }

    fn mirrors_of(&self, reference: &Reference) -> impl Iterator<Item = &Mirror> {
        self.mirrors.iter().filter(|mirror| mirror.of == reference.host())
    }

    /// What a name leads to, and the repository that has it: a mirror's, or that of the registry itself.
    ///
    /// # Errors
    ///
    /// Neither has it, or can be asked.
    pub fn fetch(&self, reference: &Reference) -> Result<(Repository, FetchedManifest)> {
        let target = reference.tag_or_digest();
        self.first(reference, |repository| repository.manifest(&target))
    }

    /// A blob of the repository of a reference, by its digest.
    ///
    /// # Errors
    ///
    /// Neither a mirror nor the registry itself has it, or can be asked.
    pub fn find_blob(&self, reference: &Reference, digest: &Digest) -> Result<(Repository, Descriptor)> {
        self.first(reference, |repository| repository.find_blob(digest))
    }

    /// What the first repository answers that has it: a mirror's, or that of the registry itself.
    fn first<T>(
        &self,
        reference: &Reference,
        ask: impl Fn(&Repository) -> layerstone_registry::Result<T>,
    ) -> Result<(Repository, T)> {
        for Mirror { host, prefix, .. } in self.mirrors_of(reference) {
            let name = [prefix.as_str(), &reference.repository()].join("/");
            let repository = self.connect(host).map(|registry| registry.repository(name.trim_start_matches('/')));
            match repository.and_then(|repository| Ok((ask(&repository)?, repository))) {
                Ok((answer, repository)) => return Ok((repository, answer)),
                Err(crate::Error::Registry(Error::Cancelled)) => return Err(Error::Cancelled.into()),
                Err(error) => {
                    let of = reference.host();
                    self.options.notify.tell(&format!("the mirror {host} is passed over, and {of} asked: {error}"));
                }
            }
        }
        let repository = self.repository(reference)?;
        let answer = ask(&repository)?;
        Ok((repository, answer))
    }

    /// The repository of a reference.
    ///
    /// # Errors
    ///
    /// The host cannot be reached, or is no registry.
    pub fn repository(&self, reference: &Reference) -> Result<Repository> {
        Ok(self.connect(reference.host())?.repository(&reference.repository()))
    }

    fn connect(&self, host: &str) -> Result<Arc<Registry>> {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(connected.entry(host.to_owned()).or_default());
        drop(connected);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(registry) => Ok(Arc::clone(registry)),
            None => Ok(Arc::clone(slot.insert(Registry::connect(host, &self.options)?))),
        }
    }
}
