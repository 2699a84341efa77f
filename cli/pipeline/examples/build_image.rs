//! Builds an image of a small store into an OCI layout.

use layerstone_pipeline::{BuildOptions, Builder, ImageTarget, Registries, Silent, WriteOptions};
use layerstone_registry::Options;
use layerstone_spec::Spec;
use layerstone_store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let hello = "/nix/store/xr2yc61k4shzhlyhz13n4pgbqyy4wvxr-hello";
    let bin = directory.path().join(&hello[1..]).join("bin");
    std::fs::create_dir_all(&bin)?;
    std::fs::write(bin.join("hello"), "#!/bin/sh\necho hello\n")?;

    let store = Store::new("/nix/store", directory.path())?;
    let spec = Spec { contents: vec![hello.into()], ..Spec::new("hello") };
    let target = ImageTarget::OciLayout(directory.path().join("hello.oci"));
    let registries = Registries::new(Options::default(), Vec::new(), 4);
    let options = BuildOptions::new(&store, &registries, &Silent);
    let to = WriteOptions::new(&target, &registries);
    let built = Builder::of_spec(&spec, "hello".as_ref(), false, &options)?.build(&to)?;
    println!("{} {}", built.reference, built.image.image_id);
    Ok(())
}
