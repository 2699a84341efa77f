//! Settings and what they reach: time, owner, root directory, architecture; each by flag and by image.json.

use crate::support::archive::{self, members};
use crate::support::{Place, Run, output, synth};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::process::Command;

const A: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a";

/// A place with one small store path, its plan, and a spec of that much more than a name and contents.
fn place(more: &serde_json::Value) -> Place {
    let place = Place::new();
    place.write(&format!("root{A}/bin/x"), "x");
    place.write("plan", json!([[A]]).to_string());
    let mut spec = json!({"name": "x", "tag": "y", "contents": [A]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    place.write("s.json", spec.to_string());
    place
}

/// The first header of the image's layer of that number: time and owner of all its entries.
fn stamp(tar: &[u8], layer: usize) -> (u64, u64, u64, String, String) {
    let name = archive::manifest(tar)["Layers"][layer].as_str().unwrap().to_owned();
    let layer = archive::member(tar, &name);
    let header = tar::Header::from_byte_slice(&layer[..512]);
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_owned()).unwrap();
    let (uname, gname) = (text(header.username_bytes()), text(header.groupname_bytes()));
    (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap(), uname, gname)
}

/// Flags of `layer` and `build`, and image.json, say the same; the owner is that of the store paths and of nothing else.
#[test]
fn time_and_owner() {
    let flags = "--mtime 1582977600 --uid 1000 --gid 100 --uname user --gname users";
    let spec = json!({"mtime": "2020-02-29T12:00:00Z", "uid": 1000, "gid": 100, "uname": "user", "gname": "users"});
    let with_flags = place(&json!({}));
    let with_spec = place(&spec);
    with_flags.ok(&format!("build s.json --root root {flags} -o x.tar"));
    with_spec.ok("build s.json --root root -o x.tar");
    let tar = with_spec.read("x.tar");
    assert_eq!(members(&with_flags.read("x.tar")), members(&tar));
    assert_eq!(stamp(&tar, 0), (1_582_977_600, 1000, 100, "user".to_owned(), "users".to_owned()));
    assert_eq!(stamp(&tar, 1), (1_582_977_600, 0, 0, String::new(), String::new()));
    with_flags.ok(&format!("layer plan --root root --index 0 {flags} -o x.layer.json"));
    with_spec.ok("layer plan --root root --index 0 --spec s.json -o x.layer.json");
    assert_eq!(with_flags.read("x.layer.json"), with_spec.read("x.layer.json"));
    let plain = place(&json!({}));
    plain.ok("build s.json --root root -o x.tar");
    assert_eq!(stamp(&plain.read("x.tar"), 0), (1, 0, 0, "root".to_owned(), "root".to_owned()));
}

/// `created` says when; `now` honours SOURCE_DATE_EPOCH.
#[test]
fn created() {
    for (created, epoch, expected) in [
        (json!({}), "5", "1970-01-01T00:00:01Z"),
        (json!({"created": "now"}), "315532800", "1980-01-01T00:00:00Z"),
        (json!({"created": "1999-12-31T23:59:59Z"}), "5", "1999-12-31T23:59:59Z"),
    ] {
        let place = place(&created);
        let mut command = place.command("build s.json --root root -o x.tar");
        assert!(command.env("SOURCE_DATE_EPOCH", epoch).status().unwrap().success());
        assert_eq!(archive::config(&place.read("x.tar"))["created"], expected);
    }
}

/// What GNU date takes: our `created` and the `mtime` of files, by flag and by image.json, are the instant that it prints.
/// Without a zone that is UTC, whatever TZ says.
#[test]
fn times_as_date_takes_them() {
    for text in [
        "@0",
        "@1700000000",
        "@1700000000.25",
        "@-1.5",
        "@ +7,5",
        "20240229",
        "2024-02-29",
        "2024-02-29 12:34",
        "2024-02-29T12:34",
        "20240229 12:34:56",
        "2024-02-29T12:34:56.789",
        "2024-02-29 12:34:56,5",
        "2024-02-29Z",
        "20240229 UTC",
        "2024-02-29T12:34:56Z",
        "2024-02-29t12:34z",
        "2024-02-29 12:34:56 UTC",
        "2024-02-29 12:34:56 gmt",
        "2024-02-29T12:34:56+02",
        "2024-02-29T12:34:56-0230",
        "2024-02-29T12:34:56.5+02:30",
        "2024-02-29 12:34 -11:00",
        " 2024-02-29 \n",
        "1066-10-14",
        "9999-12-30 21:59:59Z",
    ] {
        let mut date = Command::new("date");
        date.env("TZ", "UTC").args(["-d", text, "+%s %Y-%m-%dT%H:%M:%S.%N"]);
        let printed = output(&mut date);
        let (seconds, instant) = printed.trim_end().split_once(' ').unwrap();
        let instant = instant.trim_end_matches('0').trim_end_matches('.');
        check_time(text, seconds, &format!("{instant}Z"));
    }
    // What date refuses: the form of `self.lastModifiedDate` of flakes.
    check_time("20240229123456", "1709210096", "2024-02-29T12:34:56Z");
    check_time("20240229T123456Z", "1709210096", "2024-02-29T12:34:56Z");
}

#[track_caller]
fn check_time(text: &str, seconds: &str, instant: &str) {
    let by_spec = place(&json!({"created": text, "mtime": text}));
    let by_flag = place(&json!({}));
    let ok = |place: &Place, flags: &[&str]| {
        let mut build = place.command("build s.json --root root -o x.tar");
        let run: Run = build.args(flags).env("TZ", "America/New_York").output().unwrap().into();
        assert_eq!(run.code, Some(0), "{text:?}\n{}", run.stderr);
        place.read("x.tar")
    };
    let tar = ok(&by_spec, &[]);
    assert_eq!(tar, ok(&by_flag, &["--created", text, "--mtime", text]), "{text:?}");
    assert_eq!(archive::config(&tar)["created"], instant, "{text:?}");
    let listed =
        by_spec.write("layer.tar", archive::member(&tar, archive::manifest(&tar)["Layers"][1].as_str().unwrap()));
    let mut gnu_tar = Command::new("tar");
    let listing = output(gnu_tar.env("TZ", "UTC").args(["--list", "-v", "--full-time", "-f"]).arg(listed));
    let mut date = Command::new("date");
    let time = output(date.env("TZ", "UTC").args(["-d", &format!("@{seconds}"), "+%Y-%m-%d %H:%M:%S"]));
    assert!(listing.lines().all(|line| line.contains(time.trim_end())), "{text:?}: {time}{listing}");
}

/// On the command line plain seconds are a time too, unless they could be a date; every command takes the same.
#[test]
fn times_of_flags() {
    let place = place(&json!({}));
    let mtime = |line: &str| {
        place.ok(&format!("layer plan --root root --index 0 -o x.layer.json --mtime {line}"));
        place.json("x.layer.json")["recipe"]["mtime"].clone()
    };
    for (flag, seconds) in
        [("1", 1), ("1700000000", 1_700_000_000), ("20240229", 1_709_164_800), ("20240229123456", 1_709_210_096)]
    {
        assert_eq!(mtime(flag), json!(seconds), "{flag}");
    }
    for line in ["layer plan --index 0 -o x", "build s.json -o x", "root -o x --blob y", "merge-trees root -o x"] {
        for bad in ["99999999", "2024-02", "yesterday", "2024-02-29T24:00"] {
            let run = place.run(&format!("{line} --mtime {bad}"));
            assert!(
                run.code == Some(2) && run.stderr.contains("\"@SECONDS\" since the epoch"),
                "{line}: {}",
                run.stderr
            );
        }
    }
}

/// An architecture goes by any common name, and brings its variant.
#[test]
fn architecture() {
    for (name, expected, variant) in
        [("x86_64", "amd64", json!(null)), ("aarch64", "arm64", json!(null)), ("armv7l", "arm", json!("v7"))]
    {
        let place = place(&json!({}));
        place.ok(&format!("build s.json --root root --architecture {name} -o x.tar"));
        let config = archive::config(&place.read("x.tar"));
        assert_eq!((&config["architecture"], &config["variant"]), (&json!(expected), &variant));
    }
}

/// Absolute links are followed below `--root`, relative ones from here, and no output names the directory.
#[test]
fn root_folder() {
    let place = place(&json!({}));
    symlink(A, place.join("result")).unwrap();
    symlink("/nix/store/result-of-the-machine", place.join("root/result")).unwrap();
    symlink(format!("{A}/bin"), place.join("root/nix/store/result-of-the-machine")).unwrap();
    let root = place.join("root").display().to_string();
    for line in [
        format!("build s.json --root {root} -o spec.tar"),
        format!("build --name x --tag y --contents ./result --root {root} -o link.tar"),
        format!("closure --scan ./result --nar-hash --root {root} -o x.closure.json"),
        format!("layer plan --all --blobs --tarsum --root {root} -o blobs"),
        format!("layer plan --all --root {root} -o recipes"),
        format!("root --contents ./result --root {root} -o root.layer.json --blob root.tar"),
    ] {
        place.ok(&line);
    }
    assert!(place.read("spec.tar") == place.read("link.tar"));
    let outputs = place.listing().into_keys().filter(|path| path.is_file() && !path.starts_with(place.join("root")));
    for output in outputs {
        let bytes = std::fs::read(&output).unwrap();
        assert!(!bytes.windows(root.len()).any(|window| window == root.as_bytes()), "{}", output.display());
    }
}

/// Paths in a spec are relative to the spec's directory, wherever we are.
#[test]
fn paths_in_a_spec() {
    let place = Place::new();
    let spec = json!({
        "name": "x", "tag": "y", "contents": "result", "extraCommandsFile": "script", "graph": "graph.json",
    });
    place.write("below/s.json", spec.to_string());
    place.write("below/script", "echo hi > greeting");
    std::fs::copy(&synth().graph, place.join("below/graph.json")).unwrap();
    symlink(synth().path("curl-8.0"), place.join("below/result")).unwrap();
    let root = synth().root.display();
    place.ok(&format!("build below/s.json --root {root} -o x.tar"));
    let mut inside = place.command(&format!("build s.json --root {root} -o ../inside.tar"));
    assert!(inside.current_dir(place.join("below")).status().unwrap().success());
    assert!(place.read("x.tar") == place.read("inside.tar"));
    let layers = archive::manifest(&place.read("x.tar"))["Layers"].clone();
    let last = layers.as_array().unwrap().last().unwrap().as_str().unwrap();
    assert_eq!(archive::member(&archive::member(&place.read("x.tar"), last), "./greeting"), b"hi\n");
}
