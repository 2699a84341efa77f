//! stdin, stdout and stderr: what goes where, what is silent, and readers who have had enough.

use crate::support::{Place, golden, require_tool, synth, without_summary};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Runs the binary with this on its stdin.
#[track_caller]
fn fed(place: &Place, line: &str, input: &[u8]) -> Vec<u8> {
    let mut child = place.command(line).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "layerstone {line}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(without_summary(&String::from_utf8_lossy(&output.stderr)), "");
    output.stdout
}

/// `-` is stdin and stdout wherever a file is read or written.
#[test]
fn pipes() {
    let place = Place::new();
    let root = format!("--root {}", synth().root.display());
    let spec = json!({"name": "x", "tag": "y", "contents": [synth().path("root-env")], "graph": synth().graph});
    place.write("s.json", spec.to_string());
    place.ok(&format!("closure --graph {} -o x.closure.json", synth().graph.display()));
    place.ok("layers x.closure.json --max-layers 3 -o x.layers.json");
    place.ok(&format!("layer x.layers.json {root} --index 0 -o x.layer.json"));
    place.ok(&format!("build s.json {root} -o x.tar"));
    let graph = std::fs::read(&synth().graph).unwrap();
    let closure = fed(&place, "closure --graph -", &graph);
    assert_eq!(closure, place.read("x.closure.json"));
    let plan = fed(&place, "layers - --max-layers 3", &closure);
    assert_eq!(plan, place.read("x.layers.json"));
    assert_eq!(fed(&place, &format!("layer - {root} --index 0 -o -"), &plan), place.read("x.layer.json"));
    assert!(fed(&place, &format!("build - {root} -o -"), spec.to_string().as_bytes()) == place.read("x.tar"));
    let tar = std::fs::read(synth().locate(&synth().customisation_layer).join("layer.tar")).unwrap();
    assert_eq!(
        fed(&place, "tarsum", &tar),
        b"tarsum.v1+sha256:a78f0209cc2f706e693d6cd18b3a2a2b45c98317e0944131d2001c30c232c38b\n"
    );
    assert_eq!(fed(&place, "tarsum -", &tar), fed(&place, "tarsum", &tar));
}

/// Every command with much to say, and one whose output is small.
fn talkers(place: &Place) -> Vec<String> {
    let root = format!("--root {}", synth().root.display());
    let spec = json!({"name": "x", "contents": [synth().path("root-env")]});
    place.write("s.json", spec.to_string());
    place.ok(&format!("build s.json {root} -o x.tar"));
    vec![
        format!("build s.json {root} -o -"),
        format!("build s.json {root} --dry-run"),
        format!("stream {} {root}", golden("conf-5.json").display()),
        format!("closure --graph {}", synth().graph.display()),
        "inspect x.tar".to_owned(),
        "inspect x.tar --files".to_owned(),
        "diff x.tar x.tar --files".to_owned(),
        "explain x.tar".to_owned(),
        "config".to_owned(),
        "--help".to_owned(),
        "report x.tar".to_owned(),
        "completions bash".to_owned(),
        format!("tarsum {}", synth().locate(&synth().customisation_layer).join("layer.tar").display()),
    ]
}

/// A reader that closes the pipe, after a byte or at once, hears no complaint.
#[test]
fn a_broken_pipe_is_quiet() {
    let place = Place::new();
    for line in talkers(&place) {
        for bytes in [0, 1] {
            let mut child = place.command(&line).spawn().unwrap();
            let mut stdout = child.stdout.take().unwrap();
            stdout.read_exact(&mut vec![0; bytes]).unwrap();
            drop(stdout);
            let output = child.wait_with_output().unwrap();
            // What is short may have been taken whole.
            assert_eq!(without_summary(&String::from_utf8_lossy(&output.stderr)), "", "{line}");
            assert!(output.status.code().is_some_and(|code| code <= 1), "{line}: {}", output.status);
            place.check_no_leftovers();
        }
    }
}

/// `--quiet` prints the digest and nothing else where all goes well.
#[test]
fn quiet() {
    let place = Place::new();
    let (a, b) = ("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a", "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b");
    place.write(&format!("root{a}/file"), "a");
    place.write(&format!("root{b}/file"), "b");
    place.write("s.json", json!({"name": "x", "contents": [a, b], "maxLayers": 128}).to_string());
    let line = "build s.json --root root -o x.tar";
    let run = place.ok(line);
    assert_eq!(run.text().lines().count(), 1, "{run:?}");
    assert!(run.stderr.starts_with("warning: ") && run.stderr.contains("\nbuilt x:"), "{run:?}");
    for line in [&*format!("{line} --quiet"), &format!("--quiet --progress always {line}"), "demo -q -o demo.tar"] {
        let run = place.ok(line);
        assert!(run.text().starts_with("sha256:") && run.text().lines().count() == 1, "{line}: {run:?}");
        assert_eq!(run.stderr, "", "{line}");
    }
    // Where the image is the output, there is no room for its digest.
    let run = place.ok("build s.json --root root -o - --quiet");
    assert!(run.stdout == place.read("x.tar") && run.stderr.is_empty());
}

/// The stages of lines `[  0.1 s] closure: 0.1 s`.
fn stages(stderr: &str) -> Vec<&str> {
    let stages = stderr.lines().filter_map(|line| line.strip_prefix('[')?.split_once("] ")?.1.split_once(": "));
    stages.map(|(stage, _)| stage).collect()
}

/// Without a terminal there is no progress; asked for, it is lines on stderr, and stdout is what it was.
#[test]
fn progress() {
    let place = Place::new();
    let spec = json!({"name": "x", "contents": [synth().path("root-env")]});
    place.write("s.json", spec.to_string());
    let line = format!("build s.json --root {} -o -", synth().root.display());
    let silent = place.ok(&line);
    assert!(silent.stderr.starts_with("built x:") && !silent.stderr.contains("layer 1/"), "{}", silent.stderr);
    let never = place.ok(&format!("{line} --progress never"));
    assert_eq!(never.stderr.lines().count(), silent.stderr.lines().count());
    let count = silent.stderr.split_once("  layers ").unwrap().1.split_once(',').unwrap().0;
    for when in ["always", "plain"] {
        let shown = place.ok(&format!("{line} --progress {when}"));
        assert_eq!(
            stages(&shown.stderr)[..6],
            ["files of lower layers", "customisation layer", "scanning", "closure", "plan", "sizes of layers"]
        );
        let writing = shown.stderr.lines().find(|line| line.contains("] writing: ")).unwrap();
        // Each layer is counted once, though stdout takes no header after its layer, so that all are read twice.
        assert!(writing.contains(&format!("] writing: {count} layers, 2.32 MB, ")), "{writing}");
        assert!(shown.stdout == silent.stdout);
    }
    let quiet = place.ok(&format!("{line} --progress plain -q"));
    assert_eq!(quiet.stderr, "");
    let lines = place.ok(&format!("{line} --progress plain --errors json")).stderr;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let writing = lines.iter().find(|line| line["progress"] == "writing").unwrap();
    assert!(
        writing["ended"] == true && writing["layers"].as_u64() == count.parse().ok() && writing["took"].is_f64(),
        "{writing}"
    );
}

/// Commands that read whole stores tell how far they are: what a scan comes to is known at its end alone.
#[test]
fn progress_of_closures() {
    let (place, synth) = (Place::new(), synth());
    let root = format!("--root {}", synth.root.display());
    for flags in ["", "--nar-hash"] {
        let line = format!("closure --scan {root} {} {flags}", synth.path("root-env"));
        let always = place.ok(&format!("{line} --progress always"));
        assert_eq!(stages(&always.stderr), ["scanning", "closure"]);
        assert!(always.stderr.contains("] scanning: 901 kB, "), "{}", always.stderr);
        assert!(place.ok(&line).stdout == always.stdout);
    }
    let line = format!("closure --verify {} {root}", synth.graph.display());
    let always = place.ok(&format!("{line} --progress always")).stderr;
    assert!(stages(&always) == ["verifying"] && always.contains("] verifying: 901 kB, "), "{always}");
    assert_eq!(place.ok(&line).stderr, "");
}

/// The completions are a script that bash takes.
#[test]
fn completions() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = place.ok(&format!("completions {shell}"));
        assert!(run.text().contains("layerstone") && run.text().contains("tarsum"), "{shell}");
        place.write(shell, &run.stdout);
    }
    if require_tool("bash") {
        let status = Command::new("bash").arg("-n").arg(place.join("bash")).status().unwrap();
        assert!(status.success());
        for (words, expected) in [
            ("build --strategy ", "least-churn popularity size pipeline"),
            ("layers --strategy p", "popularity pipeline"),
            ("build --helper bin", "binSh="),
            ("ninja --stage clo", "closure="),
            ("build --compression g", "gzip"),
            ("clos", "closure"),
        ] {
            let script = format!(
                "source ./bash; COMP_WORDS=(layerstone {words}{}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
                 _layerstone layerstone \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
                 echo ${{COMPREPLY[@]}}",
                if words.ends_with(' ') { "''" } else { "" }
            );
            let output = Command::new("bash").arg("-c").arg(script).current_dir(place.path()).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{words}");
        }
    }
}

/// Where stderr cannot be written, the exit status is what it is otherwise.
#[test]
fn a_full_stderr() {
    let place = Place::new();
    for (line, expected) in [
        ("inspect nowhere.tar", 1),
        ("--errors json inspect nowhere.tar", 1),
        ("build --name x --tag 1 --cmd /nowhere -o x.tar", 0),
        ("inspect --no-such-flag", 2),
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let status = place.command(line).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(expected), "{line}");
    }
    assert!(place.join("x.tar").exists());
}
