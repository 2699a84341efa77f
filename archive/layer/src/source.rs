//! Reads a layer's bytes front to back, wherever they come from.

use crate::layout::store_layout_here;
use crate::member_file::{ExpectedFile, OpenFile, read_some};
use crate::{Error, Layout, Recipe, Result};
use layerstone_store::{Store, open_regular};
use layerstone_tar::{BLOCK, Part, PartReader};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Where a layer's bytes come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Made from files, as laid out.
    Layout(Arc<Layout>),
    /// A tar in a file of its own.
    Blob {
        /// What messages call it.
        path: PathBuf,
        /// The open tar.
        file: Arc<File>,
        /// Its size in bytes.
        size: u64,
    },
    /// A tar inside of a file that is open.
    Part(Part),
    /// Made from files, which are looked at only when its bytes are read.
    Lazy(Arc<LazyLayout>),
}

/// A store layer of a known size, laid out when it is read.
#[derive(Debug)]
pub struct LazyLayout {
    store: Store,
    recipe: Recipe,
    size: u64,
    layout: OnceLock<Layout>,
}

impl LazyLayout {
    fn layout(&self) -> Result<&Layout> {
        if let Some(layout) = self.layout.get() {
            return Ok(layout);
        }
        let layout = store_layout_here(&self.store, &self.recipe)?;
        if layout.size() != self.size {
            let path = self.recipe.paths.first().map_or_else(PathBuf::new, |path| path.as_str().into());
            let cause = format!("found a layer of {} bytes, expected {}", layout.size(), self.size);
            return Err(Error::changed(&path, cause));
        }
        Ok(self.layout.get_or_init(|| layout))
    }
}

impl From<Layout> for Source {
    fn from(layout: Layout) -> Source {
        Source::Layout(Arc::new(layout))
    }
}

impl Source {
    /// A store layer of a known size, laid out when it is read.
    pub fn lazy(store: &Store, recipe: &Recipe, size: u64) -> Source {
        let (store, recipe) = (store.clone(), recipe.clone());
        Source::Lazy(Arc::new(LazyLayout { store, recipe, size, layout: OnceLock::new() }))
    }

    /// A tar in a file of its own.
    pub fn blob(path: &Path) -> Result<Source> {
        Source::open_blob(open_regular(path).map_err(Error::read(path))?, path)
    }

    /// A tar in an open file; `path` is what messages call it.
    pub fn open_blob(file: File, path: &Path) -> Result<Source> {
        let size = file.metadata().map_err(Error::read(path))?.len();
        Ok(Source::Blob { path: path.to_owned(), file: Arc::new(file), size })
    }

    /// Size of the tar in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Source::Layout(layout) => layout.size(),
            Source::Blob { size, .. } => *size,
            Source::Part(part) => part.size(),
            Source::Lazy(lazy) => lazy.size,
        }
    }

    /// The tar, as far as it is one that exists: all of it, or what a layout appends to. None for one that is only laid
    /// out.
    pub fn file(&self) -> Option<Part> {
        match self {
            Source::Blob { path, file, size } => Some(Part::new(Arc::clone(file), path, 0, *size)),
            Source::Part(part) => Some(part.clone()),
            Source::Layout(layout) => layout.prefix.as_ref().map(crate::Prefix::part),
            Source::Lazy(_) => None,
        }
    }

    /// A reader at the first byte.
    pub fn reader(&self) -> Result<Reader<'_>> {
        Ok(match self {
            Source::Layout(layout) => Reader::Layout(Box::new(LayoutReader::new(layout))),
            Source::Blob { path, file, size } => {
                let reader = Part::new(Arc::clone(file), path, 0, *size).reader();
                Reader::Blob { path, file, size: *size, reader }
            }
            Source::Part(part) => Reader::Part { path: part.name(), reader: part.reader() },
            Source::Lazy(lazy) => Reader::Layout(Box::new(LayoutReader::new(lazy.layout()?))),
        })
    }
}

/// Reads a layer's bytes front to back.
pub enum Reader<'a> {
    /// Headers made and files read as laid out.
    Layout(Box<LayoutReader<'a>>),
    /// A tar in a file of its own.
    Blob {
        /// What messages call it.
        path: &'a Path,
        /// The open tar.
        file: &'a File,
        /// Bytes expected.
        size: u64,
        /// Where reading stands.
        reader: PartReader,
    },
    /// A tar inside of a file.
    Part {
        /// What messages call it.
        path: &'a Path,
        /// Where reading stands.
        reader: PartReader,
    },
}

impl Reader<'_> {
    /// Fills the buffer as far as the layer goes; returns how much was filled, less than the whole only at the end.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Reader::Layout(reader) => reader.fill(buffer),
            Reader::Blob { path, file, size, reader } => {
                if file.metadata().map_err(Error::read(path))?.len() != *size {
                    return Err(Error::changed(path, "its size is not what it was".to_owned()));
                }
                read_full(reader, buffer).map_err(Error::read(path))
            }
            Reader::Part { path, reader } => read_full(reader, buffer).map_err(Error::read(path)),
        }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill(buffer).map_err(io::Error::other)
    }
}

/// Reads a layout as a tar: headers are made on the way, files are read straight into the caller's buffer.
pub struct LayoutReader<'a> {
    layout: &'a Layout,
    next: usize,
    /// Header bytes of the current member, and how many of them are out.
    header: Vec<u8>,
    header_out: usize,
    file: Option<OpenFile<'a>>,
    /// Zeros to come before the next member.
    padding: u64,
    position: u64,
}

impl<'a> LayoutReader<'a> {
    fn new(layout: &'a Layout) -> LayoutReader<'a> {
        LayoutReader { layout, next: 0, header: Vec::new(), header_out: 0, file: None, padding: 0, position: 0 }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let step = self.step(&mut buffer[filled..])?;
            if step == 0 && self.position == self.layout.size() {
                break;
            }
            filled += step;
            self.position += step as u64;
        }
        Ok(filled)
    }

    /// Puts out some of whatever comes next; zero bytes when that was only a change of state.
    fn step(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.header_out < self.header.len() {
            let ready = &self.header[self.header_out..];
            let count = ready.len().min(buffer.len());
            buffer[..count].copy_from_slice(&ready[..count]);
            self.header_out += count;
            return Ok(count);
        }
        if let Some(open) = &mut self.file {
            let count = open.read(buffer)?;
            if open.is_at_end() {
                open.finish()?;
                self.file = None;
            }
            return Ok(count);
        }
        if self.padding > 0 {
            let count = buffer.len().min(usize::try_from(self.padding).unwrap_or(usize::MAX));
            buffer[..count].fill(0);
            self.padding -= count as u64;
            return Ok(count);
        }
        self.begin_next()?;
        Ok(0)
    }

    /// Turns to the next member, or to the zeros that end the tar.
    fn begin_next(&mut self) -> Result<()> {
        let layout = self.layout;
        self.header.clear();
        self.header_out = 0;
        if let Some(prefix) = layout.prefix.as_ref().filter(|prefix| self.position == 0 && prefix.length > 0) {
            self.file = Some(OpenFile::new(ExpectedFile::prefix(prefix))?);
            return Ok(());
        }
        let index = self.next;
        let Some(member) = layout.members.get(index) else {
            self.padding = layout.size() - self.position;
            return Ok(());
        };
        self.next += 1;
        layout.common.append_header(&member.entry, &mut self.header);
        let size = member.entry.kind.size();
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        if size > 0 {
            let file = OpenFile::new(ExpectedFile::member(layout, member))?;
            self.file = Some(match &layout.sums {
                None => file,
                Some(sums) => file.summed(&sums[index]),
            });
        }
        Ok(())
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &mut impl Read, mut buffer: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match read_some(file, buffer)? {
            0 => break,
            count => {
                total += count;
                buffer = &mut buffer[count..];
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_tar::{Owner, walk_tree};
    use std::fs;

    /// Gives a byte at every second call, and a signal at the others.
    struct Interrupted(usize);

    impl Read for Interrupted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                calls if !calls.is_multiple_of(2) => Err(io::ErrorKind::Interrupted.into()),
                calls if calls > 6 => Ok(0),
                _ => {
                    buffer[0] = b'x';
                    Ok(1)
                }
            }
        }
    }

    #[test]
    fn interrupted_reads_are_retried() {
        let mut buffer = [0; 9];
        assert_eq!(read_some(&mut Interrupted(0), &mut buffer).unwrap(), 1);
        assert_eq!(read_full(&mut Interrupted(0), &mut buffer).unwrap(), 3);
    }

    /// A directory with a file of this many bytes, laid out.
    fn laid_out(size: usize) -> (tempfile::TempDir, Source) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), vec![7; size]).unwrap();
        let layout = Layout::gnu_numeric(walk_tree(dir.path(), false).unwrap(), 1, &Owner::numeric_root());
        (dir, Source::from(layout))
    }

    fn read(source: &Source) -> Result<Vec<u8>> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 100]);
        let mut reader = source.reader()?;
        loop {
            match reader.fill(&mut buffer)? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[track_caller]
    fn check_changed(source: &Source, expected: &str) {
        let error = read(source).unwrap_err().to_string();
        assert!(error.starts_with("changed while it was read: ") && error.ends_with(expected), "{error}");
    }

    #[test]
    fn sizes_are_kept() {
        for size in [0, 1, 511, 512, 513, 9000] {
            let (_dir, source) = laid_out(size);
            let bytes = read(&source).unwrap();
            assert_eq!(bytes.len() as u64, source.size());
            assert_eq!(bytes[1024..1024 + size], vec![7; size]);
            assert!(bytes[1024 + size..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn changes_are_noticed() {
        let (dir, source) = laid_out(1000);
        let file = dir.path().join("x");
        let old = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, [7; 10]).unwrap();
        check_changed(&source, "found 10 bytes, expected 1000");
        fs::write(&file, [7; 1001]).unwrap();
        check_changed(&source, "found 1001 bytes, expected 1000");
        fs::write(&file, [8; 1000]).unwrap();
        check_changed(&source, "its modification time is not what it was");
        File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
        assert!(read(&source).is_ok());
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert!(matches!(read(&source), Err(Error::Tar(layerstone_tar::Error::Read { .. }))));
    }

    /// `nix-store --optimise` replaces equal files by links to one, which changes inode and change time.
    #[test]
    fn a_hard_link_in_its_place_is_no_change() {
        let (dir, source) = laid_out(1000);
        let (file, other) = (dir.path().join("x"), dir.path().join("y"));
        fs::copy(&file, &other).unwrap();
        let old = fs::metadata(&file).unwrap().modified().unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(old).unwrap();
        fs::rename(&other, &file).unwrap();
        assert!(read(&source).is_ok());
    }

    #[test]
    fn a_blob_that_changed_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let blob = dir.path().join("x.tar");
        for (then, now, good) in [(100, 100, true), (100, 99, false), (100, 101, false), (0, 0, true)] {
            fs::write(&blob, vec![1; then]).unwrap();
            let source = Source::blob(&blob).unwrap();
            fs::write(&blob, vec![1; now]).unwrap();
            assert_eq!(read(&source).is_ok(), good, "{then} {now}");
        }
    }
}
