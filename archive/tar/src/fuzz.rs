//! What a fuzzer drives of this crate, and what must hold whatever it finds: two readers of one tar agree, and what is written
//! is read as it was.

use crate::{Allowance, Kind, LayerTree, Member, Members, Node, Part, Tree, UnionReader, tarsum, write_flat};
use layerstone_store::{Digest, Limits};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

/// Layers that a stack has at most.
const LAYERS: usize = 4;
/// Prefixes of an input that are tried.
const PREFIXES: usize = 16;
/// Bytes of holes, and of files with several names, that are written at most.
const WRITTEN: u64 = 1 << 20;

/// A tar read from front to back, byte by byte, and from place to place; as docker's checksum reads it; and as a layer.
pub fn tar_members(bytes: &[u8]) {
    let read = read_members(Cursor::new(bytes), |members| members.copy_contents(&mut Sink::default()));
    let trickled = read_members(Trickle(bytes), |members| members.copy_contents(&mut Sink::default()));
    assert_eq!(read, trickled, "reading byte by byte");
    let passed = read_members(Cursor::new(bytes), Members::pass_contents);
    if read.1.is_none() {
        assert_eq!(read, passed, "passing over contents");
        assert!(tarsum(bytes).is_ok(), "its members can be read");
    }
    let (by_place, in_order) =
        (LayerTree::read(Cursor::new(bytes)), LayerTree::read_stream(bytes, &Allowance::default()));
    match (&by_place, &in_order) {
        (Ok(a), Ok(b)) => assert_eq!(format!("{a:?}"), format!("{b:?}")),
        (Err(a), Err(b)) => assert_eq!((a.kind(), a.to_string()), (b.kind(), b.to_string())),
        _ => panic!("a layer by place: {by_place:?}, in order: {in_order:?}"),
    }
    if read.1.is_none() {
        check_prefixes(bytes, &read.0);
    }
}

/// A prefix of a good tar has the first of its members, or is none.
fn check_prefixes(bytes: &[u8], members: &[Found]) {
    for end in (0..bytes.len()).step_by(1 + bytes.len() / PREFIXES) {
        let (found, error) = read_members(&bytes[..end], |_| Ok(()));
        assert_eq!(found, members[..found.len().min(members.len())], "the first {end} bytes");
        let is_cut = error.as_ref().is_none_or(|(kind, _)| *kind == ErrorKind::UnexpectedEof);
        assert!(is_cut, "the first {end} bytes");
    }
}

/// Layers one after the other, each up to the zeros that end it, and what they show; written as one tar, that shows the
/// same, and is written as it was.
pub fn tar_stack(bytes: &[u8]) {
    let layers = split(bytes);
    let Some((tree, parts)) = stack(&layers) else { return };
    let before = listing(&tree, None);
    for (name, ..) in &before {
        let _ = tree.resolve(name);
        let _ = tree.resolve_link(name);
    }
    let copied: u64 = files(&tree).iter().map(|(_, node)| node.kind.size()).fold(0, u64::saturating_add);
    if tree.holes() > 0 || copied > WRITTEN {
        return;
    }
    let flat = flat(&tree, &parts);
    // A directory that was only named on the way to another file may have the name of a whiteout.
    let is_odd = |name: &[u8]| name.split(|&byte| byte == b'/').any(|part| part.starts_with(b".wh."));
    if before.iter().any(|(name, ..)| is_odd(name) || name.len() > 4096) {
        return;
    }
    let (again, flat_parts) = stack(std::slice::from_ref(&flat)).expect("a flat tar is a layer");
    assert_eq!(listing(&tree, Some(&parts)), listing(&again, Some(&flat_parts)));
    assert_eq!(flat, self::flat(&again, &flat_parts), "a flat tar of a flat tar");
}

/// A member, where it is, what it has.
type Found = (Member, u64, String);
/// What was wrong.
type Wrong = (ErrorKind, String);

fn read_members<R: Read>(
    tar: R,
    mut pass: impl FnMut(&mut Members<R>) -> io::Result<()>,
) -> (Vec<Found>, Option<Wrong>) {
    let mut members = Members::new(tar, Limits::default());
    let mut found = Vec::new();
    loop {
        match members.next_member() {
            Ok(None) => return (found, None),
            Ok(Some(member)) => found.push((member, members.position(), format!("{:?}", members.meta()))),
            Err(error) => return (found, Some((error.kind(), error.to_string()))),
        }
        if let Err(error) = pass(&mut members) {
            return (found, Some((error.kind(), error.to_string())));
        }
    }
}

/// Cuts bytes behind each tar.
fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut layers = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() && layers.len() < LAYERS {
        let mut cursor = Cursor::new(rest);
        read_members(&mut cursor, |_| Ok(()));
        let end = usize::try_from(cursor.position()).unwrap_or(rest.len());
        let (layer, behind) = rest.split_at(end.min(rest.len()));
        layers.push(layer.to_vec());
        rest = behind;
    }
    layers
}

/// Layers in files, and what they show; none if one is no layer.
fn stack(layers: &[Vec<u8>]) -> Option<(Tree, Vec<Part>)> {
    let parts: Vec<Part> = layers.iter().map(|layer| part(layer)).collect();
    let (mut tree, allowance) = (Tree::default(), Allowance::default());
    for (number, part) in (0..).zip(&parts) {
        let layer = LayerTree::read_nth(io::BufReader::new(part.reader()), number, &allowance).ok()?;
        let before = listing(&tree, None);
        if tree.put(layer).is_err() {
            assert_eq!(before, listing(&tree, None), "a layer that cannot be put changes nothing");
            return None;
        }
    }
    Some((tree, parts))
}

fn part(bytes: &[u8]) -> Part {
    let memory = rustix::fs::memfd_create("layer", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
    let mut file = File::from(memory);
    file.write_all(bytes).and_then(|()| file.rewind()).expect("memory");
    Part::new(Arc::new(file), "layer", 0, bytes.len() as u64)
}

fn flat(tree: &Tree, parts: &[Part]) -> Vec<u8> {
    let mut flat = Vec::new();
    write_flat(tree, parts, &mut flat, Path::new("flat")).expect("its members were read");
    flat
}

/// All files with their names.
fn files(tree: &Tree) -> Vec<(Vec<u8>, &Node)> {
    let (mut found, mut left) = (Vec::new(), vec![(Vec::new(), tree.root())]);
    while let Some((name, node)) = left.pop() {
        left.extend(node.children().map(|(base, child)| (crate::tree::join(&name, base), child)));
        found.push((name, node));
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// A file's name, kind, mode and owner; the first of its names; of files whose layers are given, all that these have.
type Line = (Vec<u8>, Kind, [u32; 3], Vec<u8>, String);

fn listing(tree: &Tree, parts: Option<&[Part]>) -> Vec<Line> {
    let mut first: BTreeMap<(u32, u64), Vec<u8>> = BTreeMap::new();
    let mut line = |(name, node): (Vec<u8>, &Node)| {
        let identity = node.identity().filter(|_| !node.is_directory());
        let first = identity.map_or_else(|| name.clone(), |it| first.entry(it).or_insert(name.clone()).clone());
        let contents = parts.map(|parts| contents(node, parts)).unwrap_or_default();
        (name, node.kind.clone(), [node.mode, node.uid, node.gid], first, contents)
    };
    files(tree).into_iter().map(&mut line).collect()
}

fn contents(node: &Node, parts: &[Part]) -> String {
    let reader = UnionReader(parts);
    let meta = reader.meta(node).expect("it was read before");
    let mut bytes = Vec::new();
    if node.kind.size() > 0 {
        reader.copy(node, &mut bytes).expect("it was read before");
    }
    format!("{meta:?} {}", Digest::of(&bytes))
}

/// Takes as many bytes as a test has time for.
#[derive(Default)]
struct Sink(u64);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        if self.0 > WRITTEN { Err(io::Error::other("too much")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives one byte at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(1);
        self.0.read(&mut buffer[..count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarsum::Archive;
    use std::fmt::Write as _;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    /// Contents of more bytes are passed over.
    const MOST: i64 = 1 << 20;

    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("tar_members", super::tar_members);
        xtask::replay("tar_stack", super::tar_stack);
    }

    /// Tars that were kept: inputs, and what is written for them.
    fn tars() -> Vec<(PathBuf, Vec<u8>)> {
        let inputs =
            ["tar_members", "tar_stack", "image_archive", "python_tar"].into_iter().flat_map(xtask::fuzz_inputs);
        let mut tars = Vec::new();
        for input in inputs {
            let bytes = std::fs::read(&input).unwrap();
            if let Some((tree, parts)) = stack(&split(&bytes))
                && tree.holes() < WRITTEN
            {
                tars.push((input.join("flat"), flat(&tree, &parts)));
            }
            tars.push((input, bytes));
        }
        tars
    }

    /// What we read of a tar, as `xtask/fuzz/go/members.go` prints it.
    fn shown(tar: &[u8]) -> String {
        let mut archive = Archive::new(tar, Limits::default());
        let mut text = String::new();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        loop {
            let member = match archive.next_member() {
                Ok(Some(member)) => member,
                Ok(None) => return text + "end\n",
                Err(_) => return text + "error\n",
            };
            let mut contents = Vec::new();
            if member.size <= MOST {
                let mut buffer = [0; 4096];
                loop {
                    match archive.read_contents(&mut buffer) {
                        Ok(0) => break,
                        Ok(count) => contents.extend_from_slice(&buffer[..count]),
                        Err(_) => return text + "error\n",
                    }
                }
            }
            let (device, sum) = (member.device, Digest::of(&contents));
            let numbers = [member.mode, member.uid, member.gid, member.size, member.mtime, device.0, device.1];
            write!(text, "{}", member.typeflag).unwrap();
            numbers.iter().for_each(|number| write!(text, " {number}").unwrap());
            let texts = [&member.name, &member.link_name, &member.uname, &member.gname].map(|bytes| hex(bytes));
            let xattrs: Vec<String> =
                member.xattrs.iter().map(|(name, value)| format!("{}={}", hex(name), hex(value))).collect();
            writeln!(text, " {},{} {}", texts.join(","), xattrs.join(";"), sum.hex()).unwrap();
        }
    }

    /// What we read of a tar is what Go's archive/tar reads of it, for all that is kept and for what is written for it.
    #[test]
    fn go_reads_the_same() {
        let tars = tars();
        let stream: Vec<u8> =
            tars.iter().flat_map(|(_, tar)| [&(tar.len() as u64).to_le_bytes(), &tar[..]].concat()).collect();
        let program: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../xtask/fuzz/go/members.go"].iter().collect();
        let go = Command::new("go").arg("run").arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut go) = go else { return println!("SKIP go_reads_the_same: found no go") };
        let mut stdin = go.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(&stream));
        let output = go.wait_with_output().unwrap();
        assert!(output.status.success());
        writer.join().unwrap().unwrap();
        let theirs = String::from_utf8(output.stdout).unwrap();
        let mut theirs = theirs.split_inclusive('\n');
        let mut different = Vec::new();
        for (name, tar) in &tars {
            let mut read = String::new();
            for line in theirs.by_ref() {
                read += line;
                if matches!(line, "end\n" | "error\n") {
                    break;
                }
            }
            if shown(tar) != read {
                different.push(format!("{}: found\n{}expected\n{read}", name.display(), shown(tar)));
            }
        }
        assert!(different.is_empty(), "{} of {}: {}", different.len(), tars.len(), different.join("\n"));
        assert_eq!(theirs.next(), None);
    }

    /// GNU tar lists flat tars with the names that they have, all of them in one go.
    #[test]
    fn gnu_tar_lists_flat_tars() {
        let flat: Vec<Vec<u8>> =
            tars().into_iter().filter(|(name, _)| name.ends_with("flat")).map(|(_, tar)| tar).collect();
        let mut expected = Vec::new();
        for tar in &flat {
            let mut archive = Archive::new(&tar[..], Limits::default());
            while let Some(member) = archive.next_member().unwrap() {
                expected.push(member.name);
            }
        }
        let mut file = part(&flat.concat()).reader();
        let directory = std::env::temp_dir().join(format!("layerstone-flat-{}", std::process::id()));
        io::copy(&mut file, &mut File::create(&directory).unwrap()).unwrap();
        let output = Command::new("tar")
            .args(["--ignore-zeros", "--quoting-style=escape", "--list", "--file"])
            .arg(&directory)
            .output();
        std::fs::remove_file(&directory).unwrap();
        let Ok(output) = output else { return println!("SKIP gnu_tar_lists_flat_tars: found no tar") };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Vec<Vec<u8>> = output.stdout.split(|&byte| byte == b'\n').map(unescaped).collect();
        assert_eq!(found.len() - 1, expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{} and {}", found.escape_ascii(), expected.escape_ascii());
        }
    }

    /// A name that tar has printed (GNU tar manual, "Quoting Member Names").
    fn unescaped(text: &[u8]) -> Vec<u8> {
        let (mut name, mut rest) = (Vec::new(), text);
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            let digits = behind.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
            match (byte, behind.first()) {
                (b'\\', Some(_)) if digits == 3 => {
                    name.push(behind[..3].iter().fold(0, |sum: u8, digit| sum.wrapping_mul(8) + (digit - b'0')));
                    rest = &behind[3..];
                }
                (b'\\', Some(letter)) => {
                    let letters = b"abfnrtv".iter().zip(b"\x07\x08\x0c\n\r\t\x0b");
                    name.push(letters.clone().find(|(it, _)| *it == letter).map_or(*letter, |(_, byte)| *byte));
                    rest = &behind[1..];
                }
                _ => name.push(byte),
            }
        }
        name
    }
}
