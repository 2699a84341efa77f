//! Stacks of layers made at random, with a model that is as simple as can be: files by name.

use super::{curl, write_tar};
use crate::support::pieces::{
    Entry, Files, Packing, Pieces, gzip, new_save, oci, old_save, plain_docker, tar_of, zstd,
};
use crate::support::{Place, synth};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Stacks that are made.
const STACKS: u64 = 120;
/// What the synthetic store has of the image that is built on each stack.
const CLOSURE: [&str; 4] = ["curl-8.0", "ssl-3.0", "zlib-1.3", "libc-2.36"];

/// Numbers that look random, the same ones everywhere (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

/// The files that a stack shows, with their sizes.
type Shown = BTreeMap<String, u64>;

/// A store path and its files; one alone stands for a path that is a file.
struct StorePath {
    path: String,
    files: Vec<(String, usize)>,
}

impl StorePath {
    fn new(path: &str, kind: usize) -> StorePath {
        let name = &path[1..];
        let files = match kind {
            0 => vec![(name.to_owned(), 7)],
            _ => vec![(format!("{name}/a"), 5), (format!("{name}/d/b"), 600), (format!("{name}/d/c"), 0)],
        };
        StorePath { path: path.to_owned(), files }
    }

    fn is_file(&self) -> bool {
        self.files.len() == 1
    }

    fn name(&self) -> &str {
        &self.path[1..]
    }

    /// Its size, if all of it is to be seen.
    fn seen(&self, files: &Shown) -> Option<u64> {
        self.files.iter().map(|(name, _)| files.get(name).copied()).sum()
    }
}

/// Those of which stacks are made: two of the closure, and two others.
fn store_paths() -> Vec<StorePath> {
    let own = |letter: char| format!("/nix/store/{}-own", letter.to_string().repeat(32));
    vec![
        StorePath::new(synth().path("libc-2.36"), 1),
        StorePath::new(synth().path("zlib-1.3"), 0),
        StorePath::new(&own('1'), 1),
        StorePath::new(&own('2'), 0),
        StorePath::new(&own('3'), 1),
    ]
}

/// What a layer does: what is hidden of lower layers, and files of its own.
#[derive(Default)]
struct Layer {
    /// Names under which everything goes, and the member that says so.
    hidden: Vec<(String, String)>,
    files: Vec<(String, usize)>,
}

impl Layer {
    fn random(numbers: &mut Numbers, paths: &[StorePath]) -> Layer {
        let mut layer = Layer::default();
        for path in paths {
            let name = path.name();
            match numbers.below(if path.is_file() { 6 } else { 8 }) {
                0 => layer.files.extend(path.files.clone()),
                1 => layer.hide(name),
                2 => {
                    layer.hide(name);
                    layer.files.extend(path.files.clone());
                }
                6 => layer.hide(&format!("{name}/d{}", ["", "/b", "/c"][numbers.below(3)])),
                7 => layer.empty(&format!("{name}{}", ["", "/d"][numbers.below(2)])),
                _ => {}
            }
        }
        match numbers.below(12) {
            0 => layer.hide("nix"),
            1 => layer.hide("nix/store"),
            2 => layer.empty("nix/store"),
            3 => layer.empty("nix"),
            4 => layer.hide("nix/storehouse"),
            _ => {}
        }
        layer.files.push((format!("etc/{}", numbers.below(9)), numbers.below(9)));
        layer
    }

    fn hide(&mut self, name: &str) {
        let (folder, base) = name.rsplit_once('/').map_or(("", name), |(folder, base)| (folder, base));
        let slash = if folder.is_empty() { "" } else { "/" };
        self.hidden.push((name.to_owned(), format!("{folder}{slash}.wh.{base}")));
    }

    /// Hides what is in a directory.
    fn empty(&mut self, name: &str) {
        self.hidden.push((format!("{name}/"), format!("{name}/.wh..wh..opq")));
    }

    /// Puts the layer over what is there.
    fn apply(&self, files: &mut Shown) {
        for (hidden, _) in &self.hidden {
            let below = format!("{}/", hidden.trim_end_matches('/'));
            files.retain(|name, _| name != hidden && !name.starts_with(&below));
        }
        files.extend(self.files.iter().map(|(name, size)| (name.clone(), *size as u64)));
    }

    /// Its tar, whose members stand in any order.
    fn tar(&self, numbers: &mut Numbers) -> Vec<u8> {
        let mut members: Vec<(&str, Entry)> =
            self.hidden.iter().map(|(_, member)| (member.as_str(), Entry::File(Vec::new()))).collect();
        for (name, size) in &self.files {
            members.insert(numbers.below(members.len() + 1), (name, Entry::File(vec![b'x'; *size])));
        }
        tar_of(members.into_iter().map(|(name, entry)| (name.as_bytes(), entry)))
    }
}

/// An image of such layers, some of which stand twice, and the files that it shows.
fn stack(numbers: &mut Numbers, paths: &[StorePath]) -> (Pieces, Shown) {
    let (mut layers, mut tars): (Vec<Layer>, Vec<Vec<u8>>) = Default::default();
    let mut files = Shown::new();
    for _ in 0..=numbers.below(6) {
        let layer = Layer::random(numbers, paths);
        layer.apply(&mut files);
        tars.push(layer.tar(numbers));
        layers.push(layer);
        if numbers.below(4) == 0 {
            let again = numbers.below(layers.len());
            layers[again].apply(&mut files);
            tars.push(tars[again].clone());
            layers.push(Layer { hidden: layers[again].hidden.clone(), files: layers[again].files.clone() });
        }
    }
    (Pieces::new(&tars), files)
}

fn form(numbers: &mut Numbers, image: &Pieces) -> Files {
    let images = std::slice::from_ref(image);
    match numbers.below(5) {
        0 => plain_docker(images),
        1 => old_save(images),
        2 => new_save(images),
        3 => oci(images, &Packing::docker(gzip)),
        _ => oci(images, &Packing { compress: zstd, ..Packing::plain() }),
    }
}

fn diff(place: &Place, old: &str, new: &str) -> Value {
    serde_json::from_slice(&place.ok(&format!("inspect --json --diff {old} {new}")).stdout).unwrap()
}

/// The store paths that an image has more than one without any, with their sizes.
fn held(answer: &Value) -> BTreeMap<String, u64> {
    let added = answer["storePaths"]["added"].as_array().unwrap();
    added.iter().map(|item| (item["path"].as_str().unwrap().to_owned(), item["size"].as_u64().unwrap())).collect()
}

/// The base's bytes are in the image, and the model's store paths, of which no new layer holds one.
#[test]
fn random_stacks() {
    let place = Place::new();
    let paths = store_paths();
    write_tar(&place, "empty.tar", &plain_docker(&[Pieces::new(&[])]));
    let closure: BTreeSet<String> = CLOSURE.iter().map(|name| synth().path(name).to_owned()).collect();
    for seed in 0..STACKS {
        let mut numbers = Numbers(seed);
        let (image, files) = stack(&mut numbers, &paths);
        let model: BTreeMap<String, u64> =
            paths.iter().filter_map(|path| Some((path.path.clone(), path.seen(&files)?))).collect();
        write_tar(&place, "base.tar", &form(&mut numbers, &image));
        assert_eq!(held(&diff(&place, "empty.tar", "base.tar")), model, "stack {seed}");
        let kind = if numbers.below(2) == 0 { "single" } else { "layered" };
        place.write("image.json", json!({"name": "x", "kind": kind, "fromImage": "base.tar"}).to_string());
        place.ok(&format!("build image.json {} -o x.tar", curl()));
        let found = Pieces::of(&place.read("x.tar"));
        assert_eq!(found.layers[..image.layers.len()], image.layers, "stack {seed}");
        let answer = diff(&place, "empty.tar", "x.tar");
        let all: BTreeSet<String> = model.keys().cloned().chain(closure.clone()).collect();
        assert_eq!(held(&answer).into_keys().collect::<BTreeSet<_>>(), all, "stack {seed}");
        let new = &answer["layers"].as_array().unwrap()[image.layers.len()..];
        let new: BTreeSet<String> = new
            .iter()
            .flat_map(|layer| layer["storePaths"].as_array().unwrap())
            .map(|path| path.as_str().unwrap().to_owned())
            .collect();
        let expected = closure.iter().filter(|path| !model.contains_key(*path)).cloned().collect();
        assert_eq!(new, expected, "stack {seed}");
    }
}
