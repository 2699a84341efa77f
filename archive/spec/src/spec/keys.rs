//! Lists the keys of image.json: what the parser takes, what a misspelt key is compared with, and what the JSON Schema says.

use super::Spec;
use crate::{Error, Result};
use layerstone_oci::TIME_FORMS;
use layerstone_store::Fields;
use serde_json::{Map, Value, json};

/// A key of image.json.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    /// What its value must be, for a message.
    pub expected: &'static str,
    /// The same as a JSON Schema.
    schema: &'static str,
    /// Its default as JSON; empty where there is none.
    default: &'static str,
    /// What it means.
    meaning: &'static str,
}

/// Writes each key down once: as a constant for the parser, and as an entry of [`KEYS`].
macro_rules! keys {
    ($($id:ident: $name:literal, $expected:expr, $schema:expr, $default:literal, $meaning:literal;)*) => {
        $(pub const $id: Key =
            Key { name: $name, expected: $expected, schema: $schema, default: $default, meaning: $meaning };)*
        /// All keys; of two that are as near to a misspelt one, the first is suggested.
        pub const KEYS: &[Key] = &[$($id),*];
    };
}

const BOOLEAN: &str = r#"{"type": "boolean"}"#;
const STRING: &str = r#"{"type": "string"}"#;
const STRING_OR_NULL: &str = r#"{"type": ["string", "null"]}"#;
const STRINGS_OR_NULL: &str =
    r#"{"type": ["object", "null"], "additionalProperties": {"type": "string"}, "propertyNames": {"minLength": 1}}"#;
const PATHS: &str = r#"{"type": ["string", "array", "null"], "items": {"type": "string"}}"#;
const ID: &str = r#"{"type": "integer", "minimum": 0, "maximum": 4294967295}"#;
const ID_OR_NULL: &str = r#"{"type": ["integer", "null"], "minimum": 0, "maximum": 4294967295}"#;
const LIST_OF_HELPERS: &str = r#"{"type": ["array", "null"], "items": {"anyOf": [
    {"enum": ["fakeNss", "tmp", "shadowSetup"]},
    {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": {
        "fakeNss": {"type": ["object", "null"], "additionalProperties": false, "properties": {
            "extraPasswdLines": {"type": "array", "items": {"type": "string"}},
            "extraGroupLines": {"type": "array", "items": {"type": "string"}}}},
        "tmp": {"type": "null"},
        "shadowSetup": {"type": "null"},
        "usrBinEnv": {"type": "string", "minLength": 1},
        "binSh": {"type": "string", "minLength": 1},
        "caCertificates": {"type": "string", "minLength": 1}}}]}}"#;
const LIST_OF_PERMS: &str = r#"{"type": ["array", "null"], "items": {"type": "object", "additionalProperties": false, "properties": {
    "path": {"type": ["string", "null"]},
    "glob": {"type": ["string", "null"]},
    "mode": {"type": ["string", "null"], "pattern": "^0*[0-7]{1,4}$"},
    "uid": {"type": ["integer", "null"], "minimum": 0, "maximum": 4294967295},
    "gid": {"type": ["integer", "null"], "minimum": 0, "maximum": 4294967295},
    "uname": {"type": ["string", "null"]},
    "gname": {"type": ["string", "null"]}}}}"#;
const LIST_OF_COPIES: &str = r#"{"type": ["array", "null"], "items": {"type": "object", "required": ["from", "to"], "additionalProperties": false, "properties": {
    "from": {"type": "string", "minLength": 1},
    "to": {"type": "string", "pattern": "^/"},
    "mode": {"type": ["string", "null"], "pattern": "^0*[0-7]{1,4}$"},
    "uid": {"type": ["integer", "null"], "minimum": 0, "maximum": 4294967295},
    "gid": {"type": ["integer", "null"], "minimum": 0, "maximum": 4294967295},
    "exclude": {"type": ["string", "array", "null"], "items": {"type": "string", "minLength": 1}},
    "unpack": {"type": ["boolean", "null"]},
    "layer": {"type": ["string", "null"], "minLength": 1},
    "libraries": {"type": ["boolean", "null"]},
    "divide": {"type": ["integer", "null"], "minimum": 1, "maximum": 16},
    "layers": {"type": ["integer", "null"], "minimum": 1, "maximum": 100}}}}"#;
const LIST_OF_ARCHITECTURES: &str = r#"{"type": "array", "minItems": 1, "items": {"anyOf": [
    {"type": "string"},
    {"type": "object", "required": ["architecture"]}]}}"#;

keys! {
    SPEC_FORMAT: "format", "\"layerstone/image\"", r#"{"enum": ["layerstone/image", null]}"#, "",
        "What the file is; may be left out.";
    SPEC_VERSION: "version", "1", r#"{"enum": [1, null]}"#, "", "Version of the format; may be left out.";
    NAME: "name", "a string", STRING, "", "Name of the image, lower-cased in its reference.";
    TAG: "tag", "a string or null", STRING_OR_NULL, "null",
        "Tag of the image; null for the first 32 hexadecimal digits of the image ID.";
    CONTENTS: "contents", "a path or a list of paths", PATHS, "[]",
        "Store paths, or links to some, whose contents are merged into the root of the image.";
    COPY: "copy", "a list", LIST_OF_COPIES, "[]",
        "Files, directories and tars of this machine that are copied into the image.";
    TAR_LAYERS: "tarLayers", "a path or a list of paths", PATHS, "[]",
        "Tars that become layers of the image as they are.";
    LAYERS: "layers", "a path or a list of paths", PATHS, "[]",
        "Layer files, or directories of them, made already: the lowest layers over the base.";
    ROOT_LAYER: "rootLayer", "a path or null", STRING_OR_NULL, "",
        "Layer file of the customisation layer, made already: it stands in place of links to contents and of scripts.";
    CONFIG: "config", "an object or null", r#"{"type": ["object", "null"]}"#, "{}",
        "Execution parameters of the image, as in the OCI image-spec's config.md.";
    CREATED: "created", TIME_FORMS, STRING, "\"1970-01-01T00:00:01Z\"", "Time at which the image was made.";
    MTIME: "mtime", TIME_FORMS, STRING, "\"1970-01-01T00:00:01Z\"", "Modification time of every file in the image.";
    MAX_LAYERS: "maxLayers", "a whole number above 0", r#"{"type": "integer", "minimum": 1}"#, "100",
        "Greatest number of layers of the whole image.";
    MIN_LAYER_SIZE: "minLayerSize", "a number of bytes", r#"{"type": "integer", "minimum": 0}"#, "0",
        "Least number of bytes of NARs in a layer of store paths.";
    STRATEGY: "strategy", "a string or null", STRING_OR_NULL, "\"least-churn\"",
        "Which store paths share a layer: least-churn, popularity, size or pipeline.";
    LAYERING_PIPELINE: "layeringPipeline", "a list of operations or a path",
        r#"{"type": ["array", "string", "null"]}"#, "null",
        "Operations of the strategy pipeline, or the JSON file that holds them.";
    PLAN: "plan", "a path or null", STRING_OR_NULL, "", "Plan of the layers of store paths, made already.";
    COMPRESSION: "compression", "none, gzip, zstd or zstd:chunked",
        r#"{"enum": ["none", "gzip", "zstd", "zstd:chunked", null]}"#, "",
        "How layers are compressed in layouts, OCI archives and registries.";
    EXTRA_COMMANDS: "extraCommands", "a string", STRING_OR_NULL, "\"\"",
        "Commands for bash, run in the directory of the customisation layer.";
    EXTRA_COMMANDS_FILE: "extraCommandsFile", "a path", STRING_OR_NULL, "", "File that holds extraCommands.";
    FAKE_ROOT_COMMANDS: "fakeRootCommands", "a string", STRING_OR_NULL, "\"\"",
        "Commands for bash, run after extraCommands as a fake root.";
    FAKE_ROOT_COMMANDS_FILE: "fakeRootCommandsFile", "a path", STRING_OR_NULL, "",
        "File that holds fakeRootCommands.";
    ENABLE_FAKECHROOT: "enableFakechroot", "true or false", BOOLEAN, "false",
        "Whether fakeRootCommands run with the layer as their root directory.";
    RUN_AS_ROOT: "runAsRoot", "a string", STRING_OR_NULL, "\"\"",
        "Script that runs as root over the base image.";
    RUN_AS_ROOT_FILE: "runAsRootFile", "a path", STRING_OR_NULL, "", "File that holds runAsRoot.";
    DISK_SIZE: "diskSize", "a number of MiB, 1 to 16777216",
        r#"{"type": "integer", "minimum": 1, "maximum": 16777216}"#, "1024", "MiB that runAsRoot may write.";
    BUILD_VM_MEMORY_SIZE: "buildVMMemorySize", "a number of MiB, 256 to 16777216",
        r#"{"type": "integer", "minimum": 256, "maximum": 16777216}"#, "512",
        "MiB of memory of the virtual machine in which runAsRoot runs.";
    XATTRS: "xattrs", "true or false", BOOLEAN, "false",
        "Whether extended attributes and file capabilities are kept.";
    PERMS: "perms", "a list", LIST_OF_PERMS, "[]",
        "Owners and modes of entries of the customisation layer, or of the root of a single image.";
    UID: "uid", "a user id", ID, "0",
        "User that owns the store paths; in a single image, the user that owns everything else.";
    GID: "gid", "a group id", ID, "0",
        "Group that owns the store paths; in a single image, the group that owns everything else.";
    UNAME: "uname", "a user name", STRING, "\"root\"", "Name of the user that owns the store paths.";
    GNAME: "gname", "a group name", STRING, "\"root\"", "Name of the group that owns the store paths.";
    ARCHITECTURE: "architecture", "a string or null", STRING_OR_NULL, "",
        "Architecture of the image, by the name of Go, uname or Nix; the default is that of the base or this machine.";
    VARIANT: "variant", "null or a word such as \"v7\", of letters, digits, dots, dashes and underscores",
        r#"{"type": ["string", "null"], "pattern": "^([A-Za-z0-9_][A-Za-z0-9._-]*)?$"}"#, "",
        "Variant of the architecture; the default is that of the architecture's name or the base.";
    INCLUDE_STORE_PATHS: "includeStorePaths", "true or false", BOOLEAN, "true",
        "Whether the store paths that the image needs are in it.";
    GRAPH: "graph", "a path or null", STRING_OR_NULL, "", "References graph of the store paths.";
    DB: "db", "a path or null", STRING_OR_NULL, "", "Database of a Nix or Guix store to take references from.";
    KIND: "kind", "\"layered\" or \"single\"", r#"{"enum": ["layered", "single"]}"#, "\"layered\"",
        "Whether the image has layers of store paths or one layer of everything.";
    COPY_TO_ROOT: "copyToRoot", "a path or a list of paths", PATHS, "", "Another name of contents.";
    HELPERS: "helpers", "a list", LIST_OF_HELPERS, "[]", "Ready contents by nixpkgs' names, each at most once.";
    ROOT_MODE: "rootMode", "\"links\" or \"copy\"", r#"{"enum": ["links", "copy"]}"#, "\"links\"",
        "Whether contents become symlinks into the store or copies.";
    KEEP_CONTENTS_DIRLINKS: "keepContentsDirlinks", "true or false", r#"{"type": ["boolean", "null"]}"#, "false",
        "Whether symlinks to directories stay symlinks when contents are copied.";
    REPLACE: "replace", "true or false", BOOLEAN, "false",
        "Whether contents and scripts may replace files of another kind in the base image.";
    FROM_IMAGE: "fromImage", "a path or null", STRING_OR_NULL, "null",
        "Image to build on: FILE[#NAME:TAG], registry:REF, docker:NAME, or any other place.";
    FROM_IMAGE_NAME: "fromImageName", "a string or null", STRING_OR_NULL, "null",
        "Name of the base image in a file of several.";
    FROM_IMAGE_TAG: "fromImageTag", "a string or null", STRING_OR_NULL, "null",
        "Tag of the base image in a file of several.";
    INHERIT: "inherit", "true or false", BOOLEAN, "false",
        "Whether the image takes over all of the base's config, or its environment alone.";
    INCLUDE_NIX_DB: "includeNixDB", "true or false", BOOLEAN, "false",
        "Whether Nix's database of the store paths is in the image.";
    NIX_UID: "nixUid", "a user id", ID_OR_NULL, "",
        "User that owns Nix's database and the store's directory; the default is that of the base, or 0.";
    NIX_GID: "nixGid", "a group id", ID_OR_NULL, "",
        "Group that owns Nix's database and the store's directory; the default is that of the base, or 0.";
    ANNOTATIONS: "annotations", "an object of strings, or null", STRINGS_OR_NULL, "{}",
        "Annotations of the image's manifest.";
    LABELS: "labels", "an object of strings, or null", STRINGS_OR_NULL, "{}",
        "Labels of the image, put over those of config.";
    ARCHITECTURES: "architectures", "a list of architectures, or of objects with one each",
        LIST_OF_ARCHITECTURES, "",
        "One image for several architectures: keys put over the others for each of them.";
}

/// The keys that say how store paths are divided into layers, or who owns them, which is fixed in a single layer.
pub const KEYS_OF_LAYERED: [Key; 8] =
    [MAX_LAYERS, MIN_LAYER_SIZE, STRATEGY, LAYERING_PIPELINE, PLAN, LAYERS, UNAME, GNAME];

/// The key that takes the fewest edits, swaps counted as one; among equals the first in [`KEYS`].
pub fn nearest_key(key: &str) -> &'static str {
    let by_distance = |candidate: &&Key| strsim::damerau_levenshtein(key, candidate.name);
    KEYS.iter().min_by_key(by_distance).expect("there are keys").name
}

impl Spec {
    /// The JSON Schema of image.json (JSON Schema 2020-12), with a newline at its end. It says what each key takes; which
    /// keys go together [`Spec::parse`] alone checks.
    pub fn schema() -> String {
        let properties: Map<String, Value> = KEYS.iter().map(|key| (key.name.to_owned(), key.property())).collect();
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": super::SPEC_FORMAT,
            "description": format!("What an image is to be, version {}.", super::SPEC_VERSION),
            "type": "object",
            "required": [NAME.name],
            "additionalProperties": false,
            "properties": properties,
        });
        format!("{schema:#}\n")
    }
}

impl Key {
    /// Takes the key from an object, where it may be absent or null.
    pub fn optional<T>(&self, fields: &mut Fields, read: impl FnOnce(&Value) -> Option<T>) -> Result<Option<T>> {
        Ok(fields.optional(self.name, self.expected, read)?)
    }

    /// Takes the key from an object, where it may be absent.
    pub fn defaulted<T>(&self, fields: &mut Fields, default: T, read: impl FnOnce(&Value) -> Option<T>) -> Result<T> {
        Ok(fields.defaulted(self.name, default, self.expected, read)?)
    }

    /// An error about the key.
    pub fn error(&self, fields: &Fields, cause: impl std::fmt::Display) -> Error {
        fields.error(self.name, cause).into()
    }

    fn property(&self) -> Value {
        let mut property = Map::from_iter([("description".to_owned(), self.meaning.into())]);
        if let Value::Object(schema) = parsed(self.schema) {
            property.extend(schema);
        }
        if !self.default.is_empty() {
            property.insert("default".to_owned(), parsed(self.default));
        }
        property.into()
    }
}

/// Text of [`KEYS`], which a test reads whole.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("what the table of keys says is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{LEAST_VM_MEMORY, MOST_VM_SIZE};
    use layerstone_store::describe;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// What comes of a spec with this value at a key, beside a name.
    fn parse(key: &Key, value: &Value) -> Result<Spec> {
        let mut spec = json!({"name": "t"});
        spec[key.name] = value.clone();
        Spec::parse(spec.to_string().as_bytes(), "image.json", Path::new(""))
    }

    /// Whether a schema takes a value, as far as its type tells.
    fn takes(property: &Value, value: &Value) -> bool {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let listed = |name: &str, value: Value| property[name].as_array().is_some_and(|list| list.contains(&value));
        listed("enum", value.clone()) || listed("type", kind.into()) || property["type"] == kind
    }

    /// The parser takes every key of the table, and refuses the types that the schema refuses, in the table's words.
    #[test]
    fn the_parser_takes_what_the_table_says() {
        for key in KEYS.iter().filter(|key| key.name != ARCHITECTURES.name) {
            for value in [json!(null), json!(true), json!(-1.5), json!([[]]), json!({"": 7})] {
                let found = parse(key, &value).map_err(|error| error.to_string());
                if !takes(&key.property(), &value) {
                    let expected = format!("{}: found {}, expected {}", key.name, describe(&value), key.expected);
                    let error = found.expect_err(&expected);
                    assert!(error.ends_with(&expected) || error.ends_with("expected with it"), "{error}: {expected}");
                } else if let Err(error) = found {
                    assert!(!value.is_null() || error.ends_with("expected with it"), "{error}");
                    assert!(!error.contains(&format!("{}: unknown key", key.name)), "{error}");
                }
            }
        }
        let sizes = [(DISK_SIZE, 1), (BUILD_VM_MEMORY_SIZE, LEAST_VM_MEMORY)];
        for (key, least) in sizes {
            assert_eq!(key.expected, format!("a number of MiB, {least} to {MOST_VM_SIZE}"));
            assert_eq!(key.property()["minimum"], least);
        }
    }

    /// A key at its default is a key left out.
    #[test]
    fn defaults() {
        for key in KEYS.iter().filter(|key| !key.default.is_empty() && key.name != STRATEGY.name) {
            assert_eq!(parse(key, &parsed(key.default)).unwrap(), Spec::new("t"), "{}", key.name);
        }
    }

    /// FORMAT.md has a row for each key, with the default that the schema has, and no other row.
    #[test]
    fn the_format_page_has_the_same_keys() {
        let page = include_str!("../../FORMAT.md");
        // What follows is about what is made of them.
        let page = page.split("## The image config").next().unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let rows: BTreeMap<&str, &str> =
            rows.map(|(key, rest)| (key, rest.split(" | ").nth(1).unwrap().trim().trim_matches('`'))).collect();
        let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(rows.keys().copied().collect::<Vec<_>>(), {
            let mut sorted = names.clone();
            sorted.sort_unstable();
            sorted
        });
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            assert_eq!(rows[key.name], key.default, "{}", key.name);
        }
        let schema: Value = serde_json::from_str(&Spec::schema()).unwrap();
        assert_eq!(schema["properties"].as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>(), names);
    }

    /// schema.json beside this crate is what [`Spec::schema`] gives; under LAYERSTONE_BLESS it becomes that.
    #[test]
    fn the_schema_that_is_handed_out() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
        if std::env::var_os("LAYERSTONE_BLESS").is_some() {
            return std::fs::write(path, Spec::schema()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), Spec::schema());
    }
}
