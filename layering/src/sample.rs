//! Closures for tests, from a line of text.

use layerstone_closure::{Closure, PathInfo};
use layerstone_store::StorePath;

/// The closure written as `a: b c; b: c; c:` (who: whom it refers to), with sizes as `a 10: b c; b 5: c; c 20:`, in the
/// order given.
pub(crate) fn closure(text: &str) -> Closure {
    let info = |entry: &str| {
        let (head, references) = entry.split_once(':').expect("name: references");
        let (name, size) = head.trim().split_once(' ').unzip();
        PathInfo {
            path: path(name.unwrap_or(head.trim())),
            nar_hash: None,
            nar_size: size.map(|size| size.parse().expect("a size is a number")),
            references: references.split_whitespace().map(path).collect(),
        }
    };
    Closure { graph: text.split(';').filter(|entry| !entry.trim().is_empty()).map(info).collect() }
}

/// The store path of a name: its hash part is `h`.
pub(crate) fn path(name: &str) -> StorePath {
    StorePath::parse(&format!("/nix/store/h-{name}")).expect("a sample's name is a good one")
}
