//! Questions about images, closures and plans: `diff`, `why` and `explain`.

use crate::support::{Place, synth};
use serde_json::{Value, json};

/// An image of curl, one of git on top of it, and their closures.
fn place() -> Place {
    let place = Place::new();
    let (root, graph) = (synth().root.display().to_string(), synth().graph.display().to_string());
    for (name, path) in [("curl", "curl-8.0"), ("git", "git-2.39")] {
        let path = synth().path(path);
        place.ok(&format!("closure --graph {graph} {path} -o {name}.closure.json"));
        place.ok(&format!("layers {name}.closure.json --max-layers 3 -o {name}.layers.json"));
        let flags = format!("--root {root} --graph {graph} --no-check --max-layers 4");
        place.ok(&format!("build --name {name} --tag 1 --contents {path} --cmd {name} {flags} -o {name}.tar"));
    }
    place
}

fn json_of(place: &Place, line: &str) -> Value {
    serde_json::from_str(place.ok(&format!("{line} --json")).text()).unwrap()
}

/// What brings a path in is the same of a closure and of an image, which is searched for it.
#[test]
fn why() {
    let place = place();
    let told = place.ok("why curl.closure.json zlib").text().to_owned();
    assert!(told.starts_with("zlib-1.3, 7"), "{told}");
    assert!(told.contains(" kB: 2 chains of references lead to it\n\n  curl-8.0\n  └─ zlib-1.3\n"), "{told}");
    assert!(told.ends_with("\n  curl-8.0\n  └─ ssl-3.0\n     └─ zlib-1.3\n"), "{told}");
    let told = place.ok("why curl.closure.json zlib --chains 1").text().to_owned();
    assert!(told.contains(": the shortest 1 of 2 chains") && !told.contains("ssl"), "{told}");
    let [of_closure, of_image] =
        ["curl.closure.json", "curl.tar"].map(|from| json_of(&place, &format!("why {from} zlib")));
    assert_eq!((&of_closure["format"], &of_closure["version"]), (&json!("layerstone/why"), &json!(1)));
    assert_eq!(of_closure["paths"][0]["chains"], of_image["paths"][0]["chains"]);
    assert_eq!(of_image["paths"][0]["layer"].is_number(), of_closure["paths"][0]["layer"].is_null());
    // By a pattern, by the path, by a file in it, and whole.
    let path = synth().path("zlib-1.3");
    for word in ["zl*", path, &format!("{path}/lib/libz.so")] {
        assert_eq!(json_of(&place, &format!("why curl.closure.json {word}")), of_closure, "{word}");
    }
    assert!(place.ok("why curl.closure.json zlib --wide").text().contains(&format!("└─ {path}\n")));
    let several = json_of(&place, "why curl.closure.json *");
    assert_eq!(several["paths"].as_array().unwrap().len(), 4);
    let told = place.fail("why curl.closure.json zli");
    assert!(told.contains("found none called zli\nhint: `*zli*` would match zlib-1.3\n"), "{told}");
    let told = place.fail("why curl.tar curl zlib");
    assert!(told.contains("no chain of references: curl.tar: curl is not needed by zlib-1.3"), "{told}");
    assert!(place.fail("why curl.layers.json zlib").contains("found a plan"));
}

/// `closure --why` takes names too, if they mean one path.
#[test]
fn closure_why_by_name() {
    let place = place();
    let by_path = place.ok(&format!("closure --why {} curl.closure.json", synth().path("zlib-1.3"))).text().to_owned();
    assert_eq!(place.ok("closure --why zlib curl.closure.json").text(), by_path);
    assert_eq!(place.ok("closure --why zlib curl.closure.json curl").text(), by_path);
    assert!(place.fail("closure --why * curl.closure.json").contains("several paths are called *: found "));
}

/// What layers cost, of an image, a plan and a closure.
#[test]
fn explain() {
    let place = place();
    let told = place.ok("explain curl.tar").text().to_owned();
    assert!(told.starts_with("layer     size  changes  an update  holds"), "{told}");
    assert!(told.contains("\ncurl.tar "), "{told}");
    let expected = place.ok("layers --explain --plan curl.layers.json curl.closure.json").text().to_owned();
    assert_eq!(place.ok("explain curl.layers.json curl.closure.json").text(), expected);
    let expected = place.ok("layers --explain --max-layers 2 curl.closure.json").text().to_owned();
    assert_eq!(place.ok("explain curl.closure.json --max-layers 2").text(), expected);
    assert_eq!(json_of(&place, "explain git.tar")["format"], "layerstone/explanation");
    assert!(place.fail("explain curl.closure.json").contains("--max-layers N"));
    // Of nothing there is nothing to explain.
    place.write("none.closure.json", r#"{"format": "layerstone/closure", "version": 1, "graph": [], "roots": []}"#);
    place.write("none.layers.json", r#"{"format": "layerstone/layers", "version": 1, "layers": []}"#);
    let told = place.ok("explain none.layers.json none.closure.json").text().to_owned();
    assert!(told.contains("\nnone.layers.json       0 "), "{told}");
    assert!(place.fail("explain curl.layers.json").contains("expected its closure"));
}

/// Images, closures and plans are compared with their like.
#[test]
fn diff() {
    let place = place();
    assert_eq!(
        place.ok("diff curl.closure.json git.closure.json").text(),
        place.ok("closure --diff curl.closure.json git.closure.json").text()
    );
    let told = place.ok("diff curl.tar git.tar --changed --files").text().to_owned();
    assert!(told.contains("\nconfig\n  Cmd  curl → git\n"), "{told}");
    assert!(told.contains(" files differ\n") && told.contains("\n  - "), "{told}");
    assert!(told.contains("  /nix/store/…-perl-5.38/, ") && told.contains(" files\n"), "{told}");
    assert!(!told.lines().any(|line| line.contains("  there  █")), "{told}");
    let answer = json_of(&place, "diff curl.tar git.tar --files");
    assert_eq!((&answer["format"], &answer["version"]), (&json!("layerstone/diff"), &json!(1)));
    assert_eq!(answer["config"], json!([{"key": "Cmd", "old": "curl", "new": "git"}]));
    let files = answer["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"] == "/bin/git" && file["change"] == "added"), "{answer}");
    // What both have is the same, whichever layer has it.
    let libc = synth().path("libc-2.36");
    assert!(!files.iter().any(|file| file["path"].as_str().unwrap().starts_with(libc)), "{answer}");
    let same = json_of(&place, "diff git.tar git.tar --files");
    assert_eq!((&same["files"], &same["config"]), (&json!([]), &json!([])));
    let told = place.fail("diff curl.tar git.closure.json");
    assert!(told.contains("expected two images, two closures or two plans"), "{told}");
}

/// A file that has other contents of the same size, and one whose mode is another.
#[test]
fn files_that_changed() {
    let place = Place::new();
    for (name, text, mode) in [("old", "1234", 0o644), ("new", "1235", 0o755)] {
        place.write(&format!("{name}/data"), text);
        place.write(&format!("{name}/same"), "same");
        place.write_mode(&format!("{name}/run"), "run", mode);
        place.ok(&format!("build --name x --copy {name}/:/d -o {name}.tar --no-check"));
    }
    let answer = json_of(&place, "diff old.tar new.tar --files");
    let changed: Vec<&str> =
        answer["files"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(changed, ["/d/data", "/d/run"]);
}

/// Names may hold what a terminal would obey; whatever is told shows it.
#[test]
fn nothing_that_a_terminal_obeys() {
    let place = Place::new();
    let name = "a\u{1b}[31m\u{7}\r\u{9b}b";
    place.write(&format!("from/{name}"), "x");
    place.write("x.json", "{}");
    place.ok("build --name x --copy from/:/ -o x.tar --no-check");
    place.write(&format!("{name}.tar"), place.read("x.tar"));
    for words in [
        vec!["inspect", "x.tar", "--files"],
        vec!["inspect", "x.tar", "--tree"],
        vec!["inspect", "NAME"],
        vec!["inspect", "NAME.tar", "--against", "NAME.no.tar"],
        vec!["diff", "x.tar", "NAME.tar", "--files"],
        vec!["check", "NAME.no.tar"],
        vec!["build", "NAME.json", "-o", "y.tar"],
        vec!["build", "--name", "x", "--copy", "NAME:/", "-o", "y.tar"],
        vec!["build", "--name", "x", "--copy", "from/:/", "-o", "NAME.new.tar"],
        vec!["copy", "x.tar", "oci:NAME"],
        vec!["report", "x.tar", "-o", "NAME.html"],
        vec!["build", "--NAME"],
        vec!["NAME"],
        vec!["push", "x.tar", "NAME"],
    ] {
        let mut command = place.command("");
        command.args(words.iter().map(|word| word.replace("NAME", name)));
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let is_bad = |c: char| c.is_control() && c != '\n';
        assert!(!told.is_empty() && !told.contains(is_bad), "{words:?}: {told:?}");
    }
}
