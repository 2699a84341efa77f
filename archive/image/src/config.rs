//! The image config (OCI image-spec, config.md) and what follows from it: image ID, manifest, member names.
//!
//! Images of `stream` have exactly the keys of nixpkgs' script. Our own add `variant` where it is given, and
//! `created_by` to each entry of the history, which docker shows as the command that made a layer.

use crate::archive::{config_name, layer_name};
use crate::manifest::{manifest_entry, manifest_text};
use crate::python_json::{python_list, to_python_json};
use layerstone_layer::{History, Layer};
use layerstone_store::{Digest, StorePath};
use serde_json::{Map, Value, json};

/// What an image config says besides its layers.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFacts {
    /// When the image was made, as it is to be written.
    pub created: String,
    /// Architecture by Go's name.
    pub architecture: String,
    /// Variant of the architecture, such as `v7`.
    pub variant: Option<String>,
    /// Operating system by Go's name.
    pub os: String,
    /// The execution parameters: an object, or null as nixpkgs' script passes it through.
    pub config: Value,
    /// What the history says made each layer, if anything.
    pub created_by: Option<&'static str>,
    /// What comes from a base.
    pub base: BaseFacts,
}

/// What an image takes over from its base as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BaseFacts {
    /// How many of the image's layers, from the bottom, are the base's.
    pub layers: usize,
    /// What the history says about them: one entry for each, and any number that are marked empty.
    pub history: Vec<Value>,
    /// Keys of the image config besides those made anew.
    pub keys: Map<String, Value>,
}

/// What an image says about one of its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFacts {
    /// sha256 of the uncompressed tar.
    pub diff_id: Digest,
    /// Name of the layer's member in the archive.
    pub name: String,
    /// The comment in the history.
    pub comment: String,
    /// What made the layer; none for the program that makes the image.
    pub created_by: Option<String>,
    /// Who made it.
    pub author: Option<String>,
}

impl LayerFacts {
    /// A layer of which the history says this; named `HEX/layer.tar`.
    pub fn new(diff_id: Digest, comment: &str) -> LayerFacts {
        LayerFacts { diff_id, name: layer_name(&diff_id), comment: comment.to_owned(), created_by: None, author: None }
    }

    /// What an image says about a layer that has this diff ID.
    pub fn of(layer: &Layer, diff_id: Digest) -> LayerFacts {
        let paths: Vec<&str> = layer.store_paths.iter().map(StorePath::as_str).collect();
        let History { created_by, author, comment } = layer.history.clone();
        let facts = match &comment {
            Some(comment) => LayerFacts::new(diff_id, comment),
            None if paths.is_empty() => LayerFacts::customisation(diff_id),
            None => LayerFacts::of_paths(diff_id, &paths),
        };
        LayerFacts { created_by, author, ..facts }
    }

    /// A layer of store paths, in the order of its tar; named `HEX/layer.tar`.
    pub fn of_paths<S: AsRef<str>>(diff_id: Digest, paths: &[S]) -> LayerFacts {
        LayerFacts::new(diff_id, &paths_comment(paths))
    }

    /// A layer of files that are no store paths; named `HEX/layer.tar`.
    pub fn customisation(diff_id: Digest) -> LayerFacts {
        LayerFacts::new(diff_id, "customisation layer")
    }
}

/// The comment that nixpkgs' script gives a layer of these paths.
pub fn paths_comment<S: AsRef<str>>(paths: &[S]) -> String {
    format!("store paths: {}", python_list(paths))
}

/// An image whose layers are known: all that comes after the layers in a docker archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// sha256 of the config.
    pub image_id: Digest,
    /// The config's bytes.
    pub config: Vec<u8>,
    /// The layers' names in the archive, bottom first.
    pub layer_names: Vec<String>,
}

impl Finished {
    /// Name of the config's member: `HEX.json`.
    pub fn config_name(&self) -> String {
        config_name(&self.image_id)
    }

    /// The bytes of manifest.json.
    pub fn manifest(&self, repo_tags: &[String]) -> Vec<u8> {
        manifest_text(vec![manifest_entry(&self.config_name(), repo_tags, &self.layer_names)])
    }
}

impl ImageFacts {
    /// The config over these layers, bottom first, those of a base included.
    pub fn finish(&self, layers: &[LayerFacts]) -> Finished {
        let mut root = Map::new();
        root.insert("created".to_owned(), json!(self.created));
        root.insert("architecture".to_owned(), json!(self.architecture));
        if let Some(variant) = &self.variant {
            root.insert("variant".to_owned(), json!(variant));
        }
        root.insert("os".to_owned(), json!(self.os));
        root.extend(self.base.keys.clone());
        root.insert("config".to_owned(), self.config.clone());
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        root.insert("rootfs".to_owned(), json!({"diff_ids": diff_ids, "type": "layers"}));
        let own_history = layers.iter().skip(self.base.layers).map(|layer| self.history(layer));
        root.insert("history".to_owned(), self.base.history.iter().cloned().chain(own_history).collect());
        let config = to_python_json(&Value::Object(root));
        let layer_names = layers.iter().map(|layer| layer.name.clone()).collect();
        Finished { image_id: Digest::of(&config), config, layer_names }
    }

    fn history(&self, layer: &LayerFacts) -> Value {
        let mut entry = json!({"created": self.created});
        if let Some(created_by) = layer.created_by.as_deref().or(self.created_by) {
            entry["created_by"] = json!(created_by);
        }
        if let Some(author) = &layer.author {
            entry["author"] = json!(author);
        }
        entry["comment"] = json!(layer.comment);
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_config() {
        let facts = ImageFacts {
            created: "1970-01-01T00:00:01Z".to_owned(),
            architecture: "arm".to_owned(),
            variant: Some("v7".to_owned()),
            os: "linux".to_owned(),
            config: json!({}),
            created_by: Some("layerstone"),
            base: BaseFacts::default(),
        };
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let finished = facts.finish(&[LayerFacts::of_paths(a, &["/nix/store/x"]), LayerFacts::customisation(b)]);
        assert_eq!(finished.image_id, Digest::of(&finished.config));
        let config: Value = serde_json::from_slice(&finished.config).unwrap();
        let history =
            |comment| json!({"created": "1970-01-01T00:00:01Z", "created_by": "layerstone", "comment": comment});
        let expected = json!({
            "created": "1970-01-01T00:00:01Z",
            "architecture": "arm",
            "variant": "v7",
            "os": "linux",
            "config": {},
            "rootfs": {"diff_ids": [a, b], "type": "layers"},
            "history": [history("store paths: ['/nix/store/x']"), history("customisation layer")],
        });
        assert_eq!(config.to_string(), expected.to_string());
        assert_eq!(finished.layer_names, [a, b].map(|digest| format!("{}/layer.tar", digest.hex())));
    }
}
