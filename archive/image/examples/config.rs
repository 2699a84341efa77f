//! Prints the config and the manifest of an image from the digests of its two layers.

use layerstone_image::{LayerFacts, OwnConfig};
use layerstone_store::Digest;
use serde_json::Map;

fn main() -> Result<(), std::string::FromUtf8Error> {
    let parameters = Map::from_iter([("Cmd".to_owned(), vec!["/bin/hello"].into())]);
    let own = OwnConfig {
        created: "1970-01-01T00:00:01Z".to_owned(),
        architecture: Some("amd64"),
        variant: None,
        parameters: &parameters,
        inherit: false,
    };
    let layers = [
        LayerFacts::of_paths(Digest::of(b"a tar"), &["/nix/store/xr2yc61k4shzhlyhz13n4pgbqyy4wvxr-hello"]),
        LayerFacts::customisation(Digest::of(b"another tar")),
    ];
    let image = own.facts().finish(&layers);
    println!("{}", String::from_utf8(image.manifest(&["hello:1".to_owned()]))?);
    println!("{}", String::from_utf8(image.config)?);
    Ok(())
}
