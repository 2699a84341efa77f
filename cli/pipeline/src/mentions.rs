//! Decides which of the store paths that layers of files refer to belong in the image.
//!
//! A scan of files finds every store path of this machine that they mention. Nix looks for the inputs of a build alone,
//! so a path that a references graph of Nix does not have is no input: as in Nix it is left out, with a warning that
//! names the file. What the spec itself asks for stays: where the graph does not have that, it is an error later on.

use crate::{ReferenceSource, Report};
use layerstone_closure::{Candidates, ReferencesGraph, Scanner};
use layerstone_spec::{Helper, Spec};
use layerstone_store::{Limits, Store, StorePath, open_regular};
use layerstone_tar::{Kind, Members};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

/// The store paths that layers refer to, and where the files are that mention them.
#[derive(Default)]
pub struct Mentions {
    paths: BTreeSet<StorePath>,
    layers: Vec<Layer>,
}

/// A layer whose files were scanned.
struct Layer {
    /// What messages call it.
    name: PathBuf,
    /// Its tar, if it can be read.
    tar: Option<PathBuf>,
}

impl Mentions {
    /// Adds what the layer with this tar refers to.
    #[must_use]
    pub fn with(self, references: impl IntoIterator<Item = StorePath>, tar: &Path) -> Mentions {
        self.of_layer(references, tar, Some(tar.to_owned()))
    }

    /// Adds what a layer of this name refers to, whose tar may be there.
    #[must_use]
    pub fn of_layer(
        mut self,
        references: impl IntoIterator<Item = StorePath>,
        name: &Path,
        tar: Option<PathBuf>,
    ) -> Mentions {
        self.paths.extend(references);
        self.layers.push(Layer { name: name.to_owned(), tar });
        self
    }

    /// Those that belong in the image, sorted; warns of the others.
    pub fn kept(
        self,
        source: &ReferenceSource,
        spec: Option<&Spec>,
        store: &Store,
        report: &dyn Report,
    ) -> Vec<StorePath> {
        let ReferenceSource::Graph(graph) = source else { return self.paths.into_iter().collect() };
        let asked = spec.map(|spec| asked_for(spec, store)).unwrap_or_default();
        let (kept, absent): (Vec<StorePath>, Vec<StorePath>) =
            self.paths.iter().cloned().partition(|path| graph.contains(path) || asked.contains(path));
        if !absent.is_empty() {
            self.warn(&absent, graph, report);
        }
        kept
    }

    fn warn(&self, absent: &[StorePath], graph: &ReferencesGraph, report: &dyn Report) {
        let mut files = BTreeMap::new();
        for tar in self.layers.iter().filter_map(|layer| layer.tar.as_deref()) {
            // The tar may lie on another machine; the layer is named then.
            let _ = find(tar, absent, &mut files);
        }
        let layers: Vec<String> = self.layers.iter().map(|layer| layer.name.display().to_string()).collect();
        for path in absent {
            let file = files.get(path).cloned().unwrap_or_else(|| layers.join(", "));
            let graph = graph.name();
            report.warn(format_args!(
                "left out of the image: {path}: found it in {file} but not in the references graph {graph}, so it is no input"
            ));
        }
    }
}

/// What a spec names besides its config: contents, and packages that ready contents link to.
fn asked_for(spec: &Spec, store: &Store) -> BTreeSet<StorePath> {
    let packages = spec.helpers.iter().filter_map(Helper::package);
    let named = spec.contents.iter().map(PathBuf::as_path).chain(packages.map(Path::new));
    named.filter_map(|path| store.resolve(path).ok()).collect()
}

/// Finds for each of these paths the first member of a tar that mentions it, as a path in the image.
fn find(tar: &Path, paths: &[StorePath], files: &mut BTreeMap<StorePath, String>) -> io::Result<()> {
    let candidates = Candidates::new("", paths.iter().cloned());
    let mut members = Members::new(BufReader::new(open_regular(tar)?), Limits::default());
    while let Some(member) = members.next_member()? {
        let mut scanned = ScanWriter { out: io::sink(), scanner: Scanner::new(&candidates) };
        // The last part of the name: that of each directory above stands in a member of its own.
        scanned.scanner.feed(member.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default());
        scanned.scanner.cut();
        match &member.kind {
            Kind::Symlink { target } => scanned.scanner.feed(target),
            _ => members.copy_contents(&mut scanned)?,
        }
        for path in scanned.scanner.finish() {
            files.entry(path).or_insert_with(|| format!("/{}", member.name.escape_ascii()));
        }
    }
    Ok(())
}

/// Passes bytes on to another writer, and looks for store paths in them.
pub(crate) struct ScanWriter<'a, W> {
    pub out: W,
    pub scanner: Scanner<'a>,
}

impl<W: Write> Write for ScanWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.scanner.feed(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
