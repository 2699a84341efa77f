//! Defines the errors of statements.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes are not what they should be.
    #[error("not {expected}: {name}: {cause}")]
    Malformed {
        /// What was expected, with its article.
        expected: &'static str,
        /// What the bytes are called.
        name: String,
        /// What is wrong with them.
        cause: String,
    },
}
