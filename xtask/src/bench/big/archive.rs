//! Writes large docker archives, `image.tar`: of many files, layers and bytes.
//!
//! Files are named as on an installed Debian: there are about ten in a directory, and a name has some twenty bytes.

use super::store::write_spec;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Bytes of a tar's blocks.
const BLOCK: usize = 512;
/// Files in a directory.
const IN_DIRECTORY: u64 = 10;
/// Bytes of a piece of a large file: so many pieces are a thousand million bytes.
const PIECE: usize = 8_000_000;
const PIECES: u64 = 125;
/// In so many bytes of a piece as many are random; the others are zeros. gzip makes a tenth of that.
const PAGE: usize = 4096;
const RANDOM: usize = 360;

/// An image of a layer with so many empty files and one with a shell, a spec that builds on it, and a script.
pub fn files(count: u64, directory: &Path) -> Result<()> {
    let mut archive = Archive::create(directory)?;
    archive.plain_layer(0, count)?;
    archive.shell_layer(1)?;
    archive.finish(1)?;
    fs::write(directory.join("script"), "echo done > /done\n")?;
    write_spec(directory, json!({"fromImage": "image.tar"}))
}

/// An image of so many layers of a hundred files.
pub fn layers(count: u64, directory: &Path) -> Result<()> {
    let mut archive = Archive::create(directory)?;
    (0..count).try_for_each(|number| archive.plain_layer(number, 100))?;
    archive.finish(1)
}

/// An image of one layer, in gzip, with so many files of 10⁹ bytes.
pub fn bytes(count: u64, directory: &Path) -> Result<()> {
    let mut archive = Archive::create(directory)?;
    archive.packed_layer(count)?;
    archive.finish(1)
}

/// An image of one layer that has so many tags.
pub fn tags(count: u64, directory: &Path) -> Result<()> {
    let mut archive = Archive::create(directory)?;
    archive.plain_layer(0, 100)?;
    archive.finish(count)
}

/// A docker archive that is being written.
struct Archive {
    out: BufWriter<File>,
    names: Vec<String>,
    diff_ids: Vec<String>,
}

impl Archive {
    fn create(directory: &Path) -> Result<Archive> {
        let out = BufWriter::new(File::create(directory.join("image.tar"))?);
        Ok(Archive { out, names: Vec::new(), diff_ids: Vec::new() })
    }

    /// A layer of so many empty files and their directories.
    fn plain_layer(&mut self, number: u64, count: u64) -> Result<()> {
        let mut hasher = Sha256::new();
        self.member(&format!("{number}.tar"), |out| {
            let mut put = |block: &[u8]| {
                hasher.update(block);
                out.write_all(block)
            };
            for index in 0..count {
                let parent = format!("layer{number}/usr/share/directory{:06}/", index / IN_DIRECTORY);
                if index % IN_DIRECTORY == 0 {
                    put(&Header::directory(&parent).block())?;
                }
                put(&Header::file(&format!("{parent}file-{index:07}.conf.gz"), 0).block())?;
            }
            Ok(put(&[0; 2 * BLOCK])?)
        })?;
        self.named(number, hasher);
        Ok(())
    }

    /// A layer with busybox as `/bin/sh`.
    fn shell_layer(&mut self, number: u64) -> Result<()> {
        let program = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find_map(|path| fs::read(path).ok());
        let mut layer = program.context("no busybox: apt-get install busybox-static")?;
        let header = Header { mode: 0o755, ..Header::file("bin/sh", layer.len() as u64) }.block();
        layer.splice(0..0, header);
        layer.resize(layer.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
        self.member(&format!("{number}.tar"), |out| Ok(out.write_all(&layer)?))?;
        self.named(number, Sha256::new_with_prefix(&layer));
        Ok(())
    }

    /// A layer in gzip whose members (RFC 1952, section 2.2) are headers and pieces of files.
    fn packed_layer(&mut self, files: u64) -> Result<()> {
        let piece = piece();
        let packed_piece = gzip(&piece)?;
        let mut hasher = Sha256::new();
        self.member("0.tar", |out| {
            for number in 0..files {
                let header = Header::file(&format!("file{number}"), PIECES * PIECE as u64).block();
                hasher.update(header);
                out.write_all(&gzip(&header)?)?;
                for _ in 0..PIECES {
                    hasher.update(&piece);
                    out.write_all(&packed_piece)?;
                }
            }
            hasher.update([0; 2 * BLOCK]);
            Ok(out.write_all(&gzip(&[0; 2 * BLOCK])?)?)
        })?;
        self.named(0, hasher);
        Ok(())
    }

    fn named(&mut self, number: u64, hasher: Sha256) {
        self.names.push(format!("{number}.tar"));
        self.diff_ids.push(format!("sha256:{}", hex(&hasher.finalize())));
    }

    /// A member whose size is known when it is written.
    fn member(&mut self, name: &str, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
        let at = self.out.stream_position()?;
        self.out.write_all(&[0; BLOCK])?;
        write(&mut self.out)?;
        let end = self.out.stream_position()?;
        let size = end - at - BLOCK as u64;
        self.out.seek(SeekFrom::Start(at))?;
        self.out.write_all(&Header::file(name, size).block())?;
        self.out.seek(SeekFrom::Start(end))?;
        let padding = (size.next_multiple_of(BLOCK as u64) - size) as usize;
        Ok(self.out.write_all(&[0; BLOCK][..padding])?)
    }

    fn finish(mut self, tags: u64) -> Result<()> {
        let tags: Vec<String> = (1..=tags).map(|number| format!("big:{number}")).collect();
        let rootfs = json!({"type": "layers", "diff_ids": self.diff_ids});
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let config = json!({"architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs}).to_string();
        let manifest = json!([{"Config": "config.json", "RepoTags": tags, "Layers": self.names}]).to_string();
        for (name, text) in [("config.json", config), ("manifest.json", manifest)] {
            self.member(name, |out| Ok(out.write_all(text.as_bytes())?))?;
        }
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out.flush()?)
    }
}

/// A piece of a file: pages that begin with random bytes (xorshift, by Marsaglia).
fn piece() -> Vec<u8> {
    let mut piece = vec![0; PIECE];
    let mut state = 1_u64;
    for page in piece.chunks_mut(PAGE) {
        for byte in page.iter_mut().take(RANDOM) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
    }
    piece
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("gzip")
        .args(["-c", "-n", "-1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run: gzip")?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes));
        child.wait_with_output()
    })?;
    ensure!(output.status.success(), "gzip: {}", output.status);
    Ok(output.stdout)
}

/// The header of a file or a directory (POSIX.1-2017, "ustar Interchange Format").
struct Header<'a> {
    name: &'a str,
    typeflag: u8,
    mode: u32,
    size: u64,
}

impl Header<'_> {
    fn file(name: &str, size: u64) -> Header<'_> {
        Header { name, typeflag: b'0', mode: 0o644, size }
    }

    fn directory(name: &str) -> Header<'_> {
        Header { name, typeflag: b'5', mode: 0o755, size: 0 }
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, self.name);
        for (at, number) in [(100, self.mode), (108, 0), (116, 0)] {
            put(at, &format!("{number:07o}\0"));
        }
        put(124, &format!("{:011o}\0", self.size));
        put(136, "00000000001\0");
        put(148, "        ");
        put(257, "ustar\x0000");
        block[156] = self.typeflag;
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
