//! What keeps blobs and manifests, and takes new ones.

use crate::{Content, Descriptor, Result};
use layerstone_layer::Packed;
use layerstone_store::Error as StageError;
use layerstone_tar::Part;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

/// How a blob got there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Its bytes went there.
    Sent,
    /// It was there.
    There,
    /// It was taken over from elsewhere in the same place, without its bytes going anywhere.
    Mounted,
}

/// What an image is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name, without a tag.
    pub name: String,
    /// The tag.
    pub tag: String,
}

impl Name {
    /// Splits `NAME:TAG`; without a tag it is `latest`.
    pub fn parse(text: &str) -> Name {
        let (name, tag) = crate::name::split(text);
        Name { name: name.to_owned(), tag: tag.unwrap_or("latest").to_owned() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

/// Writes a blob of which nothing is known into the output that it is given, and tells what it is then.
pub type Given<'a> = dyn FnMut(&mut (dyn Write + Send)) -> Result<Packed> + 'a;

/// A place for images.
pub trait Destination: Sync {
    /// Puts a blob there unless it is there already; its bytes are compared with the descriptor.
    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> Result<Put>;

    /// Puts a blob there whose digest is known only when it was written.
    fn put_given(&self, write: &mut Given<'_>) -> Result<(Packed, Put)>;

    /// Whether a blob that is not compressed costs less when it is written and hashed at the same time than when it is
    /// hashed first.
    fn is_near(&self) -> bool;

    /// Puts a manifest there that an index will name: as a blob, where manifests are blobs.
    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let content: Arc<dyn Content> = Arc::new(bytes.to_vec());
        self.put(descriptor, &content).map(drop)
    }

    /// Puts a manifest or an index there under a name, as the last thing of all.
    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Name>) -> Result<()>;
}

/// Writes a blob into a temporary file without a name: for what wants to know its digest before its bytes.
///
/// # Errors
///
/// The file or the blob cannot be written.
pub fn spool(write: &mut Given<'_>) -> Result<(Packed, Part)> {
    let mut file = tempfile::tempfile().map_err(StageError::io("write", &std::env::temp_dir()))?;
    let packed = write(&mut file)?;
    Ok((packed, Part::new(Arc::new(file), "blob", 0, packed.size)))
}
