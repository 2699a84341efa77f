//! `layerstone nix-db`: a closure to the layer from which Nix in the image knows its store paths.

use crate::args::{Common, StampArgs, StoreArgs};
use crate::base::{Base, BaseArgs};
use crate::command::layer::behind::{check_front, plain_blob};
use crate::edge::EdgeArgs;
use crate::overwrite::Files;
use crate::place::check_tar;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_closure::{Closure, measure_nars};
use layerstone_layer::LayerFile;
use layerstone_root::{EARLIER_FILES, NixDbBase, NixDbPlace, NixDbSpec, build_nix_db, nix_db_folder};
use layerstone_spec::Spec;
use layerstone_store::{Error, Output, Scratch, Store};
use layerstone_tar::Kind;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What the history says about the layer.
pub const COMMENT: &str = "nix database";

/// Make the layer of Nix's database: what Nix in a container knows of the image's store paths
///
/// The paths of the closure are registered, and behind those of the base's database; each has a root for the garbage
/// collector. NAR hashes that the closure does not tell are computed from the store.
#[derive(Args)]
pub struct Options {
    /// The closure
    #[arg(value_name = "CLOSURE.JSON")]
    closure: PathBuf,
    /// Append to the tar of this layer, for a single image: the root, to which `layer --behind` appends store paths then
    #[arg(long, value_name = "ROOT.LAYER.JSON")]
    behind: Option<PathBuf>,
    #[command(flatten)]
    nix: NixOwnerArgs,
    /// Layer file to write
    #[arg(short, long, value_name = "LAYER.JSON")]
    output: PathBuf,
    /// Tar to write
    #[arg(long, value_name = "TAR")]
    blob: PathBuf,
    // The owner is that of the folders that lead to the store.
    #[command(flatten)]
    stamp: StampArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    edge: EdgeArgs,
}

/// Who owns the database.
#[derive(Args)]
pub struct NixOwnerArgs {
    /// User that owns the store's folder and the database of Nix, for use by this user alone [default: the base's, or 0]
    #[arg(long, value_name = "N")]
    pub nix_uid: Option<u32>,
    /// Group, likewise [default: the base's, or 0]
    #[arg(long, value_name = "N")]
    pub nix_gid: Option<u32>,
}

impl NixOwnerArgs {
    /// Puts what the flags say over what the spec does.
    pub fn apply(&self, spec: &mut Spec) {
        spec.nix_uid = self.nix_uid.or(spec.nix_uid);
        spec.nix_gid = self.nix_gid.or(spec.nix_gid);
    }
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let store = options.store.store()?;
    let mut spec = options.stamp.read_spec()?.unwrap_or_else(|| Spec::new("nix-db"));
    options.nix.apply(&mut spec);
    let (mtime, store_owner) = options.stamp.resolve(Some(&spec))?;
    let closure = Closure::read(&options.closure)?;
    for info in &closure.graph {
        store.parse(info.path.as_str()).with_context(|| options.closure.display().to_string())?;
    }
    check_tar(&options.blob, None)?;
    let files = Files::of(&store).reads([&options.closure]).reads_spec(options.stamp.spec(), &spec);
    let files = files.reads_layers(&options.behind).reads(options.base.location(Some(&spec)).map(|base| base.path));
    files.edge(&options.edge).writes([&options.output, &options.blob]).check()?;
    let base = options.base.open(Some(&spec), common)?;
    if options.output != Path::new("-") {
        // First, so that a bad place is told before the blob is there.
        Output::create(&options.output)?;
    }
    let mut edge = options.edge.begin(&[&options.output, &options.blob])?;
    edge.file(&options.closure);
    edge.files(&options.stamp.spec().map(Path::to_owned));
    edge.base(&options.base, Some(&spec));
    if let Some(behind) = &options.behind {
        edge.layer(&store, behind)?;
    }
    let (place, references) = match &options.behind {
        None => (NixDbPlace::OnTop { root: None, store_owner }, Vec::new()),
        Some(file) => {
            let front = LayerFile::read(file)?;
            let root = plain_blob(&front, file)?;
            check_front(&front, &root, common)?;
            (NixDbPlace::Behind { root }, front.references)
        }
    };
    let job = Job { spec: &spec, mtime, place, base: base.as_ref(), store: &store };
    let mut layer = LayerFile { references, ..job.make(closure, &options.blob)? };
    layer.set_blob(&options.output, &options.blob)?;
    layer.write(&options.output)?;
    edge.finish()
}

/// What the layer is made of, besides the closure.
pub struct Job<'a> {
    /// Who owns the database.
    pub spec: &'a Spec,
    pub mtime: i64,
    pub place: NixDbPlace,
    pub base: Option<&'a Base>,
    pub store: &'a Store,
}

impl Job<'_> {
    /// Makes the layer's tar.
    pub fn make(self, mut closure: Closure, blob: &Path) -> Result<LayerFile> {
        if self.store.dir() == "/gnu/store" {
            bail!("no Nix database for the store /gnu/store, which is that of Guix: expected another one");
        }
        measure_nars(&mut closure, self.store).context("no NAR hash or size in the closure")?;
        let scratch = Scratch::create(&std::env::temp_dir())?;
        let comment = matches!(self.place, NixDbPlace::OnTop { .. }).then(|| COMMENT.to_owned());
        let spec = NixDbSpec {
            store: self.store.clone(),
            mtime: self.mtime,
            uid: self.spec.nix_uid,
            gid: self.spec.nix_gid,
            base: self.base.map(|base| base_of(base, self.store, scratch.path())).transpose()?,
            place: self.place,
        };
        Ok(LayerFile { comment, ..build_nix_db(&spec, &closure, blob)? })
    }
}

/// The base, with copies of what it has of a database in this folder.
fn base_of(base: &Base, store: &Store, folder: &Path) -> Result<NixDbBase> {
    let tree = base.tree()?;
    for file in EARLIER_FILES {
        let name = [&nix_db_folder(store)[..], b"/", file.as_bytes()].concat();
        // What is something else than a file, the root stage tells.
        let Some(node) = tree.get(&name).filter(|node| matches!(node.kind, Kind::File { .. })) else { continue };
        let copy = folder.join(file);
        let mut out = File::create(&copy).map_err(Error::io("write", &copy))?;
        base.image.copy_file(node, &mut out)?;
    }
    Ok(NixDbBase { name: base.image.name.clone(), tree, copies: folder.to_owned() })
}
