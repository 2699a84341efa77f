//! Parses a references graph in any of the forms in which tools write it, which the first byte tells apart.

mod json;
mod registration;

use crate::{PathInfo, Result};
use layerstone_store::Error;

/// The format that messages name.
const REFERENCES_GRAPH: &str = "references graph";

/// The entries of a references graph in any known form, as they stand; `name` stands in messages.
pub(crate) fn parse(bytes: &[u8], name: &str) -> Result<Vec<PathInfo>> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(malformed(name, "found an empty file, expected JSON or registration text".to_owned()))?,
        Some(b'/') => Ok(registration::parse(bytes).map_err(|cause| malformed(name, cause))?),
        Some(_) => Ok(json::parse(bytes, name)?),
    }
}

fn malformed(name: &str, cause: String) -> Error {
    Error::Malformed { format: REFERENCES_GRAPH, name: name.to_owned(), cause }
}
