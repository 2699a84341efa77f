//! A file of 12 GiB in a store path: a sparse one, which takes room nowhere, but all of whose bytes are read.

use crate::support::{Place, require_tool};
use serde_json::json;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

const PATH: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-huge";
/// More than the eleven octal digits of a ustar header can say, 8 GiB.
const SIZE: u64 = 12 << 30;
/// Peak memory that is allowed, in KiB.
const MEMORY: i64 = 150_000;

/// Waits for a process: its exit status and its peak memory in KiB.
fn wait(child: &mut Child) -> (i32, i64) {
    let (mut status, pid) = (0, i32::try_from(child.id()).unwrap());
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the process is our child, nobody else waits for it, and both pointers are to places of ours.
    let waited = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
    assert_eq!(waited, pid);
    // SAFETY: wait4 succeeded, and all zeros are a valid rusage too.
    let usage = unsafe { usage.assume_init() };
    assert!(libc::WIFEXITED(status), "killed");
    (libc::WEXITSTATUS(status), usage.ru_maxrss)
}

/// `layer` hashes it in little memory, and the header in the image says its size.
#[test]
fn sparse_file() {
    let place = Place::new();
    let file = place.write(&format!("root{PATH}/file"), "");
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(SIZE).unwrap();
    place.write("plan", json!([[PATH]]).to_string());
    place.write("s.json", json!({"name": "x"}).to_string());
    let mut layer = place.command("layer plan --root root --index 0 -o x.layer.json").spawn().unwrap();
    let (status, memory) = wait(&mut layer);
    assert_eq!(status, 0);
    assert!(memory < MEMORY, "{memory} KiB");
    // Four folders' headers and the file's, three with the size; padded to 10 KiB.
    assert_eq!(place.json("x.layer.json")["size"], (SIZE + 8 * 512).next_multiple_of(10_240));
    check_header(&place);
}

/// Reads the first blocks of the image and stops: GNU tar knows the size of both the layer and the file in it.
fn check_header(place: &Place) {
    let mut image = place.command("image --spec s.json --root root x.layer.json -o -").spawn().unwrap();
    let mut head = vec![0; 64 << 10];
    image.stdout.take().unwrap().read_exact(&mut head).unwrap();
    let mut told = String::new();
    image.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    let (_, memory) = wait(&mut image);
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
