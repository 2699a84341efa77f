//! layerstone.toml: which file holds, what wins over it, what a project may not set, and what is wrong with one.

use crate::cache::store;
use crate::support::fake_registry::FakeRegistry;
use crate::support::{Place, Run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs the binary in a directory of a place, with these variables.
#[track_caller]
fn run_in(place: &Place, folder: &str, line: &str, variables: &[(&str, &str)]) -> Run {
    let mut command = place.command(line);
    command.current_dir(place.join(folder)).envs(variables.iter().copied());
    command.output().unwrap().into()
}

/// Where a setting comes from and what it is, as `layerstone config --json` says.
#[track_caller]
fn setting(run: &Run, key: &str) -> (String, String) {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&answer["format"], &answer["version"]), (&json!("layerstone/config"), &json!(1)));
    let found = answer["settings"].as_array().unwrap().iter().find(|it| it["key"] == key);
    let found = found.unwrap_or_else(|| panic!("no {key}: {answer}"));
    (found["from"].as_str().unwrap().to_owned(), found["value"].as_str().unwrap().to_owned())
}

fn held(from: &str, value: &str) -> (String, String) {
    (from.to_owned(), value.to_owned())
}

/// A place with a repository, a directory in it, and a user's settings.
fn place() -> Place {
    let place = Place::new();
    fs::create_dir_all(place.join("repo/.git")).unwrap();
    fs::create_dir_all(place.join("repo/a/b")).unwrap();
    fs::create_dir_all(place.join("settings/layerstone")).unwrap();
    place
}

/// Environment, project, user, default, in this order.
#[test]
fn what_holds() {
    let place = place();
    let settings = place.join("settings");
    let xdg = ("XDG_CONFIG_HOME", settings.to_str().unwrap());
    let config =
        |folder: &str, more: &[(&str, &str)]| run_in(&place, folder, "config --json", &[&[xdg], more].concat());
    assert_eq!(setting(&config("repo/a/b", &[]), "registry.retries"), held("default", "5"));
    place.write(
        "settings/layerstone/layerstone.toml",
        "[registry]\nretries = 7\nuploads = 2\n[cache]\ndirectory = 'c'\n",
    );
    assert_eq!(setting(&config("repo/a/b", &[]), "registry.retries"), held("user", "7"));
    place.write("repo/layerstone.toml", "color = 'never'\nregistry.retries = 8\n");
    assert_eq!(setting(&config("repo/a/b", &[]), "registry.retries"), held("project", "8"));
    assert_eq!(setting(&config("repo/a/b", &[]), "registry.uploads"), held("user", "2"));
    // The nearest file of the project counts alone.
    place.write("repo/a/layerstone.toml", "registry.uploads = 3\n");
    assert_eq!(setting(&config("repo/a/b", &[]), "registry.retries"), held("user", "7"));
    assert_eq!(setting(&config("repo/a/b", &[]), "registry.uploads"), held("project", "3"));
    assert_eq!(setting(&config("settings", &[]), "registry.retries"), held("user", "7"));
    // Variables.
    assert_eq!(setting(&config("repo", &[("NO_COLOR", "1")]), "color"), held("environment", "1"));
    assert_eq!(setting(&config("repo", &[]), "color"), held("project", "never"));
    assert_eq!(setting(&config("repo", &[("LAYERSTONE_CACHE", "")]), "cache.directory"), held("environment", ""));
    assert_eq!(setting(&config("repo", &[]), "cache.directory"), held("user", "c"));
    // Another file instead of both, or none.
    let named = place.write("named.toml", "registry.retries = 9\nregistry.ca = 'ca.pem'\n");
    let variable = [("LAYERSTONE_CONFIG", named.to_str().unwrap())];
    assert_eq!(setting(&config("repo/a", &variable), "registry.retries"), held("user", "9"));
    assert_eq!(setting(&config("repo/a", &variable), "registry.uploads"), held("default", "4"));
    assert_eq!(setting(&config("repo", &[("LAYERSTONE_CONFIG", "")]), "registry.retries"), held("default", "5"));
    let none = run_in(&place, "repo", "config --json --no-config", &[xdg]);
    assert_eq!(setting(&none, "registry.retries"), held("default", "5"));
    let run = config("repo", &[("LAYERSTONE_CONFIG", "absent.toml")]);
    assert!(run.stderr.contains("cannot read: absent.toml (of LAYERSTONE_CONFIG): No such file"), "{}", run.stderr);
    // For people: a line each, with the file and its line.
    let run = run_in(&place, "repo", "config", &[xdg]);
    let line = run.text().lines().find(|line| line.starts_with("registry.uploads")).unwrap();
    assert!(line.ends_with("settings/layerstone/layerstone.toml:3"), "{line}");
}

/// Settings reach the commands, and flags win over them.
#[test]
fn what_they_do() {
    let place = store();
    let (server, _) = FakeRegistry::start(|_, _| Some(crate::support::http::Answer::new(503)));
    let pull = |flags: &str| {
        place.run(&format!("pull {}/x:1 -o x.tar --errors json {flags}", server.host()));
        let count = server.count("GET", "/v2/");
        server.seen().clear();
        count
    };
    let asked = |flags: &str| {
        let before = pull("--retries 0");
        pull(flags) - before
    };
    place.write("layerstone.toml", "registry.retries = 1\n");
    assert!(asked("") > asked("--retries 0"));
    assert_eq!(asked("--no-config --retries 0"), asked("--retries 0"));
    // The cache of the user's file is used; a flag names another.
    let user = place.write("user.toml", "[cache]\ndirectory = 'kept'\nblobs = true\n");
    let build = |line: &str, variables: &[(&str, &str)]| {
        let named = [("LAYERSTONE_CONFIG", user.to_str().unwrap())];
        let run = run_in(&place, ".", &format!("build x.json --root root {line}"), &[&named, variables].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    };
    build("-o oci:a --cache other", &[]);
    assert!(!place.join("kept").exists() && place.join("other").exists());
    build("-o oci:b --no-cache", &[]);
    build("-o oci:b", &[("LAYERSTONE_CACHE", "third")]);
    assert!(!place.join("kept").exists() && place.join("third").exists());
    build("-o oci:c", &[]);
    let stats = run_in(&place, ".", "cache stats --json", &[("LAYERSTONE_CONFIG", user.to_str().unwrap())]);
    let stats: Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert!(stats.to_string().contains("blob"), "{stats}");
    // Limits: those of the file hold, and a flag sets one of them alone.
    let limits = place.write("limits.toml", "[limits]\nlayers = 1\njson = 100\n");
    let copy = |flags: &str| {
        let named = [("LAYERSTONE_CONFIG", limits.to_str().unwrap())];
        run_in(&place, ".", &format!("copy oci:a limited.tar {flags}"), &named).stderr
    };
    assert!(copy("").contains("(limit json"), "{}", copy(""));
    assert!(copy("--limit json=1M").contains("(limit layers"), "{}", copy("--limit json=1M"));
    assert!(!copy("--limit json=1M --limit layers=100").contains("(limit "));
}

/// An image is asked of a mirror first, and of its registry where the mirror does not have it.
#[test]
fn mirrors() {
    let place = store();
    place.ok("build x.json --root root --no-cache -o oci:lay");
    let (origin, held) = FakeRegistry::start(|_, _| None);
    let there = Arc::clone(&held);
    let mirror = crate::support::http::Server::start(move |request| {
        let mut request = request.clone();
        let Some(rest) = request.target.strip_prefix("/v2/copy/") else {
            return crate::support::http::Answer::new(404);
        };
        request.target = format!("/v2/{rest}");
        there.answer(&request)
    });
    place.ok(&format!("push oci:lay {}/x:1", origin.host()));
    let before = origin.seen().len();
    let config = |mirror: &str| format!("[registry.mirrors]\n{:?} = [{mirror:?}]\n", origin.host());
    let user = place.write("user.toml", config(&format!("{}/copy", mirror.host())));
    let named = [("LAYERSTONE_CONFIG", user.to_str().unwrap())];
    let run = run_in(&place, ".", &format!("pull {}/x:1 -o x.tar", origin.host()), &named);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(origin.seen().len(), before, "the registry itself was asked");
    assert!(mirror.count("GET", "/v2/copy/x/blobs/") > 0);
    // One that lacks it.
    place.write("user.toml", config(&format!("{}/other", mirror.host())));
    let run = run_in(&place, ".", &format!("pull {}/x:1 -o y.tar --retries 0", origin.host()), &named);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("the mirror {} is passed over", mirror.host())), "{}", run.stderr);
    assert_eq!(place.read("x.tar"), place.read("y.tar"));
    assert!(origin.seen().len() > before);
}

/// What comes with a checkout says nothing of whom to trust, where to write or what to let pass.
#[test]
fn what_a_project_may_not_set() {
    let place = Place::new();
    let forbidden = [
        ("sync", "'never'"),
        ("cache.directory", "'/x'"),
        ("cache.size", "0"),
        ("registry.ca", "'ca.pem'"),
        ("registry.authfile", "'auth.json'"),
        ("registry.insecure", "['h']"),
        ("registry.mirrors", "{ 'docker.io' = 'h' }"),
        ("limits", "{ members = 5 }"),
    ];
    let text: String = forbidden.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    place.write("layerstone.toml", &text);
    let error = place.fail("ls h/x");
    for (index, (key, _)) in forbidden.iter().enumerate() {
        let fault = format!("line {}: {key}: only the user's own file may set it, and this is a project's", index + 1);
        assert!(error.contains(&fault), "{fault}: {error}");
    }
    let hint =
        "layerstone.toml:1: it belongs into ~/.config/layerstone/layerstone.toml, or is a flag; --no-config does";
    assert!(error.contains(hint), "{error}");
    // The user may.
    let user = place.join("layerstone.toml");
    let run = run_in(&place, ".", "config", &[("LAYERSTONE_CONFIG", user.to_str().unwrap())]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    // All others a project may set.
    let all = run_in(&place, ".", "config --json --no-config", &[]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    let keys: Vec<&str> = all["settings"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap()).collect();
    let allowed =
        ["color", "progress", "jobs", "cache.blobs", "registry.retries", "registry.io-timeout", "registry.uploads"];
    let known: BTreeSet<&str> = forbidden.iter().map(|(key, _)| *key).chain(allowed).collect();
    assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), known);
}

/// All that is wrong is told at once, with its line and what was meant.
#[test]
fn what_is_wrong() {
    let place = Place::new();
    let file = place.write(
        "bad.toml",
        "colour = 'never'\ncolor = 'red'\njobs = 0\n[cache]\nsize = '5 apples'\nblobs = 1\nsizes = 3\n\
         [registry]\nretries = -1\nio_timeout = 5\ninsecure = [3]\nmirrors = 'x'\n[limits]\nmember = 3\n[nonsense]\nx = 1\n",
    );
    let run = run_in(&place, ".", "ls h/x --errors json", &[("LAYERSTONE_CONFIG", file.to_str().unwrap())]);
    let error: Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!((run.code, &error["code"]), (Some(1), &json!("malformed")));
    let text = error["error"].as_str().unwrap();
    for fault in [
        "bad.toml: 12 faults:\n",
        "line 1: colour: unknown key, the nearest known one is color",
        "line 2: color: found \"red\", expected one of auto, always, never",
        "line 3: jobs: found 0, expected a whole number from 1 to 1024",
        "line 5: cache.size: found \"5 apples\", expected a number of bytes, such as 5000000 or \"5Gi\"",
        "line 6: cache.blobs: found 1, expected true or false",
        "line 7: cache.sizes: unknown key, the nearest known one is cache.size",
        "line 9: registry.retries: found -1, expected a whole number from 0 to 100",
        "line 10: registry.io_timeout: unknown key, the nearest known one is registry.io-timeout",
        "line 11: registry.insecure: found 3, expected HOST[:PORT]",
        "line 12: registry.mirrors: found \"x\", expected a table",
        "line 14: limits.member: unknown limit, expected one of unpacked, ",
        "line 15: nonsense: unknown key, expected one of color, ",
    ] {
        assert!(text.contains(fault), "{fault}: {text}");
    }
    let hint = format!("{}:1: color = \"never\"; --no-config does without it", file.display());
    assert_eq!(error["hint"], json!(hint));
    for (text, example) in [
        ("jobs = 0", "jobs = 8"),
        ("[registry]\nretries = 'x'", "registry.retries = 8"),
        ("\n[limits]\nmember = 3", "limits = { members = 5000000 }"),
        ("nonsense = 1", "`layerstone config` lists the keys"),
        ("cache = 1", "[cache] begins one, its keys follow a line each"),
        ("color = never", "a line is KEY = VALUE, and texts stand in quotes, as in color = \"never\""),
    ] {
        let file = place.write("one.toml", text);
        let run = run_in(&place, ".", "config", &[("LAYERSTONE_CONFIG", file.to_str().unwrap())]);
        let line = text.lines().count();
        assert!(run.stderr.contains(&format!("one.toml:{line}: {example}; --no-config")), "{text}: {}", run.stderr);
    }
    let file = place.write("syntax.toml", "color = \njobs = 3\nx == 4\n");
    let run = run_in(&place, ".", "config", &[("LAYERSTONE_CONFIG", file.to_str().unwrap())]);
    assert!(run.stderr.contains("line 1: not TOML: ") && run.stderr.contains("line 3: not TOML: "), "{}", run.stderr);
    // What is wrong with the command line is told first, and help is there all the same.
    let run = run_in(&place, ".", "ls --nonsense", &[("LAYERSTONE_CONFIG", file.to_str().unwrap())]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let run = run_in(&place, ".", "ls --help", &[("LAYERSTONE_CONFIG", file.to_str().unwrap())]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

/// No setting decides a byte of an output.
#[test]
fn same_bytes() {
    let place = store();
    let text = "color = 'always'\nprogress = 'always'\njobs = 1\nsync = 'always'\n[cache]\nsize = 5\nblobs = true\n\
                directory = 'kept'\n[registry]\nretries = 0\nio-timeout = 1\nuploads = 1\ninsecure = 'h'\n\
                mirrors = { 'docker.io' = 'h' }\n[limits]\nmembers = 100000\n";
    let user = place.write("user.toml", text);
    for output in ["x.tar", "x.tar.gz", "x.tar.zst", "oci-archive:x.oci"] {
        let file = output.strip_prefix("oci-archive:").unwrap_or(output);
        place.ok(&format!("build x.json --root root --no-cache -o {output}"));
        let without = place.read(file);
        let line = format!("build x.json --root root -o {output}");
        let run = run_in(&place, ".", &line, &[("LAYERSTONE_CONFIG", user.to_str().unwrap())]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(without == place.read(file), "{output}");
    }
}

/// docs/configuration.md lists the variables of the environment; LAYERSTONE_BLESS writes the list. So does the man page.
#[test]
fn variables() {
    let place = Place::new();
    let answer: Value = serde_json::from_slice(&place.ok("config --json").stdout).unwrap();
    let rows: Vec<(&str, &str)> = answer["variables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["variable"].as_str().unwrap(), row["about"].as_str().unwrap()))
        .collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = fs::read_to_string(&file).unwrap();
    let (begin, end) = ("| variable | |\n|---|---|\n", "<!-- end of variables -->");
    let (head, rest) = page.split_once(begin).unwrap();
    let (found, tail) = rest.split_once(end).unwrap();
    let expected: String = rows.iter().map(|(name, about)| format!("| `{name}` | {about} |\n")).collect();
    if std::env::var_os("LAYERSTONE_BLESS").is_some() {
        return fs::write(file, format!("{head}{begin}{expected}{end}{tail}")).unwrap();
    }
    assert_eq!(found, expected, "`LAYERSTONE_BLESS=1 cargo test configuration::variables` writes the list");
    fs::create_dir(place.join("man")).unwrap();
    place.ok("man man");
    let page = String::from_utf8(place.read("man/layerstone.1")).unwrap();
    for heading in ["\"EXIT STATUS\"", "ENVIRONMENT", "FILES"] {
        assert!(page.contains(&format!(".SH {heading}\n")), "{heading}");
    }
    for (name, _) in &rows {
        assert!(page.contains(&format!("\\fB{name}\\fR")), "{name}");
    }
    let page = String::from_utf8(place.read("man/layerstone-build.1")).unwrap();
    assert!(page.contains(".SH \"EXIT STATUS\"\n") && page.contains("SEE ALSO"));
    // Every variable that a source names is in the list.
    let known: BTreeSet<&str> = rows.iter().map(|(name, _)| *name).collect();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")) {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for call in ["var_os(\"", "env::var(\"", " var(\"", "absolute(\""] {
            for piece in text.split(call).skip(1) {
                let name = piece.split('"').next().unwrap();
                assert!(known.contains(name), "{}: {name} is in no list", path.display());
            }
        }
    }
}

/// The sources of the libraries and of the program, without tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().unwrap();
        let is_left_out = ["target", "tests", "xtask", "fuzz", "fuzz.rs", "fixtures.rs", "tests.rs"].contains(&name);
        if is_left_out || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found
}
