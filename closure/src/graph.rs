//! Reads references graphs, merges them and cuts them down to closures.

use crate::difference::differ;
use crate::{Candidates, Closure, Error, PathInfo, Result, format};
use layerstone_store::{StorePath, read_input};
use std::path::{Path, PathBuf};

/// A references graph: sorted by path, no path twice, references sorted and without repetitions. A reference may be
/// absent and paths may form a cycle: [`ReferencesGraph::closure`] finds that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencesGraph {
    pub(crate) name: String,
    pub(crate) entries: Vec<PathInfo>,
}

impl ReferencesGraph {
    /// Reads a references graph; its first bytes and keys decide its form, FORMAT.md lists the forms. `-` is
    /// standard input.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or see [`ReferencesGraph::parse`].
    pub fn read(path: &Path) -> Result<ReferencesGraph> {
        ReferencesGraph::parse(&read_input(path)?, &path.display().to_string())
    }

    /// All that several files say, merged; none of no files.
    ///
    /// # Errors
    ///
    /// Those of [`ReferencesGraph::read`] and [`ReferencesGraph::merge`].
    pub fn read_all(paths: &[PathBuf]) -> Result<Option<ReferencesGraph>> {
        let mut graphs = paths.iter().map(|path| ReferencesGraph::read(path));
        let first = graphs.next().transpose()?;
        first.map(|first| graphs.try_fold(first, |merged, graph| merged.merge(graph?))).transpose()
    }

    /// [`ReferencesGraph::read`] on bytes in memory; `name` stands in messages.
    ///
    /// # Errors
    ///
    /// The text is of no known form, an entry has no path or no references, a path is no store path, or a path stands
    /// twice.
    pub fn parse(bytes: &[u8], name: &str) -> Result<ReferencesGraph> {
        ReferencesGraph::new(name, format::parse(bytes, name)?)
    }

    /// A graph of entries in any order; `name` stands in messages.
    ///
    /// # Errors
    ///
    /// A path stands twice.
    pub fn new(name: &str, mut entries: Vec<PathInfo>) -> Result<ReferencesGraph> {
        for entry in &mut entries {
            entry.references.sort_unstable();
            entry.references.dedup();
        }
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(Error::Path { what: "path twice in", name: name.to_owned(), path: pair[0].path.clone() });
        }
        Ok(ReferencesGraph { name: name.to_owned(), entries })
    }

    /// Both graphs in one. What both have must be the same; a NAR hash or size may be missing in one of them.
    ///
    /// # Errors
    ///
    /// The graphs say different things of one path.
    pub fn merge(mut self, other: ReferencesGraph) -> Result<ReferencesGraph> {
        let (mut mine, mut theirs) = (self.entries.into_iter().peekable(), other.entries.into_iter().peekable());
        let mut entries = Vec::with_capacity(mine.len() + theirs.len());
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            let order = a.path.cmp(&b.path);
            let a = mine.next_if(|_| order.is_le());
            let b = theirs.next_if(|_| order.is_ge());
            entries.push(match (a, b) {
                (Some(a), Some(b)) => unite(a, b).map_err(|(what, path)| {
                    let (first, second) = (self.name.clone(), other.name.clone());
                    Error::Conflict { first, second, what, path }
                })?,
                (a, b) => a.or(b).expect("one of the two comes first"),
            });
        }
        entries.extend(mine);
        entries.extend(theirs);
        self.name = format!("{}, {}", self.name, other.name);
        Ok(ReferencesGraph { name: self.name, entries })
    }

    /// Where the graph came from, as messages say it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The entries, sorted by path.
    pub fn entries(&self) -> &[PathInfo] {
        &self.entries
    }

    /// Whether the graph has an entry for this path.
    pub fn contains(&self, path: &StorePath) -> bool {
        self.entries.binary_search_by(|entry| entry.path.cmp(path)).is_ok()
    }

    /// The graph's paths, to be looked for in files and texts.
    pub fn candidates(&self) -> Candidates {
        Candidates::new(&self.name, self.entries.iter().map(|entry| entry.path.clone()))
    }
}

impl Closure {
    /// Reads a closure file, or a references graph in any other form that [`ReferencesGraph::read`] takes, all of it; `-`
    /// is standard input.
    ///
    /// # Errors
    ///
    /// Those of [`ReferencesGraph::read`] and [`ReferencesGraph::closure`].
    pub fn read(path: &Path) -> Result<Closure> {
        ReferencesGraph::read(path)?.closure(&[])
    }
}

/// One entry of two for the same path; or what differs.
fn unite(a: PathInfo, b: PathInfo) -> Result<PathInfo, (&'static str, StorePath)> {
    if a.references != b.references {
        return Err(("references", a.path));
    }
    if differ(a.nar_hash, b.nar_hash) {
        return Err(("NAR hash", a.path));
    }
    if differ(a.nar_size, b.nar_size) {
        return Err(("NAR size", a.path));
    }
    Ok(PathInfo { nar_hash: a.nar_hash.or(b.nar_hash), nar_size: a.nar_size.or(b.nar_size), ..a })
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::{Digest, NarHash};

    fn info(path: &str, references: &[&str]) -> PathInfo {
        let parse = |base: &&str| StorePath::parse(&format!("/s/{base}")).unwrap();
        let references = references.iter().map(parse).collect();
        PathInfo { path: parse(&path), nar_hash: None, nar_size: None, references }
    }

    fn graph(name: &str, entries: &[PathInfo]) -> ReferencesGraph {
        ReferencesGraph::new(name, entries.to_vec()).unwrap()
    }

    #[test]
    fn sorted_without_repetitions() {
        let graph = graph("g", &[info("b", &["c", "a", "c", "b"]), info("a", &[])]);
        assert_eq!(graph.entries(), [info("a", &[]), info("b", &["a", "b", "c"])]);
        let has = |path: &str| graph.contains(&info(path, &[]).path);
        assert!(has("a") && has("b") && !has("c") && !has("0"));
        let error = ReferencesGraph::new("g", vec![info("a", &[]), info("b", &[]), info("a", &["b"])]).unwrap_err();
        assert_eq!(error.to_string(), "path twice in the references graph: g: /s/a");
    }

    #[test]
    fn merged_graphs_complete_each_other() {
        let hash = Some(NarHash::new(Digest::of(b"")));
        let sized = PathInfo { nar_size: Some(7), ..info("b", &["c"]) };
        let hashed = PathInfo { nar_hash: hash, ..info("b", &["c"]) };
        let left = graph("x.json", &[info("a", &["b"]), sized]);
        let right = graph("y.json", &[hashed, info("c", &[]), info("d", &[])]);
        let both = PathInfo { nar_size: Some(7), nar_hash: hash, ..info("b", &["c"]) };
        let merged = left.clone().merge(right.clone()).unwrap();
        assert_eq!(merged.entries(), [info("a", &["b"]), both, info("c", &[]), info("d", &[])]);
        assert_eq!(merged.name(), "x.json, y.json");
        assert_eq!(right.merge(left).unwrap().entries(), merged.entries());
    }

    #[test]
    fn merged_graphs_must_agree() {
        let sized = |size| PathInfo { nar_size: Some(size), ..info("a", &[]) };
        let hashed = |text: &[u8]| PathInfo { nar_hash: Some(NarHash::new(Digest::of(text))), ..info("a", &[]) };
        for (a, b, what) in [
            (info("a", &[]), info("a", &["a"]), "references"),
            (sized(1), sized(2), "NAR size"),
            (hashed(b"1"), hashed(b"2"), "NAR hash"),
        ] {
            let error = graph("x.json", &[a]).merge(graph("y.json", &[b])).unwrap_err().to_string();
            assert_eq!(error, format!("references graphs disagree: x.json and y.json: different {what} of /s/a"));
        }
    }
}
