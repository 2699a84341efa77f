//! Parses registration text, which `nix-store --load-db` and `--register-validity` read: values without names or
//! quotes, one a line.
//!
//! ```text
//! entry = path LF [hash LF size LF] deriver LF count LF count*(reference LF)
//! ```
//!
//! closureInfo writes it with `sha256:` and base 32, `nix-store --dump-db` with bare base 16 (nix,
//! src/libstore/store-api.cc, `decodeValidPathInfo`), and the old text form of exportReferencesGraph leaves hash and
//! size out. The deriver is a store path or empty, so a second line that is neither is a hash.

use crate::PathInfo;
use layerstone_store::StorePath;
use std::str::FromStr;

/// The entries, or what is wrong in which line.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<PathInfo>, String> {
    let mut lines = Lines { rest: bytes, number: 0 };
    let mut entries = Vec::new();
    while !lines.rest.is_empty() {
        entries.push(entry(&mut lines)?);
    }
    Ok(entries)
}

fn entry(lines: &mut Lines) -> Result<PathInfo, String> {
    let path = lines.store_path("a store path")?;
    let mut info = PathInfo { path, nar_hash: None, nar_size: None, references: Vec::new() };
    let second = lines.text("a NAR hash, a deriver or an empty line")?;
    if !second.is_empty() && !second.starts_with('/') {
        info.nar_hash = Some(second.parse().map_err(|e| lines.wrong(e))?);
        info.nar_size = Some(lines.number("the NAR size in bytes")?);
        lines.text("a deriver or an empty line")?;
    }
    for _ in 0..lines.number::<u64>("the number of references")? {
        info.references.push(lines.store_path("a reference")?);
    }
    Ok(info)
}

/// The lines that are left; the number is that of the line taken last, the first is 1.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// The next line. One that is cut off by the end of the file is an error: a shortened path could pass as another.
    fn text(&mut self, expected: &str) -> Result<&'a str, String> {
        self.number += 1;
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let end =
            end.ok_or_else(|| self.wrong(format!("found the end of the file, expected {expected} and a newline")))?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        std::str::from_utf8(line)
            .map_err(|_| self.wrong(format!("found bytes that are not UTF-8, expected {expected}")))
    }

    fn store_path(&mut self, expected: &str) -> Result<StorePath, String> {
        let text = self.text(expected)?;
        StorePath::parse(text).map_err(|e| self.wrong(e))
    }

    fn number<N: FromStr>(&mut self, expected: &str) -> Result<N, String> {
        let text = self.text(expected)?;
        text.parse().map_err(|_| self.wrong(format!("found {text:?}, expected {expected}")))
    }

    fn wrong(&self, cause: impl std::fmt::Display) -> String {
        format!("line {}: {cause}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBC: &str = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc";
    const HASH: &str = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), expected);
    }

    #[test]
    fn with_and_without_hash_and_deriver() {
        for text in [
            format!("{LIBC}\n{HASH}\n7\n\n1\n{LIBC}\n"),
            format!("{LIBC}\n{HASH}\n7\n/nix/store/x.drv\n1\n{LIBC}\n"),
            format!("{LIBC}\n\n1\n{LIBC}\n"),
            format!("{LIBC}\n/nix/store/x.drv\n1\n{LIBC}\n"),
        ] {
            let entries = parse(text.repeat(2).as_bytes()).unwrap();
            assert_eq!(entries.len(), 2);
            assert_eq!(entries[0].references, [entries[1].path.clone()]);
            assert_eq!(entries[1].nar_size, text.contains(HASH).then_some(7));
        }
    }

    #[test]
    fn every_cut_within_an_entry_is_an_error() {
        let text = format!("{LIBC}\n{HASH}\n7\n\n1\n{LIBC}\n");
        for end in 1..text.len() {
            assert!(parse(&text.as_bytes()[..end]).is_err(), "{:?}", &text[..end]);
        }
    }

    #[test]
    fn errors_name_the_line() {
        check(&format!("{LIBC}\n\n0\nlibc\n"), "line 4: not a store path: \"libc\": it is not absolute");
        check(&format!("{LIBC}\nmd5:0\n"), "line 2: not a sha256 NAR hash: \"md5:0\"");
        check(&format!("{LIBC}\n{HASH}\n-1\n"), "line 3: found \"-1\", expected the NAR size in bytes");
        check(&format!("{LIBC}\n\n\n"), "line 3: found \"\", expected the number of references");
        check(
            &format!("{LIBC}\n\n2\n{LIBC}\n"),
            "line 5: found the end of the file, expected a reference and a newline",
        );
        assert_eq!(parse(b"/s/\xff\n").unwrap_err(), "line 1: found bytes that are not UTF-8, expected a store path");
    }

    #[test]
    fn a_count_that_no_memory_holds() {
        let text = format!("{LIBC}\n\n{}\n", u64::MAX);
        check(&text, "line 4: found the end of the file, expected a reference and a newline");
    }
}
