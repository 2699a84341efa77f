//! Layers as derivations: the bytes of `layerstone build`, made once, made again only if their store paths change.

use super::machine::{Machine, name, names};
use serde_json::Value;
use std::collections::BTreeSet;

/// An image of several layers and a script.
const IMAGE: &str = r#"{
    name = "Tool"; contents = [ hello bash coreutils ]; config.Cmd = [ "/bin/hello" ];
    extraCommands = "echo made >made"; maxLayers = 6;
}"#;

/// Per layer, all layers in one derivation, streamed: one image, and that of `layerstone build`.
#[test]
fn every_form_is_one_image() {
    let Some(machine) = Machine::find() else { return };
    let forms = format!(
        r#"let image = {IMAGE} // {{ tag = "1"; }}; plain = image // {{ compressor = "none"; }}; in [
            (layerstone.buildLayeredImage plain)
            (layerstone.buildLayeredImage (plain // {{ perLayer = false; }}))
            (layerstone.streamLayeredImage image)
            (layerstone.streamLayeredImage (image // {{ perLayer = false; }}))
            (layerstone.streamLayeredImage image).conf
            (layerstone.streamLayeredImage image).streamScript
        ]"#
    );
    let built = machine.build(&forms);
    let [layered, together, stream, together_stream, conf, script] = &built.paths[..] else { panic!("{built:?}") };
    machine.place.write("made.sh", "echo made >made\n");
    let words = ["build", conf, "--tag", "1", "--extra-commands", "made.sh", "-o", "built.tar"];
    machine.ok(env!("CARGO_BIN_EXE_layerstone"), &words);
    let expected = machine.place.read("built.tar");
    assert!(machine.read(layered) == expected && machine.read(together) == expected);
    assert!(machine.ok(stream, &[]).stdout == expected && machine.ok(together_stream, &[]).stdout == expected);
    let words = [conf, "--repo-tag", "tool:1"];
    assert!(machine.ok(script, &words).stdout == expected);
    // As with nixpkgs' script, the caller can say what the image is called.
    let renamed = machine.ok(stream, &["--repo_tag", "other:2"]).stdout;
    let manifest = crate::support::archive::manifest(&renamed);
    assert_eq!(manifest["RepoTags"], serde_json::json!(["other:2"]));
}

/// The layers of a plan.
fn plan(machine: &Machine, image: &str) -> Vec<Vec<String>> {
    let built = machine.build(&format!("({image}).plan"));
    let plan: Value = serde_json::from_slice(&machine.read(built.path())).unwrap();
    serde_json::from_value(plan["layers"].clone()).unwrap()
}

/// What layers are called: after their first store path.
fn layer_names<'a>(layers: impl IntoIterator<Item = &'a Vec<String>>) -> Vec<String> {
    let mut names: Vec<String> = layers.into_iter().map(|paths| format!("{}.layer.json", name(&paths[0]))).collect();
    names.sort();
    names
}

/// Changes a package of the lab, and so all that depend on it, and builds an image of both.
#[track_caller]
fn check_changed(machine: &Machine, package: &str, max_layers: usize) -> Vec<String> {
    // Every derivation of the lab lists in `deps` those that it depends on.
    let change = format!(
        r#"let
          change = it: derivation (it.drvAttrs
            // {{ deps = map change it.drvAttrs.deps; }}
            // (if builtins.match "{package}-[0-9].*" it.name != null then {{ changed = "yes"; }} else {{ }}));
          image = contents: layerstone.streamLayeredImage {{
            name = "tool"; inherit contents; maxLayers = {max_layers}; strategy = "popularity";
          }};
          before = image [ hello bash coreutils ];
          after = image (map change [ hello bash coreutils ]);
        in "#
    );
    let [before, after] = ["before", "after"].map(|which| format!("{change} {which}"));
    machine.build(&before);
    let old: BTreeSet<Vec<String>> = plan(machine, &before).into_iter().collect();
    // The packages are built first, so that what is counted are images' derivations.
    let new = plan(machine, &after);
    let built = machine.build(&after);
    let changed = layer_names(new.iter().filter(|layer| !old.contains(*layer)));
    assert_eq!(built.layers(), changed);
    assert!(changed.len() < new.len(), "{package}: all {} layers changed", new.len());
    let others: Vec<&str> = built.names().into_iter().filter(|name| !name.ends_with(".layer.json")).collect();
    assert_eq!(others, ["stream-tool"]);
    changed
}

/// A package that nothing else needs: one layer.
#[test]
fn a_changed_package_rebuilds_its_layer() {
    let Some(machine) = Machine::find() else { return };
    assert_eq!(check_changed(&machine, "hello", 100), ["hello-2.10.layer.json"]);
}

/// A library: its layer and those of all that link to it.
#[test]
fn a_changed_library_rebuilds_layers_of_what_needs_it() {
    let Some(machine) = Machine::find() else { return };
    let layers = check_changed(&machine, "libacl1", 100);
    let is_it = |package: &str| layers.iter().any(|layer| layer.starts_with(package));
    assert!(is_it("libacl1-") && is_it("coreutils-") && !is_it("glibc-"), "{layers:?}");
}

/// Where several paths share a layer, it is the layers with changed paths.
#[test]
fn a_changed_package_rebuilds_the_layer_that_it_shares() {
    let Some(machine) = Machine::find() else { return };
    assert_eq!(check_changed(&machine, "hello", 4).len(), 1);
}

/// Images with other names, configs and scripts have the same derivations of layers.
#[test]
fn images_share_layers() {
    let Some(machine) = Machine::find() else { return };
    let first = machine.build(&format!("layerstone.buildLayeredImage {IMAGE}"));
    assert!(first.layers().len() >= 4, "{}", first.log);
    let other = r#" // { name = "other"; config.Env = [ "A=1" ]; extraCommands = "echo other >other"; }"#;
    let second = machine.build(&format!("layerstone.buildLayeredImage ({IMAGE} {other})"));
    assert_eq!(second.layers(), [] as [&str; 0]);
    // Neither is anything built that was built before.
    assert_eq!(machine.build(&format!("layerstone.buildLayeredImage {IMAGE}")).names(), [] as [&str; 0]);
    let config = machine.build(&format!("layerstone.buildLayeredImage ({IMAGE} // {{ config = {{ }}; }})"));
    assert!(!config.names().contains(&"Tool-customisation-layer"), "{}", config.log);
}

/// An image that is streamed is a few words on store paths: of the layers there is no copy.
#[test]
fn a_streamed_image_holds_no_copy() {
    let Some(machine) = Machine::find() else { return };
    let built = machine.build(&format!("layerstone.streamLayeredImage {IMAGE}"));
    let closure = machine.ok("nix-store", &["-qR", built.path()]);
    let sizes = |wanted: &dyn Fn(&str) -> bool| -> u64 {
        let paths = closure.text().lines().filter(|path| wanted(path));
        paths.map(|path| machine.ok("nix-store", &["-q", "--size", path]).text().trim().parse::<u64>().unwrap()).sum()
    };
    let made = |path: &str| [".json", "-layer", "stream-Tool"].iter().any(|ending| path.ends_with(ending));
    let (made_here, packages) = (sizes(&made), sizes(&|path| !made(path) && !path.ends_with("-layerstone")));
    assert!(made_here < 1_000_000 && packages > 10_000_000, "{made_here} and {packages} bytes");
}

/// Strategies, and pipelines as a list, as text in a file, and as a file of the caller's.
#[test]
fn strategies() {
    let Some(machine) = Machine::find() else { return };
    let image = |more: &str| {
        format!(r#"layerstone.streamLayeredImage {{ name = "x"; contents = [ hello bash ]; maxLayers = 4; {more} }}"#)
    };
    let popularity = plan(&machine, &image(r#"strategy = "popularity";"#));
    let pipeline = r#"[ [ "popularity_contest" ] [ "limit_layers" 3 ] ]"#;
    assert_eq!(popularity.len(), 3);
    assert_eq!(plan(&machine, &image(&format!("layeringPipeline = {pipeline};"))), popularity);
    let file = format!(r#"layeringPipeline = builtins.toFile "pipeline.json" (builtins.toJSON {pipeline});"#);
    assert_eq!(plan(&machine, &image(&file)), popularity);
    let path = machine.place.write("pipeline.json", r#"[["popularity_contest"],["limit_layers",3]]"#);
    assert_eq!(plan(&machine, &image(&format!("layeringPipeline = {};", path.display()))), popularity);
    assert_eq!(machine.build(&image(&file)).layers().len(), 3);
}

/// With the plan of the image before, what is new goes into one layer, and the others stay as they are.
#[test]
fn a_previous_plan() {
    let Some(machine) = Machine::find() else { return };
    let image = |contents: &str, more: &str| {
        format!(r#"layerstone.streamLayeredImage {{ name = "x"; contents = [ {contents} ]; maxLayers = 5; {more} }}"#)
    };
    let before = image("bash coreutils", "");
    machine.build(&before);
    let plan = machine.build(&format!("({before}).plan"));
    let kept = machine.place.write("before.layers.json", machine.read(plan.path()));
    let built = machine.build(&image("bash coreutils hello", &format!("previous = {};", kept.display())));
    assert_eq!(built.layers().len(), 1, "{}", built.log);
}

/// What an earlier build knows of layers, how often paths change, and how layers are compressed.
#[test]
fn known_layers_rates_and_chunks() {
    let Some(machine) = Machine::find() else { return };
    let image = |more: &str| {
        format!(
            r#"(layerstone.streamLayeredImage {{
                name = "x"; contents = [ hello bash coreutils ]; maxLayers = 4; perLayer = false; {more}
            }})"#
        )
    };
    let rates = machine.place.write("rates.json", r#"{"*": 0.001, "bash": 1000, "libacl1": 1000}"#);
    let rates = image(&format!("rates = {};", rates.display()));
    let chunked = image(r#"compression = "zstd:chunked";"#);
    let built =
        machine.build(&format!("[ {}.layerFiles {}.plan {rates}.plan {chunked}.copyTo ]", image(""), image("")));
    let [files, plan, other, copy] = &built.paths[..] else { panic!("{built:?}") };
    assert!(machine.read(plan) != machine.read(other));
    machine.ok(&format!("{copy}/bin/copy-to"), &["oci:chunked"]);
    let listed = machine.place.json("chunked/index.json");
    let digest = listed["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    let manifest = machine.place.json(&format!("chunked/blobs/{digest}"));
    let annotations = &manifest["layers"][0]["annotations"];
    assert!(annotations["io.github.containers.zstd-chunked.manifest-checksum"].is_string(), "{manifest}");
    // What is known of a layer is believed, and the layer not read.
    let layer = String::from_utf8(machine.read(&format!("{files}/000.layer.json"))).unwrap();
    let digest = serde_json::from_str::<Value>(&layer).unwrap()["diffId"].as_str().unwrap().to_owned();
    let other = format!("sha256:{}", "0".repeat(64));
    machine.place.write("known/000.layer.json", layer.replace(&digest, &other));
    let known = image(&format!("known = {};", machine.place.join("known").display()));
    let built = machine.build(&format!("{known}.layerFiles"));
    let layer: Value = serde_json::from_slice(&machine.read(&format!("{}/000.layer.json", built.path()))).unwrap();
    assert_eq!(layer["diffId"], other);
}

/// Where nothing may be built while an image is evaluated, all layers are one derivation.
#[test]
fn without_import_from_derivation() {
    let Some(machine) = Machine::find() else { return };
    let forbidden = ["--option", "allow-import-from-derivation", "false"];
    let run = machine.try_build(&forbidden, &format!("layerstone.buildLayeredImage {IMAGE}"));
    assert!(run.code != Some(0) && run.stderr.contains("allow-import-from-derivation"), "{}", run.stderr);
    let together = format!("layerstone.buildLayeredImage ({IMAGE} // {{ perLayer = false; }})");
    let built = machine.build_with(&forbidden, &together);
    let count = names(&built.log).iter().filter(|name| name.ends_with("-layers")).count();
    assert_eq!((count, built.layers().len()), (1, 0), "{}", built.log);
    let shell = "(api (arguments // { perLayer = false; })).streamNixShellImage { drv = hello; }";
    machine.build_with(&forbidden, shell);
    // What is no layered image has no plan to be read.
    machine.build_with(&forbidden, r#"layerstone.buildImage { name = "one"; copyToRoot = hello; }"#);
}
