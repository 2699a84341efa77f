//! A synthetic store: 13 store paths with every corner that a tar writer meets, the same bytes on every machine.
//!
//! It needs neither Nix nor root nor a network.
//! A path's hash part is a function of its name, so that references and digests are known beforehand; the contents
//! are text or a stream of hashes.
//! It covers a file, a program and a link as whole store paths, hard links, a self reference, an empty directory, names
//! over 100 and 255 bytes deep, link targets around 100 bytes, names that are no ASCII, no UTF-8 or hold a newline,
//! sizes around a tar block, and names that sort differently with and without their separators.
//!
//! ```text
//! script.sh ─▶ bash ─▶ libc ◀─ zlib ◀─ ssl ◀─ curl ◀─ git ─▶ perl ─▶ libc
//! root-env ─▶ git, bash, script.sh, data.txt, corners, empty-dir, link-to-bash
//! ```

mod layer;
mod nar;
mod tree;

use anyhow::{Context, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tree::{Tree, dir};

/// Where the store paths say they are, wherever they are really written.
const STORE: &str = "/nix/store";
/// Length of a hash part: 160 bits in Nix's base 32.
const HASH_LEN: usize = 32;
/// The name of the directory with the customisation layer.
const LAYER: &str = "synth-customisation-layer";

/// What was made.
pub struct Synth {
    /// The store paths as Nix's references graph has them, sorted.
    pub graph: Vec<PathInfo>,
    /// The store path whose directory holds the customisation layer, `layer.tar`, and its sha256, `checksum`; it is not
    /// in the graph.
    pub customisation_layer: String,
}

/// One store path, under the names of exportReferencesGraph.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathInfo {
    /// The path.
    pub path: String,
    /// `sha256:` and the hash of its NAR in Nix's base 32.
    pub nar_hash: String,
    /// Size of its NAR in bytes.
    pub nar_size: u64,
    /// The paths whose hash parts occur in its NAR, sorted.
    pub references: Vec<String>,
}

/// Writes the store paths and the customisation layer's directory into `store_dir`, in place of what has their names
/// there, and `graph.json` and `registration` into `out`.
///
/// Both directories are made where missing. Files belong to whoever runs it; modes and times are those of a Nix store.
pub fn make(store_dir: &Path, out: &Path) -> Result<Synth> {
    for folder in [store_dir, out] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create: {}", folder.display()))?;
    }
    let store = store();
    for (path, tree) in &store {
        tree.write(&store_dir.join(base_name(path)))?;
    }
    let customisation_layer = path(LAYER);
    layer::write(&root_env(), &store_dir.join(base_name(&customisation_layer)))?;
    let graph = graph(&store);
    write(&out.join("graph.json"), &graph_json(&graph)?)?;
    write(&out.join("registration"), &registration(&graph))?;
    Ok(Synth { graph, customisation_layer })
}

/// The store: a tree for every path.
fn store() -> BTreeMap<String, Tree> {
    let mut trees = programs();
    trees.extend([
        ("script.sh", Tree::exec(format!("#!{}/bin/bash\necho hi\n", path("bash-5.2")))),
        ("data.txt", Tree::file("no references at all\n")),
        ("link-to-bash", Tree::link(path("bash-5.2") + "/bin/bash")),
        ("empty-dir", dir! {}),
        ("corners", corners()),
        ("root-env", root_env()),
    ]);
    trees.into_iter().map(|(name, tree)| (path(name), tree)).collect()
}

/// Libraries and programs that refer to each other as real ones do.
fn programs() -> Vec<(&'static str, Tree)> {
    let [libc, zlib, ssl] = ["libc-2.36", "zlib-1.3", "ssl-3.0"].map(path);
    let [bash, perl, curl] = ["bash-5.2", "perl-5.38", "curl-8.0"].map(path);
    let modules = (0..150).map(|i| (format!("M{i:03}.pm"), Tree::File(noise(&format!("pm{i}"), 37 * i))));
    let helpers = (0..20).map(|i| (format!("git-{i}"), Tree::Hard("bin/git")));
    vec![
        (
            "libc-2.36",
            dir! {
                "lib" => dir! { "libc.so.6" => Tree::Exec(noise("libc", 200_000)), "ld.so" => Tree::Exec(noise("ld", 30_000)) },
                "etc" => dir! {},
                "self" => Tree::file(&libc),
            },
        ),
        (
            "zlib-1.3",
            dir! { "lib" => dir! {
                "libz.so.1.3" => Tree::File(noise("z", 70_001)),
                "libz.so.1" => Tree::link("libz.so.1.3"),
                "rpath" => Tree::file(format!("{libc}/lib")),
            }},
        ),
        (
            "ssl-3.0",
            dir! { "lib" => dir! { "libssl.so" => Tree::File(noise("ssl", 65_536)), "r" => Tree::file(format!("{libc}:{zlib}")) } },
        ),
        (
            "bash-5.2",
            dir! { "bin" => dir! { "bash" => Tree::Exec(noise_before("bash", 50_000, &libc)), "sh" => Tree::link("bash") } },
        ),
        (
            "perl-5.38",
            dir! {
                "bin" => dir! {
                    "perl" => Tree::Exec(noise_before("perl", 9_999, &libc)),
                    "perl5.38" => Tree::Hard("bin/perl"),
                },
                "lib" => Tree::dir(modules),
            },
        ),
        ("curl-8.0", dir! { "bin" => dir! { "curl" => Tree::exec(format!("{ssl} {zlib} {libc}")) } }),
        (
            "git-2.39",
            dir! { "bin" => dir! { "git" => Tree::exec(format!("{perl} {curl} {bash}")) }, "libexec" => Tree::dir(helpers) },
        ),
    ]
}

/// A directory of names, link targets and sizes at the limits of tar's headers.
fn corners() -> Tree {
    dir! {
        "a" => dir! { "b" => Tree::file("1") },
        "a-b" => Tree::file("2"),
        "a.b" => Tree::file("3"),
        "A" => Tree::file("4"),
        "aa" => Tree::file("5"),
        "a b" => Tree::file("6"),
        "empty" => Tree::file(""),
        "511" => Tree::File(noise("s", 511)),
        "512" => Tree::File(noise("s", 512)),
        "513" => Tree::File(noise("s", 513)),
        "n".repeat(99) => Tree::file("99"),
        "n".repeat(100) => Tree::file("100"),
        "n".repeat(101) => Tree::file("101"),
        "n".repeat(255) => Tree::file("255"),
        "d".repeat(120) => dir! { "e".repeat(120) => dir! { "f".repeat(120) => Tree::file("deep") } },
        "long-target" => Tree::link(format!("/{}", "t".repeat(150))),
        "target-100" => Tree::link(format!("/{}", "t".repeat(99))),
        "target-101" => Tree::link(format!("/{}", "t".repeat(100))),
        "h\u{e9}llo-\u{4f60}\u{597d}" => Tree::file("utf8"),
        b"latin1-\xe9" => Tree::file("not utf8"),
        "new\nline" => Tree::file("nl"),
        "link-\u{e9}" => Tree::link("h\u{e9}llo-\u{4f60}\u{597d}"),
        "dangling" => Tree::link("nowhere"),
        "ro-exec" => Tree::exec("#!/bin/false\n"),
    }
}

/// The closure's root: a tree of links, as buildEnv makes them.
fn root_env() -> Tree {
    dir! {
        "bin" => dir! {
            "git" => Tree::link(path("git-2.39") + "/bin/git"),
            "bash" => Tree::link(path("bash-5.2") + "/bin/bash"),
            "script" => Tree::link(path("script.sh")),
        },
        "share" => dir! {
            "data" => Tree::link(path("data.txt")),
            "corners" => Tree::link(path("corners")),
            "e" => Tree::link(path("empty-dir")),
            "l" => Tree::link(path("link-to-bash")),
        },
    }
}

/// The store path of a name.
fn path(name: &str) -> String {
    let hash = Sha256::digest(format!("synthetic:{name}"));
    format!("{STORE}/{}-{name}", nar::base32(&hash[..20]))
}

fn base_name(path: &str) -> &str {
    &path[STORE.len() + 1..]
}

/// `len` bytes that look random: the hashes of `SEED:0`, `SEED:1`, … one after the other.
fn noise(seed: &str, len: usize) -> Vec<u8> {
    let hashes = (0..len.div_ceil(32)).flat_map(|i| Sha256::digest(format!("{seed}:{i}")));
    hashes.take(len).collect()
}

fn noise_before(seed: &str, len: usize, end: &str) -> Vec<u8> {
    [noise(seed, len), end.into()].concat()
}

/// What Nix would register: NAR sizes, hashes and the references found in the NARs.
fn graph(store: &BTreeMap<String, Tree>) -> Vec<PathInfo> {
    let hash_part = |path: &str| base_name(path)[..HASH_LEN].to_owned();
    let info = |path: &String, tree: &Tree| {
        let nar = nar::serialise(tree);
        let mentions = |hash: String| nar.windows(HASH_LEN).any(|window| window == hash.as_bytes());
        PathInfo {
            path: path.clone(),
            nar_hash: format!("sha256:{}", nar::base32(&Sha256::digest(&nar))),
            nar_size: nar.len() as u64,
            references: store.keys().filter(|other| mentions(hash_part(other))).cloned().collect(),
        }
    };
    store.iter().map(|(path, tree)| info(path, tree)).collect()
}

/// `{"graph": […]}` indented by one space, without a newline at the end.
fn graph_json(graph: &[PathInfo]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let style = serde_json::ser::PrettyFormatter::with_indent(b" ");
    BTreeMap::from([("graph", graph)]).serialize(&mut serde_json::Serializer::with_formatter(&mut text, style))?;
    Ok(text)
}

/// The text that `nix-store --load-db` reads: path, hash, size, deriver (none), number of references, references.
fn registration(graph: &[PathInfo]) -> Vec<u8> {
    let mut text = String::new();
    for info in graph {
        let head = [&info.path, &info.nar_hash, &info.nar_size.to_string(), "", &info.references.len().to_string()];
        for line in head.into_iter().chain(info.references.iter().map(String::as_str)) {
            text.extend([line, "\n"]);
        }
    }
    text.into_bytes()
}

fn write(path: &Path, contents: &[u8]) -> Result<()> {
    fs::write(path, contents).with_context(|| format!("cannot write: {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn golden(name: &str) -> Result<String> {
        Ok(fs::read_to_string(crate::golden_dir().join("synth").join(name))?)
    }

    #[test]
    fn graph_and_registration_are_the_golden_ones() -> Result<()> {
        let graph = graph(&store());
        assert_eq!(String::from_utf8(graph_json(&graph)?)?, golden("graph.json")?);
        assert_eq!(String::from_utf8(registration(&graph))?, golden("registration")?);
        Ok(())
    }

    #[test]
    fn files_are_as_in_a_store() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (store_dir, out) = (dir.path().join("root/nix/store"), dir.path().join("out"));
        make(&store_dir, &out)?;
        let synth = make(&store_dir, &out)?;
        assert_eq!(synth.graph.len(), 13);
        assert_eq!(fs::read_dir(&store_dir)?.count(), 14);
        assert_eq!(fs::read_to_string(out.join("graph.json"))?, golden("graph.json")?);
        let stat = |name: &str, file: &str| {
            let meta = store_dir.join(base_name(&path(name))).join(file).symlink_metadata()?;
            Ok::<_, anyhow::Error>((format!("{:o}", meta.mode()), meta.mtime(), meta.nlink(), meta.len()))
        };
        assert_eq!(stat("git-2.39", "libexec/git-7")?, ("100555".to_owned(), 1, 21, 159));
        assert_eq!(stat("zlib-1.3", "lib/libz.so.1.3")?, ("100444".to_owned(), 1, 1, 70_001));
        assert_eq!(stat("zlib-1.3", "lib/libz.so.1")?, ("120777".to_owned(), 1, 1, 11));
        let (mode, mtime, ..) = stat("corners", "a")?;
        assert_eq!((mode.as_str(), mtime), ("40555", 1));
        Ok(())
    }

    #[test]
    fn what_is_written_is_what_is_registered() -> Result<()> {
        let dir = tempfile::tempdir()?;
        make(dir.path(), &dir.path().join("out"))?;
        for (path, tree) in store() {
            let read = Tree::read(&dir.path().join(base_name(&path)))?;
            assert_eq!(nar::serialise(&read), nar::serialise(&tree), "{path}");
        }
        Ok(())
    }
}
