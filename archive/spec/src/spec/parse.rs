//! Parses an image.json key by key; an error says what was found and what was expected.

use super::config::config_key;
use super::faults::Faults;
use super::keys::{self as key, Key, nearest_key};
use super::{
    CopyEntry, DEFAULT_DISK_SIZE, DEFAULT_MAX_LAYERS, DEFAULT_VM_MEMORY, Helper, ImageKind, LEAST_VM_MEMORY,
    MOST_VM_SIZE, Perm, References, RootMode, SPEC_FORMAT, SPEC_VERSION, Script, Spec, layering, root_layer,
};
use crate::{Error, Result};
use layerstone_oci::{CompressionParams, InvalidPlace, Location, Place, Time, go_architecture};
use layerstone_store::{Fields, string};
use layerstone_tar::Owner;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What stands for a name that is missing while the other keys are read.
const NAMELESS: &str = "image";

impl Spec {
    /// Reads an image.json in memory; `name` stands in messages, `directory` before relative paths.
    pub fn parse(bytes: &[u8], name: &str, directory: &Path) -> Result<Spec> {
        let mut fields = Fields::parse(bytes, SPEC_FORMAT, name)?;
        // Of another kind of file, nothing else is of interest.
        key::SPEC_FORMAT.optional(&mut fields, |value| (value == SPEC_FORMAT).then_some(()))?;
        key::SPEC_VERSION.optional(&mut fields, |value| (*value == SPEC_VERSION).then_some(()))?;
        if fields.has(key::ARCHITECTURES.name) {
            let cause = "found several images in one spec, expected one: build, push, index and serve take them";
            return Err(key::ARCHITECTURES.error(&fields, cause));
        }
        let mut faults = Faults::default();
        let called = fields.required(key::NAME.name, key::NAME.expected, string).map_err(Error::from);
        let called = faults.or(called.map(Some), None);
        let spec = Spec::take(&mut fields, called.as_deref().unwrap_or(NAMELESS), directory, &mut faults);
        for key in fields.left_over().filter(|key| !key::KEYS.iter().any(|known| known.name == *key)) {
            faults.add(fields.error(key, format!("unknown key, {}", near(key))));
        }
        if called.is_some()
            && let Err(error) = spec.reference()
        {
            faults.add(fields.error("name and tag", error));
        }
        for fault in spec.config_faults() {
            faults.add(fields.invalid(fault));
        }
        faults.finish(name)?;
        Ok(spec)
    }

    /// Takes all keys but the name; what is absent, or wrong, has its default.
    pub(super) fn take(fields: &mut Fields, name: &str, directory: &Path, faults: &mut Faults) -> Spec {
        // They look for other keys, which the others take.
        let root_layer = faults.or_default(root_layer::read(fields, directory));
        let plan = faults.or_default(layering::plan(fields, directory));
        let kind = faults.or(kind(fields), ImageKind::Layered);
        let (architecture, implied_variant) = faults.or_default(architecture(fields));
        let include_nix_db = faults.or_default(include_nix_db(fields));
        let owner = Owner::root();
        Spec {
            name: name.to_owned(),
            tag: faults.or_default(key::TAG.optional(fields, string)),
            kind,
            contents: faults.or_default(contents(fields, directory)),
            copy: faults.or_default(copies(fields, directory, kind)),
            tar_layers: faults.or_default(tar_layers(fields, directory, kind)),
            layers: faults.or_default(layering::made(fields, directory)),
            helpers: faults.or_default(helpers(fields, directory)),
            root_layer,
            root_mode: faults.or(root_mode(fields), RootMode::Links),
            replace: faults.or_default(key::REPLACE.defaulted(fields, false, Value::as_bool)),
            from_image: faults.or_default(from_image(fields, directory)),
            inherit: faults.or_default(key::INHERIT.defaulted(fields, false, Value::as_bool)),
            config: faults.or_default(config(fields)),
            annotations: faults.or_default(texts(fields, key::ANNOTATIONS)),
            created: faults.or(key::CREATED.defaulted(fields, Time::one_second(), time), Time::one_second()),
            mtime: faults.or(key::MTIME.defaulted(fields, Time::one_second(), time), Time::one_second()),
            max_layers: faults
                .or(key::MAX_LAYERS.defaulted(fields, DEFAULT_MAX_LAYERS, above_zero), DEFAULT_MAX_LAYERS),
            min_layer_size: faults.or_default(key::MIN_LAYER_SIZE.defaulted(fields, 0, Value::as_u64)),
            layering: faults.or_default(layering::read(fields, directory)),
            plan,
            compression: faults.or_default(key::COMPRESSION.optional(fields, compression)),
            script: faults.or_default(script(fields, key::EXTRA_COMMANDS, key::EXTRA_COMMANDS_FILE, directory)),
            fake_root_commands: faults.or_default(script(
                fields,
                key::FAKE_ROOT_COMMANDS,
                key::FAKE_ROOT_COMMANDS_FILE,
                directory,
            )),
            enable_fakechroot: faults.or_default(key::ENABLE_FAKECHROOT.defaulted(fields, false, Value::as_bool)),
            run_as_root: faults.or_default(script(fields, key::RUN_AS_ROOT, key::RUN_AS_ROOT_FILE, directory)),
            disk_size: faults.or(mebibytes(fields, key::DISK_SIZE, 1, DEFAULT_DISK_SIZE), DEFAULT_DISK_SIZE),
            vm_memory: faults.or(
                mebibytes(fields, key::BUILD_VM_MEMORY_SIZE, LEAST_VM_MEMORY, DEFAULT_VM_MEMORY),
                DEFAULT_VM_MEMORY,
            ),
            xattrs: faults.or_default(key::XATTRS.defaulted(fields, false, Value::as_bool)),
            perms: faults.or_default(perms(fields)),
            owner: Owner {
                uid: faults.or_default(key::UID.defaulted(fields, owner.uid, id)),
                gid: faults.or_default(key::GID.defaulted(fields, owner.gid, id)),
                uname: faults.or_default(key::UNAME.defaulted(fields, owner.uname, string)),
                gname: faults.or_default(key::GNAME.defaulted(fields, owner.gname, string)),
            },
            architecture,
            variant: faults.or_default(variant(fields)).or(implied_variant).filter(|v| !v.is_empty()),
            include_store_paths: faults.or(key::INCLUDE_STORE_PATHS.defaulted(fields, true, Value::as_bool), true),
            references: faults.or_default(references(fields, directory)),
            include_nix_db,
            nix_uid: faults.or_default(key::NIX_UID.optional(fields, id)),
            nix_gid: faults.or_default(key::NIX_GID.optional(fields, id)),
        }
    }
}

fn above_zero(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0)
}

/// What a key that is unknown may be: a key of the config by any case, or the nearest one here.
fn near(key: &str) -> String {
    match config_key(key) {
        Some(known) => format!("config.{known} is known"),
        None => format!("the nearest known one is {:?}", nearest_key(key)),
    }
}

/// What the image is made of; a single layer takes no keys that divide it.
fn kind(fields: &mut Fields) -> Result<ImageKind> {
    let kind = key::KIND.defaulted(fields, ImageKind::Layered, |value| match value.as_str()? {
        "layered" => Some(ImageKind::Layered),
        "single" => Some(ImageKind::Single),
        _ => None,
    })?;
    match key::KEYS_OF_LAYERED.into_iter().find(|key| kind == ImageKind::Single && fields.has(key.name)) {
        Some(key) => Err(key.error(fields, "found in an image of kind \"single\", expected in a layered one")),
        None => Ok(kind),
    }
}

/// The execution parameters; labels may stand beside them.
fn config(fields: &mut Fields) -> Result<Map<String, Value>> {
    let config = key::CONFIG.optional(fields, |value| value.as_object().cloned())?;
    let mut config = config.unwrap_or_default();
    let labels = texts(fields, key::LABELS)?;
    if labels.is_empty() {
        return Ok(config);
    }
    let existing = config.entry("Labels").or_insert_with(|| Value::Object(Map::new()));
    if existing.is_null() {
        *existing = Value::Object(Map::new());
    }
    match existing.as_object_mut() {
        Some(existing) => existing.extend(labels.into_iter().map(|(key, label)| (key, label.into()))),
        None => return Err(key::LABELS.error(fields, "found config.Labels that is no object, expected one")),
    }
    Ok(config)
}

/// Strings by name.
fn texts(fields: &mut Fields, key: Key) -> Result<BTreeMap<String, String>> {
    let read = |value: &Value| {
        let texts = value.as_object()?.iter().map(|(key, value)| Some((key.clone(), string(value)?)));
        texts.collect::<Option<BTreeMap<_, _>>>().filter(|texts| !texts.contains_key(""))
    };
    Ok(key.optional(fields, read)?.unwrap_or_default())
}

/// `copyToRoot` is nixpkgs' newer word for the `contents` of buildImage.
fn contents(fields: &mut Fields, directory: &Path) -> Result<Vec<PathBuf>> {
    let contents = key::CONTENTS.optional(fields, paths)?;
    let copy_to_root = key::COPY_TO_ROOT.optional(fields, paths)?;
    let paths = one_of(fields, (key::CONTENTS, contents), (key::COPY_TO_ROOT, copy_to_root))?;
    Ok(paths.unwrap_or_default().into_iter().map(|path| directory.join(path)).collect())
}

/// Tars that are layers; a single image has none.
fn tar_layers(fields: &mut Fields, directory: &Path, kind: ImageKind) -> Result<Vec<PathBuf>> {
    let tars = key::TAR_LAYERS.optional(fields, paths)?.unwrap_or_default();
    match kind {
        ImageKind::Single if !tars.is_empty() => {
            Err(key::TAR_LAYERS.error(fields, "found some in an image of kind \"single\", expected none"))
        }
        _ => Ok(tars.into_iter().map(|path| directory.join(path)).collect()),
    }
}

fn helpers(fields: &mut Fields, directory: &Path) -> Result<Vec<Helper>> {
    let values = key::HELPERS.optional(fields, |value| value.as_array().cloned())?.unwrap_or_default();
    let mut helpers: Vec<Helper> = Vec::new();
    for value in &values {
        let helper = Helper::read(value, directory).map_err(|cause| key::HELPERS.error(fields, cause))?;
        if helpers.iter().any(|other| other.name() == helper.name()) {
            return Err(key::HELPERS.error(fields, format!("{}: found twice, expected once", helper.name())));
        }
        helpers.push(helper);
    }
    Ok(helpers)
}

/// A number of MiB, at least this one.
fn mebibytes(fields: &mut Fields, key: Key, least: u64, default: u64) -> Result<u64> {
    key.defaulted(fields, default, |value| value.as_u64().filter(|n| (least..=MOST_VM_SIZE).contains(n)))
}

fn root_mode(fields: &mut Fields) -> Result<RootMode> {
    let copies = key::ROOT_MODE.defaulted(fields, false, |value| match value.as_str()? {
        "links" => Some(false),
        "copy" => Some(true),
        _ => None,
    })?;
    let keeps = key::KEEP_CONTENTS_DIRLINKS.optional(fields, Value::as_bool)?;
    match (copies, keeps) {
        (false, Some(true)) => {
            Err(key::KEEP_CONTENTS_DIRLINKS.error(fields, "found without rootMode \"copy\", expected with it"))
        }
        (false, _) => Ok(RootMode::Links),
        (true, Some(true)) => Ok(RootMode::CopyKeepingDirlinks),
        (true, _) => Ok(RootMode::Copy),
    }
}

/// Without a database there is nothing to own.
fn include_nix_db(fields: &mut Fields) -> Result<bool> {
    let include = key::INCLUDE_NIX_DB.defaulted(fields, false, Value::as_bool)?;
    match [key::NIX_UID, key::NIX_GID].into_iter().find(|key| !include && fields.has(key.name)) {
        Some(key) => Err(key.error(fields, "found without includeNixDB, expected with it")),
        None => Ok(include),
    }
}

/// The base image: its file, and which of the images there, in `fromImage` itself or in keys of their own.
fn from_image(fields: &mut Fields, directory: &Path) -> Result<Option<Place>> {
    let image = key::FROM_IMAGE.optional(fields, string)?;
    let name = key::FROM_IMAGE_NAME.optional(fields, string)?;
    let tag = key::FROM_IMAGE_TAG.optional(fields, string)?;
    let key = if name.is_some() { key::FROM_IMAGE_NAME } else { key::FROM_IMAGE_TAG };
    let Some(image) = image else {
        return match name.or(tag) {
            Some(_) => Err(key.error(fields, "found no fromImage, expected one")),
            None => Ok(None),
        };
    };
    let wrong = |InvalidPlace { message, hint }: InvalidPlace| {
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        key::FROM_IMAGE.error(fields, format!("{message}{hint}"))
    };
    let place = Place::parse_in(directory, OsStr::new(&image)).map_err(wrong)?;
    let has_name = if let Place::File(location) = &place { location.reference().is_some() } else { true };
    match place {
        _ if has_name && (name.is_some() || tag.is_some()) => {
            Err(key.error(fields, "found a name in fromImage too, expected one of them"))
        }
        Place::File(at) => Ok(Some(Place::File(Location { name: at.name.or(name), tag: at.tag.or(tag), ..at }))),
        place => Ok(Some(place)),
    }
}

fn architecture(fields: &mut Fields) -> Result<(Option<String>, Option<String>)> {
    let Some(name) = key::ARCHITECTURE.optional(fields, string)? else { return Ok((None, None)) };
    let (go, variant) = go_architecture(&name).map_err(|e| key::ARCHITECTURE.error(fields, e))?;
    Ok((Some(go.to_owned()), variant.map(str::to_owned)))
}

/// The variant: a word, as it becomes a part of names (OCI image-spec, image-index.md, "Platform Variants").
fn variant(fields: &mut Fields) -> Result<Option<String>> {
    let is_word = |text: &String| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !text.starts_with(['.', '-'])
    };
    key::VARIANT.optional(fields, |value| string(value).filter(is_word))
}

fn compression(value: &Value) -> Option<Option<CompressionParams>> {
    CompressionParams::of_name(value.as_str()?)
}

fn time(value: &Value) -> Option<Time> {
    value.as_str()?.parse().ok()
}

/// The commands at a key, or in the file that another one names.
fn script(fields: &mut Fields, key: Key, key_of_file: Key, directory: &Path) -> Result<Option<Script>> {
    let text = key.optional(fields, string)?.filter(|text| !text.is_empty());
    let file = key_of_file.optional(fields, string)?;
    let file = file.map(|file| Script::File(directory.join(file)));
    one_of(fields, (key, text.map(Script::Text)), (key_of_file, file))
}

/// What is copied; a single image has no layers of their own.
fn copies(fields: &mut Fields, directory: &Path, kind: ImageKind) -> Result<Vec<CopyEntry>> {
    let values = key::COPY.optional(fields, |value| value.as_array().cloned())?.unwrap_or_default();
    let entries = values.into_iter().enumerate();
    let read = |(index, value)| Ok(CopyEntry::read(fields.nested(&format!("copy[{index}]"), value)?, directory)?);
    let copies: Vec<CopyEntry> = entries.map(read).collect::<Result<_>>()?;
    match copies.iter().any(|entry| !entry.own_layers().is_empty()) && kind == ImageKind::Single {
        true => Err(key::COPY.error(fields, "found a layer in an image of kind \"single\", expected none")),
        false => Ok(copies),
    }
}

fn perms(fields: &mut Fields) -> Result<Vec<Perm>> {
    let values = key::PERMS.optional(fields, |value| value.as_array().cloned())?.unwrap_or_default();
    let entries = values.into_iter().enumerate();
    entries.map(|(index, value)| Ok(Perm::read(fields.nested(&format!("perms[{index}]"), value)?)?)).collect()
}

fn references(fields: &mut Fields, directory: &Path) -> Result<Option<References>> {
    let graph = key::GRAPH.optional(fields, string)?.map(|path| References::Graphs(vec![directory.join(path)]));
    let database = key::DB.optional(fields, string)?.map(|path| References::Database(directory.join(path)));
    one_of(fields, (key::GRAPH, graph), (key::DB, database))
}

/// The value of one of two keys.
fn one_of<T>(
    fields: &Fields,
    (key, value): (Key, Option<T>),
    (other_key, other): (Key, Option<T>),
) -> Result<Option<T>> {
    match (value, other) {
        (Some(_), Some(_)) => Err(key.error(fields, format!("found {} too, expected one of them", other_key.name))),
        (value, other) => Ok(value.or(other)),
    }
}

pub(super) fn paths(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(string).collect(),
        _ => Some(vec![string(value)?]),
    }
}

pub(super) fn id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layering;
    use layerstone_oci::TIME_FORMS;
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
        assert_eq!(spec.store_layers(0, 0).unwrap(), 99);
        let nulls = json!({"name": "Tool", "format": SPEC_FORMAT, "version": 1, "tag": null, "contents": null,
            "config": null, "graph": null, "db": null, "extraCommands": "", "architecture": null, "variant": ""});
        assert_eq!(parse(nulls).unwrap(), spec);
    }

    /// Keys that are wrong, unknown, missing or there twice, and what is wrong in the config.
    #[test]
    fn all_faults_at_once() {
        let spec = json!({"nmae": "x", "maxLayers": "3", "cmd": ["x"], "fromImageName": "y", "rootMode": "both",
            "config": {"Cmd": "x", "env": []}, "perms": [{"mode": "0755"}]});
        check_error(
            spec,
            "9 faults:\
            \n  name: missing, expected a string\
            \n  rootMode: found the string \"both\", expected \"links\" or \"copy\"\
            \n  fromImageName: found no fromImage, expected one\
            \n  maxLayers: found the string \"3\", expected a whole number above 0\
            \n  perms[0]: found neither path nor glob, expected one of them\
            \n  nmae: unknown key, the nearest known one is \"name\"\
            \n  cmd: unknown key, config.Cmd is known\
            \n  config.Cmd: found the string \"x\", expected a list of strings\
            \n  config.env: unknown key, the nearest known one is \"Env\"",
        );
        check_error(json!({"name": "x", "env": []}), "env: unknown key, config.Env is known");
        for text in [r#"{"name": "x", "name": "y"}"#, r#"{"name": "x", "config": {"Cmd": [], "name": 1, "name": 2}}"#] {
            let error = Spec::parse(text.as_bytes(), "image.json", Path::new("")).unwrap_err().to_string();
            assert!(error.starts_with("not JSON: image.json: found the key \"name\" twice at line 1"), "{error}");
            assert!(Spec::parse_all(text.as_bytes(), "image.json", Path::new("")).is_err());
        }
    }

    #[test]
    fn labels_and_annotations() {
        let spec = parse(json!({"name": "t", "config": {"Labels": {"a": "1", "b": "1"}}, "labels": {"b": "2"},
            "annotations": {"x": ""}}));
        let spec = spec.unwrap();
        assert_eq!(spec.config["Labels"], json!({"a": "1", "b": "2"}));
        assert_eq!(spec.annotations, [("x".to_owned(), String::new())].into());
        assert_eq!(
            parse(json!({"name": "t", "config": {"Labels": null}, "labels": {"b": "2"}})).unwrap().config["Labels"]["b"],
            "2"
        );
        let expected = "found the number 1, expected an object of strings, or null";
        check_error(json!({"name": "t", "annotations": 1}), &format!("annotations: {expected}"));
        check_error(json!({"name": "t", "labels": 1}), &format!("labels: {expected}"));
        assert!(parse(json!({"name": "t", "annotations": {"a": 1}})).is_err());
        assert!(parse(json!({"name": "t", "annotations": {"": "x"}})).is_err());
        check_error(
            json!({"name": "t", "config": {"Labels": []}, "labels": {"b": "2"}}),
            "labels: found config.Labels that is no object, expected one",
        );
    }

    #[test]
    fn paths_are_relative_to_the_directory() {
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
        let spec = |value: Value| parse(value).map(|spec| (spec.architecture.unwrap(), spec.variant)).unwrap();
        let arm = |variant: Option<&str>| ("arm".to_owned(), variant.map(str::to_owned));
        assert_eq!(spec(json!({"name": "t", "architecture": "armv7l-linux"})), arm(Some("v7")));
        assert_eq!(spec(json!({"name": "t", "architecture": "armv7l", "variant": "v6"})), arm(Some("v6")));
        assert_eq!(spec(json!({"name": "t", "architecture": "arm"})), arm(None));
        let mut set = Spec::new("t");
        set.set_architecture("aarch64-linux").unwrap();
        assert_eq!((set.architecture.as_deref(), set.variant), (Some("arm64"), None));
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
            &format!("created: found the string \"today\", expected {TIME_FORMS}"),
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

    /// The example of FORMAT.md, the first fenced block.
    #[test]
    fn worked_example() {
        let text = include_str!("../../FORMAT.md").split("```").nth(1).unwrap();
        let text = text.strip_prefix("json\n").unwrap();
        let spec = Spec::parse(text.as_bytes(), "image.json", Path::new("/specs")).unwrap();
        assert_eq!(spec.name, "Hello");
        assert_eq!(spec.reference().unwrap().for_image(&layerstone_store::Digest::of(b"")).to_string(), "hello:1.0");
        assert_eq!(spec.contents, [Path::new("/specs/./result")]);
        assert_eq!(spec.config["Cmd"], json!(["/bin/hello"]));
        assert_eq!(spec.created, Time::Now);
        assert_eq!(spec.mtime, Time::one_second());
        assert_eq!(spec.store_layers(0, 0).unwrap(), 39);
        assert_eq!(spec.script, Some(Script::Text("mkdir -m 1777 tmp".to_owned())));
        assert_eq!((spec.owner.uid, spec.owner.uname.as_str()), (1000, "app"));
        assert_eq!((spec.architecture.as_deref(), spec.variant.as_deref()), (Some("amd64"), None));
        assert!(spec.include_store_paths);
        assert_eq!(spec.references, Some(References::Graphs(vec![PathBuf::from("/specs/graph.json")])));
    }

    #[test]
    fn helpers_and_perms() {
        let helpers = |value: Value| parse(json!({"name": "t", "helpers": value})).unwrap().helpers;
        assert_eq!(helpers(Value::Null), []);
        let found = helpers(json!(["tmp", {"binSh": "x"}]));
        assert_eq!(found, [Helper::Tmp, Helper::BinSh(PathBuf::from("/specs/x"))]);
        let bad = |value: Value, expected: &str| check_error(json!({"name": "t", "helpers": value}), expected);
        bad(json!("tmp"), "helpers: found the string \"tmp\", expected a list");
        bad(json!(["tmp", {"tmp": null}]), "helpers: tmp: found twice, expected once");
        check_error(json!({"name": "t", "perms": {}}), "perms: found an object, expected a list");
        check_error(
            json!({"name": "t", "perms": [{"path": "x", "uid": 0}, {"path": "y", "uid": "0"}]}),
            "perms[1]: uid: found the string \"0\", expected a user id",
        );
        bad(json!(["temp"]), "helpers: unknown helper \"temp\", the nearest known one is \"tmp\"");
    }

    #[test]
    fn kinds_and_roots() {
        let spec = |value: Value| parse(value).unwrap();
        let single = spec(json!({"name": "t", "kind": "single", "copyToRoot": "x", "rootMode": "copy"}));
        assert_eq!((single.kind, single.root_mode), (ImageKind::Single, RootMode::Copy));
        assert_eq!(single.contents, [Path::new("/specs/x")]);
        let kept = spec(json!({"name": "t", "rootMode": "copy", "keepContentsDirlinks": true}));
        assert_eq!((kept.kind, kept.root_mode), (ImageKind::Layered, RootMode::CopyKeepingDirlinks));
        assert_eq!(spec(json!({"name": "t", "keepContentsDirlinks": false})).root_mode, RootMode::Links);
        check_error(
            json!({"name": "t", "keepContentsDirlinks": true}),
            "keepContentsDirlinks: found without rootMode \"copy\", expected with it",
        );
        check_error(
            json!({"name": "t", "kind": "single", "maxLayers": 3}),
            "maxLayers: found in an image of kind \"single\", expected in a layered one",
        );
        check_error(
            json!({"name": "t", "kind": "double"}),
            "kind: found the string \"double\", expected \"layered\" or \"single\"",
        );
        check_error(
            json!({"name": "t", "contents": "x", "copyToRoot": "y"}),
            "contents: found copyToRoot too, expected one of them",
        );
    }

    #[test]
    fn the_database_of_nix() {
        let spec = parse(json!({"name": "t", "includeNixDB": true, "nixUid": 1000})).unwrap();
        assert_eq!((spec.include_nix_db, spec.nix_uid, spec.nix_gid), (true, Some(1000), None));
        let expected = "nixGid: found without includeNixDB, expected with it";
        check_error(json!({"name": "t", "nixGid": 1000}), expected);
        check_error(json!({"name": "t", "nixGid": 1000, "includeNixDB": false}), expected);
        check_error(
            json!({"name": "t", "includeNixDB": true, "nixUid": -1}),
            "nixUid: found the number -1, expected a user id",
        );
        check_error(
            json!({"name": "t", "includeNixDB": 1}),
            "includeNixDB: found the number 1, expected true or false",
        );
    }

    #[test]
    fn bases() {
        let base = |value: Value| parse(value).unwrap().from_image.unwrap();
        assert_eq!(base(json!({"name": "t", "fromImage": "b.tar"})), Location::of("/specs/b.tar").into());
        let named = Place::File("/specs/b.tar#debian:12".parse().unwrap());
        assert_eq!(base(json!({"name": "t", "fromImage": "b.tar#debian:12"})), named);
        let keys = json!({"name": "t", "fromImage": "b.tar", "fromImageName": "debian", "fromImageTag": "12"});
        assert_eq!(base(keys), named);
        check_error(
            json!({"name": "t", "fromImage": "b.tar#debian", "fromImageTag": "12"}),
            "fromImageTag: found a name in fromImage too, expected one of them",
        );
        let registry = Place::Registry("example.org/debian:12".parse().unwrap());
        assert_eq!(base(json!({"name": "t", "fromImage": "registry:example.org/debian:12"})), registry);
        assert_eq!(base(json!({"name": "t", "fromImage": "oci:d"})), Location::of("/specs/d").into());
        check_error(
            json!({"name": "t", "fromImage": "registry:example.org/debian", "fromImageTag": "12"}),
            "fromImageTag: found a name in fromImage too, expected one of them",
        );
        let error = parse(json!({"name": "t", "fromImage": "debian:12"})).unwrap_err().to_string();
        assert!(error.contains("; write registry:debian:12; "), "{error}");
        check_error(json!({"name": "t", "fromImageName": "x"}), "fromImageName: found no fromImage, expected one");
    }
}
