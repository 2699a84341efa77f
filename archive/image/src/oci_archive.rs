//! An OCI layout as a tar: its directories, which some readers look for, its blobs in the order of their digests, then what
//! names them.
//!
//! The digest of a blob is its member's name, so blobs are collected in temporary files until all are known.

use crate::archive::{Archive, Target, Trailer};
use crate::member::{CopiedMember, LayerMember};
use crate::stored::MTIME;
use layerstone_layer::{CompressedBlob, Progress, Source};
use layerstone_oci::{
    BlobStore, BlobWriter, Content, Descriptor, Error, INDEX_NAME, Index, LAYOUT_NAME, LAYOUT_TEXT, PutOutcome,
    Reference, Referrer, Result, blob_name, names_annotations, spool_to_temp,
};
use layerstone_store::{Digest, Output};
use layerstone_tar::{Common, Dialect, Entry, Owner, Part};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Directories of a layout.
const DIRECTORIES: [&str; 2] = ["blobs", "blobs/sha256"];

/// A tar of an OCI layout on its way.
#[derive(Debug)]
pub struct OciArchive {
    path: PathBuf,
    blobs: Mutex<BTreeMap<Digest, Part>>,
    /// What index.json is to list besides the image.
    referrers: Mutex<Vec<Descriptor>>,
}

impl OciArchive {
    /// An archive to be written there, once it is finished; that it can be written there is tried now.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn create(path: &Path) -> Result<OciArchive> {
        Output::create(path)?;
        Ok(OciArchive { path: path.to_owned(), blobs: Mutex::default(), referrers: Mutex::default() })
    }
}

impl BlobStore for OciArchive {
    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> Result<PutOutcome> {
        let Descriptor { digest, size, .. } = *descriptor;
        let mut write = |out: &mut (dyn Write + Send)| {
            content.write_to(0, out)?;
            Ok(CompressedBlob::without_table(digest, digest, size))
        };
        // The bytes are compared with the digest when they go into the archive.
        self.put_streaming(&mut write).map(|(_, put)| put)
    }

    fn put_streaming(&self, write: &mut BlobWriter<'_>) -> Result<(CompressedBlob, PutOutcome)> {
        let (packed, part) = spool_to_temp(write)?;
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).entry(packed.digest).or_insert(part);
        Ok((packed, PutOutcome::Sent))
    }

    fn prefers_streaming(&self) -> bool {
        true
    }

    fn put_referrer(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.put_manifest(descriptor, bytes)?;
        let entry = Referrer::of(descriptor, bytes).map_or_else(|| descriptor.clone(), |it| it.entry_of_layout());
        self.referrers.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        Ok(())
    }

    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Reference>) -> Result<()> {
        self.put_manifest(descriptor, bytes)?;
        let annotations = name.map_or_else(BTreeMap::new, names_annotations);
        let mut index = Index::new(vec![Descriptor { annotations, ..descriptor.clone() }], BTreeMap::new());
        index.manifests.extend(self.referrers.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let member = |(digest, part): (&Digest, &Part)| {
            let name = Some(blob_name(digest));
            let member = LayerMember::new(Source::Part(part.clone()), Some(*digest), digest.to_string());
            LayerMember { name, ..member }
        };
        let archive =
            Archive { before: &DIRECTORIES.map(directory), layers: blobs.iter().map(member).collect(), mtime: MTIME };
        let trailer = |_: &[Digest]| -> Trailer {
            vec![(LAYOUT_NAME.to_owned(), LAYOUT_TEXT.into()), (INDEX_NAME.to_owned(), index.to_bytes())]
        };
        let mut output = Output::create(&self.path)?;
        archive.write(Target::File(&mut output), None, &trailer, &Progress::default()).map_err(Error::Layer)?;
        Ok(output.commit()?)
    }
}

/// A directory as the other members are written.
fn directory(name: &str) -> CopiedMember {
    let mut header = Vec::new();
    let common = Common { dialect: Dialect::Pax, mtime: MTIME, owner: Owner::numeric_root() };
    common.append_header(&Entry::directory(name.as_bytes(), 0o755), &mut header);
    CopiedMember { header, contents: None }
}
