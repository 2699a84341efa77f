//! The words of pages and help: what docs/style.md lists as wrong stands nowhere.

use std::fs;
use std::path::Path;

/// The wrong phrases of the table in docs/style.md, and what to say instead.
fn phrases(style: &str) -> Vec<(String, String)> {
    let (_, table) = style.split_once("\n| say | not |\n|---|---|\n").expect("it has the table");
    let rows = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split_once('|').unwrap());
    let of_row = |(say, not): (&str, &str)| {
        let phrase = |phrase: &str| (phrase.to_owned(), say.trim().to_owned());
        not.split('`').skip(1).step_by(2).map(phrase).collect::<Vec<_>>()
    };
    rows.flat_map(of_row).collect()
}

/// Whether a line has a phrase as whole words, and not within a flag or a name.
fn has(line: &str, phrase: &str) -> bool {
    let line = line.to_lowercase();
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "-_<".contains(c));
    line.match_indices(phrase).any(|(at, _)| {
        let after = line[at + phrase.len()..].chars().next();
        !is_part(line[..at].chars().next_back()) && !after.is_some_and(|c| c.is_alphanumeric() || "_>".contains(c))
    })
}

/// No page and no help says what the list forbids; pages may in code.
#[test]
fn words() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let phrases = phrases(&fs::read_to_string(top.join("docs/style.md")).unwrap());
    assert!(phrases.len() > 20, "{phrases:?}");
    let mut wrong = Vec::new();
    let mut check = |page: &str, number: usize, line: &str| {
        for (phrase, say) in phrases.iter().filter(|(phrase, _)| has(line, phrase)) {
            wrong.push(format!("{page}:{number}: {phrase:?}, say: {say}"));
        }
    };
    // The changelog tells of what was.
    for page in crate::book::pages().iter().filter(|page| *page != "CHANGELOG.md") {
        let text = fs::read_to_string(top.join(page)).unwrap();
        xtask::book::prose(&text).iter().for_each(|(number, line)| check(page, *number, line));
    }
    let help = fs::read_to_string(top.join("cli/tests/help.txt")).unwrap();
    help.lines().enumerate().for_each(|(at, line)| check("cli/tests/help.txt", at + 1, line));
    assert!(wrong.is_empty(), "{} phrases of docs/style.md:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn whole_words() {
    assert!(has("A folder.", "folder") && has("(folder)", "folder"));
    assert!(!has("--folder DIR, <FOLDER>, subfolder, folders", "folder"));
}
