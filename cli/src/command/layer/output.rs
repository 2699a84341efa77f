//! The files that `layer` writes, and those that lie beside them.

use super::Options;
use crate::overwrite::Files;
use anyhow::Result;
use layerstone_layer::CompressionParams;
use layerstone_layering::Plan;
use layerstone_pipeline::{Record, check_tar, layer_files};
use layerstone_spec::Spec;
use layerstone_store::Store;
use std::path::{Path, PathBuf};

impl Options {
    /// Refuses a name that is no tar's, and an output that is one of the inputs.
    pub fn check_files(
        &self,
        spec: Option<&Spec>,
        plan: &Plan,
        compression: Option<CompressionParams>,
        store: &Store,
    ) -> Result<()> {
        if let Some(blob) = &self.blob {
            check_tar(blob, compression)?;
        }
        let files = Files::of(store).reads(&self.plan).reads(&self.stamp.spec).reads_layers(&self.behind);
        let files = self.erofs.noted(files.reads(self.base.files(spec)).writes(&self.step.depfile));
        if !self.all {
            let list = self.nix_closure.as_ref().map(|directory| directory.join("store-paths"));
            return files.writes(&self.blob).writes(list).writes([&self.output]).check();
        }
        let (layers, blobs) = self.outputs(plan.layers.len(), compression);
        files.adds_to(&self.output, layers.iter().chain(&blobs).filter_map(|path| path.file_name())).check()
    }

    /// The layer files and the blobs of one layer, or of all of so many.
    pub fn outputs(&self, count: usize, compression: Option<CompressionParams>) -> (Vec<PathBuf>, Vec<PathBuf>) {
        if !self.all {
            return (vec![self.output.clone()], Vec::from_iter(self.blob.clone()));
        }
        let names = |ending: &str| (0..count).map(|index| self.output.join(format!("{index:03}.{ending}"))).collect();
        let tar = format!("tar{}", compression.map_or("", |compression| compression.ending()));
        (names("layer.json"), if self.blobs { names(&tar) } else { Vec::new() })
    }
}

/// Numbered layer files of a directory that a plan of `count` layers has no layer for, and that no record names: whoever
/// names the directory takes them for layers.
pub fn unrecorded(directory: &Path, count: usize, record: &Record) -> Result<Vec<PathBuf>> {
    let is_other = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_suffix(".layer.json").filter(|text| text.len() >= 3).map(str::parse::<usize>);
        number.is_some_and(|number| number.is_ok_and(|number| number >= count)) && !record.has(&name)
    };
    Ok(layer_files(directory)?.into_iter().filter(is_other).collect())
}
