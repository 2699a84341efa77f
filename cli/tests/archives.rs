//! An archive that was built before: the next build leaves it alone, or copies what stayed, as long as it is the very file
//! that was written. Whatever else became of it, the store is read, and the bytes are those of a first build.

use crate::cache::{files, path, store};
use crate::support::{Place, answer, require_root, skip};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

/// What builds the image of a place with a cache.
const BUILD: &str = "build x.json --root root --cache cache --json -o";

/// Every form of an archive.
const FORMS: [&str; 3] = ["x.tar", "x.tar.gz", "x.tar.zst"];

/// The bytes of an archive that is built without a cache.
fn fresh(place: &Place, form: &str) -> Vec<u8> {
    let name = format!("fresh-{form}");
    place.ok(&format!("build x.json --root root --no-cache -o {name}"));
    fs::read(place.join(name)).unwrap()
}

/// Builds, and says whether the archive was left alone.
#[track_caller]
fn is_untouched(place: &Place, form: &str) -> bool {
    let run = place.ok(&format!("{BUILD} {form}"));
    answer(&run.stdout, "made")["untouched"].as_bool().unwrap()
}

/// Device, inode, and times of a file.
fn identity(file: &Path) -> (u64, u64, i64, i64, i64, i64) {
    let stat = fs::metadata(file).unwrap();
    (stat.dev(), stat.ino(), stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec())
}

/// Lets the store hold something else under a name, which only those notice who read it.
fn change_store(place: &Place) {
    place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
}

fn restore_store(place: &Place) {
    place.write(&format!("root{}/bin/lib", path("lib")), "library");
}

/// Gives the image a new layer on top, while those of the store stay.
fn change_image(place: &Place, text: &str) {
    place.write("file", text);
    let spec = serde_json::json!({
        "name": "x", "tag": "1", "contents": [path("app")], "graph": "graph.json", "copy": [{"from": "file", "to": "/file"}],
    });
    place.write("x.json", spec.to_string());
}

#[test]
fn what_would_be_the_same_stays() {
    for form in FORMS {
        let place = store();
        assert!(!is_untouched(&place, form));
        let (before, bytes) = (identity(&place.join(form)), fs::read(place.join(form)).unwrap());
        assert!(bytes == fresh(&place, form), "{form}");
        change_store(&place);
        assert!(is_untouched(&place, form), "{form}: the store was read");
        assert_eq!(identity(&place.join(form)), before, "{form}");
        // Whoever asks for it reads it all the same.
        let told = place.run(&format!("{BUILD} {form} --verify-cache"));
        assert!(told.code == Some(1) && told.stderr.contains("not what is remembered"), "{}", told.stderr);
    }
}

#[test]
fn a_step_of_make_writes_it_anew() {
    let place = store();
    place.ok("root --spec x.json --root root -o root.layer.json --blob root.tar");
    place.ok("layer x.layers.json --root root --cache cache --all -o layers");
    let layers = "layers/000.layer.json layers/001.layer.json layers/002.layer.json root.layer.json";
    let image = format!("image --spec x.json {layers} --root root --cache cache -o x.tar");
    place.ok(&image);
    let (before, bytes) = (identity(&place.join("x.tar")), fs::read(place.join("x.tar")).unwrap());
    change_store(&place);
    place.ok(&image);
    assert_ne!(identity(&place.join("x.tar")), before);
    assert!(fs::read(place.join("x.tar")).unwrap() == bytes, "the store was read");
    // A step that leaves alone what has its bytes compares them, as ever.
    restore_store(&place);
    let inode = identity(&place.join("x.tar")).1;
    place.ok(&format!("{image} --restat"));
    assert_eq!(identity(&place.join("x.tar")).1, inode);
}

/// A layer that stayed is copied: the store, which says something else meanwhile, is not read for it.
#[test]
fn what_stayed_is_copied() {
    for form in FORMS {
        let place = store();
        change_image(&place, "one");
        place.ok(&format!("{BUILD} {form}"));
        change_image(&place, "another");
        let expected = fresh(&place, form);
        change_store(&place);
        assert!(!is_untouched(&place, form), "{form}");
        assert!(fs::read(place.join(form)).unwrap() == expected, "{form}: the store was read");
        // Into another file as well, out of the one that is there.
        place.ok(&format!("{BUILD} other-{form}"));
        assert!(fs::read(place.join(format!("other-{form}"))).unwrap() == expected, "{form}");
    }
}

/// Something that becomes of an archive.
type Change = fn(&Path);

/// What makes another file of it, though some of it hides its traces.
const CHANGES: [(&str, Change); 10] = [
    ("removed", |file| fs::remove_file(file).unwrap()),
    ("truncated", |file| File::options().write(true).open(file).unwrap().set_len(3000).unwrap()),
    ("emptied", |file| fs::write(file, "").unwrap()),
    ("longer", |file| File::options().append(true).open(file).unwrap().write_all(b"more").unwrap()),
    ("edited", |file| edit(file)),
    ("edited, with the time that it had", |file| {
        let modified = fs::metadata(file).unwrap().modified().unwrap();
        edit(file);
        File::options().write(true).open(file).unwrap().set_modified(modified).unwrap();
    }),
    ("touched", |file| {
        File::options().write(true).open(file).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap()
    }),
    ("of another mode", |file| fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap()),
    ("hard-linked", |file| {
        let _ = fs::remove_file(file.with_file_name("link"));
        fs::hard_link(file, file.with_file_name("link")).unwrap();
    }),
    ("replaced by what another program wrote, of the same size and time", |file| {
        let (size, modified) = (fs::metadata(file).unwrap().len(), fs::metadata(file).unwrap().modified().unwrap());
        let other = file.with_file_name("other");
        fs::write(&other, vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
        fs::rename(other, file).unwrap();
    }),
];

/// Writes something into the first layer.
fn edit(file: &Path) {
    let mut open = File::options().read(true).write(true).open(file).unwrap();
    open.seek(SeekFrom::Start(600)).unwrap();
    open.write_all(b"something else").unwrap();
}

/// An archive that something became of is not believed: neither is it left alone, nor is anything copied from it.
#[test]
fn what_became_another_file_is_not_believed() {
    for form in ["x.tar", "x.tar.gz"] {
        for (name, change) in CHANGES {
            let place = store();
            place.ok(&format!("{BUILD} {form}"));
            let expected = fresh(&place, form);
            change(&place.join(form));
            assert!(!is_untouched(&place, form), "{form} {name}");
            assert!(fs::read(place.join(form)).unwrap() == expected, "{form} {name}");
            // What was written now is known again.
            assert!(is_untouched(&place, form), "{form} {name}");
            change(&place.join(form));
            place.ok(&format!("{BUILD} other-{form}"));
            assert!(fs::read(place.join(format!("other-{form}"))).unwrap() == expected, "{form} {name}");
        }
    }
}

/// Without what the cache remembered, and with a record that is damaged, all is read.
#[test]
fn what_the_cache_forgot_is_read() {
    let place = store();
    place.ok(&format!("{BUILD} x.tar"));
    let expected = fs::read(place.join("x.tar")).unwrap();
    let records = files(&place.join("cache/archives"));
    assert_eq!(records.len(), 1);
    let mut bytes = fs::read(&records[0]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&records[0], bytes).unwrap();
    assert!(!is_untouched(&place, "x.tar"));
    assert!(is_untouched(&place, "x.tar"));
    place.ok("cache prune --cache cache --cache-size 0");
    assert!(!is_untouched(&place, "x.tar"));
    assert!(fs::read(place.join("x.tar")).unwrap() == expected);
    assert!(!place.ok(&format!("{BUILD} x.tar --no-cache").replace("--cache cache", "")).stderr.contains("warning"));
    assert!(fs::read(place.join("x.tar")).unwrap() == expected);
}

/// The output may be a link, which stays one, and what it leads to is left alone or copied from.
#[test]
fn through_a_link() {
    let place = store();
    fs::create_dir(place.join("folder")).unwrap();
    symlink("folder/real.tar", place.join("x.tar")).unwrap();
    place.ok(&format!("{BUILD} x.tar"));
    let before = identity(&place.join("folder/real.tar"));
    assert!(is_untouched(&place, "x.tar") && is_untouched(&place, "folder/real.tar"));
    assert_eq!(identity(&place.join("folder/real.tar")), before);
    // Of another file it is another output.
    fs::remove_file(place.join("x.tar")).unwrap();
    symlink("folder/other.tar", place.join("x.tar")).unwrap();
    assert!(!is_untouched(&place, "x.tar"));
    assert!(fs::read(place.join("x.tar")).unwrap() == fs::read(place.join("folder/real.tar")).unwrap());
}

/// What is on another file system is not copied from, whoever serves that.
#[test]
fn on_another_file_system() {
    let place = store();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        return skip("another file system", "no /dev/shm");
    };
    if fs::metadata(other.path()).unwrap().dev() == fs::metadata(place.join(".")).unwrap().dev() {
        return skip("another file system", "/dev/shm is on the same one");
    }
    let there = other.path().join("x.tar");
    place.ok(&format!("{BUILD} {}", there.display()));
    assert!(is_untouched(&place, there.to_str().unwrap()));
    change_store(&place);
    let told = place.run(&format!("{BUILD} x.tar"));
    assert!(told.code == Some(1) && told.stderr.contains("wrong digest"), "{}", told.stderr);
    restore_store(&place);
    place.ok(&format!("{BUILD} x.tar"));
    assert!(fs::read(place.join("x.tar")).unwrap() == fs::read(there).unwrap());
}

/// In a cache of several users a record counts for who wrote it.
#[test]
fn what_another_user_remembers_is_not_believed() {
    let place = store();
    if !require_root() {
        return;
    }
    place.ok(&format!("{BUILD} x.tar"));
    assert!(is_untouched(&place, "x.tar"));
    for record in files(&place.join("cache/archives")) {
        std::os::unix::fs::chown(record, Some(65534), None).unwrap();
    }
    change_store(&place);
    let told = place.run(&format!("{BUILD} x.tar"));
    assert!(told.code == Some(1) && told.stderr.contains("wrong digest"), "{}", told.stderr);
}

/// Two at once leave one whole archive, and what is remembered of it is true.
#[test]
fn two_at_once() {
    let place = store();
    for round in 0..5 {
        change_image(&place, &format!("round {round}"));
        let expected = fresh(&place, "x.tar");
        std::thread::scope(|scope| {
            let build = || place.command(&format!("{BUILD} x.tar")).output().unwrap().status.success();
            let builds = [scope.spawn(build), scope.spawn(build), scope.spawn(build)];
            assert_eq!(builds.map(|build| build.join().unwrap()), [true; 3], "{round}");
        });
        assert!(fs::read(place.join("x.tar")).unwrap() == expected, "{round}");
        place.ok(&format!("{BUILD} x.tar"));
        assert!(fs::read(place.join("x.tar")).unwrap() == expected, "{round}");
    }
}

/// A layout that has everything stays as it is, too.
#[test]
fn a_layout_stays() {
    let place = store();
    place.ok(&format!("{BUILD} oci:x"));
    let paths = ["x/index.json", "x/oci-layout"].map(|name| place.join(name));
    let before = paths.each_ref().map(|file| identity(file));
    let listing = place.listing_of(&["x"]);
    change_store(&place);
    place.ok(&format!("{BUILD} oci:x"));
    assert_eq!((paths.each_ref().map(|file| identity(file)), place.listing_of(&["x"])), (before, listing));
}
