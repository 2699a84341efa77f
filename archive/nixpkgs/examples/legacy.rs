//! Prints what a docker archive said of its two layers before there was a manifest.json.

use layerstone_image::OwnConfig;
use layerstone_nixpkgs::{LegacyInput, LegacyOrigin, legacy_layers};
use layerstone_tar::tarsum;
use serde_json::{Map, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let own = OwnConfig {
        created: "1970-01-01T00:00:01Z".to_owned(),
        architecture: Some("amd64"),
        variant: None,
        parameters: &Map::from_iter([("Cmd".to_owned(), json!(["/bin/hello"]))]),
        inherit: false,
    };
    let sum = tarsum(&[0; 1024][..])?;
    let layer = LegacyInput { tarsum: &sum, size: 1024, origin: LegacyOrigin::Own };
    for layer in legacy_layers(&own.facts(), &[layer, layer]) {
        println!("{}:\n{}", layer.layer_name(), String::from_utf8(layer.json)?);
    }
    Ok(())
}
