//! Computes docker's tarsum, version 1: a checksum of what a tar means, the same for the same members in any order.
//!
//! Each member gives a sha256 over its fields, each after the name of the field, and its contents; times and the names
//! of owners do not count. The sums, in hexadecimal and sorted, are hashed once more.
//!
//! The definition is what docker's Go package does (`pkg/tarsum` of docker 20.10), where it and its `tarsum_spec.md`
//! disagree: `uname` and `gname` are hashed as if they were empty. It reads with Go's `archive/tar`, so the reader here
//! follows Go's reader in every doubtful case and not the `tar` crate, which has its own answers: to links that claim
//! contents, sizes and sparse maps in PAX records, old prefixes in GNU headers, global headers.

mod header;
mod order;
mod reader;
mod sparse;

pub(crate) use header::{Member, number, time};
pub(crate) use reader::Archive;

use layerstone_store::{Digest, Hasher, Limits};
use order::sort_as_go;
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
/// member again: a name of a file that ends in a slash; or if the tar has more than 2,000,000 members, or its files more
/// than 1 GiB of holes, and more than 100 times what the tar has before them.
pub fn tarsum(input: impl Read) -> io::Result<String> {
    let mut archive = Archive::new(input, Limits::default());
    let mut buffer = vec![0; BUFFER];
    let mut sums = Vec::new();
    let mut holes = 0_u64;
    while let Some(member) = archive.next_member()? {
        holes = holes.saturating_add(archive.holes().unwrap_or(0));
        let most = archive.limits.unpacked(Some(archive.offset));
        if holes > most {
            return Err(archive.invalid(&format!("found files with {holes} bytes of holes, expected at most {most}")));
        }
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

/// A name with `.`, `..` and needless slashes resolved below the root: docker tells members apart by it.
pub fn clean_name(name: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
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
    let mut by_name: Vec<u32> = (0..).take(sums.len()).collect();
    by_name.sort_unstable_by_key(|&at| sums[at as usize].name);
    let is_twice = |pair: &[u32]| sums[pair[0] as usize].name == sums[pair[1] as usize].name;
    if !by_name.windows(2).any(is_twice) {
        sums.sort_unstable_by_key(|sum| sum.sum);
    } else {
        sort_as_go(sums, |a, b| if a.name == b.name { a.position < b.position } else { a.sum < b.sum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// A header block with the given bytes at the given places, all else as in a file of no bytes, and its checksum.
    fn header(magic: &[u8], fields: &[(usize, &[u8])]) -> Vec<u8> {
        let defaults: [(usize, &[u8]); 7] = [
            (100, b"0000644\0"),
            (108, b"0001750\0"),
            (116, b"0000144\0"),
            (124, b"00000000000\0"),
            (136, b"00000000001\0"),
            (156, b"0"),
            (257, magic),
        ];
        let mut block = vec![0; 512];
        for (at, bytes) in defaults.iter().chain(fields) {
            block[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    const USTAR: &[u8] = b"ustar\x0000";
    const GNU: &[u8] = b"ustar  \0";
    const V7: &[u8] = b"";

    /// A member of a name, a type and contents.
    fn member(magic: &[u8], typeflag: u8, name: &str, contents: &[u8]) -> Vec<u8> {
        let size = format!("{:011o}", contents.len());
        padded(header(magic, &[(0, name.as_bytes()), (124, size.as_bytes()), (156, &[typeflag])]), contents)
    }

    fn padded(mut tar: Vec<u8>, contents: &[u8]) -> Vec<u8> {
        tar.extend_from_slice(contents);
        tar.resize(tar.len().next_multiple_of(512), 0);
        tar
    }

    /// An extended header.
    fn records(typeflag: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
        let mut text = Vec::new();
        for (keyword, value) in records {
            let rest = keyword.len() + value.len() + 3;
            let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
            text.extend_from_slice(format!("{length} {keyword}=").as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        member(USTAR, typeflag, "pax", &text)
    }

    fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
        let mut tar = parts.concat();
        tar.resize(tar.len() + 1024, 0);
        tar
    }

    /// Compares with a sum printed by docker 20.10's pkg/tarsum, compiled with Go 1.19, for the same bytes.
    #[track_caller]
    fn check(parts: &[Vec<u8>], expected: &str) {
        let tar = archive(parts);
        assert_eq!(tarsum(&tar[..]).unwrap(), format!("tarsum.v1+sha256:{expected}"));
        assert_eq!(tarsum(Trickle(&tar)).unwrap(), format!("tarsum.v1+sha256:{expected}"));
        assert_eq!(tarsum(tar.chain(&b"more"[..])).unwrap(), format!("tarsum.v1+sha256:{expected}"));
    }

    /// Gives one byte at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(buffer.len()).min(1);
            self.0.read(&mut buffer[..n])
        }
    }

    #[track_caller]
    fn check_error(tar: &[u8], kind: ErrorKind, expected: &str) {
        let error = tarsum(tar).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (kind, expected.to_owned()));
    }

    #[test]
    fn no_members() {
        check(&[], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let empty = tarsum(io::empty()).unwrap();
        assert_eq!(empty, "tarsum.v1+sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(tarsum(&[0; 512][..]).unwrap(), empty);
    }

    #[test]
    fn files_directories_links_devices() {
        check(
            &[member(USTAR, b'0', "etc/passwd", b"root:x:0:0\n")],
            "db1e1f27e975d424a021075724611bebd82f1103ab9313b989a4da524fe83422",
        );
        check(
            &[member(USTAR, b'5', "bin", b""), member(USTAR, b'5', "bin/", b"")],
            "8bb982dc828d707b9a5f357ddabfca5aef1510a5ff19aa31fb687d6c5ccdac2c",
        );
        let link = |typeflag: u8, size: &[u8]| {
            header(USTAR, &[(0, b"link"), (124, size), (156, &[typeflag]), (157, b"etc/passwd")])
        };
        check(
            &[link(b'1', b"00000000000"), link(b'2', b"00000000000")],
            "d1e1d35aa805ac24d0a9153052134397a8975a143dcc2051d1706f87ba180f3f",
        );
        // Links and directories may claim a size; no contents follow.
        check(
            &[link(b'1', b"00000001234"), link(b'2', b"00000000001"), link(b'5', b"00000001000")],
            "03f07108929659c17e430eede4592d5fea771835c345c01ba3bfc3511fc42171",
        );
        let device =
            |typeflag| header(USTAR, &[(0, b"dev/x"), (156, typeflag), (329, b"0000001\0"), (337, b"0000403\0")]);
        check(
            &[device(b"3"), device(b"4"), device(b"6")],
            "5b2f40c0579f77538a55e5841c3d8caec4688be528d09b3928a3b76087ca9a54",
        );
        check(
            &[member(GNU, b'7', "contiguous", b"x"), member(GNU, b'Z', "unknown", b"y")],
            "1399ac2cb76c743aa4b4070579446015c1932fe9b545cfefa8af3994c5415430",
        );
    }

    #[test]
    fn order_of_members_does_not_count() {
        let parts = [member(GNU, b'0', "a", b"1"), member(GNU, b'0', "b", b"2"), member(GNU, b'5', "c/", b"")];
        let mut turned = parts.clone();
        turned.reverse();
        assert_eq!(tarsum(&archive(&parts)[..]).unwrap(), tarsum(&archive(&turned)[..]).unwrap());
        check(&parts, "a28da36ec232a50f0ccd588a63bef636d9f0ed9b75b6830b88bb8326770cbc5a");
    }

    #[test]
    fn pax_records() {
        let long: Vec<u8> = b"nix/store/".iter().copied().chain([b'x'; 300]).collect();
        check(
            &[records(b'x', &[("path", &long), ("mtime", b"1.5")]), member(USTAR, b'0', "x", b"data")],
            "7ac0f9ade9460aec189f559ce453763ef3fa6c53110997f6dc75492fbc80bbf6",
        );
        check(
            &[records(b'x', &[("linkpath", &long)]), member(USTAR, b'2', "x", b"")],
            "1d98751761205f6087bcb6c9ee72f5e88178b64a385090a08eb4533536f87158",
        );
        check(
            &[records(b'x', &[("hdrcharset", b"BINARY"), ("path", b"\xff\n\xfe")]), member(USTAR, b'0', "x", b"")],
            "b6f0a9deb2de9c034f49c72cc2318028c591edaff862ee5a326884be88a31df2",
        );
        check(
            &[
                records(b'x', &[("size", b"3"), ("uid", b"-2"), ("gid", b"+4294967296")]),
                padded(member(USTAR, b'0', "x", b""), b"abc"),
            ],
            "c6dbcacc6fc5dd9dd96bc6cffe2b9f79af7757e9abdb6582c83912a228844705",
        );
        check(
            &[records(b'x', &[("path", b"y"), ("path", b"")]), member(USTAR, b'0', "x", b"")],
            "95a69a77c37f8007d6931e4cfc85dd89f7087766c1b03642fd8d3da0be40979e",
        );
        check(
            &[records(b'g', &[("path", b"y"), ("uid", b"7")]), member(USTAR, b'0', "x", b"")],
            "ff331c2b664f86eb5572ccc3cc3c4d9118532d8df3c32f449f02d4274ac94692",
        );
    }

    #[test]
    fn extended_attributes() {
        let xattrs: [(&str, &[u8]); 3] = [
            ("SCHILY.xattr.user.b", b"\0bin\xff"),
            ("SCHILY.xattr.security.capability", b"\x01\0\0\x02"),
            ("SCHILY.acl.access", b"user::rwx"),
        ];
        check(
            &[records(b'x', &xattrs), member(USTAR, b'0', "x", b"")],
            "d9168a7834885482f6c57160afa28f99b155888801a406ba2aed457bb1cc19a2",
        );
        check(
            &[records(b'x', &[("SCHILY.xattr.", b"unnamed"), xattrs[0]]), member(USTAR, b'0', "x", b"")],
            "a0971d1be3225772b23b20bbdcfdedd5ea6300d92f66e894f7faa0a8adf33ae4",
        );
    }

    #[test]
    fn names_of_gnu_old_and_posix_headers() {
        let long = [b'n'; 150];
        let name = member(GNU, b'L', "././@LongLink", &[&long[..], b"\0"].concat());
        let link = member(GNU, b'K', "././@LongLink", &[b"../", &long[..], b"\0"].concat());
        check(
            &[name.clone(), link, member(GNU, b'2', "short", b"")],
            "057c760e6504322081b4c757275c815ffc5152d40f903655721700251fdee38b",
        );
        check(
            &[records(b'x', &[("path", b"pax")]), name, member(GNU, b'0', "short", b"")],
            "378d0cff5d71c27888065997e8237b1f735f6c2292828d3b79c99306f259f626",
        );
        check(
            &[member(V7, 0, "file", b"data"), member(V7, 0, "folder/", b"")],
            "02a96feb254c169fc523156ec55439ad04b82aeafe8dc5cff78d2ad1f821b2fc",
        );
        check(
            &[header(USTAR, &[(0, b"name"), (345, b"pre/fix")])],
            "1876b5eea68e64cb177308f1a519b8a61f4ffdd704db277e69a68e3ebc3fcdd9",
        );
        // A prefix in a GNU header, as Go wrote it; and times, which are none.
        check(
            &[header(GNU, &[(0, b"name"), (345, b"pre/fix")])],
            "1876b5eea68e64cb177308f1a519b8a61f4ffdd704db277e69a68e3ebc3fcdd9",
        );
        check(
            &[header(GNU, &[(0, b"name"), (345, b"00000000001\x0000000000001\0")])],
            "9bfd60c338f0505aa4c073ca6ac980699222420c9ada513fdd907b61e0d2981e",
        );
        check(
            &[header(USTAR, &[(0, b"star"), (345, b"prefix"), (508, b"tar\0")])],
            "6fa39b4c5bd9f61716426b79c9f9f2f1afa05aa63fce7ffb3ec3693c7d5065a0",
        );
    }

    #[test]
    fn numbers() {
        let binary = |bytes: &[u8]| [&[0x80][..], &vec![0; 7 - bytes.len()], bytes].concat();
        let uid = binary(&[0x20, 0, 0]);
        check(
            &[header(GNU, &[(0, b"x"), (108, &uid), (116, &[0xff; 8])])],
            "1863850f801a8c607808e89723eeab3ff0e5b17315f45c738e6b88fe02f7ff84",
        );
        check(
            &[header(USTAR, &[(0, b"x"), (100, b"   644 \0"), (108, b"\0\0\0\0\0\0\0\0"), (116, b"00000777")])],
            "c78874e7dfa91ce024d9cec0e8903a993511d9ab61a235d5005ff4deca5ddb9f",
        );
        check(
            &[padded(header(GNU, &[(0, b"x"), (124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])]), b"hi")],
            "e1fb59208abc1e1f9e4d605a5e73fe2c3ae6e0ee3ff4a4c1a282d781591d36c0",
        );
    }

    #[test]
    fn files_with_holes() {
        let old = header(
            GNU,
            &[
                (0, b"old"),
                (124, b"00000000005\0"),
                (156, b"S"),
                (386, b"00000001000\x0000000000003\0"),
                (410, b"00000003000\x0000000000002\0"),
                (483, b"00000004000\0"),
            ],
        );
        check(&[padded(old, b"abcde")], "94933909c6209404a6ce5a684fb422816f74a97d62fd41bab163dbc596d8b093");
        let map: [(&str, &[u8]); 4] = [
            ("GNU.sparse.size", b"2048"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.name", b"real"),
            ("GNU.sparse.map", b"512,3,1536,2"),
        ];
        check(
            &[records(b'x', &map), member(USTAR, b'0', "GNUSparseFile.1/real", b"abcde")],
            "8cc63d35e0d69c1187c9da1f47c6a52277194947849c47643af8db3b72acd8b6",
        );
        let version_1: [(&str, &[u8]); 4] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"real"),
            ("GNU.sparse.realsize", b"2048"),
        ];
        let contents = [padded(b"2\n512\n3\n1536\n2\n".to_vec(), b""), b"abcde".to_vec()].concat();
        check(
            &[records(b'x', &version_1), member(USTAR, b'0', "GNUSparseFile.1/real", &contents)],
            "8cc63d35e0d69c1187c9da1f47c6a52277194947849c47643af8db3b72acd8b6",
        );
    }

    #[test]
    fn repeated_names() {
        check(
            &[member(USTAR, b'0', "a", b"1"), member(USTAR, b'0', "./a", b"2"), member(USTAR, b'0', "/b/../a", b"3")],
            "7b58cd53c603a7ed58bac55bcbd86644603f4707a2881eb7c0b8e0b5f678ca0b",
        );
        let many = |names: usize, count: usize| -> Vec<Vec<u8>> {
            (0..count).map(|i| member(USTAR, b'0', &format!("n{}", i * 7 % names), i.to_string().as_bytes())).collect()
        };
        check(&many(5, 13), "77c17a055dbedc24f8d0ed01fbb81daaf056f6a2d972eab47751ef813eeb00d6");
        check(&many(3, 49), "2425eb6cf76a6a3c5c20932b23140739c14ddd1b21c5641b2460ddb55668fa6f");
        check(&many(40, 200), "18bccfe279cff9ab7067f03aa0f3c956b3a9f854c3afd4bb5b67d0e612946ddf");
        check(&many(2, 600), "752a57e25f5673ed090a807ccd43b58c4daf69f116b7741015ffff172506af37");
    }

    #[test]
    fn cut_off_input() {
        let tar = archive(&[
            records(b'x', &[("path", b"y")]),
            member(USTAR, b'0', "x", b"data"),
            member(GNU, b'5', "d/", b""),
        ]);
        for end in 0..tar.len() {
            // Inside headers and contents is an error; between members, in padding and in front of the end blocks not.
            let whole = matches!(end, 0 | 521..=1024 | 1540..=2048 | 2560 | 3072);
            assert_eq!(tarsum(&tar[..end]).is_ok(), whole, "cut at {end}");
        }
        check_error(
            &tar[..1500],
            ErrorKind::UnexpectedEof,
            "not a whole tar: header at byte 1024: the input ends at byte 1500",
        );
    }

    #[test]
    fn what_is_no_tar() {
        let mut sum = member(USTAR, b'0', "x", b"");
        sum[0] = b'y';
        check_error(&sum, ErrorKind::InvalidData, "not a good tar: header at byte 0: wrong checksum");
        check_error(&[b'x'; 512], ErrorKind::InvalidData, "not a good tar: header at byte 0: wrong checksum");
        check_error(b"text", ErrorKind::UnexpectedEof, "not a whole tar: header at byte 0: the input ends at byte 4");
        let check = |parts: &[Vec<u8>], cause: &str| {
            let expected = format!("not a good tar: header at byte 0: {cause}");
            check_error(&archive(parts), ErrorKind::InvalidData, &expected);
        };
        check(
            &[vec![0; 512], member(USTAR, b'0', "x", b"")],
            "found a header after a block of zeros, expected a second one",
        );
        check(&[header(USTAR, &[(124, b"0000000000x")])], "found no number where one must be");
        check(&[header(GNU, &[(124, &[0xff; 12])])], "found a size below zero");
        check(&[member(USTAR, b'x', "x", b"9 path=x\nrest")], "malformed PAX record");
        check(&[member(USTAR, b'0', "x/", b"")], "found a slash at the end of a file's name");
        check(
            &[member(GNU, b'L', "x", &vec![b'x'; (1 << 20) + 1])],
            "found 1048577 bytes, expected at most 1048576 (limit extended-header)",
        );
        check(&[header(USTAR, &[(156, b"S")])], "malformed sparse map");
    }
}
