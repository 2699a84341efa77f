//! Tars as the tests look at them: member by member, with the header blocks of each.

use std::io::{Cursor, Read};

/// A member of a tar.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, without the slash that ends a directory's.
    pub name: Vec<u8>,
    /// Type flag (POSIX ustar, "typeflag").
    pub kind: char,
    /// Permission bits.
    pub mode: u32,
    /// Link target, empty for all but links.
    pub link: Vec<u8>,
    /// All blocks before the contents: extended headers and the header itself.
    pub header: Vec<u8>,
    /// What it holds.
    pub contents: Vec<u8>,
}

/// The members of a tar, in order.
#[track_caller]
pub fn members(tar: &[u8]) -> Vec<Member> {
    let mut archive = tar::Archive::new(Cursor::new(tar));
    let mut found = Vec::new();
    let mut end = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let start = entry.raw_file_position() as usize;
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        let path = entry.path_bytes();
        found.push(Member {
            name: path.strip_suffix(b"/").unwrap_or(&path).to_owned(),
            kind: char::from(entry.header().entry_type().as_byte()),
            mode: entry.header().mode().unwrap() & 0o7777,
            link: entry.link_name_bytes().map(Vec::from).unwrap_or_default(),
            header: tar[end..start].to_owned(),
            contents,
        });
        end = start + found.last().unwrap().contents.len().next_multiple_of(512);
    }
    found
}

/// What a member of that name holds.
#[track_caller]
pub fn member(tar: &[u8], name: &str) -> Vec<u8> {
    let found = members(tar).into_iter().find(|member| member.name == name.as_bytes());
    found.unwrap_or_else(|| panic!("no member {name}")).contents
}

/// A docker archive's manifest, or rather the one entry of it.
#[track_caller]
pub fn manifest(tar: &[u8]) -> serde_json::Value {
    let manifest: serde_json::Value = serde_json::from_slice(&member(tar, "manifest.json")).unwrap();
    manifest[0].clone()
}

/// A docker archive's image config.
#[track_caller]
pub fn config(tar: &[u8]) -> serde_json::Value {
    serde_json::from_slice(&member(tar, manifest(tar)["Config"].as_str().unwrap())).unwrap()
}
