//! What the ending of a file's name says of the file: one table. Does not know who writes it.

use layerstone_layer::Compression;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What an ending says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A tar, compressed so.
    Tar(Compression),
    /// What nothing here writes.
    Other,
}

/// What stands behind the last dot, in small letters: endings of GNU tar's --auto-compress, of archives, and of disk images.
const ENDINGS: [(Ending, &[&str]); 4] = [
    (Ending::Tar(Compression::None), &["tar"]),
    (Ending::Tar(Compression::Gzip), &["gz", "tgz", "taz"]),
    (Ending::Tar(Compression::Zstd), &["zst", "tzst", "zstd"]),
    (
        Ending::Other,
        &[
            "xz", "txz", "bz2", "tbz", "tbz2", "tz2", "bz3", "lz", "tlz", "lzma", "lzo", "lz4", "br", "sz", "z", "zip",
            "7z", "rar", "cpio", "ar", "arj", "cab", "lzh", "zpaq", "jar", "deb", "rpm", "apk", "img", "iso", "raw",
            "qcow", "qcow2", "vhd", "vhdx", "vdi", "vmdk", "ova", "dmg", "wim", "ext4", "erofs", "squashfs", "sqfs",
            "sif",
        ],
    ),
];

impl Ending {
    /// What a name ends in, in letters of any case; none if that says nothing, or if a slash makes it a directory's.
    pub fn of(path: &Path) -> Option<Ending> {
        let name = path.file_name()?.as_bytes();
        let dot = name.iter().rposition(|byte| *byte == b'.')?;
        let is_directory = path.as_os_str().as_bytes().ends_with(b"/");
        let fits = |ending: &&str| ending.as_bytes().eq_ignore_ascii_case(&name[dot + 1..]);
        ENDINGS.into_iter().find(|(_, endings)| !is_directory && endings.iter().any(fits)).map(|(ending, _)| ending)
    }

    /// What a tar of this name is compressed with.
    pub fn compression(self) -> Compression {
        if let Ending::Tar(compression) = self { compression } else { Compression::None }
    }
}

/// What is wrong with the name of a tar that is compressed so, if its ending is another one's.
pub fn check(path: &Path, compression: Compression) -> Result<(), String> {
    let found = match Ending::of(path) {
        None => return Ok(()),
        Some(Ending::Tar(named)) if named == compression => return Ok(()),
        Some(Ending::Tar(named)) => name(named),
        Some(Ending::Other) => "another format",
    };
    let (path, expected) = (path.display(), name(compression));
    Err(format!("cannot write: {path}: found the ending of {found}, expected that of {expected}"))
}

fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip => "a tar in gzip",
        Compression::Zstd => "a tar in zstd",
        _ => "a plain tar",
    }
}
