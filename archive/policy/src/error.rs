//! Defines the errors of policies.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is no policy.
    #[error("malformed layerstone/policy: {name}: {cause}")]
    Malformed {
        /// The file's name.
        name: String,
        /// What was found, and what was expected.
        cause: String,
    },
}
