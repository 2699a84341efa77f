//! Bills of materials of images that are not made yet: of a spec and of a plan.

use super::{judged, judges, place};
use crate::support::synth;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The bill of a spec is that of the image that is made of it, but for digests and what becomes of it besides; that of a plan
/// has its paths.
#[test]
fn before_the_image_is_made() {
    let place = place();
    let (graph, root) = (synth().graph.display(), synth().root.display());
    let bill = |line: &str| -> Value { serde_json::from_slice(&place.ok(line).stdout).unwrap() };
    let without_layers = |mut bill: Value| {
        for component in bill["components"].as_array_mut().unwrap() {
            let is_kept = |it: &Value| !it["name"].as_str().unwrap().starts_with("oci:layer");
            component["properties"].as_array_mut().unwrap().retain(is_kept);
        }
        bill
    };
    let numbers = |bill: &Value| -> BTreeMap<String, String> {
        let number = |component: &Value| {
            let mut all = component["properties"].as_array().unwrap().iter();
            all.find(|it| it["name"] == "oci:layer:number").map(|it| it["value"].as_str().unwrap().to_owned())
        };
        let all = bill["components"].as_array().unwrap().iter();
        all.map(|it| (it["bom-ref"].as_str().unwrap().to_owned(), number(it).unwrap())).collect()
    };
    let planned = bill(&format!("sbom plain.json --root {root}"));
    let made = bill(&format!("sbom oci:plain --graph {graph}"));
    assert_eq!(planned["metadata"]["component"]["type"], "container");
    let shown = numbers(&planned);
    let manifest: Value = serde_json::from_slice(&place.ok("manifest oci:plain").stdout).unwrap();
    for (number, layer) in manifest["layers"].as_array().unwrap().iter().enumerate() {
        let paths = layer["annotations"]["io.layerstone.store-paths"].as_str().unwrap_or_default();
        paths.split_whitespace().for_each(|path| assert_eq!(shown[path], number.to_string()));
    }
    let (planned, made) = (without_layers(planned), without_layers(made));
    assert_eq!(planned["components"], made["components"]);
    assert_eq!(planned["dependencies"], made["dependencies"]);
    place.ok(&format!("closure --spec plain.json --root {root} --sizes -o x.closure.json"));
    place.ok("layers x.closure.json --spec plain.json -o x.layers.json");
    let of_plan = bill("sbom x.layers.json --graph x.closure.json");
    assert_eq!((&numbers(&of_plan), &of_plan["metadata"]["component"]["name"]), (&shown, &json!("x")));
    assert_eq!(without_layers(of_plan)["components"], made["components"]);
    let told = place.fail("sbom x.layers.json");
    assert!(told.contains("found a plan, which tells no references: x") && told.contains("hint: --graph "), "{told}");
    let told = place.fail(&format!("sbom plain.json --root {root} -o plain.json"));
    assert!(told.contains("plain.json") && place.json("plain.json")["tag"] == "1", "{told}");
    place.write("base.json", json!({"name": "x", "fromImage": "absent.tar"}).to_string());
    assert!(place.fail("sbom base.json").contains("absent.tar"));
}

/// A closure may know nothing but its paths: what is not known is not in its bill, which is valid all the same.
#[test]
fn of_a_closure_without_sizes() {
    let Some(judges) = judges() else { return };
    let place = place();
    place.ok(&format!("closure --spec plain.json --root {} -o bare.closure.json", synth().root.display()));
    let mut closure = place.json("bare.closure.json");
    for path in closure["graph"].as_array_mut().unwrap() {
        path.as_object_mut().unwrap().retain(|key, _| ["path", "references"].contains(&key.as_str()));
    }
    place.write("bare.closure.json", closure.to_string());
    for format in ["cyclonedx", "spdx", "spdx3"] {
        place.ok(&format!("sbom bare.closure.json --format {format} -o {format}.json"));
        assert_eq!(judged(&place, &judges, format, &format!("{format}.json")), "", "{format}");
    }
    let bill = place.json("cyclonedx.json");
    let components = bill["components"].as_array().unwrap();
    assert_eq!(components.len(), closure["graph"].as_array().unwrap().len());
    for component in components {
        let properties: Vec<&Value> =
            component["properties"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
        assert_eq!((&component["hashes"], properties), (&Value::Null, vec![&json!("nix:output_path")]));
    }
}
