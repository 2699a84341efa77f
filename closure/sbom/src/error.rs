//! Defines the errors of bills of materials.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a file that tells of packages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is not of the form that it should have.
    #[error("malformed {what}: {name}: {cause}")]
    Malformed {
        /// What it should be.
        what: &'static str,
        /// Its name.
        name: String,
        /// What was found, and what was expected.
        cause: String,
    },
}
