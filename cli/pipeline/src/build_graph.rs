//! The stages of an image as rules of a build graph, for whatever runs them: which command makes which files of which.
//!
//! Layers are known once there is a plan. Each is named after its contents, so that one that moves is the same file.
//! What writes the graph is a rule of it too: it runs again when the plan or the spec changes.

mod flags;
mod foreign;
mod input;
pub mod make;
pub mod ninja;
pub(crate) mod word;

pub(crate) use word::push_backslashes;
pub use word::quoted;

use crate::error::Context;
use crate::report::title_of_paths;
use crate::{ImageTarget, Result};
use flags::{flag, is_layer_file, output_words};
use layerstone_layering::Plan;
use layerstone_oci::Place;
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
    /// Where the image goes: an archive, or the directory of an OCI layout.
    pub target: &'a ImageTarget,
    /// Where everything between goes.
    pub directory: &'a Path,
    /// The command line that runs the stages.
    pub program: Vec<u8>,
    /// Whether that is this program, and no other one that must be looked after.
    pub is_ours: bool,
    /// Programs that replace stages.
    pub stages: &'a [(String, OsString)],
    /// Flags of the store.
    pub store_flags: Vec<OsString>,
    /// The base, where the spec names one whose name may mean another image tomorrow: with its digest.
    pub base: Option<Place>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The stage.
    pub stage: &'static str,
    /// What it is called where it must have a name of its own.
    pub name: String,
    /// What it is called for people.
    pub title: String,
    /// The words of the command, but for what runs stages; those that a program which replaces a stage does not
    /// get are not among them.
    pub words: Vec<OsString>,
    /// What it makes.
    pub outputs: Vec<PathBuf>,
    /// What it is made of.
    pub inputs: Vec<PathBuf>,
    /// What must exist first, and decides nothing.
    pub after: Vec<PathBuf>,
    /// Whether its outputs often stay as they were.
    pub is_steady: bool,
    /// Whether it takes a machine's worth of memory, so that there is only one at a time.
    pub is_heavy: bool,
    /// What replaces the stage.
    pub program: Option<OsString>,
    /// What `check-stage` must know besides to check what that program wrote.
    pub checked: Vec<OsString>,
}

/// The rules of an image.
pub struct BuildGraph {
    /// In the order in which they run.
    pub rules: Vec<Rule>,
    /// What writes the graph.
    pub again: Rule,
    /// The image's file, if the graph goes so far: without a plan the layers are not known.
    pub image: Option<PathBuf>,
}

impl BuildGraph {
    /// Whether both tools read all names in a depfile as they are meant: ninja takes few characters there
    /// (depfile_parser.in.cc), and for make it is one more makefile. Without depfiles the rules say all that is known
    /// beforehand.
    pub fn has_plain_names(&self) -> bool {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b" #$+,/_.~{}@!-".contains(byte);
        let mut files = self.rules.iter().flat_map(|rule| rule.outputs.iter().chain(&rule.inputs));
        // A blank before the end of a line is gone.
        let is_plain = |name: &[u8]| name.iter().all(is_plain) && !name.ends_with(b" ");
        files.all(|path| is_plain(path.as_os_str().as_encoded_bytes()))
    }
}

/// Where the plan is, in a directory.
pub fn plan_in(directory: &Path) -> PathBuf {
    directory.join("image.layers.json")
}

impl GraphInput<'_> {
    /// The graph, as far as a plan says what the layers are.
    pub fn graph(&self, plan: Option<&Plan>) -> Result<BuildGraph> {
        let (mut rules, root) = self.root_rules();
        let (is_single, is_layered) = (self.spec.kind == ImageKind::Single, self.spec.kind == ImageKind::Layered);
        rules.push(self.closure(&rules));
        rules.push(self.layers());
        let mut layers = Vec::new();
        let top = if is_single { root.first().cloned().context("a single image has a root")? } else { PathBuf::new() };
        let database = self.spec.include_nix_db.then(|| self.nix_db(is_single.then_some(&*top)));
        if is_single {
            rules.extend(database.clone());
            let below = database.as_ref().map_or(top, |rule| rule.outputs[0].clone());
            let all = self.behind(&below);
            layers.push(all.outputs[0].clone());
            rules.push(all);
        } else if let Some(plan) = plan {
            layers.extend(self.made_layers());
            for index in 0..plan.layers.len() {
                let layer = self.layer(plan, index)?;
                layers.push(layer.outputs[0].clone());
                rules.push(layer);
            }
            layers.extend(root);
            rules.extend(database.clone());
            layers.extend(database.map(|rule| rule.outputs[0].clone()));
        }
        let plan = is_layered.then(|| plan_in(self.directory));
        let image = (!layers.is_empty()).then(|| self.image(&layers, &rules));
        let output = image.as_ref().map(|rule| rule.outputs[0].clone());
        rules.extend(image);
        Ok(BuildGraph { rules, again: self.again(plan), image: output })
    }

    /// Refuses a target that is no file or directory.
    pub fn check_target(&self) -> Result<()> {
        match self.target.path() {
            Some(_) if !self.target.is_stdout() => Ok(()),
            _ => bail!("cannot be made by rules of files: {}: expected FILE, oci:DIR or oci-archive:FILE", self.target),
        }
    }

    fn in_directory(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A rule of the spec that makes files of its directory: these words, and behind them the outputs.
    fn rule(&self, stage: &'static str, outputs: &[&str], words: Vec<OsString>, inputs: Vec<PathBuf>) -> Rule {
        let outputs: Vec<PathBuf> = outputs.iter().map(|name| self.in_directory(name)).collect();
        Rule {
            stage,
            name: stage.replace(' ', "-"),
            title: self.title(stage),
            words: [words, output_words(&outputs)].concat(),
            outputs,
            inputs,
            is_steady: true,
            program: self.stages.iter().find(|(name, _)| name == stage).map(|(_, program)| program.clone()),
            ..Rule::default()
        }
    }

    /// What the rule of a stage is called for people.
    fn title(&self, stage: &str) -> String {
        let what = match stage {
            "root" => "customisation layer of",
            "layers" => "plan of",
            "layer" => "layer of",
            "overlay run" => "root script of",
            "nix-db" => "Nix database of",
            "again" => "rules of",
            "image" => "image",
            _ => "closure of",
        };
        format!("{what} {}", self.spec.name)
    }

    /// What makes the customisation layer, and what lies in the image because of it: layer files, bottom first.
    fn root_rules(&self) -> (Vec<Rule>, Vec<PathBuf>) {
        let (mut rules, mut layers) = (Vec::new(), Vec::new());
        if self.spec.run_as_root.is_some() {
            rules.extend(self.run_rules());
            layers.push(self.in_directory("run.layer.json"));
        }
        for (index, tar) in self.spec.tar_layers.iter().enumerate() {
            let outputs = [format!("tar-{index}.layer.json"), format!("tar-{index}.tar")];
            let rule = self.rule(
                "layer",
                &outputs.each_ref().map(|name| &**name),
                flag("--tar", Some(tar)),
                vec![tar.clone()],
            );
            layers.push(rule.outputs[0].clone());
            // What replaces the stage makes layers of store paths.
            let title = format!("layer of {}", tar.display());
            rules.push(Rule { name: format!("tar-{index}"), title, program: None, ..rule });
        }
        for (index, name) in self.spec.copy_layers().into_iter().enumerate() {
            let mut words = self.words_over(&layers);
            words.push(format!("--copy-layer={name}").into());
            let inputs = [self.spec_inputs(), layers.clone()].concat();
            let outputs = [format!("copy-{index}.layer.json"), format!("copy-{index}.tar")];
            let rule = self.rule("root", &outputs.each_ref().map(|name| &**name), words, inputs);
            layers.push(rule.outputs[0].clone());
            let title = format!("copied files {name} of {}", self.spec.name);
            rules.push(Rule { name: format!("copy-{index}"), title, ..rule });
        }
        if let Some(file) = &self.spec.root_layer {
            layers.push(file.clone());
        } else if self.spec.run_as_root.is_none() || self.spec.kind == ImageKind::Layered {
            let inputs = [self.spec_inputs(), layers.clone()].concat();
            let root = self.rule("root", &["root.layer.json", "root.tar"], self.words_over(&layers), inputs);
            layers.push(root.outputs[0].clone());
            rules.push(root);
        }
        (rules, layers)
    }

    /// What runs the root script, and what it sees of the store.
    fn run_rules(&self) -> [Rule; 2] {
        let mentioned = self.mentioned.iter().map(|path| path.as_str().into()).collect();
        let words = [self.spec_words(), mentioned].concat();
        let closure = Rule {
            name: "script-closure".to_owned(),
            title: format!("closure of the root script of {}", self.spec.name),
            checked: self.mentioned.iter().map(|path| format!("--path={path}").into()).collect(),
            ..self.rule("closure", &["script.closure.json"], words, self.spec_inputs())
        };
        let words = [self.words_on_base(), flag("--store-closure", closure.outputs.first())].concat();
        let inputs = [self.spec_inputs(), closure.outputs.clone()].concat();
        let run = self.rule("overlay run", &["run.layer.json", "run.tar"], words, inputs);
        [closure, Rule { is_heavy: true, ..run }]
    }

    fn closure(&self, before: &[Rule]) -> Rule {
        let layers = before.iter().map(|rule| &rule.outputs[0]).filter(|file| is_layer_file(file));
        let mut words = self.spec_words();
        words.extend(layers.clone().flat_map(|layer| flag("--layer", Some(layer))));
        words.push("--sizes".into());
        let inputs = layers.cloned().chain(self.spec_inputs()).collect();
        Rule { checked: self.spec_words(), ..self.rule("closure", &["image.closure.json"], words, inputs) }
    }

    fn layers(&self) -> Rule {
        let closure = self.in_directory("image.closure.json");
        let spec = flag("--spec", Some(self.file));
        let previous = flag("--previous", self.previous);
        let words = [vec![closure.clone().into()], spec.clone(), self.base_words(), previous].concat();
        let checked = [flag("--closure", Some(&closure)), spec].concat();
        let mut inputs = [vec![closure], self.spec_inputs()].concat();
        inputs.extend(self.previous.map(Path::to_owned));
        Rule { checked, ..self.rule("layers", &["image.layers.json"], words, inputs) }
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
        let inputs = plan.layers[index].iter().map(|path| self.store.locate(path.as_str())).collect();
        let mut rule = self.rule("layer", &[&format!("layers/{name}.layer.json")], Vec::new(), inputs);
        rule.name = format!("layer-{name}");
        rule.title = format!("layer {index}: {}", title_of_paths(&plan.layers[index]));
        rule.words = match rule.program {
            None => [vec![plan_in(self.directory).into(), "--key".into(), key.into()], flags, rule.words].concat(),
            // What replaces the stage knows nothing of keys.
            Some(_) => {
                [rule.words, flags, plan.layers[index].iter().map(|path| path.as_str().into()).collect()].concat()
            }
        };
        rule.checked = plan.layers[index].iter().map(|path| format!("--path={path}").into()).collect();
        rule.after = vec![plan_in(self.directory)];
        rule.is_steady = false;
        Ok(rule)
    }

    /// What a layer's file is called: all that makes it is in its name, so that a file which exists is the right one.
    fn name_of_layer(&self, key: &str, flags: &[OsString]) -> String {
        let program = self.stages.iter().filter(|(stage, _)| stage == "layer").map(|(_, program)| program);
        let words: Vec<&[u8]> = flags.iter().chain(program).map(|word| word.as_encoded_bytes()).collect();
        Digest::of(&[key.as_bytes(), b"\0", &words.join(&0)].concat()).hex()[..key.len()].to_owned()
    }

    fn behind(&self, below: &Path) -> Rule {
        let plan = plan_in(self.directory);
        let flags = [flag("--behind", Some(below)), flag("--spec", Some(self.file))].concat();
        let words = [vec![plan.clone().into()], flags, self.store_flags.clone(), self.base_words()].concat();
        let tar = below.with_extension("").with_extension("tar");
        let inputs = [vec![plan, below.to_owned(), tar], self.spec_inputs()].concat();
        self.rule("layer", &["all.layer.json", "all.tar"], words, inputs)
    }

    fn nix_db(&self, behind: Option<&Path>) -> Rule {
        let closure = self.in_directory("image.closure.json");
        let words = [vec![closure.clone().into()], self.words_on_base(), flag("--behind", behind)].concat();
        let mut inputs = [vec![closure], self.spec_inputs()].concat();
        inputs.extend(behind.map(Path::to_owned));
        self.rule("nix-db", &["nix-db.layer.json", "nix-db.tar"], words, inputs)
    }

    fn image(&self, layers: &[PathBuf], before: &[Rule]) -> Rule {
        let files = layers.iter().map(OsString::from).collect();
        let words = [self.words_on_base(), files, vec!["-o".into(), self.target.to_word()]].concat();
        let tars = before.iter().filter(|rule| layers.contains(&rule.outputs[0])).flat_map(|rule| &rule.outputs[1..]);
        let inputs = layers.iter().chain(tars).cloned().chain(self.spec_inputs()).collect();
        let mut checked = vec!["--place".into(), self.target.to_word()];
        checked.extend(layers.iter().flat_map(|layer| flag("--layer", Some(layer))));
        let outputs = self.target.files();
        Rule { outputs, checked, is_steady: false, ..self.rule("image", &[], words, inputs) }
    }

    fn again(&self, plan: Option<PathBuf>) -> Rule {
        let inputs = self.spec_inputs().into_iter().chain(plan).collect();
        let rule = self.rule("again", &[], self.again.clone(), inputs);
        Rule { outputs: vec![self.graph.to_owned()], ..rule }
    }
}
