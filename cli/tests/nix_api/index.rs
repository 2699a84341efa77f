//! buildIndex: one image for several systems; that for another system is evaluated and built here.

use super::machine::Machine;
use crate::support::archive::member;
use serde_json::{Value, json};

/// An image for this system and one for another, whose stages are this one's.
const IMAGES: &str = r#"let
    other = api (arguments // { imageSystem = "aarch64-linux"; perLayer = false; });
    file = system: builtins.toFile "system" system;
    image = tools: system: tools.streamLayeredImage { name = "App"; config.Cmd = [ (file system) ]; };
    images = { native = image layerstone "native"; arm = image other "arm"; };
    pulled = other.buildImage { name = "one"; tag = "1"; };
    "#;

#[test]
fn one_image_for_several_systems() {
    let Some(machine) = Machine::bare() else { return };
    let built = machine.build(&format!(
        r#"{IMAGES} index = layerstone.buildIndex {{ images = {{ inherit (images) native arm; }}; tag = "1"; compression = "zstd"; }};
        in [ index index.copyTo (layerstone.buildIndex {{ name = "both"; images = [ images.native "${{pulled}}" ]; }}) ]"#
    ));
    let [index, copy, both] = &built.paths[..] else { panic!("{built:?}") };
    // Of the images, no archive was made.
    assert!(!built.names().iter().any(|name| name.starts_with("App.tar")), "{:?}", built.names());
    machine.ok(&format!("{copy}/bin/copy-to"), &["oci:app"]);
    let index = machine.read(index);
    let read = |digest: &Value| -> Value {
        let name = format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"));
        serde_json::from_slice(&member(&index, &name)).unwrap()
    };
    let listed: Value = serde_json::from_slice(&member(&index, "index.json")).unwrap();
    assert_eq!(machine.place.json("app/index.json"), listed);
    assert_eq!(listed["manifests"][0]["annotations"]["io.containerd.image.name"], "docker.io/library/app:1");
    let images = read(&listed["manifests"][0]["digest"])["manifests"].as_array().unwrap().clone();
    let platforms: Vec<&Value> = images.iter().map(|image| &image["platform"]["architecture"]).collect();
    assert_eq!(platforms, [&json!("arm64"), &json!("amd64")]);
    let layers = images.iter().map(|image| read(&image["digest"])["layers"][0]["mediaType"].clone());
    assert!(layers.into_iter().all(|layer| layer == "application/vnd.oci.image.layer.v1.tar+zstd"));
    machine.ok(env!("CARGO_BIN_EXE_layerstone"), &["inspect", both, "--arch", "arm64"]);
}

#[test]
fn what_is_refused() {
    let Some(machine) = Machine::bare() else { return };
    let refused = [
        ("layerstone.buildIndex { images = [ ]; }", "buildIndex: found no image, expected some"),
        (
            r#"layerstone.buildIndex { images = [ "/nix/store/x" ]; }"#,
            "buildIndex: found no name, and a first image that has none, expected a name",
        ),
        (
            "layerstone.buildIndex { image = 1; images = [ ]; }",
            "buildIndex: unexpected argument 'image', known is images",
        ),
    ];
    for (text, message) in refused {
        let found = machine.refused(&format!("({text}).drvPath"));
        assert!(found.contains(message), "{text}\n{found}");
    }
    // Two for one platform.
    let run =
        machine.try_build(&[], &format!("{IMAGES} in layerstone.buildIndex {{ images = [ images.arm pulled ]; }}"));
    assert!(run.code != Some(0) && run.stderr.contains("linux/arm64"), "{}", run.stderr);
}
