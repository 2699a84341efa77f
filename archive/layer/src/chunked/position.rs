//! Says where the table of a layer in zstd:chunked is, as the annotations of its descriptor do.

use layerstone_store::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The sha256 of the manifest as it is in the blob, compressed.
const CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";
/// Where the manifest is, `OFFSET:SIZE:PLAIN SIZE:TYPE`.
const MANIFEST: &str = "io.github.containers.zstd-chunked.manifest-position";
/// Where tar-split is, `OFFSET:SIZE:PLAIN SIZE`.
const TAR_SPLIT: &str = "io.github.containers.zstd-chunked.tarsplit-position";
/// The type of manifest that is described in [`manifest`](super::manifest).
pub(super) const TYPE: u64 = 1;

/// Where something compressed is in a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its first byte.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that it has without compression.
    pub plain_size: u64,
}

/// Where the table of a layer is in its blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePosition {
    /// sha256 of the manifest, compressed.
    pub checksum: Digest,
    /// Where the manifest is.
    pub manifest: Span,
    /// Where tar-split is.
    pub tar_split: Span,
}

impl TablePosition {
    /// The annotations that say it.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let span = |span: &Span| format!("{}:{}:{}", span.offset, span.size, span.plain_size);
        BTreeMap::from([
            (CHECKSUM.to_owned(), self.checksum.to_string()),
            (MANIFEST.to_owned(), format!("{}:{TYPE}", span(&self.manifest))),
            (TAR_SPLIT.to_owned(), span(&self.tar_split)),
        ])
    }

    /// What the annotations of a descriptor say; none if they say nothing, or something that is not of this form.
    pub fn of(annotations: &BTreeMap<String, String>) -> Option<TablePosition> {
        let (manifest, kind) = annotations.get(MANIFEST)?.rsplit_once(':')?;
        Some(TablePosition {
            checksum: annotations.get(CHECKSUM)?.parse().ok()?,
            manifest: span(manifest).filter(|_| kind.parse() == Ok(TYPE))?,
            tar_split: span(annotations.get(TAR_SPLIT)?)?,
        })
    }
}

fn span(text: &str) -> Option<Span> {
    let mut numbers = text.split(':').map(|number| number.parse().ok());
    let span = Span { offset: numbers.next()??, size: numbers.next()??, plain_size: numbers.next()?? };
    numbers.next().is_none().then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let position = TablePosition {
            checksum: Digest::of(b"x"),
            manifest: Span { offset: 1, size: 2, plain_size: 3 },
            tar_split: Span { offset: 4, size: 5, plain_size: 6 },
        };
        let annotations = position.annotations();
        assert_eq!(annotations[MANIFEST], "1:2:3:1");
        assert_eq!(annotations[TAR_SPLIT], "4:5:6");
        assert_eq!(TablePosition::of(&annotations), Some(position));
        for (key, value) in [(MANIFEST, "1:2:3:2"), (MANIFEST, "1:2:3"), (TAR_SPLIT, "1:2:3:4"), (CHECKSUM, "x")] {
            let mut wrong = annotations.clone();
            wrong.insert(key.to_owned(), value.to_owned());
            assert_eq!(TablePosition::of(&wrong), None, "{key} {value}");
            wrong.remove(key);
            assert_eq!(TablePosition::of(&wrong), None, "{key}");
        }
    }
}
