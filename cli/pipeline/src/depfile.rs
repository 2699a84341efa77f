//! A command as a rule of a build graph: what it read, written for make and ninja, and outputs that stay as they are if
//! they would get the same bytes.

use crate::build_graph::push_backslashes;
use crate::copies::{Below, libraries};
use crate::error::Context;
use crate::{LayersBelow, Result};
use layerstone_layer::{LayerFile, Recipe};
use layerstone_root::copied_files;
use layerstone_spec::Spec;
use layerstone_store::{Directory, Error, Limits, Scratch, Store, StorePath, write_whole};
use rustix::fs::OFlags;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the file is called that an output replaces.
const OLD: &str = "old";

/// What a build tool wants of a command.
#[derive(Clone, Debug, Default)]
pub struct StepOptions {
    /// Whether outputs that would get the bytes they have are left alone.
    pub restat: bool,
    /// Where to write which files were read.
    pub depfile: Option<PathBuf>,
    /// The target of the rule there; none for the first output.
    pub depfile_target: Option<PathBuf>,
}

/// A command at work as a step of a build tool.
pub struct BuildStep {
    options: StepOptions,
    outputs: Vec<Before>,
    /// The first output, as it is called.
    target: Option<PathBuf>,
    inputs: BTreeSet<PathBuf>,
}

/// An output, and the file that it replaces.
struct Before {
    path: PathBuf,
    /// The directory of that file, and a work directory in it where the file has a second name.
    old: Option<(Arc<Directory>, Scratch)>,
}

impl Before {
    fn new(path: &Path, keep: bool) -> Result<Before> {
        // A link stays, so that what it leads to is the output.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if !keep || !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Ok(Before { path, old: None });
        }
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let directory = Arc::new(Directory::open_named(parent).map_err(Error::io("make a work directory in", parent))?);
        let scratch = Scratch::create_in(&directory, parent)?;
        // Where there are no hard links, nothing is left alone.
        let linked = directory.link(name_of(&path), scratch.directory(), OsStr::new(OLD));
        Ok(Before { path, old: linked.is_ok().then_some((directory, scratch)) })
    }

    /// Puts the old file back if the new one has the same bytes.
    fn settle(&self) -> Result<()> {
        let Some((directory, scratch)) = &self.old else { return Ok(()) };
        let (work, old, name) = (scratch.directory(), OsStr::new(OLD), name_of(&self.path));
        let open = |directory: &Directory, name: &OsStr| directory.open_file(name, OFlags::RDONLY);
        let same = || -> std::io::Result<bool> { same(&mut open(work, old)?, &mut open(directory, name)?) };
        if same().with_context(|| format!("cannot compare: {}", self.path.display()))? {
            let put_back = work.rename(old, directory, name);
            put_back.with_context(|| format!("cannot write: {}", self.path.display()))?;
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

fn same(a: &mut File, b: &mut File) -> std::io::Result<bool> {
    let (mut left, mut right) = (vec![0; 1 << 17], vec![0; 1 << 17]);
    let size = a.metadata()?.len();
    if size != b.metadata()?.len() {
        return Ok(false);
    }
    let mut rest = size;
    while rest > 0 {
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(left.len());
        a.read_exact(&mut left[..count])?;
        b.read_exact(&mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
        rest -= count as u64;
    }
    Ok(true)
}

impl BuildStep {
    /// Notes which of these outputs exist; `-`, standard output, is none.
    ///
    /// # Errors
    ///
    /// A depfile is wanted, and there is no output for its rule; or the old file of an output cannot be kept beside it.
    pub fn begin<P: AsRef<Path>>(options: StepOptions, outputs: &[P]) -> Result<BuildStep> {
        let outputs: Vec<&Path> = outputs.iter().map(AsRef::as_ref).filter(|path| *path != Path::new("-")).collect();
        let target = options.depfile_target.clone().or(outputs.first().map(|path| path.to_path_buf()));
        if options.depfile.is_some() && target.is_none() {
            bail!("--depfile: found no file among the outputs, expected one, or --depfile-target");
        }
        let outputs = outputs.into_iter().map(|path| Before::new(path, options.restat)).collect::<Result<_>>()?;
        Ok(BuildStep { options, outputs, target, inputs: BTreeSet::new() })
    }

    /// A file was read; `-`, standard input, is none.
    pub fn file(&mut self, path: impl Into<PathBuf>) {
        let path = path.into();
        if path != Path::new("-") {
            self.inputs.insert(path);
        }
    }

    /// Files were read.
    pub fn files<'b>(&mut self, paths: impl IntoIterator<Item = &'b PathBuf>) {
        paths.into_iter().for_each(|path| self.file(path));
    }

    /// Store paths were read: one entry each, as their contents never change.
    pub fn store_paths<'b>(&mut self, store: &Store, paths: impl IntoIterator<Item = &'b StorePath>) {
        paths.into_iter().for_each(|path| self.file(store.locate(path.as_str())));
    }

    /// What layers are made of was read.
    pub fn recipes<'b>(&mut self, store: &Store, recipes: impl IntoIterator<Item = &'b Recipe>) {
        recipes.into_iter().for_each(|recipe| self.store_paths(store, &recipe.paths));
    }

    /// A layer file was read, and its tar, or what it is made of.
    pub fn layer(&mut self, store: &Store, path: &Path) -> Result<()> {
        if self.options.depfile.is_some() && path != Path::new("-") {
            let layer = LayerFile::read(path)?;
            self.files(&layer.blob_path(path));
            self.recipes(store, &layer.recipe);
        }
        self.file(path);
        Ok(())
    }

    /// A spec was read, and what it names: scripts, graphs, the base, and the contents in the store. What refers to what
    /// there never changes either, so a database of the store is no input.
    pub fn spec(&mut self, store: &Store, path: Option<&Path>, spec: &Spec) -> Result<()> {
        self.files(&path.map(Path::to_owned));
        spec.files().into_iter().for_each(|file| self.file(file));
        if self.options.depfile.is_none() {
            return Ok(());
        }
        LayersBelow::read(&spec.layers)?.files().try_for_each(|file| self.layer(store, file))?;
        for entry in &spec.copy {
            self.files(&copied_files(entry)?);
        }
        for path in spec.store_paths() {
            let path = store.resolve(path)?;
            self.store_paths(store, [&path]);
        }
        Ok(())
    }

    /// The libraries of what a spec copies were looked for: what is copied decides them, and what was found on the way.
    pub fn libraries(&mut self, store: &Store, spec: &Spec) -> Result<()> {
        let Some(layer) = spec.layer_of_libraries().filter(|_| self.options.depfile.is_some()) else { return Ok(()) };
        for entry in &spec.copy {
            self.files(&copied_files(entry)?);
        }
        // Without layers below, nothing is left out that is looked for there.
        let below = Below { base: None, tree: None };
        self.files(&libraries(spec, layer, below, store, Limits::default())?.read);
        Ok(())
    }

    /// The outputs are written: those with the bytes that they had are put back, and the depfile says what was read.
    pub fn finish(self) -> Result<()> {
        if let (Some(file), Some(target)) = (&self.options.depfile, &self.target) {
            let is_for_make = self.options.depfile_target.is_some();
            write_whole(file, &rule(target, &self.inputs, is_for_make)?)?;
        }
        self.outputs.iter().try_for_each(Before::settle)
    }
}

/// The text of a rule of make (GNU make manual, "Rule Syntax"; ninja manual, "Depfiles"). With a rule that does nothing
/// for each input, make goes on where one is gone, as for `gcc -MP`.
fn rule(target: &Path, inputs: &BTreeSet<PathBuf>, with_inputs: bool) -> Result<Vec<u8>> {
    let mut text = name_in_rule(target)?;
    text.push(b':');
    for input in inputs {
        text.extend(b" \\\n  ");
        text.extend(name_in_rule(input)?);
    }
    text.push(b'\n');
    for input in inputs.iter().filter(|_| with_inputs) {
        text.extend(name_in_rule(input)?);
        text.extend(b":\n");
    }
    Ok(text)
}

/// A name as it stands in a rule.
fn name_in_rule(path: &Path) -> Result<Vec<u8>> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.contains(&b'\n') {
        bail!("cannot tell in a depfile: {}: found a newline in a name", bytes.escape_ascii());
    }
    let mut name = Vec::with_capacity(bytes.len());
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'$' => name.push(b'$'),
            b' ' | b'\t' | b'#' => push_backslashes(&mut name, bytes, index),
            _ => {}
        }
        name.push(byte);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(name_in_rule(Path::new(name)).unwrap(), expected.as_bytes());
    }

    #[test]
    fn names_in_rules() {
        check("/nix/store/abc-x", "/nix/store/abc-x");
        check("a b", "a\\ b");
        check("a\\ b", "a\\\\\\ b");
        check("a$b#c", "a$$b\\#c");
        check("a\\b", "a\\b");
        assert!(name_in_rule(Path::new("a\nb")).is_err());
    }

    #[test]
    fn what_has_the_same_bytes_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("x"), dir.path().join("y"));
        fs::write(&file, "same").unwrap();
        fs::write(&other, "other").unwrap();
        let old = fs::metadata(&file).unwrap();
        let options = StepOptions { restat: true, ..StepOptions::default() };
        let step = BuildStep::begin(options, &[&*file, &*other, Path::new("-")]).unwrap();
        write_whole(&file, b"same").unwrap();
        write_whole(&other, b"OTHER").unwrap();
        step.finish().unwrap();
        use std::os::unix::fs::MetadataExt;
        let new = fs::metadata(&file).unwrap();
        assert_eq!((new.ino(), new.modified().unwrap()), (old.ino(), old.modified().unwrap()));
        assert_eq!(fs::read(&other).unwrap(), b"OTHER");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_rule_names_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let depfile = dir.path().join("x.d");
        let options = StepOptions { depfile: Some(depfile.clone()), ..StepOptions::default() };
        let mut step = BuildStep::begin(options, &[Path::new("out")]).unwrap();
        ["b", "a", "-", "b"].into_iter().for_each(|name| step.file(name));
        step.finish().unwrap();
        assert_eq!(fs::read_to_string(depfile).unwrap(), "out: \\\n  a \\\n  b\n");
    }
}
