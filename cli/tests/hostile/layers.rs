//! Layers that are small and would take much memory or disk: by sparse maps, holes, names, links, and what they unpack to.

use super::*;
use crate::support::pieces::{Packing, gzip, oci};

/// The commands that read a layer's headers; from the third on, those that put a tree together.
const HEADERS: [&str; 6] = ["inspect --diff", "layers", "report", "build", "image", "overlay export"];

/// A file with a sparse map of version 1.0, of this real size.
fn sparse(map: &[u8], size: u64) -> Vec<u8> {
    let size = size.to_string();
    let keys: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"hole"),
        ("GNU.sparse.realsize", size.as_bytes()),
    ];
    let mut map = map.to_vec();
    map.resize(map.len().next_multiple_of(512), 0);
    [records(b'x', &keys), member("s", b'0', &map)].concat()
}

/// A file with GNU's own sparse map, of so many blocks.
fn gnu_sparse(blocks: usize) -> Vec<u8> {
    let mut tar = header(GNU, b"s", b'S', 0, &[(482, &[1]), (483, b"00000000000\0")]);
    let entry = b"00000000000\x0000000000000\0";
    for at in 0..blocks {
        let mut block = entry.repeat(21);
        block.push(u8::from(at + 1 < blocks));
        block.resize(512, 0);
        tar.extend(block);
    }
    tar
}

fn write_layer(place: &Place, name: &str, members: &[Vec<u8>]) {
    let layer = ended(members);
    place.write(&format!("{name}.layer"), &layer);
    write_image(place, &format!("{name}.tar"), &tar(&plain_docker(&[Pieces::new(&[layer])])));
}

#[test]
fn members() {
    let place = place();
    let long = vec![b'n'; 1_000_000];
    let folders: Vec<Vec<u8>> = (0..140)
        .flat_map(|at| {
            let name = format!("{at}/{}x\0", "a/".repeat(2000));
            [member("l", b'L', name.as_bytes()), member("x", b'0', b"")]
        })
        .collect();
    let target = [vec![b't'; 4000], vec![0]].concat();
    let mut links = vec![member("k", b'K', &target), member("link", b'2', b"")];
    links.extend((0..5000).map(|at| header(USTAR, format!("l{at}").as_bytes(), b'1', 0, &[(157, b"link")])));
    for (name, members, expected) in [
        (
            "map",
            vec![sparse(&[b"700000\n", &b"0\n".repeat(1_400_000)[..]].concat(), 1)],
            "expected at most 1048576 (limit extended-header)",
        ),
        ("gnu", vec![gnu_sparse(3000)], "expected at most 1048576 (limit extended-header)"),
        (
            "name",
            vec![member("l", b'L', &long), member("x", b'0', b"")],
            "a name: found 1000000 bytes, expected at most 4096 (limit name)",
        ),
        ("target", vec![member("k", b'K', &long), member("x", b'2', b"")], "a link target: found 1000000 bytes"),
        (
            "folders",
            folders,
            "directories that no header describes, expected at most 250000 (limit implied-directories)",
        ),
        ("links", links, "bytes, expected at most 16777216 (limit link-targets)"),
    ] {
        write_layer(&place, name, &members);
        // Store paths are not asked for links and directories of theirs.
        let failing: &[&str] = if matches!(name, "folders" | "links") { &HEADERS[3..] } else { &HEADERS };
        check(&place, &format!("{name}.tar"), failing, expected);
        let (status, told) = run(&place, "tarsum F", &format!("{name}.layer"));
        assert_eq!(status, i32::from(matches!(name, "map" | "gnu")), "{name}: {told}");
        assert!(!told.contains("--limit"), "a flag that tarsum has not: {told}");
    }
}

/// Directories as deep as names can be are no harm.
#[test]
fn deep_folders() {
    let place = place();
    let name = format!("{}x\0", "a/".repeat(2040));
    write_layer(&place, "deep", &[member("l", b'L', name.as_bytes()), member("x", b'0', b"x")]);
    check(&place, "deep.tar", &[], "");
    assert_eq!(run(&place, "tarsum F", "deep.layer").0, 0);
    place.ok("overlay export deep.tar -o deep.flat");
    let flat = crate::support::archive::members(&place.read("deep.flat"));
    assert_eq!(flat.len(), 2042);
    assert_eq!(flat.last().unwrap().contents, b"x");
    // What writes a tree has room for its directories.
    assert_eq!(run(&place, "merge-trees F -o x.tar", "deep.layer").0, 0);
}

/// Holes count as bytes where contents are written, and nowhere else.
#[test]
fn holes() {
    let place = place();
    write_layer(&place, "hole", &[sparse(b"0\n", 1 << 60)]);
    let holes = "files with holes: hole.tar: found 1152921504606846976 bytes of zeros that no layer holds, expected at most \
                 1073741824\nhint: --max-unpacked BYTES allows more";
    check(&place, "hole.tar", &["overlay export"], holes);
    let (status, told) = run(&place, "tarsum F", "hole.layer");
    let expected = "found files with 1152921504606846976 bytes of holes, expected at most 1073741824";
    assert!(status == 1 && told.contains(expected), "{told}");
    let (status, told) = run(&place, "merge-trees F -o x.tar", "hole.layer");
    assert!(status == 1 && told.contains(expected), "{told}");
    // The sum of several layers, and a flag that allows as much and no less.
    let part = ended(&[sparse(b"0\n", 600_000_000)]);
    let other = ended(&[sparse(b"0\n", 600_000_000), member("x", b'0', b"")]);
    place.write("two.tar", tar(&plain_docker(&[Pieces::new(&[part, other])])));
    let (status, told) = run(&place, "overlay export F -o x.tar", "two.tar");
    assert!(status == 1 && told.contains("found 1200000000 bytes"), "{told}");
    write_layer(&place, "small", &[sparse(b"0\n", 1_000_000)]);
    assert_eq!(run(&place, "overlay export F -o x.tar --max-unpacked 999999", "small.tar").0, 1);
    place.ok("overlay export small.tar -o small.flat --max-unpacked 1000000");
    assert!(crate::support::archive::member(&place.read("small.flat"), "./hole") == vec![0; 1_000_000]);
}

/// The database of a base is a file like others.
#[test]
fn a_database_of_holes() {
    let place = place();
    let size = (1_u64 << 60).to_string();
    let keys: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"nix/var/nix/db/db.sqlite"),
        ("GNU.sparse.realsize", size.as_bytes()),
    ];
    let mut map = b"0\n".to_vec();
    map.resize(512, 0);
    write_layer(&place, "db", &[records(b'x', &keys), member("s", b'0', &map)]);
    let line = "nix-db closure.json -o x.json --blob x.tar --base F";
    let (status, told) = run(&place, line, "db.tar");
    assert!(status == 1 && told.contains("error: files with holes: db.tar: found 1152921504606846976"), "{told}");
}

/// Each layer is small enough, all of them are not.
#[test]
fn layers_that_inflate_together() {
    let place = place();
    let mut layers: Vec<Vec<u8>> = (0..3).map(|at| vec![0; 8_000_000 + at * 512]).collect();
    layers.push(image().layers[0].clone());
    let files = oci(&[Pieces::new(&layers)], &Packing::docker(gzip));
    place.write("many.tar", tar(&files));
    for command in ["overlay export F -o x.tar", "inspect --diff good.tar F", "build s.json -o x.tar --base F"] {
        let (status, told) = run(&place, &format!("{command} --max-unpacked 20000000"), "many.tar");
        let expected = "layers unpack to more than 20000000 bytes together: many.tar: blobs/sha256/";
        assert!(status == 1 && told.contains(expected), "{command}: {told}");
        assert!(told.ends_with("hint: --max-unpacked BYTES allows more\n"), "{told}");
        assert_eq!(run(&place, &format!("{command} --max-unpacked 25000000"), "many.tar").0, 0, "{command}");
    }
}
