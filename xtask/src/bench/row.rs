//! The rows: what is compared with what.

use crate::bench::graph::{self, Shape};
use crate::bench::measure::{Output, Pipeline, is_installed, program};
use crate::bench::subject::Subject;
use crate::bench::{base, database};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;

/// Name of the planning rows.
pub const PLAN: &str = "plan";
/// Name of the row of a database.
pub const DATABASE: &str = "db";
/// All names, for `--only`.
pub const NAMES: [&str; 10] = ["layer", "layer-j1", "hash", "tar", "gzip", "zstd", "base", "scan", PLAN, DATABASE];

/// Two pipelines that do comparable work.
pub struct Row {
    pub name: &'static str,
    pub ours: Pipeline,
    pub theirs: Option<Pipeline>,
    /// Our side on one thread, into another file, where its bytes are to be compared.
    pub alone: Option<Pipeline>,
    /// Bytes that go through.
    pub bytes: u64,
    /// What the ratio of wall times, or without other side the seconds, should stay under.
    pub target: Option<f64>,
}

/// Whether a row is to be run.
pub fn is_wanted(name: &str, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|wanted| wanted == name)
}

/// The rows of a closure; those whose tools are missing are left out with a note.
pub fn of_subject(subject: &Subject, only: &[String]) -> Result<Vec<Row>> {
    type Make = fn(&Subject) -> Result<Row>;
    let rows: [(&str, &str, Make); 8] = [
        ("layer", "tar", |subject| Ok(layer(subject))),
        ("layer-j1", "tar", |subject| Ok(layer_alone(subject))),
        ("hash", "openssl", hash),
        ("tar", "tar", |subject| Ok(build_tar(subject))),
        ("gzip", "pigz", |subject| Ok(build_gzip(subject))),
        ("zstd", "zstd", |subject| Ok(build_zstd(subject))),
        ("base", "openssl", on_a_base),
        ("scan", "xargs", |subject| Ok(scan(subject))),
    ];
    let mut made = Vec::new();
    for (name, tool, make) in rows.into_iter().filter(|(name, ..)| is_wanted(name, only)) {
        match is_installed(tool) {
            true => made.push(make(subject)?),
            false => eprintln!("{name}: left out: {tool} is not installed"),
        }
    }
    Ok(made)
}

/// Planning has nothing to be compared with.
pub fn of_graphs(binary: &Path, work: &Path) -> Result<Vec<Row>> {
    let next = plan("each path refers to the next 20", Shape::Next, binary, &work.join("next"))?;
    let random = plan("each path refers to 20 at random", Shape::Random, binary, &work.join("random"))?;
    Ok(vec![next, random])
}

/// A closure out of a large store's database, beside Nix's list of the same paths if Nix is there.
pub fn of_database(binary: &Path, work: &Path) -> Result<Row> {
    let (state, output) = (work.join("state"), work.join("db.closure.json"));
    let file = state.join("db/db.sqlite");
    let root = database::write(&file)?;
    let closure: [OsString; 4] = [binary.into(), "closure".into(), "--db".into(), file.clone().into()];
    let arguments: [OsString; 3] = [root.clone().into(), "-o".into(), output.clone().into()];
    let mut directory = OsString::from("NIX_STATE_DIR=");
    directory.push(&state);
    // Or else it warns that there is no group for builds.
    let quiet = "NIX_CONFIG=build-users-group =";
    let nix: [OsString; 6] = ["env".into(), directory, quiet.into(), "nix-store".into(), "-qR".into(), root.into()];
    let theirs = is_installed("nix-store").then(|| Pipeline { programs: vec![nix.to_vec()], output: Output::Null });
    Ok(Row {
        name: "a closure of 5,000 paths",
        ours: Pipeline::named([&closure[..], &arguments].concat(), &output),
        theirs,
        alone: None,
        bytes: file.metadata()?.len(),
        target: Some(0.15),
    })
}

fn plan(name: &'static str, shape: Shape, binary: &Path, files: &Path) -> Result<Row> {
    let (graph, output) = (files.with_extension("graph.json"), files.with_extension("layers.json"));
    graph::write(shape, &graph)?;
    let bytes = graph.metadata()?.len();
    let arguments: [OsString; 7] = [
        binary.into(),
        "layers".into(),
        graph.into(),
        "--max-layers".into(),
        "99".into(),
        "-o".into(),
        output.clone().into(),
    ];
    let ours = Pipeline::named(arguments.to_vec(), &output);
    Ok(Row { name, ours, theirs: None, alone: None, bytes, target: Some(1.0) })
}

fn layer(subject: &Subject) -> Row {
    let (ours, theirs) = (make_layers(subject, &[]), tar_to_null(subject));
    Row { name: "layer", ours, theirs: Some(theirs), alone: None, bytes: subject.layer_bytes, target: Some(1.2) }
}

fn layer_alone(subject: &Subject) -> Row {
    Row { name: "layer-j1", ours: make_layers(subject, &["-j1"]), target: None, ..layer(subject) }
}

/// The layers' tars are written once, for openssl to read.
fn hash(subject: &Subject) -> Result<Row> {
    let folder = subject.file("blobs");
    let blobs = make_layers_in(subject, &["--blobs"], &folder);
    blobs.run()?;
    let mut tars: Vec<OsString> = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            tars.push(path.into());
        }
    }
    tars.sort();
    let openssl = [program(["openssl", "dgst", "-sha256"]), tars].concat();
    let theirs = Pipeline { programs: vec![openssl], output: Output::Null };
    Ok(Row { name: "hash", theirs: Some(theirs), target: None, ..layer(subject) })
}

fn make_layers(subject: &Subject, flags: &[&str]) -> Pipeline {
    make_layers_in(subject, flags, &subject.file("layers"))
}

fn make_layers_in(subject: &Subject, flags: &[&str], folder: &Path) -> Pipeline {
    let layer = ours(subject, &["layer", "--all"], flags);
    let files: [OsString; 3] = [subject.layers().into(), "-o".into(), folder.into()];
    Pipeline::named([&layer[..], &files[..]].concat(), folder)
}

fn build_tar(subject: &Subject) -> Row {
    let theirs_file = subject.file("theirs.tar");
    let tar = [&program(["tar", "cf"])[..], &[theirs_file.clone().into()], &tar_arguments(subject)[..]].concat();
    let theirs = Some(Pipeline::named(tar, &theirs_file));
    Row {
        name: "tar",
        ours: build(subject, "ours.tar", &[]),
        theirs,
        alone: None,
        bytes: subject.layer_bytes,
        target: Some(1.7),
    }
}

fn build_gzip(subject: &Subject) -> Row {
    compressed(subject, "gzip", "gz", program(["pigz", "-nT"]), Some(1.0 / 3.0))
}

fn build_zstd(subject: &Subject) -> Row {
    compressed(subject, "zstd", "zst", program(["zstd", "-3", "-T0", "-q", "-c"]), None)
}

fn compressed(
    subject: &Subject,
    name: &'static str,
    ending: &str,
    compressor: Vec<OsString>,
    target: Option<f64>,
) -> Row {
    let output = Output::Stdout(subject.file(&format!("theirs.tar.{ending}")));
    let theirs = Some(Pipeline { programs: vec![tar_to_pipe(subject), compressor], output });
    Row {
        name,
        ours: build(subject, &format!("ours.tar.{ending}"), &[]),
        theirs,
        alone: Some(build(subject, &format!("alone.tar.{ending}"), &["-j1"])),
        bytes: subject.layer_bytes,
        target,
    }
}

fn build(subject: &Subject, file: &str, flags: &[&str]) -> Pipeline {
    let output = subject.file(file);
    let build = ours(subject, &["build", "--name", "bench", "--cmd", "/bin/true", "--contents", &subject.top], flags);
    let files: [OsString; 4] = ["--graph".into(), subject.closure().into(), "-o".into(), output.clone().into()];
    Pipeline::named([&build[..], &files[..]].concat(), &output)
}

/// What it takes at least: the base's layer hashed, the base copied, and the new layers made.
fn on_a_base(subject: &Subject) -> Result<Row> {
    let (layer, archive) = (subject.file("base-layer.tar"), subject.file("base.tar"));
    base::write(&layer, &archive)?;
    let copy = subject.file("copied-base.tar");
    let script = "openssl dgst -sha256 \"$1\" >/dev/null; cat \"$2\" >\"$3\"; shift 3; exec \"$@\"";
    let files: [OsString; 3] = [layer.into(), archive.clone().into(), copy.into()];
    let layers = make_layers(subject, &[]);
    let theirs = [&program(["sh", "-ec", script, "sh"])[..], &files, &layers.programs[0]].concat();
    let flags: [&str; 2] = ["--base", archive.to_str().context("the work directory is not UTF-8")?];
    Ok(Row {
        name: "base",
        ours: build(subject, "on-base.tar", &flags),
        theirs: Some(Pipeline { programs: vec![theirs], ..layers }),
        alone: None,
        bytes: subject.layer_bytes + archive.metadata()?.len(),
        target: Some(1.3),
    })
}

fn scan(subject: &Subject) -> Row {
    let output = subject.file("scanned.json");
    let scan = ours(subject, &["closure", "--scan", &subject.top], &[]);
    let files: [OsString; 2] = ["-o".into(), output.clone().into()];
    let list: [OsString; 1] = [subject.file_list().into()];
    let cat = [&program(["xargs", "-0", "-a"])[..], &list, &program(["cat"])].concat();
    Row {
        name: "scan",
        ours: Pipeline::named([&scan[..], &files].concat(), &output),
        theirs: Some(Pipeline { programs: vec![cat, program(["cat"])], output: Output::Null }),
        alone: None,
        bytes: subject.file_bytes,
        target: Some(1.5),
    }
}

/// Our binary with the subject's root.
fn ours(subject: &Subject, command: &[&str], flags: &[&str]) -> Vec<OsString> {
    let root: [OsString; 3] = ["-q".into(), "--root".into(), subject.root.clone().into()];
    [&[subject.binary.clone().into()][..], &program(command), &root, &program(flags)].concat()
}

/// A consumer besides /dev/null: GNU tar reads no files when its archive is that.
fn tar_to_null(subject: &Subject) -> Pipeline {
    Pipeline { programs: vec![tar_to_pipe(subject), program(["cat"])], output: Output::Null }
}

fn tar_to_pipe(subject: &Subject) -> Vec<OsString> {
    [program(["tar", "cf", "-"]), tar_arguments(subject)].concat()
}

/// The closure's paths, from a list: a command line may not hold them all.
fn tar_arguments(subject: &Subject) -> Vec<OsString> {
    vec!["-C".into(), subject.root.clone().into(), "--files-from".into(), subject.path_list().into()]
}
