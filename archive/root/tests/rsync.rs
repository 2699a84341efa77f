//! Copied contents against the real rsync and GNU tar: what dockerTools' `mkPureLayer` runs gives the same bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use layerstone_oci::Time;
use layerstone_root::{Console, Error, RootConfig, build};
use layerstone_spec::{ImageKind, RootMode, Script, Spec};
use layerstone_store::Store;
use layerstone_tar::Owner;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

const MTIME: i64 = 315_532_800;

/// Whether rsync is there; tells the reader of the test's output if not.
fn has_rsync(test: &str) -> bool {
    let reason = match Command::new("rsync").arg("--version").output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => format!("rsync: {}", output.status),
        Err(error) => format!("rsync: {error}"),
    };
    assert!(std::env::var_os("LAYERSTONE_REQUIRE_ALL").is_none(), "{reason}");
    println!("SKIP {test}: {reason}");
    false
}

/// A machine whose store is where its logical paths say, so that rsync sees what we see.
struct Machine {
    dir: tempfile::TempDir,
    items: usize,
    /// User id and group id of everything.
    owner: (u32, u32),
}

impl Machine {
    fn new(owner: (u32, u32)) -> Machine {
        Machine { dir: tempfile::tempdir().unwrap(), items: 0, owner }
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Adds an item, `0` first, of lines `PATH`, `PATH = TEXT`, `PATH -> TEXT` where `STORE` is the store, or `PATH/`; a
    /// mode may stand in front of each.
    fn add<L: AsRef<str>>(&mut self, lines: &[L]) {
        let item = self.store().join(self.items.to_string());
        self.items += 1;
        fs::create_dir_all(&item).unwrap();
        let mut modes = Vec::new();
        for line in lines {
            let line = line.as_ref();
            let (mode, line) = line.split_once(": ").map_or((None, line), |(mode, line)| (Some(mode), line));
            let (name, target) = line.split_once(" -> ").map_or((line, None), |(name, text)| (name, Some(text)));
            let (name, text) = name.split_once(" = ").unwrap_or((name, ""));
            let path = item.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match target {
                Some(text) => symlink(text.replace("STORE", self.store().to_str().unwrap()), &path).unwrap(),
                None if name.ends_with('/') || name.is_empty() => fs::create_dir_all(&path).unwrap(),
                None => write(&path, text),
            }
            modes.extend(mode.map(|mode| (path, u32::from_str_radix(mode, 8).unwrap())));
        }
        for (path, mode) in modes.into_iter().rev() {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
    }

    /// The layer's tar, made by us.
    fn ours(&self, mode: RootMode, script: Option<&str>) -> Result<Vec<u8>, Error> {
        let store = Store::new(self.store().to_str().unwrap(), "/").unwrap();
        let spec = Spec {
            kind: ImageKind::Single,
            contents: (0..self.items).map(|item| self.store().join(item.to_string())).collect(),
            root_mode: mode,
            script: script.map(|text| Script::Text(text.to_owned())),
            mtime: Time::from_seconds(MTIME).unwrap(),
            owner: Owner::numbered(self.owner.0, self.owner.1),
            ..Spec::new("t")
        };
        let blob = self.dir.path().join("ours.tar");
        build(
            &spec,
            &RootConfig::new(&spec, &store, None),
            &blob,
            &mut Console { log: &mut Vec::new(), warn: &mut |_| {}, running: &mut |_| {} },
        )?;
        Ok(fs::read(blob).unwrap())
    }

    /// The layer's tar, made by the tools.
    fn theirs(&self, mode: RootMode) -> Vec<u8> {
        let layer = self.dir.path().join("layer");
        fs::create_dir(&layer).unwrap();
        let flags = if mode == RootMode::Copy { "-ak" } else { "-aK" };
        for item in 0..self.items {
            let item = format!("{}/", self.store().join(item.to_string()).display());
            run(Command::new("rsync").args([flags, &item]).arg(format!("{}/", layer.display())));
        }
        run(Command::new("chmod").arg("ug+w").arg(&layer));
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&layer).args([
            "--hard-dereference",
            "--sort=name",
            "--format=gnu",
            "--owner=0",
            "--group=54321",
        ]);
        tar.args([
            format!("--owner={}", self.owner.0),
            format!("--group={}", self.owner.1),
            format!("--mtime=@{MTIME}"),
        ]);
        tar.args(["-cf", "-", "."]);
        let bytes = run(&mut tar);
        fs::remove_dir_all(layer).unwrap();
        bytes
    }

    /// Compares the tools' tar with ours, made without a script.
    #[track_caller]
    fn check(&self, mode: RootMode, ours: &[u8]) {
        let theirs = self.theirs(mode);
        assert!(ours == theirs, "ours:\n{}theirs:\n{}", self.list(ours), self.list(&theirs));
        let written = self.ours(mode, Some(":")).unwrap();
        assert!(ours == written, "ours:\n{}written:\n{}", self.list(ours), self.list(&written));
    }

    fn list(&self, tar: &[u8]) -> String {
        let file = self.dir.path().join("list.tar");
        fs::write(&file, tar).unwrap();
        String::from_utf8(run(Command::new("tar").arg("-tvf").arg(file))).unwrap()
    }
}

/// No two files have one time: rsync passes over a file of the size and time of the one that is there.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    let bytes = path.as_os_str().as_encoded_bytes();
    let seconds = bytes.iter().fold(7, |sum, byte| (sum * 31 + u64::from(*byte)) % 1_000_000_007);
    fs::File::open(path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

#[track_caller]
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What a case is about, and the lines of its items.
type Case = (&'static str, &'static [&'static [&'static str]]);

/// Corners of both ways.
const BOTH: &[Case] = &[
    ("nothing", &[]),
    ("an empty item", &[&["555: "]]),
    ("the last top directory's mode", &[&["500: ", "x"], &["511: "]]),
    ("modes of files", &[&["444: a", "555: b = x", "4755: c", "600: d", "1644: e", "2755: f"]]),
    ("modes of directories", &[&["555: d/", "700: d/e/", "1777: t/", "2755: s/"]]),
    ("a directory of two has the last one's mode", &[&["555: d/", "d/1"], &["700: d/", "d/2"], &["e/"]]),
    ("the last file wins", &[&["444: f = one", "g = one"], &["755: f = two"], &["g -> f", "f = eight"]]),
    ("the last link wins", &[&["l -> 1", "m -> 1"], &["l -> 2", "m = x"]]),
    (
        "links to nowhere and out",
        &[&["a -> nowhere", "b -> /etc/passwd", "c -> ../..//x", "d -> d", "e -> f/../g/", "f"]],
    ),
    ("links to files", &[&["a -> d/f", "b -> STORE/0/d/f", "d/f = x", "d/up -> ../d/f"]]),
    (
        "names of all kinds",
        &[&[" sp ace/new\nline = x", "quote'\"", "-rf", "*", "ümläut/\\n", "~", "CVS/x~", ".hidden"]],
    ),
    (
        "long names",
        &[&["nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/n"]],
    ),
    ("siblings by bytes", &[&["a/x", "a-b", "a.b", "A", "a0"]]),
];

/// Corners of `-k`.
const COPY: &[Case] = &[
    ("a link to a directory", &[&["bin -> usr/bin", "555: usr/", "511: usr/bin/", "usr/bin/x = x"]]),
    ("into another store path", &[&["lib -> STORE/1/lib"], &["lib/f = x", "lib/l -> ../share", "share/g"]]),
    ("a chain", &[&["a -> b", "b -> STORE/0/c", "c -> ./d", "d/f", "d/e -> ../e", "e/f"]]),
    ("links that meet as folders", &[&["x -> a", "a/1", "700: a/"], &["x -> b", "b/2", "500: b/"], &["x/3"]]),
    ("folders seen twice", &[&["a/f = x", "a/l -> f", "b/c -> ../a", "d -> b"]]),
];

/// Corners of `-K`.
const KEEP: &[Case] = &[
    ("links stay", &[&["bin -> usr/bin", "usr/bin/x", "up -> ..", "here -> ."]]),
    ("a directory goes through a link", &[&["bin -> usr/bin", "usr/bin/x"], &["bin/x = new", "bin/y"]]),
    ("through two", &[&["a -> b", "b -> c", "c/d -> ../e", "e/"], &["a/d/f", "700: a/d/g/", "a/d/g/h"]]),
    (
        "a link to a directory is replaced",
        &[&["l -> a", "a/", "m -> a", "n -> a"], &["l -> b", "m = x", "n -> /nowhere"]],
    ),
    ("a link that came before", &[&["d/f", "l -> d"], &["d/m -> ../d", "l -> d"], &["l/m/g"]]),
];

#[test]
fn corners() {
    if !has_rsync("corners") {
        return;
    }
    let both = BOTH.iter().flat_map(|case| [(RootMode::Copy, case), (RootMode::CopyKeepingDirlinks, case)]);
    let copy = COPY.iter().map(|case| (RootMode::Copy, case));
    let keep = KEEP.iter().map(|case| (RootMode::CopyKeepingDirlinks, case));
    for (mode, (name, items)) in both.chain(copy).chain(keep) {
        println!("{name}, {mode:?}");
        let mut machine = Machine::new((0, 0));
        items.iter().for_each(|lines| machine.add(lines));
        machine.check(mode, &machine.ours(mode, None).unwrap());
    }
}

/// An item as lines: directories a, b and c, links l to directories and m to none, files f and g. Rarely a directory
/// has a link's name, or a link leads anywhere, so that most items can be merged. Links do not lead out of the top
/// directory, where a container has its root and this machine other directories. Directories that are named have one of
/// these modes; the others have 0755.
fn item(directories: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let directory = prop_oneof![12 => "([ab]/){0,2}(c/)?", 2 => "([ab]/)?l/([ab]/)?", 1 => "m/"];
    let file = ("[fg]", select(&["444", "555", "644", "755", "600"]), "x{0,3}")
        .prop_map(|(name, mode, text)| (Some(mode), format!("{name} = {text}")));
    let link = prop_oneof![
        6 => "TOP/(a/)?c|TOP/l|STORE/[01]/c".prop_map(|text| format!("l -> {text}")),
        4 => "nowhere|f|TOP/c/f|/etc/passwd".prop_map(|text| format!("m -> {text}")),
        1 => "[lm] -> ((\\.\\./){0,3}[abflm](/[abf])?|\\.|\\.\\.|STORE/[01](/[abl])?)",
    ];
    let bare = select(directories).prop_map(|mode| (Some(mode), String::new()));
    let line = (directory, prop_oneof![4 => file, 3 => link.prop_map(|link| (None, link)), 2 => bare]);
    proptest::collection::vec(line, 0..9).prop_map(|lines| {
        let directories =
            [("a/c/".to_owned(), (None, "g = xx".to_owned())), ("c/".to_owned(), (None, "f = x".to_owned()))];
        let mut item = BTreeMap::new();
        let lines = directories.into_iter().chain(lines);
        lines.for_each(|(directory, (mode, rest))| add_line(&mut item, &directory, mode, &rest));
        item.into_values().collect()
    })
}

/// Adds a line to those of an item by path, unless there is something of its name, or something else than a directory above.
fn add_line(item: &mut BTreeMap<String, String>, directory: &str, mode: Option<&str>, rest: &str) {
    let depth = directory.matches('/').count();
    let rest = rest.replace("TOP/", &"../".repeat(depth));
    let name = rest.split(' ').next().unwrap_or_default();
    let climbs = rest.matches("..").count() > depth;
    // What is below a link lies elsewhere; and what l leads to has no links to directories, which would often be circles.
    let is_unfit = directory.contains(['l', 'm']) || directory.contains('c') && name == "l";
    if rest.contains(" -> ") && (climbs || is_unfit) {
        return;
    }
    let above: Vec<String> = directory.match_indices('/').map(|(at, _)| directory[..at].to_owned()).collect();
    if above.iter().any(|directory| item.contains_key(directory))
        || item.keys().any(|path| path.starts_with(&format!("{directory}{name}/"))) && !name.is_empty()
    {
        return;
    }
    let mode = mode.map_or(String::new(), |mode| format!("{mode}: "));
    item.entry(format!("{directory}{name}")).or_insert(format!("{mode}{directory}{rest}"));
}

#[track_caller]
fn check_random(mode: RootMode, items: &[Vec<String>]) {
    let mut machine = Machine::new((0, 54_321));
    items.iter().for_each(|lines| machine.add(lines));
    match machine.ours(mode, None) {
        Ok(ours) => machine.check(mode, &ours),
        // What rsync does instead: it removes what is there, fails, or follows the link 40 times.
        Err(Error::Disagreement { .. } | Error::Circle { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn copies_are_those_of_rsync(items in proptest::collection::vec(item(&["555", "755", "700"]), 2..4)) {
        if has_rsync("copies_are_those_of_rsync") {
            check_random(RootMode::Copy, &items);
        }
    }

    /// All directories have one mode, since rsync 3.5 fails to give a directory behind a link another one.
    #[test]
    fn kept_links_are_those_of_rsync(items in proptest::collection::vec(item(&["755"]), 2..4)) {
        if has_rsync("kept_links_are_those_of_rsync") {
            check_random(RootMode::CopyKeepingDirlinks, &items);
        }
    }
}
