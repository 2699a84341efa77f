//! Archives and layers that mean harm, through every command that reads such a file: a clear error or the right result, in
//! bounded memory, disk and time.

mod codecs;
mod images;
mod layers;
mod limits;

use crate::support::memory::Measured;
use crate::support::pieces::{Entry, Pieces, plain_docker, tar, tar_of};
use crate::support::{Place, synth};
use serde_json::{Value, json};
use std::io::Read;

/// Peak memory that a command may take, in KiB, whatever it reads.
const MEMORY: u64 = 300_000;

/// What a command with the name of an image archive in the place of `F` does with it.
const COMMANDS: [&str; 10] = [
    "inspect F",
    "inspect --diff good.tar F",
    "build s.json -o x.tar --base F",
    "layers closure.json --max-layers 9 -o x.json --base F",
    "image --spec s.json layer.json -o x.tar --base F",
    "merge F -o x.tar",
    "copy F oci-archive:x.tar",
    "overlay export F -o x.tar",
    "stream F.conf -o x.tar --root ROOT",
    "report F good.tar -o x.html",
];

/// A place with all that the commands need.
fn place() -> Place {
    let place = Place::new();
    place.write("s.json", json!({"name": "x", "tag": "1", "includeStorePaths": false}).to_string());
    place.write("closure.json", "[]");
    place.write("good.tar", tar(&plain_docker(&[image()])));
    place.ok("root --spec s.json --blob layer.tar -o layer.json");
    place
}

/// An image of one small layer.
fn image() -> Pieces {
    let file = Entry::File(b"root".to_vec());
    Pieces::new(&[tar_of([(&b"etc/"[..], Entry::Folder), (b"etc/passwd", file)])])
}

/// Writes an image archive, and what streams an image on it.
fn write_image(place: &Place, name: &str, bytes: &[u8]) {
    place.write(name, bytes);
    let golden = include_str!("../../archive/nixpkgs/golden/conf-on-base.json");
    let mut conf: Value = serde_json::from_str(golden).unwrap();
    conf["from_image"] = name.into();
    place.write(&format!("{name}.conf"), conf.to_string());
}

/// Runs a command on a file within the bounds: its status, and what it says on stderr. It leaves nothing behind where it
/// fails.
#[track_caller]
fn run(place: &Place, command: &str, file: &str) -> (i32, String) {
    let line = line(command, file);
    let mut measured = Measured::bounded(&place.command(&line), place);
    let (mut stdout, mut told) = (measured.child.stdout.take().unwrap(), String::new());
    let mut stderr = measured.child.stderr.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()).unwrap());
        stderr.read_to_string(&mut told).unwrap();
    });
    let peak = measured.wait();
    assert!(matches!(peak.status, 0 | 1), "{command} {file}: status {}: {told}", peak.status);
    assert!(peak.memory < MEMORY, "{command} {file}: {} KiB", peak.memory);
    place.check_no_leftovers();
    let outputs = ["x.tar", "x.json"].map(|name| place.join(name));
    let made = outputs.iter().filter(|path| path.exists()).count();
    assert!(peak.status == 0 || made == 0, "{command} {file}: left an output");
    outputs.iter().for_each(|path| drop(std::fs::remove_file(path)));
    (peak.status, told)
}

/// The words of a command on a file.
fn line(command: &str, file: &str) -> String {
    let words = command.split(' ').map(|word| match word {
        "F" => file.to_owned(),
        "F.conf" => format!("{file}.conf"),
        "ROOT" => synth().root.display().to_string(),
        word => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Runs every command on a file. Those whose line begins so must fail, and whatever fails says this.
#[track_caller]
fn check(place: &Place, file: &str, failing: &[&str], expected: &str) {
    check_commands(&COMMANDS, place, file, failing, expected);
}

/// The same for some commands: where the first file of a table has shown that all commands come to one reader.
#[track_caller]
fn check_commands(commands: &[&str], place: &Place, file: &str, failing: &[&str], expected: &str) {
    let mut wrong = Vec::new();
    for command in commands {
        let (status, told) = run(place, command, file);
        let must_fail = failing.iter().any(|words| command.starts_with(words));
        let is_expected = || expected.split('…').all(|part| told.contains(part));
        if status != i32::from(must_fail) || (must_fail && !is_expected()) {
            wrong.push(format!("{command}: status {status}: {told}"));
        }
    }
    assert!(wrong.is_empty(), "{file}: expected {expected:?} of {failing:?}\n{}", wrong.join("\n"));
}

/// A header block of the ustar or GNU dialect with some fields of its own.
fn header(magic: &[u8], name: &[u8], typeflag: u8, size: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut block = vec![0; 512];
    let size = format!("{size:011o}\0");
    let common: [(usize, &[u8]); 8] = [
        (0, name),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, size.as_bytes()),
        (136, b"00000000000\0"),
        (156, &[typeflag]),
        (257, magic),
    ];
    for (at, bytes) in common.iter().chain(fields) {
        block[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

const USTAR: &[u8] = b"ustar\x0000";
const GNU: &[u8] = b"ustar  \0";

/// A member with its contents, padded.
fn member(name: &str, typeflag: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = header(USTAR, name.as_bytes(), typeflag, contents.len(), &[]);
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An extended header of PAX records.
fn records(typeflag: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (keyword, value) in records {
        let rest = keyword.len() + value.len() + 3;
        let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
        text.extend_from_slice(format!("{length} {keyword}=").as_bytes());
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    member("pax", typeflag, &text)
}

/// A tar of members and the blocks that end it.
fn ended(members: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = members.concat();
    tar.resize(tar.len() + 1024, 0);
    tar
}
