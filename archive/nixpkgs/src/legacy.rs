//! What docker archives said before there was a manifest.json: for each layer a directory `ID` with `layer.tar`, `json` and
//! `VERSION`, and one file `repositories` (moby, image/spec/v1.md), as dockerTools' `buildImage` writes them.
//!
//! A layer's ID is the sha256 of its `json`, which names the tarsum of the layer and the ID of the one below.

use crate::jshon::to_jshon;
use layerstone_image::{ImageFacts, StoredLayer};
use layerstone_store::Digest;
use serde_json::{Map, Value, json};

/// Name of the file that says which tag has which layer on top.
pub const REPOSITORIES_NAME: &str = "repositories";
/// What the `VERSION` of every layer holds; no newline.
pub const LAYER_VERSION: &str = "1.0";

/// A layer that is to have such metadata.
#[derive(Clone, Copy, Debug)]
pub struct LegacyInput<'a> {
    /// docker's tarsum of it, `tarsum.v1+sha256:…`.
    pub tarsum: &'a str,
    /// Bytes of its tar.
    pub size: u64,
    /// Where it comes from.
    pub origin: LegacyOrigin<'a>,
}

/// Where a layer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyOrigin<'a> {
    /// It is made for this image.
    Own,
    /// It is the base's.
    Base {
        /// Its name there.
        name: &'a str,
        /// The `json` beside it, if there is one.
        json: Option<&'a [u8]>,
    },
}

impl<'a> LegacyOrigin<'a> {
    /// A layer of a base.
    pub fn base(layer: &'a StoredLayer) -> LegacyOrigin<'a> {
        LegacyOrigin::Base { name: &layer.name, json: layer.legacy.as_deref() }
    }
}

/// The metadata of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyLayer {
    /// Name of its directory: 64 hexadecimal digits.
    pub id: String,
    /// The bytes of its `json`.
    pub json: Vec<u8>,
}

impl LegacyLayer {
    /// Name of the layer's member.
    pub fn layer_name(&self) -> String {
        format!("{}/layer.tar", self.id)
    }

    /// Names and contents of the members beside it, in order.
    pub fn members(&self) -> [(String, Vec<u8>); 2] {
        [
            (format!("{}/VERSION", self.id), LAYER_VERSION.as_bytes().to_owned()),
            (format!("{}/json", self.id), self.json.clone()),
        ]
    }
}

/// The metadata of an image's layers, both bottom first; no two have one ID. `facts` are what dockerTools' base.json says of
/// the image: on a base, its own `config` before that of the base is joined to it.
///
/// A base's layer whose `json` has the ID that its directory is called by keeps both. All others get new ones, those of the
/// base without the execution parameters, which are the image's and not theirs.
pub fn legacy_layers(facts: &ImageFacts, layers: &[LegacyInput<'_>]) -> Vec<LegacyLayer> {
    let mut made: Vec<LegacyLayer> = Vec::with_capacity(layers.len());
    for layer in layers {
        // One that stands twice is kept once: it has one parent.
        let kept = kept(layer.origin).filter(|kept| made.iter().all(|below| below.id != kept.id));
        made.push(kept.unwrap_or_else(|| new_layer(facts, layer, made.last())));
    }
    made
}

/// The bytes of a layer's `json` before it has an ID: what is said of its image, and the layer's tarsum.
pub fn legacy_layer_json(mut base: Map<String, Value>, tarsum: &str) -> Vec<u8> {
    base.insert("checksum".to_owned(), json!(tarsum));
    to_jshon(&Value::Object(base))
}

/// The bytes of `repositories`: the name has this tag, and the tag this layer on top.
pub fn repositories(name: &str, tag: &str, top: &str) -> Vec<u8> {
    to_jshon(&json!({name: {tag: top}}))
}

/// The metadata that a base's layer came with, if it is such.
fn kept(origin: LegacyOrigin<'_>) -> Option<LegacyLayer> {
    let LegacyOrigin::Base { name, json: Some(bytes) } = origin else { return None };
    let id = name.strip_suffix("/layer.tar").filter(|id| is_id(id))?;
    let metadata: Value = serde_json::from_slice(bytes).ok()?;
    (metadata.get("id")? == id).then(|| LegacyLayer { id: id.to_owned(), json: bytes.to_owned() })
}

/// Whether a text is an ID of a layer (moby, image/v1, `ValidateID`).
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

fn new_layer(facts: &ImageFacts, layer: &LegacyInput<'_>, below: Option<&LegacyLayer>) -> LegacyLayer {
    let mut root = base_json(facts, layer.origin == LegacyOrigin::Own);
    root["checksum"] = json!(layer.tarsum);
    if let Some(below) = below {
        root["parent"] = json!(below.id);
    }
    let id = Digest::of(&to_jshon(&root)).hex();
    root["id"] = json!(id);
    root["Size"] = json!(layer.size);
    LegacyLayer { json: to_jshon(&root), id }
}

/// What Nix's `builtins.toJSON` makes of the facts: keys sorted, at every depth.
fn base_json(facts: &ImageFacts, with_config: bool) -> Value {
    let mut root = json!({"architecture": facts.architecture, "created": facts.created, "os": facts.os});
    if with_config {
        root["config"] = facts.config.clone();
    }
    root.sort_all_objects();
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_image::BaseFacts;
    use proptest::prelude::*;

    const TARSUM: &str = "tarsum.v1+sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn config() -> Value {
        json!({"Labels": {"b": "x/y", "a": "1"}, "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]})
    }

    fn facts(config: &Value) -> ImageFacts {
        ImageFacts {
            created: "1970-01-01T00:00:01Z".to_owned(),
            architecture: "amd64".to_owned(),
            variant: None,
            os: "linux".to_owned(),
            config: config.clone(),
            created_by: None,
            base: BaseFacts::default(),
        }
    }

    fn own() -> LegacyInput<'static> {
        LegacyInput { tarsum: TARSUM, size: 10_240, origin: LegacyOrigin::Own }
    }

    fn base<'a>(name: &'a str, json: Option<&'a [u8]>) -> LegacyInput<'a> {
        LegacyInput { tarsum: TARSUM, size: 1024, origin: LegacyOrigin::Base { name, json } }
    }

    /// IDs, and digests of the whole `json`, are what `jshon -s TARSUM -i checksum | jshon -s PARENT -i parent`, then
    /// `sha256sum` and `jshon -s ID -i id -n SIZE -i Size` gave.
    #[track_caller]
    fn check(layers: &[LegacyInput<'_>], expected: &[(&str, &str)]) {
        let found = legacy_layers(&facts(&config()), layers);
        let found: Vec<(String, String)> = found.into_iter().map(|l| (l.id, Digest::of(&l.json).hex())).collect();
        let expected: Vec<_> = expected.iter().map(|(id, json)| ((*id).to_owned(), (*json).to_owned())).collect();
        assert_eq!(found, expected);
    }

    const BASE: (&str, &str) = (
        "bd6ab12a7b66dec02fb1ef0c311cba9a1b9de4ffe3b3576064165b34beeaf144",
        "982b050ceae0df0dce406dc2def6e78c495e8d574b6c6df9237e9612178c7aa6",
    );

    #[test]
    fn on_a_base_without_metadata() {
        let child = (
            "7112c4741e9047daccbc48bfc5e6b2c893edd3bc3e6eb4aa6b4d9345f5c42467",
            "81eab4731c7252fae44579c90a917f8be853d8de32779ace4adf983232a4412e",
        );
        check(&[base("blobs/sha256/x", None), own()], &[BASE, child]);
    }

    /// The same layer twice has another ID, because it has another parent.
    #[test]
    fn equal_layers() {
        let first = (
            "966ebc3291ab3f1776b7ff937cf0859058389314dded89a49af6d09d7a8cf267",
            "ef7c9402437451a43815bb5b0db6f1a8a0ae29be4aa277e407709e69e2e3fa0f",
        );
        let second = (
            "f659d2467f75bd503297b1883c7af0c19d4f8fcedffe20842eb2acb44c4f594d",
            "7cec6321610921380080680fc082b2a84107c5b34339789c768c90c2e71cf8a3",
        );
        check(&[own(), own()], &[first, second]);
    }

    #[test]
    fn the_whole_text() {
        let layers = legacy_layers(&facts(&Value::Null), &[own()]);
        let id = &layers[0].id;
        let head = format!(
            "{{\n \"architecture\": \"amd64\",\n \"config\": null,\n \"created\": \"1970-01-01T00:00:01Z\",\n \
             \"os\": \"linux\",\n \"checksum\": \"{TARSUM}\""
        );
        assert_eq!(*id, Digest::of(format!("{head}\n}}\n").as_bytes()).hex());
        let json = format!("{head},\n \"id\": \"{id}\",\n \"Size\": 10240\n}}\n");
        assert_eq!(String::from_utf8(layers[0].json.clone()).unwrap(), json);
        assert_eq!(layers[0].layer_name(), format!("{id}/layer.tar"));
        let members = [(format!("{id}/VERSION"), b"1.0".to_vec()), (format!("{id}/json"), json.into_bytes())];
        assert_eq!(layers[0].members(), members);
    }

    #[test]
    fn what_a_base_came_with() {
        let id = "ab".repeat(32);
        let (name, json) = (format!("{id}/layer.tar"), format!("{{ \"id\": \"{id}\" }}"));
        let keeps = |name: &str, json: &str| {
            let layers = legacy_layers(&facts(&Value::Null), &[base(name, Some(json.as_bytes())), own()]);
            let above: Value = serde_json::from_slice(&layers[1].json).unwrap();
            assert_eq!(above["parent"], layers[0].id);
            layers[0] == LegacyLayer { id: id.clone(), json: json.as_bytes().to_owned() }
        };
        assert!(keeps(&name, &json));
        for other in ["{}", "[]", "", "{\"id\": 7}", &json.replacen("ab", "ac", 1)] {
            assert!(!keeps(&name, other), "{other}");
        }
        // A name that is no layer's ID could be anybody's.
        for directory in ["..", "a/b", "", &id[1..], &id.replace('a', "A")] {
            assert!(!keeps(&format!("{directory}/layer.tar"), &format!("{{\"id\": \"{directory}\"}}")), "{directory}");
        }
        let (kept, one) = (base(&name, Some(json.as_bytes())), facts(&Value::Null));
        let twice = legacy_layers(&one, &[kept, kept]);
        let above: Value = serde_json::from_slice(&twice[1].json).unwrap();
        assert_eq!((&twice[0].id, &above["parent"]), (&id, &json!(id)));
        assert_ne!(twice[1].id, id);
    }

    /// What `jshon -n object -n object -s ID -i TAG -i NAME` printed.
    #[test]
    fn tags_and_layers() {
        let text = |name, tag| String::from_utf8(repositories(name, tag, "ID")).unwrap();
        assert_eq!(text("tool", "1.0"), "{\n \"tool\": {\n  \"1.0\": \"ID\"\n }\n}\n");
        assert_eq!(text("reg:5000/x/y", "tag"), "{\n \"reg:5000\\/x\\/y\": {\n  \"tag\": \"ID\"\n }\n}\n");
    }

    proptest! {
        /// Whatever comes from a base, IDs differ, a new layer's parent is the one below, and its ID is the digest of
        /// what it says without ID and size.
        #[test]
        fn chains(kinds in prop::collection::vec((0u8..4, 0u64..9), 0..8)) {
            let ids = ["ab", "cd"].map(|text| text.repeat(32));
            let names = ids.each_ref().map(|id| format!("{id}/layer.tar"));
            let jsons = ids.each_ref().map(|id| format!("{{\"id\":\"{id}\"}}").into_bytes());
            let input = |&(kind, size): &(u8, u64)| {
                let origin = match kind {
                    0 => LegacyOrigin::Own,
                    1 => LegacyOrigin::Base { name: "x", json: None },
                    kind => {
                        let index = usize::from(kind - 2);
                        LegacyOrigin::Base { name: &names[index], json: Some(&jsons[index]) }
                    }
                };
                LegacyInput { tarsum: TARSUM, size, origin }
            };
            let inputs: Vec<LegacyInput> = kinds.iter().map(input).collect();
            let layers = legacy_layers(&facts(&config()), &inputs);
            prop_assert_eq!(layers.len(), inputs.len());
            let mut below: Option<&str> = None;
            for (index, (layer, input)) in layers.iter().zip(&inputs).enumerate() {
                prop_assert!(layers[..index].iter().all(|other| other.id != layer.id));
                let mut metadata: Value = serde_json::from_slice(&layer.json).unwrap();
                prop_assert_eq!(&metadata["id"], &layer.id);
                if !jsons.contains(&layer.json) {
                    prop_assert_eq!(metadata.get("parent").and_then(Value::as_str), below);
                    prop_assert_eq!(metadata.get("config").is_some(), input.origin == LegacyOrigin::Own);
                    let said = metadata.as_object_mut().unwrap();
                    said.shift_remove("id");
                    prop_assert_eq!(said.shift_remove("Size"), Some(json!(input.size)));
                    prop_assert_eq!(Digest::of(&to_jshon(&metadata)).hex(), layer.id.clone());
                }
                below = Some(&layer.id);
            }
        }
    }
}
