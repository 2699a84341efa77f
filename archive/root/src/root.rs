//! Making the customisation layer: merge, run the script, find what it refers to, place it over a base, write the tar.

use crate::fill::{Place, fill};
use crate::merge::{Merged, merge};
use crate::over::{Origin, place_over};
use crate::owned::{Owned, apply};
use crate::perms::{self, Common};
use crate::script::{self, Guise, Workplace};
use crate::{Conflict, Error, Helper, Mode, Result, Rule, Script};
use layerstone_closure::{Candidates, Scanner, scan_tree};
use layerstone_layer::{LayerFile, Layout, Progress, Source, write_layer};
use layerstone_store::{Output, Scratch, Store, StorePath};
use layerstone_tar::{Kind, Owner, Placed, Tree, Xattrs, read_xattrs, walk_tree};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a customisation layer is made of.
#[derive(Clone, Debug)]
pub struct RootSpec {
    /// The store that the contents are in.
    pub store: Store,
    /// Store paths, each a folder or a link to one in the store, merged into the root of the layer, the first one first.
    pub contents: Vec<StorePath>,
    /// How they get there.
    pub mode: Mode,
    /// Ready contents, which give way to the others.
    pub helpers: Vec<Helper>,
    /// What to run there afterwards.
    pub script: Option<Script>,
    /// What to run there after that, as root.
    pub fake_root: Option<FakeRoot>,
    /// Whether extended attributes of copied contents, and of what a script leaves, are kept.
    pub xattrs: bool,
    /// Owners and modes of entries, given when all else is done, the last rule that matches winning.
    pub perms: Vec<Rule>,
    /// Modification time of every entry, in seconds since the epoch.
    pub mtime: i64,
    /// Owner of every entry; [`Owner::numeric_root`] is what dockerTools gives them.
    pub owner: Owner,
    /// Whether owners have numbers only in the tar (GNU tar's `--numeric-owner`), as dockerTools' customisation layers.
    pub numeric: bool,
    /// Makes conflicts an error.
    pub strict: bool,
    /// The files of the image below the layer, whose links to folders it goes through.
    pub base: Option<Arc<Tree>>,
    /// Whether folders may replace files and links of the base, and files and links its folders.
    pub replace: bool,
}

/// A script that gives files to users, makes device nodes and sets file capabilities, whoever runs it.
#[derive(Clone, Debug)]
pub struct FakeRoot {
    /// The script.
    pub script: Script,
    /// Whether the layer is the root of all files for it.
    pub chroot: bool,
}

/// A customisation layer that was made.
#[derive(Debug)]
pub struct Customised {
    /// Its layer file, `references` set; `blob` is for the caller to set, who knows where the layer file will be.
    pub layer: LayerFile,
    /// What the user should know, in the order it came up.
    pub warnings: Vec<Warning>,
}

/// Something that did not stop the layer from being made.
#[derive(Debug)]
pub enum Warning {
    /// Contents disagree.
    Conflict(Conflict),
    /// The script ran without a sandbox: what it wrote elsewhere stayed there.
    NoSandbox {
        /// What the script is called.
        script: String,
        /// What could not be done, as a verb phrase.
        step: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Conflict(conflict) => write!(f, "contents conflict: {conflict}"),
            Warning::NoSandbox { script, step, source } => {
                write!(f, "script not confined to the layer: {script}: no sandbox: cannot {step}: {source}")
            }
        }
    }
}

/// Makes the layer and writes its tar to `blob`, whole or not at all: GNU's dialect, the bytes of `tar --sort=name
/// --hard-dereference --owner=0 --group=0 --numeric-owner --mtime=@…`. What the script prints goes to `log`.
///
/// Without contents and script the layer is an empty root folder.
pub fn build(spec: &RootSpec, blob: &Path, log: &mut dyn Write) -> Result<Customised> {
    // First, so that a bad place is told before the script has run.
    let mut output = Output::create(blob)?;
    let mut merged = merge(&spec.store, &spec.contents, spec.mode)?;
    let _texts = add_helpers(spec, &mut merged)?;
    if spec.strict && !merged.conflicts.is_empty() {
        return Err(Error::Conflicts { conflicts: merged.conflicts });
    }
    let (layer, sandbox) = match (&spec.script, &spec.fake_root) {
        (None, None) => (archive_merged(spec, &merged, &mut output, blob)?, Vec::new()),
        _ => archive_tree(spec, &merged, log, &mut output, blob)?,
    };
    output.commit()?;
    Ok(Customised { layer, warnings: merged.conflicts.into_iter().map(Warning::Conflict).chain(sandbox).collect() })
}

/// Adds the ready contents; their texts are in the folder that is returned.
fn add_helpers(spec: &RootSpec, merged: &mut Merged) -> Result<Option<Scratch>> {
    if spec.helpers.is_empty() {
        return Ok(None);
    }
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let (base, replace) = (spec.base.as_deref(), spec.replace);
    fill(merged, &spec.helpers, Place { store: &spec.store, texts: scratch.path(), base, replace })?;
    Ok(Some(scratch))
}

/// Archives what was merged without writing it as files: some file systems take longer to make and remove thousands of
/// links than all the rest of an image takes.
fn archive_merged(spec: &RootSpec, merged: &Merged, output: &mut Output, blob: &Path) -> Result<LayerFile> {
    let mut members = merged.root.members();
    if spec.xattrs {
        for (member, file) in with_files(&mut members) {
            member.entry.xattrs = read_xattrs(&file)?;
        }
    }
    archive(spec, merged, members, output, blob)
}

/// Writes what was merged into a new folder, runs the scripts there, and archives the folder; warns if there was no
/// sandbox.
fn archive_tree(
    spec: &RootSpec,
    merged: &Merged,
    log: &mut dyn Write,
    output: &mut Output,
    blob: &Path,
) -> Result<(LayerFile, Vec<Warning>)> {
    let scratch = Scratch::create(&std::env::temp_dir())?;
    // Absolute and without links: scripts see it as PWD, and it is mounted.
    let workplace = scratch.path().canonicalize().map_err(Error::io("find", scratch.path()))?;
    let tree = workplace.join("layer");
    DirBuilder::new().mode(0o700).create(&tree).map_err(Error::io("make", &tree))?;
    merged.root.write(&tree)?;
    let inherited = if spec.xattrs { inherited(merged, &tree)? } else { Inherited::default() };
    let place = Workplace { layer: &tree, scratch: &workplace, mtime: spec.mtime };
    let mut warnings = Vec::new();
    if let Some(script) = &spec.script {
        warnings.extend(script::run(script, &place, Guise::Caller, log)?.warning);
    }
    let mut ownership = None;
    if let Some(FakeRoot { script, chroot }) = &spec.fake_root {
        let guise = if *chroot { Guise::FakeChroot(&spec.store) } else { Guise::FakeRoot };
        let ran = script::run(script, &place, guise, log)?;
        warnings.extend(ran.warning);
        ownership = Some(ran.ownership);
    }
    let mut members = walk_tree(&tree, spec.xattrs)?;
    inherit(&mut members, &inherited)?;
    if let Some(ownership) = &ownership {
        apply(&mut members, &Owned { folder: &tree, ownership })?;
    }
    Ok((archive(spec, merged, members, output, blob)?, warnings))
}

/// Extended attributes of copied files by what identifies the copy: not everybody may give them to a file.
type Inherited = HashMap<(u64, u64, i64, i64), Xattrs>;

fn inherited(merged: &Merged, tree: &Path) -> Result<Inherited> {
    let mut inherited = Inherited::default();
    for (member, file) in with_files(&mut merged.root.members()) {
        if let Some(xattrs) = read_xattrs(&file)? {
            let name = member.entry.name.strip_prefix(b"./").unwrap_or_default();
            inherited.insert(identity(&tree.join(OsStr::from_bytes(name)))?, *xattrs);
        }
    }
    Ok(inherited)
}

/// Gives copies that are what they were the attributes of their originals.
fn inherit(members: &mut [Placed], inherited: &Inherited) -> Result<()> {
    for (member, file) in with_files(members).filter(|_| !inherited.is_empty()) {
        if let Some(xattrs) = inherited.get(&identity(&file)?) {
            let own = member.entry.xattrs.get_or_insert_default();
            for (name, value) in xattrs {
                own.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    Ok(())
}

fn identity(file: &Path) -> Result<(u64, u64, i64, i64)> {
    let metadata = file.symlink_metadata().map_err(Error::io("read", file))?;
    Ok((metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The members that have a file of their own.
fn with_files(members: &mut [Placed]) -> impl Iterator<Item = (&mut Placed, Box<Path>)> {
    members.iter_mut().filter_map(|member| member.file.clone().map(|file| (member, file)))
}

fn archive(
    spec: &RootSpec,
    merged: &Merged,
    mut members: Vec<Placed>,
    output: &mut Output,
    blob: &Path,
) -> Result<LayerFile> {
    // Before folders of the base are among them: those refer to nothing of ours.
    let references = references(&spec.store, &members)?;
    let mut names = Vec::new();
    if let Some(base) = &spec.base {
        let origin = Origin { merged: &merged.root, owner: &spec.owner, replace: spec.replace };
        (names, members) = place_over(base, members, origin)?.into_iter().unzip();
    }
    let numeric = set_perms(spec, &mut members, &names)?;
    let lay_out = if numeric { Layout::gnu_numeric } else { Layout::gnu };
    let source = Source::from(lay_out(members, spec.mtime, &spec.owner));
    let diff_id = write_layer(&source, output, blob, &Progress::default())?;
    Ok(LayerFile { references, ..LayerFile::new(diff_id, source.size()) })
}

/// Gives members the owners and modes of the rules. Returns whether owners have numbers only.
fn set_perms(spec: &RootSpec, members: &mut [Placed], names: &[PathBuf]) -> Result<bool> {
    let numeric = spec.numeric && !spec.perms.iter().any(Rule::has_names);
    if spec.numeric && !numeric {
        for owner in members.iter_mut().filter_map(|member| member.entry.owner.as_deref_mut()) {
            *owner = Owner { uid: owner.uid, gid: owner.gid, ..Owner::numeric_root() };
        }
    }
    perms::apply(&spec.perms, members, names, Common { owner: &spec.owner, numeric: spec.numeric })?;
    Ok(numeric)
}

/// The store paths that members refer to, sorted: those of the store's entries whose hash part stands in them. Where there
/// is no store there is nothing to refer to.
fn references(store: &Store, members: &[Placed]) -> Result<Vec<StorePath>> {
    if !store.locate(store.dir()).is_dir() {
        return Ok(Vec::new());
    }
    let candidates = Candidates::in_store(store)?;
    let mut scanner = Scanner::new(&candidates);
    members.iter().try_for_each(|member| scan_member(member, &mut scanner))?;
    Ok(scanner.finish())
}

/// Looks where [`scan_tree`] looks in a tree of files: at the last part of the name, at the text of a link and at the
/// contents of a file.
fn scan_member(member: &Placed, scanner: &mut Scanner<'_>) -> Result<()> {
    let name = member.entry.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    scanner.cut();
    scanner.feed(name);
    scanner.cut();
    if let Kind::Symlink { target } = &member.entry.kind {
        scanner.feed(target);
    }
    if let Some(file) = &member.file {
        scan_tree(file, scanner)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Which;
    use crate::sample::base;
    use layerstone_store::Digest;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    const A: &str = "516z65g5d2g7yfc9yv6n2g1q21jqv0m1-a";
    const B: &str = "5wqnl34l8k8y01bqi4livgq7x9r214kc-b";

    /// A machine with the paths A and B in its store, and a place for outputs.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Machine {
            let machine = Machine(tempfile::tempdir().unwrap());
            for (item, text) in [(A, "first"), (B, "second")] {
                std::fs::create_dir_all(machine.entry(item).join("bin")).unwrap();
                std::fs::write(machine.entry(item).join("bin/x"), text).unwrap();
            }
            machine
        }

        fn entry(&self, base: &str) -> PathBuf {
            self.0.path().join("nix/store").join(base)
        }

        fn spec(&self, contents: &[&str], script: &str) -> RootSpec {
            let store = Store::new("/nix/store", self.0.path()).unwrap();
            let contents = contents.iter().map(|base| store.entry(base).unwrap()).collect();
            let script = Script::Text { name: "extraCommands".to_owned(), text: script.to_owned() };
            RootSpec {
                store,
                contents,
                mode: Mode::Links,
                helpers: Vec::new(),
                script: Some(script),
                fake_root: None,
                xattrs: false,
                perms: Vec::new(),
                mtime: 315_532_800,
                owner: Owner::numeric_root(),
                numeric: true,
                strict: false,
                base: None,
                replace: false,
            }
        }

        fn blob(&self) -> PathBuf {
            self.0.path().join("root.tar")
        }

        fn build(&self, spec: &RootSpec) -> Result<Customised> {
            build(spec, &self.blob(), &mut Vec::new())
        }

        /// The blob unpacked into a new folder.
        fn unpack(&self) -> tempfile::TempDir {
            let folder = tempfile::tempdir().unwrap();
            let mut tar = Command::new("tar");
            assert!(tar.arg("-xpf").arg(self.blob()).arg("-C").arg(folder.path()).status().unwrap().success());
            folder
        }
    }

    fn mode(path: PathBuf) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn contents_and_script() {
        let machine = Machine::new();
        let spec = machine.spec(&[A, B], "mkdir tmp; chmod 1777 tmp; echo hi > bin/y");
        let customised = machine.build(&spec).unwrap();
        let blob = std::fs::read(machine.blob()).unwrap();
        assert_eq!(customised.layer.diff_id, Digest::of(&blob));
        assert_eq!(customised.layer.size, blob.len() as u64);
        assert_eq!(customised.layer.references, [machine.spec(&[A], "").contents[0].clone()]);
        let conflict = format!("contents conflict: bin/x: /nix/store/{A}/bin/x kept, /nix/store/{B}/bin/x ignored");
        assert_eq!(customised.warnings.iter().map(Warning::to_string).next(), Some(conflict));
        let root = machine.unpack();
        assert_eq!(std::fs::read_link(root.path().join("bin/x")).unwrap(), Path::new(&format!("/nix/store/{A}/bin/x")));
        assert_eq!(std::fs::read(root.path().join("bin/y")).unwrap(), b"hi\n");
        assert_eq!((mode(root.path().join("tmp")), mode(root.path().join("bin/y"))), (0o1777, 0o644));
    }

    #[test]
    fn same_bytes_as_gnu_tar() {
        let machine = Machine::new();
        symlink("x", machine.entry(A).join("bin/link")).unwrap();
        let tar = "mkdir e; echo 1 > f; ln f g; chmod 600 f; mkfifo p\n\
            tar --sort=name --hard-dereference --owner=0 --group=0 --numeric-owner --mtime=@$SOURCE_DATE_EPOCH \
            --format=gnu -cf $TMPDIR/tar . && sha256sum < $TMPDIR/tar";
        let mut log = Vec::new();
        let customised = build(&machine.spec(&[A], tar), &machine.blob(), &mut log).unwrap();
        assert_eq!(String::from_utf8(log).unwrap(), format!("{}  -\n", customised.layer.diff_id.hex()));
    }

    #[test]
    fn nothing_at_all_is_an_empty_root_folder() {
        let machine = Machine::new();
        let store = Store::new("/absent/store", "/").unwrap();
        let owner = Owner::numeric_root();
        let spec = RootSpec {
            store,
            contents: Vec::new(),
            mode: Mode::Links,
            helpers: Vec::new(),
            script: None,
            fake_root: None,
            xattrs: false,
            perms: Vec::new(),
            mtime: 1,
            owner,
            numeric: true,
            strict: true,
            base: None,
            replace: false,
        };
        assert_eq!(machine.build(&spec).unwrap().layer.references, []);
        assert_eq!(
            &std::fs::read(machine.blob()).unwrap()[..108],
            format!("./{}0000755\0", "\0".repeat(98)).as_bytes()
        );
        let root = machine.unpack();
        assert_eq!((root.path().read_dir().unwrap().count(), mode(root.path().to_owned())), (0, 0o755));
    }

    #[test]
    fn references_in_files_names_and_links() {
        let machine = Machine::new();
        let (a, b) = (&A[..32], &B[..32]);
        for script in [
            format!("echo x{a} > f; ln -s {b} l"),
            format!("mkdir {a}; touch {a}/{b}"),
            format!("printf '%5000s{b}{a}' 0 > f"),
        ] {
            let layer = machine.build(&machine.spec(&[], &script)).unwrap().layer;
            assert_eq!(layer.references, machine.spec(&[A, B], "").contents, "{script}");
        }
        let half = format!("echo {} > f; echo {}-a > g", &A[..31], "0".repeat(32));
        assert_eq!(machine.build(&machine.spec(&[], &half)).unwrap().layer.references, []);
    }

    #[test]
    fn an_error_changes_no_output() {
        let machine = Machine::new();
        std::fs::write(machine.blob(), "old").unwrap();
        let mut strict = machine.spec(&[A, B], "");
        strict.strict = true;
        for (spec, message) in [
            (
                machine.spec(&[], "echo one; echo two >&2; exit 3"),
                "script failed: extraCommands: exit status 3\n  | one\n  | two",
            ),
            (strict, &*format!("contents conflict: bin/x: /nix/store/{A}/bin/x kept, /nix/store/{B}/bin/x ignored")),
        ] {
            assert_eq!(machine.build(&spec).unwrap_err().to_string(), message);
        }
        let socket = machine.0.path().join("socket");
        std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error =
            machine.build(&machine.spec(&[], &format!("cp -R {} .", socket.display()))).unwrap_err().to_string();
        assert!(error.contains("socket"), "{error}");
        assert_eq!(std::fs::read(machine.blob()).unwrap(), b"old");
        let names: Vec<_> = machine.0.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "nix, root.tar and socket: {names:?}");
    }

    /// What is found without a script is what is found in the written tree.
    #[test]
    fn a_script_that_does_nothing_changes_nothing() {
        let machine = Machine::new();
        symlink(format!("/nix/store/{B}/bin"), machine.entry(A).join("b-bin")).unwrap();
        symlink("x", machine.entry(B).join("bin/y-x")).unwrap();
        std::fs::create_dir_all(machine.entry(A).join("empty").join("n".repeat(120))).unwrap();
        for mode in [Mode::Links, Mode::Copy, Mode::CopyKeepingDirlinks] {
            let bare = RootSpec { script: None, mode, ..machine.spec(&[A, B], "") };
            let layer = machine.build(&bare).unwrap().layer;
            let bytes = std::fs::read(machine.blob()).unwrap();
            let script = RootSpec { mode, ..machine.spec(&[A, B], ":") };
            assert_eq!(layer, machine.build(&script).unwrap().layer);
            assert!(bytes == std::fs::read(machine.blob()).unwrap());
            let count = [(Mode::Links, 2), (Mode::Copy, 0), (Mode::CopyKeepingDirlinks, 1)];
            assert!(count.contains(&(mode, layer.references.len())), "{mode:?}: {:?}", layer.references);
        }
    }

    /// Ready contents are the same bytes with a script and without one, and theirs are the modes and references.
    #[test]
    fn helpers() {
        let machine = Machine::new();
        std::fs::write(machine.entry(B).join("bin/env"), "").unwrap();
        let shell = format!("app:x:1000:100::/data:/nix/store/{A}/bin/x");
        let nss = Helper::FakeNss { extra_passwd_lines: vec![shell], extra_group_lines: Vec::new() };
        let package = machine.spec(&[B], "").contents[0].clone();
        let helpers = vec![nss, Helper::Tmp, Helper::ShadowSetup, Helper::UsrBinEnv(package)];
        let files = ["usr/", "755,5,5: tmp/", "700: var/"];
        for base in [None, Some(Arc::new(base(&files)))] {
            let spec = RootSpec { helpers: helpers.clone(), base, ..machine.spec(&[], ":") };
            let layer = machine.build(&spec).unwrap().layer;
            let names = members(&machine);
            assert_eq!(layer, machine.build(&RootSpec { script: None, ..spec.clone() }).unwrap().layer);
            let folders =
                if spec.base.is_none() { ["tmp/ 1777 0", "var/ 755 0"] } else { ["tmp/ 1777 5", "var/ 700 0"] };
            assert!(folders.iter().all(|folder| names.iter().any(|name| name == folder)), "{names:?}");
            assert_eq!(layer.references, machine.spec(&[A, B], "").contents);
            let root = machine.unpack();
            let modes = ["etc/passwd", "etc/shadow", "etc/gshadow"].map(|name| mode(root.path().join(name)));
            assert_eq!(modes, [0o644, 0o600, 0o600]);
        }
    }

    /// Rules go over what the script made, by the names in the layer and over a base.
    #[test]
    fn owners_and_modes_by_rule() {
        let machine = Machine::new();
        let rule = |name: &str, mode| {
            let (uid, gid, uname, gname) = (Some(7), None, None, None);
            Rule { which: Which::path(name), mode: Some(mode), uid, gid, uname, gname }
        };
        let script = "mkdir home; echo x > home/x";
        let perms = vec![rule("bin", 0o711), rule("home", 0o700), rule("home/x", 0o600), rule("usr", 0o750)];
        let files = ["711,3,3: usr/", "bin -> usr", "755,4,4: home/"];
        let spec = RootSpec { base: Some(Arc::new(base(&files))), perms, ..machine.spec(&[A], script) };
        machine.build(&spec).unwrap();
        assert_eq!(members(&machine), ["/ 755 0", "home/ 700 7", "home/x 7", "usr/ 750 7", "usr/x 0"]);
        let bare = RootSpec { base: None, perms: spec.perms[..3].to_vec(), ..spec.clone() };
        machine.build(&bare).unwrap();
        assert_eq!(members(&machine), ["/ 755 0", "bin/ 711 7", "bin/x 0", "home/ 700 7", "home/x 7"]);
        let error = machine.build(&RootSpec { base: None, ..spec }).unwrap_err().to_string();
        assert_eq!(error, "cannot apply perms: path usr: found nothing in the layer");
    }

    /// Names of owners are there once a rule gives one, and nowhere else.
    #[test]
    fn owners_by_name() {
        let machine = Machine::new();
        let named = |uname: Option<&str>| {
            let uname = uname.map(str::to_owned);
            let rule = Rule { which: Which::path("x"), mode: None, uid: Some(7), gid: None, uname, gname: None };
            let base = Some(Arc::new(base(&["755,0,3: usr/"])));
            machine.build(&RootSpec { perms: vec![rule], base, ..machine.spec(&[], "mkdir usr x") }).unwrap();
            let listed = Command::new("tar").arg("-tvf").arg(machine.blob()).output().unwrap();
            let listed = String::from_utf8(listed.stdout).unwrap();
            listed.lines().map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(named(None), ["0/0", "0/3", "7/0"]);
        assert_eq!(named(Some("app")), ["0/0", "0/3", "app/0"]);
    }

    #[test]
    fn references_in_copied_files() {
        let machine = Machine::new();
        let a = machine.entry(A);
        std::fs::write(a.join("bin/x"), format!("{}{}", "x".repeat(200_000), &B[..32])).unwrap();
        let third = "17ql70zj7ri5a0i87244d6dq5ih8q0fr-c";
        std::fs::create_dir(machine.entry(third)).unwrap();
        std::fs::write(a.join(&third[..32]), "").unwrap();
        for script in [None, machine.spec(&[], ":").script] {
            let spec = RootSpec { script, mode: Mode::Copy, ..machine.spec(&[A], "") };
            let layer = machine.build(&spec).unwrap().layer;
            assert_eq!(layer.references, machine.spec(&[third, B], "").contents);
        }
    }

    #[test]
    fn a_copied_tree_takes_a_script() {
        let machine = Machine::new();
        for (name, mode) in [("bin/x", 0o444), ("bin", 0o555), ("", 0o555)] {
            std::fs::set_permissions(machine.entry(A).join(name), Permissions::from_mode(mode)).unwrap();
        }
        let script = "echo more > more; chmod u+w bin; mv bin/x bin/y; ln bin/y z";
        machine.build(&RootSpec { mode: Mode::Copy, ..machine.spec(&[A], script) }).unwrap();
        let root = machine.unpack();
        let modes = ["", "bin", "bin/y", "z", "more"].map(|name| mode(root.path().join(name)));
        assert_eq!(modes, [0o775, 0o755, 0o444, 0o444, 0o644]);
        assert_eq!(std::fs::read(root.path().join("z")).unwrap(), b"first");
        assert_eq!(std::fs::read(machine.entry(A).join("bin/x")).unwrap(), b"first", "the store's file is another one");
        std::fs::set_permissions(machine.entry(A).join("bin"), Permissions::from_mode(0o755)).unwrap();
        // No contents at all.
        machine.build(&RootSpec { mode: Mode::Copy, script: None, ..machine.spec(&[], "") }).unwrap();
        assert_eq!(mode(machine.unpack().path().to_owned()), 0o775);
    }

    /// Names of the blob's members, with the modes of folders.
    fn members(machine: &Machine) -> Vec<String> {
        let mut members = layerstone_tar::Members::new(std::fs::File::open(machine.blob()).unwrap());
        std::iter::from_fn(|| members.next_member().unwrap())
            .map(|member| {
                let mode = if member.is_directory() { format!("/ {:o}", member.mode) } else { String::new() };
                format!("{}{mode} {}", member.name.escape_ascii(), member.uid)
            })
            .collect()
    }

    #[test]
    fn over_a_base() {
        let machine = Machine::new();
        std::fs::set_permissions(machine.entry(A).join("bin"), Permissions::from_mode(0o555)).unwrap();
        let files = ["usr/", "711,3,3: usr/bin/", "bin -> usr/bin", "1777: tmp/", "750,7,7: var/", "700,8,8: opt/"];
        let base = Some(Arc::new(base(&files)));
        let script = "mkdir tmp var opt; chmod 770 var; mkdir -m 700 new; chmod u+rw bin; touch bin/y; chmod u=rx bin";
        let before = ["/ 755 0", "new/ 700 0", "opt/ 700 8", "tmp/ 1777 0", "usr/ 755 0"];
        for (mode, bin) in [(Mode::Links, "usr/bin/ 555 3"), (Mode::Copy, "usr/bin/ 711 3")] {
            machine.build(&RootSpec { mode, base: base.clone(), ..machine.spec(&[A], script) }).unwrap();
            let expected = [&before[..], &[bin, "usr/bin/x 0", "usr/bin/y 0", "var/ 770 7"]].concat();
            assert_eq!(members(&machine), expected, "{mode:?}");
        }
        let bare = RootSpec { script: None, base, ..machine.spec(&[A], "") };
        machine.build(&bare).unwrap();
        assert_eq!(members(&machine), ["/ 755 0", "usr/ 755 0", "usr/bin/ 711 3", "usr/bin/x 0"]);
        std::fs::set_permissions(machine.entry(A).join("bin"), Permissions::from_mode(0o755)).unwrap();
    }

    /// The folder of the base that a link of the base leads to is not ours.
    #[test]
    fn folders_of_the_base_are_no_references() {
        let machine = Machine::new();
        let folder = format!("store/{B}/");
        let base = Some(Arc::new(base(&["store/", &folder, &format!("bin -> {folder}")])));
        let layer = machine.build(&RootSpec { script: None, base, ..machine.spec(&[A], "") }).unwrap().layer;
        assert_eq!(layer.references, machine.spec(&[A], "").contents);
        assert_eq!(members(&machine)[2..], [format!("store/{B}/ 755 0"), format!("store/{B}/x 0")]);
    }

    #[test]
    fn nothing_stays_in_the_temporary_folder() {
        let machine = Machine::new();
        let spec = machine.spec(
            &[A],
            "echo $TMPDIR; mkdir -p a/b $TMPDIR/c; touch a/b/f $TMPDIR/c/f; chmod 555 a/b a $TMPDIR/c $TMPDIR",
        );
        let mut log = Vec::new();
        build(&spec, &machine.blob(), &mut log).unwrap();
        let temporary = PathBuf::from(String::from_utf8(log).unwrap().trim_end());
        let scratch = temporary.parent().unwrap();
        assert!(temporary.is_absolute() && scratch.parent().unwrap().is_dir());
        assert!(scratch.symlink_metadata().is_err(), "{}", scratch.display());
    }

    #[test]
    fn a_bad_place_is_told_before_the_script_runs() {
        let machine = Machine::new();
        let blob = machine.0.path().join("absent/root.tar");
        let mut log = Vec::new();
        let error = build(&machine.spec(&[], "echo ran"), &blob, &mut log).unwrap_err().to_string();
        assert!(error.ends_with("absent does not exist") && log.is_empty(), "{error}");
    }
}
