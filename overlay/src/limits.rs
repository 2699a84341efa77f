//! Bounds what a guest may send, and what a base image may make this program keep.
//!
//! Real runs and images stay far below each of them. A machine isolates a script that is not trusted, and what
//! has broken out of the script inside must not fill the memory or the disk outside.

use layerstone_guest::MAX_HOLES;

/// How many times the size of the run's disk its layer may have: files with holes may have [`MAX_HOLES`] times its size, and
/// headers take less than as much again.
pub(crate) const MAX_LAYER: u64 = 2 * MAX_HOLES;

/// Phases of a run that are noted at most; there are about ten.
pub(crate) const MAX_PHASES: usize = 100;

/// Bytes that are read of the console of a machine that has ended.
pub(crate) const MAX_LAST_WORDS: u64 = 1 << 20;
