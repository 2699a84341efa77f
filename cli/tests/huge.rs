//! A file of more than 8 GiB in a store path: a sparse one, which takes room nowhere, but all of whose bytes are read.

use crate::support::memory::Measured;
use crate::support::{Place, require_tool};
use serde_json::json;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

const PATH: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-huge";
/// More than the eleven octal digits of a ustar header can say, 8 GiB, by a little: every byte is read and hashed.
const SIZE: u64 = (8 << 30) + (1 << 20);
/// Peak memory that is allowed, in KiB.
const MEMORY: u64 = 150_000;

/// `layer` hashes it in little memory, and the header in the image says its size.
#[test]
fn sparse_file() {
    let place = Place::new();
    let file = place.write(&format!("root{PATH}/file"), "");
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(SIZE).unwrap();
    place.write("plan", json!([[PATH]]).to_string());
    place.write("s.json", json!({"name": "x"}).to_string());
    let run = Measured::new(&place.command("layer plan --root root --index 0 -o x.layer.json"), &place).wait();
    assert_eq!(run.status, 0);
    assert!(run.memory < MEMORY, "{} KiB", run.memory);
    // Four directories' headers and the file's, three with the size; padded to 10 KiB.
    assert_eq!(place.json("x.layer.json")["size"], (SIZE + 8 * 512).next_multiple_of(10_240));
    check_header(&place);
}

/// Reads the first blocks of the image and stops: GNU tar knows the size of both the layer and the file in it.
fn check_header(place: &Place) {
    let mut image = Measured::new(&place.command("image --spec s.json --root root x.layer.json -o -"), place);
    let mut head = vec![0; 64 << 10];
    image.child.stdout.take().unwrap().read_exact(&mut head).unwrap();
    let mut told = String::new();
    image.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    let memory = image.wait().memory;
    assert!(told.is_empty(), "{told}");
    assert!(memory < MEMORY, "{memory} KiB");
    let record = format!(" size={SIZE}\n");
    assert!(head.windows(record.len()).any(|window| window == record.as_bytes()), "no PAX record of the size");
    if !require_tool("tar") {
        return;
    }
    let size = place.json("x.layer.json")["size"].as_u64().unwrap();
    let listed = list(&head);
    assert!(listed.contains(&format!(" {size} ")) && listed.contains("/layer.tar"), "{listed}");
    let start = head.windows(4).position(|window| window == b"/nix").unwrap();
    assert_eq!(start % 512, 0);
    let listed = list(&head[start..]);
    assert!(listed.contains(&format!(" {SIZE} ")) && listed.contains(&format!("{PATH}/file")), "{listed}");
}

/// What GNU tar says of a tar's beginning.
fn list(head: &[u8]) -> String {
    let mut tar = Command::new("tar");
    tar.args(["-tvPf", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut tar = tar.spawn().unwrap();
    tar.stdin.take().unwrap().write_all(head).unwrap();
    String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap()
}
