//! Parses a policy, `layerstone/policy`. What a policy does not speak of is as it likes.
//!
//! See FORMAT.md beside this crate.

use crate::{Error, Facts, Finding, Result, TrustPolicy, rule};
use layerstone_store::{Digest, describe, json_without_twins, parse_bytes};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Format name of a policy.
pub const POLICY_FORMAT: &str = "layerstone/policy";
/// Version of the format.
pub const POLICY_VERSION: u64 = 1;

/// What an image must be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    format: Option<String>,
    version: Option<u64>,
    /// How large it may be.
    pub size: SizePolicy,
    /// Which packages it must have, and which not.
    pub packages: PackagesPolicy,
    /// Which files it must have, which not, and how they may be.
    pub files: FilesPolicy,
    /// What its config must say.
    pub config: ConfigPolicy,
    /// Architectures that it may be for, by Go's names; empty allows all.
    pub architectures: Vec<String>,
    /// Licences of its packages, as evaluation told them.
    pub licenses: LicensesPolicy,
    /// Who must have signed its store paths.
    pub signatures: SignaturesPolicy,
    /// Digests of the base's manifest that are allowed; empty allows all.
    pub bases: Vec<Digest>,
    /// Who must have signed it, and what must be stated about it.
    pub trust: TrustPolicy,
}

/// Bytes at most, as numbers or as `500M`, `1Gi`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SizePolicy {
    /// Of all layers as they are stored.
    #[serde(deserialize_with = "bytes")]
    pub image: Option<u64>,
    /// Of one layer as it is stored.
    #[serde(deserialize_with = "bytes")]
    pub layer: Option<u64>,
    /// Of the files of one store path.
    #[serde(deserialize_with = "bytes")]
    pub path: Option<u64>,
}

/// Patterns of packages: `gcc` is all versions and outputs, `*-dev` all whose names end so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PackagesPolicy {
    /// None of these.
    pub forbidden: Vec<String>,
    /// At least one of each.
    pub required: Vec<String>,
}

/// Patterns of absolute paths; `*` stays within a directory, `**` does not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FilesPolicy {
    /// None of these.
    pub forbidden: Vec<String>,
    /// Each of these, as it is described.
    pub required: Vec<RequiredFile>,
    /// The files that alone may have a set-user-ID or set-group-ID bit; left out, any may.
    pub set_user_id_allowed: Option<Vec<String>>,
    /// The files that alone everybody may write, besides directories with the sticky bit; left out, any may be so.
    pub world_writable_allowed: Option<Vec<String>>,
}

/// A file that must be there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequiredFile {
    /// Its absolute path.
    pub path: String,
    /// `file`, `directory` or `symlink`.
    #[serde(default)]
    pub kind: Option<String>,
    /// Permission bits in octal digits, `0644`.
    #[serde(default)]
    pub mode: Option<String>,
    /// User id.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Group id.
    #[serde(default)]
    pub gid: Option<u32>,
}

/// What the config must say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConfigPolicy {
    /// The user, exactly.
    pub user: Option<String>,
    /// Whether the user must be another one than root.
    pub not_root: bool,
    /// The entry point, exactly.
    pub entrypoint: Option<Vec<String>>,
    /// The command, exactly.
    pub cmd: Option<Vec<String>>,
    /// Variables of the environment.
    pub env: EnvPolicy,
    /// Labels that must be there, with patterns of their values.
    pub labels: BTreeMap<String, String>,
}

/// Patterns of names of variables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnvPolicy {
    /// At least one of each.
    pub required: Vec<String>,
    /// None of these.
    pub forbidden: Vec<String>,
}

/// Licences by SPDX' identifiers or by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LicensesPolicy {
    /// Only these, if there are any.
    pub allowed: Vec<String>,
    /// None of these.
    pub forbidden: Vec<String>,
    /// Whether each store path with a version must have one.
    pub required: bool,
}

/// Who must have signed store paths.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SignaturesPolicy {
    /// Public keys as Nix writes them, `NAME:BASE64`; each path is signed by one of them, if there are any.
    pub keys: Vec<String>,
}

impl Policy {
    /// Reads a policy from a file that messages call so.
    ///
    /// # Errors
    ///
    /// It is no JSON of this form, a key stands twice in an object of it, or a pattern, a mode or a key in it is none.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Policy> {
        let wrong = |cause: String| Error::Malformed { name: name.to_owned(), cause };
        // An array of values would do for serde.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(wrong("expected an object".to_owned()));
        }
        // Of two keys with the same name the last one would count, and nobody would know it.
        json_without_twins(bytes).map_err(|e| wrong(e.to_string()))?;
        let policy: Policy = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        if let Some(format) = policy.format.as_deref().filter(|format| *format != POLICY_FORMAT) {
            return Err(wrong(format!("format: found {format:?}, expected {POLICY_FORMAT:?}")));
        }
        if let Some(version) = policy.version.filter(|version| *version != POLICY_VERSION) {
            return Err(wrong(format!("version: found {version}, expected {POLICY_VERSION}")));
        }
        rule::validate(&policy).map_err(wrong)?;
        Ok(policy)
    }

    /// What is wrong with an image, rule by rule in the order of this type.
    pub fn check(&self, facts: &Facts) -> Vec<Finding> {
        rule::check(self, facts)
    }

    /// Whether files are spoken of, for which layers must be read.
    pub fn names_files(&self) -> bool {
        let files = &self.files;
        !files.forbidden.is_empty()
            || !files.required.is_empty()
            || files.set_user_id_allowed.is_some()
            || files.world_writable_allowed.is_some()
    }
}

/// A number of bytes, or a text that is one.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let wrong = || {
        let found = describe(&value);
        serde::de::Error::custom(format_args!(
            "found {found}, expected a number of bytes, such as 500000000 or \"500M\""
        ))
    };
    match &value {
        Value::Null => Ok(None),
        Value::String(text) => parse_bytes(text).map(Some).map_err(|_| wrong()),
        value => value.as_u64().map(Some).ok_or_else(wrong),
    }
}
