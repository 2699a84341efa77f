//! Programs in the place of stages that write what they should not: ninja and make end, and say whose fault it is.

use super::{Tool, check, path, wired};
use crate::support::{Place, require_root, require_tool};
use serde_json::{Value, json};
use std::fs;

/// How long rules may take to end, in seconds, as timeout(1) reads it.
const BOUND: &str = "60";

/// The stage itself, and then harm to what it wrote: `harm` names the flag of the output, and what happens to it. For
/// `layer` there is no plan: one is made of the store paths.
const STAGE: &str = r#"#!/bin/sh
set -eu
stage=$1
shift
read -r flag harm <harm
output=
previous=
for word; do
  if [ "$previous" = "$flag" ]; then output=$word; fi
  previous=$word
done
rm -rf "$output"
if [ "$stage" = layer ]; then
  plan= flags=
  for word; do
    case $word in /nix/store/*) plan="$plan${plan:+, }\"$word\"" ;; *) flags="$flags $word" ;; esac
  done
  echo "[[$plan]]" >"$output.plan"
  ./layerstone layer "$output.plan" --index 0 $flags
  rm "$output.plan"
else
  ./layerstone $stage "$@"
fi
case $harm in
  good) ;;
  nothing) rm "$output" ;;
  empty) : >"$output" ;;
  half) size=$(stat -c %s "$output"); truncate -s $((size / 2)) "$output" ;;
  text) echo hello >"$output" ;;
  object) echo '{}' >"$output" ;;
  list) echo '[]' >"$output" ;;
  other) cp other.json "$output" ;;
  folder) rm "$output"; mkdir "$output" ;;
  fifo) rm "$output"; mkfifo "$output" ;;
  fails) exit 3 ;;
  half-fails) size=$(stat -c %s "$output"); truncate -s $((size / 2)) "$output"; exit 3 ;;
  *) cp "$harm" "$output" ;;
esac
"#;

/// What harms the output of any stage.
const HARMS: [&str; 8] = ["nothing", "empty", "half", "text", "folder", "fifo", "fails", "half-fails"];
/// What harms a stage file besides.
const HARMS_OF_JSON: [&str; 3] = ["object", "list", "other"];

/// Runs rules; whether they succeeded, and what was told.
#[track_caller]
fn run(place: &Place, tool: Tool) -> (i32, String) {
    let rules = tool.command(place, tool.file());
    let mut command = std::process::Command::new("timeout");
    command.arg(BOUND).arg(rules.get_program()).args(rules.get_args()).current_dir(place.path()).env_clear();
    command.envs(rules.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    (output.status.code().unwrap(), super::text(&output))
}

/// A stage whose program harms its outputs in all of these ways, one after another; and then does what it should.
#[track_caller]
fn harmed(place: &Place, tool: Tool, stage: &str, harms: &[(&str, String)]) {
    let write = |harm: &str| drop(place.write("harm", format!("{harm}\n")));
    place.write("stage.sh", STAGE);
    // A word of its own, so that it is found in what is told.
    let command =
        if stage == "overlay run" { "sh stage.sh 'overlay run'".to_owned() } else { format!("sh stage.sh {stage}") };
    let mut rules =
        place.command(&format!("{} image.json --root root --image x.tar --program ./layerstone", tool.name()));
    let output = rules.arg("--stage").arg(format!("{stage}={command}")).output().unwrap();
    assert!(output.status.success(), "{}", super::text(&output));
    for (flag, harm) in harms {
        write(&format!("{flag} {harm}"));
        let (code, text) = run(place, tool);
        // make ends with 2 where a recipe fails.
        let expected = if tool == Tool::Make { 2 } else { 1 };
        assert_eq!(code, expected, "{tool:?} {stage} {flag} {harm}: {text}");
        if !harm.ends_with("fails") {
            assert!(
                text.contains(&format!("the stage {stage} ({command}) is no good: ")),
                "{tool:?} {stage} {harm}: {text}"
            );
        }
        assert!(stage == "image" || !place.join("x.tar").exists(), "{tool:?} {stage} {flag} {harm}");
    }
    write("-o good");
    let (code, text) = run(place, tool);
    assert_eq!(code, 0, "{tool:?} {stage}: {text}");
    check(place);
    // What was harmed once it was good is made again too.
    write(&format!("{} {}", harms[0].0, harms[0].1));
    fs::write(place.join("image.json"), place.read("image.json")).unwrap();
    fs::remove_dir_all(place.join("layerstone.build")).unwrap();
    assert_ne!(run(place, tool).0, 0, "{tool:?} {stage}");
}

/// What harms the file of a flag.
fn general(flag: &'static str, is_json: bool) -> Vec<(&'static str, String)> {
    let more: &[&str] = if is_json { &HARMS_OF_JSON } else { &[] };
    HARMS.iter().chain(more).map(|harm| (flag, (*harm).to_owned())).collect()
}

/// A place where a full build has left its files as `layerstone.build`, moved to `good`; what changes one is written
/// beside it.
fn place(more: &Value) -> Place {
    let place = wired();
    let mut spec = place.json("image.json");
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    place.write("image.json", spec.to_string());
    place.write("other.json", r#"{"format": "layerstone/image", "version": 1, "name": "x"}"#);
    place
}

/// Bad stage files, made of good ones.
fn bad(place: &Place, name: &str, change: impl Fn(&mut Value), from: &str) -> String {
    let mut value = place.json(from);
    change(&mut value);
    place.write(&format!("bad/{name}"), value.to_string());
    format!("bad/{name}")
}

/// Good files of every stage.
fn stages(place: &Place) {
    let spec = "--spec image.json --root root";
    place.ok(&format!("root {spec} -o good.root.layer.json --blob good.root.tar"));
    place.ok(&format!("closure {spec} --layer good.root.layer.json --sizes -o good.closure.json"));
    place.ok("layers good.closure.json --spec image.json -o good.layers.json");
    place.ok("layer good.layers.json --root root --all -o good.layers");
}

#[test]
fn root() {
    for tool in Tool::all() {
        let place = place(&json!({}));
        let harms = [general("-o", true), general("--blob", false)].concat();
        // A tar that is empty or no tar has another size.
        harmed(&place, tool, "root", &harms);
    }
}

#[test]
fn closure() {
    for tool in Tool::all() {
        let place = place(&json!({}));
        stages(&place);
        let mut harms = general("-o", true);
        let graph = |value: &mut Value| value["graph"].as_array().unwrap().clone();
        let twice = |value: &mut Value| {
            let first = graph(value)[0].clone();
            value["graph"].as_array_mut().unwrap().push(first);
        };
        // The one that is named, and one that others refer to.
        let named = |value: &mut Value| value["graph"].as_array_mut().unwrap().retain(|it| it["path"] != path("app-1"));
        let referred =
            |value: &mut Value| value["graph"].as_array_mut().unwrap().retain(|it| it["path"] != path("lib"));
        let file = "good.closure.json";
        harms.push(("-o", bad(&place, "twice", twice, file)));
        harms.push(("-o", bad(&place, "no-content", named, file)));
        harms.push(("-o", bad(&place, "no-reference", referred, file)));
        harmed(&place, tool, "closure", &harms);
    }
}

#[test]
fn layers() {
    for tool in Tool::all() {
        let place = place(&json!({}));
        stages(&place);
        let mut harms = general("-o", true);
        let file = "good.layers.json";
        let twice = |value: &mut Value| {
            let first = value["layers"][0][0].clone();
            value["layers"].as_array_mut().unwrap().push(json!([first]));
        };
        let less = |value: &mut Value| drop(value["layers"].as_array_mut().unwrap().pop());
        let more = |value: &mut Value| value["layers"].as_array_mut().unwrap().push(json!([path("other")]));
        let none = |value: &mut Value| value["layers"].as_array_mut().unwrap().push(json!([]));
        let word = |value: &mut Value| value["layers"].as_array_mut().unwrap().push(json!(["hello"]));
        let old = |value: &mut Value| value["version"] = json!(0);
        harms.push(("-o", bad(&place, "twice", twice, file)));
        harms.push(("-o", bad(&place, "less", less, file)));
        harms.push(("-o", bad(&place, "more", more, file)));
        harms.push(("-o", bad(&place, "none", none, file)));
        harms.push(("-o", bad(&place, "word", word, file)));
        harms.push(("-o", bad(&place, "old", old, file)));
        harmed(&place, tool, "layers", &harms);
    }
}

#[test]
fn layer() {
    for tool in Tool::all() {
        let place = place(&json!({}));
        stages(&place);
        let mut harms = general("-o", true);
        let file = "good.layers/000.layer.json";
        let twice = |value: &mut Value| {
            let first = value["storePaths"][0].clone();
            value["storePaths"].as_array_mut().unwrap().push(first);
        };
        let neither = |value: &mut Value| drop(value.as_object_mut().unwrap().remove("recipe"));
        let gone = |value: &mut Value| {
            value.as_object_mut().unwrap().remove("recipe");
            value["blob"] = json!("absent.tar");
        };
        let id = |value: &mut Value| value["diffId"] = json!("sha256:0");
        harms.push(("-o", bad(&place, "twice", twice, file)));
        harms.push(("-o", bad(&place, "neither", neither, file)));
        harms.push(("-o", bad(&place, "no-blob", gone, file)));
        harms.push(("-o", bad(&place, "diff-id", id, file)));
        // That of another layer.
        harms.push(("-o", "good.layers/001.layer.json".to_owned()));
        harmed(&place, tool, "layer", &harms);
    }
}

#[test]
fn image() {
    for tool in Tool::all() {
        let place = place(&json!({}));
        stages(&place);
        let mut harms = general("-o", false);
        let all = ["000", "001", "002", "003"].map(|number| format!("good.layers/{number}.layer.json"));
        let image = |name: &str, layers: &[String]| {
            let line = format!("image --spec image.json --root root --no-check -o {name}");
            place.ok(&format!("{line} {} good.root.layer.json", layers.join(" ")));
            ("-o", name.to_owned())
        };
        harms.push(image("less.tar", &all[1..]));
        harms.push(image("twice.tar", &[&all[..], &all[3..]].concat()));
        harms.push(image("order.tar", &[all[1].clone(), all[0].clone(), all[2].clone(), all[3].clone()]));
        harmed(&place, tool, "image", &harms);
    }
}

#[test]
fn nix_db() {
    for tool in Tool::all() {
        let place = place(&json!({"includeNixDB": true}));
        harmed(&place, tool, "nix-db", &[general("-o", true), general("--blob", false)].concat());
    }
}

#[test]
fn overlay_run() {
    if !require_root() || !require_tool("busybox") {
        return;
    }
    for tool in Tool::all() {
        let script = "mkdir -p /etc; echo root > /etc/who";
        let place = place(&json!({"contents": [path("sh"), path("app-1")], "runAsRoot": script}));
        super::kinds::add_shell(&place);
        // No machine is waited for that hangs.
        let wrapper = format!(
            "#!/bin/sh\nif [ $1 = overlay ]; then set -- \"$@\" --backend userns; fi\nexec {} \"$@\"\n",
            env!("CARGO_BIN_EXE_layerstone")
        );
        place.write("layerstone", wrapper);
        let harms = [("-o", "nothing".to_owned()), ("-o", "half".to_owned()), ("--blob", "half".to_owned())];
        harmed(&place, tool, "overlay run", &harms);
    }
}

/// A wrapper that runs the stages elsewhere, and brings back nothing.
#[test]
fn elsewhere() {
    for tool in Tool::all() {
        for stage in ["root", "closure", "layers", "layer", "image"] {
            let place = place(&json!({}));
            let text = format!("#!/bin/sh\nif [ $1 = {stage} ]; then exit 0; fi\nexec ./layerstone \"$@\"\n");
            place.write("elsewhere", text);
            let line = format!("{} image.json --root root --image x.tar --program", tool.name());
            assert!(place.command(&line).arg("sh elsewhere").output().unwrap().status.success());
            let (code, text) = run(&place, tool);
            let expected = if tool == Tool::Make { 2 } else { 1 };
            assert_eq!(code, expected, "{tool:?} {stage}: {text}");
            assert!(text.contains(&format!("error: the stage {stage} has not written ")), "{tool:?}: {text}");
        }
    }
}

/// A wrapper around another version, whose plans are never of this one.
#[test]
fn of_another_version_for_good() {
    for tool in Tool::all() {
        let place = place(&json!({}));
        let old = r#"{"format": "layerstone/layers", "version": 0, "layers": []}"#;
        let text = format!(
            "#!/bin/sh\nif [ $1 = layers ]; then echo '{old}' >layerstone.build/image.layers.json; exit 0; fi\n\
             exec ./layerstone \"$@\"\n"
        );
        place.write("elsewhere", text);
        let line = format!("{} image.json --root root --image x.tar --program", tool.name());
        assert!(place.command(&line).arg("sh elsewhere").output().unwrap().status.success());
        let (code, text) = run(&place, tool);
        let expected = if tool == Tool::Make { 2 } else { 1 };
        assert_eq!(code, expected, "{tool:?}: {text}");
        assert!(text.contains("wrong plan of the stage layers (layerstone layers)"), "{tool:?}: {text}");
        assert_eq!(text.matches("planning anew").count(), 1, "{tool:?}: {text}");
    }
}

/// The command that writes the rules: a plan that cannot be read is an error that names the stage's command.
#[test]
fn plans_that_cannot_be_read() {
    for tool in Tool::all() {
        let place = place(&json!({}));
        let file = "layerstone.build/image.layers.json";
        let rules = |flag: &str| {
            let mut command = place.command(&format!("{} image.json --root root {flag}", tool.name()));
            let output = command.args(["--stage", "layers=python3 plan.py"]).output().unwrap();
            (output.status.code(), super::text(&output))
        };
        for text in
            ["", "{}", "hello", r#"{"format": "layerstone/closure", "version": 1, "graph": []}"#, r#"[["hello"]]"#]
        {
            place.write(file, text);
            let (code, told) = rules("");
            assert_eq!(code, Some(1), "{text}: {told}");
            assert!(told.contains("wrong plan of the stage layers (python3 plan.py)"), "{text}: {told}");
            assert!(place.join(file).exists());
        }
        fs::remove_file(place.join(file)).unwrap();
        assert_eq!(rules("").0, Some(0));
        let (code, told) = rules("--planned");
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("no plan: ") && told.contains("(python3 plan.py)"), "{told}");
        fs::create_dir(place.join(file)).unwrap();
        assert_eq!(rules("").0, Some(1));
    }
}
