//! Plans the layers of a small references graph.

use layerstone_closure::ReferencesGraph;
use layerstone_layering::{Settings, plan};
use std::num::NonZeroUsize;

const GRAPH: &str = r#"[
    {"path": "/nix/store/hdcv6jr7q8h1h8ml4n4y5ynmk5d2jfna-curl", "narSize": 300000, "references":
        ["/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-ssl", "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc"]},
    {"path": "/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-ssl", "narSize": 7000000, "references":
        ["/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc"]},
    {"path": "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc", "narSize": 30000000, "references": []}
]"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let closure = ReferencesGraph::parse(GRAPH.as_bytes(), "curl.json")?.closure(&[])?;
    let settings = Settings::new(NonZeroUsize::new(2).ok_or("no layer")?);
    for (number, layer) in plan(&closure, &settings)?.layers.iter().enumerate() {
        println!("layer {number}: {}", layer.iter().map(|path| path.name()).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}
