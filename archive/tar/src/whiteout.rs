//! Parses names of whiteouts: entries of a layer that hide what lower layers hold (OCI image-spec, layer.md, "Whiteouts").
//!
//! aufs, whose format this is, keeps notes to itself under names that begin like whiteouts. They are no files, and hide none.

use crate::tree::{components, join, split};

/// What the name of a layer's member says if it is no file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteout<'a> {
    /// All is hidden that lower layers hold of this directory.
    Opaque {
        /// Its name.
        directory: &'a [u8],
    },
    /// One file of a directory is hidden, with all below it.
    File {
        /// The directory's name.
        directory: &'a [u8],
        /// What the file is called there: anything but a whiteout, also nothing, `.` or `..`.
        base: &'a [u8],
    },
    /// A note of aufs to itself: the name up to the component that says so.
    Note(&'a [u8]),
}

impl<'a> Whiteout<'a> {
    /// How the name of an entry begins that hides the entry of the rest of the name.
    pub const PREFIX: &'static [u8] = b".wh.";
    /// The entry that hides all of its directory.
    pub const OPAQUE: &'static [u8] = b".wh..wh..opq";
    /// How all other names of aufs' own begin.
    const NOTE: &'static [u8] = b".wh..wh.";

    /// What a name says, without slashes at its ends.
    pub fn of(name: &'a [u8]) -> Option<Whiteout<'a>> {
        if let Some(note) = note(name) {
            return Some(Whiteout::Note(note));
        }
        let (directory, base) = split(name);
        match base.strip_prefix(Whiteout::PREFIX)? {
            _ if base == Whiteout::OPAQUE => Some(Whiteout::Opaque { directory }),
            base => Some(Whiteout::File { directory, base }),
        }
    }

    /// The name of the entry that hides one of this name in its directory.
    pub fn hiding(base: &[u8]) -> Vec<u8> {
        [Whiteout::PREFIX, base].concat()
    }

    /// The name of what is hidden, with all below it or in it; none of a note.
    pub fn hidden(&self) -> Option<Vec<u8>> {
        match self {
            Whiteout::Opaque { directory } => Some(directory.to_vec()),
            Whiteout::File { directory, base } => Some(join(directory, base)),
            Whiteout::Note(_) => None,
        }
    }
}

/// The part of a name up to the first component that says that this is a note of aufs, if there is one.
fn note(name: &[u8]) -> Option<&[u8]> {
    let mut end = 0;
    for part in components(name) {
        end += part.len();
        if part.starts_with(Whiteout::NOTE) && (part != Whiteout::OPAQUE || end < name.len()) {
            return Some(&name[..end]);
        }
        end += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, expected| assert_eq!(Whiteout::of(name.as_bytes()), expected, "{name}");
        for name in ["", "a", "a.wh.b", "wh.a", ".wh.a/b", ".w"] {
            check(name, None);
        }
        check(".wh.a", Some(Whiteout::File { directory: b"", base: b"a" }));
        check("d/e/.wh.a", Some(Whiteout::File { directory: b"d/e", base: b"a" }));
        check("d/.wh.", Some(Whiteout::File { directory: b"d", base: b"" }));
        check(".wh..wh..opq", Some(Whiteout::Opaque { directory: b"" }));
        check("d/.wh..wh..opq", Some(Whiteout::Opaque { directory: b"d" }));
        check("d/.wh..wh.plnk/7.8", Some(Whiteout::Note(b"d/.wh..wh.plnk")));
        check(".wh..wh..opq/x", Some(Whiteout::Note(b".wh..wh..opq")));
    }
}
