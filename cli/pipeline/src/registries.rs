//! Connections to registries, one a host, made when they are first needed.

use crate::Result;
use layerstone_oci::Reference;
use layerstone_registry::{Options, Registry, Repository};
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
    connected: Mutex<BTreeMap<String, Slot>>,
}

/// A registry once it is connected to. Whoever needs it meanwhile waits for this one alone.
type Slot = Arc<Mutex<Option<Arc<Registry>>>>;

impl Registries {
    /// No connection yet.
    pub fn new(options: Options, mount_from: Vec<String>, uploads: usize) -> Registries {
        Registries { options, mount_from, uploads, connected: Mutex::default() }
    }

    /// The repository of a reference.
    ///
    /// # Errors
    ///
    /// The host cannot be reached, or is no registry.
    pub fn repository(&self, reference: &Reference) -> Result<Repository> {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(connected.entry(reference.host().to_owned()).or_default());
        drop(connected);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let registry = match &*slot {
            Some(registry) => Arc::clone(registry),
            None => Arc::clone(slot.insert(Registry::connect(reference.host(), &self.options)?)),
        };
        Ok(registry.repository(&reference.repository()))
    }
}
