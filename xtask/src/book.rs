//! The book: puts the pages that docs/SUMMARY.md lists, and one page for each command, into a directory for mdBook.
//!
//! Pages keep their text. What changes is where links lead: pages from outside of docs/ get a name in the book, other files
//! of the repository are copied as text, or are addressed where the repository is.

mod command;
mod page;

pub use page::{anchors, links, prose};

use page::{map_fences, map_links};
use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::path::{Component, Path, PathBuf};

/// Writes `book.toml`, `book.css` and `src/` below `out` for the repository at `top`; `repository` is the address of its files.
///
/// # Errors
///
/// A page is missing, or a link leads to no file.
pub fn assemble(top: &Path, out: &Path, repository: Option<&str>) -> Result<()> {
    let source = out.join("src");
    std::fs::create_dir_all(&source)?;
    for file in ["book.toml", "book.css"] {
        std::fs::copy(top.join("docs").join(file), out.join(file))?;
    }
    let summary = read(&top.join("docs/SUMMARY.md"))?;
    let names = links(&summary).iter().map(|link| (resolve("docs", link), name(link))).collect();
    let mut book = Book { top, repository, names, copies: BTreeMap::new() };
    for (path, name) in book.names.clone() {
        std::fs::write(source.join(name), book.page(&path)?)?;
    }
    for (file, copy) in book.copies {
        let copy = source.join(copy);
        std::fs::create_dir_all(copy.parent().unwrap_or(&source))?;
        std::fs::copy(top.join(file), copy)?;
    }
    let commands = command::pages(&read(&top.join("cli/tests/help.txt"))?);
    for page in &commands {
        std::fs::write(source.join(page.file()), page.text())?;
    }
    std::fs::write(source.join("SUMMARY.md"), command::below(&map_links(&summary, name), &commands))
}

struct Book<'a> {
    top: &'a Path,
    repository: Option<&'a str>,
    /// The pages, by their paths below the top, and what each is called.
    names: BTreeMap<PathBuf, String>,
    /// Other files that pages lead to, and where they are copied to.
    copies: BTreeMap<PathBuf, String>,
}

impl Book<'_> {
    fn page(&mut self, path: &Path) -> Result<String> {
        let mut failed = None;
        let text = map_links(&read(&self.top.join(path))?, |link| {
            self.link(path, link).unwrap_or_else(|| {
                failed.get_or_insert_with(|| link.to_owned());
                link.to_owned()
            })
        });
        match failed {
            None => Ok(map_fences(&text)),
            Some(link) => Err(Error::other(format!("no such file: {}: {link}", path.display()))),
        }
    }

    /// Where a link of a page leads in the book; none if there is no such file.
    fn link(&mut self, page: &Path, link: &str) -> Option<String> {
        let target = link.split('#').next().unwrap_or_default();
        if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
            return Some(link.to_owned());
        }
        let anchor = &link[target.len()..];
        let file = resolve(page.parent().unwrap_or(Path::new("")), target);
        let shown = shown_file(self.top, &file)?;
        if let Some(name) = self.names.get(&shown) {
            return Some(format!("{name}{anchor}"));
        }
        // The table of contents is beside each page.
        if shown.ends_with("SUMMARY.md") {
            return Some("index.md".to_owned());
        }
        if let Some(address) = self.repository.filter(|_| !is_picture(&file)) {
            return Some(format!("{address}/{}{anchor}", file.display()));
        }
        let copy = copy_name(&shown);
        self.copies.insert(shown, copy.clone());
        Some(format!("{copy}{anchor}"))
    }
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

/// Where a file is copied to. Everything except pictures becomes text, which browsers show; mdbook changes links to `.md`.
fn copy_name(file: &Path) -> String {
    let end = if is_picture(file) { "" } else { ".txt" };
    format!("repository/{}{end}", file.display()).replace(".md.", "-md.")
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::other(format!("cannot read: {}: {e}", path.display())))
}
