//! What evaluation knows of store paths, as far as no bill may have it.

use super::place;
use crate::support::synth;
use serde_json::json;

/// What no schema takes is refused where it is read, by the path and the key.
#[test]
fn facts_that_no_bill_may_have() {
    let place = place();
    let path = synth().path("bash-5.2");
    let sbom = format!("sbom {} -o x.json", synth().graph.display());
    for (key, value, expected) in [
        ("supplier", json!(""), "found \"\", expected the name of an organization"),
        ("homepage", json!("gnu"), "found \"gnu\", expected an address such as https://example.org"),
        ("purl", json!("bash@5.2"), "found \"bash@5.2\", expected a package URL, pkg:TYPE/NAME"),
    ] {
        let known = json!({key: value});
        place.write("meta.json", json!({"paths": {path: known}}).to_string());
        let told = place.fail(&format!("{sbom} --meta meta.json"));
        assert!(told.contains(&format!("malformed layerstone/meta: meta.json: {path}: {key}: {expected}")), "{told}");
    }
    let run = place.run(&format!("{sbom} --supplier="));
    assert!(
        run.code == Some(2) && run.stderr.contains("a value is required for '--supplier <NAME>'"),
        "{}",
        run.stderr
    );
    // What has the form of an identifier and is none is a name.
    let known = json!({"licenses": [{"spdxId": "GPLv3"}, {"spdxId": "mit"}]});
    place.write("meta.json", json!({"paths": {path: known}}).to_string());
    place.ok(&format!("{sbom} --meta meta.json"));
    let bill = place.json("x.json");
    let bash = bill["components"].as_array().unwrap().iter().find(|it| it["bom-ref"] == path).unwrap();
    assert_eq!(bash["licenses"], json!([{"license": {"name": "GPLv3"}}, {"license": {"id": "MIT"}}]));
}
