//! Same inputs, same bytes: whatever the machine, the user, the threads and the order of the graph are.

use crate::support::{Place, require_root, require_tool, shared, synth};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All outputs of all commands, by name.
type Outputs = BTreeMap<String, Vec<u8>>;

/// Every stage and `build` in every form. `$L` is the binary, `$R` the root of the store, `$G` the graph.
const EVERYTHING: &str = r#"
set -e
$L root --spec image.json --root $R -o root.layer.json --blob root.tar
$L closure --graph $G --spec image.json --layer root.layer.json --root $R -o graph.closure.json
$L closure --scan --nar-hash --spec image.json --layer root.layer.json --root $R -o scan.closure.json
$L layers graph.closure.json --max-layers 6 -o web.layers.json
$L layer web.layers.json --spec image.json --root $R --all --tarsum -o layers
$L layer web.layers.json --spec image.json --root $R --all --blobs -o blobs
$L image --spec image.json --root $R layers/*.layer.json root.layer.json -o image.tar >image.stdout
$L build image.json --root $R -o build.tar >build.stdout
$L build image.json --root $R -o build.tar.gz >/dev/null
$L build image.json --root $R -o build.tar.zst >/dev/null
$L build image.json --root $R -o - >build-stdout.tar
$L build image.json --root $R --dry-run >dry-run.stdout
$L inspect --json image.tar >inspect.json
$L report image.tar build.tar.gz -o report.html
$L demo -o demo.tar >demo.stdout
"#;

/// A place with the spec and this graph.
fn place(graph: &Value) -> Place {
    let place = Place::new();
    place.write("graph.json", graph.to_string());
    let spec = json!({
        "name": "same", "contents": [synth().path("root-env")], "graph": "graph.json", "maxLayers": 7,
        "config": {"Env": ["B=2", "A=1"], "Cmd": ["x"]},
        "extraCommands": "mkdir -m 1777 tmp; for i in c b a; do echo $i > $i; done; umask > umask; stat -c '%a %n' * > list; mkdir d; mkfifo p",
    });
    place.write("image.json", spec.to_string());
    place
}

fn graph() -> Value {
    serde_json::from_slice(&std::fs::read(&synth().graph).unwrap()).unwrap()
}

/// Runs everything in a place by a command that is given a bash script.
#[track_caller]
fn outputs(place: &Place, root: &Path, mut shell: Command) -> Outputs {
    shell.arg(EVERYTHING).current_dir(place.path()).env("TMPDIR", place.temporary());
    shell.env("G", place.join("graph.json")).env("R", root);
    if !shell.get_envs().any(|(name, _)| name == "L") {
        shell.env("L", env!("CARGO_BIN_EXE_layerstone"));
    }
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found = Outputs::new();
    for path in place.listing().keys().filter(|path| path.is_file()) {
        let name = path.strip_prefix(place.path()).unwrap().to_str().unwrap().to_owned();
        found.insert(name.clone(), place.read(&name));
    }
    assert!(found.len() > 20, "{:?}", found.keys());
    // The inputs themselves.
    found.remove("graph.json");
    found
}

fn bash() -> Command {
    let mut bash = Command::new("bash");
    bash.args(["-c"]);
    bash
}

#[track_caller]
fn check(what: &str, graph: &Value, shell: Command) {
    let place = place(graph);
    check_same(what, &outputs(&place, &synth().root, shell));
}

/// Compares with what a plain run gives.
#[track_caller]
fn check_same(what: &str, found: &Outputs) {
    let plain = shared("plain", &[], "", |folder| {
        for (name, bytes) in outputs(&place(&graph()), &synth().root, bash()) {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
    });
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), names_below(&plain), "{what}");
    for (name, bytes) in found {
        assert!(*bytes == std::fs::read(plain.join(name)).unwrap(), "{what}: other bytes in {name}");
    }
}

/// The names of all files below a directory, sorted.
fn names_below(folder: &Path) -> Vec<String> {
    let (mut folders, mut names) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = folders.pop() {
        for path in std::fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}

#[test]
fn environment() {
    for (name, value) in [
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LANG", "C"),
        ("TZ", "Pacific/Kiritimati"),
        ("HOME", "/nonexistent"),
        ("POSIXLY_CORRECT", "1"),
        ("RAYON_NUM_THREADS", "3"),
        ("COLUMNS", "40"),
    ] {
        let mut bash = bash();
        bash.env(name, value);
        check(name, &graph(), bash);
    }
    let mut bash = bash();
    bash.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    check("no environment", &graph(), bash);
}

#[test]
fn umask() {
    for umask in ["000", "077"] {
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("umask {umask}; exec bash -c \"$0\"")]);
        check(umask, &graph(), bash);
    }
}

#[test]
fn threads() {
    for jobs in [1, 2, 8] {
        let mut bash = bash();
        bash.env("L", format!("{} -j {jobs}", env!("CARGO_BIN_EXE_layerstone")));
        check(&format!("-j {jobs}"), &graph(), bash);
    }
}

/// The graph's entries and their references in another order.
#[test]
fn order_of_the_graph() {
    let mut graph = graph();
    let entries = graph["graph"].as_array_mut().unwrap();
    for step in 0..4 {
        entries.reverse();
        entries.rotate_left(step * 2 + 1);
        for entry in entries.iter_mut() {
            entry["references"].as_array_mut().unwrap().reverse();
        }
        let entries = entries.clone();
        check("shuffled", &json!({ "graph": entries }), bash());
    }
}

/// Another host name, for those who can set one.
#[test]
fn host_name() {
    if !require_root() || !require_tool("unshare") {
        return;
    }
    let mut shell = Command::new("unshare");
    shell.args(["--uts", "bash", "-c", "echo elsewhere > /proc/sys/kernel/hostname; exec bash -c \"$0\""]);
    check("host name", &graph(), shell);
}

/// Another user, whose store is his own.
#[test]
fn user() {
    if !require_root() || !require_tool("setpriv") {
        return;
    }
    // Where everybody can go, unlike the build's directory.
    let open = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = open.path().join("layerstone");
    std::fs::copy(env!("CARGO_BIN_EXE_layerstone"), &binary).unwrap();
    let root = open.path().join("root");
    xtask::synth::make(&root.join("nix/store"), &open.path().join("out")).unwrap();
    let place = Place::within(open.path());
    for name in ["graph.json", "image.json"] {
        std::fs::write(place.join(name), self::place(&graph()).read(name)).unwrap();
    }
    for path in [&root, place.path(), place.temporary()].map(PathBuf::from) {
        let chown = Command::new("chown").args(["-hR", "65534:65534"]).arg(path).status().unwrap();
        assert!(chown.success());
    }
    let mut shell = Command::new("setpriv");
    shell.args(["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c"]).env("L", binary);
    check_same("another user", &outputs(&place, &root, shell));
}
