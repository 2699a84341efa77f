//! What a copy would do: a store of blobs that asks what is there, and stores nothing.

use crate::{ImageTarget, Registries, Result};
use layerstone_layer::{CompressedBlob, Layer, Progress, write_layer};
use layerstone_oci::{
    BlobStore, BlobWriter, Content, Descriptor, Image, OciLayout, PutOutcome, Reference, Result as OciResult,
};
use layerstone_registry::Push;
use layerstone_store::Digest;
use std::collections::BTreeMap;
use std::io::sink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What would become of the blobs and manifests of images, each once.
#[derive(Debug, Default)]
pub struct Rehearsal {
    blobs: Mutex<BTreeMap<Digest, Rehearsed>>,
    manifests: Mutex<BTreeMap<Digest, Rehearsed>>,
}

/// What would become of a blob or a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// Its digest; that of a layer's tar in a docker archive.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// How it would get there.
    pub put: PutOutcome,
}

impl Rehearsal {
    /// The blobs, the biggest first.
    pub fn blobs(&self) -> Vec<Rehearsed> {
        biggest_first(&self.blobs)
    }

    /// The manifests and indexes, the biggest first.
    pub fn manifests(&self) -> Vec<Rehearsed> {
        biggest_first(&self.manifests)
    }

    fn blob(&self, digest: Digest, size: u64, put: PutOutcome) {
        add(&self.blobs, Rehearsed { digest, size, put });
    }

    /// Adds the tars of an image's layers, which would be written, and says which ID it would have.
    pub(crate) fn plain(&self, image: &Image<'_>) -> Result<Digest> {
        let diff_id = |layer: &Layer| match layer.diff_id {
            Some(known) => Ok(known),
            None => write_layer(layer.tar()?, &mut sink(), Path::new("nowhere"), &Progress::default()),
        };
        let mut diff_ids = Vec::new();
        for layer in &image.layers {
            diff_ids.push(diff_id(layer)?);
            self.blob(*diff_ids.last().expect("it was pushed"), layer.tar()?.size(), PutOutcome::Sent);
        }
        let config = image.config.bytes(&diff_ids);
        self.blob(Digest::of(&config), config.len() as u64, PutOutcome::Sent);
        Ok(Digest::of(&config))
    }
}

fn add(list: &Mutex<BTreeMap<Digest, Rehearsed>>, one: Rehearsed) {
    list.lock().unwrap_or_else(PoisonError::into_inner).entry(one.digest).or_insert(one);
}

fn biggest_first(list: &Mutex<BTreeMap<Digest, Rehearsed>>) -> Vec<Rehearsed> {
    let mut all: Vec<Rehearsed> = list.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect();
    all.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.digest.cmp(&b.digest)));
    all
}

/// A target that keeps OCI images, which is asked and stays as it is.
pub(crate) struct RehearsedStore {
    at: At,
    rehearsal: Arc<Rehearsal>,
}

enum At {
    Layout(PathBuf),
    /// What is written anew.
    Nothing,
    Repository(Box<Push>),
}

impl RehearsedStore {
    /// Opens a target to be asked; blobs of a registry may be mounted from `mounts` too.
    pub fn open(
        target: &ImageTarget,
        registries: &Registries,
        mounts: &[String],
        rehearsal: &Arc<Rehearsal>,
    ) -> Result<RehearsedStore> {
        let at = match target {
            ImageTarget::OciLayout(directory) => {
                check_layout(directory)?;
                At::Layout(directory.clone())
            }
            ImageTarget::Registry(reference) => {
                let mounts: Vec<String> = registries.mount_from.iter().chain(mounts).cloned().collect();
                At::Repository(Box::new(Push::new(&registries.repository(reference)?, reference.tag(), &mounts)))
            }
            _ => At::Nothing,
        };
        Ok(RehearsedStore { at, rehearsal: Arc::clone(rehearsal) })
    }

    fn ask(&self, descriptor: &Descriptor) -> OciResult<PutOutcome> {
        Ok(match &self.at {
            At::Layout(directory) if OciLayout::holds(directory, descriptor) => PutOutcome::Existing,
            At::Layout(_) | At::Nothing => PutOutcome::Sent,
            At::Repository(push) => push.would_put(descriptor)?,
        })
    }

    fn manifest(&self, descriptor: &Descriptor, put: PutOutcome) {
        let Descriptor { digest, size, .. } = *descriptor;
        add(&self.rehearsal.manifests, Rehearsed { digest, size, put });
    }
}

/// Refuses a directory that no image could be put into.
fn check_layout(directory: &Path) -> Result<()> {
    let has_files = || directory.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    let cause = match directory.metadata() {
        Ok(metadata) if !metadata.is_dir() => "found a file, expected a directory",
        Ok(_) if !directory.join("oci-layout").is_file() && has_files() => {
            return Err(layerstone_oci::Error::OtherFiles { path: directory.to_owned() }.into());
        }
        _ => return Ok(()),
    };
    Err(layerstone_oci::Error::NotALayout { path: directory.to_owned(), cause: cause.to_owned() }.into())
}

impl BlobStore for RehearsedStore {
    fn put(&self, descriptor: &Descriptor, _content: &Arc<dyn Content>) -> OciResult<PutOutcome> {
        let put = self.ask(descriptor)?;
        self.rehearsal.blob(descriptor.digest, descriptor.size, put);
        Ok(put)
    }

    /// Makes the blob, and keeps nothing of it but its digest.
    fn put_streaming(&self, write: &mut BlobWriter<'_>) -> OciResult<(CompressedBlob, PutOutcome)> {
        let blob = write(&mut sink())?;
        let put = self.ask(&Descriptor::layer(None, blob.digest, blob.size))?;
        self.rehearsal.blob(blob.digest, blob.size, put);
        Ok((blob, put))
    }

    fn prefers_streaming(&self) -> bool {
        true
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> OciResult<()> {
        let put = match &self.at {
            At::Repository(push) => {
                let digest = descriptor.digest.to_string();
                let is_sent = push.would_send(descriptor, bytes, &digest)?;
                if is_sent { PutOutcome::Sent } else { PutOutcome::Existing }
            }
            _ => self.ask(descriptor)?,
        };
        self.manifest(descriptor, put);
        Ok(())
    }

    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Reference>) -> OciResult<()> {
        let At::Repository(push) = &self.at else { return self.put_manifest(descriptor, bytes) };
        let is_sent = push.would_send(descriptor, bytes, &push.target(descriptor, name))?;
        self.manifest(descriptor, if is_sent { PutOutcome::Sent } else { PutOutcome::Existing });
        Ok(())
    }
}
