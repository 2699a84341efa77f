//! Which strategy is used: by flag, by image.json, by default; what each needs, and what a pipeline can be wrong about.

use crate::support::{Place, digest, synth};
use serde_json::{Value, json};

/// A pipeline that puts curl and what only it needs into one layer, and the rest into others.
fn pipeline() -> Value {
    json!([["split_paths", [synth().path("curl-8.0")]], ["over", "rest", ["split_every", 4]]])
}

/// The plan that `layers` makes of the synthetic store with these words.
#[track_caller]
fn plan(place: &Place, words: &str) -> Value {
    place.ok(&format!("layers {words} -o x.layers.json"));
    place.json("x.layers.json")["layers"].clone()
}

/// A word behind the name is the closure, but for `pipeline`, where it is the file.
#[test]
fn wherever_it_stands() {
    let place = Place::new();
    let graph = synth().graph.display();
    place.write("p.json", pipeline().to_string());
    let size = plan(&place, &format!("{graph} --max-layers 5 --strategy=size"));
    assert_eq!(plan(&place, &format!("--strategy size {graph} --max-layers 5")), size);
    assert_eq!(plan(&place, &format!("--max-layers 5 --strategy size {graph}")), size);
    assert_eq!(plan(&place, &format!("{graph} --strategy size --max-layers 5")), size);
    let piped = plan(&place, &format!("--strategy pipeline p.json {graph}"));
    assert_eq!(plan(&place, &format!("{graph} --strategy pipeline p.json")), piped);
    assert_eq!(plan(&place, &format!("--max-layers 99 --strategy pipeline p.json {graph}")), piped);
    assert_eq!(piped.as_array().unwrap().len(), 5);
    assert_ne!(piped, size);
}

#[test]
fn least_churn_is_the_default() {
    let place = Place::new();
    let line = format!("{} --max-layers 4", synth().graph.display());
    assert_eq!(plan(&place, &line), plan(&place, &format!("{line} --strategy least-churn")));
    assert_ne!(plan(&place, &line), plan(&place, &format!("{line} --strategy popularity")));
}

/// Without a limit a pipeline makes as many layers as it likes; with one, the last of them share a layer.
#[test]
fn pipelines_at_a_limit() {
    let place = Place::new();
    let line = format!("--strategy pipeline p.json {}", synth().graph.display());
    place.write("p.json", json!([["popularity_contest"]]).to_string());
    let all = plan(&place, &line);
    let all = all.as_array().unwrap();
    for limit in [1, 2, all.len() - 1, all.len(), all.len() + 1] {
        let mut expected: Vec<Vec<Value>> = all.iter().map(|layer| layer.as_array().unwrap().clone()).collect();
        let rest = expected.split_off(limit.min(all.len()) - 1);
        expected.push(rest.concat());
        assert_eq!(plan(&place, &format!("{line} --max-layers {limit}")), json!(expected), "{limit}");
    }
}

#[track_caller]
fn check_usage(words: &str, expected: &str) {
    let run = Place::new().run(words);
    assert_eq!((run.code, run.stdout.len()), (Some(2), 0), "{}", run.stderr);
    assert!(run.stderr.starts_with(&format!("error: {expected}\n")), "{}", run.stderr);
    assert!(run.stderr.contains("\n\nUsage: layerstone "), "{}", run.stderr);
}

#[test]
fn bad_usage() {
    let invalid = |cause: &str| format!("invalid value for '--strategy <NAME> [FILE]': {cause}");
    let missing = |argument: &str| format!("the following required arguments were not provided:\n  {argument}");
    check_usage(
        "layers x --max-layers 3 --strategy wild",
        &invalid("unknown strategy: \"wild\": expected one of least-churn, popularity, size, pipeline"),
    );
    check_usage("layers x --strategy pipeline", &invalid("pipeline: expected the file of its operations behind it"));
    check_usage("layers x --strategy size", &missing("--max-layers <N>"));
    check_usage("layers x", &missing("--max-layers <N>"));
    check_usage("layers --strategy size --max-layers 3", &missing("<CLOSURE.JSON>..."));
    check_usage("layers --strategy pipeline p.json", &missing("<CLOSURE.JSON>..."));
    check_usage("layers --max-layers 3", &missing("<CLOSURE.JSON>..."));
    let folder = missing("--output <FOLDER>, for the plans of several closures");
    check_usage("layers a --strategy size b --max-layers 3", &folder);
    check_usage("layers a --strategy size b --explain --max-layers 3", "unexpected argument 'b' found");
    check_usage("build --strategy size -o x.tar", "no image: expected IMAGE.JSON, --name <NAME> or -t <NAME:TAG>");
}

#[track_caller]
fn check_pipeline(pipeline: Value, expected: &str) {
    let place = Place::new();
    place.write("p.json", pipeline.to_string());
    place.write("old", "old");
    let told = place.error_of(&format!("layers --strategy pipeline p.json {} -o old", synth().graph.display()));
    assert_eq!(told, format!("error: {expected}\n"));
}

#[test]
fn bad_pipelines() {
    check_pipeline(
        json!([["popularity_contest"], ["limit_layers", 0]]),
        "malformed layering pipeline: p.json: operation 2 (limit_layers): found 0, expected a whole number above 0",
    );
    check_pipeline(
        json!([["split_paths", []], ["over", "common", ["popularity_contest"]]]),
        "cannot run the pipeline: p.json: operation 2 (over \"common\"): found the parts rest, expected one of them to \
         be common",
    );
    check_pipeline(
        json!([["split_paths", []], ["over", "rest", ["pipe", [["popularity_contest"], ["split_every", 2]]]]]),
        "cannot run the pipeline: p.json: operation 2 (over \"rest\") > operation 2 (split_every): found a list, \
         expected a graph",
    );
    check_pipeline(json!([]), "malformed layering pipeline: p.json: found no operation, expected one or more");
    let told = Place::new().error_of(&format!("layers --strategy pipeline absent {}", synth().graph.display()));
    assert_eq!(told, "error: cannot read: absent: No such file or directory (os error 2)\n");
}

/// A place with an image.json of everything and these keys.
fn image(keys: Value) -> Place {
    let place = Place::new();
    let mut spec = json!({"name": "x", "contents": [synth().path("root-env")], "graph": synth().graph, "maxLayers": 7});
    spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    place.write("image.json", spec.to_string());
    place.write("p.json", json!([["split_every", 2]]).to_string());
    place
}

/// The image that `build` makes of it.
#[track_caller]
fn built(place: &Place, flags: &str) -> String {
    place.ok(&format!("build image.json --root {} -o x.tar {flags}", synth().root.display()));
    digest(&place.read("x.tar"))
}

#[test]
fn image_json_and_flags() {
    let place = image(json!({}));
    let of_flags = |flags: &str| built(&place, flags);
    let [default, popular, size] = ["--strategy least-churn", "--strategy popularity", "--strategy size"].map(of_flags);
    let piped = of_flags("--strategy pipeline p.json");
    assert!(default != popular && popular != size && size != piped && piped != default && size != default);
    assert_eq!(of_flags(""), default);
    let root = synth().root.display();
    place.ok(&format!("build --root {root} -o x.tar --strategy size image.json"));
    assert_eq!(digest(&place.read("x.tar")), size);

    let of_keys = |keys: Value, flags: &str| built(&image(keys), flags);
    assert_eq!(of_keys(json!({"strategy": "popularity"}), ""), popular);
    assert_eq!(of_keys(json!({"strategy": null}), ""), default);
    assert_eq!(of_keys(json!({"layeringPipeline": "p.json"}), ""), piped);
    assert_eq!(of_keys(json!({"layeringPipeline": [["split_every", 2]], "strategy": "pipeline"}), ""), piped);
    assert_eq!(of_keys(json!({"layeringPipeline": "p.json"}), "--strategy size"), size);
    assert_eq!(of_keys(json!({"strategy": "size"}), "--strategy pipeline p.json"), piped);
}

#[track_caller]
fn check_image(keys: Value, expected: &str) {
    let told = image(keys).error_of(&format!("build image.json --root {} -o x.tar", synth().root.display()));
    assert_eq!(told, format!("error: {expected}\n"));
}

#[test]
fn bad_image_json() {
    let malformed = |cause: &str| format!("malformed layerstone/image: image.json: strategy: {cause}");
    check_image(
        json!({"strategy": "wild"}),
        &malformed("unknown strategy: \"wild\": expected one of least-churn, popularity, size, pipeline"),
    );
    check_image(json!({"strategy": "pipeline"}), &malformed("the strategy pipeline needs its operations"));
    check_image(
        json!({"strategy": "size", "layeringPipeline": []}),
        &malformed("found \"size\" and layeringPipeline too, expected one of them"),
    );
    check_image(
        json!({"layeringPipeline": [["frob"]]}),
        "malformed layering pipeline: image.json: layeringPipeline: operation 1 (\"frob\"): unknown operation, expected \
         one of flatten, limit_layers, map, over, pipe, popularity_contest, remove_paths, reorder, reverse, \
         split_every, split_paths, subcomponent_in, subcomponent_out",
    );
}

/// A graph need not tell sizes: `build` measures them, as `closure --sizes` does for `layers`.
#[test]
fn graphs_without_sizes() {
    let place = image(json!({}));
    let sized = built(&place, "");
    let mut graph: Value = serde_json::from_slice(&std::fs::read(&synth().graph).unwrap()).unwrap();
    for info in graph["graph"].as_array_mut().unwrap() {
        info.as_object_mut().unwrap().remove("narSize");
    }
    place.write("bare.json", graph.to_string());
    assert_eq!(built(&place, "--graph bare.json"), sized);

    let told = place.fail("layers bare.json --max-layers 4 -o old");
    assert_eq!(
        told,
        format!(
            "error: unknown size: {}: least-churn needs the narSize of every path\n\
             hint: `layerstone closure --graph FILE --sizes` measures what a graph does not tell\n",
            synth().paths()[0]
        )
    );
    plan(&place, "bare.json --strategy popularity --max-layers 4");
    place.ok(&format!("closure --graph bare.json --sizes --root {} -o measured.json", synth().root.display()));
    place.ok(&format!("closure --graph {} -o told.json", synth().graph.display()));
    assert_eq!(place.read("measured.json"), place.read("told.json"));
}
