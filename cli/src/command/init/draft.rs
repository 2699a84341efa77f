//! What an image.json is begun with: guesses a name, what goes into the image, and its command from a path.

use anyhow::{Context, Result, bail};
use layerstone_store::{Store, StorePath};
use serde_json::{Map, Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf, absolute};

/// Directories of which one makes a directory the root of an image.
const OF_A_ROOT: [&str; 8] = ["bin", "sbin", "etc", "usr", "lib", "opt", "var", "srv"];
/// What the name of a tar ends in.
const TARS: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2"];
/// What an image is called whose path tells no name.
const NO_NAME: &str = "image";

/// An image.json that is to be written.
pub struct Draft {
    pub name: String,
    /// A store path, or what leads to one.
    contents: Option<String>,
    /// What is copied, and where to.
    pub copy: Option<(String, String)>,
    /// What is left out of that.
    exclude: Vec<String>,
    /// Whether what is copied needs something of this machine.
    pub libraries: bool,
    pub cmd: Vec<String>,
}

impl Draft {
    /// What a path is made into; without one an empty image, called like the current directory.
    pub fn of(from: Option<&Path>, output: &Path, store: &Store) -> Result<Draft> {
        let Some(from) = from else { return Ok(Draft::named(&name_of(Path::new("."))?)) };
        if let Ok(path) = store.resolve(from)
            && store.locate(path.as_str()).is_dir()
        {
            return Draft::of_store_path(from, output, &path, store);
        }
        let metadata = from.metadata().with_context(|| format!("cannot find: {}", from.display()))?;
        match metadata.file_type() {
            kind if kind.is_dir() => Draft::of_folder(from, output),
            kind if kind.is_file() => Draft::of_file(from, output),
            _ => bail!("cannot copy: {}: expected a file, a directory or a store path", from.display()),
        }
    }

    fn named(name: &str) -> Draft {
        let (contents, copy, exclude, cmd) = (None, None, Vec::new(), Vec::new());
        Draft { name: image_name(name), contents, copy, exclude, libraries: false, cmd }
    }

    fn of_store_path(from: &Path, output: &Path, path: &StorePath, store: &Store) -> Result<Draft> {
        let cmd = program_in(&store.locate(path.as_str()).join("bin"), path.package())?;
        let cmd = cmd.map(|name| format!("/bin/{name}")).into_iter().collect();
        Ok(Draft { contents: Some(text_of(from, output)?), cmd, ..Draft::named(path.package()) })
    }

    fn of_folder(from: &Path, output: &Path) -> Result<Draft> {
        let name = name_of(from)?;
        let is_root = OF_A_ROOT.iter().any(|folder| from.join(folder).is_dir());
        let (to, bin) = if is_root { ("/".to_owned(), "bin") } else { (format!("/{name}"), "") };
        let program = program_in(&from.join(bin), &name)?.filter(|found| is_root || *found == name);
        let cmd = program.map(|program| if is_root { format!("/bin/{program}") } else { format!("{to}/{program}") });
        let copy = Some((text_of(from, output)?, to));
        let exclude = excluded(from, output);
        Ok(Draft { copy, exclude, cmd: cmd.into_iter().collect(), ..Draft::named(&name) })
    }

    fn of_file(from: &Path, output: &Path) -> Result<Draft> {
        let name = name_of(from)?;
        let text = text_of(from, output)?;
        if let Some(short) = TARS.iter().find_map(|ending| name.strip_suffix(ending)) {
            return Ok(Draft { copy: Some((text, "/".to_owned())), ..Draft::named(short) });
        }
        let to = if is_program(from) { format!("/bin/{name}") } else { format!("/{name}") };
        let cmd = if is_program(from) { vec![to.clone()] } else { Vec::new() };
        Ok(Draft { copy: Some((text, to)), cmd, ..Draft::named(&name) })
    }

    /// The text of the file: what the image is called, what is in it, what it runs.
    pub fn text(&self) -> String {
        let mut file = Map::new();
        let mut add = |key: &str, value: Value| file.insert(key.to_owned(), value);
        add("name", json!(self.name));
        add("tag", json!("latest"));
        if let Some(contents) = &self.contents {
            add("contents", json!([contents]));
        }
        if let Some((from, to)) = &self.copy {
            let mut entry = Map::from_iter([("from".to_owned(), json!(from)), ("to".to_owned(), json!(to))]);
            if !self.exclude.is_empty() {
                entry.insert("exclude".to_owned(), json!(self.exclude));
            }
            if self.libraries {
                entry.insert("libraries".to_owned(), json!(true));
            }
            add("copy", json!([entry]));
        }
        let config = if self.cmd.is_empty() { json!({}) } else { json!({"Cmd": self.cmd}) };
        add("config", config);
        format!("{:#}\n", Value::Object(file))
    }
}

/// What is left out of a directory that the image.json is in: it, and archives of images that are built beside it.
fn excluded(from: &Path, output: &Path) -> Vec<String> {
    let real = || Some((directory_of(output).canonicalize().ok()?, from.canonicalize().ok()?));
    let Some((directory, from)) = real().filter(|_| output != Path::new("-")) else { return Vec::new() };
    let Ok(below) = directory.strip_prefix(from) else { return Vec::new() };
    let names = [output.file_name().unwrap_or_default(), "*.tar".as_ref()];
    names.iter().filter_map(|name| Some(below.join(name).to_str()?.to_owned())).collect()
}

/// The program of this name in a directory, or the only one there.
fn program_in(folder: &Path, name: &str) -> Result<Option<String>> {
    if is_program(&folder.join(name)) {
        return Ok(Some(name.to_owned()));
    }
    let Ok(entries) = folder.read_dir() else { return Ok(None) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read: {}", folder.display()))?;
        found.extend(entry.file_name().into_string().ok().filter(|_| is_program(&entry.path())));
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// What a path is called in the image.json, whose directory relative paths begin in.
fn text_of(path: &Path, output: &Path) -> Result<String> {
    let here = directory_of(output) == Path::new(".");
    let path = if here {
        path.to_owned()
    } else {
        absolute(path).with_context(|| format!("cannot find: {}", path.display()))?
    };
    let text = path.to_str().with_context(|| format!("cannot name in an image.json: {}: not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// The directory that a file is in.
fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The last name of a path, which may be one of directories above it, such as `..`.
fn name_of(path: &Path) -> Result<String> {
    let context = || format!("cannot find: {}", path.display());
    let path = match path.components().next_back() {
        Some(Component::Normal(_)) => path.to_owned(),
        _ => path.canonicalize().with_context(context)?,
    };
    let name = path.file_name().map_or(NO_NAME.into(), |name| name.to_string_lossy());
    Ok(name.into_owned())
}

/// The nearest name that an image may have (distribution/reference, `regexp.go`).
fn image_name(text: &str) -> String {
    let lower = text.to_lowercase();
    let runs = lower.split(|it: char| !it.is_ascii_lowercase() && !it.is_ascii_digit() && it != '.' && it != '_');
    let runs = runs.map(|run| run.trim_matches(['.', '_'])).filter(|run| !run.is_empty());
    let name = runs.collect::<Vec<_>>().join("-").replace("..", ".");
    if name.is_empty() { NO_NAME.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, expected) in [
            ("app", "app"),
            ("My App", "my-app"),
            ("_x_", "x"),
            ("web.py", "web.py"),
            ("a+b", "a-b"),
            ("a..b", "a.b"),
            ("Ä", "image"),
            ("...", "image"),
        ] {
            assert_eq!(image_name(text), expected, "{text}");
        }
    }
}
