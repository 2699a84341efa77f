//! buildLayer: layers that are the same in every image, nested, divided, with files; what is refused.

use super::machine::Machine;
use crate::support::archive::{config, manifest, member, members};
use serde_json::{Value, json};

/// Layers, and images that have them.
const LAYERS: &str = r#"let
    base = layerstone.buildLayer {
        deps = [ bash ]; metadata = { created_by = "base"; author = "somebody"; comment = "tools"; };
    };
    over = layerstone.buildLayer { deps = [ coreutils "${hello}/bin/hello" ]; layers = [ base ]; maxLayers = 2; };
    files = layerstone.buildLayer {
        name = "files"; layers = [ over base ]; copyToRoot = [ hello ]; perms = [ { path = "bin/hello"; mode = "0700"; uid = 7; } ];
    };
    image = more: layerstone.buildLayeredImage ({
        name = "x"; tag = "1"; compressor = "none"; maxLayers = 9; perLayer = false;
    } // more);
    "#;

/// The diff IDs of an archive's layers.
fn diff_ids(tar: &[u8]) -> Vec<Value> {
    config(tar)["rootfs"]["diff_ids"].as_array().unwrap().clone()
}

/// Names and modes of what a layer of an archive holds.
fn files(tar: &[u8], layer: usize) -> Vec<(String, u32, u64)> {
    let name = manifest(tar)["Layers"][layer].as_str().unwrap().to_owned();
    let found = members(&member(tar, &name)).into_iter();
    let uid = |header: &[u8]| tar::Header::from_byte_slice(&header[header.len() - 512..]).uid().unwrap();
    found.map(|it| (String::from_utf8(it.name).unwrap(), it.mode, uid(&it.header))).collect()
}

/// The store paths that a layer of an archive holds.
fn paths(tar: &[u8], layer: usize) -> Vec<String> {
    let names =
        files(tar, layer).into_iter().filter_map(|(name, ..)| Some(name.strip_prefix("/nix/store/")?.to_owned()));
    names.filter(|name| !name.contains('/')).collect()
}

#[test]
fn the_same_in_every_image() {
    let Some(machine) = Machine::find() else { return };
    let built = machine.build(&format!(
        r#"{LAYERS} in [
            (image {{ layers = base; contents = [ hello ]; }})
            (image {{ layers = [ files ]; config.Cmd = [ "${{hello}}/bin/hello" ]; uid = 5; }})
            (image {{ layers = [ base over ]; includeNixDB = true; contents = [ hello ]; }})
            (image {{ layers = [ files ]; }}).conf
            files base.explain
        ]"#
    ));
    let [one, two, three, conf, list, explain] = &built.paths[..] else { panic!("{built:?}") };
    let tars = [one, two, three].map(|path| machine.read(path));
    let ids = tars.each_ref().map(|tar| diff_ids(tar));
    // base, two layers over it, the files, and of the image's own only what is on top.
    assert_eq!((ids[1].len(), &ids[1][..1], &ids[2][..3]), (5, &ids[0][..1], &ids[1][..3]));
    let history = &config(&tars[0])["history"];
    let told =
        json!({"created": "1970-01-01T00:00:01Z", "created_by": "base", "author": "somebody", "comment": "tools"});
    assert_eq!(history[0], told);
    assert_eq!(history[1]["created_by"], "layerstone");
    // Each store path once.
    for tar in &tars {
        let mut all: Vec<String> = (0..diff_ids(tar).len()).flat_map(|layer| paths(tar, layer)).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
    let of_files = files(&tars[1], 3);
    assert!(of_files.contains(&("./bin/hello".to_owned(), 0o700, 7)), "{of_files:?}");
    // The image's image.json makes it again, and the layer's list names all of them.
    machine.ok(env!("CARGO_BIN_EXE_layerstone"), &["build", conf, "-o", "built.tar"]);
    assert_eq!(diff_ids(&machine.place.read("built.tar"))[..4], ids[1][..4]);
    let listed: Vec<String> = serde_json::from_slice(&machine.read(list)).unwrap();
    assert_eq!(listed.len(), 4);
    assert!(machine.ok(&format!("{explain}/bin/explain-layer"), &[]).text().contains("bash"));
}

/// What is left out is in no layer of it, and a tar is kept where that is asked for.
#[test]
fn left_out_or_kept() {
    let Some(machine) = Machine::find() else { return };
    let built = machine.build(
        r#"[
            (layerstone.buildLayer { deps = [ hello ]; ignore = hello; }).plan
            (layerstone.buildLayer { deps = [ hello ]; reproducible = false; })
        ]"#,
    );
    let [plan, kept] = &built.paths[..] else { panic!("{built:?}") };
    let plan = String::from_utf8(machine.read(plan)).unwrap();
    assert!(plan.contains("-glibc-") && !plan.contains("-hello-"), "{plan}");
    let kept: Vec<String> = serde_json::from_slice(&machine.read(kept)).unwrap();
    assert!(machine.locate(&format!("{}/000.tar", kept[0])).exists());
}

#[test]
fn what_is_refused() {
    let Some(machine) = Machine::find() else { return };
    let refused = [
        (
            "layerstone.buildLayer { layer = [ ]; }",
            "layerstone: buildLayer: unexpected argument 'layer', known is layers",
        ),
        ("layerstone.buildLayer { maxLayers = 0; }", "layer layer: maxLayers: found 0, expected 1 or more"),
        (
            "layerstone.buildLayer { contents = hello; copyToRoot = hello; }",
            "found contents and copyToRoot, expected one",
        ),
        (
            "layerstone.buildLayer { layers = [ hello ]; }",
            "layer layer: layers: found the derivation hello-2.10, expected what buildLayer makes",
        ),
        (
            "layerstone.buildLayer { metadata.by = \"x\"; }",
            "metadata: found by, expected created_by, author and comment",
        ),
        (
            "layerstone.buildLayer { copyToRoot = hello; perms = [ { path = hello; regex = \".*\"; mode = \"0777\"; } ]; }",
            "perms: found regex, expected the name of a file in the image as path, or a glob",
        ),
        (
            "layerstone.buildLayer { deps = [ hello ]; perms = [ { path = \"x\"; mode = \"0777\"; } ]; }",
            "found perms without copyToRoot",
        ),
        (
            "layerstone.streamLayeredImage { name = \"x\"; layers = [ \"base\" ]; }",
            r#"image x: layers: found the string "base", expected what buildLayer makes"#,
        ),
        (
            "layerstone.streamLayeredImage { name = \"x\"; layers = [ (layerstone.buildLayer { }) ]; includeStorePaths = false; }",
            "found layers and includeStorePaths = false, expected one of them",
        ),
    ];
    for (text, message) in refused {
        let found = machine.refused(&format!("({text}).drvPath"));
        assert!(found.contains(message), "{text}\n{found}");
    }
}
