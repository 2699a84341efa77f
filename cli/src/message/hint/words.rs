//! Hints by the words of the command line that an error names: files of another kind, files that are not there, names that
//! no image may have. Errors of many libraries carry these as text.

use crate::message::command_line::{files, running_name, takes, words};
use crate::message::file_kind;
use crate::message::near::{nearest, nearest_listed};
use std::path::Path;

const DAMAGED: &str = "the file is cut off or damaged: copy it, or make it, again";

/// What the error of a whole chain lets us guess.
pub fn of(text: &str) -> Option<String> {
    of_name(text)
        .or_else(|| of_damage(text))
        .or_else(|| of_absent(text))
        .or_else(|| of_json(text))
        .or_else(|| of_kind(text))
        .or_else(|| of_no_such_image(text))
        .or_else(|| of_no_folder(text))
        .or_else(|| of_no_spec(text))
        .or_else(|| of_full_disk(text))
        .or_else(|| of_permission(text))
        .or_else(|| {
            nearest_listed(text)
                .filter(|_| !text.contains("one of them"))
                .map(|name| format!("a similar value exists: '{name}'"))
        })
}

/// A file that begins as it should, and then is cut off, or has other bytes than it had.
fn of_damage(text: &str) -> Option<String> {
    let is_tar = text.contains(": wrong checksum") || text.contains("not a whole tar: ");
    // Whatever has no good header at the very beginning is no tar, unless an image says that it is one.
    let is_damaged_tar = is_tar && (text.contains("not a good layer: ") || !text.contains(" header at byte 0: "));
    let hint = match text {
        _ if text.starts_with("wrong digest: ") && text.contains(".layer.json: ") => {
            "the layer is another one than it tells of: `layerstone root` and `layerstone layer` write both again"
        }
        _ if text.contains("found no blobs/sha256/") => "the layout lacks a blob: copy it whole, or make it, again",
        _ if is_damaged_tar || text.starts_with("wrong digest: ") => DAMAGED,
        _ if text.starts_with("cannot unpack: ") && text.contains("(os error 2)") => {
            "it is unpacked below TMPDIR, or /tmp: is that directory there?"
        }
        _ if text.starts_with("cannot unpack: ") && !text.contains("(os error ") => DAMAGED,
        _ => return None,
    };
    Some(hint.to_owned())
}

/// A file that another command reads.
fn of_kind(text: &str) -> Option<String> {
    let names = |word: &&String| {
        text.contains(&format!(": {word}: "))
            || text.contains(&format!("{word:?}"))
            || text.ends_with(&format!(": {word}"))
    };
    let words = values();
    let word =
        words.iter().filter(names).find(|word| files().contains(word) || file_kind::of(Path::new(word)).is_some())?;
    let kind = file_kind::of(Path::new(word))?;
    if !is_of_kind(text) || kind.is_expected_by(text) { None } else { kind.hint(word) }
}

/// The words, and the values of words such as `--flag=value`.
fn values() -> Vec<String> {
    let value = |word: String| match word.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => value.to_owned(),
        _ => word,
    };
    words().into_iter().map(value).filter(|word| !word.is_empty()).collect()
}

/// Whether an error may come from a file of another kind.
fn is_of_kind(text: &str) -> bool {
    let starts = [
        "not JSON: ",
        "malformed references graph: ",
        "malformed layerstone/",
        "malformed stream_layered_image.py",
        "wrong format: ",
        "not an image: ",
        "no layer: ",
        "not a store path: ",
    ];
    starts.iter().any(|start| text.starts_with(start))
        || text.contains("Is a directory")
        || text.contains("No such file")
        || (text.starts_with("cannot read: ") && text.contains("not a whole tar"))
        || text.contains("found no manifest.json")
}

/// A file that is not there.
fn of_absent(text: &str) -> Option<String> {
    if !text.contains("No such file or directory") {
        return None;
    }
    let words = values();
    let word = words.iter().find(|word| text.contains(&format!(": {word}: ")));
    let Some(word) = word else {
        let is_in_store = text.contains("/nix/store/") || text.contains("/gnu/store/");
        let has_root = words.iter().any(|word| word == "--root");
        return match is_in_store && takes("root") {
            true if has_root => {
                Some("--root DIR is the directory that has the store in it, as DIR/nix/store".to_owned())
            }
            true => {
                Some("`nix-store --realise PATH` gets it; --root DIR is for a store below another directory".to_owned())
            }
            false => None,
        };
    };
    let path = Path::new(word);
    if path.symlink_metadata().is_ok() {
        return None;
    }
    if running_name() == "why"
        && let Some(image) = words.iter().skip_while(|it| *it != word).skip(1).find(|it| Path::new(it).is_file())
    {
        return Some(format!("the other way round: `layerstone why {image} {word}`"));
    }
    if word.contains(['*', '?']) {
        return Some("without quotes the shell puts in the files that the pattern matches".to_owned());
    }
    if is_behind(&words, word, &["--extra-commands", "--fake-root-commands", "--run-as-root", "--script"])
        && word.contains(' ')
    {
        return Some(format!("it is the name of a file: <(echo {word:?}) makes one of commands"));
    }
    if word.contains(',') && word.split(',').all(|part| Path::new(part).symlink_metadata().is_ok()) {
        return Some("each by itself, as in --contents A --contents B".to_owned());
    }
    if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let entries = parent.read_dir().into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let near = names.iter().find(|it| Path::new(it).file_stem() == Some(name.as_ref())).map(String::as_str);
        if let Some(near) = near.or_else(|| nearest(name, names.iter().map(String::as_str))) {
            let near = if parent == Path::new(".") { near.to_owned() } else { parent.join(near).display().to_string() };
            return Some(format!("there is {near}"));
        }
    }
    if file_kind::is_store_path(path) {
        return Some(
            "`nix-store --realise PATH` gets it; --root DIR is for a store below another directory".to_owned(),
        );
    }
    if takes("base") && is_spec(&words, word) && word.contains(':') {
        return Some(format!(
            "an image.json comes here; --base {} builds on an image",
            if word.starts_with("docker:") { word.clone() } else { format!("registry:{word}") }
        ));
    }
    if is_behind(&words, word, &["--contents"]) && !word.contains('/') {
        return Some(format!(
            "store paths and links to them come here, such as ./result; `nix-build '<nixpkgs>' -A {word}` makes one"
        ));
    }
    if running_name() == "closure"
        && !word.contains('/')
        && !is_behind(&words, word, &["--graph", "--db", "--spec", "--layer"])
    {
        return Some("store paths and links to them come here, such as ./result".to_owned());
    }
    None
}

/// Whether a word is the value of one of these flags.
fn is_behind(words: &[String], word: &str, flags: &[&str]) -> bool {
    words.windows(2).any(|two| two[1] == word && flags.contains(&&*two[0]))
}

/// Whether a word is what a command takes for its spec.
fn is_spec(words: &[String], word: &str) -> bool {
    let before = words.iter().position(|it| it == word).and_then(|at| words.get(at.checked_sub(1)?));
    before.is_none_or(|before| !before.starts_with('-') || before == "--spec")
}

/// A name or a tag that no image may have.
fn of_name(text: &str) -> Option<String> {
    let name = text.split('"').nth(1)?;
    if text.contains("expected a tag of 1 to 128") {
        let fit = name.replace(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)), "-");
        let fit = fit.trim_start_matches(['.', '-']);
        return Some(match fit {
            "" => "leave it out for a tag made of the image's ID, or say --tag latest".to_owned(),
            fit => format!("--tag {fit}"),
        });
    }
    if !text.contains("expected a name such as") {
        return None;
    }
    if name.is_empty() {
        return Some("it is empty: a name is like tool or registry.example/team/tool".to_owned());
    }
    if let Some((_, rest)) = name.split_once("://") {
        return Some(format!("without the word and the slashes: {rest}"));
    }
    if let Some((before, tag)) = name.rsplit_once(':')
        && words().iter().any(|word| word == "--name")
        && !tag.contains('/')
        && !before.contains(':')
    {
        return Some(format!("--name {before} --tag {tag}"));
    }
    if name == "-" || Path::new(name).is_absolute() {
        return Some(
            "HOST/NAME:TAG is an image in a registry; files are read by `layerstone inspect` and `copy`".to_owned(),
        );
    }
    let fit = name.to_lowercase().replace(|c: char| c.is_whitespace(), "-");
    (fit != name).then(|| format!("names are lower-case and have no spaces: {fit}"))
}

/// What is wrong with JSON that a person wrote.
fn of_json(text: &str) -> Option<String> {
    let hint = match text.strip_prefix("not JSON: ")? {
        text if text.contains(": trailing comma") => "JSON has no comma behind the last entry",
        text if text.contains(": key must be a string") => "JSON has double quotes around keys and strings",
        text if text.contains(": EOF while parsing a value at line 1 column 0") => "the file is empty",
        text if text.contains(": EOF while parsing") => "the file ends too early: a bracket or a quote is not closed",
        text if text.contains(": control character") => "a line break in a string is written \\n",
        text if text.contains("the key ") => "one of the two has to go",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// The names that a file has images of.
fn of_no_such_image(text: &str) -> Option<String> {
    let (wanted, found) = text.strip_prefix("no such image: ")?.split_once(": found ")?;
    let (path, _) = wanted.split_once('#')?;
    let first = found.split(", ").next().filter(|name| !name.starts_with("one without") && *name != "no image")?;
    // A layout has an image under a name and a tag besides, and tells its platform: `hello:1 1 (linux/amd64)`.
    let first = first.split(' ').next()?;
    Some(format!("{path}#{first}"))
}

/// A directory whose parent is not there.
fn of_no_folder(text: &str) -> Option<String> {
    let starts = ["cannot make the directory: ", "cannot write man pages: "];
    let path = starts.iter().find_map(|start| text.strip_prefix(start))?.split(": No").next()?;
    let parent = Path::new(path).parent().filter(|it| !it.as_os_str().is_empty());
    match parent {
        Some(parent) if !parent.exists() => Some(format!("mkdir -p {}", parent.display())),
        Some(parent) if parent.is_file() => Some(format!("{} is a file: choose another name", parent.display())),
        _ if Path::new(path).is_file() => Some(format!("{path} is a file: choose another name")),
        _ => None,
    }
}

/// A disk, or a user's share of it, that is full; what the kernel has no more of is called so, too.
fn of_full_disk(text: &str) -> Option<String> {
    let is_full = ["No space left on device", "Disk quota exceeded"].iter().any(|it| text.contains(it));
    (is_full && ["cannot write", "cannot unpack"].iter().any(|it| text.contains(it)))
        .then(|| "make room on that disk, or name another one; --cache DIR and TMPDIR may lie elsewhere too".to_owned())
}

/// What this user may not read or write.
fn of_permission(text: &str) -> Option<String> {
    let is_refused = text.contains("Permission denied (os error 13)");
    let hint = match is_refused {
        true if text.starts_with("cannot write: ") => {
            "name a place that this user may write to; `ls -ld` shows who may"
        }
        true if text.starts_with("cannot read: ") => "this user may not read it; `ls -l` shows who may",
        _ if text.contains("Read-only file system (os error 30)") => {
            "name a place on a file system that is not read-only"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What is read in place of a spec.
fn of_no_spec(text: &str) -> Option<String> {
    let words = words();
    let is_build = matches!(&*running_name(), "build" | "ninja" | "make" | "check");
    let is_spec = words.iter().any(|word| text.contains(&format!(": {word}: ")) && is_spec(&words, word));
    let is_absent = text.starts_with("not JSON: ") || text.contains("No such file or directory");
    (is_build && is_spec && is_absent).then(|| "`layerstone init` writes an image.json to begin with".to_owned())
}
