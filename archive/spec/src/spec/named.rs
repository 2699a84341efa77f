//! Lists the files that a spec names, and the store paths that become part of the image.

use super::{Helper, Layering, References, Script, Spec};
use layerstone_oci::Place;
use std::path::Path;

impl Spec {
    /// The files that it names: scripts, references graphs, a pipeline, a plan, a layer file, tars that are layers, the base;
    /// but for `layers`, which may be directories.
    pub fn files(&self) -> Vec<&Path> {
        let scripts = [&self.script, &self.fake_root_commands, &self.run_as_root].into_iter().flatten();
        let scripts = scripts.filter_map(|script| if let Script::File(file) = script { Some(file) } else { None });
        let mut files: Vec<&Path> = scripts.map(|file| &**file).collect();
        if let Some(References::Graphs(graphs)) = &self.references {
            files.extend(graphs.iter().map(|graph| &**graph));
        }
        if let Some(Layering::PipelineFile(file)) = &self.layering {
            files.push(file);
        }
        files.extend(self.plan.iter().chain(&self.root_layer).map(|file| &**file));
        files.extend(self.tar_layers.iter().map(|tar| &**tar));
        files.extend(self.from_image.as_ref().and_then(Place::path));
        files
    }

    /// The paths that it names of a store, by links into it or by themselves: contents, and packages of helpers.
    pub fn store_paths(&self) -> impl Iterator<Item = &Path> {
        self.contents.iter().map(|path| &**path).chain(self.helpers.iter().filter_map(Helper::package))
    }
}
