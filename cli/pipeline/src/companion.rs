//! What an image is published with: its bill of materials and its provenance, made while it is built, and put beside it as
//! referrers, or into its index as BuildKit does.
//!
//! All of it is there before the image has its name: first the blobs of the image, then those of its companions, its manifest
//! by digest, the manifests that refer to it, and the name last. Whatever breaks off in between leaves the name where it was,
//! and the next run finds what is there already.

use crate::attest::{StatementLayer, entry, statements};
use crate::image_bill::{Built, bill_of_built, image_bill_as};
use crate::oci_destination::PutManifest;
use crate::provenance::BuiltBy;
use crate::{BillSources, Builder, Copier, Error, ImageSource, ImageTarget, Report, Result};
use layerstone_attestation::{SLSA_PROVENANCE, Subject};
use layerstone_layer::{Content, Layer};
use layerstone_oci::{
    BlobStore, Descriptor, EMPTY_CONFIG, IN_TOTO, Index, Manifest, PREDICATE_TYPE, StoredManifest, empty_config,
    file_layer, media_type,
};
use layerstone_sbom::{Format, MetaFile};
use layerstone_store::{Digest, counted};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the program, as provenance says it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an image is published with.
#[derive(Clone, Debug, Default)]
pub struct Companions {
    /// Its bill of materials in this format.
    pub sbom: Option<Format>,
    /// What only evaluation knows of store paths, for that bill.
    pub meta: Vec<MetaFile>,
    /// Its provenance, for which somebody may stand.
    pub provenance: Option<BuiltBy>,
    /// Whether its provenance is put beside it, or is for a file alone.
    pub provenance_stays: bool,
    /// Whether they go into its index instead.
    pub in_index: bool,
    /// The directory of the spec's file, to which its paths are relative.
    pub directory: PathBuf,
}

/// A companion that was made.
#[derive(Clone, Debug)]
pub struct Companion {
    /// What it is.
    pub media_type: &'static str,
    /// The type of its predicate; in-toto statements say it themselves.
    pub predicate: &'static str,
    /// What the file is called.
    pub file: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it is put beside the image.
    pub is_put: bool,
}

impl Companions {
    /// Whether there are any.
    pub fn is_wanted(&self) -> bool {
        self.sbom.is_some() || self.provenance.is_some()
    }

    /// Refuses a target that keeps no manifests, which they are about.
    ///
    /// # Errors
    ///
    /// It is one.
    pub fn check(&self, target: &ImageTarget) -> Result<()> {
        if !self.is_wanted() || target.keeps_oci_images() {
            return Ok(());
        }
        let flag = if self.sbom.is_some() { "--sbom" } else { "--provenance" };
        let message = format!("{flag}: found {target}, expected an OCI image, whose manifest it is attached to");
        let hint = match self.sbom {
            Some(format) => format!(
                "-o oci-archive:FILE, oci:DIR or registry:HOST/NAME:TAG; `layerstone sbom IMAGE --format {}` lists what is in \
                 an archive",
                format.name()
            ),
            None => "-o oci-archive:FILE, oci:DIR or registry:HOST/NAME:TAG".to_owned(),
        };
        Err(Error::advised(message, hint))
    }

    /// Refuses a source that they cannot be made of, and a target where they cannot be.
    ///
    /// # Errors
    ///
    /// It is one.
    pub fn check_copy(&self, source: &ImageSource, target: &ImageTarget) -> Result<()> {
        self.check(target)?;
        let ImageSource::Image(place) = source else { return Ok(()) };
        if self.provenance.is_some() {
            let message =
                format!("--provenance: found the image {place}, expected an image.json, which tells how one is built");
            return Err(Error::advised(message, "--referrers brings along the provenance that an image has"));
        }
        if self.sbom.is_some() && place.path() == Some(Path::new("-")) {
            bail!("--sbom: found -, expected an image that can be read twice");
        }
        Ok(())
    }

    /// Refuses them beside this.
    pub(crate) fn refuse(&self, beside: &str, hint: &str) -> Result<()> {
        let flag = if self.sbom.is_some() { "--sbom" } else { "--provenance" };
        match self.is_wanted() {
            true => Err(Error::advised(format!("{flag}: found {beside} too, expected one of them"), hint)),
            false => Ok(()),
        }
    }
}

impl Companion {
    fn sbom(format: Format, text: String) -> Companion {
        let file = match format {
            Format::CycloneDx => "sbom.cdx.json",
            Format::Spdx2 => "sbom.spdx.json",
            Format::Spdx3 => "sbom.spdx3.json",
        };
        let (media_type, predicate) = (format.media_type(), format.predicate_type());
        Companion { media_type, predicate, file, bytes: text.into_bytes(), is_put: true }
    }

    /// It as a layer of an artifact.
    fn layer(&self) -> Descriptor {
        let mut layer = file_layer(self.media_type, Digest::of(&self.bytes), self.bytes.len() as u64, self.file);
        layer.annotations.extend(self.predicate_annotation());
        layer
    }

    /// What says of a statement what it states.
    fn predicate_annotation(&self) -> Option<(String, String)> {
        (self.media_type == IN_TOTO).then(|| (PREDICATE_TYPE.to_owned(), self.predicate.to_owned()))
    }

    /// The manifest that names an image as its subject.
    fn referrer(&self, subject: &Descriptor) -> StoredManifest {
        let subject = Descriptor::new(&subject.media_type, subject.digest, subject.size);
        let annotations: BTreeMap<String, String> = self.predicate_annotation().into_iter().collect();
        StoredManifest::of(Manifest::of_artifact(self.media_type, vec![self.layer()], subject, annotations))
    }
}

impl Builder<'_> {
    /// The companions of the image, which is put: made of these layers, its own and those of the base.
    pub(crate) fn companions(
        &self,
        put: &PutManifest,
        diff_ids: &[Digest],
        layers: &[Layer],
    ) -> Result<Vec<Companion>> {
        let (wanted, mut made) = (&self.options.companions, Vec::new());
        if let Some(format) = wanted.sbom {
            let built = Built { builder: self, put, diff_ids, layers };
            let mut bill = self.options.report.stage("bill of materials", || bill_of_built(&built))?;
            wanted.meta.iter().for_each(|meta| bill.set_meta(meta));
            made.push(Companion::sbom(format, bill.write(format)));
        }
        if let Some(by) = &wanted.provenance {
            let platform = put.descriptor.platform.as_ref();
            let provenance = self.provenance(by, &wanted.directory, platform)?;
            let name = put.name.as_ref().map(ToString::to_string).unwrap_or_default();
            let statement = provenance.statement(vec![Subject::image(name, &put.descriptor.digest)]);
            made.push(Companion {
                media_type: IN_TOTO,
                predicate: SLSA_PROVENANCE,
                file: "provenance.intoto.json",
                bytes: statement.to_bytes(),
                is_put: wanted.provenance_stays,
            });
        }
        Ok(made)
    }
}

impl Copier<'_> {
    /// An image that is there already, with its bill: nobody here saw it being built.
    pub(crate) fn with_companions(&self, source: &ImageSource, put: PutManifest) -> Result<PutManifest> {
        let (wanted, store_dir) = (&self.options.companions, self.options.store.dir());
        let Some(format) = wanted.sbom else { return Ok(put) };
        let image = self.opened(source, &self.wanted)?;
        let name = put.name.as_ref().map_or_else(|| "image".to_owned(), ToString::to_string);
        let sources = BillSources::default();
        let mut bill = image_bill_as(image.image()?, &name, &put, store_dir, sources, self.report())?;
        wanted.meta.iter().for_each(|meta| bill.set_meta(meta));
        Ok(PutManifest { companions: vec![Companion::sbom(format, bill.write(format))], ..put })
    }
}

/// Puts the companions of an image beside it: what the name is to lead to, if that is another index now.
pub(crate) fn put_companions(
    put: &PutManifest,
    in_index: bool,
    store: &dyn BlobStore,
    report: &dyn Report,
) -> Result<Option<Descriptor>> {
    let companions: Vec<&Companion> = put.companions.iter().filter(|companion| companion.is_put).collect();
    if companions.is_empty() {
        return Ok(None);
    }
    let entry = if in_index { Some(put_statements(put, &companions, store)?) } else { None };
    if !in_index {
        put_beside(put, &companions, store)?;
    }
    let kinds: Vec<&str> = companions.iter().map(|companion| companion.media_type).collect();
    let what = if in_index { "statement" } else { "referrer" };
    report.notice(&format!("with {}: {}", counted(companions.len() as u64, what), kinds.join(", ")));
    Ok(entry)
}

/// Puts companions as manifests whose subject is the image.
fn put_beside(put: &PutManifest, companions: &[&Companion], store: &dyn BlobStore) -> Result<()> {
    for companion in companions {
        let content: Arc<dyn Content> = Arc::new(companion.bytes.clone());
        store.put(&companion.layer(), &content)?;
    }
    let config: Arc<dyn Content> = Arc::new(EMPTY_CONFIG.to_vec());
    store.put(&empty_config(), &config)?;
    store.put_manifest(&put.descriptor, &put.bytes)?;
    for companion in companions {
        let StoredManifest { descriptor, bytes, .. } = companion.referrer(&put.descriptor);
        store.put_referrer(&descriptor, &bytes)?;
    }
    Ok(())
}

/// Puts companions as statements, and returns the entry of the index that leads to them.
fn put_statements(put: &PutManifest, companions: &[&Companion], store: &dyn BlobStore) -> Result<Descriptor> {
    let subject = put.descriptor.digest;
    let stated = |it: &&Companion| match it.media_type {
        IN_TOTO => StatementLayer::of(it.predicate, it.bytes.clone()),
        _ => StatementLayer::wrapping(&it.bytes, it.predicate, &subject),
    };
    let layers: Vec<StatementLayer> = companions.iter().map(stated).collect();
    for StatementLayer { layer, bytes } in &layers {
        let content: Arc<dyn Content> = Arc::new(bytes.clone());
        store.put(layer, &content)?;
    }
    let (config, manifest) = statements(layers.into_iter().map(|it| it.layer).collect());
    let content: Arc<dyn Content> = Arc::new(config);
    store.put(&manifest.manifest.config, &content)?;
    store.put_manifest(&put.descriptor, &put.bytes)?;
    store.put_manifest(&manifest.descriptor, &manifest.bytes)?;
    Ok(entry(&manifest.descriptor, &subject))
}

/// An index of one image and of what is stated about it.
pub(crate) fn index_of_one(put: PutManifest, entry: Descriptor) -> (PutManifest, Vec<Descriptor>) {
    let index = Index::new(vec![put.descriptor.clone(), entry], BTreeMap::new());
    let bytes = index.to_bytes();
    let descriptor = Descriptor::of(media_type::INDEX, &bytes);
    (PutManifest { descriptor, bytes, config: None, ..put }, index.manifests)
}
