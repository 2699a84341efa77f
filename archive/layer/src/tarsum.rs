//! docker's tarsum, version 1: a checksum of what a tar means, the same for the same members in any order.
//!
//! Each member gives a sha256 over its fields, each after the name of the field, and its contents; times and the names
//! of owners do not count. The sums, in hexadecimal and sorted, are hashed once more.
//!
//! The definition is what docker's Go package does (`pkg/tarsum` of docker 20.10), where it and its `tarsum_spec.md`
//! disagree: `uname` and `gname` are hashed as if they were empty. It reads with Go's `archive/tar`, so the reader here
//! follows Go's reader in every doubtful case and not the `tar` crate, which has its own answers: to links that claim
//! contents, sizes and sparse maps in PAX records, old prefixes in GNU headers, global headers.

mod order;
mod reader;

use layerstone_stage::{Digest, Hasher};
use order::sort_as_go;
use reader::{Archive, Member};
use std::collections::HashSet;
use std::io::{self, Read};

/// Bytes of a member's contents read at a time; any other number gives the same sum.
const BUFFER: usize = 64 * 1024;

/// The tarsum of a tar, `tarsum.v1+sha256:` and 64 hexadecimal digits, as docker computes it.
///
/// Reads up to the end blocks, or the end of the input where they are missing; what follows the end blocks is left
/// unread. Memory grows with the number of members (72 bytes each) and not with their sizes.
///
/// Archives in which a name stands more than once, with different contents, have the sum that docker's code gives when
/// compiled with Go 1.19 or later: it depends on how Go sorts.
///
/// # Errors
///
/// What reading gives; `UnexpectedEof` if the input ends inside a header or a member's contents; `InvalidData`, with
/// the position of the member, if Go's reader would call its header invalid or docker's code could not write the
/// member again: a name of a file that ends in a slash.
pub fn tarsum(input: impl Read) -> io::Result<String> {
    let mut archive = Archive::new(input);
    let mut buffer = vec![0; BUFFER];
    let mut sums = Vec::new();
    while let Some(member) = archive.next_member()? {
        let mut hasher = Hasher::default();
        hash_fields(&mut hasher, &member);
        loop {
            match archive.read_contents(&mut buffer)? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        let name = Digest::of(&clean_name(&member.name));
        sums.push(Sum { name, sum: hasher.finish(), position: sums.len() });
    }
    sort(&mut sums);
    let mut all = Hasher::default();
    sums.iter().for_each(|sum| all.update(sum.sum.hex().as_bytes()));
    Ok(format!("tarsum.v1+{}", all.finish()))
}

/// A member's part of the tarsum.
#[derive(Clone, Copy, Debug)]
struct Sum {
    /// Digest of the member's name, which may be long.
    name: Digest,
    sum: Digest,
    /// How many members stand before it.
    position: usize,
}

/// Hashes all that counts of a member but its contents.
fn hash_fields(hasher: &mut Hasher, member: &Member) {
    let mut field = |name: &[u8], value: &[u8]| {
        hasher.update(name);
        hasher.update(value);
    };
    field(b"name", &member.name);
    field(b"mode", member.mode.to_string().as_bytes());
    field(b"uid", member.uid.to_string().as_bytes());
    field(b"gid", member.gid.to_string().as_bytes());
    field(b"size", member.size.to_string().as_bytes());
    field(b"typeflag", &[member.typeflag]);
    field(b"linkname", &member.link_name);
    field(b"uname", b"");
    field(b"gname", b"");
    field(b"devmajor", member.device.0.to_string().as_bytes());
    field(b"devminor", member.device.1.to_string().as_bytes());
    // docker's list of attribute names begins with as many empty names as there are attributes, by mistake.
    if let Some(value) = member.xattrs.get(&b""[..]) {
        member.xattrs.iter().for_each(|_| field(b"", value));
    }
    member.xattrs.iter().for_each(|(name, value)| field(name, value));
}

/// The name by which docker tells members apart: `.`, `..` and repeated slashes resolved below the root.
fn clean_name(name: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// Sorts by sum, but members of one name by position.
///
/// That is an order only as long as no name stands twice. Otherwise the result is an accident of the algorithm that
/// sorts, so that it must be Go's.
fn sort(sums: &mut [Sum]) {
    let mut names = HashSet::with_capacity(sums.len());
    if sums.iter().all(|sum| names.insert(sum.name)) {
        sums.sort_unstable_by_key(|sum| sum.sum);
    } else {
        sort_as_go(sums, |a, b| if a.name == b.name { a.position < b.position } else { a.sum < b.sum });
    }
}
