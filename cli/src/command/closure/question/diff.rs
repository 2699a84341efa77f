//! `closure --diff`: what was added, removed and changed from one closure to another.

use crate::args::Common;
use crate::screen::answer::print_answer;
use crate::screen::difference::text;
use crate::screen::out::print;
use anyhow::Result;
use layerstone_closure::{Closure, Item, difference};
use std::path::Path;

pub fn run(old: &Path, new: &Path, as_json: bool, common: &Common) -> Result<()> {
    let difference = difference(&items(old)?, &items(new)?);
    if as_json {
        return print_answer("closure-diff", &difference);
    }
    print(text(&difference, common.color.of_stdout()))
}

fn items(file: &Path) -> Result<Vec<Item>> {
    let graph = Closure::read(file)?.graph.into_iter();
    Ok(graph.map(|info| Item { path: info.path, size: info.nar_size, nar_hash: info.nar_hash }).collect())
}
