//! `judges sigstore-verify BUNDLE KEY MANIFEST`: verifies a bundle of a manifest with a public key, by the crate of that name.
//!
//! `judges zstd-chunked BLOB DESCRIPTOR.JSON`: writes the tar of a layer in zstd:chunked to stdout, put together by the crate
//! `zstd-chunked` from the frames that the table leads to.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::types::{Bundle, DerPublicKey};
use sigstore_verify::{PublicKeyVerificationPolicy, Verifier};
use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use zstd_chunked::{MetadataReferences, Stream};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sigstore-verify", bundle, key, manifest] => sigstore_verify(bundle, key, manifest),
        ["zstd-chunked", blob, descriptor] => zstd_chunked(blob, descriptor),
        _ => bail!("expected zstd-chunked BLOB DESCRIPTOR.JSON or sigstore-verify BUNDLE KEY MANIFEST"),
    }
}

/// Managed keys need no log, and no root of certificates.
fn sigstore_verify(bundle: &str, key: &str, manifest: &str) -> Result<()> {
    let read = |path: &str| fs::read(path).with_context(|| format!("cannot read: {path}"));
    let bundle = Bundle::from_json(std::str::from_utf8(&read(bundle)?)?)?;
    let key = DerPublicKey::from_pem(std::str::from_utf8(&read(key)?)?)?;
    let policy = PublicKeyVerificationPolicy::new(key).skip_tlog_unsafe();
    let root = TrustedRoot::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT)?;
    Verifier::new(&root)?.verify(&read(manifest)?[..], &bundle, &policy)?;
    Ok(())
}

fn zstd_chunked(blob: &str, descriptor: &str) -> Result<()> {
    let blob = fs::read(blob).with_context(|| format!("cannot read: {blob}"))?;
    let text = fs::read(descriptor).with_context(|| format!("cannot read: {descriptor}"))?;
    let descriptor: serde_json::Value = serde_json::from_slice(&text)?;
    let annotation = |name: &str| match &descriptor["annotations"][name] {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    };
    let said = MetadataReferences::from_oci(annotation).context("found no annotations of zstd:chunked")?;
    let footer = MetadataReferences::from_footer(&blob).context("found no footer")?;
    ensure!(
        said.manifest.range == footer.manifest.range && said.tarsplit.range == footer.tarsplit.range,
        "found other positions in the footer than in the annotations"
    );
    let part = |range: &Range<u64>| {
        let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
        blob.get(range).context("found a range outside of the blob")
    };
    let stream = Stream::new_from_frames(part(&said.manifest.range)?, part(&said.tarsplit.range)?)?;
    let mut out = io::stdout().lock();
    stream.write_to(&mut out, |reference| Ok(zstd::decode_all(part(&reference.range)?)?))?;
    Ok(out.flush()?)
}
