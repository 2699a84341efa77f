//! Words and names as a shell reads them, for rules whose commands a shell runs.

use crate::Result;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A word as sh reads it (POSIX.1-2017, Shell Command Language, 2.2 Quoting).
pub fn quoted(word: &OsStr) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(byte);
    let bytes = word.as_bytes();
    // A tilde or an equals sign means something in front alone.
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return bytes.to_vec();
    }
    let mut text = vec![b'\''];
    for &byte in bytes {
        match byte {
            b'\'' => text.extend(b"'\\''"),
            _ => text.push(byte),
        }
    }
    text.push(b'\'');
    text
}

/// Words with blanks between.
pub fn joined<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> Vec<u8> {
    let words: Vec<Vec<u8>> = words.into_iter().map(quoted).collect();
    words.join(&b' ')
}

/// A recipe or a value: only `$` means something in it.
pub fn escaped(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| if byte == b'$' { vec![b'$', b'$'] } else { vec![byte] }).collect()
}

/// Refuses what no rule can hold.
pub fn check(name: &OsStr, tool: &str) -> Result<()> {
    let bytes = name.as_bytes();
    match bytes.iter().find(|byte| matches!(byte, b'\n' | b'\r')) {
        Some(byte) => bail!(
            "cannot be written in a file of {tool}: {}: found a {}, expected none",
            bytes.escape_ascii(),
            if *byte == b'\n' { "newline" } else { "carriage return" }
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_out_as_they_went_in() {
        let words = ["plain", "", "a b", "it's", "$HOME", "a\\b", "~", "*", "#x", "a;b|c&d", "\"", "`x`", "ü"];
        let line = joined(words.map(OsStr::new));
        let line = [&b"printf '%s\\n' "[..], &line].concat();
        let shell = std::process::Command::new("sh").arg("-c").arg(OsStr::from_bytes(&line)).output().unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), words.map(|word| format!("{word}\n")).concat());
    }
}
