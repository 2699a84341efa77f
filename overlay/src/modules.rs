//! The modules of a kernel that a run needs, in the order in which they are loaded.

use crate::initramfs::Module;
use crate::{Error, Kernel, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// What a run needs of a kernel, by the names of modules.
const NEEDED: [&str; 5] = ["virtio_pci", "virtio_blk", "virtio_console", "overlay", "erofs"];

/// Reads the modules that the kernel has not built in, each behind those that it depends on.
pub fn modules(kernel: &Kernel) -> Result<Vec<Module>> {
    let read = |name: &str| {
        let path = kernel.modules.join(name);
        fs::read_to_string(&path).map_err(Error::io("read", path))
    };
    let dependencies = Dependencies::parse(&read("modules.dep")?);
    let builtin = read("modules.builtin").unwrap_or_default();
    let is_builtin = |name: &str| builtin.lines().any(|line| name_of(line) == name);
    let mut files = Vec::new();
    for name in NEEDED.into_iter().filter(|name| !is_builtin(name)) {
        if !dependencies.add(name, &mut files) {
            return Err(Error::Unavailable(format!(
                "the guest kernel {} has no module {name}: expected one in {}",
                kernel.release,
                kernel.modules.display()
            )));
        }
    }
    let module = |file: &String| {
        let path = kernel.modules.join(file);
        let bytes = fs::read(&path).and_then(|bytes| plain(bytes, &path)).map_err(Error::io("read", &path))?;
        Ok(Module { name: name_of(file), bytes })
    };
    files.iter().map(module).collect()
}

/// modules.dep: files by the names of modules, with the files that they depend on.
struct Dependencies(BTreeMap<String, (String, Vec<String>)>);

impl Dependencies {
    fn parse(text: &str) -> Dependencies {
        let line = |line: &str| {
            let (file, needed) = line.split_once(':')?;
            let needed = needed.split_whitespace().map(str::to_owned).collect();
            Some((name_of(file), (file.to_owned(), needed)))
        };
        Dependencies(text.lines().filter_map(line).collect())
    }

    /// Adds a module behind what it depends on; false if it is not there. depmod(8) lists the ones that are needed first
    /// last.
    fn add(&self, name: &str, files: &mut Vec<String>) -> bool {
        let Some((file, needed)) = self.0.get(name) else { return false };
        for file in needed.iter().rev().chain([file]) {
            if !files.contains(file) {
                files.push(file.clone());
            }
        }
        true
    }
}

/// The name of a module by its file: `-` and `_` are the same.
fn name_of(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    base.split(".ko").next().unwrap_or(base).replace('-', "_")
}

/// A module as the kernel takes it.
fn plain(bytes: Vec<u8>, path: &Path) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain)?,
        Some("xz") => liblzma::read::XzDecoder::new(&bytes[..]).read_to_end(&mut plain)?,
        Some("zst") => zstd::Decoder::new(&bytes[..])?.read_to_end(&mut plain)?,
        _ => return Ok(bytes),
    };
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_comes_before_it() {
        let text = "kernel/a.ko: kernel/b.ko.xz kernel/c-d.ko\nkernel/b.ko.xz: kernel/c-d.ko\nkernel/c-d.ko:\nkernel/e.ko: kernel/c-d.ko\n";
        let dependencies = Dependencies::parse(text);
        let mut files = Vec::new();
        assert!(
            dependencies.add("a", &mut files)
                && dependencies.add("e", &mut files)
                && dependencies.add("c_d", &mut files)
        );
        assert_eq!(files, ["kernel/c-d.ko", "kernel/b.ko.xz", "kernel/a.ko", "kernel/e.ko"]);
        assert!(!dependencies.add("f", &mut files));
    }

    #[test]
    fn compressed_modules_are_unpacked() {
        let gz = {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            io::Write::write_all(&mut encoder, b"module").unwrap();
            encoder.finish().unwrap()
        };
        let zst = zstd::encode_all(&b"module"[..], 1).unwrap();
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(&b"module"[..], 1).read_to_end(&mut xz).unwrap();
        for (name, bytes) in [("a.ko", b"module".to_vec()), ("a.ko.gz", gz), ("a.ko.zst", zst), ("a.ko.xz", xz)] {
            assert_eq!(plain(bytes, Path::new(name)).unwrap(), b"module", "{name}");
        }
    }
}
