//! What can go wrong while an image is built or copied.

use layerstone_layer::Difference;
use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::{io, iter};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a stage reports that belongs to no stage's own error.
type Source = Box<dyn StdError + Send + Sync>;

/// An error of a stage, or of what lies between stages. Each stage's own error is the `source` of what wraps it, so that
/// whoever shows the chain may pass over a text that the one before ends in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Store paths, stage files, outputs.
    #[error("{0}")]
    Store(#[from] layerstone_store::Error),
    /// Closures.
    #[error("{0}")]
    Closure(#[from] layerstone_closure::Error),
    /// Plans.
    #[error("{0}")]
    Layering(#[from] layerstone_layering::Error),
    /// Tars.
    #[error("{0}")]
    Tar(#[from] layerstone_tar::Error),
    /// Layers.
    #[error("{0}")]
    Layer(#[from] layerstone_layer::Error),
    /// OCI images, and what keeps their blobs.
    #[error("{0}")]
    Oci(#[from] layerstone_oci::Error),
    /// Registries.
    #[error("{0}")]
    Registry(#[from] layerstone_registry::Error),
    /// Images that are read or assembled.
    #[error("{0}")]
    Image(#[from] layerstone_image::Error),
    /// The spec.
    #[error("{0}")]
    Spec(#[from] layerstone_spec::Error),
    /// The customisation layer.
    #[error("{0}")]
    Root(#[from] layerstone_root::Error),
    /// Keys, signatures and statements.
    #[error("{0}")]
    Attestation(#[from] layerstone_attestation::Error),
    /// Policies.
    #[error("{0}")]
    Policy(#[from] layerstone_policy::Error),
    /// Root scripts.
    #[error("{0}")]
    Overlay(#[from] layerstone_overlay::Error),
    /// The work was cancelled between two stages.
    #[error("{0}")]
    Cancelled(#[from] layerstone_store::Cancelled),
    /// Reading, writing or waiting.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// What names no destination of an image.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// An index without an image for the platform that is wanted.
    #[error("no image for {wanted}: {name}: found {found}")]
    NoImage {
        /// The platform.
        wanted: String,
        /// What the index is called.
        name: String,
        /// The platforms that there are.
        found: String,
    },
    /// A request that cannot be met: what was found and what was expected.
    #[error("{0}")]
    Invalid(String),
    /// The same, and what to do.
    #[error("{message}")]
    Advised {
        /// What was found and what was expected.
        message: String,
        /// What to do.
        hint: String,
    },
    /// What was being done when an error came.
    #[error("{doing}")]
    During {
        /// What, in a phrase such as `cannot read: PATH`.
        doing: String,
        /// The error.
        source: Source,
    },
    /// An error that files of the store explain: they are not what they were when they were cached.
    #[error("{differences}")]
    Differs {
        /// The files.
        differences: Differences,
        /// The error.
        source: Box<Error>,
    },
}

impl From<layerstone_oci::InvalidPlace> for Error {
    fn from(layerstone_oci::InvalidPlace { message, hint }: layerstone_oci::InvalidPlace) -> Error {
        Refused { message, hint }.into()
    }
}

impl Error {
    /// A request that cannot be met, and what to do.
    pub fn advised(message: impl Display, hint: impl Into<String>) -> Error {
        Error::Advised { message: message.to_string(), hint: hint.into() }
    }

    /// Whether the work was cancelled, wherever it was then.
    pub fn is_cancelled(&self) -> bool {
        use {layerstone_image::Error as Image, layerstone_layer::Error as Layer, layerstone_oci::Error as Oci};
        chain(self).any(|cause| {
            cause.is::<layerstone_store::Cancelled>()
                || matches!(cause.downcast_ref(), Some(Layer::Cancelled(_)))
                || matches!(cause.downcast_ref(), Some(Image::Cancelled(_)))
                || matches!(cause.downcast_ref(), Some(Oci::Layer(Layer::Cancelled(_))))
        })
    }
}

/// An error and its causes.
pub(crate) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// An error and its causes in one line, but for those that the text before already ends in.
pub fn chain_text(error: &(dyn StdError + 'static)) -> String {
    chain(error).skip(1).map(ToString::to_string).fold(error.to_string(), |text, cause| match text.ends_with(&cause) {
        true => text,
        false => format!("{text}: {cause}"),
    })
}

/// A text that names no destination of an image, and what to write instead.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Files of the store that are not what they were.
#[derive(Debug)]
pub struct Differences(pub Vec<Difference>);

/// As many files that differ are named in a message.
const NAMED: usize = 20;

impl Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.0.iter().take(NAMED).map(|difference| format!("differs: {difference}"));
        let more = self.0.len().checked_sub(NAMED).filter(|more| *more > 0);
        let more = more.map(|more| format!("differs: {more} more files"));
        f.write_str(&named.chain(more).collect::<Vec<_>>().join("\n"))
    }
}

/// Says what was being done when an error came.
pub(crate) trait Context<T> {
    /// By a phrase.
    fn context(self, doing: impl Into<String>) -> Result<T>;

    /// By a phrase that is put together only if there is an error.
    fn with_context<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Source>> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl Into<String>) -> Result<T> {
        self.with_context(|| doing)
    }

    fn with_context<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|source| Error::During { doing: doing().into(), source: source.into() })
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, doing: impl Into<String>) -> Result<T> {
        self.with_context(|| doing)
    }

    fn with_context<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T> {
        self.ok_or_else(|| Error::Invalid(doing().into()))
    }
}

/// Makes an [`Error::Invalid`] of a message.
macro_rules! invalid {
    ($($message:tt)*) => { $crate::Error::Invalid(format!($($message)*)) };
}

/// Returns an [`Error::Invalid`] of a message.
macro_rules! bail {
    ($($message:tt)*) => { return Err(invalid!($($message)*)) };
}
