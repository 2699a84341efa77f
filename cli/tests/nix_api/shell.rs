//! Images of nix-shell: a derivation's environment in docker, in which it can be built.

use super::examples::Examples;
use crate::support::docker::Docker;
use crate::support::output;

/// Runs an example, whose command these words are, unless there are none.
#[track_caller]
fn check(name: &str, words: &[&str], expected: &str) {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let turn = docker.turn();
    assert_eq!(examples.load(name, &turn).run(words), expected, "{name}");
}

#[test]
fn the_derivation_builds() {
    check("nix-shell-basic", &["bash", "-c", "buildDerivation && $out/bin/hello"], "Hello, world!\n");
}

#[test]
fn the_hook_runs() {
    check(
        "nix-shell-basic",
        &["bash", "-c", "source $(echo /nix/store/*-nix-shell-rc); echo $HOOK"],
        "the shell hook\n",
    );
}

#[test]
fn attributes_are_in_the_environment() {
    let script = r#"$input/bin/hello; echo "$list $name $outputs""#;
    check("nix-shell-basic", &["bash", "-c", script], "Hello, world!\na b greeting \n");
}

#[test]
fn attributes_passed_as_files() {
    check("nix-shell-basic", &["bash", "-c", r#"echo "$(<"$longPath")" "${long-none}""#], "it's long none\n");
}

#[test]
fn run_is_not_interactive() {
    check("nix-shell-run", &[], "not interactive\n");
}

#[test]
fn command_is_interactive() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let turn = docker.turn();
    // With a terminal, as a shell without one is not interactive.
    let image = examples.load("nix-shell-command", &turn);
    assert_eq!(output(&mut image.container("--tty", &[])), "interactive\r\n");
}

#[test]
fn the_home_can_be_written() {
    check(
        "nix-shell-basic",
        &["bash", "-c", "echo written >$HOME/file && echo $(<$HOME/file) $HOME"],
        "written /build\n",
    );
}

#[test]
fn the_home_may_not_exist() {
    let script = "[ ! -e $HOME ] && ! 2>/dev/null echo written >$HOME/file && echo $HOME";
    check("nix-shell-nonexistent-home", &["bash", "-c", script], "/homeless-shelter\n");
}
