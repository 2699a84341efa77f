//! manifest.json of a docker archive: which members are the config and the layers, and what the image is called
//! (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format").

use crate::python_json::to_python_json;
use serde_json::{Value, json};

/// Name of the manifest in the archive.
pub const MANIFEST_NAME: &str = "manifest.json";

/// What the manifest says of an image: the names of its config's and its layers' members, the layers bottom first, and what
/// it is called, any number of `NAME:TAG`.
///
/// An image without a tag has an empty list: docker, podman and skopeo take that as they take the null of `docker save`.
pub(crate) fn manifest_entry(config_name: &str, repo_tags: &[String], layer_names: &[String]) -> Value {
    json!({"Config": config_name, "RepoTags": repo_tags, "Layers": layer_names})
}

/// The manifest of an archive with these images, to the byte as nixpkgs' `stream_layered_image.py` writes it for one.
pub(crate) fn manifest_text(entries: Vec<Value>) -> Vec<u8> {
    to_python_json(&Value::Array(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_images() {
        let [tags, layers] = [["a:1", "b:2"], ["x/layer.tar", "y/layer.tar"]].map(|list| list.map(str::to_owned));
        let entries = vec![manifest_entry("c.json", &tags, &layers), manifest_entry("d.json", &[], &[])];
        let text = String::from_utf8(manifest_text(entries)).unwrap();
        let expected = r#"[
    {
        "Config": "c.json",
        "RepoTags": [
            "a:1",
            "b:2"
        ],
        "Layers": [
            "x/layer.tar",
            "y/layer.tar"
        ]
    },
    {
        "Config": "d.json",
        "RepoTags": [],
        "Layers": []
    }
]"#;
        assert_eq!(text, expected);
    }
}
