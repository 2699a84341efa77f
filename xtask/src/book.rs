//! The book: puts the pages that docs/SUMMARY.md lists, and one page for each command, into a directory for mdBook.
//!
//! Pages keep their text. What changes is where links lead: pages from outside of docs/ get a name in the book, other files
//! of the repository are copied as text, or are addressed where the repository is.

mod command;
mod page;

pub use page::{anchors, links, prose};

use page::{map_fences, map_links};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, Result};
use std::path::{Component, Path, PathBuf};

/// Writes `book.toml`, `book.css` and `src/` below `out` for the repository at `top`; `repository` is the address of its files.
///
/// # Errors
///
/// A page is missing, or a link leads to no file.
pub fn assemble(top: &Path, out: &Path, repository: Option<&str>) -> Result<()> {
    let docs = top.join("docs");
    let source = out.join("src");
    std::fs::create_dir_all(&source)?;
    for file in ["book.toml", "book.css"] {
        std::fs::copy(docs.join(file), out.join(file))?;
    }
    let summary = read(&docs.join("SUMMARY.md"))?;
    let names: BTreeMap<PathBuf, String> =
        links(&summary).iter().map(|link| (resolve("docs", link), name(link))).collect();
    let mut files = BTreeSet::new();
    for (path, name) in &names {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut failed = None;
        let text = map_links(&read(&top.join(path))?, |link| {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                return link.to_owned();
            }
            let anchor = &link[target.len()..];
            let file = resolve(folder, target);
            if let Some(name) = names.get(&file) {
                return format!("{name}{anchor}");
            }
            match (repository, shown_file(top, &file)) {
                (_, None) => {
                    failed.get_or_insert(Error::other(format!("no such file: {}: {link}", path.display())));
                    link.to_owned()
                }
                (Some(address), Some(_)) if !is_picture(&file) => format!("{address}/{}{anchor}", file.display()),
                (_, Some(file)) => {
                    let copy = copy_name(&file);
                    files.insert((file, copy.clone()));
                    format!("{copy}{anchor}")
                }
            }
        });
        failed.map_or(Ok(()), Err)?;
        std::fs::write(source.join(name), map_fences(&text))?;
    }
    for (file, copy) in files {
        let copy = source.join(copy);
        std::fs::create_dir_all(copy.parent().unwrap_or(&source))?;
        std::fs::copy(top.join(file), copy)?;
    }
    let commands = command::pages(&read(&top.join("cli/tests/help.txt"))?);
    for page in &commands {
        std::fs::write(source.join(page.file()), page.text())?;
    }
    let summary = map_links(&summary, name);
    std::fs::write(source.join("SUMMARY.md"), command::below(&summary, &commands))
}

/// What a page of the summary is called in the book: `../archive/spec/FORMAT.md` is `archive-spec-format.md`.
fn name(link: &str) -> String {
    match link.strip_prefix("../") {
        None => link.to_owned(),
        Some("README.md") => "index.md".to_owned(),
        // docs/ has a page called security.md, too.
        Some(path) if !path.contains('/') => format!("project-{}", path.to_lowercase()),
        Some(path) => path.replace("/README.md", ".md").replace('/', "-").to_lowercase(),
    }
}

/// The file below the top that a link of a page in `folder` leads to.
fn resolve(folder: impl AsRef<Path>, link: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.as_ref().join(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

/// The file that stands for what a link leads to: of a directory, the one that says what is in it.
fn shown_file(top: &Path, path: &Path) -> Option<PathBuf> {
    let of_directory = ["README.md", "src/lib.rs", "src/main.rs", "default.nix"].map(|name| path.join(name));
    [path.to_owned()].into_iter().chain(of_directory).find(|file| top.join(file).is_file())
}

fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "png" || end == "svg")
}

/// Where a file is copied to. Whatever is no picture becomes text, which browsers show.
fn copy_name(file: &Path) -> String {
    let end = if is_picture(file) { "" } else { ".txt" };
    format!("repository/{}{end}", file.display())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::other(format!("cannot read: {}: {e}", path.display())))
}
