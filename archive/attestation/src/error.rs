//! Defines the errors of statements, keys and signatures.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a statement, a key or a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// A file is another kind of key than is needed, or no key.
    #[error("not {expected}: {name}: found {found}")]
    Key {
        /// What was expected, with its article.
        expected: &'static str,
        /// What the file is called.
        name: String,
        /// What it is.
        found: String,
        /// What to do, if anything helps.
        hint: &'static str,
    },
    /// An encrypted key stays closed.
    #[error("cannot decrypt the key: {name}: {cause}")]
    Encrypted {
        /// What the file is called.
        name: String,
        /// Why.
        cause: String,
    },
    /// The system gave no random bytes, which ECDSA needs.
    #[error("cannot sign with {name}: the system gave no random bytes")]
    Sign {
        /// What the key is called.
        name: String,
    },
}

impl Error {
    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Key { hint, .. } => Some(hint).filter(|hint| !hint.is_empty()).copied(),
            Error::Encrypted { .. } => Some(
                "the password is that of `cosign generate-key-pair`, in $COSIGN_PASSWORD or the file of --password-file",
            ),
            _ => None,
        }
    }
}
