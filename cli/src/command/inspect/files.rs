//! The files of an image, as a container of it sees them: listed one by one, or summed up by directories.

use crate::screen::color::Paint;
use crate::screen::fit::{bar, clean_path};
use crate::screen::table::{Table, counted, percent, size};
use anyhow::{Context, Result};
use glob::Pattern;
use layerstone_tar::{Kind, Node, Tree};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::HashSet;

/// Levels of directories that a tree shows.
const LEVELS: usize = 5;
/// A directory with less than this part of the image is summed up with its neighbours.
const LEAST: u64 = 100;
/// Bytes of the hash part of a store path's name, and its dash.
const HASH: usize = 33;

/// Files that are asked for: all, or those whose path or name matches.
pub struct Chosen(Option<Pattern>);

impl Chosen {
    /// Reads a pattern.
    pub fn parse(text: Option<&str>) -> Result<Chosen> {
        let pattern = |text: &str| Pattern::new(text).with_context(|| format!("not a pattern: {text:?}"));
        Ok(Chosen(text.map(pattern).transpose()?))
    }

    fn has(&self, path: &str) -> bool {
        let Some(pattern) = &self.0 else { return true };
        let name = path.rsplit('/').next().unwrap_or_default();
        pattern.matches(path) || pattern.matches(&short(path)) || pattern.matches(name)
    }
}

/// A file with its whole path.
pub struct File<'a> {
    /// Its path, with a slash in front.
    pub path: Vec<u8>,
    pub node: &'a Node,
}

/// The files of a tree that are asked for, in the order of their paths.
pub fn files<'a>(tree: &'a Tree, chosen: &Chosen) -> Vec<File<'a>> {
    let mut found = Vec::new();
    let mut left = vec![(Vec::new(), tree.root())];
    while let Some((path, node)) = left.pop() {
        let below = |(name, node)| ([&path[..], b"/", name].concat(), node);
        let mut children: Vec<_> = node.children().map(below).collect();
        children.reverse();
        left.extend(children);
        if !path.is_empty() && chosen.has(&String::from_utf8_lossy(&path)) {
            found.push(File { path, node });
        }
    }
    found
}

/// A line for each file: its layer, size, mode and path, cut to these columns if there are so many only.
pub fn list(files: &[File<'_>], columns: usize, paint: Paint) -> String {
    let shortens = columns < usize::MAX;
    let mut table = Table::new(&["layer", "size", "mode", "path"], &[0, 1]);
    for File { path, node } in files {
        let path = clean_path(path);
        let path = if shortens { short(&path) } else { path };
        let layer = node.identity().map(|(layer, _)| layer.to_string()).unwrap_or_default();
        let bytes = if let Kind::File { size: bytes } = node.kind { size(bytes) } else { String::new() };
        let target = target(node).map(|target| if shortens { short(&target) } else { target });
        let target = target.map(|target| format!(" → {target}")).unwrap_or_default();
        table.row(vec![layer, bytes, mode(node), format!("{path}{target}")]);
    }
    table.cut_last(columns);
    let mut seen = HashSet::new();
    let bytes = files.iter().map(|file| own_bytes(file.node, &mut seen)).fold(0, u64::saturating_add);
    let entries = if files.len() == 1 { "1 entry".to_owned() } else { format!("{} entries", files.len()) };
    let count = files.iter().filter(|file| matches!(file.node.kind, Kind::File { .. })).count();
    let sum = format!("{entries}, {} of {}", counted(count, "file"), size(bytes));
    format!("{table}\n{}\n", paint.dim(sum))
}

/// The same for programs.
pub fn list_json(files: &[File<'_>]) -> Value {
    let file = |File { path, node }: &File<'_>| {
        let mut value = json!({
            "path": clean_path(path),
            "kind": kind(node),
            "mode": format!("{:04o}", node.mode),
            "uid": node.uid,
            "gid": node.gid,
        });
        if let Some((layer, _)) = node.identity() {
            value["layer"] = layer.into();
        }
        if let Kind::File { size } = node.kind {
            value["size"] = size.into();
        }
        if let Some(target) = target(node) {
            value["target"] = target.into();
        }
        value
    };
    json!({"files": files.iter().map(file).collect::<Vec<_>>()})
}

/// Directories by size, each with what is below it.
pub fn tree(tree: &Tree, width: usize, shortens: bool, paint: Paint) -> String {
    let root = Summed::of(tree.root(), String::from("/"), &mut HashSet::new());
    let mut text = String::new();
    root.add(root.bytes, 0, &mut |bytes, depth, name, is_rest| {
        let cells = (width / 5).min(24);
        let drawn = bar(bytes.into(), root.bytes.into(), cells);
        let padding = " ".repeat(cells - drawn.chars().count());
        let name = if shortens { short_name(name) } else { name.to_owned() };
        let name = if is_rest { paint.dim(name) } else { name };
        let indent = " ".repeat(2 * depth);
        let (bytes, share) = (size(bytes), percent(bytes, root.bytes));
        text += &format!("{bytes:>7}  {share:>7}  {}{padding}  {indent}{name}\n", paint.plain_bar(drawn));
    });
    text
}

/// The same for programs: all directories and what is in them.
pub fn tree_json(tree: &Tree) -> Value {
    let root = Summed::of(tree.root(), String::from("/"), &mut HashSet::new());
    json!({"tree": root.json()})
}

/// A directory with the bytes of all files in it; a file that has several names counts where it is met first.
struct Summed {
    name: String,
    bytes: u64,
    below: Vec<Summed>,
}

impl Summed {
    fn of(node: &Node, name: String, seen: &mut HashSet<(u32, u64)>) -> Summed {
        let below = |(name, node): (&[u8], &Node)| {
            let slash = if node.is_directory() { "/" } else { "" };
            Summed::of(node, clean_path(name) + slash, seen)
        };
        let mut below: Vec<Summed> = node.children().map(below).collect();
        let bytes = below.iter().map(|it| it.bytes).fold(own_bytes(node, seen), u64::saturating_add);
        below.sort_by(|a, b| Reverse(a.bytes).cmp(&Reverse(b.bytes)).then_with(|| a.name.cmp(&b.name)));
        Summed { name, bytes, below }
    }

    fn json(&self) -> Value {
        let mut value = json!({"name": self.name, "size": self.bytes});
        if self.name.ends_with('/') {
            value["below"] = self.below.iter().map(Summed::json).collect();
        }
        value
    }

    /// Calls `line` with the bytes, depth and name of this directory and of what is large below it, and whether it stands
    /// for several that are not.
    fn add(&self, all: u64, depth: usize, line: &mut dyn FnMut(u64, usize, &str, bool)) {
        line(self.bytes, depth, &self.name, false);
        if depth == LEVELS {
            return;
        }
        let is_large = |it: &&Summed| it.bytes > 0 && it.bytes >= all / LEAST;
        let large: Vec<&Summed> = self.below.iter().filter(is_large).collect();
        large.iter().for_each(|it| it.add(all, depth + 1, line));
        let (count, rest) = (self.below.len() - large.len(), self.below.iter().skip(large.len()));
        if count > 0 && !large.is_empty() {
            let rest = rest.map(|it| it.bytes).fold(0, u64::saturating_add);
            line(rest, depth + 1, &format!("{count} more"), true);
        }
    }
}

/// Bytes of a regular file that was not seen before.
fn own_bytes(node: &Node, seen: &mut HashSet<(u32, u64)>) -> u64 {
    let is_new = node.identity().is_none_or(|identity| seen.insert(identity));
    if let Kind::File { size } = node.kind
        && is_new
    {
        size
    } else {
        0
    }
}

/// A path with `…` for the hash part of a store path: `/nix/store/…-glibc-2.36/lib`.
pub fn short(path: &str) -> String {
    path.split('/').map(short_name).collect::<Vec<_>>().join("/")
}

fn short_name(name: &str) -> String {
    let is_hash = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    match name.split_at_checked(HASH) {
        Some((hash, rest)) if hash.ends_with('-') && is_hash(&hash[..HASH - 1]) => format!("…-{rest}"),
        _ => name.to_owned(),
    }
}

fn target(node: &Node) -> Option<String> {
    if let Kind::Symlink { target } = &node.kind { Some(clean_path(target)) } else { None }
}

fn kind(node: &Node) -> &'static str {
    match node.kind {
        Kind::File { .. } | Kind::HardLink { .. } => "file",
        Kind::Directory => "directory",
        Kind::Symlink { .. } => "symlink",
        Kind::Fifo => "fifo",
        Kind::CharDevice { .. } => "character device",
        Kind::BlockDevice { .. } => "block device",
    }
}

/// The mode as `ls` writes it.
fn mode(node: &Node) -> String {
    let kind = match node.kind {
        Kind::File { .. } | Kind::HardLink { .. } => '-',
        Kind::Directory => 'd',
        Kind::Symlink { .. } => 'l',
        Kind::Fifo => 'p',
        Kind::CharDevice { .. } => 'c',
        Kind::BlockDevice { .. } => 'b',
    };
    let mut text: Vec<char> = format!("{kind}rwxrwxrwx").chars().collect();
    for (bit, letter) in text.iter_mut().skip(1).enumerate() {
        if node.mode & (0o400 >> bit) == 0 {
            *letter = '-';
        }
    }
    for (bit, at, letter) in [(0o4000, 3, 's'), (0o2000, 6, 's'), (0o1000, 9, 't')] {
        if node.mode & bit != 0 {
            text[at] = if text[at] == 'x' { letter } else { letter.to_ascii_uppercase() };
        }
    }
    text.into_iter().collect()
}
