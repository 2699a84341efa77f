//! Parses a references graph, and prints the chains of references by which one path brings in another.

use layerstone_closure::{ReferencesGraph, chains};
use layerstone_store::StorePath;

const GRAPH: &str = r#"[
    {"path": "/nix/store/hdcv6jr7q8h1h8ml4n4y5ynmk5d2jfna-curl", "references":
        ["/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-ssl", "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc"]},
    {"path": "/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-ssl", "references":
        ["/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc"]},
    {"path": "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc", "references": []}
]"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let libc = StorePath::parse("/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc")?;
    let closure = ReferencesGraph::parse(GRAPH.as_bytes(), "curl.json")?.closure(&[])?;
    for chain in chains(&closure, &closure.roots(), &libc)? {
        println!("{}", chain.iter().map(|path| path.name()).collect::<Vec<_>>().join(" → "));
    }
    Ok(())
}
