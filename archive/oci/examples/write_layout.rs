//! Writes an image of one layer into the OCI layout of a temporary directory.

use layerstone_layer::{CompressionParams, Layer, Progress, Source};
use layerstone_oci::{BlobStore, Config, Image, OciLayout, Reference};
use layerstone_store::Limits;
use std::{collections::BTreeMap, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("empty.tar"), [0; 10240])?;
    let layer = Layer::of_tar(Source::blob(&dir.path().join("empty.tar"))?, None, "empty");
    let config = |diff_ids: &[_]| {
        let rootfs = serde_json::json!({"type": "layers", "diff_ids": diff_ids});
        serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).to_string().into_bytes()
    };
    let name: Reference = "empty:1".parse()?;
    let (config, annotations) = (Config::Made(Box::new(config)), BTreeMap::new());
    let image = Image {
        name: Some(name),
        layers: vec![layer],
        config,
        manifest: None,
        annotations,
        mtime: 1,
        compression: None,
    };
    let layout = OciLayout::open(&dir.path().join("layout"), Limits::default())?;
    let put = image.put(Some(CompressionParams::ZSTD), &layout, 1, &Progress::default())?;
    let (manifest, _) = put.manifest.expect("layouts have manifests");
    layout.finish(&manifest.descriptor, &manifest.bytes, put.name.as_ref())?;
    println!("{}: {}", put.image_id, fs::read_to_string(dir.path().join("layout/index.json"))?);
    Ok(())
}
