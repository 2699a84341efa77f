//! What is said of errors and of command lines that are none, with what to do about it; how signals end the program.

pub mod argument;
pub mod code;
pub mod command_line;
pub mod failure;
pub mod file_kind;
pub mod foreign_flag;
pub mod foreign_word;
pub mod hint;
pub mod interrupt;
pub mod missing;
pub mod near;
pub mod slip;
pub mod usage_error;
