//! Collects what is wrong with a spec, so that all of it is told at once.

use super::SPEC_FORMAT;
use crate::{Error, Result};
use layerstone_store::Error as StageError;

/// Errors that were found so far, in the order in which keys are read.
#[derive(Default)]
pub struct Faults(Vec<Error>);

impl Faults {
    /// The value, or else its default: what is wrong is noted.
    pub fn or_default<T: Default>(&mut self, result: Result<T>) -> T {
        self.or(result, T::default())
    }

    /// The value, or else this one.
    pub fn or<T>(&mut self, result: Result<T>, fallback: T) -> T {
        result.unwrap_or_else(|error| {
            self.add(error);
            fallback
        })
    }

    /// Notes an error.
    pub fn add(&mut self, error: impl Into<Error>) {
        self.0.push(error.into());
    }

    /// The errors as one; `name` is that of the file.
    ///
    /// # Errors
    ///
    /// There is any.
    pub fn finish(mut self, name: &str) -> Result<()> {
        if self.0.len() <= 1 {
            return self.0.pop().map_or(Ok(()), Err);
        }
        let text = |error: &Error| match error {
            Error::Stage(StageError::Malformed { cause, .. }) => format!("\n  {cause}"),
            other => format!("\n  {other}"),
        };
        let lines: String = self.0.iter().map(text).collect();
        let cause = format!("{} faults:{lines}", self.0.len());
        Err(StageError::Malformed { format: SPEC_FORMAT, name: name.to_owned(), cause }.into())
    }
}
