//! Holds a layer of a plan in the making: its paths by their numbers, and whether a user pinned it.

/// A layer of a plan in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Its paths, in the order in which they stand in the plan.
    pub paths: Vec<u32>,
    /// Whether a user asked for these paths to have a layer of their own: nothing else may join it.
    pub pinned: bool,
}

impl Layer {
    /// A layer that others may join.
    pub fn free(paths: Vec<u32>) -> Layer {
        Layer { paths, pinned: false }
    }

    /// A layer that a user asked for.
    pub fn pinned(paths: Vec<u32>) -> Layer {
        Layer { paths, pinned: true }
    }
}
