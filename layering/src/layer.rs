//! A layer in the making: its paths by their numbers, and whether a user asked for it.

/// A layer of a plan in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Its paths, in the order in which they stand in the plan.
    pub paths: Vec<u32>,
    /// Whether a user asked for these paths to have a layer of their own: nothing else may join it.
    pub own: bool,
}

impl Layer {
    /// A layer that others may join.
    pub fn free(paths: Vec<u32>) -> Layer {
        Layer { paths, own: false }
    }

    /// A layer that a user asked for.
    pub fn own(paths: Vec<u32>) -> Layer {
        Layer { paths, own: true }
    }
}
