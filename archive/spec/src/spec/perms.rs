//! Parses an entry of `perms`: `{"path": "bin/x", "mode": "0755", "uid": 0}`.

use super::parse::id;
use layerstone_store::{describe, string};
use serde_json::{Map, Value};

/// The bits that a mode may have (chmod(2)).
const MODE_BITS: u32 = 0o7777;
/// The keys of a rule.
const KEYS: &str = "path, glob, mode, uid, gid, uname and gname";

/// Owner and mode for entries of the topmost layer; what a rule does not say stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Perm {
    /// The entries.
    pub which: Which,
    /// Permission bits; symlinks have none.
    pub mode: Option<u32>,
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// User name; with a user id alone it is that of [`Owner::numbered`](layerstone_tar::Owner::numbered).
    pub uname: Option<String>,
    /// Group name, likewise.
    pub gname: Option<String>,
}

/// Which entries are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one of this name, with or without a slash or `./` in front; `.` for the root directory.
    Path(String),
    /// Those whose whole names below the root match: `*` and `?` within a name, `**` for any directories, `[…]`.
    Glob(String),
}

impl Perm {
    /// Reads an entry of `perms`. An error says what was found and what was expected.
    pub(super) fn read(value: &Value) -> Result<Perm, String> {
        let Value::Object(map) = value else { return Err(format!("found {}, expected an object", describe(value))) };
        let mut keys = Keys(map.clone());
        let which = match (keys.take("path", "a string", string)?, keys.take("glob", "a string", string)?) {
            (Some(path), None) => Which::Path(path),
            (None, Some(glob)) => Which::Glob(glob),
            (Some(_), Some(_)) => return Err("path: found glob too, expected one of them".to_owned()),
            (None, None) => return Err("found neither path nor glob, expected one of them".to_owned()),
        };
        let perm = Perm {
            which,
            mode: keys.take("mode", "permission bits in octal, a string such as \"0755\"", mode)?,
            uid: keys.take("uid", "a user id", id)?,
            gid: keys.take("gid", "a group id", id)?,
            uname: keys.take("uname", "a user name", string)?,
            gname: keys.take("gname", "a group name", string)?,
        };
        if let Some(key) = keys.0.keys().next() {
            return Err(format!("{key}: unknown key, the known ones are {KEYS}"));
        }
        match perm.mode.is_some() || perm.has_owner() {
            true => Ok(perm),
            false => Err("found no mode and no owner, expected some of them".to_owned()),
        }
    }

    /// Whether it gives an owner, by number or by name.
    pub fn has_owner(&self) -> bool {
        self.uid.is_some() || self.gid.is_some() || self.has_names()
    }

    /// Whether it gives a name to an owner.
    pub fn has_names(&self) -> bool {
        self.uname.is_some() || self.gname.is_some()
    }
}

/// The keys of a rule that nobody took yet.
struct Keys(Map<String, Value>);

impl Keys {
    /// A value that may be absent; null is absent.
    fn take<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        match self.0.shift_remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(&value) {
                Some(read) => Ok(Some(read)),
                None => Err(format!("{key}: found {}, expected {expected}", describe(&value))),
            },
        }
    }
}

/// A string of octal digits. A number is none: 755 would be 01363, and JSON has no octal numbers.
fn mode(value: &Value) -> Option<u32> {
    let text = value.as_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= MODE_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules() {
        let nothing =
            Perm { which: Which::Path("bin/x".into()), mode: None, uid: None, gid: None, uname: None, gname: None };
        let read = |value: Value| Perm::read(&value).unwrap();
        for (text, mode) in [("0755", 0o755), ("755", 0o755), ("01777", 0o1777), ("0", 0), ("007777", 0o7777)] {
            assert_eq!(read(json!({"path": "bin/x", "mode": text})), Perm { mode: Some(mode), ..nothing.clone() });
        }
        let all = json!({"glob": "**", "mode": null, "uid": 1000, "gid": 0, "uname": "app", "gname": ""});
        let expected = Perm {
            which: Which::Glob("**".into()),
            mode: None,
            uid: Some(1000),
            gid: Some(0),
            uname: Some("app".into()),
            gname: Some(String::new()),
        };
        assert_eq!(read(all), expected);
    }

    #[test]
    fn what_is_wrong() {
        let check = |value: Value, expected: &str| assert_eq!(Perm::read(&value), Err(expected.to_owned()));
        let expected = "expected permission bits in octal, a string such as \"0755\"";
        check(json!({"path": "x", "mode": 755}), &format!("mode: found the number 755, {expected}"));
        for text in ["", "0888", "0100644", "u+x", "-1", "+7", "0o755"] {
            check(json!({"path": "x", "mode": text}), &format!("mode: found the string {text:?}, {expected}"));
        }
        check(json!("x"), "found the string \"x\", expected an object");
        check(json!({"mode": "0755"}), "found neither path nor glob, expected one of them");
        check(json!({"path": "x", "glob": "x", "uid": 0}), "path: found glob too, expected one of them");
        check(json!({"path": "x"}), "found no mode and no owner, expected some of them");
        check(json!({"path": "x", "uid": -1}), "uid: found the number -1, expected a user id");
        check(
            json!({"path": "x", "regex": ".*", "uid": 0}),
            "regex: unknown key, the known ones are path, glob, mode, uid, gid, uname and gname",
        );
    }
}
