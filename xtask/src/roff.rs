//! Makes man pages of Markdown pages (man(7)): headings, paragraphs, lists, tables and code, as our pages have them.
//!
//! A table becomes a list of tagged paragraphs, a row each, since cells hold sentences, for which columns are too narrow.

/// The man page of a Markdown page: its name, its section, and the line that whatis(1) finds.
pub fn page(name: &str, section: u8, about: &str, markdown: &str) -> String {
    let mut page = format!(
        ".TH {} {section} \"\" \"layerstone\" \"\"\n.SH NAME\n{} \\- {}\n.SH DESCRIPTION\n",
        name.to_uppercase(),
        escaped(name),
        escaped(about)
    );
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("```") {
            page += ".PP\n.RS 4\n.EX\n";
            for line in lines.by_ref().take_while(|line| !line.trim_start().starts_with("```")) {
                page += &(verbatim(line) + "\n");
            }
            page += ".EE\n.RE\n";
        } else if line.starts_with("# ") {
            // It is the page's name.
        } else if let Some(heading) = line.strip_prefix("## ") {
            page += &format!(".SH {}\n", escaped(&plain(heading)).to_uppercase());
        } else if let Some(heading) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with("###"))
        {
            page += &format!(".SS {}\n", escaped(&plain(heading)));
        } else if line.starts_with('|') {
            let next = lines.peek().copied().unwrap_or_default();
            // The heading of a table, and the line below it.
            if next.starts_with("|-") || next.starts_with("|:") {
                lines.next();
            } else {
                page += &row(line);
            }
        } else if let Some(item) = line.trim_start().strip_prefix("- ") {
            page += &format!(".IP \\(bu 2\n{}\n", inline(item));
        } else if line.is_empty() {
            page += ".PP\n";
        } else {
            page += &(inline(line.trim_start()) + "\n");
        }
    }
    page
}

/// A row: its first cell is what the others are about.
fn row(line: &str) -> String {
    let cells = cells(line.trim().trim_matches('|'));
    let others: Vec<&str> = cells[1..].iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
    format!(".TP\n{}\n{}\n", inline(&cells[0]), inline(&others.join("; ")))
}

/// The cells of a row; a bar in code, or behind a backslash, is none between cells.
fn cells(row: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let (mut is_code, mut is_escaped) = (false, false);
    for letter in row.chars() {
        let cell = cells.last_mut().expect("there is one from the beginning");
        match letter {
            '|' if is_escaped => {
                cell.pop();
                cell.push(letter);
            }
            '|' if !is_code => cells.push(String::new()),
            _ => cell.push(letter),
        }
        is_escaped = letter == '\\';
        is_code ^= letter == '`';
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// A line with its code and its strong words in bold, and links as what they say.
fn inline(line: &str) -> String {
    let mut text = String::new();
    for (index, part) in without_links(line).replace("**", "`").split('`').enumerate() {
        let part = escaped(part);
        text += &if index % 2 == 1 && !part.is_empty() { format!("\\fB{part}\\fR") } else { part };
    }
    verbatim_start(text)
}

/// The words alone.
fn plain(line: &str) -> String {
    without_links(line).replace(['`', '*'], "")
}

/// What links say, without where they lead.
fn without_links(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((target_end, begin)) = after.find(')').zip(before.rfind('[')) else { break };
        text += &before[..begin];
        text += &before[begin + 1..];
        rest = &after[target_end + 1..];
    }
    text + rest
}

/// Without a meaning for roff: backslashes, and hyphens that are to stay what is typed.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// A line as it is written.
fn verbatim(line: &str) -> String {
    verbatim_start(escaped(line))
}

/// A line that begins with none of the characters of a request.
fn verbatim_start(line: String) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_pages_have() {
        let markdown = "# x\n\nA `--flag` and **more**, [here](a.md#b).\n.dot\n\n## Two `words`\n\n| key | value |\n|---|---|\n\
                        | `a` | string | | one `x | y`, 1 \\| 2 |\n\n```json x\n.a\\n\n```\n\n### Deep\n\n- item\n";
        assert_eq!(
            page("layerstone-x", 5, "what it is", markdown),
            ".TH LAYERSTONE-X 5 \"\" \"layerstone\" \"\"\n.SH NAME\nlayerstone\\-x \\- what it is\n.SH DESCRIPTION\n.PP\n\
             A \\fB\\-\\-flag\\fR and \\fBmore\\fR, here.\n\\&.dot\n.PP\n.SH TWO WORDS\n.PP\n\
             .TP\n\\fBa\\fR\nstring; one \\fBx | y\\fR, 1 | 2\n.PP\n.PP\n.RS 4\n.EX\n\\&.a\\en\n.EE\n.RE\n.PP\n.SS Deep\n.PP\n\
             .IP \\(bu 2\nitem\n"
        );
    }
}
