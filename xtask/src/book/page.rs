//! Reads a page of Markdown as far as the book needs it: links, headings, code.

/// Where the links of a page lead, those in code left out.
pub fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    map_links(page, |link| {
        found.push(link.to_owned());
        link.to_owned()
    });
    found
}

/// The page with other links.
pub fn map_links(page: &str, mut change: impl FnMut(&str) -> String) -> String {
    let mut changed = String::new();
    for_each_line(page, |line, is_code| {
        if is_code {
            changed += line;
            return;
        }
        let (mut rest, mut in_code) = (line, false);
        while let Some(at) = rest.find(['`', ']']) {
            let after = &rest[at + 1..];
            changed += &rest[..=at];
            rest = after;
            in_code ^= line.as_bytes()[line.len() - after.len() - 1] == b'`';
            if in_code || !changed.ends_with(']') {
                continue;
            }
            if let Some((link, after)) = after.strip_prefix('(').and_then(|after| after.split_once(')')) {
                changed += &format!("({})", change(link));
                rest = after;
            }
        }
        changed += rest;
    });
    changed
}

/// The names by which the headings of a page can be addressed, as GitHub, GitLab and mdBook make them.
pub fn anchors(page: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for_each_line(page, |line, is_code| {
        if let Some(heading) = line.strip_prefix('#').filter(|_| !is_code) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let is_kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            let anchor: String = heading.chars().filter(is_kept).map(|c| if c == ' ' { '-' } else { c }).collect();
            let same = found.iter().filter(|other| other.split('\n').next() == Some(&*anchor)).count();
            found.push(if same == 0 { anchor } else { format!("{anchor}\n-{same}") });
        }
    });
    found.into_iter().map(|anchor| anchor.replace('\n', "")).collect()
}

/// The lines of a page with their numbers, without code and without addresses of links.
pub fn prose(page: &str) -> Vec<(usize, String)> {
    let (mut found, mut number) = (Vec::new(), 0);
    for_each_line(&map_links(page, |_| String::new()), |line, is_code| {
        number += 1;
        if !is_code {
            let outside: Vec<&str> = line.split('`').step_by(2).collect();
            found.push((number, outside.join("\u{b7}")));
        }
    });
    found
}

/// The page with the names of files, which stand behind the language of their code, above that code, unless the line
/// before names the file.
pub fn map_fences(page: &str) -> String {
    let (mut changed, mut before) = (String::new(), String::new());
    for_each_line(page, |line, is_code| {
        match line.trim_end().strip_prefix("```").and_then(|info| info.split_once(' ')) {
            Some((language, file)) if is_code && before.contains(&format!("`{file}`")) => {
                changed += &format!("```{language}\n");
            }
            Some((language, file)) if is_code => changed += &format!("`{file}`:\n\n```{language}\n"),
            _ => changed += line,
        }
        if !line.trim().is_empty() {
            before = line.to_owned();
        }
    });
    changed
}

/// Calls `see` with each line, its end included, and whether it is code or a fence around it.
fn for_each_line(page: &str, mut see: impl FnMut(&str, bool)) {
    let mut in_code = false;
    for line in page.split_inclusive('\n') {
        let is_fence = line.trim_start().starts_with("```");
        see(line, in_code || is_fence);
        in_code ^= is_fence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# A `b` c\n[x](a.md#b), `[no](link)`, [`y`](z.md)\n```json f.json\n[c](d)\n# no\n```\n## A b, c!\n";

    #[test]
    fn links_outside_of_code() {
        assert_eq!(links(PAGE), ["a.md#b", "z.md"]);
        assert!(map_links(PAGE, |link| format!("<{link}>")).contains("[x](<a.md#b>), `[no](link)`, [`y`](<z.md>)\n"));
        assert_eq!(map_links(PAGE, str::to_owned), PAGE);
    }

    #[test]
    fn headings_and_code() {
        assert_eq!(anchors(PAGE), ["a-b-c", "a-b-c-1"]);
        assert_eq!(prose(PAGE)[1], (2, "[x](), \u{b7}, [\u{b7}]()\n".to_owned()));
        assert!(map_fences(PAGE).contains("\n`f.json`:\n\n```json\n[c]"));
        assert_eq!(map_fences("This is `a`:\n\n```sh a\n```\n"), "This is `a`:\n\n```sh\n```\n");
    }
}
