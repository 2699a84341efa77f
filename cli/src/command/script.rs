//! `layerstone script`: a command line out of a file, so that the file is a program without a shell.

use crate::itself::become_ourselves;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The line in whose place comes what a script is called with, as a shell writes it.
const GIVEN: &str = "\"$@\"";

/// Run the command line that a file holds
///
/// Each line of the file is a word, except a first one that begins with `#!`: with `#!/…/layerstone script` there, the
/// file is a program that needs no shell. What it is called with comes behind its words, or in the place of a line `"$@"`.
#[derive(Args)]
pub struct Options {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Words behind those of the file
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

pub fn run(options: &Options) -> Result<()> {
    let text = fs::read(&options.file).with_context(|| format!("cannot read: {}", options.file.display()))?;
    if text.contains(&0) {
        bail!("no words: {}: found a NUL byte, expected a command line, a word a line", options.file.display());
    }
    let mut words = words(&text);
    if words.is_empty() {
        bail!("no words: {}: found an empty file, expected a command line, a word a line", options.file.display());
    }
    let at = words.iter().position(|word| *word == GIVEN);
    let place = at.map_or(words.len()..words.len(), |at| at..at + 1);
    words.splice(place, options.words.iter().map(OsString::as_os_str));
    become_ourselves(&words, Vec::new())
}

/// The lines of a script, its last one with or without an end.
fn words(text: &[u8]) -> Vec<&OsStr> {
    if text.is_empty() {
        return Vec::new();
    }
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.filter(|(i, line)| *i > 0 || !line.starts_with(b"#!")).map(|(_, line)| OsStr::from_bytes(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_lines() {
        assert_eq!(words(b"#!/layerstone script\nimage\n-o\n-\n"), ["image", "-o", "-"]);
        assert!(words(b"").is_empty() && words(b"#!/layerstone script\n").is_empty());
        assert_eq!(words(b"image\n\n#!\n-"), ["image", "", "#!", "-"]);
    }
}
