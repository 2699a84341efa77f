//! What `report` finds in an image, as JSON and as a page: layers, contents, references, prices, what an old image has.

mod page;

use crate::support::pieces::{Entry, Pieces, plain_docker, tar, tar_of};
use crate::support::{Place, golden, golden_text, synth};
use serde_json::{Value, json};

/// The report of these words as JSON.
#[track_caller]
fn report(place: &Place, line: &str) -> Value {
    serde_json::from_slice(&place.ok(&format!("report --json {line}")).stdout).unwrap()
}

/// The entries of a kind: `PATH=SIZE` with the layer before, in their order.
fn entries(report: &Value, kind: &str) -> Vec<String> {
    let of_kind = report["paths"].as_array().unwrap().iter().filter(|path| path["kind"] == kind);
    of_kind.map(|path| format!("{} {}={}", path["layer"], path["path"].as_str().unwrap(), path["size"])).collect()
}

/// The names that each store path refers to, by name.
fn references(report: &Value) -> Vec<String> {
    let paths = report["paths"].as_array().unwrap();
    let name = |path: &Value| path["name"].as_str().unwrap().to_owned();
    let stored = paths.iter().filter(|path| path["kind"] == "storePath");
    let line = |path: &Value| {
        let used = path["references"].as_array().unwrap().iter();
        let mut used: Vec<String> = used.map(|index| name(&paths[index.as_u64().unwrap() as usize])).collect();
        used.sort();
        format!("{}: {}", name(path), used.join(" "))
    };
    let mut lines: Vec<String> = stored.map(line).collect();
    lines.sort();
    lines
}

/// nixpkgs' image of the synthetic store: its layers, and references as the graph has them, found in the files.
#[test]
fn golden_image() {
    let place = Place::new();
    let conf = golden("conf-100.json");
    place.ok(&format!("stream {} --root {} -o x.tar", conf.display(), synth().root.display()));
    let found = report(&place, "x.tar");
    assert_eq!([&found["format"], &found["version"]], [&json!("layerstone/report"), &json!(1)]);
    assert_eq!(found["references"], "scan");
    let layers: Vec<Value> = serde_json::from_str(&golden_text("layers-100.json")).unwrap();
    assert_eq!(found["layers"].as_array().unwrap().len(), layers.len());
    let paths = found["paths"].as_array().unwrap();
    for (layer, golden) in found["layers"].as_array().unwrap().iter().zip(&layers) {
        assert_eq!([&layer["diffId"], &layer["size"]], [&golden["diff_id"], &golden["size"]]);
        let own = layer["paths"].as_array().unwrap().iter().map(|index| &paths[index.as_u64().unwrap() as usize]);
        let own: Vec<&Value> = own.filter(|path| path["kind"] == "storePath").map(|path| &path["path"]).collect();
        let mut expected: Vec<&Value> = golden["paths"].as_array().unwrap().iter().collect();
        expected.retain(|path| path.as_str().unwrap().starts_with('/'));
        expected.sort_by_key(|path| path.to_string());
        assert_eq!(own, expected);
    }
    assert_eq!(found["image"]["platform"], "linux/amd64");
    let graph = synth().graph.display().to_string();
    let by_graph = report(&place, &format!("x.tar --graph {graph}"));
    assert_eq!(by_graph["references"], "graph");
    assert_eq!(references(&found), references(&by_graph));
    assert!(references(&found).iter().filter(|line| !line.ends_with(": ")).count() > 3, "{:?}", references(&found));
    check_prices(&place, &by_graph, &graph);
}

/// Prices are those of `layers --explain`.
#[track_caller]
fn check_prices(place: &Place, report: &Value, graph: &str) {
    let paths = report["paths"].as_array().unwrap();
    let plan: Vec<Vec<&Value>> = report["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| {
            let own = layer["paths"].as_array().unwrap().iter().map(|index| &paths[index.as_u64().unwrap() as usize]);
            own.filter(|path| path["kind"] == "storePath").map(|path| &path["path"]).collect()
        })
        .filter(|layer: &Vec<&Value>| !layer.is_empty())
        .collect();
    place.write("plan.json", json!(plan).to_string());
    // The graph has more than the image, and what is beside its paths is not priced.
    let roots: Vec<&str> = plan.iter().flatten().map(|path| path.as_str().unwrap()).collect();
    place.ok(&format!(
        "closure --graph {graph} --root {} -o x.closure.json {}",
        synth().root.display(),
        roots.join(" ")
    ));
    let told = place.ok("layers --explain --json --plan plan.json x.closure.json");
    let mut told: Value = serde_json::from_slice(&told.stdout).unwrap();
    for other in told["others"].as_array_mut().unwrap() {
        // The page says what a registry is sent.
        other.as_object_mut().unwrap().remove("chunksPerUpdate");
    }
    let prices = &report["prices"];
    for (own, told) in [
        (&prices["bytesPerUpdate"], &told["bytesPerUpdate"]),
        (&prices["lowerBound"], &told["lowerBound"]),
        (&prices["strategies"], &told["others"]),
    ] {
        assert_eq!(own, told);
    }
    assert_eq!(prices["strategies"].as_array().unwrap().len(), 3);
}

/// The store path of a name in a version, with a hash of its own; what is called `libc` is the same in all.
fn path(version: char, name: &str) -> String {
    let digit = if name == "libc" { '0' } else { version };
    let own = b"0123456789abcdfghijklmnpqrsvwxyz"[name.bytes().map(usize::from).sum::<usize>() % 32];
    format!("/nix/store/{}{}-{name}", digit.to_string().repeat(31), char::from(own))
}

/// An image of store paths below `rootVERSION`, each with a file that mentions those that it refers to.
pub fn image(place: &Place, version: char, paths: &[(&str, usize, &[&str])]) {
    for (name, size, references) in paths {
        let mentioned: String = references.iter().map(|name| path(version, name) + "\n").collect();
        place.write(&format!("root{version}{}/file", path(version, name)), mentioned + &"x".repeat(*size));
    }
    let app = path(version, paths[0].0);
    place.ok(&format!(
        "build --name web --tag {version} --contents {app} --cmd /bin/app --root root{version} --scan \
         --max-layers 4 --strategy popularity -o {version}.tar"
    ));
}

/// An image and its update.
pub fn updated() -> Place {
    let place = Place::new();
    let app: (&str, usize, &[&str]) = ("app", 2000, &["ssl", "tool"]);
    let rest: [(&str, usize, &[&str]); 3] =
        [("ssl", 7000, &["libc"]), ("tool", 4000, &["libc"]), ("libc", 90_000, &[])];
    image(&place, '1', &[&[app], &rest[..]].concat());
    image(&place, '2', &[&[app], &rest[..]].concat());
    place
}

/// What an old image has: as `inspect --diff` tells it of layers, and path by path.
#[test]
fn an_update() {
    let place = updated();
    let found = report(&place, "2.tar 1.tar");
    let told = place.ok("inspect --json --diff 1.tar 2.tar");
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let states = |layers: &Value| -> Vec<Value> {
        layers.as_array().unwrap().iter().map(|layer| json!([layer["diffId"], layer["state"], layer["size"]])).collect()
    };
    assert_eq!(states(&found["layers"]), states(&told["layers"]));
    assert_eq!(found["old"]["imageId"], told["old"]["imageId"]);
    let in_old = found["paths"].as_array().unwrap().iter().filter(|path| path["inOld"] == true);
    assert_eq!(in_old.map(|path| path["name"].as_str().unwrap()).collect::<Vec<_>>(), ["libc"]);
    let sizes = ["libc", "app", "ssl", "tool"].map(|name| {
        let path = found["paths"].as_array().unwrap().iter().find(|path| path["name"] == name).unwrap();
        (path["size"].as_u64().unwrap(), path["sentByChange"].as_u64().unwrap())
    });
    // All depends on libc; a change of app sends app alone, unless others lie in its layer.
    let all: u64 = sizes.iter().map(|(size, _)| size).sum();
    assert_eq!(sizes[0], (90_000, all));
    assert!(sizes[1].1 < all && sizes[1].1 >= sizes[1].0, "{sizes:?}");
    assert_eq!(references(&found), ["app: ssl tool", "libc: ", "ssl: libc", "tool: libc"]);
    let alone = report(&place, "2.tar");
    assert!(alone.get("old").is_none() && alone["layers"][0].get("state").is_none(), "{alone}");
}

/// The same bytes, however often and with however many threads.
#[test]
fn same_bytes() {
    let place = updated();
    for flags in ["", "--json "] {
        place.ok(&format!("--jobs 1 report {flags}2.tar 1.tar -o a"));
        place.ok(&format!("--jobs 8 report {flags}2.tar 1.tar -o b"));
        assert!(place.read("a") == place.read("b"), "{flags}");
        assert!(place.ok(&format!("report {flags}2.tar 1.tar")).stdout == place.read("a"), "{flags}");
    }
}

/// Writes an image of these layers as `x.tar`.
pub fn write_pieces(place: &Place, pieces: &Pieces) {
    place.write("x.tar", tar(&plain_docker(std::slice::from_ref(pieces))));
}

fn file(size: usize) -> Entry {
    Entry::File(vec![b'x'; size])
}

/// An image without store paths is told by its directories, which have no references and no prices.
#[test]
fn directories() {
    let place = Place::new();
    let layer = |files: &[(&str, Entry)]| tar_of(files.iter().map(|(name, entry)| (name.as_bytes(), entry.clone())));
    let bottom = layer(&[
        ("usr/", Entry::Folder),
        ("usr/lib/", Entry::Folder),
        ("usr/lib/a/b", file(700)),
        ("usr/lib/c", file(30)),
        ("usr/lib/d", Entry::HardLink("usr/lib/c".into())),
        ("etc/passwd", file(5)),
        ("init", file(1)),
    ]);
    let top = layer(&[("usr/lib/.wh.c", file(0)), ("etc/passwd", file(9)), ("nix/store/.links/x", file(4))]);
    let mut pieces = Pieces::new(&[bottom, top]);
    pieces.config["history"] = json!([{"created_by": "COPY rootfs /"}, {"comment": "passwd"}]);
    pieces.config["config"] = json!({"Entrypoint": ["/init"], "Cmd": ["--now"]});
    write_pieces(&place, &pieces);
    let found = report(&place, "x.tar");
    let expected = ["0 /=1", "0 /etc=5", "0 /usr/lib=730", "1 /etc=9", "1 /nix/store=4"];
    assert_eq!(entries(&found, "directory"), expected);
    assert!(
        entries(&found, "storePath").is_empty() && found.get("prices").is_none() && found.get("references").is_none()
    );
    assert_eq!(found["layers"][0]["comment"], "COPY rootfs /");
    assert_eq!(found["image"]["command"], json!(["/init", "--now"]));
}

/// A path that two layers hold refers, and is referred to, as one; a layer's compression is told.
#[test]
fn a_path_in_two_layers() {
    let place = Place::new();
    let (app, lib) = (path('1', "app"), path('1', "lib"));
    let member = |path: &str, text: &str| (format!("{}/f", &path[1..]), Entry::File(text.into()));
    let layers = [vec![member(&lib, "old")], vec![member(&app, &lib), member(&lib, "newer")]];
    let layers = layers.map(|files| tar_of(files.iter().map(|(name, entry)| (name.as_bytes(), entry.clone()))));
    write_pieces(&place, &Pieces::new(&layers));
    let found = report(&place, "x.tar");
    assert_eq!(entries(&found, "storePath"), [format!("0 {lib}=3"), format!("1 {app}=47"), format!("1 {lib}=5")]);
    assert_eq!(found["paths"][0]["copyOf"], 2);
    assert_eq!(found["paths"][1]["references"], json!([2]));
}

/// Links and names of files count as contents do, and what is no store path of the image is no reference.
#[test]
fn where_references_are_found() {
    let place = Place::new();
    let names = ["app", "linked", "named", "absent"];
    let paths: Vec<String> = names.iter().zip('1'..).map(|(name, digit)| path(digit, name)).collect();
    let base = paths[2].rsplit('/').next().unwrap();
    let files = [
        (format!("{}/link", &paths[0][1..]), Entry::Symlink(format!("{}/x", paths[1]))),
        (format!("{}/d/{base}", &paths[0][1..]), file(0)),
        (format!("{}/own", &paths[0][1..]), Entry::File(format!("{} {}", paths[0], paths[3]).into())),
        (format!("{}/x", &paths[1][1..]), file(3)),
        (paths[2][1..].to_owned(), file(2)),
    ];
    let layer = tar_of(files.iter().map(|(name, entry)| (name.as_bytes(), entry.clone())));
    write_pieces(&place, &Pieces::new(&[layer]));
    let found = report(&place, "x.tar");
    assert_eq!(references(&found), ["app: linked named", "linked: ", "named: "]);
}

#[test]
fn what_cannot_be_reported() {
    let place = updated();
    let graph = |name: &str| json!([{"path": path('5', name), "narSize": 1, "references": []}]).to_string();
    place.write("wrong.json", graph("other"));
    let told = place.fail("report 1.tar --graph wrong.json");
    let start = "error: wrong references graph: wrong.json: found none of the image's store paths, expected /nix/";
    assert!(told.starts_with(start), "{told}");
    let part = json!([{"path": path('1', "libc"), "narSize": 1, "references": []}]);
    place.write("part.json", part.to_string());
    let run = place.ok("report 1.tar --graph part.json -o page.html");
    assert!(run.stderr.contains("warning: no references known: part.json: it lacks /nix/store/"), "{}", run.stderr);
    for line in ["report 1.tar -o 1.tar", "report 2.tar 1.tar -o 1.tar", "report 1.tar --graph part.json -o part.json"]
    {
        assert!(place.fail(line).contains("cannot write: "), "{line}");
    }
    assert!(place.fail("report absent.tar").contains("cannot read: absent.tar: "));
}

/// Store paths that refer to each other in a circle, which no store has, are told without prices.
#[test]
fn a_cycle() {
    let place = Place::new();
    let (a, b) = (path('1', "a"), path('2', "b"));
    let member = |path: &str, text: &str| (format!("{}/f", &path[1..]), Entry::File(text.into()));
    let files = [member(&a, &b), member(&b, &a)];
    let layer = tar_of(files.iter().map(|(name, entry)| (name.as_bytes(), entry.clone())));
    write_pieces(&place, &Pieces::new(&[layer]));
    let run = place.ok("report --json x.tar");
    assert!(run.stderr.contains("warning: no prices: "), "{}", run.stderr);
    let found: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(found.get("prices").is_none());
    assert_eq!(references(&found), ["a: b", "b: a"]);
}
