//! Bounds what is read of input that others made: archives, layouts, registries, JSON, what a guest sends.
//!
//! Each limit has a name, which errors tell and a flag takes, and a default that no real input meets. Does not know what
//! is read.

use std::fmt;

/// Something that is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Bytes that something compressed may unpack to, all layers of an image together, and the holes of its files.
    Unpacked,
    /// How many times its size something compressed may unpack to, where [`Limit::Unpacked`] is not set.
    Ratio,
    /// Members of a tar.
    Members,
    /// Bytes of memory that the headers of all layers of an image take.
    Headers,
    /// Members of an archive of images.
    ArchiveMembers,
    /// Bytes of names, link targets and records that are kept of all members of an archive of images.
    ArchiveHeaders,
    /// Bytes of an extended header, a long name, or the map of a sparse file.
    ExtendedHeader,
    /// Bytes of a file's name, or of a link's target.
    Name,
    /// Directories of a layer that exist only because something is in them.
    ImpliedDirectories,
    /// Bytes of the targets of hard links to symbolic links, each of which is a copy.
    LinkTargets,
    /// Layers of all images of an archive or layout.
    Layers,
    /// Manifests and indexes that one index leads to.
    Manifests,
    /// Bytes of manifests, configs and metadata of layers that are kept.
    Descriptions,
    /// Indexes within each other.
    IndexDepth,
    /// Bytes of one manifest, index, config or other piece of JSON.
    Json,
    /// Values of one piece of JSON.
    JsonValues,
    /// Arrays and objects within each other, in one piece of JSON.
    JsonDepth,
    /// Directories within each other, of a file of a layer.
    Depth,
    /// Manifests and indexes of a registry that are read to find the one for a platform.
    Fetched,
    /// Pages of a list of referrers that a registry gives.
    ReferrerPages,
    /// Pages of a list of tags that a registry gives.
    TagPages,
    /// Bytes of PAX records that hold for all members of a tar.
    GlobalRecords,
    /// Bytes of headers of a base's layers that nixpkgs' stream copies.
    CopiedHeaders,
    /// Bytes of extended attributes, names included, of all files of a base that a virtual machine gets.
    Attributes,
    /// Bytes of a frame that the guest of a root script sends.
    ScriptFrame,
    /// Phases that the guest of a root script says it is in.
    ScriptPhases,
    /// How many times the size of the run's disk the layer of a root script may have.
    ScriptLayer,
    /// Bytes that are kept of the console of a machine that has ended; what is more is left out.
    ScriptConsole,
    /// Bytes of the table of a layer in zstd:chunked.
    ChunkTable,
}

/// What is known of a limit.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The limit.
    pub limit: Limit,
    /// What it is called.
    pub name: &'static str,
    /// The most that is read unless it is set; none if it depends on the input.
    pub default: Option<u64>,
    /// What is counted, in the plural.
    pub counts: &'static str,
}

const fn row(limit: Limit, name: &'static str, default: u64, counts: &'static str) -> Description {
    Description { limit, name, default: Some(default), counts }
}

/// All limits, in the order of [`Limit`], each with the reason for its default.
pub const LIMITS: [Description; 29] = [
    // A few bytes may stand for many: see `Limits::unpacked`.
    Description { limit: Limit::Unpacked, name: "unpacked", default: None, counts: "bytes" },
    // gzip makes a thousand zeros of one byte, and files of real images hardly more than ten bytes.
    row(Limit::Ratio, "ratio", 100, "times the compressed size"),
    // Images with all of TeX Live or of a machine learning stack have some hundred thousand.
    row(Limit::Members, "members", 2_000_000, "members"),
    // A million files, named as on an installed Debian and ten in a directory, take 212 million bytes: several times as
    // many as the largest images have.
    row(Limit::Headers, "headers", 256 << 20, "bytes of memory for headers"),
    // An image of 127 layers has about 500.
    row(Limit::ArchiveMembers, "archive-members", 250_000, "members"),
    row(Limit::ArchiveHeaders, "archive-headers", 32 << 20, "bytes of names and PAX records in its headers"),
    // As Go's archive/tar has it (maxSpecialFileSize), which bounds sparse maps so since CVE-2025-58183. Real ones have a
    // few kilobytes.
    row(Limit::ExtendedHeader, "extended-header", 1 << 20, "bytes"),
    // PATH_MAX of Linux (limits.h): no container could have the file.
    row(Limit::Name, "name", 4096, "bytes"),
    // A name of 4096 bytes is one of 2048 directories. Tools that write layers describe all directories but a few.
    row(Limit::ImpliedDirectories, "implied-directories", 250_000, "directories that no header describes"),
    row(Limit::LinkTargets, "link-targets", 16 << 20, "bytes"),
    // Engines run images of some hundred layers at most (127 in docker's classic store).
    row(Limit::Layers, "layers", 20_000, "layers"),
    row(Limit::Manifests, "manifests", 10_000, "manifests"),
    // Those of an image have some ten kilobytes.
    row(Limit::Descriptions, "descriptions", 32 << 20, "bytes of manifests, configs and descriptions of layers"),
    row(Limit::IndexDepth, "index-depth", 8, "indexes within each other"),
    // Registries take manifests of 4 MiB, and containers/image reads as much of a config.
    row(Limit::Json, "json", 8 << 20, "bytes"),
    // In memory each takes up to some hundred bytes, however short its text is. A config of 127 layers has a thousand.
    row(Limit::JsonValues, "json-values", 200_000, "values"),
    // Configs and manifests have five. serde_json reads no more than 127, whatever is allowed here.
    row(Limit::JsonDepth, "json-depth", 64, "arrays and objects within each other"),
    // As many as a name of 4096 bytes can have. Nothing here recurses into them; tools that do end at about a thousand.
    row(Limit::Depth, "depth", 2_048, "directories within each other"),
    // An index lists an image for each platform, and one of Go's has some twenty.
    row(Limit::Fetched, "fetched", 100, "manifests"),
    // With ten entries a page, as many as `manifests` allows. Pages may be empty, where a registry filters.
    row(Limit::ReferrerPages, "referrer-pages", 1_000, "pages of referrers"),
    // Registries give fifty or a hundred tags a page, and some repositories have more than a hundred thousand.
    row(Limit::TagPages, "tag-pages", 10_000, "pages of tags"),
    // `git archive` writes 52. They are kept for each member.
    row(Limit::GlobalRecords, "global-records", 16 << 10, "bytes of global PAX records"),
    // One member with many records may be listed many times.
    row(Limit::CopiedHeaders, "copied-headers", 32 << 20, "bytes of headers of layers"),
    // File capabilities have 20 bytes, and labels some fifty.
    row(Limit::Attributes, "attributes", 32 << 20, "bytes of extended attributes"),
    // Ours are of 64 KiB, but for the last one, which has the names of all sockets.
    row(Limit::ScriptFrame, "script-frame", 1 << 20, "bytes of a frame"),
    // There are about ten.
    row(Limit::ScriptPhases, "script-phases", 100, "phases"),
    // The files of a layer may have half of that, since few have holes (lastlog(8)) and a tar holds every byte of them;
    // headers take less than the other half.
    row(Limit::ScriptLayer, "script-layer", 16, "times the disk of the run"),
    // The kernel's last words are some lines.
    row(Limit::ScriptConsole, "script-console", 1 << 20, "bytes of a console that has ended"),
    // As containers/storage has it (maxTocSize). A file takes some 200, and a chunk as many.
    row(Limit::ChunkTable, "chunk-table", 50 << 20, "bytes of a zstd:chunked table"),
];

/// Bytes to which anything may be unpacked, however small it is.
const ALWAYS_UNPACKED: u64 = 1 << 30;
/// Bytes to which a stream of unknown size may be unpacked.
const STREAM: u64 = 64 << 30;

impl Limit {
    /// What is known of it.
    pub fn description(self) -> &'static Description {
        &LIMITS[self as usize]
    }

    /// The limit of a name.
    pub fn of_name(name: &str) -> Option<Limit> {
        LIMITS.iter().find(|row| row.name == name).map(|row| row.limit)
    }

    /// The limit that an error's text names: errors of several crates carry only the text of their cause.
    pub fn of_message(text: &str) -> Option<Limit> {
        let (_, rest) = text.rsplit_once(" (limit ")?;
        Limit::of_name(rest.split_once(')')?.0)
    }
}

/// What is read at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    values: [Option<u64>; LIMITS.len()],
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { values: LIMITS.map(|row| row.default) }
    }
}

impl Limits {
    /// The same limits, but for one.
    #[must_use]
    pub fn with(mut self, limit: Limit, most: u64) -> Limits {
        self.values[limit as usize] = Some(most);
        self
    }

    /// No limit: for what was read within limits before, or is our own.
    pub fn none() -> Limits {
        Limits { values: [Some(u64::MAX); LIMITS.len()] }
    }

    /// The most that is read.
    pub fn most(&self, limit: Limit) -> u64 {
        self.values[limit as usize].unwrap_or(u64::MAX)
    }

    /// Bytes that something of this many compressed bytes may unpack to, or a stream of unknown size: what is set, or
    /// [`Limit::Ratio`] times as many, and at least 1 GiB (64 GiB for a stream).
    pub fn unpacked(&self, compressed: Option<u64>) -> u64 {
        let ratio = self.most(Limit::Ratio);
        let usual = || compressed.map_or(STREAM, |size| size.saturating_mul(ratio).max(ALWAYS_UNPACKED));
        self.values[Limit::Unpacked as usize].unwrap_or_else(usual)
    }

    /// Checks a number that was found.
    ///
    /// # Errors
    ///
    /// It is above the limit.
    pub fn check(&self, limit: Limit, found: u64) -> Result<(), Exceeded> {
        let most = self.most(limit);
        if found > most { Err(Exceeded { limit, found, most }) } else { Ok(()) }
    }
}

/// Input that is beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Exceeded {
    /// Which one.
    pub limit: Limit,
    /// What was found; what is counted on the way may be more.
    pub found: u64,
    /// What was expected at most.
    pub most: u64,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Description { name, counts, .. } = self.limit.description();
        write!(f, "found {} {counts}, expected at most {} (limit {name})", self.found, self.most)
    }
}

impl From<Exceeded> for String {
    fn from(exceeded: Exceeded) -> String {
        exceeded.to_string()
    }
}

impl From<Exceeded> for std::io::Error {
    fn from(exceeded: Exceeded) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::InvalidData, exceeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_limits() {
        for (index, row) in LIMITS.iter().enumerate() {
            assert_eq!(row.limit as usize, index);
            assert_eq!(Limit::of_name(row.name), Some(row.limit));
        }
    }

    #[test]
    fn as_much_as_the_limit_and_no_more() {
        let limits = Limits::default().with(Limit::Members, 5);
        assert_eq!(limits.check(Limit::Members, 5), Ok(()));
        let error = limits.check(Limit::Members, 6).unwrap_err();
        assert_eq!(error.to_string(), "found 6 members, expected at most 5 (limit members)");
        assert_eq!(Limit::of_message(&format!("bad: {error}: more")), Some(Limit::Members));
        assert_eq!(Limit::of_message("found 5 (limit nothing)"), None);
    }

    #[test]
    fn what_may_be_unpacked_depends_on_what_is_compressed() {
        let limits = Limits::default();
        assert_eq!(limits.unpacked(Some(10)), 1 << 30);
        assert_eq!(limits.unpacked(Some(1 << 30)), 100 << 30);
        assert_eq!(limits.unpacked(Some(u64::MAX)), u64::MAX);
        assert_eq!(limits.unpacked(None), 64 << 30);
        assert_eq!(limits.with(Limit::Unpacked, 5).unpacked(Some(10)), 5);
        assert_eq!(limits.with(Limit::Ratio, 2).unpacked(Some(1 << 30)), 2 << 30);
    }
}
