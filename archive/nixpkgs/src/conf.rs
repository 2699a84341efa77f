//! conf.json, the input of nixpkgs' `stream_layered_image.py`.
//!
//! Unknown keys are left alone, since nixpkgs passes some that the script does not use (`os`, `variant`).

use crate::Result;
use crate::python_time::PythonTime;
use crate::stream_base::StreamBase;
use layerstone_image::{BaseFacts, ImageFacts};
use layerstone_oci::Time;
use layerstone_store::{Error, Fields, Store, StorePath, read_input, string};
use layerstone_tar::Owner;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What messages call such a file.
const FORMAT: &str = "stream_layered_image.py configuration";

/// Everything that decides the bytes of a stream, besides the contents of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Conf {
    /// Where the file was read, for messages.
    name: String,
    /// Architecture, written as it is.
    pub architecture: String,
    /// The execution parameters: an object or null.
    pub config: Value,
    /// The store directory.
    pub store_dir: String,
    /// Docker archive of the base image, relative to the current directory.
    pub from_image: Option<PathBuf>,
    /// The store paths of each layer, bottom first, in the order of the tar.
    pub store_layers: Vec<Vec<StorePath>>,
    /// The directory that holds the customisation layer's `layer.tar` and `checksum`.
    pub customisation_layer: String,
    /// What the image is called, written as it is.
    pub repo_tag: String,
    /// When the image was made, as Python's `isoformat` writes it.
    pub created: String,
    /// Modification time of all members, in seconds since the epoch.
    pub mtime: i64,
    /// Owner of the store paths.
    pub owner: Owner,
}

impl Conf {
    /// Reads a conf.json; `-` is standard input.
    pub fn read(path: &Path) -> Result<Conf> {
        Conf::parse(&read_input(path)?, &path.display().to_string())
    }

    /// Reads a conf.json in memory; `name` stands in messages.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Conf> {
        let mut fields = Fields::parse(bytes, FORMAT, name)?;
        let store_dir = fields.required("store_dir", "a store directory", string)?;
        let conf = Conf {
            name: name.to_owned(),
            architecture: fields.required("architecture", "a string", string)?,
            config: fields.required("config", "an object or null", |value| {
                (value.is_object() || value.is_null()).then(|| value.clone())
            })?,
            from_image: fields.optional("from_image", "a path or null", string)?.map(PathBuf::from),
            store_layers: store_layers(&mut fields, &store_dir)?,
            customisation_layer: fields.required("customisation_layer", "a path", string)?,
            repo_tag: fields.required("repo_tag", "NAME:TAG", string)?,
            created: time(&mut fields, "created")?.isoformat(),
            mtime: time(&mut fields, "mtime")?.seconds(),
            owner: Owner {
                uid: fields.required("uid", "a user id", id)?,
                gid: fields.required("gid", "a group id", id)?,
                uname: fields.required("uname", "a user name", string)?,
                gname: fields.required("gname", "a group name", string)?,
            },
            store_dir,
        };
        Ok(conf)
    }

    /// What the image config says, the environment of the base included.
    pub(crate) fn facts(&self, base: Option<&StreamBase>) -> Result<ImageFacts> {
        let config = match base {
            Some(base) => base.merge_env(self.config.clone()).map_err(|cause| Error::Malformed {
                format: FORMAT,
                name: self.name.clone(),
                cause: format!("config: {cause}"),
            })?,
            None => self.config.clone(),
        };
        Ok(ImageFacts {
            created: self.created.clone(),
            architecture: self.architecture.clone(),
            variant: None,
            os: "linux".to_owned(),
            config,
            created_by: None,
            base: BaseFacts::default(),
        })
    }
}

fn store_layers(fields: &mut Fields, store_dir: &str) -> Result<Vec<Vec<StorePath>>> {
    let store = Store::new(store_dir, "/").map_err(|e| fields.error("store_dir", e))?;
    let layers = fields.required("store_layers", "a list of lists of store paths", |value| {
        serde_json::from_value::<Vec<Vec<String>>>(value.clone()).ok()
    })?;
    let parse = |path: &String| store.parse(path).map_err(|e| fields.error("store_layers", e).into());
    layers.iter().map(|layer| layer.iter().map(parse).collect()).collect()
}

/// A time as `datetime.fromisoformat` reads it, or `now`.
fn time(fields: &mut Fields, key: &str) -> Result<PythonTime> {
    let text = fields.required(key, "a time", string)?;
    if text == "now" {
        return Ok(PythonTime::utc(Time::Now.timestamp()?));
    }
    PythonTime::parse(&text).map_err(|e| fields.error(key, e).into())
}

/// A user or group id: a number, or one written in a string as nixpkgs does.
fn id(value: &Value) -> Option<u32> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_image::LayerFacts;
    use layerstone_store::Digest;
    use serde_json::json;

    #[derive(serde::Deserialize)]
    struct GoldenLayer {
        diff_id: Digest,
        paths: Vec<String>,
    }

    /// What nixpkgs' script wrote for a conf.json, made again from the diff IDs.
    #[track_caller]
    fn check(conf: &str, layers: &str, config: &str, manifest: &str) {
        let conf = Conf::parse(conf.as_bytes(), "conf.json").unwrap();
        let layers: Vec<GoldenLayer> = serde_json::from_str(layers).unwrap();
        let (customisation, layers) = layers.split_last().unwrap();
        let planned: Vec<Vec<_>> =
            conf.store_layers.iter().map(|l| l.iter().map(|p| p.to_string()).collect()).collect();
        assert_eq!(planned, layers.iter().map(|l| l.paths.clone()).collect::<Vec<_>>());
        let mut facts: Vec<_> = layers.iter().map(|l| LayerFacts::of_paths(l.diff_id, &l.paths)).collect();
        facts.push(LayerFacts::of_paths(customisation.diff_id, &[&conf.customisation_layer]));
        let finished = conf.facts(None).unwrap().finish(&facts);
        assert_eq!(String::from_utf8(finished.config.clone()).unwrap(), config);
        assert_eq!(String::from_utf8(finished.manifest(&[conf.repo_tag])).unwrap(), manifest);
    }

    #[test]
    fn golden_at_100_layers() {
        check(
            include_str!("../golden/conf-100.json"),
            include_str!("../golden/layers-100.json"),
            include_str!("../golden/image-config-100.json"),
            include_str!("../golden/manifest-100.json"),
        );
    }

    #[test]
    fn golden_at_5_layers() {
        check(
            include_str!("../golden/conf-5.json"),
            include_str!("../golden/layers-5.json"),
            include_str!("../golden/image-config-5.json"),
            include_str!("../golden/manifest-5.json"),
        );
    }

    fn altered(key: &str, value: Value) -> Result<Conf> {
        let mut conf: Value = serde_json::from_str(include_str!("../golden/conf-100.json")).unwrap();
        conf[key] = value;
        Conf::parse(conf.to_string().as_bytes(), "conf.json")
    }

    #[test]
    fn tolerated() {
        assert_eq!(altered("uid", json!(1000)).unwrap().owner.uid, 1000);
        assert_eq!(altered("gid", json!("100")).unwrap().owner.gid, 100);
        altered("variant", json!("v7")).unwrap();
        assert_eq!(altered("mtime", json!("2024-05-01T14:00:00.9+02:00")).unwrap().mtime, 1714564800);
        assert_eq!(altered("created", json!("20240501T14+0200")).unwrap().created, "2024-05-01T14:00:00+02:00");
        assert!(altered("created", json!("now")).unwrap().created.ends_with("+00:00"));
    }

    #[test]
    fn errors_name_file_and_key() {
        let start = "malformed stream_layered_image.py configuration: conf.json: ";
        for (key, value, cause) in [
            ("uid", json!("root"), "uid: found the string \"root\", expected a user id"),
            ("uid", json!(-1), "uid: found the number -1, expected a user id"),
            ("repo_tag", json!(null), "repo_tag: found null, expected NAME:TAG"),
            ("config", json!([]), "config: found a list, expected an object or null"),
            (
                "store_layers",
                json!([["/tmp/x"]]),
                "store_layers: not a store path: \"/tmp/x\": it is outside the store",
            ),
            ("mtime", json!("soon"), "mtime: not a time: \"soon\""),
            ("store_dir", json!("nix"), "store_dir: not a store path: \"nix\""),
        ] {
            let error = altered(key, value).unwrap_err().to_string();
            assert!(error.strip_prefix(start).is_some_and(|rest| rest.starts_with(cause)), "{error}");
        }
        let error = Conf::parse(b"{}", "conf.json").unwrap_err().to_string();
        assert_eq!(error, format!("{start}store_dir: missing, expected a store directory"));
    }
}
