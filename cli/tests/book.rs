//! The book that docs/ becomes: its table of contents, and links of all pages, in the repository and in the book.

use crate::support::Place;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use xtask::book::{anchors, assemble, links};

/// Pages of the top directory that are documentation, besides those of docs/ and the formats.
const TOP: [&str; 6] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All pages of the documentation, by their names below the top directory.
pub fn pages() -> BTreeSet<String> {
    let mut found: BTreeSet<String> = TOP.map(str::to_owned).into();
    let docs = fs::read_dir(top().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    found.extend(docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    for folder in ["archive", "closure", "layering", "nix"] {
        add_formats(&top().join(folder), &mut found);
    }
    found
}

fn add_formats(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("FORMAT.md") {
            found.insert(path.strip_prefix(top()).unwrap().to_str().unwrap().to_owned());
        } else if path.is_dir() && !path.is_symlink() {
            add_formats(&path, found);
        }
    }
}

/// Every page is a chapter of the book, once, and every chapter is a page.
#[test]
fn the_summary_lists_every_page() {
    let mut listed = links(&fs::read_to_string(top().join("docs/SUMMARY.md")).unwrap());
    listed.sort();
    let name = |page: &String| page.strip_prefix("docs/").map_or(format!("../{page}"), str::to_owned);
    let mut expected: Vec<String> = pages().iter().filter(|page| *page != "docs/SUMMARY.md").map(name).collect();
    expected.sort();
    assert_eq!(listed, expected);
}

/// A stranger reads the first page to its end.
#[test]
fn the_first_page_is_short() {
    let lines = fs::read_to_string(top().join("README.md")).unwrap().lines().count();
    assert!(lines <= 150, "README.md has {lines} lines, at most 150");
}

/// Links to files and to headings, each page as it stands in the repository.
#[test]
fn links_lead_somewhere() {
    let count: usize = pages().iter().map(|page| check_links(&top().join(page))).sum();
    assert!(count > 300, "{count}");
}

/// The same in the book, with pages of commands, and with links to a repository elsewhere.
#[test]
fn links_of_the_book_lead_somewhere() {
    let place = Place::new();
    assemble(&top(), &place.join("book"), None).unwrap();
    let source = place.join("book/src");
    let listed = links(&fs::read_to_string(source.join("SUMMARY.md")).unwrap());
    assert!(listed.contains(&"command-build.md".to_owned()) && listed.contains(&"archive-spec-format.md".to_owned()));
    let count: usize = listed.iter().map(|page| check_links(&source.join(page))).sum();
    assert!(count > 200, "{count}");
    let there: BTreeSet<String> =
        fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let pages: BTreeSet<String> =
        there.into_iter().filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect();
    assert_eq!(listed.len(), pages.len(), "two pages have one name");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), pages);
    assemble(&top(), &place.join("elsewhere"), Some("https://host.example/x")).unwrap();
    let installing = fs::read_to_string(place.join("elsewhere/src/install.md")).unwrap();
    assert!(installing.contains("](https://host.example/x/cli/pipeline/src/lib.rs)"), "{installing}");
}

/// Checks the links of a page that lead to files and headings, and counts them.
#[track_caller]
fn check_links(page: &Path) -> usize {
    let text = fs::read_to_string(page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    let mut count = 0;
    for link in links(&text).iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
        assert!(target.exists(), "{}: {link}: no such file", page.display());
        if !anchor.is_empty() {
            let found = anchors(&fs::read_to_string(&target).unwrap());
            assert!(found.iter().any(|name| name == anchor), "{}: {link}: no such heading: {found:?}", page.display());
        }
        count += 1;
    }
    count
}
