//! Bills of materials from Nix: what evaluation knows of packages, and the bill that is built with it.

use super::machine::Machine;
use serde_json::{Value, json};

/// What packages say of themselves, those that they are built with too; what cannot be evaluated is left out.
#[test]
fn licences_and_what_else_is_known() {
    let Some(machine) = Machine::find() else { return };
    let image = r#"
        let
          named = name: more:
            let package = hello // { pname = name; drvPath = "/nix/store/${name}.drv"; } // more;
            in package // { outputs = [ "out" ]; out = package; };
          library = named "library" {
            outPath = "/nix/store/00000000000000000000000000000000-library-1";
            meta = { license = [ { spdxId = "MIT"; fullName = "MIT License"; } "own" ]; homepage = [ "https://a" "https://b" ]; };
            patches = [ ./one.patch ];
          };
          broken = named "broken" { meta = throw "unfree"; };
          tool = hello // {
            pname = "hello";
            version = "2.10";
            buildInputs = [ library broken null "text" ];
            meta = {
              license = { spdxId = "GPL-3.0-or-later"; };
              description = "Greets";
              identifiers = { cpe = "cpe:2.3:a:gnu:hello:2.10:*:*:*:*:*:*:*"; purl = "pkg:generic/hello@2.10"; };
            };
          };
        in layerstone.buildLayeredImage { name = "tool"; contents = tool; }"#;
    let found = machine.value(&format!("builtins.fromJSON (builtins.readFile ({image}).sbomMeta)"));
    assert_eq!(found["format"], "layerstone/meta");
    let paths = found["paths"].as_object().unwrap();
    let of = |name: &str| paths.iter().find(|(path, _)| path.ends_with(name)).map(|(_, known)| known.clone());
    assert_eq!(
        of("-library-1").unwrap(),
        json!({
            "name": "library", "homepage": "https://a", "patches": ["one.patch"],
            "licenses": [{"spdxId": "MIT", "name": "MIT License"}, {"name": "own"}],
        })
    );
    let tool = of("-hello-2.10").unwrap();
    assert_eq!((&tool["version"], &tool["licenses"]), (&json!("2.10"), &json!([{"spdxId": "GPL-3.0-or-later"}])));
    assert_eq!(tool["purl"], "pkg:generic/hello@2.10");
    // The program reads it, and joins it with the closure.
    let built = machine.build(&format!("({image}).sbom"));
    let bill: Value = serde_json::from_slice(&machine.read(built.path())).unwrap();
    let component = bill["components"].as_array().unwrap().iter().find(|it| it["name"] == "hello").unwrap();
    assert_eq!(component["licenses"], json!([{"license": {"id": "GPL-3.0-or-later"}}]));
    assert_eq!(
        (&bill["metadata"]["component"]["name"], component["purl"].as_str()),
        (&json!("tool"), Some("pkg:generic/hello@2.10"))
    );
    assert!(built.names().iter().all(|name| !name.contains("customisation") || name.ends_with("layer")), "{built:?}");
}
