//! Makes a page of each command out of the help of all of them.

/// A command and its help.
#[derive(Clone)]
pub struct Command {
    name: String,
    help: String,
}

impl Command {
    /// The file of its page.
    pub fn file(&self) -> String {
        format!("command-{}.md", self.name.replace(' ', "-"))
    }

    /// Its page: the first line says what it does, the rest is as `--help` prints it.
    pub fn text(&self) -> String {
        let (about, rest) = self.help.split_once("\n\n").unwrap_or((&self.help, ""));
        format!("# layerstone {}\n\n{}.\n\n```text\n{}\n```\n", self.name, about.replace('\n', " "), rest.trim_end())
    }
}

/// The commands that the first help lists, in its order, and those below them.
pub fn pages(help: &str) -> Vec<Command> {
    let all: Vec<Command> = format!("\n{help}").split("\n$ layerstone ").skip(1).filter_map(command).collect();
    let Some((first, others)) = all.split_first() else { return Vec::new() };
    let listed = first.help.split("\nCommands:\n").nth(1).and_then(|list| list.split("\n\n").next());
    let names = listed.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let below = |name: &str| {
        let is_of = |other: &&Command| other.name == name || other.name.starts_with(&format!("{name} "));
        others.iter().filter(is_of).cloned().collect::<Vec<_>>()
    };
    names.filter(|name| !name.is_empty()).flat_map(below).collect()
}

fn command(text: &str) -> Option<Command> {
    let (line, help) = text.split_once('\n')?;
    Some(Command { name: line.strip_suffix("--help")?.trim_end().to_owned(), help: help.trim().to_owned() })
}

/// The summary with these pages below that of all commands.
pub fn below(summary: &str, commands: &[Command]) -> String {
    let line = "- [Commands](commands.md)\n";
    let list: String = commands.iter().map(|command| format!("  - [{}]({})\n", command.name, command.file())).collect();
    summary.replacen(line, &format!("{line}{list}"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_each() {
        let help = "$ layerstone --help\nAll\n\nCommands:\n Group\n  b  Bees\n  a  Ants\n     of all kinds\n\nOptions:\n\n\
                    $ layerstone a --help\nAnts\nof all\n\nUsage: a\n\n$ layerstone b --help\nBees\n\nUsage: b\n\n\
                    $ layerstone b c --help\nC\n\n$ layerstone hidden --help\nH\n";
        let found = pages(help);
        assert_eq!(found.iter().map(|command| &*command.name).collect::<Vec<_>>(), ["b", "b c", "a"]);
        assert_eq!(found[2].text(), "# layerstone a\n\nAnts of all.\n\n```text\nUsage: a\n```\n");
        let summary = below("- [Commands](commands.md)\n- x\n", &found[1..2]);
        assert_eq!(summary, "- [Commands](commands.md)\n  - [b c](command-b-c.md)\n- x\n");
    }
}
