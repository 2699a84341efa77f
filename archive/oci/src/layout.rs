//! Writes images into the directory of an OCI layout (image-spec, image-layout.md), a new or an existing one.
//!
//! Blobs get their names when all blobs of an image are complete, and index.json is replaced last, under a lock, so that
//! several programs may add to one layout. A failure leaves the layout as it was, and removes a new one; a kill leaves at
//! most temporary files, which the next program removes, and blobs that no manifest lists.
//!
//! The directory is open from the beginning to the end, and everything in it is reached from there: blobs may lie behind
//! links that the caller, root or the owner of the layout made, and behind no others.

use crate::annotation::{has_name, is_named};
use crate::layout_file::{INDEX_NAME, LAYOUT_NAME, LAYOUT_TEXT, blob_name};
use crate::staging::Staging;
use crate::{
    BlobStore, BlobWriter, Content, Descriptor, Error, Index, PutOutcome, Reference, Referrer, Result,
    names_annotations,
};
use layerstone_layer::{CompressedBlob, DigestWriter};
use layerstone_store::{
    Digest, Directory, Error as StageError, Limit, Limits, NewDirectory, Output, is_temporary, wait_lock, write_new,
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How often a lock is tried on a marker that is gone as soon as it was made.
const TRIES: u32 = 1000;

/// The directory of a layout.
#[derive(Debug)]
pub struct OciLayout {
    path: PathBuf,
    directory: Arc<Directory>,
    staging: Staging,
    /// How much is read of what the directory has.
    limits: Limits,
    /// What index.json is to list besides the image.
    referrers: Mutex<Vec<Descriptor>>,
}

impl OciLayout {
    /// A layout in this directory: an existing one, or a new one.
    ///
    /// # Errors
    ///
    /// The directory holds something else, or an index beyond the limits, or cannot be written.
    pub fn open(path: &Path, limits: Limits) -> Result<OciLayout> {
        let new = NewDirectory::make(path).map_err(|e| match e {
            StageError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Error::NotALayout { path: path.to_owned(), cause: "found a file, expected a directory".to_owned() }
            }
            e => e.into(),
        })?;
        let (path, directory) = (path.to_owned(), Arc::clone(new.directory()));
        let layout = OciLayout { path, directory, staging: Staging::new(new), limits, referrers: Mutex::default() };
        if layout.is_begun()? {
            layout.check_marker()?;
            // Whether an image can be added is known before anything is written.
            layout.index_with(&[(Descriptor::of("", b""), None)])?;
        }
        // An error of a directory that cannot be written comes before anything is made for it.
        drop(layout.staging.create()?);
        Ok(layout)
    }

    /// Whether a directory holds a blob that is complete, as far as its size says. Nothing is made there.
    pub fn holds(directory: &Path, descriptor: &Descriptor) -> bool {
        let found = directory.join(blob_name(&descriptor.digest)).metadata();
        found.is_ok_and(|metadata| metadata.is_file() && metadata.len() == descriptor.size)
    }

    /// Whether the directory has a layout's marker; without one it must be empty, but for what programs are writing there.
    fn is_begun(&self) -> Result<bool> {
        let has_marker = || self.directory.has_below(Path::new(LAYOUT_NAME));
        if has_marker() {
            return Ok(true);
        }
        let names = self.directory.names().map_err(StageError::io("read", &self.path))?;
        let is_empty = names.iter().all(|name| is_temporary(name));
        // Another program may have made the same layout meanwhile.
        match is_empty || has_marker() {
            true => Ok(!is_empty),
            false => Err(Error::OtherFiles { path: self.path.clone() }),
        }
    }

    /// Whether the marker is one of a version that is supported.
    fn check_marker(&self) -> Result<()> {
        let text = self.read(Path::new(LAYOUT_NAME));
        let text = text.map_err(StageError::io("read", &self.path.join(LAYOUT_NAME)))?;
        let checked = self.limits.check(Limit::Json, text.len() as u64);
        checked.map_err(|exceeded| self.wrong(&format!("{LAYOUT_NAME}: {exceeded}")))?;
        let version = serde_json::from_slice::<Value>(&text).ok();
        let version = version.as_ref().and_then(|value| value["imageLayoutVersion"].as_str());
        match version.is_some_and(|version| version.starts_with("1.")) {
            true => Ok(()),
            false => Err(self.wrong("oci-layout: expected {\"imageLayoutVersion\":\"1.0.0\"}")),
        }
    }

    /// The bytes of a piece of JSON; of one that has more than it may, one byte more.
    fn read(&self, name: &Path) -> io::Result<Vec<u8>> {
        let (most, mut bytes) = (self.limits.most(Limit::Json).saturating_add(1), Vec::new());
        self.directory.open_file_below(name)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn wrong(&self, cause: &str) -> Error {
        Error::NotALayout { path: self.path.clone(), cause: cause.to_owned() }
    }

    /// Whether a blob exists and is complete, as far as its size says.
    fn has(&self, digest: &Digest, size: u64) -> bool {
        let found = || self.directory.metadata_below(Path::new(&blob_name(digest)));
        let is_complete = |metadata: Metadata| metadata.is_file() && metadata.len() == size;
        self.staging.has(digest, size) || found().is_ok_and(is_complete)
    }

    /// Locks the layout by its marker, which is made if it does not exist.
    ///
    /// Network file systems lock for writers alone; where there are no locks, one that adds at the same moment may be lost,
    /// and the index is complete all the same.
    fn lock(&self) -> Result<File> {
        let (name, path) = (Path::new(LAYOUT_NAME), self.path.join(LAYOUT_NAME));
        for _ in 0..TRIES {
            let file = match self.directory.open_lockable_below(name) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    // Replaces none that another program made meanwhile and holds a lock on.
                    write_new(&self.directory, &path, LAYOUT_TEXT.as_bytes())?;
                    continue;
                }
                opened => opened.map_err(StageError::io("open", &path))?,
            };
            wait_lock(&file).map_err(StageError::io("lock", &path))?;
            // A program that failed may have removed the layout that it had made.
            let locked = file.metadata().map_err(StageError::io("open", &path))?;
            let now = self.directory.metadata_below(name);
            if now.is_ok_and(|now| (now.dev(), now.ino()) == (locked.dev(), locked.ino())) {
                return Ok(file);
            }
        }
        Err(StageError::io("lock", &path)(io::Error::other("it is replaced all the time")).into())
    }

    /// The path of the index, and its bytes; an empty one if there is none.
    fn read_index(&self) -> Result<(PathBuf, Vec<u8>)> {
        let path = self.path.join(INDEX_NAME);
        match self.read(Path::new(INDEX_NAME)) {
            Ok(bytes) => Ok((path, bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Ok((path, Index::<Descriptor>::new(Vec::new(), BTreeMap::new()).to_bytes()))
            }
            Err(e) => Err(StageError::io("read", &path)(e).into()),
        }
    }

    /// The path of the index, and its bytes with these manifests more, each of which takes its name from whatever had it.
    fn index_with(&self, manifests: &[(Descriptor, Option<&Reference>)]) -> Result<Option<(PathBuf, Vec<u8>)>> {
        let (path, bytes) = self.read_index()?;
        let name = path.display().to_string();
        let mut index = parse_index(&bytes, &name, &self.limits)?;
        let is_changed = add_manifests(manifests_of(&mut index, &name)?, manifests);
        Ok(is_changed.then(|| (path, serde_json::to_vec(&index).expect("it was JSON"))))
    }

    /// Lists manifests and the referrers that were put, once all blobs have their names.
    fn list(&self, mut manifests: Vec<(Descriptor, Option<&Reference>)>) -> Result<()> {
        // Locked until the end.
        let _lock = self.lock()?;
        let referrers = self.referrers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        manifests.extend(referrers.into_iter().map(|referrer| (referrer, None)));
        let Some((path, index)) = self.index_with(&manifests)? else { return self.staging.publish(|| Ok(())) };
        // Written before the blobs get their names, so that a full disk changes nothing.
        let mut output = Output::create_below(&self.directory, Path::new(INDEX_NAME), &path)?;
        output.write_all(&index).map_err(StageError::io("write", &path))?;
        self.staging.publish(|| Ok(output.commit()?))
    }

    /// Takes manifests without a name out of the index, and entries that are just these; how many there were. Blobs stay.
    ///
    /// # Errors
    ///
    /// The index cannot be read or written.
    pub fn unlist(&self, digests: &[Digest], entries: &[Value]) -> Result<usize> {
        let _lock = self.lock()?;
        let (path, bytes) = self.read_index()?;
        let name = path.display().to_string();
        let mut index = parse_index(&bytes, &name, &self.limits)?;
        let listed = manifests_of(&mut index, &name)?;
        let before = listed.len();
        let digests: HashSet<String> = digests.iter().map(Digest::to_string).collect();
        let is_meant = |entry: &Value| entry["digest"].as_str().is_some_and(|digest| digests.contains(digest));
        let is_unnamed = |entry: &Value| !has_name(&entry["annotations"]);
        listed.retain(|entry| !(entries.contains(entry) || is_meant(entry) && is_unnamed(entry)));
        let count = before - listed.len();
        if count > 0 {
            let mut output = Output::create_below(&self.directory, Path::new(INDEX_NAME), &path)?;
            let bytes = serde_json::to_vec(&index).expect("it was JSON");
            output.write_all(&bytes).map_err(StageError::io("write", &path))?;
            output.commit()?;
        }
        Ok(count)
    }
}

impl BlobStore for OciLayout {
    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> Result<PutOutcome> {
        let Descriptor { digest, size, .. } = descriptor;
        if self.has(digest, *size) {
            return Ok(PutOutcome::Existing);
        }
        let mut output = self.staging.create()?;
        let mut writer = DigestWriter::new(&mut output);
        let path = self.path.join(blob_name(digest));
        content.write_to(0, &mut writer).map_err(|error| error.of_blob(&path))?;
        let (found, found_size) = writer.finish();
        if (found, found_size) != (*digest, *size) {
            let label = path.display().to_string();
            return Err(Error::Blob { label, found, found_size, expected: *digest, size: *size });
        }
        self.staging.keep(output, digest, *size)?;
        Ok(PutOutcome::Sent)
    }

    fn put_streaming(&self, write: &mut BlobWriter<'_>) -> Result<(CompressedBlob, PutOutcome)> {
        let mut output = self.staging.create()?;
        // Its digest is not known before it is written.
        let packed = write(&mut output).map_err(|error| match error {
            Error::Layer(error) => error.of_blob(&self.path).into(),
            other => other,
        })?;
        if self.has(&packed.digest, packed.size) {
            return Ok((packed, PutOutcome::Existing));
        }
        self.staging.keep(output, &packed.digest, packed.size)?;
        Ok((packed, PutOutcome::Sent))
    }

    fn prefers_streaming(&self) -> bool {
        true
    }

    fn put_referrer(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.put_manifest(descriptor, bytes)?;
        let entry = Referrer::of(descriptor, bytes).map_or_else(|| descriptor.clone(), |it| it.entry_of_layout());
        self.referrers.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        Ok(())
    }

    fn finish_referrers(&self) -> Result<()> {
        self.list(Vec::new())
    }

    /// Takes the name from whatever had it.
    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Reference>) -> Result<()> {
        self.put_manifest(descriptor, bytes)?;
        let annotations = name.map_or_else(BTreeMap::new, names_annotations);
        self.list(vec![(Descriptor { annotations, ..descriptor.clone() }, name)])
    }
}

/// Adds manifests to what an index.json lists, each of which takes its name from whatever had it; all else stays as it is.
/// Whether anything changed: what is listed so already stays where it is.
fn add_manifests(listed: &mut Vec<Value>, manifests: &[(Descriptor, Option<&Reference>)]) -> bool {
    let mut is_changed = false;
    // Referrers have no names and are many, so that they are looked for all at once.
    let mut unnamed: HashMap<String, Value> = HashMap::new();
    let mut order = Vec::new();
    for (descriptor, name) in manifests {
        let new = serde_json::to_value(descriptor).expect("text and numbers");
        let Some(name) = name else {
            let digest = descriptor.digest.to_string();
            if unnamed.insert(digest.clone(), new).is_none() {
                order.push(digest);
            }
            continue;
        };
        is_changed |= replace(listed, new, |entry| is_named(&entry["annotations"], name));
    }
    let is_unnamed = |entry: &Value| !has_name(&entry["annotations"]);
    let mut found: HashMap<String, Vec<bool>> = HashMap::new();
    for entry in listed.iter().filter(|entry| is_unnamed(entry)) {
        if let Some((digest, new)) = entry["digest"].as_str().and_then(|digest| unnamed.get_key_value(digest)) {
            found.entry(digest.clone()).or_default().push(entry == new);
        }
    }
    order.retain(|digest| found.get(digest).is_none_or(|found| *found != [true]));
    let replaced: HashSet<&str> = order.iter().map(String::as_str).collect();
    let is_replaced = |entry: &Value| entry["digest"].as_str().is_some_and(|digest| replaced.contains(digest));
    listed.retain(|entry| !(is_unnamed(entry) && is_replaced(entry)));
    listed.extend(order.iter().filter_map(|digest| unnamed.remove(digest)));
    is_changed || !order.is_empty()
}

/// Lists a manifest in place of others, at the end, unless it stands there alone; whether it did not.
fn replace(listed: &mut Vec<Value>, new: Value, is_replaced: impl Fn(&Value) -> bool) -> bool {
    let mut replaced = listed.iter().filter(|entry| is_replaced(entry));
    if replaced.next() == Some(&new) && replaced.next().is_none() {
        return false;
    }
    listed.retain(|entry| !is_replaced(entry));
    listed.push(new);
    true
}

/// An index.json within the limits.
fn parse_index(bytes: &[u8], path: &str, limits: &Limits) -> Result<Value> {
    let wrong = |cause: String| Error::Manifest { name: path.to_owned(), cause };
    let checked = limits.check(Limit::Json, bytes.len() as u64).and_then(|()| limits.check_json(bytes));
    checked.map_err(|exceeded| wrong(exceeded.to_string()))?;
    serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))
}

/// What an index.json lists.
fn manifests_of<'a>(index: &'a mut Value, path: &str) -> Result<&'a mut Vec<Value>> {
    let wrong = |cause: &str| Error::Manifest { name: path.to_owned(), cause: cause.to_owned() };
    let keys = index.as_object_mut().ok_or_else(|| wrong("expected an object"))?;
    let listed = keys.entry("manifests").or_insert(Value::Null);
    if listed.is_null() {
        *listed = Value::Array(Vec::new());
    }
    listed.as_array_mut().ok_or_else(|| wrong("manifests: expected a list"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::thread;

    fn add(directory: &Path, number: usize) -> Result<()> {
        let layout = OciLayout::open(directory, Limits::default())?;
        let name: Reference = format!("image{number}:1").parse().unwrap();
        let bytes = b"{}";
        layout.finish(&Descriptor::of("application/json", bytes), bytes, Some(&name))
    }

    #[test]
    fn what_is_listed_already_is_not_written_again() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("layout");
        let inode = || directory.join(INDEX_NAME).metadata().unwrap().ino();
        add(&directory, 1).unwrap();
        add(&directory, 2).unwrap();
        let (before, bytes) = (inode(), fs::read(directory.join(INDEX_NAME)).unwrap());
        add(&directory, 1).unwrap();
        assert_eq!((inode(), fs::read(directory.join(INDEX_NAME)).unwrap()), (before, bytes));
        add(&directory, 3).unwrap();
        assert_ne!(inode(), before);
    }

    /// Entries as in index.json, by digests and names; a star marks one with another size.
    #[track_caller]
    fn check_added(listed: &[&str], added: &[&str], expected: Option<&[&str]>) {
        let descriptor = |text: &str| {
            let (text, size) = text.strip_suffix('*').map_or((text, 1), |text| (text, 2));
            let (digest, name) = text.split_once('=').unwrap_or((text, ""));
            let name: Option<Reference> = (!name.is_empty()).then(|| name.parse().unwrap());
            let annotations = name.as_ref().map_or_else(BTreeMap::new, names_annotations);
            (Descriptor { annotations, ..Descriptor::new("a/b", Digest::of(digest.as_bytes()), size) }, name)
        };
        let values = |all: &[&str]| -> Vec<Value> {
            all.iter().map(|text| serde_json::to_value(descriptor(text).0).unwrap()).collect()
        };
        let added: Vec<_> = added.iter().map(|text| descriptor(text)).collect();
        let added: Vec<_> = added.iter().map(|(descriptor, name)| (descriptor.clone(), name.as_ref())).collect();
        let mut found = values(listed);
        let is_changed = add_manifests(&mut found, &added);
        assert_eq!((is_changed, found), (expected.is_some(), values(expected.unwrap_or(listed))));
    }

    #[test]
    fn added_to_an_index() {
        check_added(&[], &["a=x:1", "b", "c"], Some(&["a=x:1", "b", "c"]));
        check_added(&["a=x:1", "b"], &["a=x:1", "b"], None);
        check_added(&["b", "a=x:1", "c"], &["d=x:1"], Some(&["b", "c", "d=x:1"]));
        // A name is that of an image, whatever else of the same digest is listed.
        check_added(&["a=x:1"], &["a"], Some(&["a=x:1", "a"]));
        check_added(&["a", "b*", "c"], &["b", "c", "d"], Some(&["a", "c", "b", "d"]));
        check_added(&["b", "a", "b"], &["b"], Some(&["a", "b"]));
        check_added(&["a"], &["b", "b", "b*"], Some(&["a", "b*"]));
    }

    #[test]
    fn taken_out_of_an_index() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), 1).unwrap();
        let path = dir.path().join(INDEX_NAME);
        let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let [image, other] = [index["manifests"][0].clone(), Value::from("no entry")];
        let mut unnamed = image.clone();
        unnamed.as_object_mut().unwrap().remove("annotations");
        index["manifests"] = vec![image.clone(), unnamed, other.clone()].into();
        fs::write(&path, index.to_string()).unwrap();
        let layout = OciLayout::open(dir.path(), Limits::default()).unwrap();
        let left = || serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).unwrap()["manifests"].clone();
        let digest = image["digest"].as_str().unwrap().parse().unwrap();
        assert_eq!(layout.unlist(&[digest], &[]).unwrap(), 1);
        assert_eq!(left(), Value::from(vec![image.clone(), other.clone()]));
        assert_eq!(layout.unlist(&[digest], std::slice::from_ref(&other)).unwrap(), 1);
        assert_eq!(left(), Value::from(vec![image.clone()]));
        assert_eq!(layout.unlist(&[], &[image]).unwrap(), 1);
    }

    #[test]
    fn none_of_many_that_make_one_layout_is_lost() {
        for _ in 0..50 {
            let dir = tempfile::tempdir().unwrap();
            let directory = dir.path().join("layout");
            thread::scope(|scope| {
                let adding: Vec<_> = (0..6)
                    .map(|number| {
                        scope.spawn({
                            let directory = &directory;
                            move || add(directory, number)
                        })
                    })
                    .collect();
                adding.into_iter().for_each(|it| it.join().unwrap().unwrap());
            });
            let index: Value = serde_json::from_slice(&fs::read(directory.join(INDEX_NAME)).unwrap()).unwrap();
            let listed = index["manifests"].as_array().unwrap();
            let names: BTreeSet<_> = listed.iter().map(|it| it["annotations"].to_string()).collect();
            assert_eq!(names.len(), 6, "{index}");
        }
    }
}
