//! What keeps blobs and manifests, and takes new ones.

use crate::{Content, Descriptor, Result};
use layerstone_layer::Packed;
use std::collections::BTreeMap;
use std::io::Write;

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

/// Writes a blob of which nothing is known into the output that it is given, and tells what it is then.
pub type Given<'a> = dyn FnMut(&mut (dyn Write + Send)) -> Result<Packed> + 'a;

/// A place for images.
pub trait Destination: Sync {
    /// Puts a blob there unless it is there already; its bytes are compared with the descriptor.
    fn put(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<Put>;

    /// Puts a blob there whose digest is known only when it was written.
    fn put_given(&self, write: &mut Given<'_>) -> Result<(Packed, Put)>;

    /// Whether a blob that is not compressed costs less when it is written and hashed at the same time than when it is
    /// hashed first.
    fn is_near(&self) -> bool;

    /// Puts a manifest there that an index will name.
    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()>;

    /// Puts a manifest or an index there under the names that these annotations tell, as the last thing of all.
    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], names: &BTreeMap<String, String>) -> Result<()>;
}
