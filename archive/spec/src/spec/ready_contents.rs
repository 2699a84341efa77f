//! Parses ready contents as image.json and the command line name them: `fakeNss`, `{"binSh": "/nix/store/…-bash"}`.

use layerstone_store::{describe, string};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The names of all helpers.
const NAMES: [&str; 6] = ["fakeNss", "tmp", "shadowSetup", "usrBinEnv", "binSh", "caCertificates"];

/// Ready contents by nixpkgs' name for them, but for `tmp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Helper {
    /// Users and groups: root and nobody, and these lines.
    FakeNss {
        /// Lines of /etc/passwd.
        extra_passwd_lines: Vec<String>,
        /// Lines of /etc/group.
        extra_group_lines: Vec<String>,
    },
    /// The directory /tmp.
    Tmp,
    /// The files that programs need to manage users.
    ShadowSetup,
    /// /usr/bin/env of this package.
    UsrBinEnv(PathBuf),
    /// /bin/sh of this package.
    BinSh(PathBuf),
    /// The certificates of this package.
    CaCertificates(PathBuf),
}

impl Helper {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Helper::FakeNss { .. } => "fakeNss",
            Helper::Tmp => "tmp",
            Helper::ShadowSetup => "shadowSetup",
            Helper::UsrBinEnv(_) => "usrBinEnv",
            Helper::BinSh(_) => "binSh",
            Helper::CaCertificates(_) => "caCertificates",
        }
    }

    /// The package that it links to.
    pub fn package(&self) -> Option<&Path> {
        match self {
            Helper::UsrBinEnv(package) | Helper::BinSh(package) | Helper::CaCertificates(package) => Some(package),
            Helper::FakeNss { .. } | Helper::Tmp | Helper::ShadowSetup => None,
        }
    }

    /// Reads an entry of `helpers`, a name or an object of one name and what it takes; a package's relative path is
    /// relative to `directory`. An error says what was found and what was expected.
    pub(super) fn read(value: &Value, directory: &Path) -> Result<Helper, String> {
        match value {
            Value::String(name) => Helper::new(name, &Value::Null, directory),
            Value::Object(map)
                if map.len() == 1
                    && let Some((name, argument)) = map.iter().next() =>
            {
                Helper::new(name, argument, directory)
            }
            other => Err(format!("found {}, expected a name or an object with one key, a name", describe(other))),
        }
    }

    fn new(name: &str, argument: &Value, directory: &Path) -> Result<Helper, String> {
        let package = || match argument {
            Value::String(path) if !path.is_empty() => Ok(directory.join(path)),
            Value::Null => Err(format!("{name}: found nothing, expected the package that it links to")),
            other => Err(format!("{name}: found {}, expected the path of a package", describe(other))),
        };
        match name {
            "fakeNss" => fake_nss(argument),
            "tmp" => alone(Helper::Tmp, argument),
            "shadowSetup" => alone(Helper::ShadowSetup, argument),
            "usrBinEnv" => package().map(Helper::UsrBinEnv),
            "binSh" => package().map(Helper::BinSh),
            "caCertificates" => package().map(Helper::CaCertificates),
            _ => Err(format!("unknown helper {name:?}, the nearest known one is {:?}", nearest(name))),
        }
    }
}

impl FromStr for Helper {
    type Err = String;

    /// Reads `NAME`, `NAME=PATH`, or an entry of `helpers` that is an object, as JSON.
    fn from_str(text: &str) -> Result<Helper, String> {
        if text.starts_with('{') {
            let entry = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
            return Helper::read(&entry, Path::new(""));
        }
        let (name, argument) = text.split_once('=').map_or((text, Value::Null), |(name, path)| (name, path.into()));
        Helper::new(name, &argument, Path::new(""))
    }
}

fn alone(helper: Helper, argument: &Value) -> Result<Helper, String> {
    match argument {
        Value::Null => Ok(helper),
        other => Err(format!("{}: found {}, expected nothing", helper.name(), describe(other))),
    }
}

fn fake_nss(argument: &Value) -> Result<Helper, String> {
    let mut lines = match argument {
        Value::Null => Map::new(),
        Value::Object(map) => map.clone(),
        other => {
            return Err(format!("fakeNss: found {}, expected extraPasswdLines and extraGroupLines", describe(other)));
        }
    };
    let mut take = |key: &str| match lines.shift_remove(key) {
        None => Ok(Vec::new()),
        Some(value) => value
            .as_array()
            .and_then(|lines| lines.iter().map(string).collect())
            .ok_or_else(|| format!("fakeNss: {key}: found {}, expected a list of strings", describe(&value))),
    };
    let helper =
        Helper::FakeNss { extra_passwd_lines: take("extraPasswdLines")?, extra_group_lines: take("extraGroupLines")? };
    match lines.keys().next() {
        None => Ok(helper),
        Some(key) => Err(format!("fakeNss: unknown key {key:?}, expected extraPasswdLines or extraGroupLines")),
    }
}

/// The name that takes the fewest edits, capital letters or not; among equals the first in [`NAMES`].
fn nearest(name: &str) -> &'static str {
    let name = name.to_lowercase();
    let by_distance = |candidate: &&&str| strsim::damerau_levenshtein(&name, &candidate.to_lowercase());
    NAMES.iter().min_by_key(by_distance).expect("there are names")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(value: Value, expected: Result<Helper, &str>) {
        assert_eq!(Helper::read(&value, Path::new("/specs")), expected.map_err(str::to_owned));
    }

    fn nss(passwd: &[&str], group: &[&str]) -> Helper {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Helper::FakeNss { extra_passwd_lines: owned(passwd), extra_group_lines: owned(group) }
    }

    #[test]
    fn in_an_image_json() {
        check(json!("tmp"), Ok(Helper::Tmp));
        check(json!("fakeNss"), Ok(nss(&[], &[])));
        check(json!({"fakeNss": {"extraGroupLines": ["x"]}}), Ok(nss(&[], &["x"])));
        check(json!({"shadowSetup": null}), Ok(Helper::ShadowSetup));
        check(json!({"binSh": "result"}), Ok(Helper::BinSh(PathBuf::from("/specs/result"))));
        check(json!({"usrBinEnv": "/nix/store/x"}), Ok(Helper::UsrBinEnv(PathBuf::from("/nix/store/x"))));
        check(json!("fakenss"), Err("unknown helper \"fakenss\", the nearest known one is \"fakeNss\""));
        check(json!({"binBash": "x"}), Err("unknown helper \"binBash\", the nearest known one is \"binSh\""));
        check(json!("binSh"), Err("binSh: found nothing, expected the package that it links to"));
        check(json!({"binSh": ["x"]}), Err("binSh: found a list, expected the path of a package"));
        check(json!({"tmp": true}), Err("tmp: found true, expected nothing"));
        check(json!({}), Err("found an object, expected a name or an object with one key, a name"));
        check(json!(7), Err("found the number 7, expected a name or an object with one key, a name"));
        check(
            json!({"fakeNss": {"extraPasswdLines": "x"}}),
            Err("fakeNss: extraPasswdLines: found the string \"x\", expected a list of strings"),
        );
        check(
            json!({"fakeNss": {"extraLines": []}}),
            Err("fakeNss: unknown key \"extraLines\", expected extraPasswdLines or extraGroupLines"),
        );
    }

    #[test]
    fn on_the_command_line() {
        assert_eq!("fakeNss".parse(), Ok(nss(&[], &[])));
        assert_eq!("binSh=./a=b".parse(), Ok(Helper::BinSh(PathBuf::from("./a=b"))));
        assert_eq!("tmp=x".parse::<Helper>(), Err("tmp: found the string \"x\", expected nothing".to_owned()));
        let expected = "caCertificates: found the string \"\", expected the path of a package";
        assert_eq!("caCertificates=".parse::<Helper>(), Err(expected.to_owned()));
    }

    #[test]
    fn names() {
        for name in NAMES {
            let helper = name.parse::<Helper>().or_else(|_| format!("{name}=x").parse()).unwrap();
            assert_eq!((helper.name(), nearest(&name.to_uppercase())), (name, name));
        }
    }
}
