//! The program's tests: everything here drives the built binary, as a user does, and looks at the files that it leaves.
//!
//! | module | shows |
//! |---|---|
//! | `golden` | what nixpkgs makes of the synthetic store comes out, to the byte |
//! | `support` | how the others run the binary, where they work, and what happens when a tool is missing |
//!
//! `cargo test -p layerstone --test program` runs them all. A test that needs a tool which this machine lacks prints
//! `SKIP name: reason`, and the run ends with the list of all that was skipped; under `LAYERSTONE_REQUIRE_ALL=1` a skip
//! is a failure.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod golden;
mod support;
