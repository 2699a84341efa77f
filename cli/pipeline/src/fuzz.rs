//! What a fuzzer drives of this crate, and what must hold whatever it finds: a name in a rule of ninja or make is read as it
//! was by what reads such rules, here in its simplest form.

use crate::build_graph::make::{At, name_text};
use crate::build_graph::ninja::path_text;
use crate::build_graph::word::{check, escaped, joined};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Words of a command, a NUL between them; each is a name of a file too.
pub fn quoting(bytes: &[u8]) {
    let words: Vec<&[u8]> = bytes.split(|&byte| byte == 0).collect();
    let command = joined(words.iter().map(|word| OsStr::from_bytes(word)));
    let read: Vec<Vec<u8>> = sh_words(&command);
    assert_eq!(read, words, "{}", command.escape_ascii());
    let value = escaped(&command);
    assert_eq!(dollars(&value, &[]).as_ref(), Some(&command), "{}", value.escape_ascii());
    for name in words.into_iter().filter(|name| !name.is_empty()) {
        let path = Path::new(OsStr::from_bytes(name));
        let Ok(ninja) = path_text(path) else {
            assert!(check(path.as_os_str(), "ninja").is_err());
            continue;
        };
        assert_eq!(ninja_names(&ninja), [name], "{}", ninja.escape_ascii());
        for at in [At::Target, At::Prerequisite, At::OrderOnly] {
            let Ok(make) = name_text(path, at) else { continue };
            assert_eq!(make_name(&make, at).as_deref(), Some(name), "{}", make.escape_ascii());
        }
    }
}

/// Words as sh splits them: blanks between, apostrophes around what means nothing, a backslash before one byte.
fn sh_words(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut words, mut word, mut bytes) = (Vec::new(), None::<Vec<u8>>, text.iter());
    while let Some(&byte) = bytes.next() {
        match byte {
            b' ' => words.extend(word.take()),
            b'\'' => word.get_or_insert_default().extend(bytes.by_ref().take_while(|byte| **byte != b'\'')),
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            _ => {
                assert!(byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&byte), "{}", text.escape_ascii());
                word.get_or_insert_default().push(byte);
            }
        }
    }
    words.extend(word);
    words
}

/// Names as ninja splits them: blanks, colons and bars between, a dollar before what means nothing, or a variable.
fn ninja_names(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut names, mut name, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some((&byte, left)) = rest.split_first() {
        rest = left;
        match byte {
            b' ' | b':' | b'|' => names.push(std::mem::take(&mut name)),
            b'$' if left.starts_with(b"{bar}") => {
                name.push(b'|');
                rest = &left[5..];
            }
            b'$' => {
                assert!(matches!(left.first(), Some(b'$' | b' ' | b':')), "{}", text.escape_ascii());
                name.push(left[0]);
                rest = &left[1..];
            }
            byte => name.push(byte),
        }
    }
    names.push(name);
    names
}

/// A name as make reads it: variables first, then backslashes, of which those before a byte that means something are halved;
/// none if such a byte is left. What variables hold is not looked into for what they stand for.
fn make_name(text: &[u8], at: At) -> Option<Vec<u8>> {
    const NAMED: [(&[u8], &[u8]); 5] = [
        (b"(LAYERSTONE_EQUALS)", b"="),
        (b"(LAYERSTONE_SEMICOLON)", b"\\;"),
        (b"(LAYERSTONE_AND)", b"&"),
        (b"(LAYERSTONE_OPEN)", b"("),
        (b"(LAYERSTONE_CLOSE)", b")"),
    ];
    let text = dollars(text, &NAMED)?;
    let means_something = |byte: u8| match byte {
        b' ' | b'\t' | b'#' | b':' | b'*' | b'?' | b'[' | b';' => true,
        b'%' => at == At::Target,
        b'|' => at == At::Prerequisite,
        _ => false,
    };
    let (mut name, mut backslashes) = (Vec::new(), 0);
    for &byte in &text {
        if byte == b'\\' {
            backslashes += 1;
            continue;
        }
        let kept = match means_something(byte) {
            true if backslashes % 2 == 0 => return None,
            true => backslashes / 2,
            false => backslashes,
        };
        name.extend(std::iter::repeat_n(b'\\', kept));
        name.push(byte);
        backslashes = 0;
    }
    name.extend(std::iter::repeat_n(b'\\', backslashes));
    Some(name)
}

/// A text with its dollars read: two are one, one begins a variable; none if it begins another.
fn dollars(text: &[u8], variables: &[(&[u8], &[u8])]) -> Option<Vec<u8>> {
    let (mut read, mut rest) = (Vec::new(), text);
    while let Some((&byte, left)) = rest.split_first() {
        rest = left;
        if byte != b'$' {
            read.push(byte);
        } else if left.first() == Some(&b'$') {
            read.push(b'$');
            rest = &left[1..];
        } else {
            let (name, value) = variables.iter().find(|(name, _)| left.starts_with(name))?;
            read.extend_from_slice(value);
            rest = &left[name.len()..];
        }
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("quoting", super::quoting);
    }
}
