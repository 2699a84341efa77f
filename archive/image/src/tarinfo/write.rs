//! Writing the header of a copied member.

use super::TarInfo;
use layerstone_layer::{BLOCK, Records, append_pax_header};
use std::ops::Range;

impl TarInfo {
    /// The header blocks, as Python writes them in its PAX format: a record that the member came with stays, and has
    /// priority over what would be recorded for a field that is too small.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut records = Records::default();
        self.pax.iter().for_each(|(key, value)| records.set(key, value));
        let texts =
            [("path", &self.name), ("linkpath", &self.linkname), ("uname", &self.uname), ("gname", &self.gname)];
        for (key, text) in texts {
            records.text(key, text, if key.ends_with("name") { 32 } else { 100 });
        }
        let mut block = [0; BLOCK];
        put(&mut block, 0..100, &ascii(&self.name));
        octal(&mut block, 100..108, u64::from(self.mode));
        octal(&mut block, 108..116, records.number("uid", i64::from(self.uid), 7));
        octal(&mut block, 116..124, records.number("gid", i64::from(self.gid), 7));
        octal(&mut block, 124..136, records.number("size", self.size as i64, 11));
        octal(&mut block, 136..148, records.number("mtime", self.mtime, 11));
        put(&mut block, 148..156, b"        ");
        block[156] = self.flag;
        put(&mut block, 157..257, &ascii(&self.linkname));
        put(&mut block, 257..265, b"ustar\x0000");
        put(&mut block, 265..297, &ascii(&self.uname));
        put(&mut block, 297..329, &ascii(&self.gname));
        let sum = block.iter().map(|&byte| u64::from(byte)).sum();
        octal(&mut block, 148..155, sum);
        let mut header = Vec::new();
        append_pax_header(&records, &mut header);
        header.extend_from_slice(&block);
        header
    }
}

/// As much of the text as fits.
fn put(block: &mut [u8; BLOCK], field: Range<usize>, text: &[u8]) {
    let len = text.len().min(field.len());
    block[field][..len].copy_from_slice(&text[..len]);
}

/// Octal digits and a NUL; the number fits.
fn octal(block: &mut [u8; BLOCK], field: Range<usize>, number: u64) {
    let digits = format!("{number:0width$o}\0", width = field.len() - 1);
    put(block, field, digits.as_bytes());
}

/// `?` for every character that is not ASCII and for every byte that is not UTF-8.
fn ascii(text: &[u8]) -> Vec<u8> {
    let chunks = text.utf8_chunks();
    let replaced = chunks.flat_map(|chunk| {
        let characters = chunk.valid().chars().map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?'));
        characters.chain(chunk.invalid().iter().map(|_| b'?'))
    });
    replaced.collect()
}
