//! Runs a pipeline: each operation gets the value that the one before it made, and the last value is the layers.

use super::subgraph::Subgraph;
use super::{Choice, Operation, Part, Pipeline, Step};
use crate::graph::Graph;
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::num::NonZeroUsize;

/// What an operation takes and gives. A path is in one subgraph of it at most: operations divide and drop, and put
/// together what was divided.
enum Value {
    Graph(Subgraph),
    Parts(Vec<(Part, Value)>),
    List(Vec<Value>),
}

/// Runs the operations on some paths of a graph.
pub(super) fn layers(pipeline: &Pipeline, graph: &Graph, free: &[u32], limit: NonZeroUsize) -> Result<Vec<Vec<u32>>> {
    let sizes = graph.sizes(Pipeline::NAME)?;
    let run =
        Run { name: &pipeline.name, graph, numbers: graph.paths.iter().map(|path| path.as_str()).zip(0..).collect() };
    let mut value = Value::Graph(Subgraph::new(graph, free, &sizes));
    for step in &pipeline.steps {
        value = run.apply(step, value)?;
    }
    if let (Value::Graph(_), Some(last)) = (&value, pipeline.steps.last()) {
        return Err(run.error(last, "the pipeline ends in one graph, expected a list or parts".to_owned()));
    }
    let mut layers = value.flat();
    layers.retain(|layer| layer.len() > 0);
    Ok(limited(layers, limit).into_iter().map(|layer| layer.paths).collect())
}

/// What all operations of a run know.
struct Run<'a> {
    /// The pipeline's file.
    name: &'a str,
    graph: &'a Graph<'a>,
    /// The number of each path.
    numbers: HashMap<&'a str, u32>,
}

impl Run<'_> {
    fn apply(&self, step: &Step, value: Value) -> Result<Value> {
        match (&step.operation, value) {
            (Operation::PopularityContest, Value::Graph(graph)) => Ok(list(graph.by_popularity(self.graph))),
            (Operation::SplitPaths(choices), Value::Graph(graph)) => Ok(self.split_paths(choices, graph)),
            (Operation::SubcomponentOut(paths), Value::Graph(graph)) => {
                let main = graph.needed_by(&self.find(paths, &graph));
                Ok(main_and_rest(&graph, &main))
            }
            (Operation::SubcomponentIn(paths), Value::Graph(graph)) => {
                let main = graph.that_need(&self.find(paths, &graph));
                Ok(main_and_rest(&graph, &main))
            }
            (Operation::SplitEvery(count), Value::Graph(graph)) => Ok(list(graph.chunks(count.get()))),
            (Operation::RemovePaths(paths), Value::Graph(graph)) => {
                let kept: Vec<bool> = self.find(paths, &graph).into_iter().map(|is_removed| !is_removed).collect();
                Ok(Value::Graph(graph.part(&kept)))
            }
            (Operation::Over(part, inner), Value::Parts(parts)) => self.over(step, *part, inner, parts),
            (Operation::Reorder(order), Value::Parts(parts)) => Ok(reorder(order, parts)),
            (Operation::Map(inner), Value::List(items)) => {
                let items: Result<_> = items.into_iter().map(|item| self.apply(inner, item)).collect();
                Ok(Value::List(items?))
            }
            (Operation::Reverse, Value::List(mut items)) => {
                items.reverse();
                Ok(Value::List(items))
            }
            (Operation::LimitLayers(limit), Value::List(items)) => self.limit_layers(step, *limit, items),
            (Operation::Flatten, value @ (Value::Parts(_) | Value::List(_))) => Ok(list(value.flat())),
            (Operation::Pipe(steps), value) => steps.iter().try_fold(value, |value, step| self.apply(step, value)),
            (operation, value) => Err(self.error(step, format!("found {value}, expected {}", input(operation)))),
        }
    }

    /// What only the chosen paths need, what others need too, and the rest, as far as there is any.
    fn split_paths(&self, choices: &[Choice], graph: Subgraph) -> Value {
        let mut chosen = vec![false; graph.len()];
        for choice in choices {
            let more = match choice {
                Choice::Path(path) => self.find(std::slice::from_ref(path), &graph),
                Choice::ChildrenOf(paths) => graph.children(&self.find(paths, &graph)),
            };
            chosen.iter_mut().zip(more).for_each(|(chosen, more)| *chosen |= more);
        }
        let roots = graph.roots();
        let is_whole = roots.iter().filter(|is_root| **is_root).count() == 1
            && roots.iter().zip(&chosen).any(|(is_root, is_chosen)| *is_root && *is_chosen);
        if !chosen.contains(&true) {
            return Value::Parts(vec![(Part::Rest, Value::Graph(graph))]);
        }
        if is_whole {
            return Value::Parts(vec![(Part::Main, Value::Graph(graph))]);
        }
        let needed = graph.needed_by(&chosen);
        let graph = graph.without_references_to(&chosen);
        let other_roots: Vec<bool> = roots.iter().zip(&chosen).map(|(root, chosen)| *root && !chosen).collect();
        let others = graph.needed_by(&other_roots);
        let part = |name: Part, wanted: (bool, bool)| {
            let vertices: Vec<bool> = needed.iter().zip(&others).map(|(a, b)| (*a, *b) == wanted).collect();
            (name, graph.part(&vertices))
        };
        let parts =
            [part(Part::Main, (true, false)), part(Part::Common, (true, true)), part(Part::Rest, (false, true))];
        let present = parts.into_iter().filter(|(_, graph)| graph.len() > 0);
        Value::Parts(present.map(|(name, graph)| (name, Value::Graph(graph))).collect())
    }

    fn over(&self, step: &Step, part: Part, inner: &Step, mut parts: Vec<(Part, Value)>) -> Result<Value> {
        let Some(at) = parts.iter().position(|(name, _)| *name == part) else {
            return Err(self.error(step, format!("found {}, expected one of them to be {part}", Value::Parts(parts))));
        };
        let (_, value) = parts.remove(at);
        parts.insert(at, (part, self.apply(inner, value)?));
        Ok(Value::Parts(parts))
    }

    fn limit_layers(&self, step: &Step, limit: NonZeroUsize, mut items: Vec<Value>) -> Result<Value> {
        let rest = items.split_off(items.len().min(limit.get() - 1));
        let mut graphs = Vec::new();
        for item in rest {
            match item {
                Value::Graph(graph) => graphs.push(graph),
                other => return Err(self.error(step, format!("found a list of {other}, expected {GRAPHS}"))),
            }
        }
        items.push(Value::Graph(Subgraph::side_by_side(graphs)));
        Ok(Value::List(items))
    }

    /// Which vertices are one of these paths.
    fn find(&self, paths: &[String], graph: &Subgraph) -> Vec<bool> {
        let numbers: HashSet<u32> = paths.iter().filter_map(|path| self.numbers.get(path.as_str()).copied()).collect();
        graph.find(&numbers)
    }

    fn error(&self, step: &Step, cause: String) -> Error {
        Error::Pipeline { name: self.name.to_owned(), place: step.place.clone(), cause }
    }
}

impl Value {
    /// All graphs in it, in their order.
    fn flat(self) -> Vec<Subgraph> {
        match self {
            Value::Graph(graph) => vec![graph],
            Value::Parts(parts) => parts.into_iter().flat_map(|(_, value)| value.flat()).collect(),
            Value::List(items) => items.into_iter().flat_map(Value::flat).collect(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Graph(_) => f.write_str("a graph"),
            Value::List(_) => f.write_str("a list"),
            Value::Parts(parts) => {
                let names: Vec<String> = parts.iter().map(|(part, _)| part.to_string()).collect();
                write!(f, "the parts {}", names.join(", "))
            }
        }
    }
}

/// What `limit_layers` works on.
const GRAPHS: &str = "a list of graphs, as flatten makes of lists and parts";

/// What an operation works on.
fn input(operation: &Operation) -> &'static str {
    match operation {
        Operation::PopularityContest
        | Operation::SplitPaths(_)
        | Operation::SubcomponentOut(_)
        | Operation::SubcomponentIn(_)
        | Operation::SplitEvery(_)
        | Operation::RemovePaths(_) => "a graph",
        Operation::Over(..) | Operation::Reorder(_) => "the parts of a graph",
        Operation::Map(_) | Operation::Reverse => "a list, as flatten makes of parts",
        Operation::LimitLayers(_) => GRAPHS,
        Operation::Flatten => "a list or the parts of a graph",
        Operation::Pipe(_) => "anything",
    }
}

fn list(graphs: Vec<Subgraph>) -> Value {
    Value::List(graphs.into_iter().map(Value::Graph).collect())
}

/// Some vertices and the others; each may be empty.
fn main_and_rest(graph: &Subgraph, main: &[bool]) -> Value {
    let rest: Vec<bool> = main.iter().map(|is_main| !is_main).collect();
    let part = |name: Part, vertices: &[bool]| (name, Value::Graph(graph.part(vertices)));
    Value::Parts(vec![part(Part::Main, main), part(Part::Rest, &rest)])
}

/// The parts in this order; those that it does not name follow as they were.
fn reorder(order: &[Part], mut parts: Vec<(Part, Value)>) -> Value {
    parts.sort_by_key(|(name, _)| order.iter().position(|part| part == name).unwrap_or(order.len()));
    Value::Parts(parts)
}

/// The first `limit - 1` graphs, all others in one.
fn limited(mut graphs: Vec<Subgraph>, limit: NonZeroUsize) -> Vec<Subgraph> {
    if graphs.len() > limit.get() {
        let rest = graphs.split_off(limit.get() - 1);
        graphs.push(Subgraph::side_by_side(rest));
    }
    graphs
}
