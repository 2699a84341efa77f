//! Reads and writes the plan file, `layerstone/layers`: which store paths share a layer.
//!
//! See FORMAT.md beside this crate.

use crate::draft::{Draft, PLAN_FORMAT, PLAN_VERSION};
use layerstone_closure::{Closure, Item};
use layerstone_store::{
    Digest, Error, NarHash, Output, Result, StorePath, fill_stage_file, prepare_stage_file, read_input, to_text,
    write_stage_file,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Digits of a layer's key: as many as a store path's hash has. More make all keys other ones.
const KEY_LENGTH: usize = 32;
/// Which store paths share a layer; bottom layer first, no path twice, no empty layer, one store directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The layers, bottom first; within a layer, the order in which the paths stand in the tar.
    pub layers: Vec<Vec<StorePath>>,
    /// NAR hashes of the paths, as far as the closure has them: what a store path holds, for whoever caches
    /// layers.
    #[serde(default, rename = "narHashes", skip_serializing_if = "BTreeMap::is_empty")]
    pub nar_hashes: BTreeMap<StorePath, NarHash>,
}

impl Plan {
    /// A plan of these layers, without NAR hashes.
    pub fn new(layers: Vec<Vec<StorePath>>) -> Plan {
        Plan { layers, nar_hashes: BTreeMap::new() }
    }

    /// The same layers, and the NAR hashes that a closure has of their paths.
    pub fn with_hashes_of(self, closure: &Closure) -> Plan {
        let planned: BTreeSet<&StorePath> = self.layers.iter().flatten().collect();
        let hashed = closure.graph.iter().filter(|info| planned.contains(&info.path));
        let nar_hashes = hashed.filter_map(|info| Some((info.path.clone(), info.nar_hash?))).collect();
        Plan { nar_hashes, ..self }
    }

    /// Reads a plan file, ours or another tool's; `-` is standard input.
    pub fn read(path: &Path) -> Result<Plan> {
        Plan::parse(&read_input(path)?, &path.display().to_string())
    }

    /// The plan in a file's bytes, ours or the bare list of lists that nixpkgs' layering tools print; `name` stands in
    /// messages.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Plan> {
        Plan::of_draft(Draft::parse(bytes, name)?, name)
    }

    /// The plan of a draft in which nothing is wrong in itself; `name` stands in messages.
    ///
    /// # Errors
    ///
    /// Something is: the first finding.
    pub fn of_draft(draft: Draft, name: &str) -> Result<Plan> {
        if let Some(finding) = draft.findings(None).first() {
            return Err(Error::Malformed { format: PLAN_FORMAT, name: name.to_owned(), cause: finding.to_string() });
        }
        let layer = |texts: Vec<String>| texts.iter().map(|text| text.parse()).collect();
        let layers = draft.layers.into_iter().map(layer).collect::<Result<_>>()?;
        Ok(Plan { layers, nar_hashes: draft.nar_hashes })
    }

    /// The store directory of its paths, if it has any.
    pub(crate) fn store_dir(&self) -> Option<&str> {
        self.layers.iter().flatten().next().map(StorePath::store_dir)
    }

    /// Its paths as items that say nothing of their contents.
    pub(crate) fn items(&self) -> Vec<Item> {
        self.layers.iter().flatten().map(Item::of).collect()
    }

    /// The name of a layer whatever its position is: 32 hexadecimal digits that its paths, their order and their NAR
    /// hashes decide. None if there are fewer layers.
    pub fn key(&self, index: usize) -> Option<String> {
        let line = |path: &StorePath| match self.nar_hashes.get(path) {
            Some(hash) => format!("{path} {hash}\n"),
            None => format!("{path}\n"),
        };
        let text: String = self.layers.get(index)?.iter().map(line).collect();
        Some(Digest::of(text.as_bytes()).hex()[..KEY_LENGTH].to_owned())
    }

    /// The digest of its file.
    pub fn digest(&self) -> Digest {
        Digest::of(to_text(PLAN_FORMAT, PLAN_VERSION, self).as_bytes())
    }

    /// Starts a plan file: all of it on the disk, but not under its name until it is committed.
    pub fn prepare(&self, path: &Path) -> Result<Output> {
        prepare_stage_file(path, PLAN_FORMAT, PLAN_VERSION, self)
    }

    /// Writes a plan file into an output that was started.
    pub fn fill(&self, output: &mut Output) -> Result<()> {
        fill_stage_file(output, PLAN_FORMAT, PLAN_VERSION, self)
    }

    /// Writes a plan file; `-` is standard output.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_stage_file(path, PLAN_FORMAT, PLAN_VERSION, self)
    }
}

impl From<&Plan> for Draft {
    fn from(plan: &Plan) -> Draft {
        let texts = |layer: &Vec<StorePath>| layer.iter().map(StorePath::to_string).collect();
        Draft { layers: plan.layers.iter().map(texts).collect(), nar_hashes: plan.nar_hashes.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Settings, Strategy, plan};
    use layerstone_closure::Closure;
    use std::num::NonZeroUsize;

    const OURS: &str = r#"{"format":"layerstone/layers","version":1,"layers":[["/s/b","/s/a"],["/s/c"]]}"#;

    fn sample() -> Plan {
        let path = |text| StorePath::parse(text).unwrap();
        Plan::new(vec![vec![path("/s/b"), path("/s/a")], vec![path("/s/c")]])
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(Plan::parse(text.as_bytes(), "x.json").unwrap_err().to_string(), expected);
    }

    #[test]
    fn all_forms() {
        for text in [OURS, r#"{"layers":[["/s/b","/s/a"],["/s/c"]]}"#, r#"[["/s/b","/s/a"],["/s/c"]]"#] {
            assert_eq!(Plan::parse(text.as_bytes(), "").unwrap(), sample(), "{text}");
        }
        assert_eq!(Plan::parse(b"[]", "").unwrap(), Plan::default());
    }

    #[test]
    fn write_read_same() {
        let text = to_text(PLAN_FORMAT, PLAN_VERSION, &sample());
        assert_eq!(Plan::parse(text.as_bytes(), "").unwrap(), sample());
        for end in 0..text.len() - 1 {
            assert!(Plan::parse(&text.as_bytes()[..end], "").is_err(), "{}", &text[..end]);
        }
    }

    #[test]
    fn hashes_are_kept() {
        let hash = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
        let text = OURS.replace("]]", &format!(r#"]],"narHashes":{{"/s/a":"{hash}"}}"#));
        let plan = Plan::parse(text.as_bytes(), "").unwrap();
        assert_eq!(plan.nar_hashes.values().map(ToString::to_string).collect::<Vec<_>>(), [hash]);
        let again = to_text(PLAN_FORMAT, PLAN_VERSION, &plan);
        assert_eq!(Plan::parse(again.as_bytes(), "").unwrap(), plan);
        let closure = format!(
            r#"{{"graph":[{{"path":"/s/a","narHash":"{hash}","references":[]}},{{"path":"/s/x","narHash":"{hash}","references":[]}}]}}"#
        );
        let closure: Closure = serde_json::from_str(&closure).unwrap();
        assert_eq!(sample().with_hashes_of(&closure), plan);
        check_error(&text.replace(hash, "x"), r#"malformed layerstone/layers: x.json: not a sha256 NAR hash: "x""#);
    }

    /// `printf '/s/b\n/s/a\n' | sha256sum`
    #[test]
    fn keys() {
        assert_eq!(sample().key(0).unwrap(), "714a2e5e8d5bbfdfa6a442828f6af17d");
        let moved = Plan::new(sample().layers.into_iter().rev().collect());
        assert_eq!(moved.key(1), sample().key(0));
        assert_ne!(sample().key(1), sample().key(0));
        assert_eq!(sample().key(2), None);
    }

    #[test]
    fn what_is_no_plan() {
        let malformed = |cause: &str| format!("malformed layerstone/layers: x.json: {cause}");
        check_error(r#"[["/s/a"],["/s/b","/s/a"]]"#, &malformed("/s/a stands in layer 0 and again in layer 1"));
        check_error(r#"[["/s/a"],[]]"#, &malformed("layer 1 is empty"));
        check_error(r#"[["/s/a"],["/t/a"]]"#, &malformed("found 1 path of the store /t from layer 1 on, expected /s"));
        check_error("{}", &malformed("missing field `layers`"));
        check_error(r#"["/s/a"]"#, &malformed(r#"invalid type: string "/s/a", expected a sequence"#));
        check_error(r#"[["a"]]"#, &malformed(r#"layer 0: not a store path: "a": it is not absolute"#));
        check_error(
            &OURS.replace(":1,", ":2,"),
            "wrong format: x.json: found layerstone/layers version 2, expected layerstone/layers version 1",
        );
    }

    #[test]
    fn the_format_page_is_right() {
        let blocks: Vec<&str> = include_str!("../FORMAT.md").split("```json\n").skip(1).collect();
        let blocks: Vec<&str> = blocks.iter().map(|block| block.split("```").next().unwrap()).collect();
        let [closure, expected, rates] = blocks[..] else {
            panic!("expected a closure, a plan and rates, found {blocks:?}")
        };
        let closure: Closure = serde_json::from_str(closure).unwrap();
        let settings = Settings { strategy: Strategy::Popularity, ..Settings::new(NonZeroUsize::new(3).unwrap()) };
        let plan = plan(&closure, &settings).unwrap();
        assert_eq!(to_text(PLAN_FORMAT, PLAN_VERSION, &plan), expected);
        assert_eq!(Plan::parse(expected.as_bytes(), "").unwrap(), plan);
        crate::Rates::parse(rates.as_bytes(), "").unwrap();
    }
}
