//! Finds the files that a program needs to start, as the kernel and ld.so(8) find them: its interpreter, and libraries by
//! `DT_RPATH`, `DT_RUNPATH`, `LD_LIBRARY_PATH`, ld.so.conf and the usual directories. Does not know where the files are: of
//! this machine, or of an image.

use crate::elf::Elf;
use crate::tree::as_path;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
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
/// How many interpreters of scripts may be scripts themselves (binfmt_script in Linux, fs/exec.c).
const MAX_SCRIPTS: usize = 5;

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path without links.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Files by their absolute paths.
pub trait FileView {
    /// The regular file that a path leads to, links followed; none if it leads to none.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn file(&self, path: &Path) -> io::Result<Option<FoundFile>>;

    /// The names in a directory, sorted; none if there is no directory.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn names(&self, directory: &Path) -> io::Result<Vec<Vec<u8>>>;
}

/// The files of this machine.
#[derive(Clone, Copy, Debug)]
pub struct ThisMachine;

impl FileView for ThisMachine {
    fn file(&self, path: &Path) -> io::Result<Option<FoundFile>> {
        let is_absent = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        let real = match path.canonicalize() {
            Err(error) if is_absent(&error) => return Ok(None),
            real => real?,
        };
        let metadata = real.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        Ok(Some(FoundFile { bytes: std::fs::read(&real)?, mode: metadata.permissions().mode() & 0o7777, path: real }))
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<Vec<u8>>> {
        let entries = match directory.read_dir() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = entries.map(|entry| Ok(entry?.file_name().into_vec())).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }
}

/// What a program needs to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The paths by which they are found, each with the path of who asks for it: interpreters first, then libraries.
    pub files: BTreeMap<PathBuf, PathBuf>,
    /// What is missing.
    pub missing: Vec<Missing>,
    /// Go's name of the architecture that the program is for; none for a script whose interpreter is missing.
    pub architecture: Option<&'static str>,
}

/// Something that is needed and not found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Who needs it.
    pub by: PathBuf,
    /// What it is: the path of an interpreter, or the name of a library.
    pub what: PathBuf,
    /// Whether it is an interpreter.
    pub is_interpreter: bool,
}

/// All that a program needs. `library_path` is LD_LIBRARY_PATH, where it runs.
///
/// # Errors
///
/// A file cannot be read, or is a damaged ELF file.
pub fn needs_of(view: &dyn FileView, program: &FoundFile, library_path: &[PathBuf]) -> io::Result<Needs> {
    let mut needs = Needs::default();
    let mut program = program.clone();
    for _ in 0..MAX_SCRIPTS {
        let Some(interpreter) = interpreter_of_script(&program.bytes) else { break };
        match view.file(&interpreter)? {
            Some(found) => {
                needs.files.insert(interpreter, program.path);
                program = found;
            }
            None => {
                needs.missing.push(Missing { by: program.path, what: interpreter, is_interpreter: true });
                return Ok(needs);
            }
        }
    }
    let Some(elf) = parse(&program)? else { return Ok(needs) };
    needs.architecture = elf.architecture;
    let mut loading =
        Loading { view, needs, program: elf.clone(), usual: usual(view, &elf, library_path)?, seen: BTreeSet::new() };
    loading.load(&program.path, elf)?;
    Ok(loading.needs)
}

/// The interpreter of a script, as the kernel reads its first line (execve(2), "Interpreter scripts").
pub fn interpreter_of_script(bytes: &[u8]) -> Option<PathBuf> {
    let line = bytes.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = line.trim_ascii();
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    (end > 0).then(|| as_path(&line[..end]).to_owned())
}

fn parse(file: &FoundFile) -> io::Result<Option<Elf>> {
    let damaged = |cause| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {cause}", file.path.display()));
    Elf::parse(&file.bytes).transpose().map_err(damaged)
}

/// The directories in which libraries are looked for behind those of a file itself.
fn usual(view: &dyn FileView, program: &Elf, library_path: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut directories = library_path.to_vec();
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
    Ok(directories)
}

/// Reads ld.so.conf (ldconfig(8)): directories, and `include GLOB` of files in one directory.
fn read_conf(view: &dyn FileView, path: &Path, directories: &mut Vec<PathBuf>, depth: usize) -> io::Result<()> {
    let Some(conf) = view.file(path)?.filter(|_| depth < MAX_SCRIPTS) else { return Ok(()) };
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

/// A program whose files are being found.
struct Loading<'a> {
    view: &'a dyn FileView,
    needs: Needs,
    program: Elf,
    /// Where libraries are looked for behind the directories of a file itself.
    usual: Vec<PathBuf>,
    /// Libraries that were looked for, by name: the loader takes the first one of a name for all.
    seen: BTreeSet<Vec<u8>>,
}

/// A file whose libraries are to be found, and the directories that those above it add.
struct Open {
    path: PathBuf,
    elf: Elf,
    rpath: Vec<PathBuf>,
}

impl Loading<'_> {
    /// Finds the interpreter and the libraries of a program, and of these.
    fn load(&mut self, path: &Path, elf: Elf) -> io::Result<()> {
        if let Some(interpreter) = &elf.interpreter {
            let interpreter = as_path(interpreter).to_owned();
            match self.view.file(&interpreter)? {
                Some(_) => drop(self.needs.files.insert(interpreter, path.to_owned())),
                None => {
                    self.needs.missing.push(Missing { by: path.to_owned(), what: interpreter, is_interpreter: true })
                }
            }
        }
        let mut open = std::collections::VecDeque::from([Open { path: path.to_owned(), elf, rpath: Vec::new() }]);
        while let Some(Open { path, elf, rpath }) = open.pop_front() {
            let own =
                |directories: &[Vec<u8>]| directories.iter().map(|text| expanded(text, &path)).collect::<Vec<_>>();
            // Of a file with a run path the loader takes no rpath, not even those above it.
            let above = if elf.runpath.is_empty() { [own(&elf.rpath), rpath].concat() } else { Vec::new() };
            let search = [above.clone(), own(&elf.runpath)].concat();
            for name in elf.needed.iter().filter(|name| self.seen.insert((*name).clone())).cloned().collect::<Vec<_>>()
            {
                match self.find(&name, &search)? {
                    Some((found, file, elf)) => {
                        self.needs.files.insert(found, path.clone());
                        open.push_back(Open { path: file.path, elf, rpath: above.clone() });
                    }
                    None => {
                        let what = as_path(&name).to_owned();
                        self.needs.missing.push(Missing { by: path.clone(), what, is_interpreter: false });
                    }
                }
            }
        }
        Ok(())
    }

    /// The first library of a name that is one for this machine.
    fn find(&self, name: &[u8], search: &[PathBuf]) -> io::Result<Option<(PathBuf, FoundFile, Elf)>> {
        let is_path = name.contains(&b'/');
        let directories = search.iter().chain(&self.usual);
        let candidates: Vec<PathBuf> = match is_path {
            true => vec![as_path(name).to_owned()],
            false => directories.map(|directory| directory.join(as_path(name))).collect(),
        };
        for candidate in candidates {
            let Some(file) = self.view.file(&candidate)? else { continue };
            if let Some(elf) = parse(&file)?.filter(|elf| elf.machine == self.program.machine) {
                return Ok(Some((candidate, file, elf)));
            }
        }
        Ok(None)
    }
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
    use std::process::Command;

    /// Files by path.
    struct Files(BTreeMap<PathBuf, Vec<u8>>);

    impl FileView for Files {
        fn file(&self, path: &Path) -> io::Result<Option<FoundFile>> {
            let found = self.0.get(path);
            Ok(found.map(|bytes| FoundFile { path: path.to_owned(), mode: 0o755, bytes: bytes.clone() }))
        }

        fn names(&self, directory: &Path) -> io::Result<Vec<Vec<u8>>> {
            let names = self.0.keys().filter(|path| path.parent() == Some(directory));
            Ok(names.map(|path| path.file_name().unwrap().as_bytes().to_vec()).collect())
        }
    }

    /// The files that the loader of this machine finds for a program, without links.
    fn by_ldd(program: &Path) -> Option<BTreeSet<PathBuf>> {
        let output = Command::new("ldd").arg(program).output().ok()?;
        let text = String::from_utf8(output.stdout).unwrap();
        let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
        Some(text.lines().filter_map(path).map(|path| path.canonicalize().unwrap()).collect())
    }

    #[test]
    fn what_the_loader_finds() {
        for program in ["/bin/sh", "/usr/bin/env", "/usr/bin/perl", "/proc/self/exe"] {
            let Some(program) = ThisMachine.file(Path::new(program)).unwrap() else { continue };
            let Some(expected) = by_ldd(&program.path) else { continue };
            let needs = needs_of(&ThisMachine, &program, &[]).unwrap();
            let found: BTreeSet<PathBuf> = needs.files.keys().map(|path| path.canonicalize().unwrap()).collect();
            assert_eq!(found, expected, "{}", program.path.display());
            assert!(needs.missing.is_empty() && needs.architecture.is_some(), "{needs:?}");
        }
    }

    #[test]
    fn scripts_need_their_interpreters() {
        for (line, expected) in [
            ("#!/bin/sh\nx", Some("/bin/sh")),
            ("#! /usr/bin/env python3\n", Some("/usr/bin/env")),
            ("#!/bin/sh", Some("/bin/sh")),
            ("#!\n/bin/sh", None),
            ("# !/bin/sh", None),
        ] {
            assert_eq!(interpreter_of_script(line.as_bytes()), expected.map(PathBuf::from), "{line}");
        }
        let files = [("/a", "#!/b\n"), ("/b", "#!/c x\n")];
        let files = Files(files.map(|(path, text)| (path.into(), text.as_bytes().to_vec())).into());
        let program = files.file(Path::new("/a")).unwrap().unwrap();
        let needs = needs_of(&files, &program, &[]).unwrap();
        assert_eq!(needs.files, [("/b".into(), "/a".into())].into());
        assert_eq!(needs.missing, [Missing { by: "/b".into(), what: "/c".into(), is_interpreter: true }]);
    }

    /// A program of this machine alone lacks what it needs, and finds it where its environment or ld.so.conf says.
    #[test]
    fn what_is_missing_and_where_it_is_looked_for() {
        let program = ThisMachine.file(Path::new("/proc/self/exe")).unwrap().unwrap();
        let real = needs_of(&ThisMachine, &program, &[]).unwrap();
        let mut files = Files(BTreeMap::new());
        let needs = needs_of(&files, &program, &[]).unwrap();
        let elf = Elf::parse(&program.bytes).unwrap().unwrap();
        assert_eq!(needs.missing.len(), elf.needed.len() + 1);
        for found in real.files.keys() {
            let bytes = std::fs::read(found).unwrap();
            let is_interpreter = Some(found.as_os_str().as_bytes()) == elf.interpreter.as_deref();
            let moved =
                if is_interpreter { found.clone() } else { Path::new("/moved").join(found.file_name().unwrap()) };
            files.0.insert(moved, bytes);
        }
        assert!(needs_of(&files, &program, &[]).unwrap().missing.iter().all(|missing| !missing.is_interpreter));
        assert!(needs_of(&files, &program, &["/moved".into()]).unwrap().missing.is_empty());
        files.0.insert("/etc/ld.so.conf".into(), b"# where\ninclude ld.so.conf.d/*.conf\n".to_vec());
        files.0.insert("/etc/ld.so.conf.d/x.conf".into(), b"/moved # here\n".to_vec());
        assert!(needs_of(&files, &program, &[]).unwrap().missing.is_empty());
        files.0.insert("/etc/ld.so.conf.d/x.conf".into(), b"/elsewhere\n".to_vec());
        assert!(!needs_of(&files, &program, &[]).unwrap().missing.is_empty());
    }

    #[test]
    fn origins() {
        let check = |text: &str, expected: &str| {
            assert_eq!(expanded(text.as_bytes(), Path::new("/opt/app/bin/x")), Path::new(expected));
        };
        check("$ORIGIN/../lib", "/opt/app/bin/../lib");
        check("${ORIGIN}", "/opt/app/bin");
        check("/a/b", "/a/b");
    }
}
