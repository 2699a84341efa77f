//! manifest.json of a docker archive: which members are the config and the layers, and what the image is called
//! (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format").

use crate::python_json::to_python_json;
use serde_json::{Value, json};

/// Name of the manifest in the archive.
pub const MANIFEST_NAME: &str = "manifest.json";

/// What the manifest says of an image.
pub(crate) struct Named<'a> {
    /// Name of the config's member.
    pub config: &'a str,
    /// `NAME:TAG`, any number of them.
    pub repo_tags: &'a [String],
    /// Names of the layers' members, bottom first.
    pub layers: &'a [String],
}

/// The manifest of an archive with one image, to the byte as nixpkgs' `stream_layered_image.py` writes it.
pub(crate) fn manifest_text(config_name: &str, repo_tags: &[String], layer_names: &[String]) -> Vec<u8> {
    manifest_of(&[Named { config: config_name, repo_tags, layers: layer_names }])
}

/// The manifest of an archive with several images, each in the same form.
///
/// An image without a tag has an empty list: docker, podman and skopeo take that as they take the null of `docker save`.
pub(crate) fn manifest_of(images: &[Named<'_>]) -> Vec<u8> {
    let entry = |image: &Named| json!({"Config": image.config, "RepoTags": image.repo_tags, "Layers": image.layers});
    to_python_json(&images.iter().map(entry).collect::<Value>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_images() {
        let [tags, layers] = [["a:1", "b:2"], ["x/layer.tar", "y/layer.tar"]].map(|list| list.map(str::to_owned));
        let images = [
            Named { config: "c.json", repo_tags: &tags, layers: &layers },
            Named { config: "d.json", repo_tags: &[], layers: &[] },
        ];
        let text = String::from_utf8(manifest_of(&images)).unwrap();
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
        assert_eq!(manifest_text("c.json", &tags, &layers), manifest_of(&images[..1]));
    }
}
