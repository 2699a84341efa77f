//! Where commands that ask about references find them: in a closure file or a references graph, or in the layers of an
//! image; and the store paths there that a name means.

use crate::args::read::parse_place;
use crate::command::inspect::is_stage_file;
use anyhow::Result;
use layerstone_closure::Closure;
use layerstone_layering::{Pattern, Plan};
use layerstone_oci::{Place, Wanted};
use layerstone_pipeline::{Error, Opener, image_report};
use layerstone_store::{Store, StorePath};
use std::ffi::OsStr;
use std::path::Path;

/// Names that a hint shows.
const NAMES: usize = 5;

/// Store paths and what they refer to.
pub struct ClosureSource {
    /// What messages call it.
    pub name: String,
    /// The paths; of an image with the bytes of their files.
    pub closure: Closure,
    /// The layers of an image that hold them, but for layers that hold none.
    pub layers: Option<Plan>,
    /// The numbers of these layers in the image.
    pub numbers: Vec<usize>,
}

impl ClosureSource {
    /// What is at a place: a closure, a references graph, or an image, which is searched for references.
    pub fn open(text: &OsStr, store_dir: &str, wanted: &Wanted, opener: &Opener<'_>) -> Result<ClosureSource> {
        let place = parse_place(text)?;
        let name = text.display().to_string();
        if let Place::File(location) = &place
            && location.reference().is_none()
            && let Some(is_plan) = is_stage_file(&location.path)?
        {
            if is_plan {
                let message =
                    format!("found a plan, which tells no references: {name}: expected a closure or an image");
                return Err(Error::advised(message, "the closure that the plan was made of tells them").into());
            }
            return Ok(ClosureSource {
                name,
                closure: Closure::read(&location.path)?,
                layers: None,
                numbers: Vec::new(),
            });
        }
        let opened = opener.open(&place, wanted)?;
        let (closure, plan, numbers) =
            image_report(opened.image()?, None, store_dir, None, opener.report)?.closure()?;
        Ok(ClosureSource { name, closure, layers: Some(plan), numbers })
    }

    /// The store paths that a word means: one of them, something in one, a link to one, or all whose name matches a pattern.
    pub fn matching(&self, word: &OsStr) -> Result<Vec<&StorePath>> {
        matching(&self.closure, &self.name, word)
    }
}

/// The store paths of a closure, which messages call so, that a word means.
pub fn matching<'a>(closure: &'a Closure, name: &str, word: &OsStr) -> Result<Vec<&'a StorePath>> {
    let text = word.to_string_lossy();
    let paths = || closure.graph.iter().map(|info| &info.path);
    let is_in = |path: &&StorePath| text.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'));
    if let Some(path) = paths().find(is_in) {
        return Ok(vec![path]);
    }
    let pattern: Pattern = text.parse()?;
    let found: Vec<&StorePath> = paths().filter(|path| pattern.matches(path)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if text.contains('/') || Path::new(word).is_symlink() {
        let store = Store::new(paths().next().map_or("/nix/store", StorePath::store_dir), "/")?;
        let path = store.resolve(Path::new(word))?;
        return match paths().find(|found| **found == path) {
            Some(found) => Ok(vec![found]),
            None => {
                let message = format!("not in the closure: {name}: {path}");
                Err(Error::advised(message, "`layerstone inspect` shows its paths; names and patterns are taken too")
                    .into())
            }
        };
    }
    let alike: Vec<&str> = paths().map(StorePath::name).filter(|name| name.contains(&*text)).take(NAMES).collect();
    let hint = match &alike[..] {
        [] => "a pattern matches whole names: `*ssl*`, `openssl`, `openssl-3*`".to_owned(),
        alike => format!("`*{text}*` would match {}", alike.join(", ")),
    };
    Err(Error::advised(format_args!("no such path: {name}: found none called {text}"), hint).into())
}
