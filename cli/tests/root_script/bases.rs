//! Stacks of layers as scripts see them: in their order, many of them, with markers anywhere, with links that lead out.

use super::{File, archive, backends, layer_of, place, printed};
use crate::support::Place;

/// Two hundred layers, of which the upper ones win; an overlay of them takes more than the kernel has.
#[test]
fn many_layers() {
    let layers: Vec<Vec<u8>> = (0..200)
        .map(|number| {
            let (name, text) = (format!("layers/{number}"), number.to_string());
            layer_of(&[
                File::folder("layers/"),
                File::new(&name, 0o644, &text),
                File::new("top", 0o644, &text),
                File::new("layers/.wh.13", 0o644, ""),
            ])
        })
        .collect();
    let script =
        "ls /layers | wc -l; cat /top; echo; test ! -e /layers/13; ls /lower /points /disk 2> /dev/null || true";
    let Some(place) = place(&layers, script) else { return };
    for backend in backends() {
        assert_eq!(printed(&place, backend, ""), "199\n199\n", "{backend}");
    }
}

/// Each layer says which it is, in a file that the script puts together with one of its own.
#[test]
fn whiteouts_in_any_order() {
    let layers = [
        layer_of(&[
            File::folder("a/"),
            File::new("a/1", 0o644, "1"),
            File::new("a/2", 0o644, "2"),
            File::folder("b/"),
            File::new("b/1", 0o644, "1"),
            File::new("c", 0o644, "c"),
            File::folder("d/"),
            File::new("d/1", 0o644, "1"),
        ]),
        // Markers before and behind what is new, and for what is not there.
        layer_of(&[
            File::new("a/3", 0o644, "3"),
            File::new("a/.wh.1", 0o644, ""),
            File::new("b/.wh..wh..opq", 0o644, ""),
            File::new("b/2", 0o644, "2"),
            File::new(".wh.c", 0o644, ""),
            File::new("c/in", 0o644, "c"),
            File::new("d/2", 0o644, "2"),
            File::new("d/.wh..wh..opq", 0o644, ""),
            File::new(".wh.nothing", 0o644, ""),
        ]),
        // A device that overlayfs would take for a whiteout, and what it would take for its own.
        layer_of(&[File { kind: tar::EntryType::Char, ..File::new("a/2", 0o644, "") }, File::folder("e/")]),
    ];
    let Some(place) = place(&layers, "cd /; ls a b c d e; rm -r a b d; ls -d a b d 2> /dev/null || echo gone") else {
        return;
    };
    for backend in backends() {
        let expected = "a:\n3\n\nb:\n2\n\nc:\nin\n\nd:\n2\n\ne:\ngone\n";
        assert_eq!(printed(&place, backend, ""), expected, "{backend}");
        let names = crate::support::archive::members(&place.read("run.tar"));
        let names: Vec<_> = names.iter().map(|member| String::from_utf8_lossy(&member.name).into_owned()).collect();
        assert_eq!(names, ["./.wh.a", "./.wh.b", "./.wh.d"], "{backend}");
    }
}

/// Links of the base lead where they lead in the image, wherever they would lead on the machine.
#[test]
fn links_that_lead_out() {
    let layers = [layer_of(&[
        File::link("etc", "/"),
        File::link("up", "../../../../.."),
        File::link("self", "/proc/self/root"),
        File::folder("real/"),
        File::link("real/to-tmp", "/tmp/../real"),
    ])];
    let script = "echo 1 > /etc/one; echo 2 > /up/two; echo 3 > /self/three; echo 4 > /real/to-tmp/four; ls -d /o* /tw* /th* /real/*";
    let Some(place) = place(&layers, script) else { return };
    for backend in backends() {
        assert_eq!(printed(&place, backend, ""), "/one\n/real/four\n/real/to-tmp\n/three\n/two\n", "{backend}");
        assert!(["/one", "/two", "/three", "/real"].iter().all(|path| !std::path::Path::new(path).exists()));
    }
}

/// Where a base has no directory to mount at, nothing is mounted.
#[test]
fn no_folder_to_mount_at() {
    for (name, target) in [("dev", "/etc"), ("proc", "bin"), ("sys", "/")] {
        let Some(place) = place(&[layer_of(&[File::link(name, target)])], "true") else { return };
        for backend in backends().into_iter().filter(|backend| *backend != "emulation" || name == "dev") {
            let run = super::run(&place, backend, "");
            let expected = format!("cannot mount over the image's /{name}: expected a directory, found none\n");
            assert!(run.code == Some(1) && run.stderr.ends_with(&expected), "{backend}: {}", run.stderr);
        }
    }
}

/// A merged base is kept, and found again; what is kept is no part of what decides the layer.
#[test]
fn kept_bases() {
    if !super::has_machine() {
        return;
    }
    let Some(place) = place(&[layer_of(&[File::new("x", 0o644, "x")])], "cat /x; echo; echo y > /y") else { return };
    let mut layers = Vec::new();
    for _ in 0..2 {
        assert_eq!(printed(&place, "emulation", "--base-cache cache"), "x\n");
        layers.push(place.read("run.tar"));
        let kept: Vec<_> = std::fs::read_dir(place.join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].extension().unwrap(), "erofs");
    }
    assert_eq!(layers[0], layers[1]);
}

/// A layer whose bytes are not those of its diff ID is found out, and nothing of it is kept.
#[test]
fn damaged_bases() {
    let Some(place) = place(&[layer_of(&[File::new("x", 0o644, "right")])], "true") else { return };
    let base = place.read("base.tar");
    let at = base.windows(5).position(|window| window == b"right").unwrap();
    place.write("base.tar", [&base[..at], b"wrong", &base[at + 5..]].concat());
    for backend in backends() {
        let run = super::run(&place, backend, "--base-cache cache");
        assert!(
            run.code == Some(1) && run.stderr.contains("error: wrong digest: base.tar"),
            "{backend}: {}",
            run.stderr
        );
        assert!(!place.join("cache").exists() && !place.join("run.tar").exists());
        place.check_no_leftovers();
    }
}

/// A file with these extended attributes.
fn with_xattrs(name: &str, xattrs: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let keys: Vec<String> = xattrs.iter().map(|(key, _)| format!("SCHILY.xattr.{key}")).collect();
    builder.append_pax_extensions(keys.iter().map(String::as_str).zip(xattrs.iter().map(|(_, value)| *value))).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, &b"x"[..]).unwrap();
    builder.into_inner().unwrap()
}

/// Names, modes, owners, times, links of all of Debian, and contents of a part of it: what a machine sees of a file
/// system that we wrote is what a namespace sees of files that were unpacked.
#[test]
fn all_of_debian() {
    let Some(debian) = crate::support::lab::debian() else { return };
    let capability = [&[1, 0, 0, 2][..], &(1_u32 << 13).to_le_bytes(), &[0; 12]].concat();
    let xattrs: [(&str, &[u8]); 3] =
        [("security.capability", &capability), ("user.k%3Dy", b"value"), ("trusted.overlay.opaque", b"y")];
    let place = Place::new();
    place.write("base.tar", archive(&[std::fs::read(debian).unwrap(), with_xattrs("attributed", &xattrs)]));
    let script = "cd /\n\
        find . -xdev -path ./dev -prune -o -path ./proc -prune -o -path ./sys -prune -o -type f -printf '%p %m %U:%G %n %s %T@\\n' \
        -o -type d -printf '%p/ %m %U:%G %T@\\n' -o -printf '%p %y %m %U:%G %n %T@ %l\\n' | sort\n\
        find etc var/lib/dpkg usr/lib/x86_64-linux-gnu/perl-base -type f -print0 | sort -z | xargs -0 cksum\n\
        perl -e 'for (\"security.capability\", \"user.k=y\", \"trusted.overlay.opaque\") { my ($k, $f) = (\"$_\", \"/attributed\" . \"\"); my $v = \"\\0\" x 100;\n\
          my $n = syscall(191, $f, $k, $v, 100); print \"$_: \", unpack(\"H*\", substr($v, 0, $n > 0 ? $n : 0)), \"\\n\" }'";
    place.write("script.sh", script);
    let seen: Vec<(&str, String)> =
        backends().into_iter().map(|backend| (backend, printed(&place, backend, ""))).collect();
    for (backend, lines) in &seen {
        assert!(lines.lines().count() > 9000, "{backend}");
        let expected = "security.capability: 0100000200200000000000000000000000000000\nuser.k=y: 76616c7565\n\
                        trusted.overlay.opaque: \n";
        assert!(lines.ends_with(expected), "{backend}: {}", &lines[lines.len() - 200..]);
        for (line, other) in lines.lines().zip(seen[0].1.lines()) {
            assert_eq!(line, other, "{backend}, {}", seen[0].0);
        }
        assert_eq!(lines.lines().count(), seen[0].1.lines().count(), "{backend}");
    }
}
