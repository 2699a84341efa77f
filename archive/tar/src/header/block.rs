//! Fills one 512-byte header block (POSIX.1-2017, pax, "ustar Interchange Format").

use super::BLOCK;

/// Bytes of a field in the block.
pub(super) type Field = std::ops::Range<usize>;
pub(super) const NAME: Field = 0..100;
pub(super) const MODE: Field = 100..108;
pub(super) const UID: Field = 108..116;
pub(super) const GID: Field = 116..124;
pub(super) const SIZE: Field = 124..136;
pub(super) const MTIME: Field = 136..148;
pub(super) const CHECKSUM: Field = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Field = 157..257;
pub(super) const MAGIC: Field = 257..265;
pub(super) const UNAME: Field = 265..297;
pub(super) const GNAME: Field = 297..329;
pub(super) const DEVICE_MAJOR: Field = 329..337;
pub(super) const DEVICE_MINOR: Field = 337..345;

/// Magic and version of a ustar block.
pub(super) const USTAR: &[u8; 8] = b"ustar\x0000";

/// One header block under construction. The ustar prefix field is never used, as neither tool uses it.
pub(super) struct Block(pub(super) [u8; BLOCK]);

impl Block {
    pub(super) fn new(magic: &[u8; 8]) -> Block {
        let mut block = Block([0; BLOCK]);
        block.0[MAGIC].copy_from_slice(magic);
        block
    }

    /// As much of the text as fits.
    pub(super) fn text(&mut self, field: Field, text: &[u8]) {
        let len = text.len().min(field.len());
        self.0[field][..len].copy_from_slice(&text[..len]);
    }

    /// Octal digits with leading zeros and a NUL; the number fits.
    pub(super) fn octal(&mut self, field: Field, mut number: u64) {
        for digit in self.0[field.start..field.end - 1].iter_mut().rev() {
            *digit = b'0' + (number & 7) as u8;
            number >>= 3;
        }
    }

    /// Octal if it fits, otherwise GNU's base 256: big-endian two's complement, first bit set (src/create.c,
    /// `to_chars`).
    pub(super) fn number(&mut self, field: Field, number: i128) {
        let digits = field.len() as u32 - 1;
        if (0..1 << (3 * digits)).contains(&number) {
            return self.octal(field, number as u64);
        }
        let bytes = number.to_be_bytes();
        let tail = &bytes[bytes.len() - field.len()..];
        self.0[field.clone()].copy_from_slice(tail);
        self.0[field.start] = if number < 0 { 0xff } else { 0x80 };
    }

    /// Device numbers, for devices only: both tools leave the fields NUL for everything else.
    pub(super) fn device(&mut self, numbers: Option<(u32, u32)>) {
        if let Some((major, minor)) = numbers {
            self.octal(DEVICE_MAJOR, u64::from(major));
            self.octal(DEVICE_MINOR, u64::from(minor));
        }
    }

    /// The block with its checksum: six octal digits, NUL, space, counted with the field as spaces.
    pub(super) fn finish(mut self) -> [u8; BLOCK] {
        self.0[CHECKSUM].fill(b' ');
        let sum: u64 = self.0.iter().map(|&b| u64::from(b)).sum();
        self.octal(CHECKSUM.start..CHECKSUM.end - 1, sum);
        self.0[CHECKSUM.end - 2] = 0;
        self.0
    }
}

/// Appends an entry that describes the next one, of nobody's unless the block says so: the block, completed, and contents.
pub(super) fn append_extension(mut block: Block, name: &[u8], flag: u8, contents: &[u8], out: &mut Vec<u8>) {
    block.text(NAME, name);
    block.octal(UID, 0);
    block.octal(GID, 0);
    block.octal(SIZE, contents.len() as u64);
    block.0[TYPE] = flag;
    out.extend_from_slice(&block.finish());
    out.extend_from_slice(contents);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}
