//! Gathers what is known of an image that a policy is compared with.

use crate::image_bill::ImageContents;
use crate::{BillSources, Report, Result, TrustCheck};
use layerstone_closure::{Database, ReferencesGraph};
use layerstone_image::StoredImage;
use layerstone_policy::{Facts, FileFact, FileKind, Finding, LayerFact, Policy};
use layerstone_sbom::MetaFile;
use layerstone_tar::{Kind, Node};
use serde_json::Value;

/// Policies, and where what they ask is known from.
#[derive(Debug)]
pub struct PolicyCheck {
    /// What an image must be, by all of them.
    pub policies: Vec<Policy>,
    /// References and hashes of store paths.
    pub graph: Option<ReferencesGraph>,
    /// The database of a store, which knows who signed its paths.
    pub database: Option<Database>,
    /// Licences of store paths.
    pub meta: Vec<MetaFile>,
    /// The store directory of images.
    pub store_dir: String,
    /// Whom the policies trust.
    pub trust: TrustCheck,
}

impl PolicyCheck {
    /// What is wrong with an image.
    ///
    /// # Errors
    ///
    /// A layer or a database in it is damaged, or the graph has none of its store paths.
    pub fn findings(&self, image: &StoredImage, report: &dyn Report) -> Result<Vec<Finding>> {
        let facts = self.facts(image.clone(), report)?;
        Ok(self.policies.iter().flat_map(|policy| policy.check(&facts)).collect())
    }

    fn sources(&self) -> BillSources<'_> {
        BillSources { graph: self.graph.as_ref(), database: self.database.as_ref() }
    }

    fn facts(&self, image: StoredImage, report: &dyn Report) -> Result<Facts> {
        let text = |pointer: &str| image.config.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = image.references.first().cloned().unwrap_or_else(|| image.name.clone());
        let architecture = text("/architecture");
        let config = image.config.get("config").cloned().unwrap_or_default();
        let layers = image.layers.iter().map(|layer| LayerFact { size: layer.stored.size() }).collect();
        let contents = ImageContents::read(image, &self.store_dir, report)?;
        let mut files = Vec::new();
        add_files(contents.tree.root(), "", &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut bill = contents.bill(&name, &self.store_dir, self.sources(), report)?;
        self.meta.iter().for_each(|meta| bill.set_meta(meta));
        Ok(Facts { name, architecture, config, layers, files, path_sizes: contents.store_paths.paths, bill })
    }
}

/// All files below a directory.
fn add_files(directory: &Node, path: &str, files: &mut Vec<FileFact>) {
    for (name, node) in directory.children() {
        let name = std::str::from_utf8(name).map_or_else(|_| name.escape_ascii().to_string(), str::to_owned);
        let path = format!("{path}/{name}");
        if node.is_directory() {
            add_files(node, &path, files);
        }
        let kind = match node.kind {
            Kind::Directory => FileKind::Directory,
            Kind::File { .. } | Kind::HardLink { .. } => FileKind::File,
            Kind::Symlink { .. } => FileKind::Symlink,
            _ => FileKind::Special,
        };
        let layer = node.identity().and_then(|(layer, _)| usize::try_from(layer).ok());
        files.push(FileFact { path, kind, mode: node.mode, uid: node.uid, gid: node.gid, layer });
    }
}
