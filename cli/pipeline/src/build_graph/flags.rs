//! The words of command lines that several rules share: flags for the spec, the store, the base, and what a rule makes.

use super::GraphInput;
use crate::ImageTarget;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

impl GraphInput<'_> {
    /// Flags of what is made over these layers of the image.
    pub(super) fn words_over(&self, layers: &[PathBuf]) -> Vec<OsString> {
        let below = layers.iter().flat_map(|layer| flag("--below", Some(layer)));
        self.words_on_base().into_iter().chain(below).collect()
    }

    /// The base, as a flag, if it is not that of the spec to the byte.
    pub(super) fn base_words(&self) -> Vec<OsString> {
        self.base.iter().flat_map(|base| ["--base".into(), base.to_string().into()]).collect()
    }

    /// The spec, the store and the base, as flags.
    pub(super) fn words_on_base(&self) -> Vec<OsString> {
        [self.spec_words(), self.base_words()].concat()
    }

    /// The spec and the store, as flags.
    pub(super) fn spec_words(&self) -> Vec<OsString> {
        [flag("--spec", Some(self.file)), self.store_flags.clone()].concat()
    }
}

/// A flag and its file, if there is one.
pub(super) fn flag(name: &str, file: Option<impl AsRef<Path>>) -> Vec<OsString> {
    file.iter().flat_map(|file| [name.into(), file.as_ref().into()]).collect()
}

/// `-o` and `--blob` for what a rule makes.
pub(super) fn output_words(outputs: &[PathBuf]) -> Vec<OsString> {
    let flags = ["-o", "--blob"].into_iter().zip(outputs);
    // A name that begins with a word and a colon is that of a file.
    flags.flat_map(|(flag, path)| [flag.into(), ImageTarget::Archive(path.clone()).to_word()]).collect()
}

pub(super) fn is_layer_file(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b".layer.json")
}
