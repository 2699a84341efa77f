//! Finds the files that a program needs to start, as the kernel and ld.so(8) find them: its interpreter, and libraries by
//! `DT_RPATH`, `DT_RUNPATH`, `LD_LIBRARY_PATH`, ld.so.conf and the usual directories. Does not know where the files are: of
//! this machine, or of an image.

use crate::elf::{DamagedElf, Elf};
use crate::file_view::{FileView, FoundFile, Held, Image};
use crate::library_path::{Place, usual};
use crate::tree::as_path;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many interpreters of scripts may be scripts themselves (binfmt_script in Linux, fs/exec.c).
const MAX_SCRIPTS: usize = 5;

/// What a program needs to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The paths by which they are looked for where the program runs, with what is there: an interpreter, or a library.
    pub files: BTreeMap<PathBuf, Needed>,
    /// What is missing.
    pub missing: Vec<Missing>,
    /// Go's name of the architecture that the program is for; none for a script whose interpreter is missing.
    pub architecture: Option<&'static str>,
}

/// A file that is needed and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Its path in the view, links not followed.
    pub from: PathBuf,
    /// Who asks for it.
    pub by: PathBuf,
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

/// All that a program needs where it is. `library_path` is LD_LIBRARY_PATH, where it runs.
///
/// # Errors
///
/// A file cannot be read, or is a damaged ELF file.
pub fn needs_of(view: &dyn FileView, program: &FoundFile, library_path: &[PathBuf]) -> io::Result<Needs> {
    Search { view, image: None }.needs_of(program, &program.path, library_path)
}

/// All that a program needs which is not in the image where it will be, at `to`, but in the view. What an image has is taken
/// before what the view has.
///
/// # Errors
///
/// A file cannot be read, or is a damaged ELF file.
pub fn needs_in(
    image: &dyn Image,
    view: &dyn FileView,
    (program, to): (&FoundFile, &Path),
    library_path: &[PathBuf],
) -> io::Result<Needs> {
    Search { view, image: Some(image) }.needs_of(program, to, library_path)
}

/// Where files are looked for.
#[derive(Clone, Copy)]
struct Search<'a> {
    view: &'a dyn FileView,
    image: Option<&'a dyn Image>,
}

impl Search<'_> {
    fn held(&self, path: &Path) -> io::Result<Held> {
        self.image.map_or(Ok(Held::Nothing), |image| image.held(path))
    }

    fn needs_of(self, program: &FoundFile, to: &Path, library_path: &[PathBuf]) -> io::Result<Needs> {
        let mut needs = Needs::default();
        let (mut program, mut to) = (program.clone(), to.to_owned());
        for _ in 0..MAX_SCRIPTS {
            let Some(interpreter) = interpreter_of_script(&program.bytes) else { break };
            program = match (self.held(&interpreter)?, self.view.file(&interpreter)?) {
                (Held::Unread, _) => return Ok(needs),
                (Held::File(found), _) => found,
                (Held::Nothing, Some(found)) => {
                    needs.files.insert(interpreter.clone(), Needed { from: interpreter.clone(), by: to });
                    found
                }
                (Held::Nothing, None) => {
                    needs.missing.push(Missing { by: to, what: interpreter, is_interpreter: true });
                    return Ok(needs);
                }
            };
            // An image has the interpreter itself at this path, and no link to it.
            to = if self.image.is_some() { interpreter } else { program.path.clone() };
        }
        let Some(elf) = parse(&program)? else { return Ok(needs) };
        needs.architecture = elf.architecture;
        let seen = BTreeSet::new();
        let mut loading = Loading { search: self, needs, machine: elf.machine, usual: Vec::new(), seen };
        let interpreter = loading.load_interpreter(&to, &elf)?;
        // The loader of an image reads no ld.so.conf, only a cache that ldconfig makes of it.
        let known = interpreter.as_deref().filter(|_| self.image.is_some());
        let given = library_path.iter().map(|path| Place { from: path.clone(), to: path.clone() });
        loading.usual = given.chain(usual(self.view, &elf, known)?).collect();
        loading.load(Place { from: program.path, to }, elf)?;
        Ok(loading.needs)
    }
}

/// The interpreter of a script, as the kernel reads its first line (execve(2), "Interpreter scripts").
pub fn interpreter_of_script(bytes: &[u8]) -> Option<PathBuf> {
    let line = bytes.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = line.trim_ascii();
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    (end > 0).then(|| as_path(&line[..end]).to_owned())
}

fn parse(file: &FoundFile) -> io::Result<Option<Elf>> {
    let damaged =
        |cause: DamagedElf| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {cause}", file.path.display()));
    Elf::parse(&file.bytes).transpose().map_err(damaged)
}

impl fmt::Display for Missing {
    /// `/bin/app: found no libx.so.1, its library`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_interpreter { "interpreter" } else { "library" };
        write!(f, "{}: found no {}, its {kind}", self.by.display(), self.what.display())
    }
}

/// Whether programs of an architecture run on machines of another one by themselves.
pub fn runs_on(program: &str, machine: &str) -> bool {
    program == machine || matches!((program, machine), ("386", "amd64") | ("arm", "arm64"))
}

/// A program whose files are being found.
struct Loading<'a> {
    search: Search<'a>,
    needs: Needs,
    /// The machine that libraries must be for.
    machine: (u16, bool),
    /// Where libraries are looked for behind the directories of a file itself.
    usual: Vec<Place>,
    /// Libraries that were looked for, by name: the loader takes the first one of a name for all.
    seen: BTreeSet<Vec<u8>>,
}

/// A file whose libraries are to be found, and the directories that those above it add.
struct Open {
    place: Place,
    elf: Elf,
    rpath: Vec<Place>,
}

/// A library of some name.
enum Library {
    /// In the image, or in the view.
    Found {
        place: Place,
        elf: Elf,
        is_held: bool,
    },
    /// In the image, which looks after what it needs.
    Unread,
    Missing,
}

impl Loading<'_> {
    /// Finds the interpreter of a program; its text.
    fn load_interpreter(&mut self, program: &Path, elf: &Elf) -> io::Result<Option<Vec<u8>>> {
        let Some(interpreter) = elf.interpreter.as_deref().map(as_path) else { return Ok(None) };
        // It is a library too, which some need by its name.
        let name = interpreter.file_name().unwrap_or_default().as_bytes().to_vec();
        let bytes = match (self.search.held(interpreter)?, self.search.view.file(interpreter)?) {
            (Held::Unread, _) => None,
            (Held::File(found), _) => Some(found.bytes),
            (Held::Nothing, Some(found)) => {
                let needed = Needed { from: interpreter.to_owned(), by: program.to_owned() };
                self.needs.files.insert(interpreter.to_owned(), needed);
                Some(found.bytes)
            }
            (Held::Nothing, None) => {
                let (by, what) = (program.to_owned(), interpreter.to_owned());
                self.needs.missing.push(Missing { by, what, is_interpreter: true });
                return Ok(None);
            }
        };
        self.seen.insert(name);
        Ok(bytes)
    }

    /// Finds the libraries of a program, and of these.
    fn load(&mut self, place: Place, elf: Elf) -> io::Result<()> {
        let mut open = VecDeque::from([Open { place, elf, rpath: Vec::new() }]);
        while let Some(Open { place, elf, rpath }) = open.pop_front() {
            // Of a file with a run path the loader takes no rpath, not even those above it.
            let above = if elf.runpath.is_empty() { [place.expanded(&elf.rpath), rpath].concat() } else { Vec::new() };
            let search = [above.clone(), place.expanded(&elf.runpath)].concat();
            for name in elf.needed.iter().filter(|name| self.seen.insert((*name).clone())).cloned().collect::<Vec<_>>()
            {
                match self.find(&name, &search)? {
                    Library::Found { place: found, elf, is_held } => {
                        if !is_held {
                            let needed = Needed { from: found.from.clone(), by: place.to.clone() };
                            self.needs.files.insert(found.to.clone(), needed);
                        }
                        open.push_back(Open { place: found, elf, rpath: above.clone() });
                    }
                    Library::Unread => {}
                    Library::Missing => {
                        let what = as_path(&name).to_owned();
                        self.needs.missing.push(Missing { by: place.to.clone(), what, is_interpreter: false });
                    }
                }
            }
        }
        Ok(())
    }

    /// The first library of a name that is one for this machine.
    fn find(&self, name: &[u8], search: &[Place]) -> io::Result<Library> {
        let directories = search.iter().chain(&self.usual);
        let root = Place { from: PathBuf::new(), to: PathBuf::new() };
        let candidates: Vec<Place> = match name.contains(&b'/') {
            true => vec![root.join(name)],
            false => directories.map(|directory| directory.join(name)).collect(),
        };
        for candidate in &candidates {
            match self.search.held(&candidate.to)? {
                Held::Nothing => {}
                Held::Unread => return Ok(Library::Unread),
                Held::File(file) => {
                    if let Some(elf) = self.shared_object(&file)? {
                        let place = Place { from: file.path, to: candidate.to.clone() };
                        return Ok(Library::Found { place, elf, is_held: true });
                    }
                }
            }
        }
        for place in candidates {
            let Some(file) = self.search.view.file(&place.from)? else { continue };
            if let Some(elf) = self.shared_object(&file)? {
                return Ok(Library::Found { place, elf, is_held: false });
            }
        }
        Ok(Library::Missing)
    }

    /// An ELF file for the same machine.
    fn shared_object(&self, file: &FoundFile) -> io::Result<Option<Elf>> {
        Ok(parse(file)?.filter(|elf| elf.machine == self.machine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_view::ThisMachine;
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
        assert_eq!(needs.files, [("/b".into(), Needed { from: "/b".into(), by: "/a".into() })].into());
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

    /// An image that has some files of its own.
    struct Has(Files, Vec<&'static str>);

    impl Image for Has {
        fn held(&self, path: &Path) -> io::Result<Held> {
            if self.1.iter().any(|unread| Path::new(unread) == path) {
                return Ok(Held::Unread);
            }
            Ok(self.0.file(path)?.map_or(Held::Nothing, Held::File))
        }
    }

    /// What an image lacks is told by the paths at which its loader looks, and nothing that it has.
    #[test]
    fn what_an_image_lacks() {
        let program = ThisMachine.file(Path::new("/proc/self/exe")).unwrap().unwrap();
        let at = Path::new("/app");
        let lacks = |image: &Has| needs_in(image, &ThisMachine, (&program, at), &["/own".into()]).unwrap();
        let all = lacks(&Has(Files(BTreeMap::new()), Vec::new()));
        let real = needs_of(&ThisMachine, &program, &[]).unwrap();
        assert_eq!(all.files.keys().collect::<Vec<_>>(), real.files.keys().collect::<Vec<_>>());
        assert!(all.files.values().any(|needed| needed.by == at), "{all:?}");
        let libc = real.files.keys().find(|path| path.to_string_lossy().contains("libc.so")).unwrap();
        let held = Files([(Path::new("/own").join(libc.file_name().unwrap()), std::fs::read(libc).unwrap())].into());
        let without = lacks(&Has(held, Vec::new()));
        assert_eq!(without.files.len(), all.files.len() - 1);
        assert!(!without.files.contains_key(libc));
        let interpreter = real.files.keys().find(|path| path.to_string_lossy().contains("/ld-")).unwrap();
        let unread: &'static str = Box::leak(interpreter.display().to_string().into_boxed_str());
        assert!(!lacks(&Has(Files(BTreeMap::new()), vec![unread])).files.contains_key(interpreter));
    }

    /// The loader of an image reads no ld.so.conf: what it names here goes to a directory that the loader knows.
    #[test]
    fn directories_of_ld_so_conf() {
        let program = ThisMachine.file(Path::new("/proc/self/exe")).unwrap().unwrap();
        let real = needs_of(&ThisMachine, &program, &[]).unwrap();
        let mut machine = Files([("/etc/ld.so.conf".into(), b"/moved\n".to_vec())].into());
        for path in real.files.keys() {
            let is_loader = path.to_string_lossy().contains("/ld-");
            let moved = Path::new("/moved").join(path.file_name().unwrap());
            machine.0.insert(if is_loader { path.clone() } else { moved }, std::fs::read(path).unwrap());
        }
        let image = Has(Files(BTreeMap::new()), Vec::new());
        let needs = needs_in(&image, &machine, (&program, Path::new("/app")), &[]).unwrap();
        assert!(needs.missing.is_empty(), "{needs:?}");
        let moved = needs.files.iter().filter(|(_, needed)| needed.from.starts_with("/moved")).collect::<Vec<_>>();
        assert!(!moved.is_empty() && moved.iter().all(|(to, _)| to.starts_with("/lib") || to.starts_with("/usr/lib")));
        let where_it_is = needs_of(&machine, &program, &[]).unwrap();
        assert!(where_it_is.files.keys().any(|path| path.starts_with("/moved")));
    }
}
