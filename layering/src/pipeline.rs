//! Plans by the strategy `pipeline`: a list of operations that divide the graph of references and make layers of the
//! parts.
//!
//! The operations are those of nixpkgs' `layeringPipeline` (`pkgs/build-support/flatten-references-graph`), with the
//! same results; FORMAT.md says what each does. All of a file is read before anything runs. Errors
//! of a file, and of an operation that fails, name the operation and its position in the file; nixpkgs' program ends in a
//! Python error there.

mod parse;
mod run;
mod subgraph;

use layerstone_store::{Digest, Error as StageError, Result as StageResult, read_input};
use serde_json::Value;
use std::num::NonZeroUsize;
use std::path::Path;

/// Operations that turn a closure into layers, each applied to what the one before it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Where it came from, for messages.
    name: String,
    /// At least one.
    steps: Vec<Step>,
    /// Of the operations as JSON.
    digest: Digest,
}

impl Pipeline {
    /// Reads a pipeline file; `-` is standard input.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or see [`Pipeline::parse`].
    pub fn read(path: &Path) -> StageResult<Pipeline> {
        Pipeline::parse(&read_input(path)?, &path.display().to_string())
    }

    /// A pipeline in memory: a JSON list of operations, each a list of its name and its arguments; `name` stands in
    /// messages.
    ///
    /// # Errors
    ///
    /// It is something else; the operation that is wrong is named with its position.
    pub fn parse(bytes: &[u8], name: &str) -> StageResult<Pipeline> {
        let steps = parse::parse(bytes, name)?;
        // However it is written.
        let value: Value =
            serde_json::from_slice(bytes).map_err(|source| StageError::Json { name: name.to_owned(), source })?;
        Ok(Pipeline { name: name.to_owned(), steps, digest: Digest::of(value.to_string().as_bytes()) })
    }

    /// The digest of its operations, as JSON without spaces.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// An operation at its position in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    operation: Operation,
    /// Such as `operation 2 (over "rest") > operation 1 (split_every)`.
    position: String,
}

/// What an operation does. Paths are texts: one that is not in the graph, or no store path at all, chooses nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Operation {
    /// A graph to a list of its vertices, most popular first.
    PopularityContest,
    /// A graph to what only the chosen paths need, what others need too, and the rest.
    SplitPaths(Vec<Choice>),
    /// A graph to these paths with all that they need, and the rest.
    SubcomponentOut(Vec<String>),
    /// A graph to these paths with all that need them, and the rest.
    SubcomponentIn(Vec<String>),
    /// Applies an operation to one of several parts.
    Over(Part, Box<Step>),
    /// Applies an operation to each item of a list.
    Map(Box<Step>),
    /// Applies operations one after the other.
    Pipe(Vec<Step>),
    /// Parts or nested lists to one list.
    Flatten,
    /// A list the other way round.
    Reverse,
    /// Parts in another order: these first, then the others.
    Reorder(Vec<Part>),
    /// A graph to a list of graphs of so many vertices, in their order.
    SplitEvery(NonZeroUsize),
    /// A list of graphs to at most so many, the last ones in one.
    LimitLayers(NonZeroUsize),
    /// A graph without these paths.
    RemovePaths(Vec<String>),
}

/// What `split_paths` chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    /// A path.
    Path(String),
    /// The paths that these paths refer to directly.
    ChildrenOf(Vec<String>),
}

/// The parts into which an operation divides a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// What was asked for.
    Main,
    /// What it shares with the rest.
    Common,
    /// All else.
    Rest,
}

impl Part {
    const ALL: [Part; 3] = [Part::Main, Part::Common, Part::Rest];

    const fn name(self) -> &'static str {
        match self {
            Part::Main => "main",
            Part::Common => "common",
            Part::Rest => "rest",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::{Plan, Settings, Strategy, plan};
    use layerstone_closure::{Closure, PathInfo};
    use layerstone_store::StorePath;
    use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use proptest::strategy::{BoxedStrategy, Strategy as _};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    impl Operation {
        /// Its name in a file: a new operation without one does not compile.
        pub(crate) fn name(&self) -> &'static str {
            match self {
                Operation::PopularityContest => "popularity_contest",
                Operation::SplitPaths(_) => "split_paths",
                Operation::SubcomponentOut(_) => "subcomponent_out",
                Operation::SubcomponentIn(_) => "subcomponent_in",
                Operation::Over(..) => "over",
                Operation::Map(_) => "map",
                Operation::Pipe(_) => "pipe",
                Operation::Flatten => "flatten",
                Operation::Reverse => "reverse",
                Operation::Reorder(_) => "reorder",
                Operation::SplitEvery(_) => "split_every",
                Operation::LimitLayers(_) => "limit_layers",
                Operation::RemovePaths(_) => "remove_paths",
            }
        }
    }

    /// `app` with a library of its own; `env` and `app` share `ssl` and `libc`; nobody uses `data`.
    const CLOSURE: &str = "data 3: ; app 50: lib ssl; lib 20: libc; env 10: ssl bash; ssl 40: libc; bash 30: libc; \
        libc 100:";

    fn settings(pipeline: &Value, limit: usize) -> Settings {
        let pipeline = Pipeline::parse(named(pipeline).as_bytes(), "p.json").unwrap();
        Settings { strategy: Strategy::Pipeline(pipeline), ..Settings::new(NonZeroUsize::new(limit).unwrap()) }
    }

    /// Texts such as `=app` become the store path of that name.
    fn named(pipeline: &Value) -> String {
        pipeline.to_string().replace('=', "/nix/store/h-")
    }

    fn text(plan: &Plan) -> String {
        let layer = |layer: &Vec<StorePath>| layer.iter().map(StorePath::name).collect::<Vec<_>>().join(" ");
        plan.layers.iter().map(layer).collect::<Vec<_>>().join(", ")
    }

    #[track_caller]
    fn check(pipeline: Value, expected: &str) {
        let plan = plan(&sample::closure(CLOSURE), &settings(&pipeline, usize::MAX)).unwrap();
        assert_eq!(text(&plan), expected, "{pipeline}");
    }

    #[test]
    fn operations_that_divide() {
        check(json!([["popularity_contest"]]), "libc, ssl, bash, lib, app, data, env");
        check(json!([["split_every", 3]]), "data env lib, bash ssl app, libc");
        check(json!([["split_every", usize::MAX]]), "data env lib bash ssl app libc");
        check(json!([["subcomponent_out", ["=ssl", "=data", "/absent"]]]), "data ssl libc, env lib bash app");
        check(json!([["subcomponent_in", ["=ssl", "=data"]]]), "data env ssl app, lib bash libc");
        check(json!([["subcomponent_in", []]]), "data env lib bash ssl app libc");
    }

    #[test]
    fn split_paths() {
        check(json!([["split_paths", ["=app"]]]), "lib app, ssl libc, data env bash");
        check(json!([["split_paths", ["=ssl"]]]), "ssl, libc, data env lib bash app");
        check(json!([["split_paths", [{"children_of": "=app"}]]]), "lib ssl, libc, data env bash app");
        check(json!([["split_paths", [{"children_of": ["=app", "=env"]}]]]), "lib bash ssl libc, data env app");
        check(json!([["split_paths", ["=app", "=env", "=data"]]]), "data env lib bash ssl app libc");
        check(json!([["split_paths", ["=nobody", {"children_of": []}]]]), "data env lib bash ssl app libc");
    }

    /// With one root that is chosen everything is the main part; references to what was chosen are gone.
    #[test]
    fn split_paths_of_one_root() {
        let closure = sample::closure("top 1: a b; a 2: b c; b 3: c; c 4:");
        let run = |pipeline: Value| text(&plan(&closure, &settings(&pipeline, 9)).unwrap());
        assert_eq!(run(json!([["split_paths", ["=top", "=a"]], ["over", "main", ["split_every", 2]]])), "top a, b c");
        let popular =
            |path: &str| run(json!([["split_paths", [path, "=b"]], ["over", "main", ["popularity_contest"]]]));
        // Without the reference from a to b, nobody in the part uses b.
        assert_eq!(popular("=a"), "c, a, b, top");
    }

    #[test]
    fn operations_on_parts_and_lists() {
        let split = json!(["split_paths", ["=app"]]);
        check(json!([split, ["reorder", ["rest", "main"]]]), "data env bash, lib app, ssl libc");
        check(json!([split, ["flatten"], ["reverse"]]), "data env bash, ssl libc, lib app");
        check(json!([split, ["over", "rest", ["split_every", 1]]]), "lib app, ssl libc, data, env, bash");
        check(
            json!([split, ["over", "rest", ["split_every", 1]], ["flatten"], ["limit_layers", 3]]),
            "lib app, ssl libc, data env bash",
        );
        check(json!([["split_every", 4], ["map", ["remove_paths", "=libc"]]]), "data env lib bash, ssl app");
        check(json!([["remove_paths", ["=app", "=absent"]], ["split_every", 9]]), "data env lib bash ssl libc");
        check(
            json!([["split_every", 4], ["map", ["pipe", [["popularity_contest"], ["reverse"]]]]]),
            "lib, env, data, bash, app, ssl, libc",
        );
        check(json!([["split_every", 4], ["limit_layers", 9], ["pipe", []]]), "data env lib bash, ssl app libc");
        check(json!([["split_every", 1], ["limit_layers", 1]]), "data env lib bash ssl app libc");
    }

    #[test]
    fn cut_to_the_limit() {
        let pipeline = json!([["popularity_contest"]]);
        for (limit, expected) in [
            (1, "libc ssl bash lib app data env"),
            (6, "libc, ssl, bash, lib, app, data env"),
            (7, "libc, ssl, bash, lib, app, data, env"),
            (8, "libc, ssl, bash, lib, app, data, env"),
        ] {
            let plan = plan(&sample::closure(CLOSURE), &settings(&pipeline, limit)).unwrap();
            assert_eq!(text(&plan), expected, "{limit}");
        }
        let plan = plan(&Closure::default(), &settings(&pipeline, 1)).unwrap();
        assert_eq!(plan, Plan::default());
    }

    /// What flatten_references_graph makes of a synthetic store with six pipelines.
    #[test]
    fn golden_synth() {
        let graph: Value = serde_json::from_str(include_str!("../golden/synth/graph.json")).unwrap();
        let closure = Closure { graph: serde_json::from_value(graph["graph"].clone()).unwrap() };
        let cases: Vec<Value> = serde_json::from_str(include_str!("../golden/synth/pipelines.json")).unwrap();
        assert_eq!(cases.len(), 6);
        for case in cases {
            let exclude: BTreeSet<StorePath> = serde_json::from_value(case["exclude_paths"].clone()).unwrap();
            let plan = plan(&closure, &Settings { exclude, ..settings(&case["pipeline"], usize::MAX) }).unwrap();
            assert_eq!(serde_json::to_value(plan.layers).unwrap(), case["layers"], "{}", case["name"]);
        }
    }

    #[track_caller]
    fn check_run_error(pipeline: Value, position: &str, cause: &str) {
        let error = plan(&sample::closure(CLOSURE), &settings(&pipeline, 9)).unwrap_err().to_string();
        assert_eq!(error, format!("cannot run the pipeline: p.json: {position}: {cause}"));
    }

    #[test]
    fn operations_on_what_they_cannot_take() {
        check_run_error(
            json!([["split_paths", ["=none"]], ["over", "common", ["split_every", 2]]]),
            "operation 2 (over \"common\")",
            "found the parts rest, expected one of them to be common",
        );
        check_run_error(
            json!([["over", "rest", ["split_every", 2]]]),
            "operation 1 (over \"rest\")",
            "found a graph, expected the parts of a graph",
        );
        check_run_error(
            json!([["split_paths", ["=app"]], ["map", ["split_every", 2]]]),
            "operation 2 (map)",
            "found the parts main, common, rest, expected a list, as flatten makes of parts",
        );
        check_run_error(
            json!([["split_paths", ["=app"]], ["over", "rest", ["pipe", [["split_every", 2], ["reorder", []]]]]]),
            "operation 2 (over \"rest\") > operation 2 (reorder)",
            "found a list, expected the parts of a graph",
        );
        check_run_error(
            json!([["split_every", 2], ["map", ["map", ["split_every", 2]]]]),
            "operation 2 (map) > map",
            "found a graph, expected a list, as flatten makes of parts",
        );
        check_run_error(
            json!([["popularity_contest"], ["pipe", [["popularity_contest"]]]]),
            "operation 2 (pipe) > operation 1 (popularity_contest)",
            "found a list, expected a graph",
        );
        check_run_error(
            json!([["flatten"]]),
            "operation 1 (flatten)",
            "found a graph, expected a list or the parts of a graph",
        );
        check_run_error(
            json!([["split_every", 1], ["map", ["split_every", 1]], ["limit_layers", 2]]),
            "operation 3 (limit_layers)",
            "found a list of a list, expected a list of graphs, as flatten makes of lists and parts",
        );
    }

    #[test]
    fn what_ends_in_one_graph() {
        let cause = "the pipeline ends in one graph, expected a list or parts";
        check_run_error(json!([["remove_paths", "=app"]]), "operation 1 (remove_paths)", cause);
        check_run_error(json!([["pipe", []]]), "operation 1 (pipe)", cause);
    }

    #[track_caller]
    fn check_malformed(pipeline: Value, expected: &str) {
        let error = Pipeline::parse(pipeline.to_string().as_bytes(), "p.json").unwrap_err().to_string();
        assert_eq!(error, format!("malformed layering pipeline: p.json: {expected}"));
    }

    #[test]
    fn what_is_no_pipeline() {
        check_malformed(json!({}), "found {}, expected a list of operations");
        check_malformed(json!({"graph": "x".repeat(80)}), "found an object, expected a list of operations");
        check_malformed(
            json!([["over", "rest", vec![0; 99]]]),
            "operation 1 (over \"rest\"): found a list of 99 items, expected an operation such as [\"reverse\"]",
        );
        check_malformed(json!([]), "found no operation, expected one or more");
        check_malformed(
            json!(["flatten"]),
            "operation 1: found \"flatten\", expected an operation such as [\"reverse\"]",
        );
        check_malformed(
            json!([["flatten"], [["flatten"]]]),
            "operation 2: found [[\"flatten\"]], expected an operation such as [\"reverse\"]",
        );
        check_malformed(
            json!([["flatten"], ["popularity"]]),
            "operation 2 (\"popularity\"): unknown operation, expected one of flatten, limit_layers, map, over, pipe, \
             popularity_contest, remove_paths, reorder, reverse, split_every, split_paths, subcomponent_in, \
             subcomponent_out",
        );
        let error = Pipeline::parse(b"[", "p.json").unwrap_err().to_string();
        assert_eq!(error, "not JSON: p.json: EOF while parsing a list at line 1 column 1");
    }

    #[test]
    fn what_is_no_operation() {
        check_malformed(
            json!([["split_every", 0]]),
            "operation 1 (split_every): found 0, expected a whole number above 0",
        );
        check_malformed(
            json!([["limit_layers", "5"]]),
            "operation 1 (limit_layers): found \"5\", expected a whole number above 0",
        );
        check_malformed(
            json!([["limit_layers"]]),
            "operation 1 (limit_layers): found 0 arguments, expected 1: a whole number above 0",
        );
        check_malformed(
            json!([["popularity_contest", 5]]),
            "operation 1 (popularity_contest): found 1 argument, expected none",
        );
        check_malformed(
            json!([["split_paths", "/x"]]),
            "operation 1 (split_paths): found \"/x\", expected a list of \
             paths and of objects such as {\"children_of\": PATH}",
        );
        check_malformed(
            json!([["split_paths", [{"child_of": "/x"}]]]),
            "operation 1 (split_paths): found \
             {\"child_of\":\"/x\"}, expected a list of paths and of objects such as {\"children_of\": PATH}",
        );
        check_malformed(
            json!([["subcomponent_in", "/x"]]),
            "operation 1 (subcomponent_in): found \"/x\", expected a list of paths",
        );
        check_malformed(
            json!([["remove_paths", [1]]]),
            "operation 1 (remove_paths): found 1, expected a path or a list of paths",
        );
        check_malformed(
            json!([["reorder", ["rest", "rest"]]]),
            "operation 1 (reorder): found \"rest\" twice, \
             expected a list of \"main\", \"common\", \"rest\", each at most once",
        );
        check_malformed(
            json!([["pipe", ["flatten"]]]),
            "operation 1 (pipe) > operation 1: found \"flatten\", expected an operation such as [\"reverse\"]",
        );
    }

    #[test]
    fn what_is_no_operation_inside_another() {
        check_malformed(
            json!([["flatten"], ["over", "rest", ["pipe", [["split_every", "2"]]]]]),
            "operation 2 (over \"rest\") > operation 1 (split_every): found \"2\", expected a whole number above 0",
        );
        check_malformed(
            json!([["map", ["map", ["over", "rest", ["split_every"]]]]]),
            "operation 1 (map) > map > over \"rest\" > split_every: found 0 arguments, expected 1: a whole number above 0",
        );
        check_malformed(
            json!([["over", "rust", ["flatten"]]]),
            "operation 1 (over \"rust\"): found \"rust\", expected one of \"main\", \"common\", \"rest\"",
        );
        check_malformed(
            json!([["over", "rest"]]),
            "operation 1 (over \"rest\"): found 1 argument, expected 2: one of \
             \"main\", \"common\", \"rest\" and an operation such as [\"reverse\"]",
        );
        check_malformed(
            json!([["map", "flatten"]]),
            "operation 1 (map): found \"flatten\", expected an operation such as [\"reverse\"]",
        );
    }

    /// Operations that may or may not fit together.
    fn operations() -> impl proptest::strategy::Strategy<Value = Value> {
        let paths = || proptest::collection::vec((0..12).prop_map(|i| format!("=p{i}")), 0..4);
        let part = || proptest::sample::select(vec!["main", "common", "rest"]);
        let count = 1usize..5;
        let simple: BoxedStrategy<Value> = prop_oneof![
            Just(json!(["popularity_contest"])),
            Just(json!(["flatten"])),
            Just(json!(["reverse"])),
            count.clone().prop_map(|n| json!(["split_every", n])),
            count.prop_map(|n| json!(["limit_layers", n])),
            paths().prop_map(|paths| json!(["split_paths", paths])),
            paths().prop_map(|paths| json!(["split_paths", [{"children_of": paths}]])),
            paths().prop_map(|paths| json!(["subcomponent_in", paths])),
            paths().prop_map(|paths| json!(["subcomponent_out", paths])),
            part().prop_map(|part| json!(["reorder", [part]])),
        ]
        .boxed();
        let nested = simple.prop_recursive(3, 12, 3, move |inner| {
            prop_oneof![
                (part(), inner.clone()).prop_map(|(part, inner)| json!(["over", part, inner])),
                inner.clone().prop_map(|inner| json!(["map", inner])),
                proptest::collection::vec(inner, 0..4).prop_map(|list| json!(["pipe", list])),
            ]
        });
        proptest::collection::vec(nested, 1..5).prop_map(Value::Array)
    }

    /// Closures of 12 paths without cycles, many of one size.
    fn closures() -> impl proptest::strategy::Strategy<Value = Closure> {
        let edges = proptest::collection::vec((0usize..12, 0usize..12), 0..25);
        (edges, any::<prop::sample::Index>()).prop_map(|(edges, turn)| {
            let path = |i: usize| crate::sample::path(&format!("p{i}"));
            let info = |i: usize| PathInfo {
                path: path(i),
                nar_hash: None,
                nar_size: Some(i as u64 * 5 % 4),
                references: vec![],
            };
            let mut graph: Vec<PathInfo> = (0..12).map(info).collect();
            for (a, b) in edges {
                graph[a.min(b)].references.push(path(a.max(b)));
            }
            graph.rotate_left(turn.index(12));
            Closure { graph }
        })
    }

    proptest! {
        /// Nothing but remove_paths takes a path away, and nothing doubles one.
        #[test]
        fn every_path_once_or_an_error((closure, pipeline) in (closures(), operations()), limit in 1usize..15) {
            let mut reversed = closure.clone();
            reversed.graph.reverse();
            let result = plan(&closure, &settings(&pipeline, limit));
            prop_assert_eq!(&plan(&reversed, &settings(&pipeline, limit)), &result);
            match result {
                Err(e) => prop_assert!(e.to_string().starts_with("cannot run the pipeline: p.json: operation "), "{}", e),
                Ok(plan) => {
                    prop_assert_eq!(crate::Draft::from(&plan).findings(None), []);
                    prop_assert_eq!(plan.layers.iter().flatten().count(), 12);
                    prop_assert!(plan.layers.len() <= limit);
                }
            }
        }
    }
}
