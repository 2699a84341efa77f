//! Completions, as bash itself makes them.

use crate::support::{Place, require_tool};
use std::path::Path;
use std::process::Command;

/// Calls the function that bash would call at a TAB behind the words, and prints what it offers.
const SCRIPT: &str = r#"
source <(layerstone completions bash)
COMP_WORDS=(layerstone "$@")
COMP_CWORD=$#
function=$(complete -p layerstone | sed 's/.*-F \([^ ]*\).*/\1/')
"$function" layerstone "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
echo "${COMPREPLY[*]}"
"#;

#[track_caller]
fn check(words: &[&str], expected: &str) {
    let place = Place::new();
    let binary = Path::new(env!("CARGO_BIN_EXE_layerstone")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-c", SCRIPT, "bash"]).args(words).env("PATH", path).current_dir(place.path());
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.trim_end(), expected, "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn values() {
    if !require_tool("bash") {
        return;
    }
    check(&["build", "--strategy", ""], "least-churn popularity size pipeline");
    check(&["build", "--strategy", "p"], "popularity pipeline");
    check(&["build", "--compression", ""], "none gzip zstd zstd:chunked");
    check(&["build", "--helper", "us"], "usrBinEnv=");
    check(&["ninja", "--stage", "la"], "layers= layer=");
    check(&["pull", "--platform", "linux/a"], "linux/amd64 linux/arm64 linux/arm/v7");
    check(&["build", "--arch", "a"], "amd64 arm64 arm");
    check(&["pu"], "push pull");
    check(&["--color", ""], "auto always never");
}
