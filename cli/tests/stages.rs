//! The stages one by one, each in a process of its own, give the bytes of `build`.

use crate::support::archive::{self, members};
use crate::support::{Place, Synth, synth};
use serde_json::{Value, json};

/// A spec whose paths come from everywhere: contents, config, script; it shares `Web` for a name.
fn spec(synth: &Synth) -> Value {
    json!({
        "name": "Web",
        "tag": "1.0",
        "contents": synth.path("curl-8.0"),
        "config": {"Cmd": ["/bin/curl"], "Env": [format!("DATA={}", synth.path("data.txt"))]},
        "extraCommands": format!("mkdir -m 1777 tmp; echo {} > perl", synth.path("perl-5.38")),
        "maxLayers": 5,
    })
}

/// How the stages are run; the image is the same.
struct Way<'a> {
    /// Where references come from.
    closure: &'a str,
    /// Write the layers' tars.
    blobs: bool,
    /// Make the layers one by one.
    single: bool,
}

/// Runs all stages of `image.json` into `staged.tar`.
#[track_caller]
fn stages(place: &Place, way: &Way, store: &str, max_layers: usize) {
    let Way { closure, blobs, single } = way;
    place.ok(&format!("root --spec image.json {store} -o root.layer.json --blob root.tar"));
    let line = format!("closure {closure} --spec image.json --layer root.layer.json {store} -o web.closure.json");
    place.ok(&line);
    place.ok(&format!("layers web.closure.json --max-layers {max_layers} -o web.layers.json"));
    let line = format!("layer web.layers.json --spec image.json {store}");
    let count = place.json("web.layers.json")["layers"].as_array().unwrap().len();
    if *single {
        std::fs::create_dir_all(place.join("layers")).unwrap();
        for index in 0..count {
            let blob = if *blobs { format!("--blob layers/{index:03}.tar") } else { String::new() };
            place.ok(&format!("{line} --index {index} -o layers/{index:03}.layer.json {blob}"));
        }
    } else {
        place.ok(&format!("{line} --all {} -o layers", if *blobs { "--blobs" } else { "" }));
    }
    let layers: String = (0..count).map(|index| format!("layers/{index:03}.layer.json ")).collect();
    place.ok(&format!("image --spec image.json {store} {layers} root.layer.json -o staged.tar"));
}

#[track_caller]
fn check(spec: &Value, way: &Way) -> Vec<u8> {
    let place = Place::new();
    let store = format!("--root {}", synth().root.display());
    place.write("image.json", spec.to_string());
    let max_layers = spec["maxLayers"].as_u64().unwrap_or(100) as usize - 1;
    stages(&place, way, &store, max_layers);
    place.ok(&format!("build image.json {store} -o built.tar"));
    assert_eq!(members(&place.read("staged.tar")), members(&place.read("built.tar")));
    assert!(place.read("staged.tar") == place.read("built.tar"), "different padding");
    place.read("built.tar")
}

/// By graph and by scan, with and without blobs, all layers at once and one by one.
#[test]
fn every_way() {
    let synth = synth();
    let with_graph = format!("--graph {}", synth.graph.display());
    let mut images = Vec::new();
    for closure in [&*with_graph, "--scan"] {
        let mut spec = spec(synth);
        if closure != "--scan" {
            spec["graph"] = synth.graph.to_str().unwrap().into();
        }
        for (blobs, single) in [(false, false), (false, true), (true, false), (true, true)] {
            images.push(check(&spec, &Way { closure, blobs, single }));
        }
    }
    assert!(images.iter().all(|image| *image == images[0]));
}

/// A directory of layer files stands for them all, in order, however many there are; and an image can be called otherwise.
#[test]
fn folders_and_other_names() {
    let place = Place::new();
    let store = format!("--root {}", synth().root.display());
    place.write("image.json", spec(synth()).to_string());
    stages(&place, &Way { closure: "--scan", blobs: false, single: false }, &store, 4);
    let line = format!("image --spec image.json {store} layers root.layer.json");
    place.ok(&format!("{line} -o folder.tar"));
    assert!(place.read("folder.tar") == place.read("staged.tar"));
    place.ok(&format!("{line} --repo-tag a:1 -t example.org:5000/Other:2 -o other.tar"));
    assert_eq!(archive::manifest(&place.read("other.tar"))["RepoTags"], json!(["example.org:5000/other:2"]));
    for reference in ["other", "example.org:5000/other", ""] {
        let mut command = place.command(&format!("{line} -o wrong.tar"));
        let output = command.args(["--repo-tag", reference]).output().unwrap();
        let expected = format!("error: wrong --repo-tag: found {reference:?}, expected NAME:TAG\nhint: ");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with(&expected), "{output:?}");
    }
}

/// The spec's own graph serves `closure --spec` where no other source is given.
#[test]
fn graph_of_the_spec() {
    let mut spec = spec(synth());
    spec["graph"] = synth().graph.to_str().unwrap().into();
    check(&spec, &Way { closure: "", blobs: false, single: false });
}

/// Contents, config, what the script refers to, and all that these refer to, are in the image: nothing else.
#[test]
fn what_the_image_holds() {
    let image = check(&spec(synth()), &Way { closure: "--scan", blobs: false, single: false });
    let mut found: Vec<String> = archive::manifest(&image)["Layers"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|layer| members(&archive::member(&image, layer.as_str().unwrap())))
        .filter_map(|member| {
            let name = String::from_utf8(member.name).unwrap();
            (name.starts_with("/nix/store/") && name.split('/').count() == 4).then_some(name)
        })
        .collect();
    found.sort();
    let names = ["curl-8.0", "ssl-3.0", "zlib-1.3", "libc-2.36", "data.txt", "perl-5.38"];
    let mut expected = names.map(|name| synth().path(name).to_owned());
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(archive::config(&image)["config"]["Cmd"], json!(["/bin/curl"]));
    assert_eq!(archive::manifest(&image)["RepoTags"], json!(["web:1.0"]));
    assert_eq!(archive::manifest(&image)["Layers"].as_array().unwrap().len(), 5);
}

/// Contents only, no contents at all, one layer for everything, more layers than paths, an owner and a time.
#[test]
fn other_specs() {
    let root_env = synth().path("root-env");
    let way = Way { closure: "--scan", blobs: false, single: false };
    for more in [
        json!({"contents": [root_env]}),
        json!({}),
        json!({"config": {"Cmd": [format!("{}/bin/git", synth().path("git-2.39"))]}}),
        json!({"contents": [root_env], "maxLayers": 2}),
        json!({"contents": [root_env, synth().path("curl-8.0")], "maxLayers": 127}),
        json!({"contents": [root_env], "uid": 1000, "gid": 100, "uname": "user", "gname": "users",
               "mtime": "2020-02-29T12:00:00Z", "created": "1999-12-31T23:59:59Z", "architecture": "arm64", "variant": "v8"}),
    ] {
        let mut spec = json!({"name": "x"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check(&spec, &way);
    }
}

/// `includeStorePaths: false` leaves the customisation layer only.
#[test]
fn without_store_paths() {
    let mut spec = spec(synth());
    spec["includeStorePaths"] = false.into();
    let image = check(&spec, &Way { closure: "--scan", blobs: false, single: false });
    let manifest = archive::manifest(&image);
    let [layer] = manifest["Layers"].as_array().unwrap().as_slice() else { panic!("{manifest}") };
    let layer = archive::member(&image, layer.as_str().unwrap());
    assert!(members(&layer).iter().all(|member| !member.name.starts_with(b"/nix")));
    assert_eq!(archive::member(&layer, "./perl"), format!("{}\n", synth().path("perl-5.38")).as_bytes());
}

/// Another store directory than /nix/store; here one that holds no references to itself.
#[test]
fn another_store() {
    let place = Place::new();
    let base = "0123456789abcdfghijklmnpqrsvwxyz-guile";
    place.write(&format!("gnu/store/{base}/bin/guile"), "guile");
    place.write("image.json", json!({"name": "g", "contents": [format!("/gnu/store/{base}")]}).to_string());
    let store = format!("--store /gnu/store --root {}", place.path().display());
    stages(&place, &Way { closure: "--scan", blobs: false, single: false }, &store, 99);
    place.ok(&format!("build image.json {store} -o built.tar"));
    assert!(place.read("staged.tar") == place.read("built.tar"));
    let layers = archive::manifest(&place.read("built.tar"))["Layers"].clone();
    let first = archive::member(&place.read("built.tar"), layers[0].as_str().unwrap());
    let names: Vec<String> = members(&first).into_iter().map(|m| String::from_utf8(m.name).unwrap()).collect();
    let path = format!("/gnu/store/{base}");
    assert_eq!(names, ["/gnu", "/gnu/store", &path, &format!("{path}/bin"), &format!("{path}/bin/guile")]);
    let message = place.fail(&format!("build image.json --root {} -o built.tar", place.path().display()));
    assert_eq!(message, format!("error: not a store path: \"{path}\": it is outside the store /nix/store\n"));
}

/// `layer --all` removes what an earlier run wrote for a larger plan, and nothing else.
#[test]
fn an_earlier_plan_is_removed() {
    let place = Place::new();
    let root = synth().root.display();
    let all = |limit, flags| {
        place.ok(&format!("layers {} --max-layers {limit} -o x.layers.json", synth().graph.display()));
        place.ok(&format!("layer x.layers.json --root {root} --all {flags} -o layers"));
        let mut names: Vec<_> =
            std::fs::read_dir(place.join("layers")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names.remove(0), ".layerstone-outputs");
        names.into_iter().map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(all(3, "--blobs").len(), 6);
    place.write("layers/notes.txt", "mine");
    place.write("layers/7.layer.json", "mine");
    assert_eq!(all(2, ""), ["000.layer.json", "001.layer.json", "7.layer.json", "notes.txt"]);
    assert_eq!(all(13, "").len(), 15);
}

/// The stages that make an image's own layer take its spec as `build` does, and by the flag that the other stages have.
#[test]
fn specs_without_their_flag() {
    let place = Place::new();
    let store = format!("--root {}", synth().root.display());
    place.write("image.json", spec(synth()).to_string());
    place.ok(&format!("root --spec image.json {store} -o flag.layer.json --blob flag.tar"));
    place.ok(&format!("root image.json {store} -o word.layer.json --blob word.tar"));
    assert!(place.read("flag.tar") == place.read("word.tar"));
    let both = place.run(&format!("root image.json --spec image.json {store} -o x.layer.json --blob x.tar"));
    assert!(both.code == Some(2) && both.stderr.contains("cannot be used with"), "{}", both.stderr);
    place.write("run.json", serde_json::json!({"name": "run"}).to_string());
    let [flag, word] = ["--spec run.json", "run.json"]
        .map(|given| place.error_of(&format!("overlay run {given} {store} -o x.layer.json --blob x.tar")));
    assert_eq!(flag, word);
    assert!(word.contains("runAsRoot"), "{word}");
}

/// A plan may be a bare list of lists.
#[test]
fn bare_lists_are_plans() {
    let place = Place::new();
    let root = synth().root.display();
    place.ok(&format!("layers {} --max-layers 4 -o x.layers.json", synth().graph.display()));
    place.write("bare.json", place.json("x.layers.json")["layers"].to_string());
    place.ok(&format!("layer x.layers.json --root {root} --all -o a"));
    place.ok(&format!("layer bare.json --root {root} --all -o b"));
    for index in 0..4 {
        assert_eq!(place.read(&format!("a/00{index}.layer.json")), place.read(&format!("b/00{index}.layer.json")));
    }
}
