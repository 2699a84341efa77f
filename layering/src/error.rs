//! Defines the errors of this crate.

use layerstone_store::StorePath;

/// Result of this crate's algorithms; reading and writing files has the stage crate's errors.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A closure that is none, or a wish that it cannot fulfil.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path stands in the closure more than once, refers to one that the closure does not hold, or is on a cycle of
    /// references; a path that refers to itself is none.
    #[error("not a closure: {path}: {cause}")]
    NotClosure {
        /// The path; of a cycle the first one in path order.
        path: StorePath,
        /// What was found.
        cause: String,
    },
    /// The closure lacks the size of a path.
    #[error("unknown size: {path}: {purpose} needs the narSize of every path")]
    NoSize {
        /// The path.
        path: StorePath,
        /// What needs it.
        purpose: &'static str,
    },
    /// A path that should be left out is not there.
    #[error("cannot exclude: {path}: not in the closure")]
    AbsentExclusion {
        /// The path.
        path: StorePath,
    },
    /// A plan holds a path that the closure does not.
    #[error("not a plan of the closure: {path}: the closure does not hold it")]
    NotInClosure {
        /// The path.
        path: StorePath,
    },
    /// Plans of two store directories have nothing to be compared.
    #[error("plans of two stores: found {old} in the old one, {new} in the new one")]
    TwoStores {
        /// The store directory of the old plan's paths.
        old: String,
        /// The store directory of the new plan's paths.
        new: String,
    },
    /// There is no strategy of this name.
    #[error("unknown strategy: {name:?}: expected one of {expected}")]
    UnknownStrategy {
        /// The name.
        name: String,
        /// All names, separated by commas.
        expected: String,
    },
    /// A pipeline is chosen by its name, without its operations.
    #[error("the strategy pipeline needs its operations")]
    NoPipeline,
    /// An operation of a pipeline cannot do its work on what it is given.
    #[error("cannot run the pipeline: {name}: {position}: {cause}")]
    Pipeline {
        /// The file.
        name: String,
        /// Which operation of the file.
        position: String,
        /// What was found and what was expected.
        cause: String,
    },
    /// A text is no pattern.
    #[error("not a pattern: {pattern:?}: {cause}")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        cause: String,
    },
    /// No pattern of a rates file chooses any path.
    #[error("no rate is used: {name}: none of its patterns matches a path of the closure")]
    UselessRates {
        /// The file.
        name: String,
    },
    /// A pattern asks for a layer and chooses no path.
    #[error("useless pattern: {pattern}: it matches no path that needs a layer")]
    UselessPattern {
        /// The pattern.
        pattern: String,
    },
    /// All paths of a layer that is asked for are in others that are asked for too.
    #[error("empty layer: {patterns}: all that it matches is in layers asked for before")]
    EmptyLayer {
        /// The layer's patterns, separated by commas.
        patterns: String,
    },
    /// The limit leaves no layer for paths that need one.
    #[error(
        "too few layers: found a limit of {limit}, expected {needed} or more: {base} lie below, {pinned} are asked \
         for by pattern"
    )]
    Limit {
        /// How many layers there may be.
        limit: usize,
        /// How many it takes at least.
        needed: usize,
        /// How many of them are the base image's, or made already.
        base: usize,
        /// How many of them are asked for.
        pinned: usize,
    },
    /// A previous plan is about paths of another store directory.
    #[error("previous plan of another store: {name}: found paths in {found}, expected {expected}")]
    OtherStore {
        /// The plan's file.
        name: String,
        /// The store directory of its paths.
        found: String,
        /// The store directory of the closure's paths.
        expected: String,
    },
    /// A previous plan has nothing in common with the closure.
    #[error("previous plan of something else: {name}: neither a path nor a name in it is one of the closure's")]
    Unrelated {
        /// The plan's file.
        name: String,
    },
    /// What only a single closure can be planned with.
    #[error("several closures at once: found {found}, expected least-churn without a previous plan")]
    Together {
        /// What it is.
        found: String,
    },
    /// Two closures say different things of a path.
    #[error("closures that do not belong together: {path}: found two different {what}")]
    Disagreement {
        /// The path.
        path: StorePath,
        /// What differs.
        what: &'static str,
    },
    /// The sizes of all paths add up to more than can be.
    #[error("sizes too large: found more than {max} bytes in all, expected less", max = u64::MAX)]
    TooLarge,
}
