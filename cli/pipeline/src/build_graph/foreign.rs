//! What rules add to a command that is not ours, to see that it wrote what it should.

use super::word::{check, escaped, joined};
use super::{GraphInput, Rule};
use crate::Result;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A program that replaces a stage, with its words; how it ended and what it wrote is checked behind it. `ours` is what stands for this
/// program in the rules.
pub fn command(rule: &Rule, program: &OsStr, ours: &str, tool: &str) -> Result<Vec<u8>> {
    let theirs = [program.as_bytes(), b" ", &joined(&rule.words)].concat();
    let mut checked: Vec<&OsStr> = vec![rule.stage.as_ref()];
    checked.extend(rule.outputs.iter().map(|output| output.as_os_str()));
    checked.extend(["--command".as_ref(), program]);
    checked.extend(rule.checked.iter().map(OsString::as_os_str));
    checked.iter().try_for_each(|word| check(word, tool))?;
    let checked = [b" check-stage --status $? ", &joined(&checked)[..]].concat();
    Ok([&escaped(&theirs)[..], b"; ", ours.as_bytes(), &escaped(&checked)].concat())
}

/// What stands behind a command that runs a stage elsewhere: each output must exist here.
pub fn is_here(rule: &Rule, input: &GraphInput<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    for output in rule.outputs.iter().filter(|_| !input.is_ours) {
        let test = joined([OsStr::new("test"), "-f".as_ref(), output.as_os_str()]);
        let message = format!("error: the stage {} has not written {}", rule.stage, output.display());
        let echo = joined(["echo", &message]);
        text.extend(escaped(&[b" && { ", &test[..], b" || { ", &echo, b" >&2; exit 1; }; }"].concat()));
    }
    text
}
