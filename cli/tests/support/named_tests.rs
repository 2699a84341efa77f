//! Checks that the tests which a table of the docs names are there.

use std::path::Path;

/// Looks for each test that the last column of the tables of a text names, as `module::test`, below some directories of this
/// package; how many there are.
#[track_caller]
pub fn check_named_tests(text: &str, folders: &[&str]) -> usize {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for row in text.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let tests = row.trim_end_matches(" |").rsplit_once(" | ").unwrap().1;
        for name in tests.split('`').skip(1).step_by(2) {
            let (module, test) = name.rsplit_once("::").unwrap_or_else(|| panic!("{row}"));
            let module = module.replace("::", "/");
            let mut files = folders.iter().map(|folder| top.join(folder).join(format!("{module}.rs")));
            let source = files.find_map(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
            assert!(source.contains(&format!("fn {test}()")), "{name}");
            count += 1;
        }
    }
    count
}
