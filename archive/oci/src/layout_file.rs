//! Names of the files of an OCI layout (image-spec, image-layout.md).

use layerstone_store::Digest;

/// Name of the marker file.
pub const LAYOUT_NAME: &str = "oci-layout";
/// Its text.
pub const LAYOUT_TEXT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
/// Name of the index.
pub const INDEX_NAME: &str = "index.json";
/// Name of the directory of blobs.
pub(crate) const BLOBS: &str = "blobs/sha256";

/// Name of a blob in a layout.
pub fn blob_name(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}
