//! The program with its man pages, completions and licences: as an archive, and as a package of Debian.

use super::Release;
use super::target::Target;
use crate::{manual, process};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of the sources that are handed out with it.
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];
/// Where shells look for completions, below `share`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/layerstone"),
    ("zsh", "zsh/site-functions/_layerstone"),
    ("fish", "fish/vendor_completions.d/layerstone.fish"),
];

/// Lays the files out as they lie below /usr; `host` is a program that runs here.
pub fn tree(release: &Release<'_>, target: Target, binary: &Path, host: &Path) -> Result<PathBuf> {
    let tree = release.work.join("tree").join(target.triple());
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    let put = |name: &str, bytes: &[u8], mode: u32| -> Result<()> {
        let path = tree.join(name);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(&path, bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        };
        write().with_context(|| format!("cannot write: {}", path.display()))
    };
    put("bin/layerstone", &fs::read(binary)?, 0o755)?;
    for name in DOCUMENTS {
        put(&format!("share/doc/layerstone/{name}"), &fs::read(release.source.join(name))?, 0o644)?;
    }
    for (shell, name) in COMPLETIONS {
        let text = process::output(Command::new(host).args(["completions", shell]))?;
        put(&format!("share/{name}"), text.as_bytes(), 0o644)?;
    }
    let man = release.work.join("man");
    fs::create_dir_all(&man)?;
    process::output(Command::new(host).arg("man").arg(&man).env("SOURCE_DATE_EPOCH", release.epoch.to_string()))?;
    manual::write(release.source, &man)?;
    let mut pages = fs::read_dir(&man)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    pages.sort();
    for page in pages {
        let section = page.extension().context("a man page without a section")?.to_string_lossy().into_owned();
        let name = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
        put(&format!("share/man/man{section}/{name}"), &fs::read(&page)?, 0o644)?;
    }
    Ok(tree)
}

/// `layerstone-VERSION-TARGET.tar.zst`, all of it below a directory of that name.
pub fn archive(release: &Release<'_>, target: Target, tree: &Path) -> Result<PathBuf> {
    let name = format!("layerstone-{}-{}", env!("CARGO_PKG_VERSION"), target.triple());
    let path = release.output.join(format!("{name}.tar.zst"));
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--sort=name",
        "--format=gnu",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u+w,go-w",
    ])
    .arg(format!("--mtime=@{}", release.epoch))
    .arg(format!("--transform=s,^\\./\\?,{name}/,"))
    // One thread, as how many there are decides the bytes.
    .args(["--use-compress-program", "zstd -19 --single-thread --no-progress", "--file"])
    .arg(&path)
    .arg("--directory")
    .arg(tree)
    .args(["./bin", "./share"]);
    process::run(&mut tar)?;
    Ok(path)
}

/// `layerstone_VERSION_ARCHITECTURE.deb` (deb(5), deb-control(5)), which depends on nothing.
pub fn deb(release: &Release<'_>, target: Target, tree: &Path) -> Result<PathBuf> {
    let root = release.work.join("deb").join(target.triple());
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    fs::create_dir_all(root.join("DEBIAN"))?;
    process::run(Command::new("cp").arg("--recursive").arg(tree).arg(root.join("usr")))?;
    let doc = root.join("usr/share/doc/layerstone");
    fs::write(doc.join("copyright"), copyright(&fs::read_to_string(doc.join("LICENSE-MIT"))?))?;
    let sizes =
        process::output(Command::new("du").args(["--summarize", "--apparent-size", "--block-size=1024"]).arg(&root))?;
    let size = sizes.split_whitespace().next().context("du printed no size")?.to_owned();
    fs::write(root.join("DEBIAN/control"), control(release, target, &size))?;
    let name = format!("layerstone_{}_{}.deb", env!("CARGO_PKG_VERSION"), target.architecture());
    let path = release.output.join(name);
    let mut deb = Command::new("dpkg-deb");
    // xz with one thread, as every Debian reads it.
    deb.args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"])
        .arg(&root)
        .arg(&path)
        .env("SOURCE_DATE_EPOCH", release.epoch.to_string());
    process::output(&mut deb)?;
    Ok(path)
}

fn control(release: &Release<'_>, target: Target, size: &str) -> String {
    let homepage = release.repository.map(|url| format!("Homepage: {url}\n")).unwrap_or_default();
    format!(
        "Package: layerstone\nVersion: {}\nArchitecture: {}\nMaintainer: {}\n\
         Installed-Size: {size}\nSection: devel\nPriority: optional\n{homepage}\
         Suggests: qemu-system, podman | docker.io\n\
         Description: layered container images from closures of store paths\n \
         Turns a closure of store paths (Nix, Guix, or any store of that kind) into\n \
         a layered container image, one stage at a time, without a daemon and\n \
         without root.\n",
        env!("CARGO_PKG_VERSION"),
        target.architecture(),
        release.maintainer,
    )
}

/// Debian's form for licences (copyright-format 1.0).
fn copyright(mit: &str) -> String {
    let holder = mit.lines().find(|line| line.starts_with("Copyright")).unwrap_or("Copyright: its authors");
    let text: String =
        mit.lines().map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") }).collect();
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n\
         Copyright: {}\nLicense: Expat or Apache-2.0\n\nLicense: Expat\n{text}\nLicense: Apache-2.0\n \
         See /usr/share/common-licenses/Apache-2.0.\n",
        holder.trim_start_matches("Copyright").trim_start_matches([':', ' ']),
    )
}
