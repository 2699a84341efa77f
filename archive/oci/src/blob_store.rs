//! What keeps the blobs and manifests of OCI images: a layout, an archive of one, a repository. Does not know of layers.

use crate::{Content, Descriptor, Reference, Result};
use layerstone_layer::CompressedBlob;
use layerstone_store::Error as StageError;
use layerstone_tar::Part;
use std::io::Write;
use std::sync::Arc;

/// How a blob got where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// Its bytes went there.
    Sent,
    /// It was there.
    Existing,
    /// It was taken over from elsewhere in the same registry, without its bytes going anywhere.
    Mounted,
}

/// Writes a blob whose digest is not known yet, and returns its digests and size.
pub type BlobWriter<'a> = dyn FnMut(&mut (dyn Write + Send)) -> Result<CompressedBlob> + 'a;

/// What is known of an image before any of it is put.
pub struct ExpectedImage<'a> {
    /// What it is going to be called.
    pub name: Option<&'a Reference>,
    /// How many layers it has.
    pub layers: usize,
    /// Its manifest, and all blobs that this lists, where all of them are known.
    pub known: Option<(&'a Descriptor, &'a [Descriptor])>,
}

/// Keeps blobs and manifests.
pub trait BlobStore: Sync {
    /// Stores a blob unless it exists; its bytes are compared with the descriptor.
    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> Result<PutOutcome>;

    /// Stores a blob whose digest is known only once it is written.
    fn put_streaming(&self, write: &mut BlobWriter<'_>) -> Result<(CompressedBlob, PutOutcome)> {
        let (blob, part) = spool_to_temp(write)?;
        let content: Arc<dyn Content> = Arc::new(part);
        let outcome = self.put(&Descriptor::layer(None, blob.digest, blob.size), &content)?;
        Ok((blob, outcome))
    }

    /// Told before the blobs of an image are put. A store may find out then which of them it has, and need not look for
    /// each.
    fn expect_image(&self, image: &ExpectedImage<'_>) -> Result<()> {
        let ExpectedImage { .. } = image;
        Ok(())
    }

    /// Whether an uncompressed blob is better written and hashed in one pass than hashed first.
    fn prefers_streaming(&self) -> bool {
        false
    }

    /// What progress calls putting something into it.
    fn verb(&self) -> &'static str {
        "putting"
    }

    /// Stores a manifest that an index will list.
    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let content: Arc<dyn Content> = Arc::new(bytes.to_vec());
        self.put(descriptor, &content).map(drop)
    }

    /// Stores a manifest that refers to another one. It is listed among that one's referrers once [`BlobStore::finish`] or
    /// [`BlobStore::finish_referrers`] is called; what lists manifests with a subject by itself does so at once.
    fn put_referrer(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.put_manifest(descriptor, bytes)
    }

    /// Lists the referrers that were put; the last call where no image is put.
    fn finish_referrers(&self) -> Result<()> {
        Ok(())
    }

    /// Stores the manifest or index of an image under a name; the last call for an image.
    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Reference>) -> Result<()>;
}

/// Writes a blob into an unnamed temporary file: for a store that needs its digest before its bytes.
///
/// # Errors
///
/// The file or the blob cannot be written.
pub fn spool_to_temp(write: &mut BlobWriter<'_>) -> Result<(CompressedBlob, Part)> {
    let directory = std::env::temp_dir();
    let mut file = tempfile::tempfile().map_err(StageError::io("write", &directory))?;
    let packed = write(&mut file)?;
    // It has no name of its own.
    Ok((packed, Part::new(Arc::new(file), directory.join("blob"), 0, packed.size)))
}
