//! What may stand in and behind compressed data: what gzip(1), bzip2(1), xz(1) and zstd(1) read is read, what they refuse is
//! refused. Layers are stricter: no engine takes one with bytes behind its end.

use super::*;
use crate::support::pieces::{Files, Packing, bzip2, gzip, oci, replace, xz, zstd};
use crate::support::{digest, require_tool};
use std::io::Write;
use std::process::{Command, Stdio};

type Compress = fn(&[u8]) -> Vec<u8>;

/// A kind of trouble: what it is called, bytes of it, and whether they lie behind all that is compressed.
type Case = (&'static str, Vec<u8>, bool);

/// Concatenated streams, padding, garbage and cuts, for every codec.
fn cases(compress: Compress, bytes: &[u8]) -> Vec<Case> {
    let (first, second) = bytes.split_at(bytes.len() / 3);
    let (whole, empty) = (compress(bytes), compress(b""));
    let behind = |more: &[u8]| [&whole[..], more].concat();
    let cut = compress(second);
    vec![
        ("whole", whole.clone(), false),
        ("two", [compress(first), compress(second)].concat(), false),
        ("empty ones", [&empty[..], &whole, &empty].concat(), false),
        ("padding between", [&compress(first)[..], &[0; 8], &compress(second)].concat(), true),
        ("one zero", behind(&[0]), true),
        ("four zeros", behind(&[0; 4]), true),
        ("a record of zeros", behind(&[0; 10_240]), true),
        ("garbage", behind(b"garbage, and more of it"), true),
        ("a byte of garbage", behind(b"x"), true),
        ("zeros and garbage", behind(b"\0\0\0\0x"), true),
        ("half a magic number", behind(&whole[..2]), true),
        ("half a header", behind(&whole[..5]), true),
        ("a cut second one", [&compress(first)[..], &cut[..cut.len() - 3]].concat(), false),
        ("cut", whole[..whole.len() - 3].to_vec(), false),
        ("nothing but a header", whole[..6].to_vec(), false),
    ]
}

/// Frames of zstd that are skipped (RFC 8878, section 3.1.2), and a window that takes 2 GiB of memory.
fn zstd_cases(bytes: &[u8]) -> Vec<Case> {
    let skipped =
        |magic: u8, length: u8| [&[magic, 0x2a, 0x4d, 0x18, length, 0, 0, 0], &vec![b's'; length.into()][..]].concat();
    let (first, second) = bytes.split_at(bytes.len() / 3);
    let mut window = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    window.window_log(31).unwrap();
    window.write_all(bytes).unwrap();
    vec![
        ("skipped first", [skipped(0x50, 9), zstd(bytes)].concat(), false),
        ("skipped between", [zstd(first), skipped(0x5f, 0), zstd(second)].concat(), false),
        ("skipped last", [zstd(bytes), skipped(0x5a, 200)].concat(), false),
        ("a cut skipped one", [&zstd(bytes)[..], &skipped(0x50, 9)[..12]].concat(), true),
        ("a window of 2 GiB", window.finish().unwrap(), false),
    ]
}

fn xz_cases(bytes: &[u8]) -> Vec<Case> {
    vec![("padding that is no multiple of four", [&xz(bytes)[..], &[0; 7]].concat(), true)]
}

/// Whether a program unpacks these bytes to the others. gzip(1) ends in status 2 where it has warned of garbage.
fn reads(program: &str, packed: &[u8], expected: &[u8]) -> bool {
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // It may end before it has read all.
        scope.spawn(move || drop(stdin.write_all(packed)));
        child.wait_with_output().unwrap()
    });
    let is_ok = output.status.success() || (program == "gzip" && output.status.code() == Some(2));
    is_ok && output.stdout == expected
}

fn all_cases(program: &str, compress: Compress, bytes: &[u8]) -> Vec<Case> {
    let mut cases = cases(compress, bytes);
    match program {
        "zstd" => cases.extend(zstd_cases(bytes)),
        "xz" => cases.extend(xz_cases(bytes)),
        _ => {}
    }
    cases
}

/// The cases that every command shows.
const EVERYWHERE: [&str; 4] = ["two", "a record of zeros", "garbage", "cut"];

/// Whether a command takes a file, and what it says on stderr.
#[track_caller]
fn is_read(place: &Place, command: &str, file: &str) -> (bool, String) {
    let run = place.run(&line(command, file));
    assert!(matches!(run.code, Some(0 | 1)), "{command} {file}: {:?}: {}", run.code, run.stderr);
    place.check_no_leftovers();
    drop(std::fs::remove_file(place.join("x.tar")));
    (run.code == Some(0), run.stderr)
}

const CODECS: [(&str, Compress); 4] = [("gzip", gzip), ("bzip2", bzip2), ("xz", xz), ("zstd", zstd)];

/// Whole archives: of docker, of OCI, of a tree.
#[test]
fn archives() {
    let place = place();
    let docker = tar(&plain_docker(&[image()]));
    let layout = tar(&oci(&[image()], &Packing::plain()));
    let tree = image().layers[0].clone();
    for (program, compress) in CODECS.into_iter().filter(|(program, _)| require_tool(program)) {
        for ((what, packed, _), (_, packed_layout, _)) in
            all_cases(program, compress, &docker).into_iter().zip(all_cases(program, compress, &layout))
        {
            let expected = reads(program, &packed, &docker);
            write_image(&place, "a.tar", &packed);
            place.write("oci.tar", packed_layout);
            let commands = [
                (COMMANDS[0], "a.tar"),
                (COMMANDS[2], "a.tar"),
                (COMMANDS[7], "a.tar"),
                (COMMANDS[8], "a.tar"),
                (COMMANDS[6], "oci.tar"),
            ];
            // One reader is behind all of them.
            for (command, file) in commands.into_iter().take(if EVERYWHERE.contains(&what) { 5 } else { 1 }) {
                let (is_ok, told) = is_read(&place, command, file);
                assert_eq!(is_ok, expected, "{program}: {what}: {command}: {told}");
                let is_garbage = what == "garbage" && matches!(program, "gzip" | "bzip2");
                if is_garbage && !command.starts_with("stream") {
                    assert!(told.starts_with("warning: unpacked, trailing garbage ignored: "), "{program}: {told}");
                }
            }
        }
        for (what, packed, _) in cases(compress, &tree).into_iter().filter(|(what, ..)| EVERYWHERE.contains(what)) {
            place.write("tree.tar", &packed);
            let (is_ok, told) = is_read(&place, "merge-trees F -o x.tar", "tree.tar");
            assert_eq!(is_ok, reads(program, &packed, &tree), "{program}: {what}: {told}");
        }
    }
}

/// Layers in a docker archive and in an OCI layout, whose digests tell that the bytes are those that were meant: what
/// follows the compressed data is refused nevertheless.
#[test]
fn blobs() {
    let place = place();
    let image = image();
    let name = format!("{}.tar", digest(&image.layers[0]));
    for (program, compress) in CODECS.into_iter().filter(|(program, _)| require_tool(program)) {
        for (what, packed, is_behind) in all_cases(program, compress, &image.layers[0]) {
            // Padding of xz is part of the format (section 2.2).
            let is_padding = program == "xz" && matches!(what, "padding between" | "four zeros" | "a record of zeros");
            let expected = reads(program, &packed, &image.layers[0]) && (is_padding || !is_behind);
            let mut files = plain_docker(std::slice::from_ref(&image));
            replace(&mut files, &name, Entry::File(packed.clone()));
            place.write("docker.tar", tar(&files));
            place.write("oci.tar", tar(&oci_of(&image, &packed)));
            for file in ["docker.tar", "oci.tar"] {
                let (is_ok, told) = is_read(&place, "overlay export F -o x.tar", file);
                assert_eq!(is_ok, expected, "{program}: {what}: {file}: {told}");
            }
        }
    }
}

/// A layout whose one layer has these bytes.
fn oci_of(image: &Pieces, packed: &[u8]) -> Files {
    use crate::support::pieces::{blob, finish_oci};
    let mut files = Files::new();
    let layer = blob(&mut files, "application/vnd.oci.image.layer.v1.tar", packed);
    let config = blob(&mut files, "application/vnd.oci.image.config.v1+json", &image.config_bytes());
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let packing = Packing::plain();
    let descriptor = blob(&mut files, packing.manifest_type, manifest.to_string().as_bytes());
    finish_oci(&mut files, vec![descriptor]);
    files
}
