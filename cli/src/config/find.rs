//! Where `layerstone.toml` is looked for.

use super::{Owner, Source, VARIABLE};
use anyhow::{Context, Result};
use std::env::{current_dir, var_os};
use std::path::{Path, PathBuf};

/// The file's name.
pub const NAME: &str = "layerstone.toml";

/// The files that there are, what counts more first: the one that the variable names, or else the project's and the user's.
pub fn find() -> Result<Vec<Source>> {
    if let Some(named) = var_os(VARIABLE) {
        let path = PathBuf::from(named);
        if path.as_os_str().is_empty() {
            return Ok(Vec::new());
        }
        // Who names a file wants it.
        path.metadata().with_context(|| format!("cannot read: {} (of {VARIABLE})", path.display()))?;
        return Ok(vec![Source { path, owner: Owner::User }]);
    }
    let user = user_directory().map(|directory| directory.join(NAME)).filter(|path| path.is_file());
    let here = current_dir().ok();
    let home = absolute("HOME");
    let project = here.as_deref().and_then(|here| of_project(here, home.as_deref()));
    // Who works in the directory of settings has one file and not two.
    let project = project.filter(|project| user.as_ref() != Some(project));
    let project = project.map(|path| Source { path, owner: Owner::Project });
    Ok(project.into_iter().chain(user.map(|path| Source { path, owner: Owner::User })).collect())
}

/// The user's directory of this program's settings (XDG Base Directory Specification).
pub fn user_directory() -> Option<PathBuf> {
    let home = || absolute("HOME").map(|home| home.join(".config"));
    Some(absolute("XDG_CONFIG_HOME").or_else(home)?.join("layerstone"))
}

pub fn absolute(variable: &str) -> Option<PathBuf> {
    var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The nearest file in a directory or one above it, up to the root of its repository. Without a repository in the directory
/// alone: what lies above belongs to nobody in particular. The home directory is no project.
fn of_project(here: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let within_home = || here.ancestors().take_while(|directory| Some(*directory) != home);
    let is_root = |directory: &&Path| directory.join(".git").exists();
    let depth = within_home().position(|directory| is_root(&directory)).unwrap_or(0);
    within_home().take(depth + 1).map(|directory| directory.join(NAME)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn projects() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path();
        fs::create_dir_all(top.join("repo/.git")).unwrap();
        fs::create_dir_all(top.join("repo/a/b")).unwrap();
        fs::create_dir_all(top.join("other/a")).unwrap();
        let of = |name: &str, home: Option<&str>| of_project(&top.join(name), home.map(|it| top.join(it)).as_deref());
        fs::write(top.join(NAME), "").unwrap();
        assert_eq!(of("repo/a/b", None), None, "above the repository");
        assert_eq!(of("other/a", None), None, "above, without a repository");
        fs::write(top.join("other/a").join(NAME), "").unwrap();
        assert_eq!(of("other/a", None), Some(top.join("other/a").join(NAME)));
        assert_eq!(of("other/a", Some("other/a")), None, "the home directory");
        fs::write(top.join("repo").join(NAME), "").unwrap();
        assert_eq!(of("repo/a/b", None), Some(top.join("repo").join(NAME)));
        assert_eq!(of("repo/a/b", Some("repo")), None, "a home that is a repository");
        fs::write(top.join("repo/a").join(NAME), "").unwrap();
        assert_eq!(of("repo/a/b", None), Some(top.join("repo/a").join(NAME)));
    }
}
