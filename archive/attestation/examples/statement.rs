//! States something of an image, and reads it back.

use layerstone_attestation::{Statement, Subject};
use layerstone_store::{Digest, Limits};
use serde_json::json;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = Digest::of(b"the bytes of a manifest");
    let subject = Subject::image("web", &manifest);
    let statement = Statement::new(vec![subject], "https://example.org/reviewed/v1", json!({"by": "two people"}));
    let bytes = statement.to_bytes();
    assert!(Statement::parse(&bytes, "web.json", &Limits::default())?.is_about(&manifest));
    println!("{}", String::from_utf8(bytes)?);
    Ok(())
}
