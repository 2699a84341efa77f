//! The store paths of an image as a closure and a plan.

use super::{ImageReport, PathKind, ReportedPath};
use crate::Result;
use layerstone_closure::{Closure, PathInfo};
use layerstone_layering::Plan;
use layerstone_store::StorePath;

impl ImageReport {
    /// The store paths of the image, with what each refers to and the bytes of its files, and its layers with store paths as
    /// a plan of them; the numbers are those of these layers in the image. A path that several layers hold is in the uppermost
    /// one.
    ///
    /// # Errors
    ///
    /// None that this crate knows: all paths were store paths before.
    pub fn closure(&self) -> Result<(Closure, Plan, Vec<usize>)> {
        let is_path = |it: &&ReportedPath| it.kind == PathKind::StorePath && it.copy_of.is_none();
        let path = |index: usize| StorePath::parse(&self.paths[index].path);
        let mut graph = Vec::new();
        for reported in self.paths.iter().filter(is_path) {
            graph.push(PathInfo {
                path: StorePath::parse(&reported.path)?,
                nar_size: Some(reported.size),
                nar_hash: None,
                references: reported.references.iter().map(|&index| path(index)).collect::<Result<_, _>>()?,
            });
        }
        graph.sort_by(|a, b| a.path.cmp(&b.path));
        let mut layers = vec![Vec::new(); self.layers.len()];
        for reported in self.paths.iter().filter(is_path) {
            layers[reported.layer].push(StorePath::parse(&reported.path)?);
        }
        let held: Vec<(usize, Vec<StorePath>)> =
            layers.into_iter().enumerate().filter(|(_, it)| !it.is_empty()).collect();
        let (numbers, layers) = held.into_iter().unzip();
        Ok((Closure { graph }, Plan::new(layers), numbers))
    }
}
