//! Names and links of members, of the archive itself and of its layers, that lead out, round in a circle, or nowhere.

use super::{BUILDERS, READERS, check_everywhere, image, layer, place};
use crate::support::pieces::{Entry, Files, Pieces, old_save, plain_docker, replace, tar, tar_of};
use crate::support::{Place, digest};
use serde_json::json;

fn symlink(target: &str) -> Entry {
    Entry::Symlink(target.to_owned())
}

fn hard_link(target: &str) -> Entry {
    Entry::HardLink(target.to_owned())
}

fn empty() -> Entry {
    Entry::File(Vec::new())
}

/// What is said of the archive when its second layer is this, and these members are there too.
#[track_caller]
fn check_outer(entry: Entry, more: Files, expected: &str) {
    let place = place();
    let mut files = plain_docker(&[image()]);
    let name = format!("{}.tar", digest(&image().layers[1]));
    replace(&mut files, &name, entry);
    files.splice(0..0, more);
    place.write("base.tar", tar(&files));
    check_everywhere(&place, "base.tar", &format!("not an image: base.tar: {}", expected.replace("LAYER", &name)));
}

#[test]
fn links_of_the_archive() {
    let absent = |target: &str| format!("LAYER links to {target}, which is not there");
    for target in ["absent", "../absent", "/etc/passwd", "../../../../etc/passwd", ""] {
        check_outer(symlink(target), vec![], &absent(target));
        check_outer(hard_link(target), vec![], &absent(target));
    }
    // A hard link is one of an earlier member.
    check_outer(hard_link("manifest.json"), vec![], &absent("manifest.json"));
    check_outer(symlink("manifest.json/x"), vec![], &absent("manifest.json/x"));
    let name = format!("{}.tar", digest(&image().layers[1]));
    check_outer(symlink(&name), vec![], "too many links: LAYER");
    check_outer(
        symlink("a"),
        vec![("a".to_owned(), symlink("b")), ("b".to_owned(), symlink("./a"))],
        "too many links: LAYER",
    );
    check_outer(symlink("a"), vec![("a".to_owned(), Entry::Folder)], "found no regular file: a");
    check_outer(Entry::Folder, vec![], "found no regular file: LAYER");
    check_outer(symlink("a\n"), vec![], "LAYER links to a\\n, which is not there");
    let chain = (0..50).map(|index| (format!("{index}"), symlink(&format!("{}", index + 1)))).collect();
    check_outer(symlink("0"), chain, "too many links: LAYER");
}

/// The pieces that are no layers may be links too, which lead no further.
#[test]
fn links_for_configs_and_manifests() {
    let place = place();
    std::os::unix::fs::symlink("/etc/passwd", place.join("passwd")).unwrap();
    for name in ["manifest.json".to_owned(), format!("{}.json", digest(&image().config_bytes()))] {
        for target in ["/etc/passwd", "passwd", "../base.tar"] {
            let mut files = plain_docker(&[image()]);
            replace(&mut files, &name, symlink(target));
            place.write("base.tar", tar(&files));
            let expected = format!("not an image: base.tar: {name} links to {target}, which is not there");
            check_everywhere(&place, "base.tar", &expected);
        }
    }
    let mut files = plain_docker(&[image()]);
    files.retain(|(name, _)| name != "manifest.json");
    files.push(("manifest.json".to_owned(), Entry::Folder));
    place.write("base.tar", tar(&files));
    check_everywhere(&place, "base.tar", "not an image: base.tar: found no regular file: manifest.json");
}

/// Nothing of an archive is unpacked by its name, so that names that lead out of it are names as others are.
#[test]
fn names_of_the_archive_that_lead_out() {
    let place = place();
    let good = plain_docker(&[image()]);
    let line = format!("{} base.tar", BUILDERS[0]);
    place.write("base.tar", tar(&good));
    place.ok(&line);
    let expected = place.read("x.tar");
    for prefix in ["../", "/", "../../../", "a/../../"] {
        let mut files: Files = good.iter().map(|(name, entry)| (format!("{prefix}{name}"), entry.clone())).collect();
        files.push((format!("{prefix}../leak"), Entry::File(b"leak".into())));
        place.write("base.tar", tar(&files));
        let before = place.listing().len();
        place.ok(&line);
        assert!(place.read("x.tar") == expected, "{prefix}");
        assert_eq!(place.listing().len(), before);
    }
    // Long names, in GNU's header and in the manifest.
    let long = "n/".repeat(3000) + "layer.tar";
    let mut files = old_save(&[image()]);
    let (name, _) = files.iter_mut().find(|(name, _)| name.ends_with("layer.tar")).unwrap();
    let old = std::mem::replace(name, long.clone());
    let (_, Entry::File(manifest)) = files.iter_mut().find(|(name, _)| name == "manifest.json").unwrap() else {
        panic!()
    };
    *manifest = String::from_utf8(manifest.clone()).unwrap().replace(&old, &long).into_bytes();
    place.write("base.tar", tar(&files));
    place.ok(&line);
    assert!(place.read("x.tar") == expected);
}

/// A place whose contents are one file, `etc/file`, so that the files of a base matter.
fn place_with_contents() -> Place {
    let place = place();
    let path = format!("/nix/store/{}-x", "0".repeat(32));
    place.write(&format!("root{path}/etc/file"), "x");
    place.write("graph", json!([{"path": path, "references": []}]).to_string());
    let spec = json!({"name": "x", "tag": "1", "contents": path, "graph": "graph"});
    place.write("contents.json", spec.to_string());
    place
}

const WITH_CONTENTS: &str = "build contents.json --root root -o x.tar --base base.tar";

/// A second layer of this tar, and what is said of it.
#[track_caller]
fn check_layer(place: &Place, tar_bytes: Vec<u8>, lines: &[&str], expected: &str) {
    let base = Pieces::new(&[image().layers[0].clone(), tar_bytes]);
    let name = format!("base.tar: {}.tar", digest(&base.layers[1]));
    place.write("base.tar", tar(&plain_docker(&[base])));
    for line in lines {
        let line = if line.contains("--base base.tar") { (*line).to_owned() } else { format!("{line} base.tar") };
        let told = place.fail(&line);
        assert_eq!(told, format!("error: not a good layer: {name}: {expected}\n"), "{line}");
    }
}

#[test]
fn layers_that_lead_out() {
    let place = place_with_contents();
    let lines = [&READERS[..], &[BUILDERS[0], WITH_CONTENTS]].concat();
    let bad = |at: usize, cause: &str| {
        format!("not a good tar: header at byte {at}: found the {cause}, which leads out of the image")
    };
    for name in ["../x", "a/../../x", "/../x", "../../../../etc/passwd", "nix/store/../../../x", ".."] {
        let tar = layer(&[("a", empty()), (name, empty())]);
        check_layer(&place, tar, &lines, &bad(512, &format!("name {name}")));
    }
    for target in ["../x", "a/../../etc/passwd", "/../x"] {
        let tar = layer(&[("a", hard_link(target))]);
        check_layer(&place, tar, &lines, &bad(0, &format!("hard link target {target}")));
    }
}

/// What only those see who look at all files of the base.
#[test]
fn layers_that_no_image_can_have() {
    let place = place_with_contents();
    let expected = "expected a file of this layer or of a lower one";
    for (name, target, expected) in [
        ("a", "absent", format!("cannot link: a: found the target absent, {expected}")),
        ("etc/a", "/etc/shadow", format!("cannot link: etc/a: found the target etc/shadow, {expected}")),
        ("a", "etc", "cannot link: a: found the target etc, which is a directory, expected a file".to_owned()),
        ("a", "a", "cannot link: a: found the target a, which leads back to the link".to_owned()),
    ] {
        check_layer(&place, layer(&[(name, hard_link(target))]), &[WITH_CONTENTS], &expected);
    }
    let header = |at: usize, cause: &str| format!("not a good tar: header at byte {at}: {cause}");
    let long = "n/".repeat(2060);
    // Behind GNU's header for a long name, and the name.
    let at = 512 + 4121_usize.next_multiple_of(512);
    let tar = layer(&[(&long, Entry::Folder)]);
    check_layer(
        &place,
        tar,
        &[WITH_CONTENTS],
        &header(
            at,
            "a name: found 4119 bytes, expected at most 4096 (limit name)\nhint: --limit name=NUMBER allows more",
        ),
    );
    let tar = layer(&[("", empty())]);
    check_layer(
        &place,
        tar,
        &[WITH_CONTENTS],
        &header(0, "found a file with the name of the root, expected a directory"),
    );
    let tar = layer(&[("etc/.wh.", empty())]);
    check_layer(&place, tar, &[WITH_CONTENTS], &header(0, "found the whiteout etc/.wh., which names no file"));
}

/// Links of the base that lead out of it, or round in a circle, are in nobody's way until a file is to go through them.
#[test]
fn symbolic_links_that_lead_out() {
    let place = place_with_contents();
    for (target, cause) in [
        ("../../outside", "found the link etc -> ../../outside, which leads out of the image"),
        ("/../outside", "found the link etc -> /../outside, which leads out of the image"),
        ("etc", "found more than 40 symbolic links"),
        ("/etc/.", "found more than 40 symbolic links"),
    ] {
        let base = Pieces::new(&[layer(&[("etc", symlink(target))])]);
        place.write("base.tar", tar(&plain_docker(std::slice::from_ref(&base))));
        let told = place.fail(WITH_CONTENTS);
        assert!(told.contains(cause), "{target}: {told}");
        place.ok(&format!("{} base.tar", BUILDERS[0]));
        assert_eq!(Pieces::of(&place.read("x.tar")).layers[0], base.layers[0]);
    }
}

/// Absolute names are below the root of the image; what nixpkgs' layers are called.
#[test]
fn absolute_names() {
    let place = place_with_contents();
    let path = format!("/nix/store/{}-x", "0".repeat(32));
    let file = format!("{path}/etc/file");
    let base =
        Pieces::new(&[layer(&[("/etc", symlink("/usr/etc")), ("//usr//./etc/", Entry::Folder), (&file, empty())])]);
    place.write("base.tar", tar(&plain_docker(&[base])));
    place.ok(WITH_CONTENTS);
    let layers = Pieces::of(&place.read("x.tar")).layers;
    assert_eq!(layers.len(), 2, "the store path is in the base");
    let names: Vec<String> = crate::support::archive::members(&layers[1])
        .into_iter()
        .map(|member| String::from_utf8(member.name).unwrap())
        .collect();
    assert!(names.iter().any(|name| name.ends_with("usr/etc/file")), "{names:?}");
}

/// Bytes that are no UTF-8, newlines, and names as long as Linux takes go through.
#[test]
fn strange_names() {
    let place = place_with_contents();
    let long = format!("{}n", "n/".repeat(2047));
    // The first one is how bzip2 begins.
    let names: [&[u8]; 5] = [b"BZhang", b"\xff\xfe", b"a\nb", b" ", long.as_bytes()];
    let bytes = tar_of(names.into_iter().map(|name| (name, empty())));
    let base = Pieces::new(&[bytes]);
    place.write("base.tar", tar(&plain_docker(std::slice::from_ref(&base))));
    place.ok(WITH_CONTENTS);
    assert_eq!(Pieces::of(&place.read("x.tar")).layers[0], base.layers[0]);
}
