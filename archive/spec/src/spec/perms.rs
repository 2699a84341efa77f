//! Parses an entry of `perms`: `{"path": "bin/x", "mode": "0755", "uid": 0}`.

use super::parse::id;
use layerstone_store::{Fields, Result, string};
use serde_json::Value;

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
    /// Reads an entry of `perms`.
    pub(super) fn read(mut fields: Fields) -> Result<Perm> {
        let which = match (fields.optional("path", "a string", string)?, fields.optional("glob", "a string", string)?) {
            (Some(path), None) => Which::Path(path),
            (None, Some(glob)) => Which::Glob(glob),
            (Some(_), Some(_)) => return Err(fields.error("path", "found glob too, expected one of them")),
            (None, None) => return Err(fields.invalid("found neither path nor glob, expected one of them")),
        };
        let perm = Perm {
            which,
            mode: fields.optional("mode", "permission bits in octal, a string such as \"0755\"", mode)?,
            uid: fields.optional("uid", "a user id", id)?,
            gid: fields.optional("gid", "a group id", id)?,
            uname: fields.optional("uname", "a user name", string)?,
            gname: fields.optional("gname", "a group name", string)?,
        };
        match fields.left_over().next() {
            Some(key) => Err(fields.error(key, format_args!("unknown key, the known ones are {KEYS}"))),
            None if perm.mode.is_some() || perm.has_owner() => Ok(perm),
            None => Err(fields.invalid("found no mode and no owner, expected some of them")),
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

/// A string of octal digits. A number is none: 755 would be 01363, and JSON has no octal numbers.
pub(super) fn mode(value: &Value) -> Option<u32> {
    let text = value.as_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= MODE_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<Perm> {
        Perm::read(Fields::parse(value.to_string().as_bytes(), "test", "t.json")?)
    }

    #[test]
    fn rules() {
        let nothing =
            Perm { which: Which::Path("bin/x".into()), mode: None, uid: None, gid: None, uname: None, gname: None };
        let read = |value: Value| read(&value).unwrap();
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
        let check = |value: Value, expected: &str| {
            assert_eq!(read(&value).unwrap_err().to_string(), format!("malformed test: t.json: {expected}"));
        };
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
