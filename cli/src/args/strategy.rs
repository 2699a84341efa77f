//! The strategy that a command is to plan with: `--strategy NAME [FILE]`, or what an image spec says.
//!
//! Only `pipeline` takes a file, so that the word after any other name is one of the command's inputs. clap cannot know
//! that: it takes both words for the option's, and the second one is given back here.

use crate::message::usage_error::usage_error;
use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use layerstone_layering::{Pipeline, Strategy};
use layerstone_pipeline::strategy_of;
use layerstone_spec::Spec;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What clap calls the option.
const OPTION: &str = "strategy";
/// What a command must call the positional arguments that are its inputs.
pub const INPUTS: &str = "inputs";

/// A strategy on the command line.
#[derive(Clone)]
pub struct StrategyArgs {
    choice: Option<Choice>,
    /// The input behind the strategy's name, and how many inputs stand before it.
    input: Option<(usize, PathBuf)>,
}

#[derive(Clone)]
enum Choice {
    Named(Strategy),
    Pipeline(PathBuf),
}

impl StrategyArgs {
    /// The strategy, if one is given; reads the pipeline's file.
    pub fn strategy(&self) -> Result<Option<Strategy>> {
        Ok(match &self.choice {
            None => None,
            Some(Choice::Named(strategy)) => Some(strategy.clone()),
            Some(Choice::Pipeline(file)) => Some(Strategy::Pipeline(Pipeline::read(file)?)),
        })
    }

    /// The strategy that is given, or else that of a spec; `file` is the spec's, for messages.
    pub fn over(&self, spec: &Spec, file: &Path) -> Result<Strategy> {
        Ok(self.strategy()?.map_or_else(|| strategy_of(spec, &file.display().to_string()), Ok)?)
    }

    /// The file of a pipeline.
    pub fn file(&self) -> Option<&PathBuf> {
        if let Some(Choice::Pipeline(file)) = &self.choice { Some(file) } else { None }
    }

    /// Whether a strategy is given.
    pub fn is_given(&self) -> bool {
        self.choice.is_some()
    }

    /// Whether the strategy decides by itself how many layers there are.
    pub fn is_pipeline(&self) -> bool {
        matches!(self.choice, Some(Choice::Pipeline(_)))
    }

    /// All inputs of a command, of which clap has found these.
    pub fn inputs(&self, found: &[PathBuf]) -> Vec<PathBuf> {
        let mut inputs = found.to_vec();
        if let Some((before, input)) = &self.input {
            inputs.insert(*before, input.clone());
        }
        inputs
    }

    /// The one input of a command, if there is any, which clap may have found.
    pub fn only_input(&self, command: &str, found: &[PathBuf]) -> Result<Option<PathBuf>> {
        let mut inputs = self.inputs(found).into_iter();
        let first = inputs.next();
        match inputs.next() {
            None => Ok(first),
            Some(second) => {
                let message = format!("unexpected argument '{}' found", second.display());
                Err(usage_error(command, ErrorKind::UnknownArgument, message))
            }
        }
    }
}

impl Args for StrategyArgs {
    fn augment_args(command: Command) -> Command {
        let option = Arg::new(OPTION).long(OPTION).num_args(1..=2).value_names(["NAME", "FILE"]);
        command.arg(option.value_parser(value_parser!(OsString)).help(
            "How to decide which paths share a layer: least-churn, popularity, size, or pipeline with a file of \
             operations [default: least-churn]",
        ))
    }

    fn augment_args_for_update(command: Command) -> Command {
        StrategyArgs::augment_args(command)
    }
}

impl FromArgMatches for StrategyArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<StrategyArgs, clap::Error> {
        let mut words = matches.get_many::<OsString>(OPTION).into_iter().flatten();
        let Some(name) = words.next() else { return Ok(StrategyArgs { choice: None, input: None }) };
        let (name, second) = (name.to_string_lossy(), words.next().map(PathBuf::from));
        if name == Strategy::PIPELINE {
            let file = second.ok_or_else(|| invalid("pipeline: expected the file of its operations behind it"))?;
            return Ok(StrategyArgs { choice: Some(Choice::Pipeline(file)), input: None });
        }
        let strategy = name.parse().map_err(|e: layerstone_layering::Error| invalid(&e.to_string()))?;
        let input = second.map(|input| (inputs_before_second(matches), input));
        Ok(StrategyArgs { choice: Some(Choice::Named(strategy)), input })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = StrategyArgs::from_arg_matches(matches)?;
        Ok(())
    }
}

/// How many inputs stand before the option's second word.
fn inputs_before_second(matches: &ArgMatches) -> usize {
    let second = matches.indices_of(OPTION).and_then(|mut indices| indices.nth(1));
    let inputs = matches.indices_of(INPUTS).into_iter().flatten();
    inputs.filter(|&index| Some(index) < second).count()
}

fn invalid(cause: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("invalid value for '--{OPTION} <NAME> [FILE]': {cause}"))
}
