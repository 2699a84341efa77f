//! manifest.json of a docker archive: which members are the config and the layers, and what the image is called
//! (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format").

use crate::python_json::to_python_json;
use serde_json::json;

/// Name of the manifest in the archive.
pub const MANIFEST_NAME: &str = "manifest.json";

/// The manifest of an archive with one image, to the byte as nixpkgs' `stream_layered_image.py` writes it.
pub(crate) fn manifest_text(config_name: &str, repo_tags: &[String], layer_names: &[String]) -> Vec<u8> {
    to_python_json(&json!([{"Config": config_name, "RepoTags": repo_tags, "Layers": layer_names}]))
}
