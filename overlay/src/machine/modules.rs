//! Finds the modules of a kernel that a run needs, in the order in which they are loaded.

use super::initramfs::Module;
use crate::{Error, Kernel, Result};
use std::collections::{BTreeMap, BTreeSet};
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
    let [builtin, soft, aliases] =
        ["modules.builtin", "modules.softdep", "modules.alias"].map(|name| read(name).unwrap_or_default());
    let tables = Tables::parse(&read("modules.dep")?, &builtin, &soft, &aliases);
    let mut files = Vec::new();
    for name in NEEDED {
        if !tables.add(name, &mut files) {
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

/// What depmod(8) and the kernel's build know of modules.
struct Tables {
    /// modules.dep: files by the names of modules, with the files that they depend on.
    dependencies: BTreeMap<String, (String, Vec<String>)>,
    /// modules.builtin: names of modules.
    builtin: BTreeSet<String>,
    /// modules.softdep: what should be loaded before a module, by its name; names or aliases.
    soft: BTreeMap<String, Vec<String>>,
    /// modules.alias: names of modules by what they can do.
    aliases: BTreeMap<String, Vec<String>>,
}

impl Tables {
    fn parse(dependencies: &str, builtin: &str, soft: &str, aliases: &str) -> Tables {
        let dependency = |line: &str| {
            let (file, needed) = line.split_once(':')?;
            let needed = needed.split_whitespace().map(str::to_owned).collect();
            Some((name_of(file), (file.to_owned(), needed)))
        };
        let mut tables = Tables {
            dependencies: dependencies.lines().filter_map(dependency).collect(),
            builtin: builtin.lines().map(name_of).collect(),
            soft: BTreeMap::new(),
            aliases: BTreeMap::new(),
        };
        for words in soft.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
            if let ["softdep", module, "pre:", before @ ..] = &words[..] {
                let before = before.iter().take_while(|word| **word != "post:").map(|word| (*word).to_owned());
                tables.soft.entry(name_of(module)).or_default().extend(before);
            }
        }
        for words in aliases.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
            if let ["alias", alias, module] = &words[..] {
                tables.aliases.entry((*alias).to_owned()).or_default().push((*module).to_owned());
            }
        }
        tables
    }

    /// Adds a module behind what it depends on; false if there is none. depmod(8) lists the ones that are needed first
    /// last.
    fn add(&self, name: &str, files: &mut Vec<String>) -> bool {
        if self.builtin.contains(name) {
            return true;
        }
        let Some((file, needed)) = self.dependencies.get(name) else { return false };
        for file in needed.iter().rev().chain([file]).filter(|file| !files.contains(file)).collect::<Vec<_>>() {
            for before in self.soft.get(&name_of(file)).into_iter().flatten() {
                self.add_any(before, files);
            }
            if !files.contains(file) {
                files.push(file.clone());
            }
        }
        true
    }

    /// Adds a module that goes by a name or an alias, if there is one: of several the one for any processor.
    fn add_any(&self, name: &str, files: &mut Vec<String>) {
        if self.add(&name.replace('-', "_"), files) {
            return;
        }
        let mut named: Vec<&String> = self.aliases.get(name).into_iter().flatten().collect();
        named.sort_by_key(|module| !module.ends_with("_generic"));
        if let Some(module) = named.first() {
            self.add(module, files);
        }
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
        let text = "kernel/a.ko: kernel/b.ko.xz kernel/c-d.ko\nkernel/b.ko.xz: kernel/c-d.ko\nkernel/c-d.ko:\nkernel/e.ko: kernel/c-d.ko\n\
             kernel/sum-fast.ko:\nkernel/sum_generic.ko:\n";
        let soft = "# a comment\nsoftdep c_d pre: sum absent post: a\n";
        let aliases = "alias sum sum_fast\nalias sum sum_generic\n";
        let tables = Tables::parse(text, "kernel/g.ko\n", soft, aliases);
        let mut files = Vec::new();
        assert!(["a", "e", "c_d", "g"].into_iter().all(|name| tables.add(name, &mut files)));
        assert_eq!(files, ["kernel/sum_generic.ko", "kernel/c-d.ko", "kernel/b.ko.xz", "kernel/a.ko", "kernel/e.ko"]);
        assert!(!tables.add("f", &mut files));
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
