//! What help, man pages and completions have besides the flags: groups, examples, the environment.

pub mod environment;
pub mod examples;
pub mod groups;
