//! Parses an entry of `copy`, from image.json (`{"from": "./app", "to": "/bin/app", "mode": "0755"}`) or from a flag
//! (`./app:/bin/app,mode=0755`).

use super::parse::id;
use super::perms::mode;
use layerstone_store::{Fields, Result, string};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The keys of an entry besides `from` and `to`.
const OPTIONS: &str = "mode, uid, gid, exclude, unpack, layer, libraries, divide and layers";

/// Layers that a divided entry has at most, if it does not say.
const DEFAULT_LAYERS: usize = 8;
/// How many it may say: more than an image has.
const MOST_LAYERS: u64 = 100;
/// How deep it may be divided.
const MOST_DEPTH: u64 = 16;

/// Files of this machine that become files of the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyEntry {
    /// A file, a directory or a tar on this machine.
    pub from: PathBuf,
    /// Where it is in the image, beginning with a slash. A file goes into the directory that a slash at the end names.
    pub to: String,
    /// Permission bits of files; directories get `x` besides wherever they have `r`. None for those that are found.
    pub mode: Option<u32>,
    /// User that owns what is copied; none for that of a tar's member, or the layer's.
    pub uid: Option<u32>,
    /// Group, likewise.
    pub gid: Option<u32>,
    /// Globs of what is left out, below `from`.
    pub exclude: Vec<String>,
    /// Whether a tar is unpacked; none if it is one by its name, and `to` a directory.
    pub unpack: Option<bool>,
    /// The layer of its own that it goes to, with all others of this name; none for the customisation layer.
    pub layer: Option<String>,
    /// Whether the interpreters and libraries that its programs need are copied too, from this machine.
    pub libraries: bool,
    /// At which depth it is divided, each package of what is there going to one of several layers; none for not at all.
    pub divide: Option<usize>,
    /// How many layers it is divided into; none for the usual number.
    pub layers: Option<usize>,
    /// Which of these layers the entry is about, counted from 0; none for all. No spec says it.
    pub share: Option<usize>,
}

impl CopyEntry {
    /// Reads an entry of `copy`; its relative paths are relative to `directory`.
    pub(super) fn read(mut fields: Fields, directory: &Path) -> Result<CopyEntry> {
        let text = |value: &Value| string(value).filter(|text| !text.is_empty());
        let globs = |value: &Value| match value {
            Value::Array(items) => items.iter().map(text).collect(),
            one => text(one).map(|glob| vec![glob]),
        };
        let to = |value: &Value| string(value).filter(|to| is_target(to));
        let entry = CopyEntry {
            from: directory.join(fields.required("from", "the path of a file, a directory or a tar", text)?),
            to: fields.required("to", "a path in the image, such as \"/app\", without \"..\"", to)?,
            mode: fields.optional("mode", "permission bits in octal, a string such as \"0755\"", mode)?,
            uid: fields.optional("uid", "a user id", id)?,
            gid: fields.optional("gid", "a group id", id)?,
            exclude: fields.optional("exclude", "a glob or a list of globs", globs)?.unwrap_or_default(),
            unpack: fields.optional("unpack", "true or false", Value::as_bool)?,
            layer: fields.optional("layer", "the name of a layer", text)?,
            libraries: fields.optional("libraries", "true or false", Value::as_bool)?.unwrap_or_default(),
            divide: fields.optional("divide", DEPTHS, |value| within(value.as_u64()?, MOST_DEPTH))?,
            layers: fields.optional("layers", NUMBERS, |value| within(value.as_u64()?, MOST_LAYERS))?,
            share: None,
        };
        if entry.layers.is_some() && entry.divide.is_none() {
            return Err(fields.error("layers", "found without divide, expected with it"));
        }
        match fields.left_over().next() {
            Some(key) => Err(fields.error(key, format_args!("unknown key, the known ones are from, to, {OPTIONS}"))),
            None => Ok(entry),
        }
    }

    /// How many layers it is divided into.
    pub fn shares(&self) -> usize {
        self.layers.unwrap_or(DEFAULT_LAYERS)
    }

    /// The layers of its own that it goes to, bottom first; none for the customisation layer.
    pub fn own_layers(&self) -> Vec<String> {
        let name = match (self.share, self.divide, &self.layer) {
            (Some(_), ..) | (None, None, None) => return Vec::new(),
            (None, None, Some(name)) => return vec![name.clone()],
            (None, Some(_), Some(name)) => name,
            (None, Some(_), None) => {
                self.to.split('/').rfind(|part| !part.is_empty() && *part != ".").unwrap_or("files")
            }
        };
        (1..=self.shares()).map(|number| format!("{name}-{number}")).collect()
    }

    /// What goes to the layer of this name, or without one to the customisation layer.
    pub fn part_in(&self, layer: Option<&str>) -> Option<CopyEntry> {
        let layers = self.own_layers();
        let Some(layer) = layer else { return layers.is_empty().then(|| self.clone()) };
        let index = layers.iter().position(|name| name == layer)?;
        Some(CopyEntry { share: self.divide.map(|_| index), ..self.clone() })
    }

    /// Whether the source is a directory in which `to` names one: a file keeps its name there.
    pub fn is_into_directory(&self) -> bool {
        self.to.ends_with('/')
    }

    /// Whether a tar of this name would be unpacked.
    pub fn unpacks(&self) -> bool {
        self.unpack.unwrap_or_else(|| self.is_into_directory() && is_tar(&self.from))
    }
}

/// What a depth is, and a number of layers.
const DEPTHS: &str = "a number from 1 to 16";
const NUMBERS: &str = "a number from 1 to 100";

fn within(number: u64, most: u64) -> Option<usize> {
    (1..=most).contains(&number).then_some(number as usize)
}

/// Whether a path in the image is absolute and stays where it is.
fn is_target(to: &str) -> bool {
    to.starts_with('/') && !to.contains('\0') && to.split('/').all(|part| part != "..")
}

/// Whether a file is a tar by its name.
fn is_tar(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let endings = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst", ".tzst"];
    endings.iter().any(|ending| name.ends_with(ending))
}

impl FromStr for CopyEntry {
    type Err = String;

    /// Reads `FROM:TO[,KEY=VALUE…]`. `TO` begins behind the last colon that a slash follows and no comma precedes.
    fn from_str(text: &str) -> Result<CopyEntry, String> {
        let at = text.rfind(":/").filter(|at| *at > 0);
        let Some(at) = at else {
            return Err("expected FROM:TO, where TO is a path in the image, such as ./app:/bin/app".to_owned());
        };
        let (from, rest) = (&text[..at], &text[at + 1..]);
        let mut words = rest.split(',');
        let to = words.next().unwrap_or_default();
        if !is_target(to) {
            return Err(format!("found {to:?}, expected a path in the image without \"..\""));
        }
        let mut entry = CopyEntry { from: from.into(), to: to.to_owned(), ..CopyEntry::default() };
        words.try_for_each(|word| entry.set(word))?;
        if entry.layers.is_some() && entry.divide.is_none() {
            return Err("layers: found without divide, expected with it".to_owned());
        }
        Ok(entry)
    }
}

impl CopyEntry {
    /// Takes an option of a flag, `KEY=VALUE`.
    fn set(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse().map_err(|_| format!("{key}: found {value:?}, expected a number"));
        let bounded = |text: &str, most, expected| {
            let number = text.parse().ok().and_then(|number| within(number, most));
            number.ok_or_else(|| format!("{key}: found {text:?}, expected {expected}"))
        };
        let boolean = || value.parse().map_err(|_| format!("{key}: found {value:?}, expected true or false"));
        match (key, value) {
            ("mode" | "uid" | "gid" | "exclude" | "unpack" | "layer" | "libraries" | "divide" | "layers", "") => {
                return Err(format!("{key}: found no value, expected {key}=VALUE"));
            }
            ("mode", text) => {
                let bits = mode(&Value::from(text));
                self.mode = Some(bits.ok_or_else(|| format!("mode: found {text:?}, expected octal digits, as 0755"))?);
            }
            ("uid", _) => self.uid = Some(number()?),
            ("gid", _) => self.gid = Some(number()?),
            ("exclude", glob) => self.exclude.push(glob.to_owned()),
            ("unpack", _) => self.unpack = Some(boolean()?),
            ("libraries", _) => self.libraries = boolean()?,
            ("divide", text) => self.divide = Some(bounded(text, MOST_DEPTH, DEPTHS)?),
            ("layers", text) => self.layers = Some(bounded(text, MOST_LAYERS, NUMBERS)?),
            ("layer", name) => self.layer = Some(name.to_owned()),
            _ => return Err(format!("found {word:?}, expected KEY=VALUE, where KEY is one of {OPTIONS}")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<CopyEntry> {
        CopyEntry::read(Fields::parse(value.to_string().as_bytes(), "test", "t.json")?, Path::new("/specs"))
    }

    fn entry(from: &str, to: &str) -> CopyEntry {
        CopyEntry { from: from.into(), to: to.into(), ..CopyEntry::default() }
    }

    #[test]
    fn of_json() {
        assert_eq!(read(&json!({"from": "app", "to": "/bin/app"})).unwrap(), entry("/specs/app", "/bin/app"));
        let all = json!({"from": "/x", "to": "/", "mode": "644", "uid": 7, "gid": 8, "exclude": ["a", "b/**"],
            "unpack": true, "layer": "deps", "libraries": true, "divide": 2, "layers": 5});
        let expected = CopyEntry {
            mode: Some(0o644),
            uid: Some(7),
            gid: Some(8),
            exclude: vec!["a".into(), "b/**".into()],
            unpack: Some(true),
            layer: Some("deps".into()),
            libraries: true,
            divide: Some(2),
            layers: Some(5),
            ..entry("/x", "/")
        };
        assert_eq!(read(&all).unwrap(), expected);
        assert_eq!(read(&json!({"from": "x", "to": "/x", "exclude": "a"})).unwrap().exclude, ["a"]);
    }

    #[test]
    fn of_a_flag() {
        let check = |text: &str, expected: CopyEntry| assert_eq!(text.parse(), Ok(expected), "{text}");
        check("./app:/bin/app", entry("./app", "/bin/app"));
        check("conf/:/etc/app/", entry("conf/", "/etc/app/"));
        check("c:/x:/y", entry("c:/x", "/y"));
        check("a,b:/c", entry("a,b", "/c"));
        let all = CopyEntry {
            mode: Some(0o755),
            uid: Some(1000),
            gid: Some(100),
            exclude: vec!["*.o".into(), "t=1".into()],
            unpack: Some(false),
            layer: Some("deps".into()),
            libraries: true,
            divide: Some(1),
            layers: Some(3),
            ..entry("x", "/y")
        };
        let options = "mode=0755,uid=1000,gid=100,exclude=*.o,exclude=t=1,unpack=false,layer=deps,libraries=true,divide=1,layers=3";
        check(&format!("x:/y,{options}"), all);
    }

    #[test]
    fn what_is_wrong() {
        for (text, expected) in [
            ("./app", "expected FROM:TO, where TO is a path in the image"),
            (":/x", "expected FROM:TO"),
            ("app:bin", "expected FROM:TO"),
            ("x:/a/../b", "found \"/a/../b\", expected a path in the image without"),
            ("x:/y,mode=u+x", "mode: found \"u+x\", expected octal digits"),
            ("x:/y,uid=root", "uid: found \"root\", expected a number"),
            ("x:/y,layer=", "layer: found no value"),
            ("x:/y,unpack=maybe", "unpack: found \"maybe\", expected true or false"),
            ("x:/y,divide=0", "divide: found \"0\", expected a number from 1 to 16"),
            ("x:/y,layers=2", "layers: found without divide"),
            ("x:/y,divide=1,layers=101", "layers: found \"101\", expected a number from 1 to 100"),
            ("x:/y,libraries=yes", "libraries: found \"yes\""),
            ("x:/y,z", "found \"z\", expected KEY=VALUE"),
            ("x:/y,chmod=1", "where KEY is one of mode"),
        ] {
            let error = text.parse::<CopyEntry>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        for (value, expected) in [
            (json!({"to": "/x"}), "from: missing"),
            (json!({"from": "", "to": "/x"}), "from: found the string \"\""),
            (json!({"from": "x", "to": "x"}), "to: found the string \"x\", expected a path in the image"),
            (json!({"from": "x", "to": "/x", "mode": 755}), "mode: found the number 755"),
            (json!({"from": "x", "to": "/x", "chmod": "1"}), "chmod: unknown key, the known ones are from, to, mode"),
        ] {
            let error = read(&value).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn layers_of_their_own() {
        let layers = |text: &str| text.parse::<CopyEntry>().unwrap().own_layers();
        assert_eq!(layers("x:/y"), [""; 0]);
        assert_eq!(layers("x:/y,layer=a"), ["a"]);
        assert_eq!(layers("x:/usr/lib/packages/,divide=1,layers=2"), ["packages-1", "packages-2"]);
        assert_eq!(layers("x:/,divide=1,layers=2,layer=a"), ["a-1", "a-2"]);
        assert_eq!(layers("x:/,divide=1").len(), 8);
        let entry: CopyEntry = "x:/y,divide=1,layers=2".parse().unwrap();
        assert_eq!(entry.part_in(None), None);
        assert_eq!(entry.part_in(Some("y-2")).unwrap().share, Some(1));
        assert_eq!(entry.part_in(Some("y-3")), None);
        // A part is all of what its spec has.
        let part = entry.part_in(Some("y-2")).unwrap();
        assert_eq!((part.own_layers(), part.part_in(None)), (Vec::new(), Some(part.clone())));
    }

    #[test]
    fn tars_by_their_names() {
        let unpacks = |from: &str, to: &str| entry(from, to).unpacks();
        assert!(unpacks("x.tar", "/") && unpacks("x.TAR.GZ", "/a/") && unpacks("x.tgz", "/"));
        assert!(!unpacks("x.tar", "/x.tar") && !unpacks("x", "/") && !unpacks("tar", "/"));
        assert!(!CopyEntry { unpack: Some(false), ..entry("x.tar", "/") }.unpacks());
        assert!(CopyEntry { unpack: Some(true), ..entry("x", "/y") }.unpacks());
    }
}
