//! Runs the scripts of a request: chooses the interpreter, the directory and the environment of each.

use crate::mounts::set_mode;
use crate::program::{Program, run};
use crate::root::SCRIPT;
use crate::{Channel, DISK, Error, Request, Result};
use layerstone_store::{Found, Walk};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// A hook, in the stage.
const HOOK: &str = "/dev/hook";
/// The shell of images.
const SHELL: &str = "/bin/sh";

/// Runs the root script in the image's root.
pub fn run_script(text: &[u8], request: &Request, is_machine: bool, channel: &mut Channel) -> Result<()> {
    let root = Path::new(DISK).join("mnt");
    let own = request.store.as_ref().and_then(|store| store.shell.as_deref());
    let shell = if has_shell(&root) { Some(SHELL) } else { own };
    let words = words(text, SCRIPT, shell).ok_or_else(|| {
        Error::Found(format!(
            "no shell: found no {SHELL} in the image and no bin/sh or bin/bash in the store closure, and the script does \
             not name its interpreter"
        ))
    })?;
    let mut environment = environment(request, OsString::from(&request.path));
    environment.push(("HOME", "/root".into()));
    let root = Some((root.as_path(), text));
    run(&Program { words, environment, directory: Path::new("/"), root, is_privileged: is_machine }, request, channel)
}

/// Runs a hook beside the image's root.
pub fn run_hook(
    text: &[u8],
    directory: &Path,
    request: &Request,
    is_machine: bool,
    channel: &mut Channel,
) -> Result<()> {
    let store = request.store.as_ref();
    let words = words(text, HOOK, store.and_then(|store| store.shell.as_deref())).ok_or_else(|| {
        let cause = "no shell for a hook: expected a store closure with bin/sh or bin/bash, or a script that names an \
                     interpreter in it";
        Error::Found(cause.to_owned())
    })?;
    fs::write(HOOK, text).map_err(Error::io("write", HOOK))?;
    set_mode(Path::new(HOOK), 0o755)?;
    let programs = store.map(|store| store.programs.join(":")).unwrap_or_default();
    let mut environment = environment(request, programs.into());
    environment.extend([("HOME", "/homeless-shelter".into()), ("TMPDIR", "/tmp".into())]);
    let ran = run(&Program { words, environment, directory, root: None, is_privileged: is_machine }, request, channel);
    fs::remove_file(HOOK).map_err(Error::io("remove", HOOK))?;
    ran
}

fn environment(request: &Request, path: OsString) -> Vec<(&'static str, OsString)> {
    vec![
        ("PATH", path),
        ("LC_ALL", "C".into()),
        ("TZ", "UTC".into()),
        ("SOURCE_DATE_EPOCH", request.mtime.to_string().into()),
    ]
}

/// How a script is run: by itself if it names an interpreter, else by a shell, if there is one, that stops at the first
/// error.
fn words(text: &[u8], at: &str, shell: Option<&str>) -> Option<Vec<OsString>> {
    match text.starts_with(b"#!") {
        true => Some(vec![at.into()]),
        false => Some(vec![shell?.into(), "-e".into(), at.into()]),
    }
}

/// Whether an image has a shell, whose links are the image's.
fn has_shell(root: &Path) -> bool {
    let shell = Walk::new(root, root, Path::new(SHELL)).follow(Found::on_disk);
    shell.is_ok_and(|shell| shell.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_to_the_shell_are_the_images() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        assert!(!has_shell(root));
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("/usr/../usr/bin/dash", root.join("usr/bin/sh")).unwrap();
        assert!(!has_shell(root));
        fs::write(root.join("usr/bin/dash"), "").unwrap();
        assert!(has_shell(root));
        fs::remove_file(root.join("usr/bin/dash")).unwrap();
        symlink("dash", root.join("usr/bin/dash")).unwrap();
        assert!(!has_shell(root));
    }
}
