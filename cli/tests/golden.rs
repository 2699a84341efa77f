//! What nixpkgs makes of the synthetic store comes out of `stream` and `layers`, to the byte.

use crate::support::{Place, golden_text, synth};

/// `layers` keeps nixpkgs' popularity order.
#[test]
fn popularity_order() {
    let place = Place::new();
    let graph = synth().graph.display();
    place.ok(&format!("layers {graph} --max-layers 100 -o x.layers.json"));
    let plan = place.json("x.layers.json");
    let layers = plan["layers"].as_array().unwrap();
    let single = |layer: &serde_json::Value| match layer.as_array().unwrap().as_slice() {
        [path] => path.as_str().unwrap().to_owned(),
        paths => panic!("{paths:?}"),
    };
    let order: Vec<String> = layers.iter().map(single).collect();
    assert_eq!(order.join("\n"), golden_text("popularity.txt").trim_end());
}
