//! Writes the bill of materials of a closure of two store paths.

use layerstone_closure::ReferencesGraph;
use layerstone_sbom::{Bill, Format, Subject};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let json = br#"[
        {"path": "/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-ssl-3.0", "references":
            ["/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc-2.36"]},
        {"path": "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc-2.36", "references": []}
    ]"#;
    let graph = ReferencesGraph::parse(json, "web.json")?;
    let roots: Vec<_> = graph.entries().iter().map(|entry| entry.path.clone()).collect();
    let bill = Bill::of(Subject::closure("web"), &graph.closure(&roots)?, "1970-01-01T00:00:01Z");
    print!("{}", bill.write(Format::CycloneDx));
    Ok(())
}
