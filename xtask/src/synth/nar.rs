//! Nix's archive format and its base 32, as far as sizes, hashes and references need them.
//!
//! A NAR is a nest of strings, each a little-endian 64-bit length, the bytes, and zeros up to a multiple of eight
//! (E. Dolstra, "The Purely Functional Software Deployment Model", 2006, figure 5.2).

use super::tree::Tree;

/// Nix's digits: no e, o, t, u (nix, src/libutil/hash.cc).
const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The NAR of a tree; a hard link is written as the file that it names.
pub fn serialise(tree: &Tree) -> Vec<u8> {
    let mut nar = Vec::new();
    string(&mut nar, b"nix-archive-1");
    node(&mut nar, tree, tree);
    nar
}

fn node(nar: &mut Vec<u8>, tree: &Tree, top: &Tree) {
    match tree {
        Tree::Hard(target) => node(nar, top.get(target).expect("a hard link names a file of its own tree"), top),
        Tree::File(contents) => strings(nar, &[b"(", b"type", b"regular", b"contents", contents, b")"]),
        Tree::Exec(contents) => {
            strings(nar, &[b"(", b"type", b"regular", b"executable", b"", b"contents", contents, b")"]);
        }
        Tree::Link(target) => strings(nar, &[b"(", b"type", b"symlink", b"target", target, b")"]),
        Tree::Dir(entries) => {
            strings(nar, &[b"(", b"type", b"directory"]);
            for (name, entry) in entries {
                strings(nar, &[b"entry", b"(", b"name", name, b"node"]);
                node(nar, entry, top);
                string(nar, b")");
            }
            string(nar, b")");
        }
    }
}

fn strings(nar: &mut Vec<u8>, texts: &[&[u8]]) {
    texts.iter().for_each(|text| string(nar, text));
}

fn string(nar: &mut Vec<u8>, text: &[u8]) {
    nar.extend((text.len() as u64).to_le_bytes());
    nar.extend(text);
    nar.resize(nar.len().next_multiple_of(8), 0);
}

/// Nix's base 32: the bytes as one little-endian number, five bits a digit, most significant digit first.
pub fn base32(bytes: &[u8]) -> String {
    let digit = |i: usize| {
        let (byte, shift) = (i * 5 / 8, i * 5 % 8);
        let pair = u16::from_le_bytes([bytes[byte], bytes.get(byte + 1).copied().unwrap_or(0)]);
        char::from(DIGITS[usize::from(pair >> shift & 31)])
    };
    (0..(bytes.len() * 8).div_ceil(5)).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn base32_of_the_empty_hash() {
        // nix-hash --type sha256 --base32 --flat /dev/null
        assert_eq!(base32(&Sha256::digest("")), "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
    }

    #[test]
    fn a_program() {
        // printf 123456789 > e; chmod +x e; nix-store --dump e | wc -c; nix-hash --type sha256 --base32 e
        let nar = serialise(&Tree::exec("123456789"));
        assert_eq!(nar.len(), 160);
        assert_eq!(base32(&Sha256::digest(&nar)), "0adyzih3s10w5qqfljnmmjkz7z9aqz3v3wbv8dnlxyv572kr0yjq");
    }
}
