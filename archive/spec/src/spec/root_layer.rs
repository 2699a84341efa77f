//! Parses `rootLayer`, a customisation layer that is made already: it stands in the place of what would make one.

use super::keys::{self as key, Key};
use crate::Result;
use layerstone_store::{Fields, string};
use std::path::{Path, PathBuf};

/// What says what goes into the customisation layer besides links to contents.
const KEYS_OF_ROOT: [Key; 7] = [
    key::COPY,
    key::HELPERS,
    key::EXTRA_COMMANDS,
    key::EXTRA_COMMANDS_FILE,
    key::FAKE_ROOT_COMMANDS,
    key::FAKE_ROOT_COMMANDS_FILE,
    key::PERMS,
];

/// The layer file of a customisation layer.
pub(super) fn read(fields: &mut Fields, directory: &Path) -> Result<Option<PathBuf>> {
    alone(fields, key::ROOT_LAYER, &KEYS_OF_ROOT, directory)
}

/// The file that a key names, without any of the others.
pub(super) fn alone(fields: &mut Fields, key: Key, others: &[Key], directory: &Path) -> Result<Option<PathBuf>> {
    let Some(file) = key.optional(fields, string)? else { return Ok(None) };
    match others.iter().find(|other| fields.has(other.name)) {
        Some(other) => Err(key.error(fields, format!("found {} too, expected one of them", other.name))),
        None => Ok(Some(directory.join(file))),
    }
}
