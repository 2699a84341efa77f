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
    const NAMED: [(&[u8], &[u8]); 6] = [
        (b"(LAYERSTONE_EQUALS)", b"="),
        (b"(LAYERSTONE_SEMICOLON)", b"\\;"),
        (b"(LAYERSTONE_AND)", b"&"),
        (b"(LAYERSTONE_OPEN)", b"("),
        (b"(LAYERSTONE_CLOSE)", b")"),
        (b"(LAYERSTONE_TAB)", b"\\\t"),
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
    use super::*;
    use crate::build_graph::make::variables;
    use std::collections::BTreeSet;
    use std::fs;
    use std::process::{Command, Output};

    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("quoting", super::quoting);
    }

    /// Every byte alone, in front, behind and between, also with backslashes before it, and all words of what was kept.
    fn words() -> BTreeSet<Vec<u8>> {
        let mut words = BTreeSet::new();
        for byte in (1..=u8::MAX).filter(|byte| *byte != b'\n') {
            for before in [&b""[..], b"a", b"\\", b"a\\", b"a\\\\", b"a(", b"~"] {
                words.extend([[before, &[byte]].concat(), [before, &[byte], b"b"].concat()]);
            }
        }
        for input in xtask::fuzz_inputs("quoting") {
            words.extend(fs::read(input).unwrap().split(|&byte| byte == 0).map(<[u8]>::to_vec));
        }
        words
    }

    /// Those that both tools, which look at what they call no more, take as they are: relative, without `.` and `..`.
    fn names() -> BTreeSet<Vec<u8>> {
        let is_part = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && part.len() < 255;
        words().into_iter().filter(|name| name.split(|&byte| byte == b'/').all(is_part)).collect()
    }

    fn run(directory: &Path, program: &str, arguments: &[&str]) -> Option<Output> {
        let output = Command::new(program).args(arguments).current_dir(directory).output();
        if output.is_err() {
            println!("SKIP fuzz::tests: found no {program}");
        }
        output.ok()
    }

    fn lines(text: &[u8]) -> BTreeSet<Vec<u8>> {
        text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    }

    #[track_caller]
    fn check_names(what: &str, found: &BTreeSet<Vec<u8>>, expected: &BTreeSet<Vec<u8>>, said: &[u8]) {
        let shown = |names: Vec<&Vec<u8>>| names.iter().take(40).map(|name| name.escape_ascii().to_string()).collect();
        let missing: Vec<String> = shown(expected.difference(found).collect());
        let others: Vec<String> = shown(found.difference(expected).collect());
        let said = String::from_utf8_lossy(&said[..said.len().min(4000)]);
        assert!(
            missing.is_empty() && others.is_empty(),
            "{what}: missing {missing:#?}, not expected {others:#?}: {said}"
        );
    }

    /// Words of commands come to a program that ninja or make runs as they are.
    #[test]
    fn commands_have_the_same_words() {
        let directory = tempfile::tempdir().unwrap();
        let words: Vec<Vec<u8>> =
            words().into_iter().filter(|word| check(OsStr::from_bytes(word), "").is_ok()).collect();
        // The kernel takes 128 KiB for what sh is given.
        let commands: Vec<Vec<u8>> = words
            .chunks(500)
            .map(|words| {
                let words = joined(words.iter().map(|word| OsStr::from_bytes(word)));
                [b"printf '%s\\0' ", &*escaped(&words), b" >>words"].concat()
            })
            .collect();
        let (mut ninja, mut make) = (Vec::new(), b"all:\n".to_vec());
        for (number, command) in commands.iter().enumerate() {
            ninja.extend(format!("rule r{number}\n  command = ").bytes());
            ninja.extend([command, &b"\n"[..]].concat());
            ninja.extend(
                format!(
                    "build o{number}: r{number} | {}\n",
                    number.checked_sub(1).map_or(String::new(), |before| format!("o{before}"))
                )
                .bytes(),
            );
            make.extend([b"\t@", &**command, b"\n"].concat());
        }
        for (program, file, rules) in [("ninja", "build.ninja", ninja), ("make", "Makefile", make)] {
            fs::write(directory.path().join(file), rules).unwrap();
            let Some(output) = run(directory.path(), program, &[]) else { return };
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let found = fs::read(directory.path().join("words")).unwrap();
            let found: Vec<&[u8]> = found.strip_suffix(b"\0").unwrap().split(|&byte| byte == 0).collect();
            assert!(found == words, "{program}");
            fs::remove_file(directory.path().join("words")).unwrap();
        }
    }

    /// Names that ninja takes are read by ninja as they are, as outputs and as inputs.
    #[test]
    fn ninja_reads_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let text = |name: &Vec<u8>| path_text(Path::new(OsStr::from_bytes(name))).ok();
        let names: BTreeSet<Vec<u8>> = names().into_iter().filter(|name| text(name).is_some()).collect();
        let head = b"bar = |\nrule r\n  command = true\n";
        let (mut outputs, mut inputs) = (head.to_vec(), [head, &b"build layerstone-all: r"[..]].concat());
        for name in names.iter().filter_map(text) {
            outputs.extend([b"build ", &*name, b": r\n"].concat());
            inputs.extend([b" ", &*name].concat());
        }
        inputs.push(b'\n');
        for (what, rules, query) in [("outputs", outputs, "all"), ("inputs", inputs, "rule")] {
            fs::write(directory.path().join("build.ninja"), rules).unwrap();
            let Some(output) = run(directory.path(), "ninja", &["-t", "targets", query]) else { return };
            let found = lines(&output.stdout);
            let bare = |line: &Vec<u8>| line.strip_suffix(b": r").unwrap_or(line).to_vec();
            let found = if query == "all" { found.iter().map(bare).collect() } else { found };
            check_names(what, &found, &names, &output.stderr);
        }
    }

    /// Names that make takes are read by make as they are, in every position.
    #[test]
    fn make_reads_the_same() {
        let (rules, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text = |name: &[u8], at| name_text(Path::new(OsStr::from_bytes(name)), at);
        let names: BTreeSet<Vec<u8>> = names().into_iter().filter(|name| text(name, At::Target).is_ok()).collect();
        let record = format!("record := {}\n", rules.path().join("record").display());
        let head = [b".SUFFIXES:\nMAKEFLAGS += --no-builtin-rules\n", &*variables(), record.as_bytes()].concat();
        let read = |text: Vec<u8>, goal| {
            let file = rules.path().join("Makefile");
            fs::write(&file, text).unwrap();
            let output =
                run(files.path(), "make", &["--always-make", "--keep-going", "--file", file.to_str().unwrap(), goal])?;
            let found = fs::read(rules.path().join("record")).unwrap();
            fs::remove_file(rules.path().join("record")).unwrap();
            Some((lines(&found), output.stderr))
        };
        let is_made = |name: &&Vec<u8>| {
            let path = files.path().join(OsStr::from_bytes(name));
            path.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok()) && fs::write(path, "").is_ok()
        };
        // Wildcards are seen as what they are where there are such files.
        let names: BTreeSet<Vec<u8>> = names.iter().filter(is_made).cloned().collect();
        for (goal, at) in [("layerstone-all", At::Prerequisite), ("layerstone-after", At::OrderOnly)] {
            let (mut makefile, bar) = (head.clone(), if at == At::OrderOnly { "| " } else { "" });
            for name in &names {
                let (target, input) = (text(name, At::Target).unwrap(), text(name, at).unwrap());
                makefile.extend([goal.as_bytes(), b": ", bar.as_bytes(), &input, b"\n"].concat());
                makefile.extend([&*target, b":\n\t$(file >>$(record),$@)\n"].concat());
            }
            let Some((found, said)) = read(makefile, goal) else { return };
            check_names(goal, &found, &names, &said);
        }
        let mut makefile = head.clone();
        for name in &names {
            let name = text(name, At::Wildcard).unwrap();
            makefile.extend([b"$(file >>$(record),$(wildcard ", &*name, b"))\n"].concat());
        }
        makefile.extend(b".PHONY: all\nall:\n");
        let Some((found, said)) = read(makefile, "all") else { return };
        check_names("wildcard", &found, &names, &said);
    }
}
