//! What a spec names, as far as build tools must look at it.

use super::{GraphInput, quoted};
use crate::layer_files_of;
use std::path::{Path, PathBuf};

/// The file that tells where links lead.
const LINKS: &str = "links";

impl GraphInput<'_> {
    /// The spec, and the files that it names. What it names of the store never changes.
    pub fn spec_inputs(&self) -> Vec<PathBuf> {
        let mut inputs = vec![self.file.to_owned()];
        inputs.extend(self.spec.files().into_iter().map(Path::to_owned));
        inputs.extend(self.made_layers());
        // Those of a directory are in the depfile: its own time changes with every output below it.
        let copied = self.spec.copy.iter().map(|entry| entry.from.clone());
        inputs.extend(copied.filter(|from| !from.is_dir()));
        inputs.extend((!self.links().is_empty()).then(|| self.in_directory(LINKS)));
        inputs
    }

    /// Layer files that are made already. Whoever reads a bad one reports it.
    pub fn made_layers(&self) -> impl Iterator<Item = PathBuf> {
        layer_files_of(&self.spec.layers).unwrap_or_default().into_iter().map(|file| file.path)
    }

    /// What is named by a link into the store, such as `result`: where it leads is known to nobody who looks at times, as
    /// store paths are all of one second.
    fn links(&self) -> Vec<&Path> {
        self.spec.store_paths().filter(|path| !path.starts_with(self.store.dir())).collect()
    }

    /// A command line that notes where the links lead, in a file that is new only if one leads elsewhere.
    pub fn note_of_links(&self) -> Option<(PathBuf, Vec<u8>)> {
        let links = self.links();
        let file = self.in_directory(LINKS);
        let new = self.in_directory(&format!("{LINKS}.new"));
        let [noted, new] = [&file, &new].map(|path| quoted(path.as_os_str()));
        let mut command = b"{ ".to_vec();
        for link in &links {
            let link = quoted(link.as_os_str());
            command.extend([b"readlink -f ", &*link, b" || readlink ", &link, b" || echo; "].concat());
        }
        command.extend([b"} >", &*new, b"; cmp -s ", &new, b" ", &noted, b" || cp ", &new, b" ", &noted].concat());
        (!links.is_empty()).then_some((file, command))
    }
}
