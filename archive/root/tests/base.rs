//! Layers placed over random base images and unpacked by GNU tar: everything is where it was asked for, as a process in
//! the image finds it, and the base's links and directories are what they were.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use layerstone_layer::{Layout, Source};
use layerstone_root::{Console, Error, RootConfig, build};
use layerstone_spec::{RootMode, Spec};
use layerstone_store::Store;
use layerstone_tar::{Allowance, Kind, LayerTree, Member, Members, Owner, Placed, Tree, walk_tree};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Links followed before a chain counts as a loop, as Linux does (path_resolution(7)).
const MAX_LINKS: usize = 40;

#[derive(Clone, Debug, PartialEq)]
enum File {
    Directory(u32),
    /// A regular file that has its name, or that of the base, as its text.
    Regular,
    Link(String),
}

/// Files by name, each directory before its contents.
type Files = BTreeMap<PathBuf, File>;

/// Writes files below a directory; each regular file says its own name after `whose`.
fn write(directory: &Path, files: &Files, whose: &str) {
    fs::create_dir_all(directory).unwrap();
    for (name, file) in files {
        let path = directory.join(name);
        match file {
            File::Directory(mode) => {
                fs::create_dir(&path).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
            }
            File::Regular => fs::write(&path, format!("{whose} {}", name.display())).unwrap(),
            File::Link(text) => symlink(text, &path).unwrap(),
        }
    }
}

fn base_tree(directory: &Path) -> Tree {
    let layout = Layout::gnu(walk_tree(directory, false).unwrap(), 1, &Owner::root());
    let mut tree = Tree::default();
    tree.put(LayerTree::read_stream(Source::from(layout).reader().unwrap(), &Allowance::default()).unwrap()).unwrap();
    tree
}

/// Where a name is on disk when `root` is the root, all links followed.
fn resolve(root: &Path, name: &Path) -> Option<PathBuf> {
    let mut at = PathBuf::new();
    let mut links = 0;
    let mut left: Vec<PathBuf> = name.components().rev().map(|part| part.as_os_str().into()).collect();
    while let Some(part) = left.pop() {
        match part.components().next()? {
            Component::RootDir => at.clear(),
            Component::ParentDir => drop(at.pop()),
            Component::Normal(name) => {
                let real = root.join(&at).join(name);
                let kind = real.symlink_metadata().ok()?.file_type();
                if kind.is_symlink() {
                    links += 1;
                    let text = real.read_link().unwrap();
                    left.extend(text.components().rev().map(|part| PathBuf::from(part.as_os_str())));
                } else if kind.is_dir() || left.is_empty() {
                    at.push(name);
                } else {
                    return None;
                }
            }
            _ => {}
        }
        if links > MAX_LINKS {
            return None;
        }
    }
    Some(root.join(at))
}

/// Puts the members of a layer over a directory as a stack of layers has them: what is no directory is replaced, and so is a
/// directory by something else.
fn put_over(directory: &Path, members: &[Member], unpacked: &Path) {
    for member in members {
        let name = Path::new(OsStr::from_bytes(&member.name));
        let (from, to) = (unpacked.join(name), directory.join(name));
        let found = to.symlink_metadata().map(|metadata| metadata.is_dir());
        if member.is_directory() {
            if let Ok(false) = found {
                fs::remove_file(&to).unwrap();
            }
            fs::create_dir_all(&to).unwrap();
            fs::set_permissions(&to, from.metadata().unwrap().permissions()).unwrap();
            continue;
        }
        match found {
            Ok(true) => fs::remove_dir_all(&to).unwrap(),
            Ok(false) => fs::remove_file(&to).unwrap(),
            Err(_) => {}
        }
        match &member.kind {
            Kind::Symlink { target } => symlink(OsStr::from_bytes(target), &to).unwrap(),
            _ => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}

fn members(blob: &Path) -> Vec<Member> {
    let mut tar = Members::new(fs::File::open(blob).unwrap(), Default::default());
    std::iter::from_fn(|| tar.next_member().unwrap()).collect()
}

fn untar(blob: &Path, directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let output =
        Command::new("tar").args(["--no-same-owner", "-xpf"]).arg(blob).arg("-C").arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What is in a directory, as lines.
fn list(directory: &Path) -> Vec<String> {
    let line = |member: &Placed| {
        let text = member.file.as_ref().map(|file| fs::read_to_string(file).unwrap());
        format!("{} {:?} {:o} {text:?}", member.entry.name.escape_ascii(), member.entry.kind, member.entry.mode)
    };
    walk_tree(directory, false).unwrap().iter().map(line).collect()
}

fn check(base: &Files, layer: &Files, replace: bool) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write(&at("base"), base, "base");
    write(&at("store/item"), layer, "layer");
    let store = Store::new(at("store").to_str().unwrap(), "/").unwrap();
    let spec =
        Spec { contents: vec![at("store/item")], root_mode: RootMode::CopyKeepingDirlinks, replace, ..Spec::new("t") };
    let config = RootConfig::new(&spec, &store, Some(Arc::new(base_tree(&at("base")))));
    match build(
        &spec,
        &config,
        &at("layer.tar"),
        &mut Console { log: &mut Vec::new(), warn: &mut |_| {}, running: &mut |_| {} },
    ) {
        Ok(_) => {}
        Err(Error::OverBase { .. }) if !replace => return,
        Err(Error::Unfollowed { .. } | Error::Collision { .. } | Error::RedirectLost { .. }) => return,
        Err(error) => panic!("{error}"),
    }
    let members = members(&at("layer.tar"));
    check_order(&members);
    untar(&at("layer.tar"), &at("unpacked"));
    write(&at("image"), base, "base");
    put_over(&at("image"), &members, &at("unpacked"));
    if !replace {
        write(&at("untarred"), base, "base");
        untar(&at("layer.tar"), &at("untarred"));
        assert_eq!(list(&at("untarred")), list(&at("image")));
    }
    layer.iter().for_each(|(name, file)| check_ours(&at("image"), name, file));
    base.iter().for_each(|(name, file)| check_base(&at("image"), name, file, &members, replace));
}

fn check_order(members: &[Member]) {
    let names: Vec<&Path> = members.iter().map(|member| Path::new(OsStr::from_bytes(&member.name))).collect();
    assert!(names.is_sorted() && names[0] == Path::new(""), "{names:?}");
    for name in &names[1..] {
        let parent = names.binary_search(&name.parent().unwrap()).unwrap();
        assert!(members[parent].is_directory(), "{}", name.display());
    }
}

/// A file of ours is found by its name.
fn check_ours(image: &Path, name: &Path, file: &File) {
    let directory = resolve(image, name.parent().unwrap());
    let path =
        directory.unwrap_or_else(|| panic!("the directory of {}", name.display())).join(name.file_name().unwrap());
    match file {
        File::Directory(_) => assert!(resolve(image, name).is_some_and(|path| path.is_dir()), "{}", name.display()),
        File::Link(text) => assert_eq!(fs::read_link(path).unwrap(), Path::new(text)),
        File::Regular => assert_eq!(fs::read_to_string(path).unwrap(), format!("layer {}", name.display())),
    }
}

/// A file of the base is as it was, unless the layer has something else there or above.
fn check_base(image: &Path, name: &Path, file: &File, members: &[Member], replace: bool) {
    let path = image.join(name);
    let of_layer = |name: &Path| members.iter().find(|member| member.name == name.as_os_str().as_bytes());
    let replaced = name.ancestors().any(|name| of_layer(name).is_some_and(|member| !member.is_directory()));
    match file {
        _ if replaced => {}
        File::Directory(mode) => assert_eq!(path.symlink_metadata().unwrap().permissions().mode() & 0o7777, *mode),
        _ if replace && of_layer(name).is_some() => {}
        File::Link(text) => assert_eq!(fs::read_link(path).unwrap(), Path::new(text)),
        File::Regular => assert_eq!(fs::read_to_string(path).unwrap(), format!("base {}", name.display())),
    }
}

/// Makes files of names and what they are; directories on the way are made, and the first of two that disagree stays.
fn files(entries: Vec<(String, File)>) -> Files {
    let mut files = Files::new();
    for (name, file) in entries {
        let name = PathBuf::from(name);
        let above: Vec<&Path> = name.ancestors().skip(1).filter(|directory| *directory != Path::new("")).collect();
        if above.iter().all(|directory| files.get(*directory).is_none_or(|file| matches!(file, File::Directory(_)))) {
            for directory in above {
                files.entry(directory.to_owned()).or_insert(File::Directory(0o755));
            }
            files.entry(name).or_insert(file);
        }
    }
    files
}

/// Directories a, b and c, links l and m most of which lead to directories, and files f, rarely under each other's names.
fn base() -> impl Strategy<Value = Files> {
    let directory =
        ("[abc](/[abc]){0,2}", select(vec![0o755, 0o700, 0o1777])).prop_map(|(n, mode)| (n, File::Directory(mode)));
    let text = prop_oneof![8 => "/?[ab](/[ab])?", 2 => "/?[lm](/[ab])?|\\.", 1 => "/?f|/?no|\\.\\./\\.\\./a"];
    let high = ("[lm]", text.clone()).prop_map(|(name, text)| (name, File::Link(text)));
    let low =
        ("[ab]/[lm]", text).prop_map(|(name, text)| (name, File::Link(format!("../{text}").replace("..//", "/"))));
    let link = prop_oneof![2 => high, 1 => low];
    let file = prop_oneof![4 => "([abc]/){0,2}f", 1 => "[abclm]"].prop_map(|name| (name, File::Regular));
    let ground = ["a", "a/b", "b"].map(|name| (name.to_owned(), File::Directory(0o711)));
    let entry = prop_oneof![3 => directory, 4 => link, 1 => file];
    proptest::collection::vec(entry, 3..14).prop_map(move |entries| files([entries, ground.to_vec()].concat()))
}

/// Files, and links of any name, in directories that may be links in the base.
fn layer() -> impl Strategy<Value = Files> {
    let file = "([abc]/)?[lm]/([ablm]/)?[fg]|([abclm]/){0,3}[fg]".prop_map(|name| (name, File::Regular));
    let link = ("([abclm]/){0,2}[klm]", "/?[abcl](/[abc])?").prop_map(|(name, text)| (name, File::Link(text)));
    let directory =
        ("[abclm](/[abclm]){0,2}", select(vec![0o755, 0o700])).prop_map(|(n, mode)| (n, File::Directory(mode)));
    let entry = prop_oneof![5 => file, 2 => link, 1 => directory];
    proptest::collection::vec(entry, 2..8).prop_map(files)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn all_is_where_it_was_asked_for(base in base(), layer in layer(), replace: bool) {
        check(&base, &layer, replace);
    }
}
