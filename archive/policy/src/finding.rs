//! Holds what a policy finds wrong with an image.

use serde::Serialize;

/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The key of the policy: `packages.forbidden`.
    pub rule: &'static str,
    /// What was found, and what was expected.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The file or store path that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The layer that holds it, 0 being the bottom one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// The shortest chain of references that brings a store path in, from a path that nothing refers to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

impl Finding {
    /// One without a place.
    pub(crate) fn new(rule: &'static str, message: String, hint: impl Into<String>) -> Finding {
        Finding { rule, message, hint: hint.into(), path: None, layer: None, chain: Vec::new() }
    }

    /// About this file or store path.
    pub(crate) fn at(self, path: impl Into<String>, layer: Option<usize>) -> Finding {
        Finding { path: Some(path.into()), layer, ..self }
    }
}
