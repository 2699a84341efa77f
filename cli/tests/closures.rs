//! What is asked about closures: are the files as recorded, why is a path there, what has changed; and what is left
//! when a path is left out.

mod verify;
mod why;

use crate::support::{Place, answer};
use serde_json::{Value, json};

const A: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-web-2.0";
const B: &str = "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-curl-8.0";
const C: &str = "/nix/store/2123456789abcdfghijklmnpqrsvwxyz-openssl-3.0.11";
const D: &str = "/nix/store/3123456789abcdfghijklmnpqrsvwxyz-glibc-2.39";
const E: &str = "/nix/store/4123456789abcdfghijklmnpqrsvwxyz-doc";

fn entry(path: &str, size: u64, references: &[&str]) -> Value {
    json!({"path": path, "narSize": size, "references": references})
}

/// web needs curl, openssl and doc; curl needs openssl and glibc, openssl needs glibc and itself; tool needs glibc.
fn web() -> String {
    json!([
        entry(A, 1000, &[B, C, E]),
        entry(B, 2_500_000, &[C, D]),
        entry(C, 5_000_000, &[C, D]),
        entry(D, 30_000_000, &[]),
        entry(E, 700, &[]),
    ])
    .to_string()
}

/// A place with `web.json`.
fn place() -> Place {
    let place = Place::new();
    place.write("web.json", web());
    place
}

/// What the program says when it is used wrongly: status 2, the first line of stderr.
#[track_caller]
fn usage(line: &str) -> String {
    let run = place().run(line);
    assert_eq!(run.code, Some(2), "layerstone {line}\n{}", run.stderr);
    assert!(run.stdout.is_empty(), "layerstone {line}");
    run.stderr.lines().next().unwrap_or_default().to_owned()
}

const NEW_B: &str = "/nix/store/z123456789abcdfghijklmnpqrsvwxyz-curl-8.0";
const NEW_C: &str = "/nix/store/y123456789abcdfghijklmnpqrsvwxyz-openssl-3.0.13";
const ZLIB: &str = "/nix/store/x123456789abcdfghijklmnpqrsvwxyz-zlib-1.3";

/// curl is built again with a new openssl, zlib has come, doc has gone.
fn newer() -> String {
    json!([
        entry(A, 1000, &[NEW_B, NEW_C, ZLIB]),
        entry(NEW_B, 2_500_008, &[NEW_C, D]),
        entry(NEW_C, 4_900_000, &[NEW_C, D]),
        entry(D, 30_000_000, &[]),
        entry(ZLIB, 130_000, &[]),
    ])
    .to_string()
}

#[test]
fn diff() {
    let place = place();
    place.write("new.json", newer());
    assert_eq!(
        place.ok("closure --diff web.json new.json").text(),
        "\
change   name                     old size  new size  difference
added    zlib-1.3                             130 kB     +130 kB
removed  doc                         700 B                -700 B
changed  curl-8.0                  2.50 MB   2.50 MB        +8 B
changed  openssl-3.0.11 → 3.0.13   5.00 MB   4.90 MB     -100 kB

1 added, 1 removed, 2 changed, 2 unchanged
5 paths, 37.5 MB before; 5 paths, 37.5 MB now: +29.3 kB
"
    );
    let found = answer(&place.ok("closure --diff web.json new.json --json").stdout, "closure-diff");
    let item = |path: &str, size: u64| json!({"path": path, "size": size});
    assert_eq!(
        found,
        json!({
            "added": [item(ZLIB, 130_000)],
            "removed": [item(E, 700)],
            "changed": [
                {"old": item(B, 2_500_000), "new": item(NEW_B, 2_500_008)},
                {"old": item(C, 5_000_000), "new": item(NEW_C, 4_900_000)},
            ],
            "unchanged": {"paths": 2, "size": 30_001_000},
            "old": {"paths": 5, "size": 37_501_700},
            "new": {"paths": 5, "size": 37_531_008},
        })
    );
    let same = place.ok("closure --diff web.json web.json");
    assert_eq!(
        same.text(),
        "0 added, 0 removed, 0 changed, 5 unchanged\n5 paths, 37.5 MB before; 5 paths, 37.5 MB now: 0 B\n"
    );
}

/// A path whose contents are others is told, although it is the same path; what has no size has none.
#[test]
fn diff_of_contents_and_without_sizes() {
    let place = place();
    place.write("new.json", web().replace("2500000", "2500001"));
    let run = place.ok("closure --diff web.json new.json");
    let line = "changed  curl-8.0, same path   2.50 MB   2.50 MB        +1 B";
    assert_eq!(run.text().lines().nth(1), Some(line), "{}", run.text());
    place.write("bare.json", json!([{"path": C, "references": []}]).to_string());
    place.write("none.json", "[]");
    let run = place.ok("closure --diff bare.json none.json");
    assert_eq!(
        run.text(),
        "\
change   name            old size  new size  difference
removed  openssl-3.0.11

0 added, 1 removed, 0 changed, 0 unchanged
1 path, 0 B before; 0 paths, 0 B now: 0 B
"
    );
}

/// The paths of the closure that this makes of `web.json`, by their names.
#[track_caller]
fn names(place: &Place, flags: &str) -> String {
    place.ok(&format!("closure --graph web.json {flags} -o x.closure.json"));
    let closure = place.json("x.closure.json");
    let graph = closure["graph"].as_array().unwrap();
    let names: Vec<_> = graph.iter().map(|info| info["path"].as_str().unwrap().split_once('-').unwrap().1).collect();
    for path in graph.iter().flat_map(|info| info["references"].as_array().unwrap()) {
        assert!(graph.iter().any(|info| info["path"] == *path), "{path} is left in references");
    }
    names.join(" ")
}

/// What is excluded takes along what only it brings in; what is left is a closure.
#[test]
fn exclude() {
    let place = place();
    assert_eq!(names(&place, &format!("--exclude {E}")), "web-2.0 curl-8.0 openssl-3.0.11 glibc-2.39");
    assert_eq!(names(&place, &format!("--exclude {B}")), "web-2.0 openssl-3.0.11 glibc-2.39 doc");
    assert_eq!(names(&place, &format!("--exclude {B} --exclude {C}")), "web-2.0 doc");
    assert_eq!(names(&place, "--exclude curl --exclude openssl-3*"), "web-2.0 doc");
    let told = place.fail("closure --graph web.json --exclude nothing -o x.json");
    assert!(told.starts_with("error: useless pattern: nothing: it matches no path of the closure\nhint: "), "{told}");
    assert_eq!(names(&place, &format!("--exclude {A}")), "");
    assert_eq!(names(&place, &format!("{B} {E} --exclude {C}")), "curl-8.0 glibc-2.39 doc");
    assert_eq!(names(&place, &format!("{A} {D} --exclude {A}")), "glibc-2.39");
    let told = place.error_of(&format!("closure --graph web.json {C} --exclude {E} -o x.json"));
    assert_eq!(told, format!("error: cannot exclude: {E}: not in the closure\n"));
}

/// Several graphs are one, if they agree; several roots give what any of them needs.
#[test]
fn several_graphs_and_roots() {
    let place = place();
    let zlib = entry(ZLIB, 130_000, &[D]);
    place.write("more.json", json!([entry(D, 30_000_000, &[]), zlib]).to_string());
    assert_eq!(names(&place, "--graph more.json"), "web-2.0 curl-8.0 openssl-3.0.11 glibc-2.39 doc zlib-1.3");
    assert_eq!(names(&place, &format!("--graph more.json {ZLIB} {C}")), "openssl-3.0.11 glibc-2.39 zlib-1.3");
    place.write("other.json", json!([entry(D, 1, &[])]).to_string());
    let told = place.fail("closure --graph web.json --graph other.json");
    let expected = format!("references graphs disagree: web.json and other.json: different NAR size of {D}");
    assert_eq!(told, format!("error: {expected}\n"));
}

#[test]
fn one_question_at_a_time() {
    let cannot = |a: &str, b: &str| format!("error: the argument '{a}' cannot be used with '{b}'");
    let (verify, diff) = ("--verify <CLOSURE.JSON>", "--diff <OLD.JSON> <NEW.JSON>");
    assert_eq!(usage("closure --verify web.json --diff web.json web.json"), cannot(verify, diff));
    assert_eq!(usage(&format!("closure --verify web.json {A}")), cannot(verify, "[ROOT]..."));
    assert_eq!(usage(&format!("closure --diff web.json web.json {A}")), cannot(diff, "[ROOT]..."));
    for flag in [
        "--graph web.json",
        "--db x",
        "--scan",
        "--nar-hash",
        "--sizes",
        "--spec x",
        "--layer x",
        "--exclude /nix/store/x",
        "-o x",
    ] {
        let told = usage(&format!("closure --verify web.json {flag}"));
        assert!(told.contains("cannot be used with"), "{flag}: {told}");
    }
    assert_eq!(
        usage("closure --diff web.json"),
        "error: 2 values required for '--diff <OLD.JSON> <NEW.JSON>' but 1 was provided"
    );
    assert_eq!(usage("closure --graph web.json --json"), "error: the following required arguments were not provided:");
    assert_eq!(
        usage("closure --graph web.json --chains 3"),
        "error: the following required arguments were not provided:"
    );
    assert_eq!(
        usage(&format!("closure --why {A} web.json --chains x")),
        "error: invalid value 'x' for '--chains <N>': expected a number or all"
    );
}
