//! Runs a pipeline: each operation gets the value that the one before it made, and the last value is the layers.

use super::subgraph::Subgraph;
use super::{Choice, Operation, Part, Pipeline, Step};
use crate::graph::Graph;
use crate::{Error, Result, Strategy};
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

impl Pipeline {
    /// Runs the operations on some paths of a graph; more than `limit` layers are cut as by `limit_layers`.
    ///
    /// # Errors
    ///
    /// The closure lacks the size of a path, or an operation cannot do its work.
    pub(crate) fn layers(&self, graph: &Graph, free: &[u32], limit: NonZeroUsize) -> Result<Vec<Vec<u32>>> {
        let sizes = graph.sizes(Strategy::PIPELINE)?;
        let numbers = graph.paths.iter().map(|path| path.as_str()).zip(0..).collect();
        let run = Run { name: &self.name, graph, numbers };
        let mut value = Value::Graph(Subgraph::new(graph, free, &sizes));
        for step in &self.steps {
            value = run.apply(step, value)?;
        }
        if let (Value::Graph(_), Some(last)) = (&value, self.steps.last()) {
            return Err(run.error(last, "the pipeline ends in one graph, expected a list or parts".to_owned()));
        }
        let mut layers: Vec<Vec<u32>> = value.flat().into_iter().map(|layer| layer.paths).collect();
        layers.retain(|layer| !layer.is_empty());
        if layers.len() > limit.get() {
            let rest = layers.split_off(limit.get() - 1).concat();
            layers.push(rest);
        }
        Ok(layers)
    }
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
        let wrong = |value: Value, expected: &str| self.error(step, format!("found {value}, expected {expected}"));
        let graph = |value| match value {
            Value::Graph(graph) => Ok(graph),
            other => Err(wrong(other, "a graph")),
        };
        let parts = |value| match value {
            Value::Parts(parts) => Ok(parts),
            other => Err(wrong(other, "the parts of a graph")),
        };
        let items = |value, expected| match value {
            Value::List(items) => Ok(items),
            other => Err(wrong(other, expected)),
        };
        match &step.operation {
            Operation::PopularityContest => Ok(list(graph(value)?.by_popularity(self.graph))),
            Operation::SplitPaths(choices) => Ok(self.split_paths(choices, graph(value)?)),
            Operation::SubcomponentOut(paths) => {
                let graph = graph(value)?;
                Ok(main_and_rest(&graph, &graph.needed_by(&self.find(paths, &graph))))
            }
            Operation::SubcomponentIn(paths) => {
                let graph = graph(value)?;
                Ok(main_and_rest(&graph, &graph.that_need(&self.find(paths, &graph))))
            }
            Operation::SplitEvery(count) => Ok(list(graph(value)?.chunks(count.get()))),
            Operation::RemovePaths(paths) => {
                let graph = graph(value)?;
                let kept: Vec<bool> = self.find(paths, &graph).into_iter().map(|is_removed| !is_removed).collect();
                Ok(Value::Graph(graph.part(&kept)))
            }
            Operation::Over(part, inner) => self.over(step, *part, inner, parts(value)?),
            Operation::Reorder(order) => Ok(reorder(order, parts(value)?)),
            Operation::Map(inner) => {
                let items = items(value, LIST)?.into_iter().map(|item| self.apply(inner, item));
                Ok(Value::List(items.collect::<Result<_>>()?))
            }
            Operation::Reverse => Ok(Value::List(items(value, LIST)?.into_iter().rev().collect())),
            Operation::LimitLayers(limit) => self.limit_layers(step, *limit, items(value, GRAPHS)?),
            Operation::Flatten if matches!(value, Value::Graph(_)) => {
                Err(wrong(value, "a list or the parts of a graph"))
            }
            Operation::Flatten => Ok(list(value.flat())),
            Operation::Pipe(steps) => steps.iter().try_fold(value, |value, step| self.apply(step, value)),
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
        let is_only_root_chosen = roots.iter().filter(|is_root| **is_root).count() == 1
            && roots.iter().zip(&chosen).any(|(is_root, is_chosen)| *is_root && *is_chosen);
        if !chosen.contains(&true) {
            return Value::Parts(vec![(Part::Rest, Value::Graph(graph))]);
        }
        if is_only_root_chosen {
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
            let expected = format!("expected one of them to be {}", part.name());
            return Err(self.error(step, format!("found {}, {expected}", Value::Parts(parts))));
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
        graph.paths.iter().map(|path| numbers.contains(path)).collect()
    }

    fn error(&self, step: &Step, cause: String) -> Error {
        Error::Pipeline { name: self.name.to_owned(), position: step.position.clone(), cause }
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
                let names: Vec<&str> = parts.iter().map(|(part, _)| part.name()).collect();
                write!(f, "the parts {}", names.join(", "))
            }
        }
    }
}

/// What `map` and `reverse` work on.
const LIST: &str = "a list, as flatten makes of parts";
/// What `limit_layers` works on.
const GRAPHS: &str = "a list of graphs, as flatten makes of lists and parts";

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
