//! Readers of others as programs: `judges zstd-chunked BLOB DESCRIPTOR.JSON` and `judges sigstore BUNDLE KEY.PEM ARTIFACT`.

#![forbid(unsafe_code)]

mod chunked;
mod sigstore;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["zstd-chunked", blob, descriptor] => chunked::write_tar(blob, descriptor),
        ["sigstore", bundle, key, artifact] => sigstore::verify(bundle, key, artifact),
        _ => bail!("expected zstd-chunked BLOB DESCRIPTOR.JSON or sigstore BUNDLE KEY.PEM ARTIFACT"),
    }
}
