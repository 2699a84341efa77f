//! The subcommands, one file each.

pub mod build;
pub mod closure;
pub mod completions;
pub mod copy;
pub mod demo;
pub mod derivation;
pub mod image;
pub mod index;
pub mod inspect;
pub mod layer;
pub mod layers;
pub mod man;
pub mod merge;
pub mod merge_trees;
pub mod nix_db;
pub mod overlay;
pub mod prefetch;
pub mod pull;
pub mod push;
pub mod ready;
pub mod root;
pub mod script;
pub mod serve;
pub mod stream;
pub mod tarsum;
