//! What is told about slips: the command lines of slips.txt, each with all that it writes to stderr and its exit status.
//!
//! A case is a line that begins with `$ `, which bash runs in a directory of its own with the files that [`prepare`] makes;
//! what is written to stderr; and a line `= STATUS`. What stands between a status and the next command is a remark.
//! `LAYERSTONE_BLESS=1 cargo test slips::every_slip` writes what is told now.

use crate::support::Place;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const HELLO: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-1.0";
const LIBC: &str = "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-libc-2.0";
/// The command line that makes each file.
const MADE: [&str; 7] = [
    "root --spec spec.json --root root -o root.layer.json --blob root.tar",
    "closure --spec spec.json --root root --layer root.layer.json -o c.closure.json",
    "layers c.closure.json --max-layers 9 -o p.layers.json",
    "layer p.layers.json --root root --all -o layers",
    "image --spec spec.json --root root layers/000.layer.json layers/001.layer.json root.layer.json -o ok.tar",
    "copy ok.tar oci:layout",
    "copy ok.tar other.tar --as other:2",
];

struct Case {
    /// What stands before the command.
    remark: String,
    line: String,
    /// What is told, and the status.
    told: String,
}

/// Every slip is told in the words that slips.txt holds, and changes no file.
#[test]
fn every_slip() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slips.txt");
    let text = fs::read_to_string(&file).unwrap();
    let cases = cases(&text);
    assert!(cases.len() >= 120, "{}", cases.len());
    let model = Place::new();
    prepare(&model);
    let found: Vec<Mutex<String>> = cases.iter().map(|_| Mutex::default()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let at = cases.iter().position(|other| std::ptr::eq(other, case)).unwrap();
            *found[at].lock().unwrap() = told(&model, &case.line);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let found: Vec<String> = found.into_iter().map(|found| found.into_inner().unwrap()).collect();
    if std::env::var_os("LAYERSTONE_BLESS").is_some() {
        let written = cases.iter().zip(&found).map(|(case, found)| format!("{}$ {}\n{found}", case.remark, case.line));
        return fs::write(file, written.collect::<String>()).unwrap();
    }
    let differ = cases.iter().zip(&found).filter(|(case, found)| case.told != **found);
    let differ: Vec<_> =
        differ.map(|(case, found)| format!("$ {}\n{found}expected\n{}", case.line, case.told)).collect();
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}

fn cases(text: &str) -> Vec<Case> {
    let (mut cases, mut remark, mut is_open) = (Vec::<Case>::new(), String::new(), false);
    for line in text.lines() {
        match cases.last_mut() {
            Some(case) if is_open => {
                case.told += &format!("{line}\n");
                is_open = !line.starts_with("= ");
            }
            _ if let Some(command) = line.strip_prefix("$ ") => {
                let (remark, line) = (std::mem::take(&mut remark), command.to_owned());
                cases.push(Case { remark, line, told: String::new() });
                is_open = true;
            }
            _ => remark += &format!("{line}\n"),
        }
    }
    cases
}

/// A small store, an image of it with all stage files, and what is none of these.
pub fn prepare(place: &Place) {
    place.write(&format!("root{HELLO}/bin/hello"), format!("hello of {LIBC}"));
    place.write(&format!("root{LIBC}/lib/libc.so.6"), "libc");
    let graph = json!([
        {"path": HELLO, "references": [LIBC], "narSize": 400},
        {"path": LIBC, "references": [], "narSize": 300},
    ]);
    place.write("graph.json", graph.to_string());
    let spec = json!({"name": "hello", "tag": "1", "contents": [HELLO], "graph": "graph.json"});
    place.write("spec.json", spec.to_string());
    for line in MADE {
        place.ok(line);
    }
    let whole = place.read("ok.tar");
    place.write("cut.tar", &whole[..whole.len() / 2]);
    crate::support::keys::keys(place);
    place.write("text", "hello\n");
    place.write("empty", "");
    place.write("list.json", "[1, 2");
    place.write("folder/file", "file");
    place.write("app", "an app");
    place.write("Dockerfile", "FROM scratch\nCOPY app /app\n");
    symlink(HELLO, place.join("result")).unwrap();
}

/// What a command line tells, in a copy of the model.
fn told(model: &Place, line: &str) -> String {
    let place = Place::new();
    copy(model.path(), place.path());
    let binary = Path::new(env!("CARGO_BIN_EXE_layerstone"));
    let path = std::env::var("PATH").unwrap();
    // A case may write a spec of its own.
    place.write("s.json", "");
    let listing = || place.listing().into_iter().filter(|(path, _)| !path.ends_with("s.json")).collect::<Vec<_>>();
    let before = listing();
    let run = Command::new("bash")
        .args(["-c", line])
        .current_dir(place.path())
        .env_clear()
        .env("PATH", format!("{}:{path}", binary.parent().unwrap().display()))
        .env("TMPDIR", place.temporary())
        .output()
        .unwrap();
    let status = run.status.code().unwrap();
    assert!(status == 0 || before == listing(), "$ {line}: files are changed");
    place.check_no_leftovers();
    let text = String::from_utf8_lossy(&run.stderr).replace(place.path().to_str().unwrap(), "$PWD");
    assert!(text.is_empty() || text.ends_with('\n'), "$ {line}: {text:?}");
    format!("{text}= {status}\n")
}

/// Copies what is in a directory into another one.
pub fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&from, &to);
        } else if kind.is_symlink() {
            symlink(fs::read_link(&from).unwrap(), to).unwrap();
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
