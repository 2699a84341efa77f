//! Writes an image of one layer into the OCI layout of a temporary directory.

use layerstone_layer::{CompressionParams, Progress, Source};
use layerstone_oci::{Descriptor, Destination, Layer, Manifest, OciLayout, Reference, Tar, media_type, put_layers};
use std::{collections::BTreeMap, error::Error, fs, sync::Arc};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("empty.tar"), [0; 10240])?;
    let (source, annotations) = (Source::blob(&dir.path().join("empty.tar"))?, BTreeMap::new());
    let layer = Tar { source, diff_id: None, compressed: None, annotations, label: "empty".to_owned(), blobs: None };
    let layout = OciLayout::open(&dir.path().join("layout"))?;
    let layers = put_layers(&[Layer::Tar(layer)], Some(CompressionParams::ZSTD), &layout, 1, &Progress::default())?;
    let rootfs = serde_json::json!({"type": "layers", "diff_ids": [layers[0].diff_id]});
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).to_string().into_bytes();
    let descriptor = Descriptor::of(media_type::CONFIG, &config);
    layout.put(&descriptor, &(Arc::new(config) as _))?;
    let manifest = Manifest::new(descriptor, vec![layers[0].descriptor.clone()], BTreeMap::new());
    let reference: Reference = "empty:1".parse()?;
    layout.finish(&manifest.descriptor(&manifest.to_bytes()), &manifest.to_bytes(), Some(&reference))?;
    println!("{}: {}", reference.full(), fs::read_to_string(dir.path().join("layout/index.json"))?);
    Ok(())
}
