//! Man pages that are no page of a command: of image.json and of the stages, made of the pages that describe them.

use crate::roff;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Name, section, what whatis(1) says, and where the page is.
const PAGES: [(&str, u8, &str, &str); 2] = [
    ("layerstone-image.json", 5, "describes a container image to build", "archive/spec/FORMAT.md"),
    ("layerstone-stages", 7, "the files through which the stages of layerstone talk", "docs/stages.md"),
];

/// Writes them into a directory, from the sources at `top`.
pub fn write(top: &Path, directory: &Path) -> Result<()> {
    for (name, section, about, source) in PAGES {
        let markdown = fs::read_to_string(top.join(source)).with_context(|| format!("cannot read: {source}"))?;
        let text = roff::page(name, section, about, &markdown) + &see_also(name);
        let path = directory.join(format!("{name}.{section}"));
        fs::write(&path, text).with_context(|| format!("cannot write: {}", path.display()))?;
    }
    Ok(())
}

fn see_also(name: &str) -> String {
    let others = PAGES.iter().filter(|(other, ..)| *other != name);
    let others: Vec<String> = others.map(|(name, section, ..)| format!("\\fB{name}\\fR({section})")).collect();
    format!(".SH SEE ALSO\n\\fBlayerstone\\fR(1), {}\n", others.join(", "))
}
