//! Other programs, which must succeed, and what they print.

use serde_json::Value;
use std::process::{Command, Stdio};

/// What a program prints; it must succeed.
#[track_caller]
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON that a program prints.
#[track_caller]
pub fn output_json(command: &mut Command) -> Value {
    serde_json::from_str(&output(command)).unwrap()
}
