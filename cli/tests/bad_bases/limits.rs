//! Bases that are small and become large: when they are unpacked, by the number of their files, by their JSON.

use super::{BUILDERS, READERS, image, place};
use crate::support::memory::Measured;
use crate::support::pieces::{
    Entry, Files, Packing, Pieces, blob, finish_oci, gzip, oci, plain_docker, replace, tar, write_folder, xz, zstd,
};
use crate::support::{Place, digest};
use serde_json::json;
use std::fs::File;
use std::io::Read;

/// Bytes of zeros, of which a compressor makes less than a hundredth.
const ZEROS: usize = 20_000_000;
/// Files in a layer of many.
const MANY: usize = 40_000;
/// Peak memory that is allowed for them, in KiB, over what the program needs for a small image: 400 bytes for each.
const MEMORY: u64 = MANY as u64 * 400 / 1024;
/// What is said beside the error.
const HINT: &str = "hint: --max-unpacked BYTES allows more\n";

/// Runs a command that must succeed in that much memory over what an image of three store paths needs.
#[track_caller]
fn ok_in_memory(place: &Place, line: &str) {
    let (needed, least) = (peak(place, line), peak(place, "demo -o demo.tar"));
    assert!(needed < least + MEMORY, "{line}: {needed} KiB, {least} KiB for a small image");
    place.check_no_leftovers();
}

/// The peak memory of a command that must succeed, in KiB.
#[track_caller]
fn peak(place: &Place, line: &str) -> u64 {
    let mut measured = Measured::new(&place.command(line), place);
    let mut told = String::new();
    measured.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    let peak = measured.wait();
    assert_eq!(peak.status, 0, "{line}: {told}");
    peak.memory
}

/// A layer of zeros, which is a tar that ends at once.
fn zeros() -> Pieces {
    Pieces::new(&[image().layers[0].clone(), vec![0; ZEROS]])
}

/// A layer has as many bytes as it may and not one more.
#[test]
fn layers_that_inflate() {
    let place = place();
    let base = zeros();
    for compress in [gzip as fn(&[u8]) -> Vec<u8>, zstd, xz] {
        let compressed = compress(&base.layers[1]);
        assert!(compressed.len() * 100 < ZEROS);
        let mut files = plain_docker(std::slice::from_ref(&base));
        let name = format!("{}.tar", digest(&base.layers[1]));
        replace(&mut files, &name, Entry::File(compressed));
        place.write("base.tar", tar(&files));
        for line in BUILDERS.iter().chain(&READERS) {
            for limit in [0, 100_000, ZEROS - 1] {
                let told = place.fail(&format!("{line} base.tar --max-unpacked {limit}"));
                let expected = format!("unpacks to more than {limit} bytes: base.tar: {name}");
                assert_eq!(told, format!("error: {expected}\n{HINT}"), "{line}");
            }
        }
        for limit in [String::new(), format!("--max-unpacked {ZEROS}")] {
            ok_in_memory(&place, &format!("{} base.tar {limit}", BUILDERS[0]));
            assert_eq!(Pieces::of(&place.read("x.tar")).layers[..2], base.layers);
        }
    }
}

/// The same of a whole archive, from a file and from a pipe; there a plain one too.
#[test]
fn archives_that_inflate() {
    let place = place();
    let plain = tar(&plain_docker(&[zeros()]));
    let line = format!("{} base --max-unpacked", BUILDERS[0]);
    let piped = format!("{} - --max-unpacked", BUILDERS[0]);
    let pipe = |limit: usize| {
        let mut command = place.command(&format!("{piped} {limit}"));
        let run = command.stdin(File::open(place.join("base")).unwrap()).output().unwrap();
        place.check_no_leftovers();
        (run.status.code().unwrap(), String::from_utf8(run.stderr).unwrap())
    };
    for compress in [gzip as fn(&[u8]) -> Vec<u8>, zstd, <[u8]>::to_vec] {
        place.write("base", compress(&plain));
        let is_plain = place.read("base").len() == plain.len();
        for limit in [100_000, plain.len() - 1] {
            if !is_plain {
                let told = place.fail(&format!("{line} {limit}"));
                assert_eq!(told, format!("error: unpacks to more than {limit} bytes: base\n{HINT}"));
            }
            place.write("x.tar", "old");
            assert_eq!(pipe(limit), (1, format!("error: unpacks to more than {limit} bytes: -\n{HINT}")));
            assert_eq!(place.read("x.tar"), b"old");
        }
        place.ok(&format!("{line} {}", plain.len()));
        let expected = place.read("x.tar");
        let (code, told) = pipe(plain.len());
        assert!(code == 0 && told.starts_with("built x:1 "), "{told}");
        assert!(place.read("x.tar") == expected);
    }
}

/// A layer of many files, whose names are looked at; with contents, all of them are kept in memory.
#[test]
fn a_layer_of_many_files() {
    let place = place();
    let files: Files =
        (0..MANY).map(|index| (format!("var/{}/{index}", index / 300), Entry::File(Vec::new()))).collect();
    let base = Pieces::new(&[tar(&files)]);
    let path = format!("/nix/store/{}-x", "0".repeat(32));
    place.write(&format!("root{path}/var/file"), "x");
    place.write("graph", json!([{"path": path, "references": []}]).to_string());
    place.write("c.json", json!({"name": "x", "contents": path, "graph": "graph"}).to_string());
    for (name, files) in [
        ("base.tar", plain_docker(std::slice::from_ref(&base))),
        ("packed.tar", oci(std::slice::from_ref(&base), &Packing::docker(gzip))),
    ] {
        place.write(name, tar(&files));
        for line in [BUILDERS[0], READERS[0], "build c.json --root root -o x.tar --base"] {
            ok_in_memory(&place, &format!("{line} {name}"));
        }
    }
    assert_eq!(Pieces::of(&place.read("x.tar")).layers[0], base.layers[0]);
}

/// An archive of many members, among which are those of the image.
#[test]
fn an_archive_of_many_members() {
    let place = place();
    let mut files = plain_docker(&[image()]);
    files.splice(1..1, (0..MANY).map(|index| (format!("more/{index}"), Entry::File(Vec::new()))));
    place.write("base.tar", tar(&files));
    ok_in_memory(&place, &format!("{} base.tar", BUILDERS[0]));
    assert_eq!(Pieces::of(&place.read("x.tar")).layers[..2], image().layers);
    ok_in_memory(&place, &format!("{} base.tar", READERS[0]));
}

/// JSON that is larger than any, or nested deeper.
#[test]
fn json_that_is_too_large() {
    let place = place();
    let limit = 8 << 20;
    let size = limit + 1;
    write_folder(&place.join("base"), &oci(&[image()], &Packing::plain()));
    // Sparse, so that it takes no room on the disk.
    let index = File::create(place.join("base/index.json")).unwrap();
    index.set_len(size).unwrap();
    let told = place.fail("build s.json -o x.tar --base base");
    let expected = format!("not an image: base: index.json: found {size} bytes, expected at most {limit} (limit json)");
    let hint = "hint: --limit json=NUMBER allows more";
    assert_eq!(told, format!("error: {expected}\n{hint}\n"));
    let manifest = Entry::File(vec![b' '; usize::try_from(size).unwrap()]);
    place.write("base.tar", tar(&vec![("manifest.json".to_owned(), manifest)]));
    let told = place.fail("build s.json -o x.tar --base base.tar");
    let expected =
        format!("not an image: base.tar: manifest.json: found {size} bytes, expected at most {limit} (limit json)");
    let hint = "hint: --limit json=NUMBER allows more";
    assert_eq!(told, format!("error: {expected}\n{hint}\n"));
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let mut files = plain_docker(&[image()]);
    replace(&mut files, "manifest.json", Entry::File(deep.clone()));
    place.write("base.tar", tar(&files));
    let told = place.fail("build s.json -o x.tar --base base.tar");
    let expected = "not an image: base.tar: manifest.json: found 100000 arrays and objects within each other, expected at \
                    most 64 (limit json-depth)";
    let hint = "hint: --limit json-depth=NUMBER allows more";
    assert_eq!(told, format!("error: {expected}\n{hint}\n"));
    index.set_len(0).unwrap();
    std::fs::write(place.join("base/index.json"), deep).unwrap();
    let told = place.fail("build s.json -o x.tar --base base");
    assert!(told.starts_with("error: not an image: base: index.json: "), "{told}");
}

/// Indexes that list the next one many times, and so all below it many times many times: each is read once.
#[test]
fn indexes_of_indexes() {
    let place = place();
    let index_type = Packing::plain().index_type;
    for (width, depth, expected) in [
        (1, 8, None),
        (1, 9, Some("index.json: found 9 indexes within each other, expected at most 8 (limit index-depth)")),
        (20, 7, None),
    ] {
        let mut files = oci(&[image()], &Packing::plain());
        files.pop();
        let Some((_, Entry::File(index))) = files.pop() else { panic!() };
        let mut inner: serde_json::Value = serde_json::from_slice(&index).unwrap();
        for _ in 0..depth {
            let descriptor = blob(&mut files, index_type, inner.to_string().as_bytes());
            inner = json!({"manifests": vec![descriptor; width]});
        }
        finish_oci(&mut files, inner["manifests"].as_array().unwrap().clone());
        place.write("base.tar", tar(&files));
        let line = format!("{} base.tar", BUILDERS[0]);
        match expected {
            None => assert_eq!(place.ok(&line).code, Some(0)),
            Some(expected) => {
                let hint = "hint: --limit index-depth=NUMBER allows more";
                assert_eq!(place.fail(&line), format!("error: not an image: base.tar: {expected}\n{hint}\n"));
            }
        }
    }
}
