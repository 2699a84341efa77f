//! Makes the customisation layer: merges contents, adds what is copied, runs the scripts, finds references, places it on a base, writes the tar.

use crate::add_helpers::{Context, add_helpers};
use crate::copy::{CopyInput, add_copies, add_libraries};
use crate::merge::{Merged, merge};
use crate::ownership::apply;
use crate::perms::{Defaults, Rules};
use crate::place_on_base::{Origin, place_on_base};
use crate::references::references;
use crate::script::{self, Console, RunAs, Workplace};
use crate::tree::below_root;
use crate::warning::Warning;
use crate::{Error, Library, Result};
use layerstone_layer::{LayerFile, Layout, Progress, Source, write_layer};
use layerstone_sandbox::SandboxOptions;
use layerstone_spec::{Error as SpecError, ImageKind, Spec};
use layerstone_store::{Directory, Output, Scratch, Store, open_regular};
use layerstone_tar::{Owner, Placed, Tree, Xattrs, read_xattrs, walk_tree};
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a customisation layer is made with, besides the spec of its image.
#[derive(Debug)]
pub struct RootConfig {
    /// The store of contents and of the packages of helpers.
    pub store: Store,
    /// Owner of every entry that nothing else gives one.
    pub owner: Owner,
    /// Whether conflicts are an error.
    pub strict: bool,
    /// The files of the image below the layer, whose symlinks to directories it goes through.
    pub base: Option<Arc<Tree>>,
    /// What scripts are given of the machine.
    pub sandbox: SandboxOptions,
    /// What is copied into the layer.
    pub copies: Vec<CopyInput>,
    /// What else of this machine it holds, for what is copied into the image.
    pub libraries: Vec<Library>,
}

impl RootConfig {
    /// What dockerTools does for an image of this kind: root owns the entries of a customisation layer, and the spec's
    /// owner those of a single image's root.
    pub fn new(spec: &Spec, store: &Store, base: Option<Arc<Tree>>) -> RootConfig {
        let owner = match spec.kind {
            ImageKind::Layered => Owner::numeric_root(),
            ImageKind::Single => Owner::numbered(spec.owner.uid, spec.owner.gid),
        };
        RootConfig {
            store: store.clone(),
            owner,
            strict: false,
            base,
            sandbox: SandboxOptions::default(),
            copies: Vec::new(),
            libraries: Vec::new(),
        }
    }
}

/// Makes the layer of a spec and writes its tar to `blob`, complete or not at all: GNU's dialect, the bytes of `tar
/// --sort=name --hard-dereference --owner=0 --group=0 --numeric-owner --mtime=@…`. What the scripts print and what the user
/// should know go to the console, in the order in which they come up.
///
/// The spec's contents, helpers, scripts other than `runAsRoot`, perms and modification time are used; without any of
/// them the layer is an empty root directory.
pub fn build(spec: &Spec, config: &RootConfig, blob: &Path, console: &mut Console<'_>) -> Result<LayerFile> {
    let contents = spec.contents.iter().map(|path| Ok(config.store.resolve(path)?)).collect::<Result<Vec<_>>>()?;
    let (rules, mtime) = (Rules::new(&spec.perms)?, spec.mtime.seconds().map_err(SpecError::from)?);
    // First, so that a bad path is an error before the script has run.
    let output = Output::create(blob)?;
    let mut merged = merge(&config.store, &contents, spec.root_mode)?;
    let _files = add_others(spec, config, &mut merged)?;
    if config.strict && !merged.conflicts.is_empty() {
        return Err(Error::Conflicts { conflicts: merged.conflicts });
    }
    let conflicts = std::mem::take(&mut merged.conflicts);
    conflicts.into_iter().for_each(|conflict| (console.warn)(Warning::Conflict(conflict)));
    let mut making = Making { spec, config, rules, mtime, merged: &merged, output, blob };
    let layer = match (&spec.script, &spec.fake_root_commands) {
        (None, None) => making.archive_merged()?,
        _ => making.archive_tree(console)?,
    };
    making.output.commit()?;
    Ok(layer)
}

/// Adds what is copied, and then the helpers, which give way; files that are made for both are in the directory that is
/// returned.
fn add_others(spec: &Spec, config: &RootConfig, merged: &mut Merged) -> Result<Option<Scratch>> {
    if spec.helpers.is_empty() && config.copies.is_empty() && config.libraries.is_empty() {
        return Ok(None);
    }
    let scratch = Scratch::create(&std::env::temp_dir())?;
    add_copies(merged, &config.copies, &config.owner, &scratch)?;
    add_libraries(merged, &config.libraries, &config.owner)?;
    let (base, replace) = (config.base.as_deref(), spec.replace);
    add_helpers(merged, &spec.helpers, Context { store: &config.store, texts: scratch.path(), base, replace })?;
    Ok(Some(scratch))
}

/// A layer whose contents are merged.
struct Making<'a> {
    spec: &'a Spec,
    config: &'a RootConfig,
    rules: Rules<'a>,
    /// Modification time of every entry, in seconds since the epoch.
    mtime: i64,
    merged: &'a Merged,
    output: Output,
    blob: &'a Path,
}

impl Making<'_> {
    /// Archives what was merged without writing it as files: some file systems take longer to make and remove thousands of
    /// links than all the rest of an image takes.
    fn archive_merged(&mut self) -> Result<LayerFile> {
        let mut members = self.merged.tree.members();
        if self.spec.xattrs {
            for (member, file) in with_files(&mut members) {
                member.entry.xattrs = read_xattrs(&file)?;
            }
        }
        self.archive(members)
    }

    /// Writes what was merged into a new directory, runs the scripts there, and archives the directory.
    fn archive_tree(&mut self, console: &mut Console<'_>) -> Result<LayerFile> {
        let scratch = Scratch::create(&std::env::temp_dir())?;
        // Absolute and without links: scripts see it as PWD, and it is mounted.
        let scratch_dir = scratch.path().canonicalize().map_err(Error::io("find", scratch.path()))?;
        let tree = scratch_dir.join("layer");
        DirBuilder::new().mode(0o700).create(&tree).map_err(Error::io("make", &tree))?;
        let directory = Directory::open(&tree).map_err(Error::io("make", &tree))?;
        self.merged.tree.write(&directory, &tree, open_regular)?;
        let inherited = if self.spec.xattrs { inherited(self.merged, &tree)? } else { Inherited::default() };
        let sandbox = self.config.sandbox;
        let workplace = Workplace { layer: &tree, scratch: &scratch_dir, mtime: self.mtime, sandbox };
        if let Some(script) = &self.spec.script {
            script::run(script, &workplace, RunAs::Caller, console)?;
        }
        let mut ownership = None;
        if let Some(script) = &self.spec.fake_root_commands {
            let has_chroot = self.spec.enable_fakechroot;
            let run_as = if has_chroot { RunAs::FakeChroot(&self.config.store) } else { RunAs::FakeRoot };
            ownership = Some(script::run(script, &workplace, run_as, console)?);
        }
        let mut members = walk_tree(&tree, self.spec.xattrs)?;
        inherit(&mut members, &inherited)?;
        self.own(&mut members);
        if let Some(ownership) = &ownership {
            apply(&mut members, &tree, ownership)?;
        }
        self.archive(members)
    }

    /// Gives what stands where something was copied the owner that it was given.
    fn own(&self, members: &mut [Placed]) {
        for member in members {
            let copied = self.merged.tree.get(below_root(&member.entry.name));
            if let Some((uid, gid)) = copied.and_then(|copied| copied.owner) {
                member.entry.owner = Some(Box::new(Owner::numbered(uid, gid)));
            }
        }
    }

    fn archive(&mut self, mut members: Vec<Placed>) -> Result<LayerFile> {
        let owner = &self.config.owner;
        // Before directories of the base are among them: those refer to nothing of ours.
        let references = references(&self.config.store, &members)?;
        let mut names = Vec::new();
        if let Some(base) = &self.config.base {
            let origin = Origin { merged: &self.merged.tree, owner, replace: self.spec.replace };
            (names, members) = place_on_base(base, members, origin)?.into_iter().unzip();
        }
        let numeric = self.set_perms(&mut members, &names)?;
        let lay_out = if numeric { Layout::gnu_numeric } else { Layout::gnu };
        let source = Source::from(lay_out(members, self.mtime, owner));
        let diff_id = write_layer(&source, &mut self.output, self.blob, &Progress::default())?;
        Ok(LayerFile { references, ..LayerFile::new(diff_id, source.size()) })
    }

    /// Gives members the owners and modes of the rules. Returns whether owners have numbers only in the tar (GNU tar's
    /// `--numeric-owner`), as in dockerTools' customisation layers, unless a rule names one.
    fn set_perms(&self, members: &mut [Placed], names: &[PathBuf]) -> Result<bool> {
        let owner = &self.config.owner;
        let is_numeric = self.spec.kind == ImageKind::Layered && owner.uname.is_empty() && owner.gname.is_empty();
        if is_numeric && self.rules.have_names() {
            for owner in members.iter_mut().filter_map(|member| member.entry.owner.as_deref_mut()) {
                *owner = Owner { uid: owner.uid, gid: owner.gid, ..Owner::numeric_root() };
            }
        }
        self.rules.apply(members, names, Defaults { owner, numeric: is_numeric })?;
        Ok(is_numeric && !self.rules.have_names())
    }
}

/// Extended attributes of copied files by what identifies the copy: not everybody may give them to a file.
type Inherited = HashMap<(u64, u64, i64, i64), Xattrs>;

fn inherited(merged: &Merged, tree: &Path) -> Result<Inherited> {
    let mut inherited = Inherited::default();
    for (member, file) in with_files(&mut merged.tree.members()) {
        if let Some(xattrs) = read_xattrs(&file)? {
            inherited.insert(identity(&tree.join(below_root(&member.entry.name)))?, *xattrs);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::base;
    use layerstone_oci::Time;
    use layerstone_spec::{Helper, Perm, RootMode, Script, Which};
    use layerstone_store::{Digest, StorePath};
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    const A: &str = "516z65g5d2g7yfc9yv6n2g1q21jqv0m1-a";
    const B: &str = "5wqnl34l8k8y01bqi4livgq7x9r214kc-b";

    /// A layer that was made, and the warnings.
    #[derive(Debug)]
    struct Customised {
        layer: LayerFile,
        warnings: Vec<Warning>,
    }

    /// A machine with the paths A and B in its store, and a directory for outputs.
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

        /// A spec of these contents and this `extraCommands`.
        fn spec(&self, contents: &[&str], script: &str) -> Spec {
            let contents = contents.iter().map(|base| Path::new("/nix/store").join(base)).collect();
            let mtime = Time::from_seconds(315_532_800).unwrap();
            Spec { contents, script: Some(Script::Text(script.to_owned())), mtime, ..Spec::new("t") }
        }

        fn config(&self, spec: &Spec) -> RootConfig {
            RootConfig::new(spec, &Store::new("/nix/store", self.0.path()).unwrap(), None)
        }

        fn paths(&self, items: &[&str]) -> Vec<StorePath> {
            items.iter().map(|base| StorePath::parse(&format!("/nix/store/{base}")).unwrap()).collect()
        }

        fn blob(&self) -> PathBuf {
            self.0.path().join("root.tar")
        }

        fn build(&self, spec: &Spec) -> Result<Customised> {
            self.build_on(None, spec)
        }

        /// Builds a layer on a base of these files.
        fn build_on(&self, files: Option<&[&str]>, spec: &Spec) -> Result<Customised> {
            let base = files.map(|files| Arc::new(base(files)));
            let mut warnings = Vec::new();
            let mut console =
                Console { log: &mut Vec::new(), warn: &mut |warning| warnings.push(warning), running: &mut |_| {} };
            let layer = build(spec, &RootConfig { base, ..self.config(spec) }, &self.blob(), &mut console)?;
            Ok(Customised { layer, warnings })
        }

        /// The blob unpacked into a new directory.
        fn unpack(&self) -> tempfile::TempDir {
            let directory = tempfile::tempdir().unwrap();
            let mut tar = Command::new("tar");
            assert!(tar.arg("-xpf").arg(self.blob()).arg("-C").arg(directory.path()).status().unwrap().success());
            directory
        }
    }

    /// Builds a layer, and logs what its script prints.
    fn logged(spec: &Spec, config: &RootConfig, blob: &Path, log: &mut Vec<u8>) -> Result<LayerFile> {
        build(spec, config, blob, &mut Console { log, warn: &mut |_| {}, running: &mut |_| {} })
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
        assert_eq!(customised.layer.references, machine.paths(&[A]));
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
        let spec = machine.spec(&[A], tar);
        let customised = logged(&spec, &machine.config(&spec), &machine.blob(), &mut log).unwrap();
        assert_eq!(String::from_utf8(log).unwrap(), format!("{}  -\n", customised.diff_id.hex()));
    }

    #[test]
    fn nothing_at_all_is_an_empty_root_directory() {
        let machine = Machine::new();
        let store = Store::new("/absent/store", "/").unwrap();
        let spec = Spec::new("t");
        let config = RootConfig { strict: true, ..RootConfig::new(&spec, &store, None) };
        assert_eq!(logged(&spec, &config, &machine.blob(), &mut Vec::new()).unwrap().references, []);
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
            assert_eq!(layer.references, machine.paths(&[A, B]), "{script}");
        }
        let half = format!("echo {} > f; echo {}-a > g", &A[..31], "0".repeat(32));
        assert_eq!(machine.build(&machine.spec(&[], &half)).unwrap().layer.references, []);
    }

    #[test]
    fn an_error_changes_no_output() {
        let machine = Machine::new();
        std::fs::write(machine.blob(), "old").unwrap();
        let failing = machine.spec(&[], "echo one; echo two >&2; exit 3");
        let disagreeing = machine.spec(&[A, B], "");
        let conflict = format!("contents conflict: bin/x: /nix/store/{A}/bin/x kept, /nix/store/{B}/bin/x ignored");
        for (spec, message) in
            [(failing, "script failed: extraCommands: exit status 3\n  | one\n  | two"), (disagreeing, &*conflict)]
        {
            let config = RootConfig { strict: true, ..machine.config(&spec) };
            let error = logged(&spec, &config, &machine.blob(), &mut Vec::new()).unwrap_err();
            assert_eq!(error.to_string(), message);
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
        for mode in [RootMode::Links, RootMode::Copy, RootMode::CopyKeepingDirlinks] {
            let bare = Spec { script: None, root_mode: mode, ..machine.spec(&[A, B], "") };
            let layer = machine.build(&bare).unwrap().layer;
            let bytes = std::fs::read(machine.blob()).unwrap();
            let script = Spec { root_mode: mode, ..machine.spec(&[A, B], ":") };
            assert_eq!(layer, machine.build(&script).unwrap().layer);
            assert!(bytes == std::fs::read(machine.blob()).unwrap());
            let count = [(RootMode::Links, 2), (RootMode::Copy, 0), (RootMode::CopyKeepingDirlinks, 1)];
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
        let package = Path::new("/nix/store").join(B);
        let helpers = vec![nss, Helper::Tmp, Helper::ShadowSetup, Helper::UsrBinEnv(package)];
        let files = ["usr/", "755,5,5: tmp/", "700: var/"];
        for base in [None, Some(&files[..])] {
            let spec = Spec { helpers: helpers.clone(), ..machine.spec(&[], ":") };
            let layer = machine.build_on(base, &spec).unwrap().layer;
            let names = members(&machine);
            assert_eq!(layer, machine.build_on(base, &Spec { script: None, ..spec.clone() }).unwrap().layer);
            let directories =
                if base.is_none() { ["tmp/ 1777 0", "var/ 755 0"] } else { ["tmp/ 1777 5", "var/ 700 0"] };
            assert!(directories.iter().all(|directory| names.iter().any(|name| name == directory)), "{names:?}");
            assert_eq!(layer.references, machine.paths(&[A, B]));
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
            Perm { which: Which::Path(name.to_owned()), mode: Some(mode), uid, gid, uname, gname }
        };
        let script = "mkdir home; echo x > home/x";
        let perms = vec![rule("bin", 0o711), rule("home", 0o700), rule("home/x", 0o600), rule("usr", 0o750)];
        let files = ["711,3,3: usr/", "bin -> usr", "755,4,4: home/"];
        let spec = Spec { perms, ..machine.spec(&[A], script) };
        machine.build_on(Some(&files), &spec).unwrap();
        assert_eq!(members(&machine), ["/ 755 0", "home/ 700 7", "home/x 7", "usr/ 750 7", "usr/x 0"]);
        let bare = Spec { perms: spec.perms[..3].to_vec(), ..spec.clone() };
        machine.build(&bare).unwrap();
        assert_eq!(members(&machine), ["/ 755 0", "bin/ 711 7", "bin/x 0", "home/ 700 7", "home/x 7"]);
        let error = machine.build(&spec).unwrap_err().to_string();
        assert_eq!(error, "cannot apply perms: path usr: found nothing in the layer");
    }

    /// Names of owners are there once a rule gives one, and nowhere else.
    #[test]
    fn owners_by_name() {
        let machine = Machine::new();
        let named = |uname: Option<&str>| {
            let uname = uname.map(str::to_owned);
            let which = Which::Path("x".to_owned());
            let rule = Perm { which, mode: None, uid: Some(7), gid: None, uname, gname: None };
            let spec = Spec { perms: vec![rule], ..machine.spec(&[], "mkdir usr x") };
            machine.build_on(Some(&["755,0,3: usr/"]), &spec).unwrap();
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
            let spec = Spec { script, root_mode: RootMode::Copy, ..machine.spec(&[A], "") };
            let layer = machine.build(&spec).unwrap().layer;
            assert_eq!(layer.references, machine.paths(&[third, B]));
        }
    }

    #[test]
    fn a_copied_tree_takes_a_script() {
        let machine = Machine::new();
        for (name, mode) in [("bin/x", 0o444), ("bin", 0o555), ("", 0o555)] {
            std::fs::set_permissions(machine.entry(A).join(name), Permissions::from_mode(mode)).unwrap();
        }
        let script = "echo more > more; chmod u+w bin; mv bin/x bin/y; ln bin/y z";
        machine.build(&Spec { root_mode: RootMode::Copy, ..machine.spec(&[A], script) }).unwrap();
        let root = machine.unpack();
        let modes = ["", "bin", "bin/y", "z", "more"].map(|name| mode(root.path().join(name)));
        assert_eq!(modes, [0o775, 0o755, 0o444, 0o444, 0o644]);
        assert_eq!(std::fs::read(root.path().join("z")).unwrap(), b"first");
        assert_eq!(std::fs::read(machine.entry(A).join("bin/x")).unwrap(), b"first", "the store's file is another one");
        std::fs::set_permissions(machine.entry(A).join("bin"), Permissions::from_mode(0o755)).unwrap();
        // No contents at all.
        machine.build(&Spec { root_mode: RootMode::Copy, script: None, ..machine.spec(&[], "") }).unwrap();
        assert_eq!(mode(machine.unpack().path().to_owned()), 0o775);
    }

    /// Names of the blob's members, with the modes of directories.
    fn members(machine: &Machine) -> Vec<String> {
        let mut members =
            layerstone_tar::Members::new(std::fs::File::open(machine.blob()).unwrap(), Default::default());
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
        let script = "mkdir tmp var opt; chmod 770 var; mkdir -m 700 new; chmod u+rw bin; touch bin/y; chmod u=rx bin";
        let before = ["/ 755 0", "new/ 700 0", "opt/ 700 8", "tmp/ 1777 0", "usr/ 755 0"];
        for (mode, bin) in [(RootMode::Links, "usr/bin/ 555 3"), (RootMode::Copy, "usr/bin/ 711 3")] {
            let spec = Spec { root_mode: mode, ..machine.spec(&[A], script) };
            machine.build_on(Some(&files), &spec).unwrap();
            let expected = [&before[..], &[bin, "usr/bin/x 0", "usr/bin/y 0", "var/ 770 7"]].concat();
            assert_eq!(members(&machine), expected, "{mode:?}");
        }
        let bare = Spec { script: None, ..machine.spec(&[A], "") };
        machine.build_on(Some(&files), &bare).unwrap();
        assert_eq!(members(&machine), ["/ 755 0", "usr/ 755 0", "usr/bin/ 711 3", "usr/bin/x 0"]);
        std::fs::set_permissions(machine.entry(A).join("bin"), Permissions::from_mode(0o755)).unwrap();
    }

    /// The directory of the base that a link of the base leads to is not ours.
    #[test]
    fn directories_of_the_base_are_no_references() {
        let machine = Machine::new();
        let directory = format!("store/{B}/");
        let files = ["store/", &*directory, &format!("bin -> {directory}")];
        let spec = Spec { script: None, ..machine.spec(&[A], "") };
        let layer = machine.build_on(Some(&files), &spec).unwrap().layer;
        assert_eq!(layer.references, machine.paths(&[A]));
        assert_eq!(members(&machine)[2..], [format!("store/{B}/ 755 0"), format!("store/{B}/x 0")]);
    }

    #[test]
    fn nothing_stays_in_the_temporary_directory() {
        let machine = Machine::new();
        let spec = machine.spec(
            &[A],
            "echo $TMPDIR; mkdir -p a/b $TMPDIR/c; touch a/b/f $TMPDIR/c/f; chmod 555 a/b a $TMPDIR/c $TMPDIR",
        );
        let mut log = Vec::new();
        logged(&spec, &machine.config(&spec), &machine.blob(), &mut log).unwrap();
        let temporary = PathBuf::from(String::from_utf8(log).unwrap().trim_end());
        let scratch = temporary.parent().unwrap();
        assert!(temporary.is_absolute() && scratch.parent().unwrap().is_dir());
        assert!(scratch.symlink_metadata().is_err(), "{}", scratch.display());
    }

    #[test]
    fn a_bad_path_is_an_error_before_the_script_runs() {
        let machine = Machine::new();
        let blob = machine.0.path().join("absent/root.tar");
        let mut log = Vec::new();
        let spec = machine.spec(&[], "echo ran");
        let error = logged(&spec, &machine.config(&spec), &blob, &mut log).unwrap_err().to_string();
        assert!(error.ends_with("absent does not exist") && log.is_empty(), "{error}");
    }
}
