//! Lists the directories in which a loader looks for libraries: those of ld.so.conf and the usual ones, and what
//! `$ORIGIN` stands for.

use crate::elf::Elf;
use crate::file_view::FileView;
use crate::tree::as_path;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Directories in which libraries are looked for last: those of glibc and of musl.
const USUAL: [&str; 5] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"];
/// Debian's besides, `/lib/TRIPLE` and `/usr/lib/TRIPLE`, by Go's name of the architecture.
const MULTIARCH: [(&str, &str); 8] = [
    ("amd64", "x86_64-linux-gnu"),
    ("arm64", "aarch64-linux-gnu"),
    ("386", "i386-linux-gnu"),
    ("arm", "arm-linux-gnueabihf"),
    ("ppc64le", "powerpc64le-linux-gnu"),
    ("riscv64", "riscv64-linux-gnu"),
    ("s390x", "s390x-linux-gnu"),
    ("loong64", "loongarch64-linux-gnu"),
];
/// The file that names more of them.
const LD_SO_CONF: &str = "/etc/ld.so.conf";
/// How deep ld.so.conf may include others.
const MAX_INCLUDES: usize = 5;

/// A file or a directory: where it is in the view, and where it will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In the view.
    pub from: PathBuf,
    /// Where the program runs.
    pub to: PathBuf,
}

impl Place {
    /// What has this name in a directory.
    pub fn join(&self, name: &[u8]) -> Place {
        Place { from: self.from.join(as_path(name)), to: self.to.join(as_path(name)) }
    }

    /// The directories of a search path, as a file here has it.
    pub fn expanded(&self, directories: &[Vec<u8>]) -> Vec<Place> {
        let place = |text: &Vec<u8>| Place { from: expanded(text, &self.from), to: expanded(text, &self.to) };
        directories.iter().map(place).collect()
    }
}

/// The directories in which libraries are looked for behind those of a file itself and LD_LIBRARY_PATH. `loader` is the
/// text of the interpreter of an image, which knows only some of them; none where all are looked in.
pub fn usual(view: &dyn FileView, program: &Elf, loader: Option<&[u8]>) -> io::Result<Vec<Place>> {
    let mut directories = Vec::new();
    read_conf(view, Path::new(LD_SO_CONF), &mut directories, 0)?;
    directories.extend(USUAL.map(PathBuf::from));
    let triple = MULTIARCH.iter().find(|(name, _)| Some(*name) == program.architecture);
    directories.extend(
        triple
            .into_iter()
            .flat_map(|(_, triple)| [format!("/lib/{triple}"), format!("/usr/lib/{triple}")])
            .map(PathBuf::from),
    );
    // A library of a store may lie beside what loads it, which knows its own directory.
    directories.extend(program.interpreter.as_deref().and_then(|path| as_path(path).parent()).map(Path::to_owned));
    let is_known = |directory: &PathBuf| loader.is_none_or(|loader| knows(loader, directory));
    let known = directories.iter().find(|directory| is_known(directory)).cloned();
    let place = |from: PathBuf| {
        let to = if is_known(&from) { from.clone() } else { known.clone().unwrap_or_else(|| from.clone()) };
        Place { from, to }
    };
    Ok(directories.iter().cloned().map(place).collect())
}

/// Whether the text of a loader names a directory by itself: glibc's as `/lib/\0/usr/lib/\0` (elf/dl-load.c, `system_dirs`),
/// musl's as `/lib:/usr/local/lib:/usr/lib` (ldso/dynlink.c).
fn knows(loader: &[u8], directory: &Path) -> bool {
    let name = directory.as_os_str().as_bytes();
    let is_edge = |byte: Option<&u8>| matches!(byte, None | Some(0 | b':'));
    let begins = memmem(loader, name);
    begins.into_iter().any(|at| {
        let behind = &loader[at + name.len()..];
        let behind = behind.strip_prefix(b"/").unwrap_or(behind);
        is_edge(at.checked_sub(1).and_then(|before| loader.get(before))) && is_edge(behind.first())
    })
}

/// Where a text stands in another one.
fn memmem(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    bytes.windows(text.len().max(1)).enumerate().filter(|(_, window)| *window == text).map(|(at, _)| at).collect()
}

/// Reads ld.so.conf (ldconfig(8)): directories, and `include GLOB` of files in one directory.
fn read_conf(view: &dyn FileView, path: &Path, directories: &mut Vec<PathBuf>, depth: usize) -> io::Result<()> {
    let Some(conf) = view.file(path)?.filter(|_| depth < MAX_INCLUDES) else { return Ok(()) };
    for line in conf.bytes.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        if let Some(pattern) =
            line.strip_prefix(b"include").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))
        {
            let pattern = path.parent().unwrap_or(Path::new("/")).join(as_path(pattern.trim_ascii()));
            let (directory, name) =
                (pattern.parent().unwrap_or(Path::new("/")), pattern.file_name().unwrap_or_default());
            let Ok(glob) = glob::Pattern::new(&name.to_string_lossy()) else { continue };
            for name in view.names(directory)?.into_iter().filter(|name| glob.matches(&String::from_utf8_lossy(name))) {
                read_conf(view, &directory.join(as_path(&name)), directories, depth + 1)?;
            }
        } else if line.starts_with(b"/") {
            directories.push(as_path(line).to_owned());
        }
    }
    Ok(())
}

/// A directory of a search path, `$ORIGIN` being that of the file (ld.so(8), "Dynamic string tokens").
fn expanded(text: &[u8], file: &Path) -> PathBuf {
    let origin = file.parent().unwrap_or(Path::new("/")).as_os_str().as_bytes();
    let mut text = text.to_vec();
    for token in [&b"${ORIGIN}"[..], b"$ORIGIN"] {
        while let Some(at) = text.windows(token.len()).position(|window| window == token) {
            text.splice(at..at + token.len(), origin.iter().copied());
        }
    }
    as_path(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let check = |text: &str, expected: &str| {
            assert_eq!(expanded(text.as_bytes(), Path::new("/opt/app/bin/x")), Path::new(expected));
        };
        check("$ORIGIN/../lib", "/opt/app/bin/../lib");
        check("${ORIGIN}", "/opt/app/bin");
        check("/a/b", "/a/b");
    }

    #[test]
    fn directories_that_loaders_know() {
        let glibc = b"x\0/lib/x86_64-linux-gnu/\0/usr/lib/\0y";
        let musl = b"\0/lib:/usr/local/lib:/usr/lib\0";
        for (loader, directory, expected) in [
            (&glibc[..], "/lib/x86_64-linux-gnu", true),
            (glibc, "/usr/lib", true),
            (glibc, "/lib", false),
            (glibc, "/usr/local/lib", false),
            (musl, "/lib", true),
            (musl, "/usr/local/lib", true),
            (musl, "/local/lib", false),
            (b"", "/lib", false),
        ] {
            assert_eq!(knows(loader, Path::new(directory)), expected, "{directory}");
        }
    }
}
