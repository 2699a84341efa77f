//! What the history of an image says of a layer: how it was made, who made it, a comment (OCI image-spec, config.md,
//! "history").

use serde::{Deserialize, Serialize};

/// What is said of a layer; none for what an image says by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// What made the layer; none for the program that makes the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A comment; none for what the layer's store paths tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl History {
    /// A comment alone.
    pub fn comment(text: impl Into<String>) -> History {
        History { comment: Some(text.into()), ..History::default() }
    }

    /// What this says, the rest from `default`.
    pub fn over(self, default: History) -> History {
        History {
            created_by: self.created_by.or(default.created_by),
            author: self.author.or(default.author),
            comment: self.comment.or(default.comment),
        }
    }
}
