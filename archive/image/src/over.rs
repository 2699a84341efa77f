//! What an image says over a base: what the base's config is asked for, and what becomes of it.

use crate::inherit::{ON_BUILD, check, inherit, merge_env};
use crate::{BaseFacts, ImageFacts, Result, history};
use layerstone_oci::{go_architecture, host_architecture};
use layerstone_store::{Digest, Error as StageError, describe};
use serde_json::{Map, Value};

/// What messages call the config of an image.
const FORMAT: &str = "image config";
/// What they call the one of the image that is made.
const OURS: &str = "the spec";
/// What the history says made the layers.
const CREATED_BY: &str = "layerstone";

/// Keys beside the execution parameters that an image inherits, if it inherits everything (BuildKit copies all of
/// the base's config; the others of the image-spec are made anew).
const INHERITED: [&str; 3] = ["author", "os.version", "os.features"];

/// What a base's config says.
struct BaseConfig<'a> {
    config: &'a Value,
    name: &'a str,
    parameters: Map<String, Value>,
    /// Go's name of the architecture, if it has one.
    architecture: Option<&'a str>,
    variant: Option<&'a str>,
    os: Option<&'a str>,
    layers: usize,
}

/// What an image's maker says of its config, whatever it is built on.
#[derive(Clone, Debug)]
pub struct OwnConfig<'a> {
    /// When the image was made, as it is to be written.
    pub created: String,
    /// Architecture by Go's name; none for the base's, or this machine's.
    pub architecture: Option<&'a str>,
    /// Variant of the architecture; none for the base's.
    pub variant: Option<&'a str>,
    /// The execution parameters.
    pub parameters: &'a Map<String, Value>,
    /// Whether all execution parameters of the base are inherited, instead of its environment alone.
    pub inherit: bool,
}

impl OwnConfig<'_> {
    /// What the image config says, if there is no base.
    pub fn facts(&self) -> ImageFacts {
        ImageFacts {
            created: self.created.clone(),
            architecture: self.architecture.unwrap_or(host_architecture()).to_owned(),
            variant: self.variant.map(str::to_owned),
            os: "linux".to_owned(),
            config: Value::Object(self.parameters.clone()),
            created_by: Some(CREATED_BY),
            base: BaseFacts::default(),
        }
    }

    /// What the image config says over a base of this config, which messages call `name`.
    ///
    /// # Errors
    ///
    /// If something that is used is not what it must be: in the base's config (OCI image-spec, config.md), or in the
    /// execution parameters of the spec.
    pub fn facts_over(&self, base: &Value, name: &str) -> Result<ImageFacts> {
        let base = BaseConfig::parse(base, name)?;
        let own = self.facts();
        let history = history::fitted(base.config.get("history"), base.layers, &own.created);
        let (architecture, variant) = self.platform_over(&base);
        Ok(ImageFacts {
            architecture: architecture.unwrap_or(own.architecture),
            variant,
            os: base.os.map_or(own.os, str::to_owned),
            config: self.parameters_over(&base)?,
            base: BaseFacts {
                layers: base.layers,
                history: history.map_err(|cause| malformed(name, cause))?,
                keys: if self.inherit { base.inherited_keys() } else { Map::new() },
            },
            ..own
        })
    }

    /// What is allowed but likely wrong about the image on this base, for the user to be told.
    pub fn warnings_over(&self, base: &Value, name: &str) -> Result<Vec<String>> {
        let base = BaseConfig::parse(base, name)?;
        let mut warnings = Vec::new();
        let triggers = base.parameters.get(ON_BUILD).and_then(Value::as_array).map_or(0, Vec::len);
        if self.inherit && triggers > 0 {
            warnings.push(format!("instructions for a Dockerfile in the base image are not followed: {name}: OnBuild"));
        }
        Ok(warnings)
    }

    /// That the base is for another architecture than was asked for, if it is: its programs would not run.
    ///
    /// # Errors
    ///
    /// As for [`OwnConfig::facts_over`].
    pub fn conflict_over(&self, base: &Value, name: &str) -> Result<Option<String>> {
        let theirs = BaseConfig::parse(base, name)?.architecture;
        let (Some(ours), Some(theirs)) = (self.architecture, theirs) else { return Ok(None) };
        Ok((ours != theirs)
            .then(|| format!("wrong base: {name}: found an image for {theirs}, expected one for {ours}")))
    }

    /// Architecture and variant: what the spec says, and otherwise the base's, whose programs are to run.
    fn platform_over(&self, base: &BaseConfig<'_>) -> (Option<String>, Option<String>) {
        let same = self.architecture.is_none_or(|ours| base.architecture == Some(ours));
        let variant = base.variant.filter(|_| same).map(str::to_owned);
        let architecture = self.architecture.or(base.architecture).map(str::to_owned);
        (architecture, self.variant.map(str::to_owned).or(variant))
    }

    fn parameters_over(&self, base: &BaseConfig<'_>) -> Result<Value> {
        let looked_into = if self.inherit { None } else { Some("Env") };
        check(&base.parameters, looked_into).map_err(|cause| malformed(base.name, cause))?;
        check(self.parameters, looked_into).map_err(|cause| malformed(OURS, cause))?;
        if self.inherit {
            return Ok(Value::Object(inherit(&base.parameters, self.parameters)));
        }
        let below = Value::Object(base.parameters.clone());
        merge_env(&below, Value::Object(self.parameters.clone()))
            .map_err(|cause| malformed(OURS, cause.to_string()).into())
    }
}

impl<'a> BaseConfig<'a> {
    fn parse(config: &'a Value, name: &'a str) -> Result<BaseConfig<'a>> {
        let parse = || {
            if !config.is_object() {
                return Err(format!("found {}, expected an object", describe(config)));
            }
            let found = string(config, "architecture")?;
            let (architecture, implied) = found.map_or((None, None), |found| match go_architecture(found) {
                Ok((architecture, implied)) => (Some(architecture), implied),
                Err(_) => (Some(found), None),
            });
            Ok(BaseConfig {
                config,
                name,
                parameters: parameters(config)?,
                architecture,
                variant: string(config, "variant")?.or(implied),
                os: string(config, "os")?,
                layers: layer_count(config)?,
            })
        };
        parse().map_err(|cause| malformed(name, cause).into())
    }

    fn inherited_keys(&self) -> Map<String, Value> {
        let value = |key: &str| self.config.get(key).filter(|value| !value.is_null()).cloned();
        INHERITED.iter().filter_map(|key| Some(((*key).to_owned(), value(key)?))).collect()
    }
}

fn parameters(config: &Value) -> Result<Map<String, Value>, String> {
    match config.get("config") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(parameters)) => Ok(parameters.clone()),
        Some(other) => Err(format!("config: found {}, expected an object or null", describe(other))),
    }
}

/// A string that may be absent, null or empty, which are all the same.
fn string<'a>(config: &'a Value, key: &str) -> Result<Option<&'a str>, String> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(other) => Err(format!("{key}: found {}, expected a string", describe(other))),
    }
}

fn layer_count(config: &Value) -> Result<usize, String> {
    let diff_ids = match config.pointer("/rootfs/diff_ids") {
        None => return Err("rootfs.diff_ids: missing, expected a list of digests".to_owned()),
        Some(Value::Null) => return Ok(0),
        Some(Value::Array(diff_ids)) => diff_ids,
        Some(other) => return Err(format!("rootfs.diff_ids: found {}, expected a list of digests", describe(other))),
    };
    for (index, diff_id) in diff_ids.iter().enumerate() {
        if diff_id.as_str().is_none_or(|text| text.parse::<Digest>().is_err()) {
            return Err(format!("rootfs.diff_ids[{index}]: found {}, expected sha256:HEX", describe(diff_id)));
        }
    }
    Ok(diff_ids.len())
}

fn malformed(name: &str, cause: String) -> StageError {
    StageError::Malformed { format: FORMAT, name: name.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LayerFacts;
    use serde_json::json;

    const NAME: &str = "base.tar: config.json";

    fn diff_id(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    /// What these keys say of an image.json.
    fn with_own<T>(keys: &Value, then: impl FnOnce(OwnConfig) -> T) -> T {
        let text = |key: &str| keys.get(key).map(|value| value.as_str().unwrap());
        let (architecture, implied) = text("architecture").map_or((None, None), |name| {
            let (architecture, variant) = go_architecture(name).unwrap();
            (Some(architecture), variant)
        });
        then(OwnConfig {
            created: "1970-01-01T00:00:01Z".to_owned(),
            architecture,
            variant: text("variant").or(implied),
            parameters: keys.get("config").map_or(&Map::new(), |config| config.as_object().unwrap()),
            inherit: keys.get("inherit") == Some(&json!(true)),
        })
    }

    /// The config of an image of a layer `own` over a base of layers `a` and `b`, which has these keys besides.
    fn over(spec_keys: Value, base_keys: Value) -> Result<Value> {
        let mut base = json!({"architecture": "arm64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [diff_id("a"), diff_id("b")]}});
        base.as_object_mut().unwrap().extend(base_keys.as_object().unwrap().clone());
        let facts = with_own(&spec_keys, |own| own.facts_over(&base, NAME))?;
        let layers = ["a", "b", "own"].map(|text| LayerFacts::customisation(diff_id(text)));
        Ok(serde_json::from_slice(&facts.finish(&layers).config).unwrap())
    }

    #[track_caller]
    fn check(spec_keys: Value, base_keys: Value, key: &str, expected: Value) {
        assert_eq!(over(spec_keys, base_keys).unwrap()[key].to_string(), expected.to_string());
    }

    #[test]
    fn the_whole_config() {
        let base = json!({"created": "2020-01-01T00:00:00Z", "author": "a", "docker_version": "20.10", "container": "c",
            "container_config": {}, "config": {"Env": ["A=1"], "Cmd": ["c"]}, "variant": "v8",
            "history": [{"created_by": "ADD"}, {"created_by": "CMD", "empty_layer": true}, {"created_by": "COPY"}]});
        let config = over(json!({"config": {"User": "u"}}), base.clone()).unwrap();
        let diff_ids = ["a", "b", "own"].map(diff_id);
        let expected = json!({
            "created": "1970-01-01T00:00:01Z",
            "architecture": "arm64",
            "variant": "v8",
            "os": "linux",
            "config": {"User": "u", "Env": ["A=1"]},
            "rootfs": {"diff_ids": diff_ids, "type": "layers"},
            "history": [{"created_by": "ADD"}, {"created_by": "CMD", "empty_layer": true}, {"created_by": "COPY"},
                {"created": "1970-01-01T00:00:01Z", "created_by": "layerstone", "comment": "customisation layer"}],
        });
        assert_eq!(config.to_string(), expected.to_string());
        let config = over(json!({"config": {"User": "u"}, "inherit": true}), base).unwrap();
        assert_eq!(config["config"].to_string(), json!({"Env": ["A=1"], "Cmd": ["c"], "User": "u"}).to_string());
        assert_eq!(config["author"], "a");
        assert_eq!((config.get("docker_version"), config.get("container_config")), (None, None));
    }

    #[test]
    fn the_platform_is_the_bases_unless_the_spec_tells() {
        for (ours, base, expected) in [
            (json!({}), json!({"variant": "v8"}), json!(["arm64", "v8", "linux"])),
            (json!({"architecture": "aarch64-linux"}), json!({"variant": "v8"}), json!(["arm64", "v8", "linux"])),
            (json!({"architecture": "amd64"}), json!({"variant": "v8"}), json!(["amd64", null, "linux"])),
            (json!({"variant": "v9"}), json!({"variant": "v8"}), json!(["arm64", "v9", "linux"])),
            (json!({}), json!({"architecture": "arm32v7", "os": null}), json!(["arm", "v7", "linux"])),
            (json!({}), json!({"architecture": "pdp11", "os": "freebsd"}), json!(["pdp11", null, "freebsd"])),
        ] {
            let config = over(ours, base).unwrap();
            assert_eq!(json!([config["architecture"], config["variant"], config["os"]]), expected);
        }
        let untold = over(json!({}), json!({"architecture": ""})).unwrap();
        assert_eq!(untold["architecture"], host_architecture());
    }

    #[test]
    fn nulls_are_empty() {
        let nulls = json!({"config": {"Env": null, "Labels": null, "Volumes": null}, "history": null, "author": null});
        check(json!({"config": {"Env": ["A=1"]}}), nulls.clone(), "config", json!({"Env": ["A=1"]}));
        check(json!({"config": {"Env": null}, "inherit": true}), nulls.clone(), "config", json!({}));
        let untold = json!({"created": "1970-01-01T00:00:01Z", "comment": "layer of the base image"});
        let own =
            json!({"created": "1970-01-01T00:00:01Z", "created_by": "layerstone", "comment": "customisation layer"});
        check(json!({"inherit": true}), nulls, "history", json!([untold, untold, own]));
        check(json!({}), json!({"config": null}), "config", json!({}));
    }

    #[track_caller]
    fn check_error(spec_keys: Value, base_keys: Value, expected: &str) {
        let error = over(spec_keys, base_keys).unwrap_err().to_string();
        assert_eq!(error, format!("malformed image config: {expected}"));
    }

    #[test]
    fn errors_name_file_and_key() {
        let env = json!({"config": {"Env": "A=1"}});
        check_error(
            json!({}),
            env.clone(),
            "base.tar: config.json: config.Env: found the string \"A=1\", expected a list of strings",
        );
        check_error(env, json!({}), "the spec: config.Env: found the string \"A=1\", expected a list of strings");
        let user = json!({"config": {"User": 0}});
        over(json!({}), user.clone()).unwrap();
        check_error(
            json!({"inherit": true}),
            user,
            "base.tar: config.json: config.User: found the number 0, expected a string",
        );
        for (base, expected) in [
            (json!({"config": []}), "config: found a list, expected an object or null"),
            (json!({"architecture": 1}), "architecture: found the number 1, expected a string"),
            (json!({"history": {}}), "history: found an object, expected a list"),
            (json!({"rootfs": {}}), "rootfs.diff_ids: missing, expected a list of digests"),
            (json!({"rootfs": {"diff_ids": 1}}), "rootfs.diff_ids: found the number 1, expected a list of digests"),
            (
                json!({"rootfs": {"diff_ids": ["sha256:1"]}}),
                "rootfs.diff_ids[0]: found the string \"sha256:1\", expected sha256:HEX",
            ),
        ] {
            check_error(json!({}), base, &format!("{NAME}: {expected}"));
        }
        let error = with_own(&json!({}), |own| own.facts_over(&json!([]), NAME)).unwrap_err().to_string();
        assert_eq!(error, format!("malformed image config: {NAME}: found a list, expected an object"));
    }

    #[test]
    fn warnings() {
        let warnings = |keys: Value, architecture: &str| {
            let base =
                json!({"architecture": architecture, "rootfs": {"diff_ids": []}, "config": {"OnBuild": ["RUN x"]}});
            with_own(&keys, |own| own.warnings_over(&base, "base.tar")).unwrap()
        };
        assert!(warnings(json!({}), "arm64").is_empty());
        assert!(warnings(json!({"architecture": "arm64"}), "aarch64").is_empty());
        assert!(warnings(json!({"architecture": "amd64"}), "arm64").is_empty());
        let conflict = |keys: Value, architecture: &str| {
            let base = json!({"architecture": architecture, "rootfs": {"diff_ids": []}});
            with_own(&keys, |own| own.conflict_over(&base, "base.tar")).unwrap()
        };
        let expected = "wrong base: base.tar: found an image for arm64, expected one for amd64";
        assert_eq!(conflict(json!({"architecture": "amd64"}), "arm64").as_deref(), Some(expected));
        assert_eq!(conflict(json!({"architecture": "arm64"}), "aarch64"), None);
        assert_eq!(conflict(json!({}), "arm64"), None);
        assert_eq!(
            warnings(json!({"inherit": true}), "arm64"),
            ["instructions for a Dockerfile in the base image are not followed: base.tar: OnBuild"]
        );
    }
}
