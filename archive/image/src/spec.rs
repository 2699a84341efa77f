//! image.json, `layerstone/image`: what an image is to be, by dockerTools' argument names.
//!
//! See FORMAT.md beside this crate. The spec is written by people: `format` and `version` are optional, and a key that
//! is not known is an error that names the nearest one.

use crate::architecture::{go_architecture, host_architecture};
use crate::fields::{Fields, string};
use crate::{Error, ImageFacts, Reference, Result, Time};
use layerstone_layer::Owner;
use layerstone_stage::{Error as StageError, read_input};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Format name of an image spec.
pub const FORMAT: &str = "layerstone/image";
/// Version of the format; a spec of another one must be looked at by whoever wrote it.
pub const VERSION: u64 = 1;
/// How many layers an image has at most unless told otherwise: dockerTools' default, leaving room below
/// [`LAYERS_OF_DOCKER`] for images built on top.
pub const DEFAULT_MAX_LAYERS: usize = 100;
/// How many layers docker can stack (moby, layer/layer_store.go, `maxLayerDepth` 128, less one).
pub const LAYERS_OF_DOCKER: usize = 127;
/// The strategy that layeringPipeline belongs to.
const PIPELINE: &str = "pipeline";
/// What made a layer, for the history.
const CREATED_BY: &str = "layerstone";

/// The keys, for telling which one a misspelt one is nearest to.
const KEYS: [&str; 23] = [
    "format",
    "version",
    "name",
    "tag",
    "contents",
    "config",
    "created",
    "mtime",
    "maxLayers",
    "minLayerSize",
    "strategy",
    "layeringPipeline",
    "extraCommands",
    "extraCommandsFile",
    "uid",
    "gid",
    "uname",
    "gname",
    "architecture",
    "variant",
    "includeStorePaths",
    "graph",
    "db",
];

/// What an image is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// What the image is called; lower-cased in its reference.
    pub name: String,
    /// Its tag; none for the first digits of the image ID.
    pub tag: Option<String>,
    /// Paths whose contents are merged into the root of the image, the first one wins.
    pub contents: Vec<PathBuf>,
    /// The execution parameters (OCI image-spec, config.md, "config").
    pub config: Map<String, Value>,
    /// When the image was made.
    pub created: Time,
    /// Modification time of all files in it.
    pub mtime: Time,
    /// How many layers it may have, all together.
    pub max_layers: usize,
    /// How many bytes of NARs a layer of store paths holds at least, unless it is the only one.
    pub min_layer_size: u64,
    /// How store paths are divided into layers; none for the default.
    pub layering: Option<Layering>,
    /// What runs in the customisation layer.
    pub script: Option<Script>,
    /// Owner of the store paths.
    pub owner: Owner,
    /// Go's name of the architecture.
    pub architecture: String,
    /// Variant of the architecture, such as `v7`.
    pub variant: Option<String>,
    /// Whether the closure of the contents is in the image.
    pub include_store_paths: bool,
    /// Where references come from; none for the default.
    pub references: Option<References>,
}

/// Where references come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum References {
    /// References graphs, merged.
    Graphs(Vec<PathBuf>),
    /// The database of a store.
    Database(PathBuf),
    /// The files of the store.
    Scan,
}

/// How store paths are divided into layers, as it is written: what the words mean is known to whoever plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layering {
    /// The strategy of this name.
    Strategy(String),
    /// A list of operations.
    Pipeline(Value),
    /// The file that holds such a list.
    PipelineFile(PathBuf),
}

/// Commands for bash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// The commands themselves.
    Text(String),
    /// The file that holds them.
    File(PathBuf),
}

impl Script {
    /// The commands.
    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Script::Text(text) => Ok(text.clone().into_bytes()),
            Script::File(path) => Ok(std::fs::read(path).map_err(StageError::io("read", path))?),
        }
    }
}

impl Spec {
    /// An image of this name, everything else at its default.
    pub fn new(name: &str) -> Spec {
        Spec {
            name: name.to_owned(),
            tag: None,
            contents: Vec::new(),
            config: Map::new(),
            created: Time::one_second(),
            mtime: Time::one_second(),
            max_layers: DEFAULT_MAX_LAYERS,
            min_layer_size: 0,
            layering: None,
            script: None,
            owner: Owner::root(),
            architecture: host_architecture().to_owned(),
            variant: None,
            include_store_paths: true,
            references: None,
        }
    }

    /// Reads an image.json; its relative paths are relative to its folder, or the current one for `-`, standard input.
    pub fn read(path: &Path) -> Result<Spec> {
        let folder = path.parent().unwrap_or(Path::new(""));
        Spec::parse(&read_input(path)?, &path.display().to_string(), folder)
    }

    /// Reads an image.json in memory; `name` stands in messages, `folder` before relative paths.
    pub fn parse(bytes: &[u8], name: &str, folder: &Path) -> Result<Spec> {
        let mut fields = Fields::parse(bytes, FORMAT, name)?;
        fields.optional("format", "\"layerstone/image\"", |value| (value == FORMAT).then_some(()))?;
        fields.optional("version", "1", |value| (*value == VERSION).then_some(()))?;
        let name = fields.required("name", "a string", string)?;
        let spec = Spec::take(&mut fields, Spec::new(&name), folder)?;
        if let Some(key) = fields.left_over() {
            let nearest = nearest_key(key);
            return Err(fields.error(key, format!("unknown key, the nearest known one is {nearest:?}")).into());
        }
        spec.reference().map_err(|e| fields.error("name and tag", e))?;
        Ok(spec)
    }

    /// Takes all keys but the name; what is absent stays as in `default`.
    fn take(fields: &mut Fields, default: Spec, folder: &Path) -> Result<Spec> {
        let in_folder = |path: String| folder.join(path);
        let (architecture, told_variant) = architecture(fields)?;
        Ok(Spec {
            tag: fields.optional("tag", "a string or null", string)?,
            contents: fields
                .optional("contents", "a path or a list of paths", paths)?
                .unwrap_or_default()
                .into_iter()
                .map(in_folder)
                .collect(),
            config: fields
                .optional("config", "an object or null", |value| value.as_object().cloned())?
                .unwrap_or_default(),
            created: time(fields, "created", default.created)?,
            mtime: time(fields, "mtime", default.mtime)?,
            max_layers: fields.defaulted("maxLayers", default.max_layers, "a whole number above 0", |value| {
                value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0)
            })?,
            min_layer_size: fields.defaulted("minLayerSize", 0, "a number of bytes", Value::as_u64)?,
            layering: layering(fields, folder)?,
            script: script(fields, folder)?,
            owner: Owner {
                uid: fields.defaulted("uid", default.owner.uid, "a user id", id)?,
                gid: fields.defaulted("gid", default.owner.gid, "a group id", id)?,
                uname: fields.defaulted("uname", default.owner.uname, "a user name", string)?,
                gname: fields.defaulted("gname", default.owner.gname, "a group name", string)?,
            },
            architecture: architecture.unwrap_or(default.architecture),
            variant: fields.optional("variant", "a string or null", string)?.or(told_variant).filter(|v| !v.is_empty()),
            include_store_paths: fields.defaulted("includeStorePaths", true, "true or false", Value::as_bool)?,
            references: references(fields, folder)?,
            name: default.name,
        })
    }

    /// Sets the architecture by any of its names, and the variant if the name tells one.
    pub fn set_architecture(&mut self, name: &str) -> Result<()> {
        let (architecture, variant) = go_architecture(name)?;
        self.architecture = architecture.to_owned();
        self.variant = variant.map(str::to_owned);
        Ok(())
    }

    /// What the image is called, checked.
    pub fn reference(&self) -> Result<Reference> {
        Reference::new(&self.name, self.tag.as_deref())
    }

    /// How many layers are left for store paths, beside the customisation layer and those of a base: at least 1.
    pub fn store_layers(&self, base_layers: usize) -> Result<usize> {
        let left = self.max_layers.checked_sub(1 + base_layers).filter(|left| *left > 0);
        left.ok_or(Error::MaxLayers { max_layers: self.max_layers, base_layers })
    }

    /// What the image config says.
    pub fn facts(&self) -> Result<ImageFacts> {
        Ok(ImageFacts {
            created: self.created.rfc3339()?,
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
            config: Value::Object(self.config.clone()),
            created_by: Some(CREATED_BY),
        })
    }

    /// What is allowed but likely wrong, for the user to be told.
    pub fn warnings(&self) -> Vec<String> {
        let too_many = self.max_layers > LAYERS_OF_DOCKER;
        let text =
            format!("maxLayers is {}, docker loads images of at most {LAYERS_OF_DOCKER} layers", self.max_layers);
        too_many.then_some(text).into_iter().collect()
    }
}

fn architecture(fields: &mut Fields) -> Result<(Option<String>, Option<String>)> {
    let Some(name) = fields.optional("architecture", "a string or null", string)? else { return Ok((None, None)) };
    let (go, variant) = go_architecture(&name).map_err(|e| fields.error("architecture", e))?;
    Ok((Some(go.to_owned()), variant.map(str::to_owned)))
}

fn time(fields: &mut Fields, key: &str, default: Time) -> Result<Time> {
    let expected = "\"now\" or a time such as \"1970-01-01T00:00:01Z\" (RFC 3339)";
    Ok(fields.defaulted(key, default, expected, |value| value.as_str()?.parse().ok())?)
}

fn script(fields: &mut Fields, folder: &Path) -> Result<Option<Script>> {
    let text = fields.optional("extraCommands", "a string", string)?.filter(|text| !text.is_empty());
    let file = fields.optional("extraCommandsFile", "a path", string)?;
    match (text, file) {
        (Some(_), Some(_)) => {
            Err(fields.error("extraCommands", "found extraCommandsFile too, expected one of them").into())
        }
        (text, file) => Ok(text.map(Script::Text).or(file.map(|file| Script::File(folder.join(file))))),
    }
}

/// A pipeline is a strategy by itself, so that `strategy` need not name it.
fn layering(fields: &mut Fields, folder: &Path) -> Result<Option<Layering>> {
    let strategy = fields.optional("strategy", "a string or null", string)?;
    let pipeline = fields.optional("layeringPipeline", "a list of operations or a path", |value| match value {
        Value::Array(_) => Some(Layering::Pipeline(value.clone())),
        _ => Some(Layering::PipelineFile(folder.join(string(value)?))),
    })?;
    match (strategy, pipeline) {
        (Some(name), Some(_)) if name != PIPELINE => Err(fields
            .error("strategy", format!("found {name:?} and layeringPipeline too, expected one of them"))
            .into()),
        (Some(name), None) => Ok(Some(Layering::Strategy(name))),
        (_, pipeline) => Ok(pipeline),
    }
}

fn references(fields: &mut Fields, folder: &Path) -> Result<Option<References>> {
    let graph = fields.optional("graph", "a path or null", string)?.map(|path| folder.join(path));
    let database = fields.optional("db", "a path or null", string)?.map(|path| folder.join(path));
    match (graph, database) {
        (Some(_), Some(_)) => Err(fields.error("graph", "found db too, expected one of them").into()),
        (graph, database) => {
            Ok(graph.map(|path| References::Graphs(vec![path])).or(database.map(References::Database)))
        }
    }
}

fn paths(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(string).collect(),
        _ => Some(vec![string(value)?]),
    }
}

fn id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// The key that takes the fewest edits, swaps counted as one; among equals the first in [`KEYS`].
fn nearest_key(key: &str) -> &'static str {
    let by_distance = |known: &&&str| strsim::damerau_levenshtein(key, known);
    KEYS.iter().min_by_key(by_distance).expect("there are keys")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(spec: Value) -> Result<Spec> {
        Spec::parse(spec.to_string().as_bytes(), "image.json", Path::new("/specs"))
    }

    #[track_caller]
    fn check_error(spec: Value, expected: &str) {
        let error = parse(spec).unwrap_err().to_string();
        assert_eq!(error, format!("malformed layerstone/image: image.json: {expected}"));
    }

    #[test]
    fn defaults() {
        let spec = parse(json!({"name": "Tool"})).unwrap();
        assert_eq!(spec, Spec::new("Tool"));
        assert_eq!(spec.reference().unwrap().name(), "tool");
        assert_eq!(spec.store_layers(0).unwrap(), 99);
        assert!(spec.warnings().is_empty());
        let nulls = json!({"name": "Tool", "format": FORMAT, "version": 1, "tag": null, "contents": null,
            "config": null, "graph": null, "db": null, "extraCommands": "", "architecture": null, "variant": ""});
        assert_eq!(parse(nulls).unwrap(), spec);
    }

    #[test]
    fn paths_are_relative_to_the_folder() {
        let spec = parse(json!({"name": "t", "contents": ["./result", "/nix/store/x"], "graph": "g.json",
            "extraCommandsFile": "setup.sh"}));
        let spec = spec.unwrap();
        assert_eq!(spec.contents, ["/specs/./result", "/nix/store/x"].map(PathBuf::from));
        assert_eq!(spec.references, Some(References::Graphs(vec![PathBuf::from("/specs/g.json")])));
        assert_eq!(spec.script, Some(Script::File(PathBuf::from("/specs/setup.sh"))));
        let spec = parse(json!({"name": "t", "db": "db.sqlite"})).unwrap();
        assert_eq!(spec.references, Some(References::Database(PathBuf::from("/specs/db.sqlite"))));
        assert_eq!(parse(json!({"name": "t", "contents": "x"})).unwrap().contents, [Path::new("/specs/x")]);
    }

    #[test]
    fn layering() {
        let layering = |value: Value| parse(value).unwrap().layering;
        let operations = json!([["popularity_contest"]]);
        assert_eq!(layering(json!({"name": "t", "strategy": "size"})), Some(Layering::Strategy("size".to_owned())));
        for strategy in [Value::Null, "pipeline".into()] {
            let spec = |pipeline: &Value| json!({"name": "t", "strategy": strategy, "layeringPipeline": pipeline});
            assert_eq!(layering(spec(&operations)), Some(Layering::Pipeline(operations.clone())));
            let file = Layering::PipelineFile(PathBuf::from("/specs/p.json"));
            assert_eq!(layering(spec(&"p.json".into())), Some(file));
        }
        check_error(
            json!({"name": "t", "strategy": "size", "layeringPipeline": "p.json"}),
            "strategy: found \"size\" and layeringPipeline too, expected one of them",
        );
        check_error(
            json!({"name": "t", "layeringPipeline": {}}),
            "layeringPipeline: found an object, expected a list of operations or a path",
        );
    }

    #[test]
    fn architectures() {
        let spec = |value: Value| parse(value).map(|spec| (spec.architecture, spec.variant)).unwrap();
        let arm = |variant: Option<&str>| ("arm".to_owned(), variant.map(str::to_owned));
        assert_eq!(spec(json!({"name": "t", "architecture": "armv7l-linux"})), arm(Some("v7")));
        assert_eq!(spec(json!({"name": "t", "architecture": "armv7l", "variant": "v6"})), arm(Some("v6")));
        assert_eq!(spec(json!({"name": "t", "architecture": "arm"})), arm(None));
        let mut set = Spec::new("t");
        set.set_architecture("aarch64-linux").unwrap();
        assert_eq!((set.architecture.as_str(), set.variant), ("arm64", None));
    }

    #[test]
    fn errors_name_the_key() {
        check_error(json!([]), "found a list, expected an object");
        check_error(json!({}), "name: missing, expected a string");
        check_error(
            json!({"name": "t", "maxlayers": 5}),
            "maxlayers: unknown key, the nearest known one is \"maxLayers\"",
        );
        check_error(
            json!({"name": "t", "contnets": []}),
            "contnets: unknown key, the nearest known one is \"contents\"",
        );
        check_error(json!({"name": "t", "uid": "0"}), "uid: found the string \"0\", expected a user id");
        check_error(
            json!({"name": "t", "maxLayers": 0}),
            "maxLayers: found the number 0, expected a whole number above 0",
        );
        check_error(
            json!({"name": "t", "minLayerSize": "5M"}),
            "minLayerSize: found the string \"5M\", expected a number of bytes",
        );
        check_error(json!({"name": "t", "maxLayers": null}), "maxLayers: found null, expected a whole number above 0");
        check_error(
            json!({"name": "t", "contents": [1]}),
            "contents: found a list, expected a path or a list of paths",
        );
        check_error(
            json!({"name": "t", "includeStorePaths": 1}),
            "includeStorePaths: found the number 1, expected true or false",
        );
        check_error(json!({"name": "t", "config": "x"}), "config: found the string \"x\", expected an object or null");
        check_error(
            json!({"name": "t", "created": "today"}),
            "created: found the string \"today\", expected \"now\" or a time such as \"1970-01-01T00:00:01Z\" (RFC 3339)",
        );
        check_error(
            json!({"name": "t", "extraCommands": "true", "extraCommandsFile": "x"}),
            "extraCommands: found extraCommandsFile too, expected one of them",
        );
        check_error(
            json!({"name": "t", "graph": "g.json", "db": "db.sqlite"}),
            "graph: found db too, expected one of them",
        );
        check_error(
            json!({"name": "t", "format": "layerstone/layers"}),
            "format: found the string \"layerstone/layers\", expected \"layerstone/image\"",
        );
        check_error(json!({"name": "t", "version": 2}), "version: found the number 2, expected 1");
        let error = parse(json!({"name": "a b"})).unwrap_err().to_string();
        assert!(error.contains("image.json: name and tag: not an image reference: \"a b\""), "{error}");
    }

    #[test]
    fn layers_left() {
        let limit = |max_layers, base| Spec { max_layers, ..Spec::new("t") }.store_layers(base);
        assert_eq!(limit(2, 0).unwrap(), 1);
        assert_eq!(limit(10, 8).unwrap(), 1);
        assert_eq!(
            limit(10, 9).unwrap_err().to_string(),
            "no layer left for store paths: maxLayers 10 - 1 customisation layer - 9 layers of the base image = 0, \
             expected at least 1"
        );
        assert!(limit(1, 0).is_err() && limit(1, usize::MAX - 1).is_err());
    }

    #[test]
    fn more_layers_than_docker_takes() {
        let warnings = |max_layers| Spec { max_layers, ..Spec::new("t") }.warnings();
        assert!(warnings(127).is_empty());
        assert_eq!(warnings(128), ["maxLayers is 128, docker loads images of at most 127 layers"]);
    }

    /// The example of FORMAT.md, the first fenced block.
    #[test]
    fn worked_example() {
        let text = include_str!("../FORMAT.md").split("```").nth(1).unwrap();
        let text = text.strip_prefix("json\n").unwrap();
        let spec = Spec::parse(text.as_bytes(), "image.json", Path::new("/specs")).unwrap();
        assert_eq!(spec.name, "Hello");
        assert_eq!(spec.reference().unwrap().for_image(&layerstone_stage::Digest::of(b"")), "hello:1.0");
        assert_eq!(spec.contents, [Path::new("/specs/./result")]);
        assert_eq!(spec.config["Cmd"], json!(["/bin/hello"]));
        assert_eq!(spec.created, Time::Now);
        assert_eq!(spec.mtime, Time::one_second());
        assert_eq!(spec.store_layers(0).unwrap(), 39);
        assert_eq!(spec.script, Some(Script::Text("mkdir -m 1777 tmp".to_owned())));
        assert_eq!((spec.owner.uid, spec.owner.uname.as_str()), (1000, "app"));
        assert_eq!((spec.architecture.as_str(), spec.variant.as_deref()), ("amd64", None));
        assert!(spec.include_store_paths);
        assert_eq!(spec.references, Some(References::Graphs(vec![PathBuf::from("/specs/graph.json")])));
    }

    /// FORMAT.md names every key that the parser takes, and no other.
    #[test]
    fn format_page_is_complete() {
        let page = include_str!("../FORMAT.md");
        // What follows are the answers of `inspect --diff`.
        let spec = page.split("inspect --diff").next().unwrap();
        let rows = spec.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut rows: Vec<_> = rows.collect();
        let mut keys = KEYS.to_vec();
        rows.sort_unstable();
        keys.sort_unstable();
        assert_eq!(rows, keys);
    }
}
