//! Files that are cut, and files in which one byte is another.

use super::{BUILDERS, image, place};
use crate::support::pieces::{
    Files, Packing, Pieces, bzip2, gzip, gzip_members, new_save, oci, old_save, plain_docker, tar, write_folder, xz,
    zstd,
};
use crate::support::{Place, digest};

/// A base as it is meant to be, and what is made on it.
struct Good {
    place: Place,
    bytes: Vec<u8>,
    output: String,
}

impl Good {
    #[track_caller]
    fn new(bytes: Vec<u8>) -> Good {
        let place = place();
        place.write("base", &bytes);
        place.ok(&format!("{} base", BUILDERS[0]));
        let output = digest(&place.read("x.tar"));
        assert_eq!(Pieces::of(&place.read("x.tar")).layers[..2], image().layers);
        Good { place, bytes, output }
    }

    /// Whether other bytes are refused; otherwise what is made must be what the good ones make.
    #[track_caller]
    fn refuses(&self, bytes: &[u8], what: &str) -> bool {
        self.place.write("base", bytes);
        self.place.write("x.tar", "old");
        let run = self.place.run(&format!("{} base", BUILDERS[0]));
        self.place.check_no_leftovers();
        let found = self.place.read("x.tar");
        match run.code {
            Some(0) => assert_eq!(digest(&found), self.output, "{what}"),
            code => {
                assert_eq!((code, &found[..]), (Some(1), &b"old"[..]), "{what}: {}", run.stderr);
                let (first, rest) = run.stderr.split_once('\n').unwrap();
                assert!(
                    first.starts_with("error: ") && rest.lines().all(|line| line.starts_with("hint: ")),
                    "{what}: {}",
                    run.stderr
                );
                assert!(first.contains(": base: ") || first.contains(": base#"), "{what}: {first}");
                let system = ["panicked", "os error", "called off", "Utf8Error"];
                assert!(system.iter().all(|word| !first.contains(word)), "{what}: {first}");
            }
        }
        run.code != Some(0)
    }

    /// Cuts the file at places spread evenly; all up to `needed` bytes must be told.
    #[track_caller]
    fn check_cuts(&self, what: &str, needed: usize) {
        let step = (self.bytes.len() / 60).max(1);
        let all = self.bytes.len();
        for length in (0..all).step_by(step).chain(all.saturating_sub(12)..all) {
            let refused = self.refuses(&self.bytes[..length], &format!("{what} cut at {length} of {all}"));
            assert!(refused || length >= needed, "{what}: taken although cut at {length} of {all}");
        }
    }

    /// Changes one byte at a time: every so many of those that are not among zeros, and some zeros.
    #[track_caller]
    fn check_flips(&self, what: &str, step: usize) -> usize {
        let is_zeros =
            |at: usize| self.bytes[at.saturating_sub(8)..self.bytes.len().min(at + 8)].iter().all(|b| *b == 0);
        let mut refused = 0;
        for at in (0..self.bytes.len()).step_by(step).filter(|at| !is_zeros(*at) || at % 16 == 0) {
            for bit in [0x01, 0x20, 0x80].into_iter().skip(at % 3).take(1) {
                let mut bytes = self.bytes.clone();
                bytes[at] ^= bit;
                refused += usize::from(self.refuses(&bytes, &format!("{what}: byte {at} ^ {bit}")));
            }
        }
        refused
    }
}

/// Every form, uncompressed.
fn forms() -> [(&'static str, Files); 5] {
    let images = [image()];
    [
        ("docker", plain_docker(&images)),
        ("docker save, old", old_save(&images)),
        ("docker save, new", new_save(&images)),
        ("OCI", oci(&images, &Packing::plain())),
        ("OCI, gzip", oci(&images, &Packing::docker(gzip))),
    ]
}

/// The end of the contents of the last member that anything reads.
fn end_of(tar: &[u8], names: &[&str]) -> usize {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let needed = entries.filter(|entry| !names.contains(&entry.path().unwrap().to_str().unwrap()));
    needed.map(|entry| (entry.raw_file_position() + entry.size()) as usize).max().unwrap()
}

#[test]
fn cut_archives() {
    for (name, files) in forms() {
        let bytes = tar(&files);
        let needed = end_of(&bytes, &["oci-layout", "repositories"]);
        Good::new(bytes).check_cuts(name, needed);
    }
}

#[test]
fn cut_compressed_archives() {
    let bytes = tar(&plain_docker(&[image()]));
    for (name, compress) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd), ("xz", xz), ("bzip2", bzip2)] {
        let compressed = compress(&bytes);
        let all = compressed.len();
        Good::new(compressed).check_cuts(name, all);
    }
    // Where one member of gzip ends, all may end.
    Good::new(gzip_members(&bytes)).check_cuts("gzip members", gzip_members(&bytes[..5000]).len());
}

#[test]
fn flipped_bytes_of_docker_archives() {
    for (name, files) in forms().into_iter().take(3) {
        let good = Good::new(tar(&files));
        let refused = good.check_flips(name, 11);
        assert!(refused > 200, "{name}: {refused}");
    }
}

#[test]
fn flipped_bytes_of_oci_archives() {
    for (name, files) in forms().into_iter().skip(3) {
        let good = Good::new(tar(&files));
        let refused = good.check_flips(name, 11);
        assert!(refused > 200, "{name}: {refused}");
    }
}

#[test]
fn flipped_bytes_of_compressed_archives() {
    let bytes = tar(&plain_docker(&[image()]));
    for (name, compress) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd), ("xz", xz), ("bzip2", bzip2)] {
        let good = Good::new(compress(&bytes));
        let refused = good.check_flips(name, 5);
        assert!(refused > 100, "{name}: {refused}");
    }
}

/// The files of a layout one by one: cut, with another byte, and away.
#[test]
fn folders() {
    let place = place();
    let layout = oci(&[image()], &Packing::docker(gzip));
    write_folder(&place.join("base"), &layout);
    let line = format!("{} base", BUILDERS[0]);
    place.ok(&line);
    let expected = digest(&place.read("x.tar"));
    for (name, _) in layout.iter().filter(|(name, _)| name != "oci-layout") {
        let path = format!("base/{name}");
        let bytes = place.read(&path);
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            place.write(&path, &bytes[..cut]);
            let told = place.fail(&line);
            assert!(told.contains(": base: ") && told.contains(name), "{told}");
        }
        for at in (0..bytes.len()).step_by(7) {
            let mut other = bytes.clone();
            other[at] ^= 1;
            place.write(&path, other);
            let run = place.run(&line);
            let is_same = run.code == Some(0) && digest(&place.read("x.tar")) == expected;
            // The index alone is not told by a digest, and it says what nothing reads.
            assert!(run.code == Some(1) || (is_same && name == "index.json"), "{name}: {at}: {}", run.stderr);
        }
        std::fs::remove_file(place.join(&path)).unwrap();
        assert!(place.fail(&line).contains("base"));
        place.write(&path, bytes);
    }
    place.ok(&line);
}
