//! The clauses of the OCI image specification, version 1.1, by the document that they are about.

use super::text::{is_base64, is_date_time, is_digest, is_media_type, is_ref_name, is_uri};
use super::{CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE};
use serde_json::Value;

/// One clause.
pub struct Clause {
    /// Page and heading, or the key that it is about.
    pub section: &'static str,
    /// What must hold.
    pub rule: &'static str,
    /// Whether it does.
    pub holds: fn(&Value) -> bool,
}

const fn clause(section: &'static str, rule: &'static str, holds: fn(&Value) -> bool) -> Clause {
    Clause { section, rule, holds }
}

pub const LAYOUT: &[Clause] = &[
    clause("image-layout.md, oci-layout file", "oci-layout is an object", Value::is_object),
    clause("image-layout.md, oci-layout file", "imageLayoutVersion is 1.0.0", |it| it["imageLayoutVersion"] == "1.0.0"),
];

pub const INDEX: &[Clause] = &[
    clause("image-index.md, schemaVersion", "schemaVersion is 2", |it| is_version_2(&it["schemaVersion"])),
    clause("image-index.md, mediaType", "mediaType, if there, is that of an index", |it| {
        optional(it, "mediaType", |it| it == INDEX_TYPE)
    }),
    clause("image-index.md, artifactType", "artifactType, if there, is a media type", |it| {
        optional(it, "artifactType", |it| text(it, is_media_type))
    }),
    clause("image-index.md, manifests", "manifests is a list of objects", |it| objects(&it["manifests"])),
    clause("image-index.md, subject", "subject, if there, is an object", |it| {
        optional(it, "subject", Value::is_object)
    }),
    clause("image-index.md, annotations", "annotations map text to text", |it| annotations(&it["annotations"])),
];

pub const MANIFEST: &[Clause] = &[
    clause("manifest.md, schemaVersion", "schemaVersion is 2", |it| is_version_2(&it["schemaVersion"])),
    clause("manifest.md, mediaType", "mediaType, if there, is that of a manifest", |it| {
        optional(it, "mediaType", |it| it == MANIFEST_TYPE)
    }),
    clause(
        "manifest.md, artifactType",
        "artifactType, if there, is a media type, and it is with an empty config",
        |it| {
            let is_empty = it["config"]["mediaType"] == "application/vnd.oci.empty.v1+json";
            optional(it, "artifactType", |it| text(it, is_media_type)) && (!is_empty || it["artifactType"].is_string())
        },
    ),
    clause("manifest.md, config", "config is an object", |it| it["config"].is_object()),
    clause("manifest.md, layers", "layers is a list of objects, not empty", |it| {
        objects(&it["layers"]) && it["layers"] != Value::Array(Vec::new())
    }),
    clause("manifest.md, layers", "layers of an image have a media type of layers", |it| {
        let layers = it["layers"].as_array().into_iter().flatten();
        let is_layer = |layer: &Value| {
            let known = layer["mediaType"].as_str().and_then(|it| it.strip_prefix("application/vnd.oci.image.layer."));
            let known = known.map(|it| it.strip_prefix("nondistributable.").unwrap_or(it));
            matches!(known, Some("v1.tar" | "v1.tar+gzip" | "v1.tar+zstd"))
        };
        it["config"]["mediaType"] != CONFIG_TYPE || layers.into_iter().all(is_layer)
    }),
    clause("manifest.md, subject", "subject, if there, is an object", |it| optional(it, "subject", Value::is_object)),
    clause("manifest.md, annotations", "annotations map text to text", |it| annotations(&it["annotations"])),
];

pub const DESCRIPTOR: &[Clause] = &[
    clause("descriptor.md, mediaType", "mediaType is a media type", |it| text(&it["mediaType"], is_media_type)),
    clause("descriptor.md, Digests", "digest is a digest", |it| text(&it["digest"], is_digest)),
    clause("descriptor.md, size", "size is a number of bytes", |it| it["size"].as_i64().is_some_and(|size| size >= 0)),
    clause("descriptor.md, urls", "urls, if there, is a list of URIs", |it| {
        optional(it, "urls", |it| list_of(it, |it| text(it, is_uri)))
    }),
    clause("descriptor.md, annotations", "annotations map text to text", |it| annotations(&it["annotations"])),
    clause("annotations.md, org.opencontainers.image.ref.name", "the name follows its grammar", |it| {
        let annotations = &it["annotations"];
        !annotations.is_object()
            || optional(annotations, "org.opencontainers.image.ref.name", |it| text(it, is_ref_name))
    }),
    clause("descriptor.md, data", "data, if there, is base 64", |it| optional(it, "data", |it| text(it, is_base64))),
    clause("descriptor.md, artifactType", "artifactType, if there, is a media type", |it| {
        optional(it, "artifactType", |it| text(it, is_media_type))
    }),
    clause("image-index.md, platform", "platform, if there, is an object", |it| {
        optional(it, "platform", Value::is_object)
    }),
];

pub const PLATFORM: &[Clause] = &[
    clause("image-index.md, platform: architecture", "architecture is text", |it| it["architecture"].is_string()),
    clause("image-index.md, platform: os", "os is text", |it| it["os"].is_string()),
    clause("image-index.md, platform: os.version, variant", "os.version and variant, if there, are text", |it| {
        strings(it, &["os.version", "variant"])
    }),
    clause("image-index.md, platform: os.features", "os.features, if there, is a list of texts", |it| {
        optional(it, "os.features", |it| list_of(it, Value::is_string))
    }),
];

pub const CONFIG: &[Clause] = &[
    clause("config.md, created", "created, if there, is a date and time of RFC 3339", |it| {
        optional(it, "created", |it| text(it, is_date_time))
    }),
    clause("config.md, author", "author, if there, is text", |it| strings(it, &["author"])),
    clause("config.md, architecture", "architecture is text", |it| it["architecture"].is_string()),
    clause("config.md, os", "os is text", |it| it["os"].is_string()),
    clause("config.md, os.version, variant", "os.version and variant, if there, are text", |it| {
        strings(it, &["os.version", "variant"])
    }),
    clause("config.md, os.features", "os.features, if there, is a list of texts", |it| {
        optional(it, "os.features", |it| list_of(it, Value::is_string))
    }),
    clause("config.md, config", "config, if there, is an object", |it| optional(it, "config", Value::is_object)),
    clause("config.md, config: User, WorkingDir, StopSignal", "these are text", |it| {
        strings(&it["config"], &["User", "WorkingDir", "StopSignal"])
    }),
    clause("config.md, config: ExposedPorts", "each is port, port/tcp or port/udp, and an empty object", |it| {
        optional(&it["config"], "ExposedPorts", |it| keys_of_nothing(it, is_port))
    }),
    clause("config.md, config: Volumes", "each is an empty object", |it| {
        optional(&it["config"], "Volumes", |it| keys_of_nothing(it, |_| true))
    }),
    clause("config.md, config: Env", "each is VARNAME=VARVALUE", |it| {
        let is_variable = |it: &str| it.split_once('=').is_some_and(|(name, _)| !name.is_empty());
        optional(&it["config"], "Env", |it| list_of(it, |it| text(it, is_variable)))
    }),
    clause("config.md, config: Entrypoint, Cmd", "these are lists of texts", |it| {
        let words = |key| optional(&it["config"], key, |it| list_of(it, Value::is_string));
        words("Entrypoint") && words("Cmd")
    }),
    clause("config.md, config: Labels", "labels map text to text", |it| annotations(&it["config"]["Labels"])),
    clause("config.md, rootfs", "rootfs is an object", |it| it["rootfs"].is_object()),
    clause("config.md, rootfs: type", "type is layers", |it| it["rootfs"]["type"] == "layers"),
    clause("config.md, rootfs: diff_ids", "diff_ids is a list of digests", |it| {
        list_of(&it["rootfs"]["diff_ids"], |it| text(it, is_digest))
    }),
    clause("config.md, history", "history, if there, is a list of objects", |it| optional(it, "history", objects)),
];

pub const HISTORY: &[Clause] = &[
    clause("config.md, history: created", "created, if there, is a date and time of RFC 3339", |it| {
        optional(it, "created", |it| text(it, is_date_time))
    }),
    clause("config.md, history: author, created_by, comment", "these are text", |it| {
        strings(it, &["author", "created_by", "comment"])
    }),
    clause("config.md, history: empty_layer", "empty_layer, if there, is true or false", |it| {
        optional(it, "empty_layer", Value::is_boolean)
    }),
];

/// Whether what is at a key is right, if the key is there.
fn optional(of: &Value, key: &str, holds: impl Fn(&Value) -> bool) -> bool {
    of.get(key).is_none_or(holds)
}

fn text(value: &Value, follows: impl Fn(&str) -> bool) -> bool {
    value.as_str().is_some_and(follows)
}

fn strings(of: &Value, keys: &[&str]) -> bool {
    keys.iter().all(|key| optional(of, key, Value::is_string))
}

fn list_of(value: &Value, holds: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|values| values.iter().all(holds))
}

fn objects(value: &Value) -> bool {
    list_of(value, Value::is_object)
}

/// Annotations and labels (annotations.md, "Rules"), if there are any; a key that is null is none.
fn annotations(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(|them| them.values().all(Value::is_string))
}

/// An object that stands for a set: each key right, each value an object without keys.
fn keys_of_nothing(value: &Value, is_key: impl Fn(&str) -> bool) -> bool {
    let is_empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
    value.as_object().is_some_and(|keys| keys.iter().all(|(key, value)| is_key(key) && is_empty(value)))
}

fn is_port(text: &str) -> bool {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    port.parse::<u16>().is_ok() && matches!(protocol, "tcp" | "udp")
}

fn is_version_2(value: &Value) -> bool {
    value.as_i64() == Some(2)
}
