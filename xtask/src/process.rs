//! Other programs: what they print, and clear words when one is missing or fails.

use anyhow::{Context, Result, ensure};
use std::path::{self, Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a program to its end and gives its standard output; its standard error goes to ours unless set otherwise.
pub fn output(command: &mut Command) -> Result<String> {
    command.stdout(Stdio::piped());
    let child = command.spawn().with_context(|| format!("cannot run: {}", name(command)))?;
    let output = child.wait_with_output().with_context(|| format!("cannot read from: {}", name(command)))?;
    ensure!(output.status.success(), "{} failed: {}", name(command), output.status);
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", name(command)))
}

/// Runs a program to its end; what it prints goes where ours does.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run: {}", name(command)))?;
    ensure!(status.success(), "{} failed: {status}", name(command));
    Ok(())
}

/// The program among the messages of `cargo build --message-format json`, one JSON object a line (The Cargo Book, "External tools").
pub fn executable(messages: &str) -> Option<PathBuf> {
    let mut messages = messages.lines().rev().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    messages.find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
}

fn name(command: &Command) -> path::Display<'_> {
    Path::new(command.get_program()).display()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_the_program() -> Result<()> {
        assert_eq!(output(Command::new("printf").arg("x"))?, "x");
        let message = |command: &mut Command| run(command).map_err(|error| format!("{error:#}"));
        assert_eq!(message(&mut Command::new("false")), Err("false failed: exit status: 1".to_owned()));
        let missing = message(Command::new("/nonexistent/program").arg("x"));
        assert_eq!(missing, Err("cannot run: /nonexistent/program: No such file or directory (os error 2)".to_owned()));
        Ok(())
    }

    #[test]
    fn the_executable_is_found() {
        let messages = r#"{"reason":"compiler-artifact","executable":null}
{"reason":"compiler-artifact","executable":"/t/release/layerstone"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/layerstone")));
        assert_eq!(executable(""), None);
    }
}
