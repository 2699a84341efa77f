//! Base images of every kind give one image; which of several is meant; what the new image keeps of its base.

mod forms;
mod names;
mod results;
mod stacks;

use crate::support::pieces::{Entry, Files, Pieces, tar, tar_of};
use crate::support::{Place, synth};

/// The flags of a build that needs `curl`, whose closure is four store paths.
fn curl() -> String {
    let store = synth();
    format!(
        "--name x --tag 1 --contents {} --root {} --graph {}",
        store.path("curl-8.0"),
        store.root.display(),
        store.graph.display()
    )
}

/// Makes an image that holds a store path, its closure and a customisation layer.
#[track_caller]
fn make_base(place: &Place, name: &str, file: &str) {
    let store = synth();
    let (root, graph) = (store.root.display(), store.graph.display());
    let path = store.path(name);
    place.ok(&format!("build --name base --tag 1 --contents {path} --root {root} --graph {graph} -o {file}"));
}

/// Three layers by hand: what a system has, a store path, and a change of the first.
fn made_by_hand() -> Pieces {
    let text = |text: &str| Entry::File(text.as_bytes().to_vec());
    let libc = &synth().path("libc-2.36")[1..];
    let files: [&[(&str, Entry)]; 3] = [
        &[
            ("etc/", Entry::Folder),
            ("etc/passwd", text("root")),
            ("usr/bin/", Entry::Folder),
            ("bin", Entry::Symlink("usr/bin".to_owned())),
            ("usr/bin/sh", text("sh")),
        ],
        &[(libc, Entry::Folder), (&format!("{libc}/file"), text("some libc"))],
        &[("etc/.wh.passwd", text("")), ("usr/bin/bash", Entry::HardLink("usr/bin/sh".to_owned()))],
    ];
    let layers = files.map(|files| tar_of(files.iter().map(|(name, entry)| (name.as_bytes(), entry.clone()))));
    let mut pieces = Pieces::new(&layers);
    pieces.config["config"] = serde_json::json!({"Env": ["PATH=/bin"], "Cmd": null});
    pieces
}

/// Writes a tar of files.
fn write_tar(place: &Place, name: &str, files: &Files) {
    place.write(name, tar(files));
}
