//! A layer in zstd:chunked, put together by the crate `zstd-chunked` from the frames that the table leads to.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use zstd_chunked::{MetadataReferences, Stream};

/// Writes the tar of a layer to stdout.
pub fn write_tar(blob: &str, descriptor: &str) -> Result<()> {
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
