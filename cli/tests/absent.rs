//! Every command with every file that it reads, where there is no file, an empty one, or a directory: status 1, the path, and a
//! hint that says what to do.

use crate::help::{all, flags};
use crate::slips;
use crate::support::registry::Registry;
use crate::support::{Place, Run};
use std::fs;
use std::sync::Mutex;

/// Command lines with one file that is not there; OUT is where stages write a layer.
const LINES: [&str; 152] = [
    "init ABSENT -o new.json",
    "build ABSENT -o x.tar",
    "build spec.json --root ABSENT -o x.tar",
    "build spec.json --root root --base ABSENT -o x.tar",
    "build spec.json --root root --ca ABSENT --base registry:localhost:1/a -o x.tar",
    "build spec.json --root root --contents ABSENT -o x.tar",
    "build spec.json --root root --db ABSENT -o x.tar",
    "build spec.json --root root --graph ABSENT -o x.tar",
    "build spec.json --root root --extra-commands ABSENT -o x.tar",
    "build spec.json --root root --fake-root-commands ABSENT -o x.tar",
    "build spec.json --root root --run-as-root ABSENT -o x.tar",
    "build spec.json --root root --run-as-root text --kernel ABSENT --backend vm -o x.tar",
    "build spec.json --root root --previous ABSENT -o x.tar",
    "build spec.json --root root --tar-layer ABSENT -o x.tar",
    "build spec.json --root root --copy ABSENT:/x -o x.tar",
    "build spec.json --root root --strategy pipeline ABSENT -o x.tar",
    "build spec.json --root root --rates ABSENT -o x.tar",
    "rates --from ABSENT c.closure.json",
    "rates --from c.closure.json ABSENT",
    "rates --from c.closure.json c.closure.json --add ABSENT",
    "root --spec ABSENT OUT",
    "root --spec spec.json --root root --below ABSENT OUT",
    "root --spec spec.json --root root --legacy ABSENT OUT",
    "root --spec spec.json --root root --base ABSENT OUT",
    "root --root root --contents ABSENT OUT",
    "closure ABSENT",
    "closure --graph ABSENT",
    "closure --db ABSENT",
    "closure --spec ABSENT",
    "closure --spec spec.json --root root --layer ABSENT",
    "closure --diff ABSENT c.closure.json",
    "closure --diff c.closure.json ABSENT",
    "closure --verify ABSENT",
    "closure --why hello ABSENT",
    "layers ABSENT --max-layers 9",
    "layers c.closure.json --spec ABSENT",
    "layers c.closure.json --max-layers 9 --base ABSENT",
    "layers c.closure.json --max-layers 9 --previous ABSENT",
    "layers c.closure.json --max-layers 9 --rates ABSENT",
    "layers c.closure.json --max-layers 9 --strategy pipeline ABSENT",
    "layers c.closure.json --check ABSENT",
    "layers c.closure.json --compare ABSENT p.layers.json",
    "layers c.closure.json --compare p.layers.json ABSENT",
    "layers c.closure.json --explain --plan ABSENT",
    "layer ABSENT --all -o l",
    "layer p.layers.json --root root --all --spec ABSENT -o l",
    "layer p.layers.json --spec spec.json --root root --behind ABSENT OUT",
    "layer p.layers.json --root root --all --known ABSENT -o l",
    "layer --tar ABSENT -o l",
    "nix-db ABSENT OUT",
    "nix-db c.closure.json --spec ABSENT OUT",
    "nix-db c.closure.json --root root --behind ABSENT OUT",
    "ninja ABSENT",
    "make ABSENT",
    "image --spec ABSENT layers root.layer.json -o x.tar",
    "image --spec spec.json ABSENT -o x.tar",
    "image --spec spec.json --base ABSENT layers root.layer.json -o x.tar",
    "overlay export ABSENT -o x.tar",
    "overlay run --script ABSENT OUT",
    "overlay run --spec ABSENT OUT",
    "overlay run --script text --base ABSENT OUT",
    "overlay run --script text --store-closure ABSENT OUT",
    "overlay run --script text --extra-commands ABSENT OUT",
    "overlay run --script text --pre-mount ABSENT OUT",
    "overlay run --script text --contents ABSENT OUT",
    "overlay run --script text --legacy ABSENT OUT",
    "overlay run --script text --backend vm --kernel ABSENT OUT",
    "push ok.tar localhost:1/x:1 --ca ABSENT",
    "copy spec.json oci:x --root root --previous ABSENT",
    "pull localhost:1/x:1 -o x.tar --ca ABSENT",
    "copy ABSENT y.tar",
    "copy oci:ABSENT y.tar",
    "copy oci-archive:ABSENT y.tar",
    "copy docker-archive:ABSENT y.tar",
    "copy dir:ABSENT y.tar",
    "index ok.tar ABSENT -o oci:x",
    "serve ABSENT --listen 127.0.0.1:0",
    "serve ok.tar ABSENT --listen 127.0.0.1:0",
    "check ABSENT",
    "prefetch localhost:1/x --ca ABSENT",
    "ls localhost:1/x --ca ABSENT",
    "digest ABSENT",
    "digest oci:ABSENT",
    "digest dir:ABSENT",
    "digest localhost:1/x --ca ABSENT",
    "manifest ABSENT",
    "manifest oci:ABSENT",
    "merge ABSENT -o x.tar",
    "merge ok.tar ABSENT -o x.tar",
    "stream ABSENT",
    "helper binSh=$PWD/ABSENT new",
    "helper caCertificates=ABSENT new",
    "merge-trees ABSENT -o t",
    "tarsum ABSENT",
    "inspect ABSENT",
    "inspect oci:ABSENT",
    "inspect oci-archive:ABSENT",
    "inspect docker-archive:ABSENT",
    "inspect dir:ABSENT",
    "inspect ok.tar --against ABSENT",
    "inspect --diff ok.tar ABSENT",
    "diff ABSENT ok.tar",
    "diff ok.tar ABSENT",
    "diff p.layers.json p.layers.json --closure ABSENT",
    "why ABSENT hello",
    "explain ABSENT",
    "explain p.layers.json ABSENT",
    "explain c.closure.json --max-layers 9 --rates ABSENT",
    "report ABSENT",
    "report ok.tar ABSENT",
    "report ok.tar --graph ABSENT",
    "sbom ABSENT",
    "sbom c.closure.json --graph ABSENT",
    "sbom c.closure.json --db ABSENT",
    "sbom c.closure.json --meta ABSENT",
    "sbom c.closure.json --vulns ABSENT",
    "sbom p.layers.json --graph ABSENT",
    "sbom ABSENT --graph c.closure.json",
    "build spec.json -o oci:x --sbom spdx --meta ABSENT --root root",
    "push spec.json localhost:1/x:1 --sbom spdx --meta ABSENT --root root",
    "sbom --diff ABSENT c.closure.json",
    "sbom --diff c.closure.json ABSENT",
    "sbom registry:localhost:1/x --ca ABSENT",
    "check ok.tar --policy ABSENT",
    "script ABSENT",
    "overlay run --script text --post-mount ABSENT OUT",
    "overlay run --script text --post-umount ABSENT OUT",
    "manifest localhost:1/x --ca ABSENT",
    "delete localhost:1/x:1 --ca ABSENT",
    "blob localhost:1/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 --ca ABSENT",
    "attach oci:ABSENT text --type text/plain",
    "attach oci:layout ABSENT --type text/plain",
    "attach localhost:1/x:1 text --type text/plain --ca ABSENT",
    "sign oci:ABSENT --key ed.key",
    "sign oci:layout --key ABSENT",
    "sign oci:layout --key ed.key --attest ABSENT --type spdx",
    "sign oci:layout --key cosign.key --password-file ABSENT",
    "sign localhost:1/x:1 --key ed.key --ca ABSENT",
    "verify oci:ABSENT --key ed.pub",
    "verify oci:layout --key ABSENT",
    "verify oci:layout --policy ABSENT",
    "verify localhost:1/x:1 --key ed.pub --ca ABSENT",
    "pull localhost:1/x:1 -o x.tar --verify-key ABSENT",
    "copy ok.tar oci:new --verify-key ABSENT",
    "build spec.json --root root --base oci:layout --verify-key ABSENT -o x.tar",
    "discover oci:ABSENT",
    "discover localhost:1/x:1 --ca ABSENT",
    "detach oci:ABSENT --type text/plain",
    "detach localhost:1/x:1 --type text/plain --ca ABSENT",
    "build spec.json --root root --store ABSENT -o x.tar",
    "layers c.closure.json --max-layers 9 --previous autp",
    "completions bash --log ABSENT/x",
];
/// Flags whose files are written, or may be missing, or are read where a registry asks.
const OTHER_FLAGS: [&str; 19] = [
    "--erofs-cache",
    "--helper",
    "--nix-closure",
    "--link",
    "--output",
    "--blob",
    "--digest-file",
    "--provenance-file",
    "--metadata-file",
    "--depfile",
    "--cache",
    "--state",
    "--base-cache",
    "--authfile",
    "--folder",
    "--image",
    "--working-dir",
    "--put",
    "--tag",
];
/// Commands that read no file of the caller's, or whose files are those of another command in the list.
const OTHER_COMMANDS: [&str; 8] =
    ["overlay probe", "cache stats", "cache prune", "cache verify", "demo", "config", "schema", "derivation"];

/// Runs all lines, and tells those that are not answered as they should be.
fn check(make: impl Fn(&Place), is_answered: impl Fn(&str, &Run) -> bool + Sync) {
    let place = Place::new();
    slips::prepare(&place);
    make(&place);
    let (next, failed) = (Mutex::new(LINES.iter()), Mutex::new(Vec::new()));
    let work = || {
        while let Some(line) = { next.lock().unwrap().next() } {
            let line = line.replace("OUT", "-o out.layer.json --blob out.tar");
            let line = line.replace("$PWD", place.path().to_str().unwrap());
            let mut run: Run = place.command(&line).output().unwrap().into();
            if let Some((backend, rest)) = run.stderr.split_once('\n').filter(|it| it.0.starts_with("root script in "))
            {
                let (_, rest) = (backend, rest.to_owned());
                run.stderr = rest;
            }
            if !is_answered(&line, &run) {
                failed.lock().unwrap().push(format!("$ {line}\n{}= {:?}", run.stderr, run.code));
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), LINES.len(), failed.join("\n"));
}

/// An error about a file, and what to do.
fn is_told(run: &Run) -> bool {
    let lines: Vec<&str> = run.stderr.lines().collect();
    run.code == Some(1)
        && lines.first().is_some_and(|it| it.starts_with("error: "))
        && lines.last().is_some_and(|it| it.starts_with("hint: "))
}

#[test]
fn files_that_are_not_there() {
    check(|_| {}, |_, run| is_told(run) && (run.stderr.contains("ABSENT") || run.stderr.contains("autp")));
}

/// Where a directory is no input it is an error with a hint.
#[test]
fn folders() {
    check(|place| fs::create_dir(place.join("ABSENT")).unwrap(), |_, run| run.code == Some(0) || is_told(run));
}

#[test]
fn empty_files() {
    check(|place| drop(place.write("ABSENT", "")), |_, run| run.code == Some(0) || is_told(run));
}

/// Commands that look into something or move it, and what stands behind them; IT is what they are given.
const COMMANDS: [&str; 30] = [
    "inspect IT",
    "inspect IT --files",
    "inspect IT --tree --json",
    "inspect IT --against ok.tar",
    "diff IT ok.tar",
    "diff ok.tar IT",
    "why IT libc",
    "explain IT --max-layers 5",
    "report IT -o page.html",
    "report ok.tar IT --json",
    "check IT --root root",
    "sbom IT",
    "ls IT",
    "digest IT",
    "manifest IT",
    "delete IT",
    "attach IT text --type text/plain",
    "sign IT --key ed.key",
    "verify IT --key ed.pub",
    "discover IT",
    "detach IT --type text/plain",
    "merge IT -o new.tar",
    "copy IT oci:new --root root",
    "push IT HOST/x:1 --root root",
    "pull IT -o new.tar",
    "prefetch IT",
    "overlay export IT -o new.tar",
    "index IT -o oci:new --root root",
    "tarsum IT",
    "script IT",
];
/// Things of every kind.
const PLACES: [&str; 19] = [
    "ok.tar",
    "cut.tar",
    "root.tar",
    "layout",
    "oci:layout",
    "oci-archive:oci.tar",
    "registry:HOST/hello:1",
    "docker:none:1",
    "spec.json",
    "c.closure.json",
    "p.layers.json",
    "root.layer.json",
    "graph.json",
    "list.json",
    "-",
    "folder",
    "empty",
    "text",
    "/dev/null",
];

/// Every command that looks into something or moves it, with things of every kind: it does so, or an error says what to do.
#[test]
fn every_kind_of_place() {
    let Some(registry) = Registry::start() else { return };
    let model = Place::new();
    slips::prepare(&model);
    model.ok("copy ok.tar oci-archive:oci.tar");
    model.ok(&format!("copy ok.tar registry:{}/hello:1", registry.host()));
    let pairs: Vec<(&str, &str)> =
        COMMANDS.iter().flat_map(|command| PLACES.iter().map(|it| (*command, *it))).collect();
    let (next, failed) = (Mutex::new(pairs.iter()), Mutex::new(Vec::new()));
    let work = || {
        let place = Place::new();
        while let Some((command, it)) = { next.lock().unwrap().next() } {
            slips::copy(model.path(), place.path());
            let line = command.replace("IT", it).replace("HOST", registry.host());
            let mut command = place.command(&line);
            command.env("DOCKER_HOST", "unix:///nothere.socket");
            let run: Run = command.output().unwrap().into();
            let is_usage = run.code == Some(2) && run.stderr.contains("\n\nFor more information, try 'layerstone ");
            if run.code != Some(0) && !is_told(&run) && !is_usage {
                failed.lock().unwrap().push(format!("$ {line}\n{}= {:?}", run.stderr, run.code));
            }
            place.check_no_leftovers();
            fs::remove_dir_all(place.path()).unwrap();
            fs::create_dir(place.path()).unwrap();
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), pairs.len(), failed.join("\n"));
}

/// A flag or a command that reads files and is not in the list is noticed.
#[test]
fn every_file_is_in_the_list() {
    for text in all(&[]).split("$ layerstone ").skip(2) {
        let (command, help) = text.split_once(" --help\n").unwrap();
        if help.contains("\nCommands:\n") {
            continue;
        }
        let reads = |value: &str| {
            ["FILE", "JSON", "PLACE", "PATH", "DIR", "OLD"].iter().any(|word| value.contains(word))
                && !value.contains("PATTERN")
        };
        for flag in flags(help).iter().filter(|flag| reads(&flag.value) && !OTHER_FLAGS.contains(&&*flag.name)) {
            let is_there = LINES.iter().any(|line| line.contains(&format!("{} ", flag.name)));
            assert!(is_there, "{command} {}", flag.name);
        }
        let is_there = LINES.iter().any(|line| line.starts_with(&format!("{command} ")));
        assert!(is_there || OTHER_COMMANDS.contains(&command), "{command}");
    }
}
