//! Today's clients: a root directory with the container tools and Nix of Debian 13, and a wrapper for each of them.
//!
//! WORK/clients/bin goes in front of PATH: `docker`, `podman`, `nix-build` and so on then are those of Debian 13, with the
//! kernel, the files and the network of this machine (`enter.sh`). The directory has a stamp, as closures have.

use crate::process;
use anyhow::{Context, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::stamp::{self, CLIENTS, CLIENTS_RELEASE};

/// Programs that get a wrapper. umoci is missing: it is that of Debian 12.
const PROGRAMS: [&str; 13] = [
    "buildah",
    "containerd",
    "ctr",
    "docker",
    "dockerd",
    "nix",
    "nix-build",
    "nix-env",
    "nix-hash",
    "nix-instantiate",
    "nix-store",
    "podman",
    "skopeo",
];
const ENTER: &str = include_str!("clients/enter.sh");

/// Where they are in the work directory.
pub fn folder(work: &Path) -> PathBuf {
    work.join("clients")
}

/// Makes them, unless they are there.
pub fn make(work: &Path) -> Result<PathBuf> {
    let work = std::path::absolute(work).context("cannot find the current directory")?;
    let folder = folder(&work);
    let expected = stamp::expected("clients").context("the clients have a stamp")?;
    if stamp::check(&folder, &expected).is_ok() {
        install_wrappers(&folder)?;
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove: {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create: {}", folder.display()))?;
    install_root(&folder)?;
    install_wrappers(&folder)?;
    stamp::write(&folder, &expected)?;
    Ok(folder)
}

fn install_root(folder: &Path) -> Result<()> {
    // Mirrors that this machine reaches through settings of its apt are reached from there, too.
    let settings = Command::new("apt-config").args(["dump", "--format", "%f \"%v\";%n", "Acquire"]).output();
    let settings = settings.context("cannot run: apt-config")?;
    write(&folder.join("apt.conf"), &String::from_utf8_lossy(&settings.stdout))?;
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=apt", "--mode=root", "--include", CLIENTS]);
    command.arg(format!("--aptopt={}", folder.join("apt.conf").display()));
    for unread in ["doc", "man", "locale"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{unread}/*"));
    }
    process::run(command.arg(CLIENTS_RELEASE).arg(folder.join("root")))
}

fn install_wrappers(folder: &Path) -> Result<()> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot create: {}", bin.display()))?;
    write_program(&folder.join("enter"), ENTER)?;
    for program in PROGRAMS {
        write_program(&bin.join(program), &wrapper(folder, program))?;
    }
    Ok(())
}

/// A program of the root directory, called as if it were one of this machine.
fn wrapper(folder: &Path, program: &str) -> String {
    let folder = folder.display();
    format!(
        "#!/bin/sh\nexec '{folder}/enter' '{folder}/root' \"${{LAYERSTONE_CLIENTS_STATE:-{folder}/state}}\" {program} \
         \"$@\"\n"
    )
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    // By renaming, because a script that is running is still read.
    let new = path.with_extension("new");
    write(&new, text)?;
    fs::set_permissions(&new, Permissions::from_mode(0o755))
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("cannot write: {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write: {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers() {
        let text = wrapper(Path::new("/lab/clients"), "skopeo");
        assert_eq!(
            text,
            "#!/bin/sh\nexec '/lab/clients/enter' '/lab/clients/root' \
             \"${LAYERSTONE_CLIENTS_STATE:-/lab/clients/state}\" skopeo \"$@\"\n"
        );
    }
}
