//! Mutates tars so that they stay tars: a member's header or contents, or the order of members, with checksums, sizes and
//! the digests of blobs made right again.
//!
//! libFuzzer alone would hardly ever get behind a checksum. One change in eight is left as it is, checksums wrong or not.

use libfuzzer_sys::fuzzer_mutate;
use sha2::{Digest, Sha256};

const BLOCK: usize = 512;
/// Where blobs of an OCI archive are, by digest.
const BLOBS: &[u8] = b"blobs/sha256/";

/// A header block and what follows it up to the next one.
#[derive(Clone)]
struct Member {
    header: [u8; BLOCK],
    contents: Vec<u8>,
}

/// Mutates the first `size` bytes of `data`, of which all may be used; returns how many there are then.
pub fn mutate_tar(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut members = read(&data[..size]);
    if members.is_empty() || random.below(8) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    for _ in 0..=random.below(3) {
        mutate(&mut members, max_size, &mut random);
    }
    if random.below(4) > 0 {
        rename_blobs(&mut members);
    }
    let tar = write(&members, &mut random);
    let size = tar.len().min(max_size);
    data[..size].copy_from_slice(&tar[..size]);
    size
}

fn mutate(members: &mut Vec<Member>, max_size: usize, random: &mut Random) {
    let at = random.below(members.len().max(1));
    match random.below(12) {
        _ if members.is_empty() => {}
        0 => members.insert(random.below(members.len() + 1), members[at].clone()),
        1 if members.len() > 1 => drop(members.remove(at)),
        2 => {
            let other = random.below(members.len());
            members.swap(at, other);
        }
        // A type that has a meaning.
        3 => members[at].header[156] = b"\x001234567LKSxXg0"[random.below(15)],
        4 => {
            let (name, other) = (members[random.below(members.len())].header, at);
            members[other].header[..100].copy_from_slice(&name[..100]);
        }
        5 => {
            let name = members[random.below(members.len())].header;
            members[at].header[157..257].copy_from_slice(&name[..100]);
        }
        6..9 => {
            fuzzer_mutate(&mut members[at].header, BLOCK, BLOCK);
        }
        _ => {
            let contents = &mut members[at].contents;
            let (length, most) = (contents.len(), (contents.len() + 256).min(max_size));
            contents.resize(most.max(length), 0);
            let length = fuzzer_mutate(contents, length, most.max(length));
            contents.truncate(length);
            if random.below(8) > 0 {
                let digits = format!("{length:011o}\0");
                members[at].header[124..136].copy_from_slice(digits.as_bytes());
                if matches!(members[at].header[156], b'x' | b'g' | b'X') {
                    count_records(&mut members[at]);
                }
            }
        }
    }
}

/// Writes the length of each PAX record in front of it.
fn count_records(member: &mut Member) {
    let mut text = Vec::new();
    for line in member.contents.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let record = line.splitn(2, |&byte| byte == b' ').last().unwrap_or_default();
        let rest = record.len() + 2;
        let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap_or(rest);
        text.extend_from_slice(format!("{length} ").as_bytes());
        text.extend_from_slice(record);
        text.push(b'\n');
    }
    member.header[124..136].copy_from_slice(format!("{:011o}\0", text.len()).as_bytes());
    member.contents = text;
}

/// Gives blobs the names of what they hold now, wherever these stand.
fn rename_blobs(members: &mut [Member]) {
    for _ in 0..4 {
        let mut has_changed = false;
        for at in 0..members.len() {
            let header = &members[at].header;
            if !header.starts_with(BLOBS) {
                continue;
            }
            let old = header[BLOBS.len()..BLOBS.len() + 64].to_vec();
            let new: String = Sha256::digest(&members[at].contents).iter().map(|byte| format!("{byte:02x}")).collect();
            let size = members[at].contents.len();
            if old == new.as_bytes() || !old.iter().all(u8::is_ascii_hexdigit) {
                continue;
            }
            has_changed = true;
            members[at].header[BLOBS.len()..BLOBS.len() + 64].copy_from_slice(new.as_bytes());
            for member in members.iter_mut() {
                replace(&mut member.contents, &old, new.as_bytes(), size);
            }
        }
        if !has_changed {
            break;
        }
    }
    for member in members.iter_mut().filter(|member| member.header.starts_with(BLOBS)) {
        let digits = format!("{:011o}\0", member.contents.len());
        member.header[124..136].copy_from_slice(digits.as_bytes());
    }
}

/// Replaces a digest in a text, and the number behind the next `"size":`.
fn replace(text: &mut Vec<u8>, old: &[u8], new: &[u8], size: usize) {
    let mut at = 0;
    while let Some(found) = text[at..].windows(old.len()).position(|window| window == old) {
        at += found;
        text[at..at + old.len()].copy_from_slice(new);
        at += old.len();
        const KEY: &[u8] = b"\"size\":";
        let rest = &text[at..(at + 40).min(text.len())];
        if let Some(key) = rest.windows(KEY.len()).position(|window| window == KEY) {
            let begin = at + key + KEY.len();
            let count = text[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            text.splice(begin..begin + count, size.to_string().into_bytes());
        }
    }
}

/// The members of a tar, blocks of zeros as members too; what cannot be read is left out.
fn read(mut tar: &[u8]) -> Vec<Member> {
    let mut members = Vec::new();
    while let Some((header, rest)) = tar.split_first_chunk::<BLOCK>() {
        let digits = header[124..136].iter().copied().filter(u8::is_ascii_digit);
        let size = digits.fold(0_usize, |sum, digit| sum.saturating_mul(8).saturating_add(usize::from(digit & 7)));
        let size = if matches!(header[156], b'1'..=b'6') { 0 } else { size.min(rest.len()) };
        members.push(Member { header: *header, contents: rest[..size].to_vec() });
        tar = &rest[size.next_multiple_of(BLOCK).min(rest.len())..];
    }
    members
}

fn write(members: &[Member], random: &mut Random) -> Vec<u8> {
    let mut tar = Vec::new();
    for member in members {
        let mut header = member.header;
        if header.iter().any(|&byte| byte != 0) && random.below(64) > 0 {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        tar.extend_from_slice(&header);
        tar.extend_from_slice(&member.contents);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar
}

/// xorshift64 (Marsaglia, "Xorshift RNGs").
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % count as u64) as usize
    }
}
