//! The files that a stack of layers shows, read from headers alone: what a container of the image sees.
//!
//! One layer is put over the lower ones as OCI image-spec, layer.md, "Applying Changesets" says, name by name: a link of a
//! lower layer is no folder, and is replaced where an upper layer has something below its name. So overlayfs shows them.

mod layer;
mod node;
mod resolve;

pub use layer::LayerTree;
pub use node::Node;
pub use resolve::Resolved;

use crate::Result;
use node::{Children, join};

/// The files that a stack of layers shows.
#[derive(Debug)]
pub struct Tree(Node);

impl Default for Tree {
    /// An image without files: a root folder of mode 0755 that belongs to 0:0.
    fn default() -> Tree {
        Tree(Node::implied())
    }
}

impl Tree {
    /// Puts a layer over all that are there. What it hides is gone; of folders that both have, the mode and owner are the
    /// upper one's, if a header tells them, and the files are those of both; everything else is replaced.
    ///
    /// # Errors
    ///
    /// [`Error::HardLink`](crate::Error::HardLink): a hard link of a file that is neither in the layer nor in lower ones.
    /// The tree is what it was then.
    pub fn put(&mut self, mut layer: LayerTree) -> Result<()> {
        layer.settle(&self.0)?;
        for name in &layer.opaque {
            if let Some(folder) = self.0.find_mut(name) {
                folder.children = Children::default();
            }
        }
        for name in &layer.hidden {
            self.0.remove(name);
        }
        self.merge(layer.root);
        Ok(())
    }

    /// The file of a name below the root of the image, without a slash in front; the root for the empty name. Links are
    /// not followed.
    pub fn get(&self, name: &[u8]) -> Option<&Node> {
        self.0.find(name)
    }

    /// The root folder.
    fn root(&self) -> &Node {
        &self.0
    }

    /// Puts the files of a layer over those that are left, folder by folder and without recursion.
    fn merge(&mut self, root: Node) {
        self.0.own_as(&root);
        let mut folders = vec![(Vec::new(), root)];
        while let Some((name, mut upper)) = folders.pop() {
            let Some(lower) = self.0.find_mut(&name) else { continue };
            for (base, node) in upper.children.take() {
                match lower.children.folder().get_mut(&base) {
                    Some(folder) if folder.is_directory() && node.is_directory() => {
                        folder.own_as(&node);
                        folders.push((join(&name, &base), node));
                    }
                    _ => {
                        lower.children.folder().insert(base, node);
                    }
                }
            }
        }
    }
}
