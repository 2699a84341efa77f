//! Parses an image.json, prints what it describes, and counts the keys of the JSON Schema.

use layerstone_spec::Spec;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = br#"{"name": "hello", "tag": "1.0", "contents": "./result", "maxLayers": 40}"#;
    let spec = Spec::parse(text, "image.json", Path::new("/specs"))?;
    println!("{}: {:?}, {} layers for store paths", spec.name, spec.contents, spec.store_layers(0, 0)?);
    if let Err(error) = Spec::parse(br#"{"name": "hello", "contnets": []}"#, "image.json", Path::new("")) {
        println!("{error}");
    }
    println!("{} bytes of JSON Schema", Spec::schema().len());
    Ok(())
}
