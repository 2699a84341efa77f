//! Prints what a docker archive said of its two layers before there was a manifest.json.

use layerstone_nixpkgs::{LegacyFacts, LegacyInput, LegacyOrigin, legacy_layers};
use layerstone_tar::tarsum;
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = json!({"Cmd": ["/bin/hello"]});
    let facts = LegacyFacts { created: "1970-01-01T00:00:01Z", architecture: "amd64", os: "linux", config: &config };
    let sum = tarsum(&[0; 1024][..])?;
    let layer = LegacyInput { tarsum: &sum, size: 1024, origin: LegacyOrigin::Own };
    for layer in legacy_layers(&facts, &[layer, layer]) {
        println!("{}:\n{}", layer.layer_name(), String::from_utf8(layer.json)?);
    }
    Ok(())
}
