//! The stages of an image as edges of a build graph, for whatever runs them: which command makes which files of which.
//!
//! Layers are known once there is a plan. Each is called after what is in it, so that one that moves is the same file.
//! What writes the graph is an edge of it too: it runs again when the plan or the spec changes.

mod foreign;
mod input;
pub mod make;
pub mod ninja;
mod word;

pub use word::quoted;

use crate::error::Context;
use crate::{ImageTarget, Result};
use layerstone_layering::Plan;
use layerstone_spec::{ImageKind, Spec};
use layerstone_store::{Digest, Store, StorePath};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a graph is written for.
pub struct GraphInput<'a> {
    /// The spec.
    pub spec: &'a Spec,
    /// The spec's file.
    pub file: &'a Path,
    /// Where store paths are read.
    pub store: &'a Store,
    /// Where the image goes: an archive, or the folder of an OCI layout.
    pub place: &'a ImageTarget,
    /// Where everything between goes.
    pub folder: &'a Path,
    /// The command line that runs the stages.
    pub program: Vec<u8>,
    /// Whether that is this program, and no other one that must be looked after.
    pub is_ours: bool,
    /// Programs in the place of stages.
    pub stages: &'a [(String, OsString)],
    /// Flags of the store.
    pub store_flags: Vec<OsString>,
    /// The plan of the image before.
    pub previous: Option<&'a Path>,
    /// Store paths that a root script names.
    pub mentioned: Vec<StorePath>,
    /// What writes the graph again: words behind the program.
    pub again: Vec<OsString>,
    /// The graph's file.
    pub graph: &'a Path,
}

/// One command, and the files between which it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stage.
    pub stage: &'static str,
    /// What it is called where it must have a name of its own.
    pub name: String,
    /// The words of the command, but for what runs stages; those that a program in the place of a stage does not get
    /// are not among them.
    pub words: Vec<OsString>,
    /// What it makes.
    pub outputs: Vec<PathBuf>,
    /// What it is made of.
    pub inputs: Vec<PathBuf>,
    /// What must be there first, and decides nothing.
    pub after: Vec<PathBuf>,
    /// Whether its outputs often stay as they were.
    pub is_steady: bool,
    /// Whether it takes a machine's worth of memory, so that there is only one at a time.
    pub is_heavy: bool,
    /// What runs in the place of the stage.
    pub program: Option<OsString>,
    /// What `check-stage` must know besides to check what that program wrote.
    pub checked: Vec<OsString>,
}

/// The edges of an image.
pub struct BuildGraph {
    /// In the order in which they run.
    pub edges: Vec<Rule>,
    /// What writes the graph.
    pub again: Rule,
    /// The image's file, if the graph goes so far: without a plan the layers are not known.
    pub image: Option<PathBuf>,
}

impl BuildGraph {
    /// Whether both tools read all names in a depfile as they are meant: ninja takes few characters there
    /// (depfile_parser.in.cc), and for make it is one more makefile. Without depfiles the edges say all that is known
    /// beforehand.
    pub fn has_plain_names(&self) -> bool {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b" #$+,/_.~{}@!-".contains(byte);
        let mut files = self.edges.iter().flat_map(|edge| edge.outputs.iter().chain(&edge.inputs));
        files.all(|path| path.as_os_str().as_encoded_bytes().iter().all(is_plain))
    }
}

/// Where the plan is, in a folder.
pub fn plan_in(folder: &Path) -> PathBuf {
    folder.join("image.layers.json")
}

impl GraphInput<'_> {
    /// The graph, as far as a plan says what the layers are.
    pub fn graph(&self, plan: Option<&Plan>) -> Result<BuildGraph> {
        let (mut edges, root) = self.root_edges();
        let (is_single, is_layered) = (self.spec.kind == ImageKind::Single, self.spec.kind == ImageKind::Layered);
        edges.push(self.closure(&edges));
        edges.push(self.layers());
        let mut layers = Vec::new();
        let top = if is_single { root.first().cloned().context("a single image has a root")? } else { PathBuf::new() };
        let database = self.spec.include_nix_db.then(|| self.nix_db(is_single.then_some(&*top)));
        if is_single {
            edges.extend(database.clone());
            let below = database.as_ref().map_or(top, |edge| edge.outputs[0].clone());
            let all = self.behind(&below);
            layers.push(all.outputs[0].clone());
            edges.push(all);
        } else if let Some(plan) = plan {
            for index in 0..plan.layers.len() {
                let layer = self.layer(plan, index)?;
                layers.push(layer.outputs[0].clone());
                edges.push(layer);
            }
            layers.extend(root);
            edges.extend(database.clone());
            layers.extend(database.map(|edge| edge.outputs[0].clone()));
        }
        let plan = is_layered.then(|| plan_in(self.folder));
        let image = if layers.is_empty() { None } else { Some(self.image(&layers, &edges)?) };
        let output = image.as_ref().map(|edge| edge.outputs[0].clone());
        edges.extend(image);
        Ok(BuildGraph { edges, again: self.again(plan), image: output })
    }

    /// Refuses a place that is no file or folder.
    pub fn check_place(&self) -> Result<()> {
        match self.place.path() {
            Some(_) if !self.place.is_stdout() => Ok(()),
            _ => bail!("cannot be made by rules of files: {}: expected FILE, oci:DIR or oci-archive:FILE", self.place),
        }
    }

    fn in_folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// An edge of the spec in its folder.
    fn edge(&self, stage: &'static str, outputs: &[&str]) -> Rule {
        let program = self.stages.iter().find(|(name, _)| name == stage).map(|(_, program)| program.clone());
        Rule {
            stage,
            name: stage.replace(' ', "-"),
            words: Vec::new(),
            outputs: outputs.iter().map(|name| self.in_folder(name)).collect(),
            inputs: Vec::new(),
            after: Vec::new(),
            is_steady: true,
            is_heavy: false,
            program,
            checked: Vec::new(),
        }
    }

    /// What makes the customisation layer, and what lies in the image because of it: layer files, bottom first.
    fn root_edges(&self) -> (Vec<Rule>, Vec<PathBuf>) {
        let (mut edges, mut layers) = (Vec::new(), Vec::new());
        if self.spec.run_as_root.is_some() {
            edges.extend(self.run_edges());
            layers.push(self.in_folder("run.layer.json"));
        }
        if self.spec.run_as_root.is_none() || self.spec.kind == ImageKind::Layered {
            let below = layers.first().cloned();
            let mut root = self.edge("root", &["root.layer.json", "root.tar"]);
            root.words = self.spec_words();
            root.words.extend(below.iter().flat_map(|file| ["--below".into(), file.into()]));
            root.words.extend(self.output_words(&root));
            root.inputs = self.spec_inputs();
            root.inputs.extend(below);
            layers.push(root.outputs[0].clone());
            edges.push(root);
        }
        (edges, layers)
    }

    /// What runs the root script, and what it sees of the store.
    fn run_edges(&self) -> [Rule; 2] {
        let mut closure = self.edge("closure", &["script.closure.json"]);
        "script-closure".clone_into(&mut closure.name);
        closure.words = self.spec_words();
        closure.words.extend(self.mentioned.iter().map(|path| path.as_str().into()));
        closure.words.extend(self.output_words(&closure));
        closure.checked = self.mentioned.iter().map(|path| format!("--path={path}").into()).collect();
        closure.inputs = self.spec_inputs();
        let mut run = self.edge("overlay run", &["run.layer.json", "run.tar"]);
        run.words = self.spec_words();
        run.words.extend(["--store-closure".into(), closure.outputs[0].clone().into()]);
        run.words.extend(self.output_words(&run));
        run.inputs = [self.spec_inputs(), closure.outputs.clone()].concat();
        run.is_heavy = true;
        [closure, run]
    }

    fn closure(&self, before: &[Rule]) -> Rule {
        let mut edge = self.edge("closure", &["image.closure.json"]);
        edge.words = self.spec_words();
        edge.checked = self.spec_words();
        let layers = before.iter().map(|edge| &edge.outputs[0]).filter(|file| is_layer_file(file));
        for layer in layers {
            edge.words.extend(["--layer".into(), layer.into()]);
            edge.inputs.push(layer.clone());
        }
        edge.words.push("--sizes".into());
        edge.words.extend(self.output_words(&edge));
        edge.inputs.extend(self.spec_inputs());
        edge
    }

    fn layers(&self) -> Rule {
        let mut edge = self.edge("layers", &["image.layers.json"]);
        let closure = self.in_folder("image.closure.json");
        edge.words = vec![closure.clone().into(), "--spec".into(), self.file.into()];
        edge.checked = vec!["--closure".into(), closure.clone().into(), "--spec".into(), self.file.into()];
        edge.words.extend(self.previous.iter().flat_map(|plan| ["--previous".into(), OsString::from(plan)]));
        edge.words.extend(self.output_words(&edge));
        edge.inputs = [vec![closure], self.spec_inputs()].concat();
        edge.inputs.extend(self.previous.map(Path::to_owned));
        edge
    }

    /// A layer of the store, by its key. The spec says nothing about it that is not in the command.
    fn layer(&self, plan: &Plan, index: usize) -> Result<Rule> {
        let key = plan.key(index).context("a plan has its layers")?;
        let owner = &self.spec.owner;
        let stamps = [
            ("--mtime", format!("@{}", self.spec.mtime.seconds()?)),
            ("--uid", owner.uid.to_string()),
            ("--gid", owner.gid.to_string()),
            ("--uname", owner.uname.clone()),
            ("--gname", owner.gname.clone()),
        ];
        let mut flags: Vec<OsString> = stamps.iter().map(|(flag, value)| format!("{flag}={value}").into()).collect();
        flags.extend(self.spec.xattrs.then(|| "--xattrs".into()));
        flags.extend(self.store_flags.clone());
        let name = self.name_of_layer(&key, &flags);
        let mut edge = self.edge("layer", &[&format!("layers/{name}.layer.json")]);
        edge.name = format!("layer-{name}");
        let output = self.output_words(&edge);
        edge.words = match edge.program {
            None => [vec![plan_in(self.folder).into(), "--key".into(), key.into()], flags, output].concat(),
            // What takes the place of the stage knows nothing of keys.
            Some(_) => [output, flags, plan.layers[index].iter().map(|path| path.as_str().into()).collect()].concat(),
        };
        edge.checked = plan.layers[index].iter().map(|path| format!("--path={path}").into()).collect();
        edge.inputs = plan.layers[index].iter().map(|path| self.store.locate(path.as_str())).collect();
        edge.after = vec![plan_in(self.folder)];
        edge.is_steady = false;
        Ok(edge)
    }

    /// What a layer's file is called: all that makes it is in its name, so that a file which is there is the right one.
    fn name_of_layer(&self, key: &str, flags: &[OsString]) -> String {
        let program = self.stages.iter().filter(|(stage, _)| stage == "layer").map(|(_, program)| program);
        let words: Vec<&[u8]> = flags.iter().chain(program).map(|word| word.as_encoded_bytes()).collect();
        Digest::of(&[key.as_bytes(), b"\0", &words.join(&0)].concat()).hex()[..key.len()].to_owned()
    }

    fn behind(&self, below: &Path) -> Rule {
        let mut edge = self.edge("layer", &["all.layer.json", "all.tar"]);
        let plan = plan_in(self.folder);
        edge.words = vec![plan.clone().into(), "--behind".into(), below.into(), "--spec".into(), self.file.into()];
        edge.words.extend(self.store_flags.clone());
        edge.words.extend(self.output_words(&edge));
        edge.inputs =
            [vec![plan, below.to_owned(), below.with_extension("").with_extension("tar")], self.spec_inputs()].concat();
        edge
    }

    fn nix_db(&self, behind: Option<&Path>) -> Rule {
        let mut edge = self.edge("nix-db", &["nix-db.layer.json", "nix-db.tar"]);
        let closure = self.in_folder("image.closure.json");
        edge.words = vec![closure.clone().into(), "--spec".into(), self.file.into()];
        edge.words.extend(self.store_flags.clone());
        edge.words.extend(behind.iter().flat_map(|file| ["--behind".into(), OsString::from(file)]));
        edge.words.extend(self.output_words(&edge));
        edge.inputs = [vec![closure], self.spec_inputs()].concat();
        edge.inputs.extend(behind.map(Path::to_owned));
        edge
    }

    fn image(&self, layers: &[PathBuf], before: &[Rule]) -> Result<Rule> {
        let mut edge = self.edge("image", &[]);
        edge.outputs = self.place.files();
        edge.words = self.spec_words();
        edge.words.extend(layers.iter().map(OsString::from));
        edge.words.extend(["-o".into(), self.place.to_word()]);
        edge.checked = vec!["--place".into(), self.place.to_word()];
        edge.checked.extend(layers.iter().flat_map(|layer| ["--layer".into(), OsString::from(layer)]));
        edge.inputs = layers.to_vec();
        let tars = before.iter().filter(|edge| layers.contains(&edge.outputs[0]));
        edge.inputs.extend(tars.flat_map(|edge| edge.outputs[1..].to_vec()));
        edge.inputs.extend(self.spec_inputs());
        edge.is_steady = false;
        Ok(edge)
    }

    fn again(&self, plan: Option<PathBuf>) -> Rule {
        let mut edge = self.edge("again", &[]);
        edge.words.clone_from(&self.again);
        edge.outputs = vec![self.graph.to_owned()];
        edge.inputs = self.spec_inputs();
        edge.inputs.extend(plan);
        edge.program = None;
        edge
    }

    /// The spec and the store, as flags.
    fn spec_words(&self) -> Vec<OsString> {
        [vec!["--spec".into(), self.file.into()], self.store_flags.clone()].concat()
    }

    /// `-o` and `--blob` for what an edge makes.
    fn output_words(&self, edge: &Rule) -> Vec<OsString> {
        let flags = ["-o", "--blob"].into_iter().zip(&edge.outputs);
        // A name that begins with a word and a colon is that of a file.
        flags.flat_map(|(flag, path)| [flag.into(), ImageTarget::Archive(path.clone()).to_word()]).collect()
    }
}

fn is_layer_file(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b".layer.json")
}
