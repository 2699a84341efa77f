//! Adds the files of helpers to merged contents.
//!
//! Contents win: a file that they have under a helper's name stays, and that is a conflict like any other, except for
//! files that a helper only adds where nothing exists. Of two helpers the first one wins. Where a symlink of contents
//! leads to a directory of the layer, a helper's file goes there, as it would in a container. The mode that a helper
//! gives a directory on purpose (/tmp) replaces that of contents, which is what a store gives all directories.
//!
//! Over a base, a helper replaces no file, since it would hide the base's users, certificates or shell. That is an error
//! unless the spec says `replace`; a symlink with the same text is left as it is.

use crate::merge::{Merged, same_text};
use crate::ready_contents::{Content, HelperFile, files_of, label};
use crate::tree::{DIRECTORY_MODE, Entry, File, FileTree, Node, is_root};
use crate::{Error, Result};
use layerstone_spec::Helper;
use layerstone_store::{Scratch, Store, Walk, open_regular};
use layerstone_tar::{Kind, Node as BaseNode, Tree};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What helpers are added with.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The store of their packages.
    pub store: &'a Store,
    /// An empty directory for their texts, which are read there until the layer is written.
    pub texts: &'a Path,
    /// The files of the image below.
    pub base: Option<&'a Tree>,
    /// Whether they may replace files of the base.
    pub replace: bool,
}

/// Adds helpers to merged contents, the files that give way to all others last.
pub fn add_helpers(merged: &mut Merged, helpers: &[Helper], context: Context<'_>) -> Result<()> {
    let mut files = Vec::new();
    for helper in helpers {
        files.extend(files_of(helper, context.store)?.into_iter().map(|file| (helper, file)));
    }
    // A stable sort: otherwise they stay in the order of the helpers.
    files.sort_by_key(|(_, file)| file.when_absent);
    files.into_iter().enumerate().try_for_each(|(index, (helper, file))| {
        Adding { merged: &mut *merged, context, source: label(helper) }.add(index, file)
    })
}

/// Writes the files of a helper into a new directory, which appears complete or not at all.
pub fn write_helper(store: &Store, helper: &Helper, directory: &Path) -> Result<()> {
    let texts = Scratch::create(&std::env::temp_dir())?;
    let mut merged = Merged { tree: FileTree::new(&label(helper)), ..Merged::default() };
    let context = Context { store, texts: texts.path(), base: None, replace: false };
    add_helpers(&mut merged, std::slice::from_ref(helper), context)?;
    merged.tree.write_new(directory, open_regular)
}

/// A helper whose files are being added.
struct Adding<'a> {
    merged: &'a mut Merged,
    context: Context<'a>,
    /// What messages call the helper.
    source: PathBuf,
}

impl Adding<'_> {
    fn add(&mut self, index: usize, file: HelperFile) -> Result<()> {
        let node = match file.content {
            Content::Directory(mode) => return self.add_directory(&self.destination(file.path), mode),
            Content::Link(text) => Node::Link(text.into()),
            Content::Text(text, mode) => Node::File(write(&self.context.texts.join(index.to_string()), &text, mode)?),
        };
        let (Some(directory), Some(name)) = (file.path.parent(), file.path.file_name()) else { return Ok(()) };
        let directory = self.destination(directory);
        let (path, entry) = (directory.join(name), Entry::new(&self.source, node));
        if self.merged.tree.get(&path).is_none() {
            if let Some(existing) = self.in_base(&path) {
                if file.when_absent || is_link_to(existing, entry.text()) {
                    return Ok(());
                }
                if !self.context.replace && !existing.is_directory() {
                    return Err(Error::HelperOverBase { name: path, helper: self.source.clone() });
                }
            }
            self.make_directories(&directory)?;
        }
        // The existing entry is kept, which is a conflict unless ours gives way or is the same symlink.
        self.merged.tree.add(&path, entry, |existing, ours| {
            let agree = ours.text().is_some() && same_text(existing.text(), ours.text());
            if !file.when_absent && !agree {
                self.merged.conflicts.push(existing.conflict(&path, &ours));
            }
            Ok(())
        })
    }

    /// The path of a directory in the merged tree: symlinks in it are followed as far as they lead to directories.
    fn destination(&self, directory: &Path) -> PathBuf {
        let look = |name: &Path| self.merged.tree.look(name);
        let found = directory.ancestors().find_map(|upper| Some((upper, Walk::new("", "", upper).follow(look).ok()?)));
        match found.and_then(|(upper, target)| Some((target, directory.strip_prefix(upper).ok()?))) {
            Some((target, rest)) if is_root(rest) => target,
            Some((target, rest)) => target.join(rest),
            None => directory.to_owned(),
        }
    }

    fn add_directory(&mut self, path: &Path, mode: u32) -> Result<()> {
        self.make_directories(path)?;
        if mode != DIRECTORY_MODE {
            let node = Node::Directory { mode, is_on_purpose: true };
            self.merged.tree.0.entry(path.to_owned()).and_modify(|entry| entry.node = node);
        }
        Ok(())
    }

    fn make_directories(&mut self, path: &Path) -> Result<()> {
        let made = self.merged.tree.make_directories(path, &self.source);
        made.map_err(|(at, other)| other.disagreement(at, &Entry::directory(&self.source)))
    }

    fn in_base(&self, path: &Path) -> Option<&BaseNode> {
        self.context.base?.resolve_link(path.as_os_str().as_bytes()).ok()?.node
    }
}

fn is_link_to(node: &BaseNode, text: Option<&Path>) -> bool {
    matches!(&node.kind, Kind::Symlink { target } if text.is_some_and(|text| text.as_os_str().as_bytes() == &**target))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<File> {
    std::fs::write(path, text).map_err(Error::io("write", path))?;
    Ok(File::new(path, mode, &path.symlink_metadata().map_err(Error::io("read", path))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conflict;
    use crate::fixtures::{base, paths, store};
    use crate::merge::merge;
    use layerstone_spec::RootMode;
    use std::os::unix::fs::PermissionsExt;

    fn nss() -> Helper {
        Helper::FakeNss { extra_passwd_lines: Vec::new(), extra_group_lines: Vec::new() }
    }

    /// The item `a` of a store of these lines, and helpers, over a base.
    struct Case<'a> {
        files: &'a [&'a str],
        mode: RootMode,
        helpers: &'a [Helper],
        base: Option<&'a [&'a str]>,
        replace: bool,
    }

    const BARE: Case<'static> =
        Case { files: &["a/"], mode: RootMode::Links, helpers: &[], base: None, replace: false };

    impl Case<'_> {
        fn add(&self) -> Result<(Vec<String>, Vec<String>)> {
            let (_dir, store) = store(self.files);
            let mut merged = merge(&store, &paths(&store, &["a"]), self.mode).unwrap();
            let texts = tempfile::tempdir().unwrap();
            let base = self.base.map(base);
            let context = Context { store: &store, texts: texts.path(), base: base.as_ref(), replace: self.replace };
            add_helpers(&mut merged, self.helpers, context)?;
            let conflicts = merged.conflicts.iter().map(Conflict::to_string).collect();
            Ok((list(&merged.tree), conflicts))
        }

        #[track_caller]
        fn check(&self, expected: &[&str], conflicts: &[&str]) {
            let (lines, found) = self.add().unwrap();
            assert_eq!((lines, found), (owned(expected), owned(conflicts)));
        }

        #[track_caller]
        fn check_error(&self, expected: &str) {
            assert_eq!(self.add().unwrap_err().to_string(), expected);
        }
    }

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    /// Lines `a/ MODE`, `a/b -> TEXT`, `a/c = FIRST LINE` with the mode of what was written, `a/d` of the store.
    fn list(tree: &FileTree) -> Vec<String> {
        let line = |(path, entry): (&PathBuf, &Entry)| match (&entry.node, path.display()) {
            (Node::Directory { mode, .. }, path) => format!("{path}/ {mode:o}"),
            (Node::File(file), path) if entry.source.starts_with("/nix") => format!("{path} {:o}", file.mode),
            (Node::File(file), path) => {
                let text = std::fs::read_to_string(&file.real).unwrap();
                assert_eq!(text.len() as u64, file.size);
                format!("{path} {:o} = {}", file.mode, text.lines().next().unwrap_or(""))
            }
            (_, path) => format!("{path} -> {}", entry.text().unwrap().display()),
        };
        tree.0.iter().filter(|(path, _)| !is_root(path)).map(line).collect()
    }

    const NSS: [&str; 6] = [
        "etc/ 755",
        "etc/group 644 = root:x:0:",
        "etc/nsswitch.conf 644 = hosts: files dns",
        "etc/passwd 644 = root:x:0:0:root user:/var/empty:/bin/sh",
        "var/ 755",
        "var/empty/ 755",
    ];

    #[test]
    fn beside_contents() {
        for mode in [RootMode::Links, RootMode::Copy, RootMode::CopyKeepingDirlinks] {
            Case { mode, helpers: &[nss()], ..BARE }.check(&NSS, &[]);
            Case { mode, ..BARE }.check(&[], &[]);
        }
    }

    #[test]
    fn contents_win_in_every_mode() {
        let files = ["a/etc/group -> other", "a/tmp/x -> y"];
        let conflicts = ["etc/group: /nix/store/a/etc/group kept, helper fakeNss ignored"];
        for mode in [RootMode::Links, RootMode::Copy, RootMode::CopyKeepingDirlinks] {
            let (lines, found) = Case { files: &files, mode, helpers: &[nss(), Helper::Tmp], ..BARE }.add().unwrap();
            assert_eq!((&*lines[1], &*lines[4], &*lines[5]), ("etc/group -> other", "tmp/ 1777", "tmp/x -> y"));
            assert_eq!(found, conflicts);
        }
    }

    #[test]
    fn through_links_of_contents() {
        let files =
            ["a/usr -> .", "a/bin/env -> /nix/store/a/bin/coreutils", "a/bin/coreutils", "a/etc -> e/e", "a/e/e/"];
        let helpers = [Helper::UsrBinEnv(PathBuf::from("/nix/store/a")), nss()];
        let conflicts = ["bin/env: /nix/store/a/bin/env kept, helper usrBinEnv ignored"];
        let (lines, found) =
            Case { files: &files, mode: RootMode::CopyKeepingDirlinks, helpers: &helpers, ..BARE }.add().unwrap();
        assert_eq!(found, conflicts);
        let expected = ["e/ 755", "e/e/ 755", "e/e/group 644 = root:x:0:", "e/e/nsswitch.conf 644 = hosts: files dns"];
        assert_eq!(lines[3..7], expected);
        assert!(lines.contains(&"etc -> e/e".to_owned()) && lines.contains(&"usr -> .".to_owned()), "{lines:?}");
        let files = ["a/tmp -> var/tmp", "a/var/tmp/"];
        let expected = ["tmp -> var/tmp", "var/ 755", "var/tmp/ 1777"];
        Case { files: &files, helpers: &[Helper::Tmp], ..BARE }.check(&expected, &[]);
        let error = "contents disagree: etc: /nix/store/a/etc is a symbolic link, helper fakeNss a directory";
        for text in ["/nix/store/a/e", "nowhere", "etc"] {
            let files = [&*format!("a/etc -> {text}"), "a/e/"];
            Case { files: &files, helpers: &[nss()], ..BARE }.check_error(error);
        }
    }

    #[test]
    fn shadow_setup_gives_way() {
        let helpers = [Helper::ShadowSetup, nss()];
        let expected = [
            "etc/ 755",
            "etc/group 644 = root:x:0:",
            "etc/gshadow 600 = root:x::",
            "etc/login.defs -> /nix/store/a/etc/login.defs",
            "etc/nsswitch.conf 644 = hosts: files dns",
            "etc/pam.d/ 755",
            "etc/pam.d/other 644 = account sufficient pam_unix.so",
            "etc/passwd 644 = root:x:0:0:root user:/var/empty:/bin/sh",
            "etc/shadow 600 = root:!x:::::::",
            "var/ 755",
            "var/empty/ 755",
        ];
        Case { files: &["a/etc/login.defs"], helpers: &helpers, ..BARE }.check(&expected, &[]);
        let base: &[&str] =
            &["etc/", "etc/passwd", "etc/shadow", "etc/gshadow", "etc/group", "e/", "etc/pam.d -> ../e"];
        let expected = [
            "etc/ 755",
            "etc/login.defs 644 = ",
            "etc/pam.d/ 755",
            "etc/pam.d/other 644 = account sufficient pam_unix.so",
        ];
        Case { helpers: &[Helper::ShadowSetup], base: Some(base), ..BARE }.check(&expected, &[]);
        let base = [base, &["e/other"]].concat();
        Case { helpers: &[Helper::ShadowSetup], base: Some(&base), ..BARE }
            .check(&["etc/ 755", "etc/login.defs 644 = "], &[]);
    }

    #[test]
    fn over_a_base() {
        let base: &[&str] = &["e/", "etc -> e", "e/group", "1777: tmp/"];
        let case = Case { helpers: &[nss()], base: Some(base), ..BARE };
        case.check_error("layer and base disagree: etc/group: helper fakeNss would replace what the base has");
        Case { replace: true, ..case }.check(&NSS, &[]);
        Case { helpers: &[Helper::Tmp], base: Some(base), ..BARE }.check(&["tmp/ 1777"], &[]);
    }

    #[test]
    fn links_over_a_base() {
        let helpers = [Helper::BinSh(PathBuf::from("/nix/store/a"))];
        let over = |base| Case { files: &["a/", "a/bin/bash"], helpers: &helpers, base: Some(base), ..BARE };
        over(&["usr/", "usr/bin/", "bin -> usr/bin", "usr/bin/sh -> dash"])
            .check_error("layer and base disagree: bin/sh: helper binSh would replace what the base has");
        let same = ["usr/", "usr/bin/", "bin -> usr/bin", "usr/bin/sh -> /nix/store/a/bin/bash"];
        over(&same).check(&["bin/ 755", "bin/bash -> /nix/store/a/bin/bash"], &[]);
    }

    #[test]
    fn what_cannot_be_together() {
        let error = "contents disagree: etc: /nix/store/a/etc is a regular file, helper fakeNss a directory";
        Case { files: &["a/etc"], helpers: &[nss()], ..BARE }.check_error(error);
        let error =
            "contents disagree: etc/group: /nix/store/a/etc/group is a directory, helper fakeNss a regular file";
        Case { files: &["a/etc/group/"], helpers: &[nss()], ..BARE }.check_error(error);
        let error = "contents disagree: tmp: /nix/store/a/tmp is a symbolic link, helper tmp a directory";
        Case { files: &["a/tmp -> x"], helpers: &[Helper::Tmp], ..BARE }.check_error(error);
    }

    #[test]
    fn alone_in_a_new_directory() {
        let (dir, store) = store(&["a/"]);
        let out = dir.path().join("out");
        write_helper(&store, &Helper::Tmp, &out).unwrap();
        let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&out), mode(&out.join("tmp"))), (0o755, 0o1777));
        let error = write_helper(&store, &nss(), &out).unwrap_err().to_string();
        assert!(error.ends_with("out: it exists, expected a new directory"), "{error}");
        let error = write_helper(&store, &nss(), &out.join("x/y")).unwrap_err().to_string();
        assert!(error.ends_with("out/x does not exist"), "{error}");
        let bad = Helper::UsrBinEnv(PathBuf::from("/nix/store/a"));
        write_helper(&store, &bad, &dir.path().join("bad")).unwrap_err();
        let names: Vec<_> = dir.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "nix and out: {names:?}");
    }
}
