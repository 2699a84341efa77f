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
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == b'\'').collect();
    [b"'", &*parts.join(&b"'\\''"[..]), b"'"].concat()
}

/// Words with blanks between.
pub fn joined(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Vec<u8> {
    words.into_iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(&b' ')
}

/// Puts a backslash before the byte at an index, behind those that stand before it, which are doubled.
pub fn push_backslashes(text: &mut Vec<u8>, bytes: &[u8], index: usize) {
    let before = bytes[..index].iter().rev().take_while(|byte| **byte == b'\\').count();
    text.extend(std::iter::repeat_n(b'\\', before + 1));
}

/// A recipe or a value: only `$` means something in it.
pub fn escaped(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| if byte == b'$' { vec![b'$', b'$'] } else { vec![byte] }).collect()
}

/// Refuses what no rule can hold.
pub fn check(name: &OsStr, tool: &str) -> Result<()> {
    let bytes = name.as_bytes();
    let Some(byte) = bytes.iter().find(|byte| matches!(byte, b'\n' | b'\r')) else { return Ok(()) };
    let (name, what) = (bytes.escape_ascii(), if *byte == b'\n' { "newline" } else { "carriage return" });
    bail!("cannot be written in a file of {tool}: {name}: found a {what}, expected none")
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
