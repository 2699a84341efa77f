//! Root scripts over a base, in every backend that the machine allows: the layer that comes of them, what they see, what
//! goes wrong.
//!
//! | module | shows |
//! |---|---|
//! | `bad` | what is told when something fails, and that nothing is left |
//! | `bases` | stacks of layers as scripts see them |
//! | `ends` | processes that are killed, on either side |
//! | `hostile` | scripts and bases that want out |
//! | `images` | runAsRoot in image.json, in one go and stage by stage |
//! | `layer` | what an overlay's upper directory becomes in a layer, rule by rule |
//! | `random` | any edits of any tree: the layer over the base is what the script left |
//! | `sight` | what a script, and a hook, sees |

mod bad;
mod bases;
mod ends;
mod hostile;
mod images;
mod layer;
mod random;
mod sight;

use crate::support::lab::debian;
use crate::support::pieces::{Pieces, plain_docker, tar};
use crate::support::skip::require_root;
use crate::support::{Place, Run, require_tool, shared, skip, test_name};
use std::path::PathBuf;
use std::sync::OnceLock;

/// The backends that are here; what is missing is skipped.
#[track_caller]
pub fn backends() -> Vec<&'static str> {
    let mut backends = vec!["userns"];
    if require_root() {
        backends.push("namespace");
    }
    backends.extend(has_machine().then_some("emulation"));
    backends
}

/// Whether there can be virtual machines; if not, the running test is skipped.
#[track_caller]
pub fn has_machine() -> bool {
    let is_kernel = |name: std::ffi::OsString| name.to_string_lossy().starts_with("vmlinuz-");
    let mut kernels = std::fs::read_dir("/boot").into_iter().flatten().flatten();
    let found = kernels.any(|entry| is_kernel(entry.file_name()));
    if !found {
        skip(&test_name(), "no Linux in /boot");
    }
    require_tool("qemu-system-x86_64") && found
}

/// A file of a layer.
pub struct File<'a> {
    pub name: &'a str,
    pub kind: tar::EntryType,
    pub mode: u32,
    pub owner: u64,
    /// Contents, or where a link leads.
    pub text: &'a [u8],
}

impl<'a> File<'a> {
    pub fn new(name: &'a str, mode: u32, text: &'a str) -> File<'a> {
        File { name, kind: tar::EntryType::Regular, mode, owner: 0, text: text.as_bytes() }
    }

    pub fn folder(name: &'a str) -> File<'a> {
        File { kind: tar::EntryType::Directory, ..File::new(name, 0o755, "") }
    }

    pub fn link(name: &'a str, target: &'a str) -> File<'a> {
        File { kind: tar::EntryType::Symlink, ..File::new(name, 0o777, target) }
    }

    pub fn same(name: &'a str, target: &'a str) -> File<'a> {
        File { kind: tar::EntryType::Link, ..File::new(name, 0o644, target) }
    }

    pub fn of(self, owner: u64) -> File<'a> {
        File { owner, ..self }
    }
}

/// A layer of these files, of 2020.
pub fn layer_of(files: &[File<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let is_link = matches!(file.kind, tar::EntryType::Symlink | tar::EntryType::Link);
        let contents = if is_link { &b""[..] } else { file.text };
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(file.kind);
        header.set_mode(file.mode);
        header.set_uid(file.owner);
        header.set_gid(file.owner);
        header.set_mtime(1_577_836_800);
        header.set_size(contents.len() as u64);
        if is_link {
            header.set_link_name_literal(file.text).unwrap();
        }
        // Past the checks of the crate: some names are bad on purpose.
        header.as_gnu_mut().unwrap().name[..file.name.len()].copy_from_slice(file.name.as_bytes());
        header.set_cksum();
        builder.append(&header, contents).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A layer of busybox as `/bin/sh` and all the rest.
#[track_caller]
pub fn busybox() -> Option<Vec<u8>> {
    if !require_tool("busybox") {
        return None;
    }
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    let layer = LAYER.get_or_init(|| {
        let program = std::fs::read("/usr/bin/busybox").or_else(|_| std::fs::read("/bin/busybox")).unwrap();
        let names = "sh cat chmod chown cp cut dd dirname echo env false find grep head id kill ln ls mkdir mkfifo mknod mount mv \
            od printf ps pwd readlink realpath rm rmdir sed sleep sort stat sync tail tar test touch tr true umount unshare chroot \
            wc xargs base64";
        let names: Vec<String> = names.split_whitespace().map(|name| format!("bin/{name}")).collect();
        let mut files = vec![File::folder("bin/"), File { text: &program, ..File::new("bin/busybox", 0o755, "") }];
        files.extend(names.iter().map(|name| File::link(name, "busybox")));
        layer_of(&files)
    });
    Some(layer.clone())
}

/// A docker archive of these layers.
pub fn archive(layers: &[Vec<u8>]) -> Vec<u8> {
    tar_of(&Pieces::new(layers))
}

pub fn tar_of(pieces: &Pieces) -> Vec<u8> {
    tar(&plain_docker(std::slice::from_ref(pieces)))
}

/// A place with a base of busybox and these layers, and a script.
#[track_caller]
pub fn place(layers: &[Vec<u8>], script: &str) -> Option<Place> {
    let place = Place::new();
    place.write("base.tar", archive(&[&[busybox()?][..], layers].concat()));
    place.write("script.sh", script);
    Some(place)
}

/// Debian with another layer on top, made once for all tests; or the running test is skipped.
#[track_caller]
pub fn debian_base() -> Option<PathBuf> {
    let debian = debian()?;
    let folder = shared("debian-base", &[&debian], "", |folder| {
        let layers = [std::fs::read(&debian).unwrap(), layer_of(&layer::second_layer())];
        std::fs::write(folder.join("base.tar"), archive(&layers)).unwrap();
    });
    Some(folder.join("base.tar"))
}

/// Runs `script.sh` of a place over `base.tar` there, if that is there, with more flags.
#[track_caller]
pub fn run(place: &Place, backend: &str, flags: &str) -> Run {
    let base = if place.join("base.tar").exists() { "--base base.tar" } else { "" };
    let line =
        format!("overlay run --backend {backend} {base} --script script.sh -o run.layer.json --blob run.tar {flags}");
    place.run(&line)
}

/// What a script printed in a run that went well.
#[track_caller]
pub fn printed(place: &Place, backend: &str, flags: &str) -> String {
    let run = run(place, backend, flags);
    assert_eq!(run.code, Some(0), "{backend}: {}", run.stderr);
    place.check_no_leftovers();
    let (told, printed) = run.stderr.split_once('\n').unwrap();
    assert!(told.starts_with("root script in "), "{told}");
    printed.to_owned()
}
