//! The environment: a tree of links over its inputs. A directory that only one input has is one link; one that several
//! have is made and filled in the same way, as nixpkgs' buildEnv does.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Directories at the top of Debian packages that an image brings itself or does not need.
const LEFT_OUT: [&str; 14] =
    ["nix-support", "dev", "proc", "sys", "tmp", "run", "boot", "root", "home", "mnt", "media", "opt", "srv", "var"];

/// Makes the tree at `out`; where files of several inputs meet, the first input's is linked.
pub fn build(out: &Path, inputs: &[PathBuf]) -> Result<()> {
    merge(out, inputs, &LEFT_OUT)?;
    // Debian's programs have paths below /usr compiled in.
    symlink(".", out.join("usr")).with_context(|| format!("cannot link: {}/usr", out.display()))
}

fn merge(place: &Path, sources: &[PathBuf], left_out: &[&str]) -> Result<()> {
    fs::create_dir(place).with_context(|| format!("cannot create: {}", place.display()))?;
    let mut names: BTreeMap<OsString, Vec<PathBuf>> = BTreeMap::new();
    for source in sources {
        let entries = fs::read_dir(source).with_context(|| format!("cannot read: {}", source.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read: {}", source.display()))?;
            names.entry(entry.file_name()).or_default().push(entry.path());
        }
    }
    names.retain(|name, _| !left_out.iter().any(|left_out| name == left_out));
    for (name, found) in names {
        let place = place.join(name);
        if found.len() > 1 && found.iter().all(|path| path.is_dir()) {
            merge(&place, &found, &[])?;
        } else {
            symlink(&found[0], &place).with_context(|| format!("cannot link: {}", place.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_one_input_are_links() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let [out, a, b] = ["out", "a", "b"].map(|name| dir.path().join(name));
        for file in ["a/bin/x", "a/share/doc/x", "b/bin/x", "b/bin/y", "b/var/z"] {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().context("a directory")?)?;
            fs::write(file, "")?;
        }
        build(&out, &[a.clone(), b.clone()])?;
        assert_eq!(fs::read_link(out.join("share"))?, a.join("share"));
        assert_eq!(fs::read_link(out.join("bin/x"))?, a.join("bin/x"));
        assert_eq!(fs::read_link(out.join("bin/y"))?, b.join("bin/y"));
        assert_eq!(fs::read_dir(&out)?.count(), 3);
        Ok(())
    }
}
