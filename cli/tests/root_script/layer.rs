//! What an overlay's upper directory becomes in a layer: every rule in one script, in every backend, twice.

use super::{File, backends, debian_base, printed};
use crate::support::Place;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

/// Files for the script to change; owner 7 is nobody in particular.
pub fn second_layer() -> Vec<File<'static>> {
    vec![
        File { mode: 0o711, ..File::folder("o/") }.of(7),
        File::new("o/keep", 0o640, "old").of(7),
        File::new("o/gone", 0o644, "gone"),
        File::folder("opaque/"),
        File::new("opaque/below", 0o644, "below"),
        File::folder("parent/"),
        File::folder("parent/doc/"),
        File::new("parent/doc/x", 0o644, "x"),
        File::new("to-folder", 0o644, "file"),
        File::folder("to-file/"),
        File::new("to-file/in", 0o644, "in"),
        File::new("there-and-back", 0o644, "1"),
        File::new("same-1", 0o644, "same"),
        File::same("same-2", "same-1"),
        File::folder("move/"),
        File::new("move/in", 0o644, "moved"),
        File::new("touched", 0o600, "touched"),
        File::new("untouched", 0o600, "untouched"),
        File::folder("marked/"),
        File::new("marked/new", 0o644, "stays"),
        // Hides nothing of its own layer, wherever it stands.
        File::new("marked/.wh..wh..opq", 0o644, ""),
    ]
}

const SCRIPT: &str = r#"
echo changed >> o/keep; rm o/gone
rm -rf opaque; mkdir opaque; echo new > opaque/new
rm -rf parent/doc
rm to-folder; mkdir to-folder; echo in > to-folder/in
rm -rf to-file; echo file > to-file
rm there-and-back; mkdir there-and-back; rmdir there-and-back; echo 2 > there-and-back
echo more >> same-1; test "$(cat same-2)" = same
mv move moved
touch -d 2030-01-01 touched
mkdir n; echo 1 > n/a; ln n/a n/b; ln -s nowhere n/link; mkfifo n/fifo; chown 70000:5 n/fifo
echo s > n/s; chown 3:4 n/s; chmod 6755 n/s
mknod n/null c 1 3 || test "$1" = users
mknod n/disk b 259 1048575 || true
perl -e 'use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un("n/socket")) or die'
# setxattr(2): capabilities of revision 2, cap_net_raw; an attribute with a name of its own.
perl -e '$v = pack("VVVVV", 0x02000001, 1 << 13, 0, 0, 0);
  for (["n/s", "security.capability", $v], ["n/a", "user.x=y", "1"]) { ($f, $n, $v) = @$_;
    syscall(188, $f, $n, $v, length $v, 0) == 0 or print "$n: $!\n" }'
test -e marked/new
test ! -e /dev/null.d; mkdir /dev/left; echo x > /tmp/here; rm /tmp/here
sh -c 'sleep 100 & sleep 100 &'
"#;

/// The names in a tar with what their headers say.
fn listed(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entry = |entry: tar::Entry<'_, &[u8]>| {
        let header = entry.header();
        let kind = header.entry_type().as_byte() as char;
        let link = entry.link_name_bytes().map_or(String::new(), |name| format!(" {}", String::from_utf8_lossy(&name)));
        let device = match (header.device_major().unwrap_or(None), header.device_minor().unwrap_or(None)) {
            (Some(major), Some(minor)) if "34".contains(kind) => format!(" {major},{minor}"),
            _ => String::new(),
        };
        let (mode, uid, gid, mtime) =
            (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")), "{name}");
        format!("{kind} {mode:o} {uid}:{gid} {mtime} {name}{link}{device}")
    };
    archive.entries().unwrap().map(|found| entry(found.unwrap())).collect()
}

/// Extended attributes by the names of files.
fn xattrs(tar: &[u8]) -> BTreeMap<String, Vec<(String, Vec<u8>)>> {
    let mut archive = tar::Archive::new(tar);
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(records) = entry.pax_extensions().unwrap() else { continue };
        let records = records.map(Result::unwrap).filter_map(|record| {
            let name = record.key().unwrap().strip_prefix("SCHILY.xattr.")?;
            Some((name.to_owned(), record.value_bytes().to_owned()))
        });
        found.insert(name, records.collect());
    }
    found
}

const EXPECTED: &str = "\
0 644 0:0 MTIME ./.wh.move
5 755 0:0 TIME ./moved/
0 644 0:0 TIME ./moved/in
5 755 0:0 MTIME ./n/
0 644 0:0 MTIME ./n/a
1 644 0:0 MTIME ./n/b ./n/a
4 644 0:0 MTIME ./n/disk 259,1048575
6 644 70000:5 MTIME ./n/fifo
2 777 0:0 MTIME ./n/link nowhere
3 644 0:0 MTIME ./n/null 1,3
0 6755 3:4 MTIME ./n/s
5 711 7:7 MTIME ./o/
0 644 0:0 MTIME ./o/.wh.gone
0 640 7:7 MTIME ./o/keep
5 755 0:0 MTIME ./opaque/
0 644 0:0 MTIME ./opaque/.wh..wh..opq
0 644 0:0 MTIME ./opaque/new
5 755 0:0 MTIME ./parent/
0 644 0:0 MTIME ./parent/.wh.doc
0 644 0:0 MTIME ./same-1
0 644 0:0 MTIME ./there-and-back
5 1777 0:0 MTIME ./tmp/
0 644 0:0 MTIME ./to-file
5 755 0:0 MTIME ./to-folder/
0 644 0:0 MTIME ./to-folder/in
0 600 0:0 MTIME ./touched
";

#[test]
fn every_rule() {
    let Some(base) = debian_base() else { return };
    let mut layers: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for backend in backends() {
        let place = Place::new();
        symlink(&base, place.join("base.tar")).unwrap();
        let users = if backend == "userns" { "set -- users\n" } else { "" };
        place.write("script.sh", format!("{users}cd /{SCRIPT}"));
        let told = printed(&place, backend, "--mtime 2025-01-01T00:00:00Z");
        assert!(told.ends_with("warning: left out of the layer: ./n/socket: a socket\n"), "{backend}: {told}");
        let layer = place.read("run.tar");
        // What the script did now is later than what it may be; what it kept is of 2020.
        let found = listed(&layer).join("\n") + "\n";
        let expected = EXPECTED.replace("MTIME", "1735689600").replace("TIME", "1577836800");
        // Whiteouts have no time of their own.
        let whiteout = |line: &str| line.contains("/.wh.").then(|| line.replace("1735689600", "0"));
        let is_device = |line: &&str| line.starts_with('3') || line.starts_with('4');
        let expected: Vec<String> = expected
            .lines()
            .filter(|line| backend != "userns" || !is_device(line))
            .map(|line| whiteout(line).unwrap_or(line.to_owned()))
            .collect();
        assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{backend}");
        let capability = [&[1, 0, 0, 2][..], &(1_u32 << 13).to_le_bytes(), &[0; 12]].concat();
        let found = xattrs(&layer);
        assert_eq!(found["./n/s"], [("security.capability".to_owned(), capability)], "{backend}");
        // tmpfs has attributes of users since Linux 6.6: an older machine of ours tells so.
        let kept = found.get("./n/a").is_some_and(|xattrs| xattrs[0] == ("user.x%3Dy".to_owned(), b"1".to_vec()));
        assert_ne!(kept, told.contains("user.x=y: Operation not supported"), "{backend}: {told}");
        assert_eq!(place.json("run.layer.json")["diffId"], format!("sha256:{}", crate::support::digest(&layer)));
        printed(&place, backend, "--mtime 2025-01-01T00:00:00Z");
        assert_eq!(place.read("run.tar"), layer, "{backend}: twice");
        layers.insert(backend, layer);
    }
    // The others have the machine's kernel, which may keep more attributes of files in memory.
    if let (Some(machine), Some(namespace)) = (layers.get("emulation"), layers.get("namespace")) {
        assert_eq!(listed(machine), listed(namespace));
    }
}

/// An empty script makes an empty layer, and only what changes the root directory itself shows it.
#[test]
fn the_root_folder() {
    for (script, expected) in [
        ("true", &[][..]),
        ("mkdir /d; rmdir /d; mkdir /tmp/d; rmdir /tmp/d", &[]),
        ("chmod 700 /", &["5 700 0:0 0 ./"][..]),
        ("echo > /tmp/x", &["5 1777 0:0 1 ./tmp/", "0 644 0:0 1 ./tmp/x"][..]),
    ] {
        let Some(place) = super::place(&[], script) else { return };
        printed(&place, "userns", "");
        let mut found = listed(&place.read("run.tar"));
        // The directory that was changed and back is as it was but for its time.
        found.retain(|line| line != "5 1777 0:0 1 ./tmp/" || expected.len() > 1);
        assert_eq!(found, expected, "{script}");
    }
}

/// Names that mean a deletion cannot be those of files.
#[test]
fn names_of_whiteouts() {
    let Some(place) = super::place(&[], "mkdir /d; echo > /d/.wh.x") else { return };
    let run = super::run(&place, "userns", "");
    assert_eq!(run.code, Some(1));
    let expected = "error: root script not run to its end: packing the layer: cannot pack /d/.wh.x: in a layer such a name \
                    deletes a file\n";
    assert!(run.stderr.ends_with(expected), "{}", run.stderr);
}

/// A file of nothing but a hole takes no space, but would in a tar.
#[test]
fn holes() {
    let Some(place) =
        super::place(&[], "for n in 30 60; do dd if=/dev/zero of=/$n bs=1 count=1 seek=${n}M 2> /dev/null; done")
    else {
        return;
    };
    super::printed(&place, "userns", "--disk-size 16");
    let run = super::run(&place, "userns", "--disk-size 8");
    let expected = "packing the layer: cannot pack ./60: found files with holes of 90 MiB together in a layer on a disk of 8 MiB, \
                    this one of 60 MiB: a layer would hold all of their zeros (limit script-layer)\n\
                    hint: --limit script-layer=NUMBER allows more\n";
    assert!(run.code == Some(1) && run.stderr.ends_with(expected), "{}", run.stderr);
}
